//! Who may ask for what.

use crate::model::command::{Command, Person, Role};
use crate::model::ids::PersonId;
use crate::model::run::Run;
use std::collections::BTreeSet;

/// Whether this person's role lets them ask for this at all.
///
/// # Errors
///
/// A sentence that says which role is needed; nothing was changed.
pub fn may_ask(person: &Person, command: &Command) -> Result<(), String> {
    let needed = match command {
        Command::Help
        | Command::Status
        | Command::Policies
        | Command::Runs { .. }
        | Command::DescribeRun { .. }
        | Command::Report { .. }
        | Command::Plan { .. }
        | Command::Why { .. }
        | Command::WasItYou { .. }
        | Command::Timeline { .. } => Role::Viewer,
        // Stopping is the safe direction: it takes the least of all roles that act.
        Command::Halt { .. } | Command::Abort { .. } => Role::Stop,
        Command::Run { .. } => Role::Operator,
        Command::Approve { .. } | Command::Deny { .. } => Role::Approver,
        Command::Resume { .. } | Command::Clear { .. } => Role::Admin,
    };
    if person.role >= needed {
        Ok(())
    } else {
        Err(format!(
            "`{}` needs the role {needed}, {person} has {}; nothing was changed",
            command.word(),
            person.role
        ))
    }
}

/// Whether this person may decide on this run's plan.
///
/// # Errors
///
/// A sentence that says why not; nothing was changed.
pub fn may_decide(
    person: &Person,
    run: &Run,
    members: &Result<BTreeSet<PersonId>, String>,
) -> Result<(), String> {
    let rule = &run.plan.approval;
    if run.plan.requested_by.as_ref().is_some_and(|r| r.id == person.id) {
        return Err(format!(
            "{person} asked for run {} and so can't decide on it; nothing was changed",
            run.id
        ));
    }
    if rule.users.contains(&person.id) {
        return Ok(());
    }
    match members {
        Ok(members) if members.contains(&person.id) => Ok(()),
        Err(why) if !rule.groups.is_empty() => Err(format!(
            "the approver groups can't be read, so nobody in them counts now: {why}; nothing was changed"
        )),
        _ => Err(format!(
            "{person} is not an approver of policy {}; its approvers are {}; nothing was changed",
            run.plan.policy,
            rule.users
                .iter()
                .map(|u| u.as_str().to_owned())
                .chain(rule.groups.iter().map(|g| format!("group {g}")))
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
}
