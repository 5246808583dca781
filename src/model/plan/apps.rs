//! The apps that one plan hits: at least one, each as it was when planned.

use crate::model::ids::AppId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An app as it was when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedApp {
    /// Its id.
    pub app: AppId,
    /// Version of its definition.
    #[serde(rename = "app_version")]
    pub version: String,
    /// Its size.
    pub instances: u32,
    /// How many served.
    pub healthy: u32,
}

/// The apps of a plan; never none, and no app twice.
///
/// # Guarantees
///
/// A plan with one app is written as it was before plans could have several: its fields stand in the plan
/// itself and `other_apps` is absent. So the digests of older journals still verify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedApps {
    /// The first, in the order of the plan.
    #[serde(flatten)]
    pub first: PlannedApp,
    /// The others.
    #[serde(rename = "other_apps", default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<PlannedApp>,
}

impl From<PlannedApp> for PlannedApps {
    fn from(first: PlannedApp) -> Self {
        Self {
            first,
            others: vec![],
        }
    }
}

impl PlannedApps {
    /// All of them; `None` for an empty list, which is no plan.
    pub fn of(apps: impl IntoIterator<Item = PlannedApp>) -> Option<Self> {
        let mut apps = apps.into_iter();
        let first = apps.next()?;
        Some(Self {
            first,
            others: apps.collect(),
        })
    }

    /// Each of them, in the order of the plan.
    pub fn iter(&self) -> impl Iterator<Item = &PlannedApp> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Their ids, in the order of the plan.
    pub fn ids(&self) -> impl Iterator<Item = &AppId> + Clone {
        self.iter().map(|planned| &planned.app)
    }

    /// This app, if the plan hits it.
    pub fn get(&self, app: &AppId) -> Option<&PlannedApp> {
        self.iter().find(|planned| planned.app == *app)
    }

    /// Whether the plan hits this app.
    pub fn contains(&self, app: &AppId) -> bool {
        self.get(app).is_some()
    }

    /// Whether two plans have an app in common.
    pub fn touch(&self, other: &Self) -> bool {
        self.ids().any(|app| other.contains(app))
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.others.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1)
    }

    /// Whether there is more than one.
    pub fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// Their instances together.
    pub fn instances(&self) -> u32 {
        self.iter().fold(0, |sum, a| sum.saturating_add(a.instances))
    }

    /// Those that served when planned, together.
    pub fn healthy(&self) -> u32 {
        self.iter().fold(0, |sum, a| sum.saturating_add(a.healthy))
    }
}

impl fmt::Display for PlannedApps {
    /// `/shop/cart`, `/shop/cart and /shop/pay`, `/shop/cart, /shop/pay and 3 more apps`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.others.as_slice() {
            [] => write!(f, "{}", self.first.app),
            [second] => write!(f, "{} and {}", self.first.app, second.app),
            [second, third] => write!(f, "{}, {} and {}", self.first.app, second.app, third.app),
            [second, more @ ..] => write!(
                f,
                "{}, {} and {} more apps",
                self.first.app,
                second.app,
                more.len()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::Plan;

    /// A plan as it stands in journals that were written before plans could have several apps, and the
    /// digest that stands beside it there (computed from this text by another program).
    const OLD: &str = r#"{"run": "r-7Q2MK4XN", "policy": "cart", "policy_digest": "4f8b", "team": "shop", "cluster": "prod", "framework_id": "f-1", "mode": "enforce", "app": "/shop/cart", "app_version": "2026-11-20T09:14:02.311Z", "instances": 12, "healthy": 11, "requested_by": null, 
        "steps": [{"number": 1, "targets": [{"app": "/shop/cart", "task": "shop_cart.instance-1._app.3", "instance": "shop_cart.instance-1", "host": "a1"}]}], 
        "gap": {"secs": 30, "nanos": 0}, "blast_radius": {"max_tasks": 1, "max_percent": 20, "min_healthy": 2, "max_apps": 1}, "rate_limit": {"kills": 4, "per": {"secs": 3600, "nanos": 0}, "burst": 1}, "allow_no_health_check": false, 
        "hypothesis": {"interval": {"secs": 1, "nanos": 0}, "timeout": {"secs": 0, "nanos": 500000000}, "alpha": 10000, "baseline": {"at_least": {"secs": 60, "nanos": 0}, "at_most": {"secs": 300, "nanos": 0}}, "recovery": {"within": {"secs": 300, "nanos": 0}, "hold": {"secs": 60, "nanos": 0}}, "blind": {"hold_fire_after": 2, "abort_after": 5}, "budget": null, "probes": []}, "approval": {"mode": "automatic", "users": [], "groups": [], "quorum": 0, "expires": {"secs": 1800, "nanos": 0}}, "channel": null, "made_at": "2026-11-23T09:31:04Z", "remarks": []}"#;
    const ITS_DIGEST: &str = "5cb81602beec96d68888db2133df90d88f1679426c2148fbd96d6423286c8752";

    fn planned(app: &str, instances: u32, healthy: u32) -> PlannedApp {
        PlannedApp {
            app: app.into(),
            version: "v1".into(),
            instances,
            healthy,
        }
    }

    #[test]
    fn a_plan_of_an_older_journal_is_read_and_keeps_its_digest() {
        let plan: Plan = serde_json::from_str(OLD).unwrap();
        assert_eq!(plan.apps.to_string(), "/shop/cart");
        assert_eq!((plan.apps.instances(), plan.apps.healthy()), (12, 11));
        assert_eq!(plan.digest().as_str(), ITS_DIGEST);
        let again: serde_json::Value = serde_json::to_value(&plan).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(OLD).unwrap());
    }

    #[test]
    fn every_further_app_is_written_and_changes_the_digest() {
        let mut plan: Plan = serde_json::from_str(OLD).unwrap();
        plan.apps.others.push(planned("/shop/pay", 4, 4));
        let one = plan.digest();
        assert_ne!(one.as_str(), ITS_DIGEST);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        plan.apps.others[0].healthy = 3;
        assert_ne!(plan.digest(), one);
    }

    #[test]
    fn apps_are_counted_together_and_named_shortly() {
        #[track_caller]
        fn check(apps: &[&str], expected: &str) {
            let apps = PlannedApps::of(apps.iter().map(|app| planned(app, 4, 3))).unwrap();
            assert_eq!(apps.to_string(), expected);
            assert_eq!(apps.instances(), 4 * apps.count());
            assert_eq!(apps.healthy(), 3 * apps.count());
        }
        check(&["/a"], "/a");
        check(&["/a", "/b"], "/a and /b");
        check(&["/a", "/b", "/c"], "/a, /b and /c");
        check(&["/a", "/b", "/c", "/d"], "/a, /b and 2 more apps");
        assert_eq!(PlannedApps::of([]), None);
    }
}
