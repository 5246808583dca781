//! Keeps the policy set in step with its folder.
//!
//! The file system's events only wake us; a slow look at the whole folder is the truth. So a lost
//! event costs seconds, and an event too many costs nothing.

use super::load::{Folder, Reading};
use crate::model::policy::PolicySet;
use notify::{RecursiveMode, Watcher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long a change may settle before it is read: editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(200);

/// Reads the folder again at every change, and at the latest after `every`, and sends what holds
/// whenever it differs from what was sent last. Ends when nobody listens any more.
///
/// Problems are part of the set (a bad file is a suspended policy); each is also logged when it is new.
pub async fn keep_reading(mut folder: Folder, every: Duration, sender: watch::Sender<Arc<PolicySet>>) {
    let (wake, mut woken) = mpsc::channel::<()>(1);
    let _watcher = match watcher(&folder, wake.clone()) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, folder = %folder.path().display(), "policy folder is not watched; it is read every {every:?}");
            None
        }
    };
    loop {
        let reading = tokio::task::spawn_blocking(move || {
            let reading = folder.read();
            (folder, reading)
        });
        let reading = match reading.await {
            Ok((same, reading)) => {
                folder = same;
                reading
            }
            Err(error) => {
                tracing::error!(%error, "reading the policy folder broke; no policy is used from now on");
                sender.send_replace(Arc::new(PolicySet {
                    owners_bad: Some("Reading the policy folder broke; restart the operator.".to_owned()),
                    ..PolicySet::default()
                }));
                return;
            }
        };
        send(reading, &sender);
        tokio::select! {
            () = sender.closed() => return,
            Some(()) = woken.recv() => {
                tokio::time::sleep(SETTLE).await;
                while woken.try_recv().is_ok() {}
            }
            () = tokio::time::sleep(every) => {}
        }
    }
}

fn send(Reading { set, problems }: Reading, sender: &watch::Sender<Arc<PolicySet>>) {
    let set = Arc::new(set);
    let changed = sender.send_if_modified(|held| {
        let changed = **held != *set;
        if changed {
            *held = set;
        }
        changed
    });
    if changed && !problems.is_empty() {
        tracing::warn!(problems = %problems, "policy folder has problems; what they touch is suspended");
    }
}

fn watcher(folder: &Folder, wake: mpsc::Sender<()>) -> notify::Result<impl Watcher + use<>> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is an event too; answering it by reading would never end.
        if !matches!(&event, Ok(event) if event.kind.is_access()) {
            // A full channel already holds a wake-up.
            let _ = wake.try_send(());
        }
    })?;
    watcher.watch(folder.path(), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::PolicyState;

    const GOOD: &str = include_str!("../../policies/examples/2-approved-kill.yaml");

    /// Waits until the set looks as wanted; gives up after ten seconds.
    async fn until(receiver: &mut watch::Receiver<Arc<PolicySet>>, wanted: fn(&PolicySet) -> bool) {
        let seen = tokio::time::timeout(Duration::from_secs(10), receiver.wait_for(|set| wanted(set))).await;
        assert!(matches!(seen, Ok(Ok(_))), "never came");
    }

    #[tokio::test]
    async fn a_changed_folder_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        let (sender, mut receiver) = watch::channel(Arc::default());
        let task = tokio::spawn(keep_reading(
            Folder::new(dir.path()),
            Duration::from_millis(300),
            sender,
        ));
        std::fs::write(&file, GOOD).unwrap();
        until(&mut receiver, |set| {
            set.policies.values().any(|p| matches!(p, PolicyState::Active(_)))
        })
        .await;
        std::fs::write(&file, "{{{").unwrap();
        until(&mut receiver, |set| {
            set.policies
                .values()
                .any(|p| matches!(p, PolicyState::Suspended { .. }))
        })
        .await;
        std::fs::remove_file(&file).unwrap();
        until(&mut receiver, |set| set.policies.is_empty()).await;
        drop(receiver);
        tokio::time::timeout(Duration::from_secs(10), task)
            .await
            .expect("ends when nobody listens")
            .unwrap();
    }
}
