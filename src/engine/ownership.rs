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
    /// Asks whether `app` is opted in and belongs to `team`.
    pub fn consent(&self, app: &App, team: &str) -> Consent {
        if let Some(why) = &self.owners_bad {
            return Consent::Unknown(format!(
                "owners.yaml can't be used, so nobody knows who opted out: {why}"
            ));
        }
        let line = self
            .owners
            .iter()
            .filter(|o| o.covers(&app.id))
            .max_by_key(|o| o.app.len());
        if let Some(owner) = line {
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
        if app.labels.get(label) != Some(value) {
            return Consent::No(format!(
                "{} is not opted in: no line of owners.yaml names it and its label {label:?} is not {value:?}",
                app.id
            ));
        }
        match app.labels.get(&self.team_label) {
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
