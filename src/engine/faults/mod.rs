//! One file per fault: what a policy declares and what was drawn, to steps.

mod kill_task;

use crate::model::plan::Step;
use crate::model::policy::FaultSpec;
use crate::model::snapshot::{App, Task};
use std::time::Duration;

/// The steps of a fault on the drawn tasks, and the least time between them.
///
/// # Errors
///
/// Why these tasks are not enough.
pub fn steps(
    fault: &FaultSpec,
    app: &App,
    drawn: &[&Task],
    number: impl FnOnce(u32) -> u32,
) -> Result<(Vec<Step>, Duration), String> {
    match fault {
        FaultSpec::KillTasks { count, at_once, gap } => {
            Ok((kill_task::steps(*count, *at_once, app, drawn, number)?, *gap))
        }
    }
}
