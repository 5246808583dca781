//! `forecast`: the calendar, from files alone.

use super::serve;
use super::state::StateDir;
use crate::cli::trouble::Trouble;
use crate::cli::works::ForecastArgs;
use crate::engine::schedule::forecast;
use crate::exit::Exit;
use crate::model::forecast::Forecast;
use crate::model::ids::PolicyName;
use crate::model::policy::{Limits, Policy, PolicyState};
use crate::policy::{self, Folder};
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Foresees what the named policies, or all of the settings' folder, hold.
///
/// # Errors
///
/// Files that can't be read or used, with every problem. A calendar that leaves out a bad policy would be taken for
/// a promise, so one bad policy is enough.
pub async fn forecast(args: ForecastArgs) -> Result<Forecast, Trouble> {
    let ForecastArgs {
        settings,
        policies,
        from,
        to,
    } = args;
    let settings = settings.as_deref().map(settings_of).transpose()?;
    let policies = policies_of(settings.as_ref(), &policies)?;
    let (seed, limits, mut remarks) = match &settings {
        Some(settings) => {
            let (seed, why) = match seed_of(settings) {
                Ok(seed) => (Some(seed), None),
                Err(why) => (None, Some(why)),
            };
            (seed, settings.limits.clone(), Vec::from_iter(why))
        }
        None => {
            let remark =
                "No settings were read: holidays, freezes and limits of the settings file are not in it.";
            (None, no_limits(), vec![remark.to_owned()])
        }
    };
    let mut ahead = forecast::forecast(
        seed.as_deref(),
        policies.iter().map(Arc::as_ref),
        &limits,
        from,
        to,
    )
    .map_err(|why| Trouble::new(Exit::Usage, why))?;
    remarks.append(&mut ahead.remarks);
    ahead.remarks = remarks;
    Ok(ahead)
}

/// The settings without their secrets: none is needed, and whoever looks ahead need not be allowed to read them.
pub(super) fn settings_of(path: &Path) -> Result<Settings, Trouble> {
    let bytes = std::fs::read(path).map_err(|error| {
        Trouble::new(
            Exit::BadInput,
            format!(
                "{} can't be read: {error}; name the settings with --settings, or policy files with --policy",
                path.display()
            ),
        )
    })?;
    Settings::parse(path, &bytes).map_err(|problems| Trouble::new(Exit::BadInput, problems.to_string()))
}

/// The seed that an operator with these settings draws from.
fn seed_of(settings: &Settings) -> Result<String, String> {
    match &settings.seed {
        Some(place) => serve::secret(place),
        None => StateDir(settings.state_dir.clone()).seed_that_is_there(),
    }
}

/// What was named: files, folders, and names of policies of the settings' folder; all of that folder when nothing was.
pub(super) fn policies_of(
    settings: Option<&Settings>,
    wanted: &[String],
) -> Result<Vec<Arc<Policy>>, Trouble> {
    let bad = |why: String| Trouble::new(Exit::BadInput, why);
    let set = settings.map(|s| serve::fit_for(Folder::new(&s.policy_dir).read().set, s));
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        take(&mut found, set.unwrap_or_default().policies)?;
        return Ok(found.into_values().collect());
    }
    for name in wanted {
        let path = Path::new(name);
        if path.is_dir() {
            take(&mut found, Folder::new(path).read().set.policies)?;
        } else if path.is_file() {
            let bytes = std::fs::read(path).map_err(|error| bad(format!("{name} can't be read: {error}")))?;
            let policy = policy::load::parse_policy(path, &bytes)
                .map_err(|(_, problems)| bad(problems.to_string()))?;
            found.insert(policy.name.clone(), Arc::new(policy));
        } else {
            let known = set
                .as_ref()
                .and_then(|set| set.policies.get_key_value(&name.as_str().into()));
            let Some((name, state)) = known else {
                return Err(bad(format!(
                    "{name} is neither a file or folder here nor a policy of the settings' folder; nothing was done"
                )));
            };
            take(&mut found, [(name.clone(), state.clone())].into())?;
        }
    }
    Ok(found.into_values().collect())
}

type Found = BTreeMap<PolicyName, Arc<Policy>>;

fn take(found: &mut Found, policies: BTreeMap<PolicyName, PolicyState>) -> Result<(), Trouble> {
    for (name, state) in policies {
        match state {
            PolicyState::Active(policy) => _ = found.insert(name, policy),
            PolicyState::Suspended { why } => {
                return Err(Trouble::new(
                    Exit::BadInput,
                    format!("policy {name} is suspended: {why}"),
                ));
            }
        }
    }
    Ok(())
}

/// Limits where no settings were read.
fn no_limits() -> Limits {
    Limits {
        tasks_down: u32::MAX,
        kills_per_hour: u32::MAX,
        kills_per_workday: u32::MAX,
        forbidden_apps: vec![],
        freezes: vec![],
        timezone: chrono_tz::UTC,
        holidays: Default::default(),
        covered: Default::default(),
    }
}
