use super::*;
use crate::marathon::convert::Seen;
use crate::marathon::recorded;
use crate::marathon::reference::each_on_its_own as reference;
use crate::model::policy::{AppPattern, LabelSelector, LabelTerm};
use proptest::prelude::*;
use std::collections::BTreeMap;

const TASK: &str = r#"{"id":"a.instance-1._app.2","appId":"/a","host":"h","state":"TASK_RUNNING"}"#;

/// Apps, and which of them are unseen.
type Left = (BTreeMap<AppId, App>, BTreeSet<Option<AppId>>);

fn in_pieces<'a>(queries: &[Query], pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Left, String> {
    let mut list = AppList::new(queries, 1 << 20);
    for piece in pieces {
        list.take(piece)?;
    }
    list.end().map(seen)
}

/// What is left of a list, and what of it is unseen.
fn seen(found: Found) -> Left {
    let mut seen = Seen::default();
    seen.add(found);
    (seen.apps, seen.gaps.into_iter().map(|g| g.app).collect())
}

fn with(tasks: &str) -> String {
    format!(r#"{{"id":"/a","instances":1,"deployments":[],"tasks":[{tasks}]}}"#)
}

fn cut(body: &[u8], mut at: Vec<usize>) -> impl Iterator<Item = &[u8]> {
    at.iter_mut().for_each(|a| *a %= body.len() + 1);
    at.sort_unstable();
    at.push(body.len());
    let mut from = 0;
    at.into_iter().map(move |to| {
        let piece = &body[from..to];
        from = to;
        piece
    })
}

#[test]
fn every_recorded_list_is_read_as_when_read_whole_wherever_it_is_cut() {
    let lists = recorded::lists();
    assert!(lists.len() >= 20, "{}", lists.len());
    for (name, body) in lists {
        let expected = seen(reference(body.as_bytes()).unwrap());
        for size in [1, 7, 64, 1000, usize::MAX] {
            let pieces = body.as_bytes().chunks(size.min(body.len()));
            assert_eq!(
                in_pieces(&[Query::all()], pieces).as_ref(),
                Ok(&expected),
                "{name} by {size}"
            );
        }
    }
}

#[test]
fn a_list_that_is_cut_off_shows_nothing_wherever_that_is() {
    let body = format!(
        r#" {{ "x": [1, {{}}], "apps" : [{}, {}] , "y":null}} "#,
        with(TASK),
        with("").replace("/a", "/b")
    );
    assert_eq!(in_pieces(&[Query::all()], [body.as_bytes()]).unwrap().0.len(), 2);
    let whole = body.trim_end().len();
    for end in 0..whole {
        let said = in_pieces(&[Query::all()], [&body.as_bytes()[..end]]);
        assert!(said.is_err(), "{}", &body[..end]);
        assert!(reference(&body.as_bytes()[..end]).is_err());
    }
}

/// Says that a body shows nothing, and why; the other way to read it says the same.
#[track_caller]
fn refused(body: &[u8], words: &str) {
    let said = in_pieces(&[Query::all()], [body]).map(|_| ()).unwrap_err();
    assert!(said.contains(words), "{said}");
    assert!(reference(body).is_err(), "{said}");
}

#[test]
fn a_body_that_is_not_one_list_shows_nothing() {
    let app = with(TASK);
    refused(b"", "an empty body");
    refused(b"null", "not a list of apps");
    refused(b"<html>", "an HTML page");
    refused(
        br#"{"message":"no leader"}"#,
        "\"no leader\", and it has no `apps`",
    );
    refused(br#"{"apps":null}"#, "not a list of apps");
    refused(
        format!(r#"{{"apps":[{app}]}}{{"apps":[]}}"#).as_bytes(),
        "follows its end",
    );
    refused(format!(r#"{{"apps":[{app}]}}x"#).as_bytes(), "follows its end");
    refused(
        format!(r#"{{"apps":[{app}],"apps":[]}}"#).as_bytes(),
        "names `apps` twice",
    );
    refused(
        format!(r#"{{"apps":[{app}],"\u0061pps":[]}}"#).as_bytes(),
        "names `apps` twice",
    );
    refused(format!(r#"{{"apps":[{app},]}}"#).as_bytes(), "expected value");
    refused(
        format!(r#"{{"apps":[{app}{app}]}}"#).as_bytes(),
        "not a list of apps",
    );
    refused(format!(r#"{{"apps":[{app}],}}"#).as_bytes(), "not a list of apps");
    refused(format!(r#"{{,"apps":[{app}]}}"#).as_bytes(), "not a list of apps");
    refused(
        format!(r#"{{"apps":[{}]}}"#, app.replace(":1", ":1}")).as_bytes(),
        "",
    );
    refused(
        format!(r#"{{"apps":[{}]}}"#, app.replace(":1", ":tru")).as_bytes(),
        "",
    );
    let mut bytes = format!(r#"{{"apps":[{}]}}"#, app.replace("\"h\"", "\"h?\"")).into_bytes();
    let mark = bytes.iter().position(|b| *b == b'?').unwrap();
    bytes[mark] = 0xff;
    refused(&bytes, "not UTF-8");
    bytes[mark] = b'?';
    bytes.push(0xc3);
    refused(&bytes, "not UTF-8");
}

#[test]
fn depth_takes_no_stack_and_a_bomb_where_something_is_read_is_a_gap() {
    let bomb = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let with =
        |field: &str| with(TASK).replace("\"instances\"", &format!("\"{field}\":{bomb},\"instances\""));
    for (field, unseen) in [
        ("labels", true),
        ("constraints", true),
        ("tasks", true),
        ("env", false),
    ] {
        let body = format!(r#"{{"apps":[{}],"more":{bomb}}}"#, with(field));
        let (apps, gaps) = in_pieces(&[Query::all()], body.as_bytes().chunks(1000)).unwrap();
        assert_eq!(
            (apps.len(), gaps.contains(&Some("/a".into()))),
            (usize::from(!unseen), unseen),
            "{field}"
        );
    }
    refused(&bomb.as_bytes()[..200_000], "not a list of apps");
    refused(format!("{{\"apps\":{}", &bomb[..200_000]).as_bytes(), "EOF");
}

#[test]
fn a_list_without_end_is_given_up_at_the_cap() {
    let piece = format!("{},", with(TASK));
    let mut list = AppList::new(&[], 10_000);
    list.take(br#"{"apps":["#).unwrap();
    let said = (0..1000).find_map(|_| list.take(piece.as_bytes()).err()).unwrap();
    assert!(said.contains("longer than"), "{said}");
    // One app without end takes no more than one app may.
    let queries = [Query::all()];
    let mut list = AppList::new(&queries, usize::MAX);
    list.take(br#"{"apps":[{"env":""#).unwrap();
    let piece = vec![b'x'; 4 << 20];
    let said = (0..20).find_map(|_| list.take(&piece).err()).unwrap();
    assert!(said.contains("one app in it is longer than 64 MiB"), "{said}");
}

#[test]
fn what_is_held_is_one_app_and_not_the_list() {
    let queries = [Query::app(&"/b".into())];
    let mut list = AppList::new(&queries, usize::MAX);
    list.take(br#"{"apps":["#).unwrap();
    for n in 0..2000 {
        let app = with(&TASK.replace("/a", &format!("/a{n}"))).replace("\"/a\"", &format!("\"/a{n}\""));
        list.take(format!("{app},").as_bytes()).unwrap();
        assert!(list.rest.capacity() < 2000, "{}", list.rest.capacity());
        assert_eq!(list.found, Found::default());
    }
    list.take(with("").replace("/a", "/b").as_bytes()).unwrap();
    list.take(b"]}").unwrap();
    assert_eq!(list.end().unwrap().apps.len(), 1);
}

#[test]
fn apps_that_nobody_asks_for_are_left_out_with_their_troubles() {
    let labelled = with("").replace("\"instances\"", r#""labels":{"chaos":"opt-in"},"instances""#);
    let body = format!(
        r#"{{"apps":[{},{},{},{},{}]}}"#,
        with("7"),
        with("").replace("/a", "/b"),
        labelled.replace("/a", "/c"),
        labelled.replace("/a", "/d"),
        with("7").replace("/a", "/d/e"),
    );
    let queries = [
        Query::app(&"/b".into()),
        Query {
            selector: Some(LabelSelector {
                terms: vec![LabelTerm::Exists("chaos".into())],
            }),
            ids: vec![AppPattern("/d/**".into())],
        },
    ];
    let (apps, gaps) = in_pieces(&queries, [body.as_bytes()]).unwrap();
    assert_eq!(apps.keys().map(AppId::as_str).collect::<Vec<_>>(), ["/b", "/d"]);
    assert_eq!(gaps, BTreeSet::from([Some("/d/e".into())]));
    // An app that is listed twice, wanted once and once not, contradicts itself.
    let twice = format!(
        r#"{{"apps":[{},{}]}}"#,
        with("").replace("/a", "/d"),
        labelled.replace("/a", "/d")
    );
    let (apps, gaps) = in_pieces(&queries, [twice.as_bytes()]).unwrap();
    assert_eq!((apps.len(), gaps), (0, BTreeSet::from([Some("/d".into())])));
}

/// Bodies around the border between right and wrong.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let app = prop_oneof![
        4 => "[ab]".prop_map(|name| with(TASK).replace("/a\"", &format!("/{name}\""))),
        1 => Just(with("7")),
        1 => Just("7".to_owned()),
        1 => Just(r#""{[\"\\""#.to_owned()),
        1 => Just(with(TASK).replace("\"h\"", "\"\\ud83d\\ude00 \u{1f600} \\ud83d\"")),
        1 => Just(with(TASK).replace("\"instances\"", r#""env":{"a":"}]{[\\\""},"instances""#)),
        1 => Just(r#"{"id":"/../x"}"#.to_owned()),
        1 => Just("{]".to_owned()),
    ];
    let list = proptest::collection::vec(app, 0..4).prop_map(|apps| format!("[{}]", apps.join(" , ")));
    let entry = prop_oneof![
        4 => list.prop_map(|list| format!("\"apps\" : {list}")),
        1 => Just("\"more\":-1.5e3".to_owned()),
        1 => Just("\"m\\u0061\":[true,null]".to_owned()),
    ];
    let frame = proptest::collection::vec(entry, 0..3).prop_map(|all| format!(" {{{}}} ", all.join(",")));
    (frame, proptest::option::of((any::<usize>(), any::<u8>()))).prop_map(|(frame, flaw)| {
        let mut bytes = frame.into_bytes();
        if let Some((at, byte)) = flaw {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn cutting_changes_nothing_and_both_ways_of_reading_agree(
        body in body(), cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        let queries = [Query::all()];
        let in_one = in_pieces(&queries, [body.as_slice()]).map_err(drop);
        prop_assert_eq!(&in_pieces(&queries, cut(&body, cuts)).map_err(drop), &in_one);
        prop_assert_eq!(in_one, reference(&body).map(seen).map_err(drop), "{}", String::from_utf8_lossy(&body));
    }
}
