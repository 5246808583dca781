use super::*;
use crate::model::experiment::StatusRange;
use crate::probes::addresses::{AllowList, SystemResolver};
use crate::probes::wire::{ours, tls};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

fn door() -> Door {
    Door {
        allow: AllowList::parse(&["127.0.0.0/8"]).unwrap(),
        denied: vec![],
        resolver: Box::new(SystemResolver),
    }
}

type Hits = Arc<AtomicU32>;

/// A service with every kind of answer, and how often it was asked.
async fn service() -> (String, Hits) {
    let hits = Hits::default();
    let endless = || async {
        let piece = bytes::Bytes::from_static(&[b'x'; 8192]);
        Body::from_stream(futures_util::stream::repeat(Ok::<_, std::convert::Infallible>(
            piece,
        )))
    };
    let broken = || async {
        let pieces = [Ok("ok, but"), Err(io::Error::other("gone"))];
        Body::from_stream(futures_util::stream::iter(pieces)).into_response()
    };
    let slow_body = || async {
        use futures_util::StreamExt;
        let begin = futures_util::stream::iter([Ok::<_, io::Error>("ok")]);
        Body::from_stream(begin.chain(futures_util::stream::pending()))
    };
    let moved = || async { (StatusCode::FOUND, [("location", "/ok")]) };
    // Every third request fails.
    let flaky = |State(hits): State<Hits>| async move {
        if hits.load(Ordering::SeqCst).is_multiple_of(3) {
            StatusCode::BAD_GATEWAY
        } else {
            StatusCode::OK
        }
    };
    let count = |State(hits): State<Hits>, request: axum::extract::Request, next: axum::middleware::Next| async move {
        hits.fetch_add(1, Ordering::SeqCst);
        next.run(request).await
    };
    let app = Router::new()
        .route("/ok", get(|| async { "all is well" }))
        .route("/500", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/404", get(|| async { StatusCode::NOT_FOUND }))
        .route("/moved", get(moved))
        .route(
            "/hang",
            get(|| async { std::future::pending::<StatusCode>().await }),
        )
        .route("/slow-body", get(slow_body))
        .route("/endless", get(endless))
        .route("/broken", get(broken))
        .route("/flaky", get(flaky))
        .layer(axum::middleware::from_fn_with_state(hits.clone(), count))
        .with_state(hits.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}"), hits)
}

const GOOD: &[StatusRange] = &[StatusRange { from: 200, to: 299 }];

fn question(url: &str, requests: u32) -> Http {
    Http {
        url: url.into(),
        requests,
        status: GOOD.to_vec(),
        ..Http::default()
    }
}

/// Observed and bad.
async fn counts(question: &Http, timeout: Duration) -> (u32, u32) {
    match take(&door(), &tls().unwrap(), question, Patience::within(timeout)).await {
        Reading::Seen { observed, bad, .. } => (observed, bad),
        Reading::Blind { why } => panic!("blind: {why}"),
    }
}

#[tokio::test]
async fn status_decides_and_redirects_are_not_followed() {
    let (base, hits) = service().await;
    for (path, bad) in [("/ok", 0), ("/500", 2), ("/404", 2), ("/moved", 2)] {
        let before = hits.load(Ordering::SeqCst);
        assert_eq!(
            counts(&question(&format!("{base}{path}"), 2), LONG / 20).await,
            (2, bad),
            "{path}"
        );
        assert_eq!(hits.load(Ordering::SeqCst) - before, 2, "{path} was asked again");
    }
    let url = format!("{base}/moved");
    let moved = Http {
        status: vec![StatusRange { from: 302, to: 302 }],
        ..question(&url, 1)
    };
    assert_eq!(counts(&moved, LONG / 20).await, (1, 0));
}

#[tokio::test]
async fn every_request_is_counted_and_none_is_repeated() {
    let (base, hits) = service().await;
    assert_eq!(
        counts(&question(&format!("{base}/flaky"), 9), LONG / 10).await.0,
        9
    );
    assert_eq!(hits.load(Ordering::SeqCst), 9);
    assert_eq!(
        counts(&question(&format!("{base}/ok"), 500), LONG / 5).await,
        (MOST_REQUESTS, 0)
    );
}

#[tokio::test]
async fn a_body_has_to_match_within_its_first_64_kib() {
    let (base, _) = service().await;
    let url = format!("{base}/ok");
    let with = |wanted: &str| Http {
        body_matches: Some(wanted.into()),
        ..question(&url, 1)
    };
    assert_eq!(counts(&with("is w.ll$"), LONG).await, (1, 0));
    assert_eq!(counts(&with("is not"), LONG).await, (1, 1));
    let endless = format!("{base}/endless");
    assert_eq!(
        counts(
            &Http {
                body_matches: Some("^x{9}".into()),
                ..question(&endless, 1)
            },
            LONG
        )
        .await,
        (1, 0)
    );
    assert_eq!(
        counts(&question(&format!("{base}/broken"), 1), LONG).await,
        (1, 1)
    );
}

#[tokio::test]
async fn slow_hanging_and_half_answers_are_bad_and_end_in_time() {
    let (base, _) = service().await;
    for path in ["/hang", "/slow-body"] {
        assert_eq!(
            counts(&question(&format!("{base}{path}"), 3), SHORT).await,
            (3, 3),
            "{path}"
        );
    }
    let url = format!("{base}/ok");
    let impatient = Http {
        slower_than: Some(Duration::ZERO),
        ..question(&url, 2)
    };
    assert_eq!(counts(&impatient, SHORT).await, (2, 2));
    let patient = Http {
        slower_than: Some(LONG / 2),
        ..question(&url, 2)
    };
    assert_eq!(counts(&patient, LONG).await.1, 0);
}

#[test]
fn every_request_has_the_whole_timeout_and_is_over_before_the_next_sample() {
    let ms = Duration::from_millis;
    for (timeout, interval, expected) in [
        (800, 1_000, 100),
        (200, 10_000, 50),
        (950, 1_000, 25),
        (800, 800, 0),
    ] {
        let timing = Patience {
            timeout: ms(timeout),
            interval: ms(interval),
        };
        assert_eq!(spread(timing), ms(expected), "{timing:?}");
        assert!(timing.timeout + spread(timing) <= timing.interval);
    }
}

#[tokio::test]
async fn refused_and_reset_connections_are_bad() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}/");
    let resets = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Half a status line, then gone.
            stream.write_all(b"HTTP/1.").await.ok();
        }
    });
    assert_eq!(counts(&question(&url, 2), LONG / 10).await, (2, 2));
    resets.abort();
    resets.await.ok();
    assert_eq!(counts(&question(&url, 2), LONG / 10).await, (2, 2));
}

