//! Other ways to read a list of apps, for tests and the fuzzer to hold [`decode`](super::decode) against.

use super::convert::app;
use super::decode::{AppList, Found};
use crate::model::snapshot::{Gap, GapKind};
use crate::ports::cluster::Query;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// Reads a body that is there as a whole.
pub(super) fn whole(queries: &[Query], body: &[u8]) -> Result<Found, String> {
    let mut list = AppList::new(queries, usize::MAX);
    list.take(body)?;
    list.end()
}

/// Reads the frame with `serde_json` and every app on its own.
pub(super) fn each_on_its_own(body: &[u8]) -> Result<Found, String> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        apps: Vec<&'a RawValue>,
    }
    let text = std::str::from_utf8(body).map_err(|e| e.to_string())?;
    let list: List<'_> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let mut found = Found::default();
    let mut ids = BTreeSet::new();
    for raw in list.apps {
        match app(raw.get()) {
            Ok(app) if ids.insert(app.id.clone()) => found.apps.push(app),
            Ok(app) => found.gaps.push(Gap {
                why: format!("Marathon listed {} twice in one answer", app.id),
                app: Some(app.id),
                what: GapKind::Apps,
            }),
            Err(gap) => found.gaps.push(gap),
        }
    }
    Ok(found)
}
