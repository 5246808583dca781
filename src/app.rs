//! Wiring: builds adapters from settings, starts loops, owns shutdown. Decides nothing.

mod ahead;
mod alone;
mod cluster;
mod rehearse;
mod serve;
mod slack;
mod state;

pub use serve::{Running, start};

use crate::cli::trouble::Trouble;
use crate::cli::works::{RunArgs, Works};
use crate::clock::RealClock;
use crate::exit::Exit;
use crate::policy::Problems;
use crate::report::{render, render_trend};
use crate::settings::Settings;
use futures_util::FutureExt;
use std::sync::Arc;

/// What the command line needs to work without a running operator.
pub fn works() -> Works {
    Works {
        clock: Arc::new(RealClock),
        run: Box::new(|args| run(args).boxed()),
        check: Box::new(|args| alone::check(args).boxed()),
        plan_snapshot: Box::new(|args| alone::plan_snapshot(args).boxed()),
        save_snapshot: Box::new(|args| alone::save_snapshot(args).boxed()),
        why_snapshot: Box::new(|args| alone::why_snapshot(args).boxed()),
        timeline_journal: Box::new(|args| alone::timeline_journal(args).boxed()),
        history_journal: Box::new(|args| alone::history_journal(args).boxed()),
        rehearse: Box::new(|args| rehearse::rehearse(args).boxed()),
        forecast: Box::new(|args| ahead::forecast(args).boxed()),
        render: Arc::new(render),
        trend: Arc::new(render_trend),
        audit_verify: Box::new(|args| alone::audit_verify(args).boxed()),
        schema: Box::new(alone::schema),
        demo: Box::new(|args| demo(args).boxed()),
        sim: Box::new(|args| sim(args).boxed()),
    }
}

/// `heartbreak run`: the operator, until a signal ends it.
async fn run(args: RunArgs) -> Result<(), Trouble> {
    let settings = Settings::load(&args.settings).map_err(bad_input)?;
    let running = start(settings).await?;
    tracing::info!(url = %running.url, "listening");
    running.until_told().await;
    Ok(())
}

fn bad_input(problems: Problems) -> Trouble {
    Trouble::new(Exit::BadInput, format!("{problems}\nnothing was started"))
}

#[cfg(feature = "demo")]
async fn demo(args: crate::cli::works::DemoArgs) -> Result<Exit, Trouble> {
    crate::demo::run(args).await
}

#[cfg(feature = "demo")]
async fn sim(args: crate::cli::works::SimArgs) -> Result<Exit, Trouble> {
    crate::demo::sim(args).await
}

#[cfg(not(feature = "demo"))]
async fn demo(_: crate::cli::works::DemoArgs) -> Result<Exit, Trouble> {
    Err(left_out("demo"))
}

#[cfg(not(feature = "demo"))]
async fn sim(_: crate::cli::works::SimArgs) -> Result<Exit, Trouble> {
    Err(left_out("sim"))
}

#[cfg(not(feature = "demo"))]
fn left_out(what: &str) -> Trouble {
    Trouble::new(
        Exit::Usage,
        format!("`{what}` is left out of this build; build with the feature `demo`. Nothing was done"),
    )
}
