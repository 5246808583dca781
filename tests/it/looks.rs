//! What the operator asks Marathon for: no more than policies can touch, seen from Marathon's side.

use crate::support::world::{Given, World};
use heartbreak::model::command::Command;
use heartbreak_sim::AppSpec;
use std::time::Duration;

/// Lists that were asked for, by their filters.
fn lists(world: &World) -> Vec<String> {
    let all = world.sim.mischief().reads().into_iter();
    let filters = all.filter_map(|read| {
        let filters = read
            .strip_prefix("/v2/apps?")?
            .split('&')
            .filter(|pair| !pair.starts_with("embed="));
        Some(filters.collect::<Vec<_>>().join("&"))
    });
    filters.collect()
}

async fn until_asked(world: &World, for_this: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !lists(world).iter().any(|list| list == for_this) {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{for_this} was not asked for, but {:?}",
            lists(world)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn only_apps_that_may_be_hit_are_asked_for_unless_a_person_wonders_why() {
    let world = World::given(Given {
        policy: vec![("[\"/shop/cart\"]", "[\"/shop/**\", \"/pay/*\"]".into())],
        marathon: Box::new(|sim| {
            sim.with(|s| s.add_app(AppSpec::new("/shop/plain", 2)));
        }),
        ..Given::default()
    })
    .await;
    // Left to itself, it wants what is opted in by its label, and nothing else was ever asked for.
    until_asked(&world, "label=chaos%3D%3Dopt-in&id=%2Fpay%2F").await;
    assert_eq!(
        lists(&world)[..2],
        [
            "label=chaos%3D%3Dopt-in&id=%2Fshop",
            "label=chaos%3D%3Dopt-in&id=%2Fpay%2F"
        ]
    );
    // Whoever asks is told of the others too.
    let command = Command::Plan {
        policy: "cart".into(),
    };
    let plan = format!("{:?}", world.api(command).await.expect("a plan"));
    assert!(plan.contains("/shop/plain is not opted in"), "{plan}");
    assert!(
        lists(&world).contains(&"id=%2Fshop".to_owned()),
        "{:?}",
        lists(&world)
    );
    world.stop().await;
}

#[tokio::test]
async fn a_run_under_way_asks_for_its_own_app_only() {
    let world = World::given(Given {
        approval: "mode: automatic",
        policy: vec![("[\"/shop/cart\"]", "[\"/shop/**\"]".into())],
        ..Given::default()
    })
    .await;
    world.asks_for_a_run().await.expect("it is taken");
    world.until_over().await;
    let asked = lists(&world);
    let whole = asked.iter().filter(|list| *list == "id=%2Fshop").count();
    assert!(asked.contains(&"id=%2Fshop%2Fcart".to_owned()), "{asked:?}");
    assert!(
        whole <= 3,
        "a run is open for seconds and looks twice in each: {asked:?}"
    );
    world.stop().await;
}
