//! A rehearsal beside a pretend Marathon and a real front door: measured, and nothing killed.

use crate::support::world::{Given, World};
use heartbreak::app::works;
use heartbreak::cli::works::RehearseArgs;
use heartbreak::model::rehearsal::Rehearsal;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Rehearses the world's policy beside its operator.
async fn rehearse(world: &World, lasts: Duration) -> Rehearsal {
    let settings = world
        .policy_file()
        .ancestors()
        .nth(2)
        .expect("the world's folder")
        .join("heartbreak.yaml");
    let said = Arc::new(Mutex::new(vec![]));
    let hear = said.clone();
    (works().rehearse)(RehearseArgs {
        settings,
        policy: "cart".into(),
        lasts,
        write: true,
        progress: Arc::new(move |word: &str| hear.lock().expect("no panic").push(word.to_owned())),
    })
    .await
    .unwrap_or_else(|trouble| panic!("{}", trouble.text))
}

#[tokio::test]
async fn a_rehearsal_measures_the_live_app_and_kills_nothing() {
    let world = World::start().await;
    let rehearsal = rehearse(&world, Duration::from_secs(3)).await;
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

#[tokio::test]
async fn a_rehearsal_runs_the_programs_that_the_settings_allow_and_writes_the_line_for_slow_answers() {
    let world = World::given(Given {
        commands: "[ [\"/bin/true\"] ]",
        policy: vec![
            ("interval: 200ms", "interval: 400ms".into()),
            ("timeout: 190ms", "timeout: 390ms".into()),
            ("for: 2s", "for: 4s".into()),
            ("requests: 5", "requests: 50".into()),
            (
                "        share: { max: 30%, hard: 90% }\n",
                "        share: { max: 30%, hard: 90% }
      - name: program
        role: observe
        source: { command: { argv: [\"/bin/true\"] } }
"
                .into(),
            ),
        ],
        ..Given::default()
    })
    .await;
    let before = std::fs::read_to_string(world.policy_file()).expect("the policy");
    let rehearsal = rehearse(&world, Duration::from_secs(11)).await;
    let [door, program] = rehearsal.probes.as_slice() else {
        panic!("two probes: {:?}", rehearsal.probes)
    };
    assert!(program.samples >= 5 && program.bad == 0, "{program:?}");

    let line = door
        .slower_than_advised_ms
        .unwrap_or_else(|| panic!("a line is advised: {door:?}"));
    assert_eq!(Some(line), door.slower_than_ms);
    let written = rehearsal.written.as_deref().unwrap_or_default();
    assert!(written.contains(&format!("slowerThan: {line}ms")), "{written}");
    let after = std::fs::read_to_string(world.policy_file()).expect("the policy");
    let mut kept = after.lines();
    assert!(before.lines().all(|old| kept.any(|new| new == old)), "{after}");
    let copy = world.policy_file().with_file_name("cart.yaml.before-rehearsal");
    assert_eq!(
        std::fs::read_to_string(copy).expect("the policy as it was"),
        before
    );

    // The operator beside it goes on with the file as it is now: the line is there, and if this machine is busier
    // than it was, so that another is advised, then that one replaces it.
    let again = rehearse(&world, Duration::from_secs(5)).await;
    let written = again.written.as_deref().unwrap_or_default();
    let after = std::fs::read_to_string(world.policy_file()).expect("the policy");
    assert!(!written.is_empty());
    assert_eq!(after.matches("slowerThan").count(), 1, "{after}");
    assert!(world.sim.kills().is_empty());
    world.stop().await;
}
