//! `spec.target`: which apps and tasks, and the selector grammar.

use crate::model::ids::AppId;
use crate::model::policy::{AppPattern, Fairness, LabelSelector, LabelTerm, Scope};
use crate::policy::problem::Scribe;
use crate::policy::raw;
use crate::policy::read::{At, Text};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) fn scope_of(raw: &raw::Target, scribe: &mut Scribe) -> Option<Scope> {
    let raw::Target {
        place,
        apps,
        tasks,
        one_per,
    } = raw;
    let apps = place.need(
        apps,
        "apps",
        "say which apps: `apps: { ids: [\"/shop/cart\"] }`",
        scribe,
    )?;
    let raw::Apps {
        place: apps_place,
        labels,
        ids,
        except,
    } = &apps.value;
    if labels.is_none() && ids.is_none() && !apps_place.is_bad("labels") && !apps_place.is_bad("ids") {
        scribe.error(
            apps.at,
            "`apps` names nothing",
            "say which: `ids: [\"/shop/**\"]`, or `labels: \"tier=web\"`, or both",
        );
    }
    let selector = labels.as_ref().and_then(|text| match selector(&text.value.0) {
        Ok(selector) => Some(selector),
        Err(why) => {
            scribe.error(text.at, format!("`labels` can't be read: {why}"), "write for example `\"chaos=opt-in, tier in (web, api), !legacy\"` without the `!`: a=b, a==b, a!=b, a in (b, c), a notin (b), a");
            None
        }
    });
    let mut patterns = |list: &Option<At<Vec<At<Text>>>>, key: &str| -> Vec<AppPattern> {
        let Some(list) = list else { return vec![] };
        if list.value.is_empty() {
            scribe.error(
                list.at,
                format!("`{key}` is an empty list"),
                "name an app, or remove the line",
            );
        }
        for id in &list.value {
            if let Err(why) = AppId::parse(&id.value.0.replace('*', "a")) {
                let why = why.replace(
                    &format!("{:?}", id.value.0.replace('*', "a")),
                    &format!("{:?}", id.value.0),
                );
                scribe.error(id.at, why, "write an absolute id as Marathon shows it, such as `/shop/cart`, `/shop/*` or `/shop/**`");
            } else if id.value.0.split('/').any(|s| s.contains("**") && s != "**") {
                scribe.error(
                    id.at,
                    "`**` shares a segment with other text",
                    "write `**` between two slashes, and `*` for a part of a segment",
                );
            } else if id.value.0.matches('*').count() > 8 {
                scribe.error(
                    id.at,
                    "there are more than eight stars",
                    "name the apps with fewer stars",
                );
            }
        }
        list.value
            .iter()
            .map(|id| AppPattern(id.value.0.clone()))
            .collect()
    };
    let (ids, except) = (patterns(ids, "ids"), patterns(except, "except"));
    let raw::Tasks {
        place: _,
        min_age,
        healthy_only,
        allow_no_health_check,
    } = &*raw::or_default(tasks);
    Some(Scope {
        selector,
        ids,
        except,
        min_age: min_age.as_ref().map_or(Duration::from_secs(600), |l| l.value.0),
        healthy_only: healthy_only.as_ref().is_none_or(|b| b.value),
        allow_no_health_check: allow_no_health_check.as_ref().is_some_and(|b| b.value),
        one_per: match one_per.as_ref().map(|o| &o.value) {
            None | Some(raw::OnePer::App) => Fairness::App,
            Some(raw::OnePer::Group) => Fairness::Group,
            Some(raw::OnePer::Label(key)) => Fairness::Label(key.clone()),
        },
    })
}

/// Reads Marathon's selector grammar, as far as it has a meaning here.
pub(crate) fn selector(text: &str) -> Result<LabelSelector, String> {
    let mut terms = vec![];
    let mut rest = text.trim();
    fn name(text: &str) -> (&str, &str) {
        let end = text
            .find(|c: char| !(c.is_ascii_alphanumeric() || "._-/".contains(c)))
            .unwrap_or(text.len());
        (&text[..end], text[end..].trim_start())
    }
    loop {
        let (key, after) = name(rest);
        if key.is_empty() {
            return Err(match rest.chars().next() {
                None => "it ends where a label is wanted".to_owned(),
                Some('!') => "`!label` is not part of it; put such apps under `except`".to_owned(),
                Some(c) => format!("`{c}` stands where a label is wanted"),
            });
        }
        let (word, after_word) = name(after);
        let term;
        if let Some((not, list)) = match word {
            "in" => Some((false, after_word)),
            "notin" => Some((true, after_word)),
            _ => None,
        } {
            let inside = list
                .strip_prefix('(')
                .ok_or(format!("after `{key} {word}` a list in brackets is wanted"))?;
            let (inside, after) = inside.split_once(')').ok_or("a bracket is not closed")?;
            let values: BTreeSet<String> = inside.split(',').map(|v| v.trim().to_owned()).collect();
            if values.iter().any(|v| v.is_empty() || name(v).0.len() != v.len()) {
                return Err(format!(
                    "the list after `{key} {word}` has an empty or strange value"
                ));
            }
            term = if not {
                LabelTerm::NotIn(key.to_owned(), values)
            } else {
                LabelTerm::In(key.to_owned(), values)
            };
            rest = after.trim_start();
        } else if let Some((not, value)) = ["!=", "==", "="]
            .iter()
            .find_map(|op| after.strip_prefix(op).map(|v| (*op == "!=", v)))
        {
            let (value, after) = name(value.trim_start());
            if value.is_empty() {
                return Err(format!("`{key}` is compared with nothing"));
            }
            let values = BTreeSet::from([value.to_owned()]);
            term = if not {
                LabelTerm::NotIn(key.to_owned(), values)
            } else {
                LabelTerm::In(key.to_owned(), values)
            };
            rest = after;
        } else {
            term = LabelTerm::Exists(key.to_owned());
            rest = after;
        }
        terms.push(term);
        rest = match rest.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if rest.is_empty() => return Ok(LabelSelector { terms }),
            None => {
                return Err(format!(
                    "after `{key}` a comma is wanted, here is `{}`",
                    rest.chars().take(10).collect::<String>()
                ));
            }
        };
    }
}
