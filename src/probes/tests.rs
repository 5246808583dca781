use super::*;
use crate::model::experiment::{Http, Role, StatusRange};
use std::sync::Mutex;

fn spec(source: Source) -> ProbeSpec {
    ProbeSpec::new("edge", Role::Abort, source)
}

fn run() -> RunId {
    "r-1".into()
}

fn local() -> Probes {
    let options = ProbeOptions {
        allow_hosts: vec!["127.0.0.0/8".into()],
        ..ProbeOptions::default()
    };
    Probes::new(&options).unwrap()
}

#[track_caller]
fn check_blind(reading: Reading, words: &str) {
    match reading {
        Reading::Blind { why } => assert!(why.contains(words), "{why}"),
        Reading::Seen { .. } => panic!("{reading:?} instead of blind"),
    }
}

#[tokio::test]
async fn a_connection_that_opens_is_good_and_a_refused_one_is_bad() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let probe = spec(Source::Tcp { address });
    let second = Duration::from_secs(5);
    assert!(matches!(
        local().take(&run(), &probe, second).await,
        Reading::Seen {
            observed: 1,
            bad: 0,
            ..
        }
    ));
    drop(listener);
    assert!(matches!(
        local().take(&run(), &probe, second).await,
        Reading::Seen {
            observed: 1,
            bad: 1,
            ..
        }
    ));
    check_blind(
        Probes::new(&ProbeOptions::default())
            .unwrap()
            .take(&run(), &probe, second)
            .await,
        "loopback",
    );
    check_blind(
        local()
            .take(
                &run(),
                &spec(Source::Tcp {
                    address: "nonsense".into(),
                }),
                second,
            )
            .await,
        "host:port",
    );
}

#[tokio::test]
async fn task_rows_are_not_read_over_the_network() {
    check_blind(
        local()
            .take(&run(), &spec(Source::Marathon), Duration::from_secs(1))
            .await,
        "task rows",
    );
}

#[test]
fn every_bad_option_is_named() {
    let options = ProbeOptions {
        allow_hosts: vec!["*".into()],
        denied: vec!["x".into(), "y".into()],
        ..ProbeOptions::default()
    };
    assert_eq!(
        Probes::new(&options).err().map(|problems| problems.len()),
        Some(3)
    );
}

/// Leads to a good address first and to a forbidden one later.
struct Rebinding(Mutex<Vec<std::net::SocketAddr>>);

#[async_trait]
impl Resolver for Rebinding {
    async fn resolve(&self, _host: &str, _port: u16) -> std::io::Result<Vec<std::net::SocketAddr>> {
        Ok(self.0.lock().unwrap().pop().into_iter().collect())
    }
}

#[tokio::test]
async fn a_rebinding_name_reaches_only_the_checked_address() {
    let app = axum::Router::new().route("/", axum::routing::get(|| async { "fine" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let evil = "169.254.169.254:80".parse().unwrap();
    let options = ProbeOptions {
        allow_hosts: vec!["127.0.0.0/8".into()],
        ..ProbeOptions::default()
    };
    let probes = Probes::with_resolver(&options, Box::new(Rebinding(Mutex::new(vec![evil, good])))).unwrap();
    let probe = spec(Source::Http(Http {
        url: format!("http://rebinding.example:{}/", good.port()),
        requests: 3,
        status: vec![StatusRange { from: 200, to: 299 }],
        body_matches: Some("^fine$".into()),
        ..Http::default()
    }));
    let first = probes.take(&run(), &probe, Duration::from_secs(5)).await;
    assert!(
        matches!(
            first,
            Reading::Seen {
                observed: 3,
                bad: 0,
                ..
            }
        ),
        "{first:?}"
    );
    check_blind(
        probes.take(&run(), &probe, Duration::from_secs(5)).await,
        "metadata",
    );
    check_blind(
        probes.take(&run(), &probe, Duration::from_secs(5)).await,
        "no address",
    );
}
