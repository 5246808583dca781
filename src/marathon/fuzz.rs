//! The ways in that the fuzzer tries; see `tests/fuzz/`. Each panics when a promise is broken.

use super::changes;
use super::client::refused;
use super::convert::Seen;
use super::decode::{AppList, Found};
use super::events::Reader;
use super::reference;
use super::wire;
use crate::ports::cluster::{KillAnswer, Query};

/// Cuts `data` into pieces by its first bytes.
fn pieces(data: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let (sizes, body) = data.split_at(data.len().min(4));
    let mut rest = body;
    let mut pieces = vec![];
    for size in sizes.iter().cycle().take(64) {
        let (piece, after) = rest.split_at(rest.len().min(usize::from(*size)));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    (body, pieces)
}

fn seen(found: Result<Found, String>) -> Option<Seen> {
    let mut seen = Seen::default();
    seen.add(found.ok()?);
    Some(seen)
}

/// The list of apps: however it is cut, it shows what it shows when it is read whole, and in another way.
pub fn apps(data: &[u8]) {
    let (body, pieces) = pieces(data);
    let queries = [Query::all()];
    let mut list = AppList::new(&queries, usize::MAX);
    let taken = pieces.iter().try_for_each(|piece| list.take(piece));
    let cut = seen(taken.and_then(|()| list.end()));
    let whole = seen(reference::whole(&queries, body));
    let other = seen(reference::each_on_its_own(body));
    let shown = |seen: &Option<Seen>| {
        let gaps = |s: &Seen| s.gaps.iter().map(|g| g.app.clone()).collect::<Vec<_>>();
        seen.as_ref().map(|s| (s.apps.clone(), gaps(s)))
    };
    assert_eq!(shown(&cut), shown(&whole), "cutting changes nothing");
    let apps = |seen: Option<Seen>| seen.map(|s| s.apps);
    assert_eq!(apps(whole), apps(other), "both ways of reading agree");
}

/// The event stream: however it is cut, the same events end in it.
pub fn events(data: &[u8]) {
    let (body, pieces) = pieces(data);
    let mut reader = Reader::default();
    let cut: usize = pieces.iter().map(|piece| reader.take(piece)).sum();
    let whole = Reader::default().take(body);
    assert_eq!(cut, whole, "cutting changes nothing");
    assert!(
        whole <= body.len() / 5,
        "an event is `data` and an empty line at least"
    );
}

/// Error bodies and the other small answers: sentences stay sentences, and only a 200 is a kill accepted.
pub fn answers(data: &[u8]) {
    let (status, body) = data.split_at(data.len().min(2));
    let status = status
        .iter()
        .fold(0, |sum, byte| (sum * 256 + u16::from(*byte)) % 600);
    for said in [wire::said(body), refused(status, body)] {
        assert!(
            said.chars().count() <= 400 && !said.contains(char::is_control),
            "{said:?}"
        );
    }
    let order = crate::ports::cluster::KillOrder {
        intent: "r/1".into(),
        tasks: vec![],
        pod: None,
        timeout: std::time::Duration::ZERO,
    };
    match changes::judge(status, body, &order) {
        KillAnswer::Accepted { .. } => assert_eq!(status, 200),
        KillAnswer::Refused { .. } => assert!(status >= 400, "{status}"),
        KillAnswer::Unanswered { .. } => {}
        other => panic!("an answer that came can't be {other:?}"),
    }
    let mut seen = Seen::default();
    seen.take_deployments(body);
    seen.take_queue(body);
    let _one = serde_json::from_slice::<wire::OneApp<'_>>(body).map(|one| super::convert::app(one.app.get()));
    let _info = serde_json::from_slice::<wire::Info>(body);
}
