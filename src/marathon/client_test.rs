use super::*;
use crate::marathon::pretend::{Do, answer, answer_with, client, json, nobody, options, serve};
use crate::model::policy::{LabelSelector, LabelTerm};

const APP: &str = r#"{"id":"/a","instances":1,"deployments":[],"tasks":[]}"#;

/// What a well Marathon says.
fn well(request: &str) -> Do {
    let head = "Content-Type: application/json\r\nDate: Mon, 23 Nov 2026 12:00:07 GMT\r\n";
    match request.split(['?', ' ']).nth(1).unwrap() {
        "/v2/info" => answer_with(
            200,
            head,
            r#"{"version":"1.11.24","frameworkId":"f-1","leader":"l:1"}"#,
        ),
        "/v2/apps" => json(&format!(r#"{{"apps":[{APP}]}}"#)),
        "/v2/apps/a" => json(&format!(r#"{{"app":{APP}}}"#)),
        "/v2/deployments" => json(r#"[{"id":"d","affectedApps":["/a"]}]"#),
        "/v2/queue" => json(r#"{"queue":[]}"#),
        _ => answer(
            404,
            "application/json",
            r#"{"message":"App '/b' does not exist"}"#,
        ),
    }
}

fn all() -> Query {
    Query::all()
}

#[tokio::test]
async fn a_look_joins_info_apps_deployments_and_queue() {
    let server = serve(well).await;
    let both = [
        Query::app(&"/a".into()),
        Query {
            selector: Some(LabelSelector {
                terms: vec![LabelTerm::Exists("chaos".into())],
            }),
            ids: vec![],
        },
    ];
    let seen = client(vec![server.url.clone()]).look_at_all(&both).await;
    assert!(seen.gaps.is_empty(), "{:?}", seen.gaps);
    assert_eq!(seen.apps[&"/a".into()].deployments, ["d".into()]);
    let info = seen.info.unwrap();
    assert_eq!(
        (info.framework_id.as_str(), info.clock_offset_ms),
        ("f-1", Some(7000))
    );
    let asked = server.asked().join("");
    assert!(
        asked.contains("GET /v2/apps?label=chaos&embed=apps.tasks&embed=apps.counts&embed=apps.deployments "),
        "{asked}"
    );
    assert!(asked.contains("GET /v2/apps?id=%2Fa&embed"), "{asked}");
}

#[tokio::test]
async fn whatever_cannot_be_read_is_a_gap_for_each_part() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"apps\":[".to_vec();
    for say in [
        answer(200, "text/html", "<html>"),
        answer(200, "application/json", ""),
        answer(401, "text/html", "<html>"),
        answer(
            403,
            "application/json",
            r#"{"message":"Max number (100) of running deployments is achieved"}"#,
        ),
        answer(500, "application/json", r#"{"message":"URI not found"}"#),
        answer(502, "", ""),
        Do::Say(cut),
        Do::Close,
        Do::Hang,
    ] {
        let server = serve(move |_| say.clone()).await;
        let mut options = options(vec![server.url.clone()]);
        options.read_timeout = Duration::from_millis(200);
        let client = Client::new(options).unwrap();
        let seen = client.look_at_all(&[all()]).await;
        let kinds: Vec<GapKind> = seen.gaps.iter().map(|g| g.what).collect();
        assert_eq!(
            kinds,
            [GapKind::Apps, GapKind::Deployments, GapKind::Queue, GapKind::Info],
            "{:?}",
            seen.gaps
        );
        assert!(seen.apps.is_empty() && seen.info.is_none());
        assert!(client.look_at_one(&"/a".into()).await.is_err());
    }
}

#[tokio::test]
async fn reads_go_on_to_the_next_node_only_where_it_may_know_better() {
    for (first, moves_on) in [
        (answer(502, "text/html", "<p>"), true),
        (answer(503, "", ""), true),
        (answer(504, "", ""), true),
        (answer(500, "", ""), true),
        (answer(500, "application/json", r#"{"message":"m"}"#), false),
        (answer(403, "", ""), false),
        (answer(404, "", ""), false),
    ] {
        let bad = serve(move |_| first.clone()).await;
        let good = serve(well).await;
        let client = client(vec![nobody().await, bad.url.clone(), good.url.clone()]);
        assert_eq!(client.look_at_one(&"/a".into()).await.is_ok(), moves_on);
        assert_eq!(good.asked().len(), usize::from(moves_on));
    }
}

#[tokio::test]
async fn only_marathons_own_404_says_that_there_is_no_app() {
    let server = serve(well).await;
    assert_eq!(
        client(vec![server.url.clone()]).look_at_one(&"/b".into()).await,
        Ok(None)
    );
    for body in [
        "<html>",
        "",
        r#"{"message":"App '/c' does not exist"}"#,
        r#"{"message":"HTTP 404 Not Found"}"#,
    ] {
        let server = serve(move |_| answer(404, "application/json", body)).await;
        assert!(
            client(vec![server.url.clone()])
                .look_at_one(&"/b".into())
                .await
                .is_err(),
            "{body}"
        );
    }
    let other = serve(|_| json(&format!(r#"{{"app":{APP}}}"#))).await;
    assert!(
        client(vec![other.url.clone()])
            .look_at_one(&"/b".into())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn redirects_are_followed_with_credentials_to_listed_hosts_only() {
    let leader = serve(well).await;
    let to = format!("Location: {}v2/apps/a\r\n", leader.url);
    let follower = serve(move |_| answer_with(302, &to, "")).await;
    let strict = client(vec![follower.url.clone()]);
    assert!(
        strict
            .look_at_one(&"/a".into())
            .await
            .unwrap_err()
            .why
            .contains("not among the hosts")
    );
    assert!(leader.asked().is_empty());
    let mut options = options(vec![follower.url.clone()]);
    options
        .allowed_hosts
        .insert(format!("127.0.0.1:{}", leader.url.port().unwrap()));
    assert!(
        Client::new(options)
            .unwrap()
            .look_at_one(&"/a".into())
            .await
            .is_ok()
    );
    assert!(leader.asked()[0].contains("authorization: Basic dTpw"));
}

#[test]
fn credentials_do_not_leave_tls_and_the_leader_comes_first() {
    let url = |text: &str| Url::parse(text).unwrap();
    let mut tls = options(vec![
        url("https://m1:8443"),
        url("https://m2:8443/service/marathon"),
    ]);
    tls.allowed_hosts.insert("m3".into());
    let client = Client::new(tls).unwrap();
    assert!(client.may_go_to(&url("https://m3:1")) && !client.may_go_to(&url("http://m3:1")));
    assert!(!client.may_go_to(&url("http://m1:8443")));
    let mut headers = HeaderMap::new();
    for (leader, first) in [
        ("https://m2:8443", "/service/marathon"),
        ("http://evil", "/"),
        ("no url", "/"),
    ] {
        headers.insert("x-marathon-leader", leader.parse().unwrap());
        client.remember_leader(&headers);
        assert_eq!(client.nodes()[0].path(), first, "{leader}");
    }
}

#[test]
fn unusable_options_are_refused_with_a_sentence() {
    let url = |text: &str| Url::parse(text).unwrap();
    assert!(Client::new(options(vec![])).is_err());
    assert!(Client::new(options(vec![url("ftp://m")])).is_err());
    let refused = Client::new(options(vec![url("http://u:secret@m")]))
        .err()
        .unwrap()
        .to_string();
    assert!(!refused.contains("secret"));
    let mut login = options(vec![url("https://m")]);
    login.auth = Auth::DcosServiceAccount(crate::marathon::ServiceAccount {
        login_url: url("http://m/acs/api/v1/auth/login"),
        uid: "x".into(),
        key: std::sync::Arc::new(|| Ok("key".to_owned().into())),
    });
    assert!(Client::new(login).err().unwrap().why.contains("https"));
}
