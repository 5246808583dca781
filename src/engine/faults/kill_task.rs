//! Ends tasks of one app, a few at a time. Nothing has to be undone: Marathon starts replacements.

use crate::model::plan::{Step, Target};
use crate::model::policy::Count;
use crate::model::snapshot::{App, Task};

/// One step for every `at_once` tasks.
///
/// # Errors
///
/// Why these tasks are not enough, or why the count comes to nothing.
pub fn steps(
    count: Count,
    at_once: u32,
    app: &App,
    drawn: &[&Task],
    number: impl FnOnce(u32) -> u32,
) -> Result<Vec<Step>, String> {
    let wanted = match count {
        Count::Exactly(n) => n,
        Count::Percent(percent) => {
            u32::try_from(u64::from(app.instances) * u64::from(percent) / 100).unwrap_or(u32::MAX)
        }
        Count::RandomUpTo(most) if most > 0 => number(most),
        Count::RandomUpTo(_) => 0,
    };
    if wanted == 0 {
        return Err(format!(
            "{count} of {} instances of {} comes to 0 kills",
            app.instances, app.id
        ));
    }
    let have = drawn.len();
    if have < usize::try_from(wanted).unwrap_or(usize::MAX) {
        return Err(format!(
            "{wanted} tasks of {} are wanted and {have} may be hit",
            app.id
        ));
    }
    let at_once = usize::try_from(at_once.max(1)).unwrap_or(1);
    let tasks = &drawn[..usize::try_from(wanted).unwrap_or(have)];
    Ok((1..)
        .zip(tasks.chunks(at_once))
        .map(|(number, tasks)| Step {
            number,
            targets: tasks.iter().map(|task| Target::of(app, task)).collect(),
            slot: None,
        })
        .collect())
}
