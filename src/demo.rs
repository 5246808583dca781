//! The demo.
use crate::cli::trouble::Trouble;
use crate::cli::works::{DemoArgs, SimArgs};
use crate::exit::Exit;
/// Placeholder until the simulator is merged.
pub async fn run(_: DemoArgs) -> Result<Exit, Trouble> {
    Err(Trouble::new(
        Exit::Ours,
        "the simulator is not merged yet; nothing was done",
    ))
}
/// Placeholder until the simulator is merged.
pub async fn sim(_: SimArgs) -> Result<Exit, Trouble> {
    Err(Trouble::new(
        Exit::Ours,
        "the simulator is not merged yet; nothing was done",
    ))
}
