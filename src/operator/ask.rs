//! What a look has to ask for, so that nothing a policy may hit is missed and little else is sent.

use crate::engine::ownership::Ownership;
use crate::model::ids::AppId;
use crate::model::policy::{AppPattern, LabelSelector, LabelTerm, Owner, Policy};
use crate::ports::cluster::Query;
use std::collections::BTreeSet;

/// Queries for everything that the policies may hit, and for the apps that are under way.
///
/// With `consent`, apps that nobody opted in are left out: by the label, and by the lines of `owners.yaml`
/// that stand in for it. Without it, every app that a policy names is asked for; so people can be told why
/// one is not a target. A bad `owners.yaml` leaves nothing out.
pub(super) fn queries(policies: &[&Policy], open: &[AppId], consent: Option<&Ownership>) -> Vec<Query> {
    let consent = consent.filter(|ownership| ownership.owners_bad.is_none());
    let mut all: Vec<Query> = vec![];
    for policy in policies {
        let scope = &policy.scope;
        let any = scope.ids.is_empty().then_some(vec![]);
        let ids = any
            .into_iter()
            .chain(scope.ids.iter().map(|pattern| vec![pattern.clone()]));
        for ids in ids {
            let named = Query {
                selector: scope.selector.clone(),
                ids,
            };
            match consent {
                None => all.push(named),
                Some(ownership) => all.extend(opted_in(&named, &policy.team, ownership)),
            }
        }
    }
    all.extend(open.iter().map(Query::app));
    all
}

/// What of a query has consent, as far as a query can say it.
fn opted_in(named: &Query, team: &str, ownership: &Ownership) -> Vec<Query> {
    let (label, value) = ownership.opt_in.clone();
    let mut terms = named.selector.clone().map_or(vec![], |s| s.terms);
    terms.push(LabelTerm::In(label, BTreeSet::from([value])));
    let by_label = Query {
        selector: Some(LabelSelector { terms }),
        ids: named.ids.clone(),
    };
    let lines = ownership.owners.iter().filter(|o| o.opt_in && o.team == team);
    let by_line = lines.map(pattern).filter(|line| {
        let line = line.literal_prefix();
        named.ids.iter().all(|id| {
            let id = id.literal_prefix();
            id.starts_with(line) || line.starts_with(id)
        })
    });
    let by_line = by_line.map(|line| Query {
        selector: named.selector.clone(),
        ids: named.ids.iter().cloned().chain([line]).collect(),
    });
    [by_label].into_iter().chain(by_line).collect()
}

/// The apps that a line of `owners.yaml` speaks of.
fn pattern(owner: &Owner) -> AppPattern {
    AppPattern(if owner.app.ends_with('/') {
        format!("{}**", owner.app)
    } else {
        owner.app.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixture::{app, limits, ownership, policy};
    use crate::engine::targets::{Fit, fits};
    use proptest::prelude::*;

    fn said(queries: &[Query]) -> Vec<String> {
        let line = |q: &Query| {
            let ids: Vec<_> = q.ids.iter().map(ToString::to_string).collect();
            let selector = q.selector.as_ref().map(ToString::to_string);
            format!("{}|{}", selector.unwrap_or_default(), ids.join("&"))
        };
        queries.iter().map(line).collect()
    }

    fn owner(app: &str, team: &str, opt_in: bool) -> Owner {
        Owner {
            app: app.into(),
            team: team.into(),
            opt_in,
        }
    }

    #[test]
    fn only_apps_that_somebody_opted_in_are_asked_for() {
        let policy = policy();
        let mut ownership = ownership();
        ownership.owners = vec![
            owner("/shop/old/", "shop", true),
            owner("/shop/not", "shop", false),
            owner("/shop/theirs", "pay", true),
            owner("/pay/", "shop", true),
        ];
        let open = [AppId::from("/open/run")];
        assert_eq!(
            said(&queries(&[&policy], &open, Some(&ownership))),
            ["chaos==opt-in|/shop/**", "|/shop/**&/shop/old/**", "|/open/run"]
        );
        assert_eq!(
            said(&queries(&[&policy], &open, None)),
            ["|/shop/**", "|/open/run"]
        );
        ownership.owners_bad = Some("line 2".into());
        assert_eq!(said(&queries(&[&policy], &[], Some(&ownership))), ["|/shop/**"]);
    }

    #[test]
    fn selectors_of_several_policies_are_kept_beside_each_other() {
        let (mut web, mut all) = (policy(), policy());
        web.scope.selector = Some(LabelSelector {
            terms: vec![LabelTerm::Exists("web".into())],
        });
        web.scope.ids = vec![AppPattern("/a/*".into()), AppPattern("/b/*".into())];
        all.scope.ids = vec![];
        assert_eq!(
            said(&queries(&[&web, &all], &[], Some(&ownership()))),
            [
                "web,chaos==opt-in|/a/*",
                "web,chaos==opt-in|/b/*",
                "chaos==opt-in|"
            ]
        );
    }

    fn id() -> impl Strategy<Value = String> {
        proptest::collection::vec("[ab]{1,2}", 1..4).prop_map(|s| format!("/{}", s.join("/")))
    }

    proptest! {
        /// The law behind leaving anything out.
        #[test]
        fn whatever_may_be_hit_is_asked_for(
            id in id(),
            names in proptest::collection::vec(
                proptest::collection::vec("[ab*]|[ab]{2}|\\*\\*", 1..4).prop_map(|s| format!("/{}", s.join("/"))),
                0..3,
            ),
            lines in proptest::collection::vec((id(), any::<bool>(), "shop|pay", any::<bool>()), 0..4),
            opted in any::<bool>(),
        ) {
            let mut policy = policy();
            policy.scope.ids = names.into_iter().map(AppPattern).collect();
            let mut ownership = ownership();
            ownership.owners = lines
                .iter()
                .map(|(id, group, team, opt_in)| owner(&if *group { format!("{id}/") } else { id.clone() }, team, *opt_in))
                .collect();
            let mut app = app(&id, 3);
            if !opted {
                app.labels.clear();
            }
            if matches!(fits(&policy, &app, &limits(), &ownership), Fit::Yes(_)) {
                let asked = queries(&[&policy], &[], Some(&ownership));
                prop_assert!(asked.iter().any(|q| q.matches(&app.id, &app.labels)), "{:?}", said(&asked));
            }
        }
    }
}
