use super::*;
use crate::marathon::pretend::{Do, HandClock, answer_with, client, options, serve};
use crate::marathon::recorded;
use proptest::prelude::*;
use std::sync::Arc;
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

    /// Events between noise, with every kind of line end, cut anywhere.
    #[test]
    fn line_ends_make_no_difference(
        parts in proptest::collection::vec((0_usize..5, 0_usize..3), 0..30),
        cuts in proptest::collection::vec(0_usize..2000, 0..30),
    ) {
        let mut text = String::new();
        let mut events = 0;
        for (kind, end) in parts {
            let end = ["\r\n", "\n", "\r"][end];
            match kind {
                0 => {
                    events += 1;
                    text += &format!("event: x{end}data: {{}}{end}{end}");
                }
                1 => {
                    events += 1;
                    text += &format!("data{end}data: second line{end}{end}");
                }
                2 => text += &format!(": data: comment{end}{end}"),
                3 => text += &format!("event: data{end}{end}"),
                // A heartbeat. After a lone CR it would be that line's LF, so a blank comment goes before.
                _ => text += &format!(":{end}{end}"),
            }
            // CR, then LF is one end and not two: no part may end so that the next begins in it.
            text += ":\n";
        }
        let mut ends: Vec<usize> = cuts.iter().map(|c| c % (text.len() + 1)).chain([text.len()]).collect();
        ends.sort_unstable();
        let (mut reader, mut from, mut found) = (Reader::default(), 0, 0);
        for end in ends {
            found += reader.take(&text.as_bytes()[from..end]);
            from = end;
        }
        prop_assert_eq!(found, events, "{:?}", text);
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        Reader::default().take(&bytes);
    }
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8\r\n\r\n";

fn stream(body: &str) -> Vec<u8> {
    format!("{HEAD}{body}").into()
}

/// Waits until it is so; the deadline is for a machine with other things to do.
async fn until(what: &str, is: impl Fn() -> bool) {
    let waiting = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(waited.is_ok(), "never {what}");
}

