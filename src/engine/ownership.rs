//! Whose app is it, and may it be hit at all?
//!
//! Opting in must not restart production, so consent comes from labels that are there already or from a
//! reviewed `owners.yaml`. The file wins over the label, and opting out counts from the next look.

use crate::model::policy::Owner;
use crate::model::snapshot::App;

/// What the settings and `owners.yaml` say about consent.
#[derive(Clone, Debug, PartialEq)]
pub struct Ownership {
    /// The label and the value that opt an app in.
    pub opt_in: (String, String),
    /// The label that names the owning team.
    pub team_label: String,
    /// `owners.yaml`.
    pub owners: Vec<Owner>,
    /// Why `owners.yaml` can't be used.
    pub owners_bad: Option<String>,
}

/// Whether an app may be hit under a team's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It may; with what people should know about it.
    Yes(String),
    /// It may not.
    No(String),
    /// That can't be known.
    Unknown(String),
}

impl Ownership {
    /// Whether neither `owners.yaml` nor its label says anything about this app: most of a cluster.
    pub fn nobody_opted_in(&self, app: &App) -> bool {
        let (label, value) = &self.opt_in;
        app.labels.get(label.as_str()) != Some(value)
            && self.owners_bad.is_none()
            && self.line_of(app).is_none()
    }

    /// What was looked for in vain.
    pub fn what_would_opt_in(&self) -> String {
        let (label, value) = &self.opt_in;
        format!("no line of owners.yaml names it and its label {label:?} is not {value:?}")
    }

    /// The longest line of `owners.yaml` that covers this app.
    fn line_of(&self, app: &App) -> Option<&Owner> {
        let lines = self.owners.iter().filter(|o| o.covers(&app.id));
        lines.max_by_key(|o| o.app.len())
    }

    /// Asks whether `app` is opted in and belongs to `team`.
    pub fn consent(&self, app: &App, team: &str) -> Consent {
        if let Some(why) = &self.owners_bad {
            return Consent::Unknown(format!(
                "owners.yaml can't be used, so nobody knows who opted out: {why}"
            ));
        }
        if let Some(owner) = self.line_of(app) {
            return match owner {
                o if !o.opt_in => {
                    Consent::No(format!("owners.yaml has opted {} out (line {:?})", app.id, o.app))
                }
                o if o.team != team => Consent::No(format!(
                    "{} belongs to team {:?} by owners.yaml, and the policy is team {team:?}'s",
                    app.id, o.team
                )),
                o => Consent::Yes(format!("opted in by owners.yaml (team {:?})", o.team)),
            };
        }
        let (label, value) = &self.opt_in;
        if app.labels.get(label.as_str()) != Some(value) {
            return Consent::No(format!(
                "{} is not opted in: {}",
                app.id,
                self.what_would_opt_in()
            ));
        }
        match app.labels.get(self.team_label.as_str()) {
            Some(owner) if owner != team => Consent::No(format!(
                "{} belongs to team {owner:?} by its label {:?}, and the policy is team {team:?}'s",
                app.id, self.team_label
            )),
            Some(owner) => Consent::Yes(format!("opted in by its label {label}={value} (team {owner:?})")),
            None => Consent::Yes(format!(
                "opted in by its label {label}={value}; nobody declared which team owns it"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixture::{app, ownership};

    /// Checks the consent for `/shop/cart` under team shop's policy.
    #[track_caller]
    fn check(owners: &[(&str, &str, bool)], labels: &[(&str, &str)], expected: &str) {
        let mut ownership = ownership();
        ownership.owners = owners
            .iter()
            .map(|(app, team, opt_in)| Owner {
                app: (*app).into(),
                team: (*team).into(),
                opt_in: *opt_in,
            })
            .collect();
        let mut app = app("/shop/cart", 3);
        app.labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let said = format!("{:?}", ownership.consent(&app, "shop"));
        assert!(said.starts_with(expected), "\n  {said}\nand not\n  {expected}");
    }

    #[test]
    fn without_consent_nothing_is_a_target() {
        check(&[], &[], "No(\"/shop/cart is not opted in");
        check(&[], &[("chaos", "yes")], "No(\"/shop/cart is not opted in");
        check(
            &[],
            &[("chaos", "opt-in")],
            "Yes(\"opted in by its label chaos=opt-in; nobody declared",
        );
        check(
            &[("/shop/cart", "shop", true)],
            &[],
            "Yes(\"opted in by owners.yaml",
        );
        check(&[("/shop/", "shop", true)], &[], "Yes(");
        check(&[("/shop", "shop", true)], &[], "No(");
        check(&[("/shop/car", "shop", true)], &[], "No(");
    }

    #[test]
    fn an_app_of_another_team_is_never_a_target() {
        let both = [("chaos", "opt-in"), ("team", "pay")];
        check(&[], &both, "No(\"/shop/cart belongs to team");
        check(
            &[("/shop/", "pay", true)],
            &[("chaos", "opt-in"), ("team", "shop")],
            "No(\"/shop/cart belongs to team",
        );
        check(
            &[("/shop/", "shop", true)],
            &both,
            "Yes(\"opted in by owners.yaml",
        );
    }

    #[test]
    fn opting_out_in_the_file_wins_over_the_label_and_the_longest_line_over_the_others() {
        let label = [("chaos", "opt-in"), ("team", "shop")];
        check(
            &[("/shop/", "shop", false)],
            &label,
            "No(\"owners.yaml has opted /shop/cart out",
        );
        check(
            &[("/shop/", "shop", true), ("/shop/cart", "shop", false)],
            &label,
            "No(",
        );
        check(
            &[("/shop/cart", "shop", true), ("/shop/", "shop", false)],
            &label,
            "Yes(",
        );
    }

    #[test]
    fn a_bad_file_makes_every_answer_unknown() {
        let mut ownership = ownership();
        ownership.owners_bad = Some("line 2".into());
        let said = ownership.consent(&app("/shop/cart", 3), "shop");
        assert!(matches!(said, Consent::Unknown(_)));
    }
}
