use super::*;
use crate::marathon::pretend::{Do, answer_with, client, options, serve};
use crate::marathon::recorded;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

fn count(stream: &str) -> usize {
    Reader::default().take(stream.as_bytes())
}

#[test]
fn recorded_streams_are_read_event_by_event() {
    let streams = recorded::streams();
    assert!(streams.len() >= 4, "{}", streams.len());
    for (name, body) in streams {
        let whole = body
            .rfind("\r\n\r\n")
            .map_or(0, |end| body[..end + 4].matches("\r\ndata:").count());
        assert_eq!(count(&body), whole, "{name}");
    }
}

#[test]
fn heartbeats_comments_and_other_fields_are_no_events() {
    assert_eq!(
        count("\r\n\r\n\r\n: data: x\r\n\r\nevent: data\r\n\r\nxdata: 1\n\n"),
        0
    );
    assert_eq!(count("data: 1\n\ndata:2\r\rdata\r\n\r\ndata: a\ndata: b\n\n"), 4);
    assert_eq!(count("dadata: 1\n\n"), 0);
    assert_eq!(count("data: never ended\r\n"), 0);
}

proptest! {
    #[test]
    fn chunk_borders_make_no_difference(cuts in proptest::collection::vec(0_usize..4000, 0..40)) {
        for (name, body) in recorded::streams() {
            let mut reader = Reader::default();
            let mut ends: Vec<usize> = cuts.iter().map(|c| c % (body.len() + 1)).chain([body.len()]).collect();
            ends.sort_unstable();
            let mut from = 0;
            let mut events = 0;
            for end in ends {
                events += reader.take(&body.as_bytes()[from..end]);
                from = end;
            }
            prop_assert_eq!(events, count(&body), "{}", name);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        Reader::default().take(&bytes);
    }
}

#[tokio::test]
async fn every_connection_and_every_event_wakes_and_a_lost_stream_is_opened_again() {
    let body = "event: x\r\ndata: {}\r\n\r\n";
    let server = serve(move |_| {
        Do::Say(
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8\r\n\r\n{body}").into(),
        )
    })
    .await;
    let wakes = AtomicU32::new(0);
    let enough = tokio::sync::Notify::new();
    let client = client(vec![server.url.clone()]);
    tokio::select! {
        () = follow(&client, || if wakes.fetch_add(1, Ordering::SeqCst) >= 3 { enough.notify_one() }) => {}
        () = enough.notified() => {}
    }
    let asked = server.asked();
    assert!(asked.len() >= 2);
    assert!(
        asked[0]
            .to_ascii_lowercase()
            .contains("\r\naccept: text/event-stream\r\n"),
        "{}",
        asked[0]
    );
    assert!(asked[0].contains("authorization: Basic"), "{}", asked[0]);
    assert!(asked[0].starts_with("GET /v2/events?event_type=status_update_event&"));
}

#[tokio::test]
async fn a_silent_stream_is_dead() {
    let server = serve(|_| Do::Hang).await;
    let mut options = options(vec![server.url.clone()]);
    options.event_silence = Duration::from_millis(50);
    let client = Client::new(options).unwrap();
    assert!(once(&client, &|| {}, 0).await.contains("did not answer"));
}

#[tokio::test]
async fn a_follower_that_redirects_to_an_unlisted_host_gets_no_credentials_sent_there() {
    let leader = serve(|_| Do::Close).await;
    let to = format!("Location: {}v2/events\r\n", leader.url);
    let follower = serve(move |_| answer_with(302, &to, "")).await;
    let said = once(&client(vec![follower.url.clone()]), &|| {}, 0).await;
    assert!(said.contains("not among the hosts"), "{said}");
    assert!(leader.asked().is_empty());
}
