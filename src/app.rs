//! Wiring: builds adapters from settings, starts loops, owns shutdown.

use crate::cli::trouble::Trouble;
use crate::cli::works::{Work, Works};
use crate::exit::Exit;
use crate::ports::clock::Clock;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;

/// What the command line needs to work without a running operator.
pub fn works() -> Works {
    Works {
        clock: Arc::new(Wall),
        run: absent("run"),
        check: absent("check"),
        plan_snapshot: absent("plan --snapshot"),
        save_snapshot: absent("plan --save-snapshot"),
        why_snapshot: absent("why --snapshot"),
        timeline_journal: absent("timeline --journal"),
        render: Arc::new(|report, _| serde_json::to_string_pretty(report).unwrap_or_default()),
        audit_verify: absent("audit verify"),
        schema: Box::new(|_| Err(missing("schema"))),
        demo: absent("demo"),
        sim: absent("sim"),
    }
}

fn missing(what: &str) -> Trouble {
    Trouble::new(
        Exit::Ours,
        format!("`{what}` is not wired into this build; nothing was done"),
    )
}

fn absent<A: 'static, T: Send + 'static>(what: &'static str) -> Work<A, T> {
    Box::new(move |_| async move { Err(missing(what)) }.boxed())
}

struct Wall;

#[async_trait]
impl Clock for Wall {
    #[expect(
        clippy::disallowed_methods,
        reason = "stands in until the clock adapter is there"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
