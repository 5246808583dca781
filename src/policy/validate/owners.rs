//! `owners.yaml`: who owns what, and what may be hit at all.

use crate::model::ids::AppId;
use crate::model::policy::Owner;
use crate::policy::problem::Scribe;
use crate::policy::raw;
use crate::policy::read::At;
use std::collections::BTreeMap;

/// Judges `owners.yaml`. `None` when anything at all was written down.
pub fn owners(lines: &[At<raw::OwnerLine>], scribe: &mut Scribe) -> Option<Vec<Owner>> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut owners = vec![];
    for line in lines {
        let raw::OwnerLine {
            place,
            app,
            team,
            opt_in,
        } = &line.value;
        let app = place.need(
            app,
            "app",
            "write `app: /shop/cart`, or a group path such as `app: /shop/`",
            scribe,
        );
        let team = place.need(team, "team", "write the team that owns it", scribe);
        let (Some(app), Some(team)) = (app, team) else {
            continue;
        };
        let text = &app.value.0;
        if text.contains('*') {
            scribe.error(
                app.at,
                format!("`{text}` has a star"),
                "the right to kill is given by exact id or by a group path that ends in `/`",
            );
        } else if let Err(why) = AppId::parse(text.strip_suffix('/').unwrap_or(text)) {
            let help = if text == "/" {
                "the whole cluster can't be given away at once: name a group such as `/shop/`"
            } else {
                "write an absolute id such as `/shop/cart`, or a group path such as `/shop/`"
            };
            scribe.error(app.at, why, help);
        }
        if let Some(first) = seen.insert(text.clone(), line.at.line) {
            scribe.error(
                app.at,
                format!("`{text}` is written twice; the first is in line {first}"),
                "keep one of them",
            );
        }
        owners.push(Owner {
            app: text.clone(),
            team: team.value.0.clone(),
            opt_in: opt_in.as_ref().is_some_and(|o| o.value),
        });
    }
    scribe.is_clean().then_some(owners)
}
