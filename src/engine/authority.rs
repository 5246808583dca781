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
        | Command::Timeline { .. }
        | Command::History { .. }
        | Command::Forecast { .. } => Role::Viewer,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixture::{World, person};
    use Role::{Admin, Approver, Operator, Stop, Viewer};

    #[test]
    fn each_command_takes_its_role_and_no_less() {
        let reason = || "why".to_owned();
        let run = || "r-CART0001".into();
        let policy = || "cart".into();
        let since = crate::engine::fixture::at(0);
        let table = [
            (Command::Help, Viewer),
            (Command::Status, Viewer),
            (Command::Policies, Viewer),
            (Command::Runs { most: 1 }, Viewer),
            (Command::DescribeRun { run: run() }, Viewer),
            (Command::Report { run: run() }, Viewer),
            (Command::Plan { policy: policy() }, Viewer),
            (Command::Why { subject: reason() }, Viewer),
            (Command::WasItYou { subject: None }, Viewer),
            (Command::Timeline { since, app: None }, Viewer),
            (
                Command::History {
                    app: "/shop/cart".into(),
                },
                Viewer,
            ),
            (Command::Halt { reason: reason() }, Stop),
            (
                Command::Abort {
                    run: None,
                    reason: reason(),
                },
                Stop,
            ),
            (Command::Run { policy: policy() }, Operator),
            (
                Command::Approve {
                    run: run(),
                    digest: "d".into(),
                },
                Approver,
            ),
            (
                Command::Deny {
                    run: run(),
                    reason: reason(),
                },
                Approver,
            ),
            (Command::Resume { reason: reason() }, Admin),
            (
                Command::Clear {
                    intent: reason(),
                    reason: reason(),
                },
                Admin,
            ),
        ];
        for (command, needed) in table {
            for role in [Viewer, Stop, Operator, Approver, Admin] {
                let said = may_ask(&person("eve", role), &command);
                assert_eq!(said.is_ok(), role >= needed, "{role} asks {}", command.word());
                if let Err(why) = said {
                    assert!(why.contains(&format!("needs the role {needed}")), "{why}");
                    assert!(why.ends_with("nothing was changed"), "{why}");
                }
            }
            assert_eq!(command.is_question(), needed == Viewer, "{}", command.word());
        }
    }

    #[test]
    fn only_named_people_and_group_members_decide_and_never_the_requester() {
        #[track_caller]
        fn check(id: &str, members: Result<&[&str], &str>, expected: Result<(), &str>) {
            let world = World::good();
            let run = world.ledger().runs[&world.plan.run].clone();
            let members = members
                .map(|ids| ids.iter().map(|id| PersonId::from(*id)).collect())
                .map_err(str::to_owned);
            match (may_decide(&person(id, Approver), &run, &members), expected) {
                (Ok(()), Ok(())) => {}
                (Err(why), Err(words)) => assert!(why.contains(words), "{why}"),
                (said, _) => panic!("{id}: {said:?}"),
            }
        }
        check("ana", Ok(&[]), Ok(()));
        check("ana", Err("Slack is down"), Ok(()));
        check("gil", Ok(&["gil"]), Ok(()));
        check("gil", Ok(&[]), Err("@gil is not an approver of policy cart"));
        check("gil", Err("Slack is down"), Err("can't be read"));
        check("bob", Ok(&["bob"]), Err("@bob asked for run r-CART0001"));
    }
}