#[tokio::test]
async fn every_connection_and_every_event_wakes_and_a_lost_stream_is_opened_again() {
    let server = serve(|_| Do::Say(stream("event: x\r\ndata: {}\r\n\r\n"))).await;
    let clock = HandClock::new();
    let mut options = options(vec![server.url.clone()]);
    options.clock = clock.clone();
    let client = Arc::new(Client::new(options).unwrap());
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = heard.clone();
    let following = tokio::spawn(async move {
        follow(&client, move |news| kept.lock().unwrap().push(news)).await;
    });
    until("heard twice", || heard.lock().unwrap().len() == 2).await;
    assert_eq!(*heard.lock().unwrap(), [News::Opened, News::Events]);
    // It pauses before it asks again, longer each time.
    clock.advance(SHORTEST / 2);
    for round in 2..5 {
        clock.advance(LONGEST * 2);
        until("opened again", || server.asked().len() == round).await;
        until("heard again", || heard.lock().unwrap().len() == 2 * round).await;
    }
    following.abort();
    let asked = server.asked();
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
async fn the_pause_between_two_streams_is_on_the_operators_clock() {
    let server = serve(|_| Do::Close).await;
    let clock = HandClock::new();
    let mut options = options(vec![server.url.clone()]);
    options.clock = clock.clone();
    let client = Client::new(options).unwrap();
    let following = async {
        follow(&client, |_| {}).await;
    };
    let looking = async {
        until("asked", || server.asked().len() == 1).await;
        clock.advance(SHORTEST - Duration::from_millis(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.asked().len(), 1, "half a second has not gone by");
        // The pause may have begun only now: time goes on until it is over.
        until("asked again", || {
            clock.advance(SHORTEST);
            server.asked().len() >= 2
        })
        .await;
    };
    tokio::select! {
        () = following => {}
        () = looking => {}
    }
}

/// One stream that ends by itself or when the clock is moved on; what it says at its end.
async fn ending(say: Do, after: Duration) -> (String, u32) {
    let server = serve(move |_| say.clone()).await;
    let clock = HandClock::new();
    let mut options = options(vec![server.url.clone()]);
    options.clock = clock.clone();
    options.event_silence = Duration::from_secs(30);
    let client = Client::new(options).unwrap();
    let heard = AtomicU32::new(0);
    let wake = |_| {
        heard.fetch_add(1, Ordering::SeqCst);
    };
    let moving = async {
        until("asked", || !server.asked().is_empty()).await;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            clock.advance(after);
        }
    };
    let said = tokio::select! {
        said = once(&client, &wake, 0) => said,
        () = moving => unreachable!("it moves for ever"),
    };
    (said, heard.load(Ordering::SeqCst))
}

#[tokio::test]
async fn half_a_minute_of_silence_ends_a_stream_however_open_its_socket_is() {
    let attached = stream("event: event_stream_attached\r\ndata: {}\r\n\r\n");
    for say in [Do::SayAndHang(attached), Do::Hang] {
        let (said, _) = ending(say, Duration::from_secs(31)).await;
        assert!(
            said.contains("was silent for 30s") || said.contains("did not answer"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_stream_that_shows_life_is_kept_for_as_long_as_it_does() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url::Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let clock = HandClock::new();
    let mut options = options(vec![url]);
    options.clock = clock.clone();
    options.event_silence = Duration::from_secs(30);
    let client = Client::new(options).unwrap();
    let events = AtomicU32::new(0);
    let wake = |_| {
        events.fetch_add(1, Ordering::SeqCst);
    };
    let marathon = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let _ = socket.read(&mut asked).await.unwrap();
        socket.write_all(HEAD.as_bytes()).await.unwrap();
        until("opened", || events.load(Ordering::SeqCst) == 1).await;
        for beat in 0..6_u32 {
            // Twenty seconds, then a heartbeat, cut where Marathon cuts it; then an event as the sign that it came.
            clock.advance(Duration::from_secs(20));
            socket.write_all(b"\r").await.unwrap();
            socket.write_all(b"\ndata: {}\r\n\r\n").await.unwrap();
            until("heard", || events.load(Ordering::SeqCst) == beat + 2).await;
        }
        events.load(Ordering::SeqCst)
    };
    let heard = tokio::select! {
        said = once(&client, &wake, 0) => panic!("it ended: {said}"),
        heard = marathon => heard,
    };
    assert_eq!(heard, 7, "a heartbeat alone is no event");
}

#[tokio::test]
async fn a_stream_that_marathon_closes_at_its_buffers_end_is_said_to_be_closed() {
    let cut = stream("event: status_update_event\r\ndata: {\"taskStatus\":\"TASK_");
    let (said, heard) = ending(Do::Say(cut), Duration::ZERO).await;
    assert!(said.contains("closed it"), "{said}");
    assert_eq!(heard, 1, "half an event is none");
}

#[tokio::test]
async fn a_wrong_answer_is_no_stream_and_wakes_nobody() {
    for say in [
        answer_with(405, "Content-Type: text/html\r\n", "<html>"),
        answer_with(200, "Content-Type: application/json\r\n", "{}"),
        answer_with(503, "", ""),
    ] {
        let (said, heard) = ending(say, Duration::ZERO).await;
        assert!(said.contains("instead of events"), "{said}");
        assert_eq!(heard, 0);
    }
}

#[tokio::test]
async fn a_follower_that_redirects_to_a_listed_host_gets_the_stream_from_there_with_credentials() {
    let leader = serve(|_| Do::Say(stream("data: {}\r\n\r\n"))).await;
    let to = format!("Location: {}v2/events?event_type=x\r\n", leader.url);
    let follower = serve(move |_| answer_with(302, &to, "")).await;
    let mut options = options(vec![follower.url.clone()]);
    let with_port = format!("127.0.0.1:{}", leader.url.port().unwrap());
    options.allowed_hosts.insert(with_port);
    let heard = AtomicU32::new(0);
    let wake = |_| {
        heard.fetch_add(1, Ordering::SeqCst);
    };
    let said = once(&Client::new(options).unwrap(), &wake, 0).await;
    assert!(said.contains("closed it"), "{said}");
    assert_eq!(heard.load(Ordering::SeqCst), 2);
    let asked = leader.asked().remove(0).to_ascii_lowercase();
    assert!(asked.contains("\r\nauthorization: basic dtpw\r\n"), "{asked}");
    assert!(asked.contains("\r\naccept: text/event-stream\r\n"), "{asked}");
}

#[tokio::test]
async fn a_follower_that_redirects_to_an_unlisted_host_gets_no_credentials_sent_there() {
    let leader = serve(|_| Do::Close).await;
    let to = format!("Location: {}v2/events\r\n", leader.url);
    let follower = serve(move |_| answer_with(302, &to, "")).await;
    let said = once(&client(vec![follower.url.clone()]), &|_| {}, 0).await;
    assert!(said.contains("not among the hosts"), "{said}");
    assert!(leader.asked().is_empty());
}