#[tokio::test]
async fn what_cannot_be_asked_is_blind() {
    let tls = tls().unwrap();
    let check =
        async |question: Http, words: &str| match take(&door(), &tls, &question, Patience::within(SHORT))
            .await
        {
            Reading::Blind { why } => assert!(why.contains(words), "{why}"),
            seen @ Reading::Seen { .. } => panic!("{seen:?}"),
        };
    check(question("http://10.0.0.1/", 1), "private").await;
    check(question("http://169.254.169.254/", 1), "metadata").await;
    check(question("no url", 1), "can't be read").await;
    check(question("file:///etc/passwd", 1), "http and https").await;
    check(
        Http {
            body_matches: Some("(".into()),
            ..question("http://127.0.0.1/", 1)
        },
        "regular expression",
    )
    .await;
}

/// Never comes back.
struct Silent;

#[async_trait::async_trait]
impl crate::probes::Resolver for Silent {
    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_silent_resolver_is_blind_in_time() {
    let door = Door {
        resolver: Box::new(Silent),
        ..door()
    };
    let reading = take(
        &door,
        &tls().unwrap(),
        &question("http://x.example/", 1),
        Patience::within(SHORT),
    )
    .await;
    assert!(matches!(reading, Reading::Blind { why } if why.contains("in time")));
}

#[test]
fn trouble_of_this_machine_is_not_the_services() {
    for (code, own) in [
        (24, true),
        (23, true),
        (101, true),
        (99, true),
        (111, false),
        (104, false),
        (113, false),
    ] {
        assert_eq!(ours(&io::Error::from_raw_os_error(code)).is_some(), own, "{code}");
    }
}

#[tokio::test]
async fn stages_are_timed_and_the_slowest_request_tells_its_own() {
    let (base, _) = service().await;
    let reading = take(
        &door(),
        &tls().unwrap(),
        &question(&format!("{base}/ok"), 3),
        Patience::within(LONG / 10),
    )
    .await;
    let phases = reading.detail().and_then(|d| d.slowest).unwrap();
    assert!(phases.dns_ms.is_some() && phases.connect_ms.is_some() && phases.first_byte_ms.is_some());
    assert!(
        phases.tls_ms.is_none() && phases.first_byte_ms <= phases.total_ms,
        "{phases:?}"
    );
    let reading = take(
        &door(),
        &tls().unwrap(),
        &question(&format!("{base}/hang"), 1),
        Patience::within(SHORT),
    )
    .await;
    let phases = reading.detail().and_then(|d| d.slowest).unwrap();
    assert!(
        phases.connect_ms.is_some() && phases.first_byte_ms.is_none(),
        "{phases:?}"
    );
    assert!(reading.is_silence(), "{reading:?}");
}

#[tokio::test]
async fn an_answer_with_a_bad_status_is_no_silence() {
    let (base, _) = service().await;
    let reading = take(
        &door(),
        &tls().unwrap(),
        &question(&format!("{base}/500"), 2),
        Patience::within(LONG / 10),
    )
    .await;
    assert!(!reading.is_silence(), "{reading:?}");
    let reading = take(
        &door(),
        &tls().unwrap(),
        &question("http://127.0.0.1:1/", 2),
        Patience::within(LONG / 10),
    )
    .await;
    assert!(reading.is_silence(), "{reading:?}");
}

#[tokio::test]
async fn times_are_kept_only_where_slow_answers_have_a_line() {
    let (base, _) = service().await;
    let url = format!("{base}/ok");
    let plain = take(
        &door(),
        &tls().unwrap(),
        &question(&url, 4),
        Patience::within(LONG / 10),
    )
    .await;
    assert!(plain.detail().unwrap().times_us.is_empty() && !plain.detail().unwrap().pending);
    for (line, bad) in [(LONG / 20, 0), (Duration::ZERO, 4)] {
        let lined = Http {
            slower_than: Some(line),
            ..question(&url, 4)
        };
        let reading = take(&door(), &tls().unwrap(), &lined, Patience::within(LONG / 10)).await;
        assert_eq!(reading.bad_share(), Some(f64::from(bad) / 4.0));
        let detail = reading.detail().unwrap();
        // The slow ones are the slow end that a verdict is about.
        assert!(!detail.pending && detail.times_us.len() == 4, "{detail:?}");
        let wrong = Http {
            url: format!("{base}/500"),
            ..lined
        };
        let reading = take(&door(), &tls().unwrap(), &wrong, Patience::within(LONG / 10)).await;
        assert_eq!(reading.bad_share(), Some(1.0));
        let detail = reading.detail().unwrap();
        assert!(
            detail.times_us.is_empty(),
            "a wrong answer has no time: {detail:?}"
        );
    }
    let followed = Http {
        slower_than_baseline_percent: Some(150),
        ..question(&url, 4)
    };
    let reading = take(&door(), &tls().unwrap(), &followed, Patience::within(LONG / 10)).await;
    let detail = reading.detail().unwrap();
    assert!(detail.pending && detail.times_us.len() == 4, "{detail:?}");
}

#[tokio::test]
async fn a_json_body_is_good_bad_or_not_to_be_judged() {
    use crate::model::experiment::{JsonRule, JsonWant};
    let app = Router::new()
        .route("/well", get(|| async { r#"{"status":"ok"}"# }))
        .route("/ill", get(|| async { r#"{"status":"ill"}"# }))
        .route("/else", get(|| async { "{}" }))
        .route("/html", get(|| async { "<html>" }))
        .route(
            "/500",
            get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "<html>") }),
        )
        .route(
            "/long",
            get(|| async { format!("[\"{}\"]", "x".repeat(MOST_BODY)) }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let at = |path: &str| Http {
        json: Some(JsonRule {
            path: "$.status".into(),
            want: JsonWant::Equals("ok".into()),
        }),
        ..question(&format!("{base}{path}"), 2)
    };
    for (path, expected) in [("/well", (2, 0)), ("/ill", (2, 2)), ("/500", (2, 2))] {
        assert_eq!(counts(&at(path), LONG / 10).await, expected, "{path}");
    }
    for (path, words) in [
        ("/else", "nothing is at $.status"),
        ("/html", "the body is not JSON"),
        ("/long", "longer than 64 KiB"),
    ] {
        match take(&door(), &tls().unwrap(), &at(path), Patience::within(LONG / 10)).await {
            Reading::Blind { why } => assert!(why.contains(words), "{why}"),
            seen @ Reading::Seen { .. } => panic!("{path} {seen:?}"),
        }
    }
}

/// Knows no name.
struct Nobody;

#[async_trait::async_trait]
impl crate::probes::Resolver for Nobody {
    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::Error::other("no such host"))
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_bad_only_where_that_was_said() {
    let door = Door {
        resolver: Box::new(Nobody),
        ..door()
    };
    let blind = question("http://x.example/", 3);
    let reading = take(&door, &tls().unwrap(), &blind, Patience::within(SHORT)).await;
    assert!(matches!(reading, Reading::Blind { why } if why.contains("no such host")));
    let bad = |url| Http {
        dns_failure_is_bad: true,
        ..question(url, 3)
    };
    let reading = take(
        &door,
        &tls().unwrap(),
        &bad("http://x.example/"),
        Patience::within(SHORT),
    )
    .await;
    assert!(
        reading.is_silence() && reading.bad_share() == Some(1.0),
        "{reading:?}"
    );
    // What may not be reached was not tried: that is never the target's failure.
    let reading = take(
        &door,
        &tls().unwrap(),
        &bad("http://10.0.0.1/"),
        Patience::within(SHORT),
    )
    .await;
    assert!(matches!(reading, Reading::Blind { .. }), "{reading:?}");
}
