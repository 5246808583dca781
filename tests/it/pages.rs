//! The pages for a browser, from one to the next, as a person clicks through them.

use crate::support::world::{Given, World};
use heartbreak::model::verdict::Verdict;

/// What is behind a path of the operator: the status, the kind of content and the text.
async fn get(world: &World, path: &str, token: Option<&str>) -> (u16, String, String) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = client.get(format!("{}{path}", world.running.url));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("it answers");
    let kind = answer
        .headers()
        .get("content-type")
        .map_or("", |v| v.to_str().unwrap_or(""));
    let (status, kind) = (answer.status().as_u16(), kind.to_owned());
    (status, kind, answer.text().await.expect("a text"))
}

/// The first link of a page that begins like this.
fn link(page: &str, begins: &str) -> String {
    let start = page.find(&format!("href=\"{begins}"));
    let start = start.unwrap_or_else(|| panic!("no link to {begins} in {page}")) + "href=\"".len();
    let end = page[start..].find('"').expect("it ends") + start;
    page[start..end].to_owned()
}

async fn page(world: &World, path: &str) -> String {
    let (status, kind, text) = get(world, path, None).await;
    assert_eq!(
        (status, kind.as_str()),
        (200, "text/html; charset=utf-8"),
        "{path}: {text}"
    );
    assert!(!text.contains("<script"), "{path}");
    text
}

#[tokio::test]
async fn from_the_first_page_to_a_run_its_report_and_its_apps_history() {
    let world = World::given(Given {
        approval: "mode: automatic",
        ..Given::default()
    })
    .await;
    let empty = page(&world, "/ui/history?app=/shop/cart").await;
    assert!(empty.contains("No experiment on this app has ended"), "{empty}");

    world.asks_for_a_run().await.expect("it is taken");
    let run = world.until_over().await;
    let Some(Verdict { sentence, .. }) = &run.verdict else {
        panic!("a verdict")
    };
    let first = page(&world, "/ui").await;
    assert!(first.contains(sentence.as_str()), "{first}");

    let of_run = page(&world, &link(&first, "/ui/runs/")).await;
    for said in [
        run.id.as_str(),
        sentence,
        &run.digest.to_string()[..12],
        "kill",
        "resolved",
    ] {
        assert!(of_run.contains(said), "{said}: {of_run}");
    }
    let report = page(&world, &link(&of_run, &format!("/ui/runs/{}/report", run.id))).await;
    assert!(
        report.contains(sentence.as_str()) && report.contains("<svg"),
        "{report}"
    );

    let past = page(&world, &link(&of_run, "/ui/history")).await;
    for said in [
        "not enough experiments",
        "1 counted",
        "class=\"hb\"",
        run.id.as_str(),
    ] {
        assert!(past.contains(said), "{said}: {past}");
    }
    assert_eq!(link(&past, "/ui/runs/"), format!("/ui/runs/{}", run.id));

    let (status, _, told) = get(&world, "/ui/runs/r-00000000", None).await;
    assert_eq!(status, 404, "{told}");
    world.stop().await;
}

#[tokio::test]
async fn the_trend_is_a_picture_for_whoever_has_a_token() {
    let world = World::start().await;
    let path = "/api/v1/history.svg?app=/shop/cart";
    assert_eq!(get(&world, path, None).await.0, 401);
    let token = std::fs::read_to_string(world.state().join("token")).expect("the operator's own token");
    let (status, kind, svg) = get(&world, path, Some(token.trim())).await;
    assert_eq!((status, kind.as_str()), (200, "image/svg+xml"));
    assert!(svg.starts_with("<svg") && svg.contains("/shop/cart"), "{svg}");
    let (status, _, told) = get(&world, "/api/v1/history.svg", Some(token.trim())).await;
    assert_eq!(status, 400);
    assert!(told.contains("say of which app"), "{told}");
    world.stop().await;
}
