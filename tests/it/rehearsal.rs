//! A rehearsal beside a pretend Marathon and a real front door: measured, and nothing killed.

use crate::support::world::World;
use heartbreak::app::works;
use heartbreak::cli::works::RehearseArgs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[tokio::test]
async fn a_rehearsal_measures_the_live_app_and_kills_nothing() {
    let world = World::start().await;
    let settings = world
        .policy_file()
        .ancestors()
        .nth(2)
        .expect("the world's folder")
        .join("heartbreak.yaml");
    let said = Arc::new(Mutex::new(vec![]));
    let hear = said.clone();
    let rehearsal = (works().rehearse)(RehearseArgs {
        settings,
        policy: "cart".into(),
        lasts: Duration::from_secs(3),
        write: true,
        progress: Arc::new(move |word: &str| hear.lock().expect("no panic").push(word.to_owned())),
    })
    .await
    .unwrap_or_else(|trouble| panic!("{}", trouble.text));
    let noise = &rehearsal.probes[0];
    assert!(noise.samples >= 5 && noise.bad == 0, "{noise:?}");
    assert!(
        rehearsal
            .shams
            .iter()
            .all(|sham| sham.what.contains("would have killed shop_cart"))
            && !rehearsal.shams.is_empty(),
        "{:?}",
        rehearsal.shams
    );
    assert!(
        rehearsal.written.is_some(),
        "it says what it wrote, or that there was nothing to write"
    );
    assert!(world.sim.kills().is_empty());
    assert!(
        world.run().await.is_none(),
        "the operator beside it was not asked for anything"
    );
    world.stop().await;
}
