//! What the `prometheus` probe says of a real Prometheus that scrapes a small exporter: shares and
//! values, queries that give no number, and what becomes of them when the exporter goes away.

use crate::support::daemons::{PATIENCE, free_port, start, until_it_listens};
use heartbreak::clock::RealClock;
use heartbreak::model::experiment::{Decimal, ProbeSpec, Prometheus, Reading, Role, Source, ValueRule};
use heartbreak::ports::clock::Clock;
use heartbreak::ports::prober::{Patience, Prober};
use heartbreak::probes::{ProbeOptions, Probes};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::task::JoinHandle;

/// Samples are this far apart, so a series is fresh for twice as long.
const EVERY: Duration = Duration::from_secs(5);

/// Numbers that stand still, and one that was measured a minute ago.
async fn exporter() -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let app = axum::Router::new().fallback(|| async {
        let old = RealClock.now().timestamp_millis() - 60_000;
        format!("cart_bad 3\ncart_all 400\ncart_none 0\ncart_queue 12\ncart_old 1 {old}\n")
    });
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("served") });
    (port, serving)
}

struct Server {
    _folder: TempDir,
    url: String,
    _process: Child,
    exporter: JoinHandle<()>,
    probes: Probes,
}

impl Server {
    /// Scrapes the exporter, and has done it once.
    async fn start() -> Self {
        let (target, exporter) = exporter().await;
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\n\
             scrape_configs: [ {{ job_name: cart, static_configs: [ {{ targets: [\"127.0.0.1:{target}\"] }} ] }} ]\n"
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).expect("written");
        let arguments = [
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=data".to_owned(),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let mut process = start("prometheus", &arguments, folder.path());
        until_it_listens(port, &mut process, folder.path()).await;
        let options = ProbeOptions {
            allow_hosts: vec!["127.0.0.0/8".into()],
            ..ProbeOptions::default()
        };
        let server = Self {
            _folder: folder,
            url: format!("http://127.0.0.1:{port}"),
            _process: process,
            exporter,
            probes: Probes::new(&options).expect("probes"),
        };
        server
            .until(&server.asks("cart_bad / cart_all"), |r| r.bad_share().is_some())
            .await;
        server
    }

    fn asks(&self, query: &str) -> ProbeSpec {
        self.asks_more(query, |_| {})
    }

    fn asks_more(&self, query: &str, more: impl FnOnce(&mut Prometheus)) -> ProbeSpec {
        let mut source = Prometheus {
            url: self.url.clone(),
            query: query.into(),
            requests: None,
            freshness: None,
        };
        more(&mut source);
        ProbeSpec {
            every: Some(EVERY),
            ..ProbeSpec::new("slo", Role::Verdict, Source::Prometheus(source))
        }
    }

    async fn reading(&self, probe: &ProbeSpec) -> Reading {
        self.probes
            .take(&"r-1".into(), probe, Patience::within(PATIENCE))
            .await
    }

    async fn until(&self, probe: &ProbeSpec, wanted: impl Fn(&Reading) -> bool) -> Reading {
        let look = async {
            loop {
                let reading = self.reading(probe).await;
                if wanted(&reading) {
                    return reading;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look)
            .await
            .expect("it comes in time")
    }

    async fn check_blind(&self, probe: &ProbeSpec, words: &str) {
        match self.reading(probe).await {
            Reading::Blind { why } => assert!(why.contains(words), "{words}: {why}"),
            seen @ Reading::Seen { .. } => panic!("{words}: {seen:?}"),
        }
    }
}

#[tokio::test]
async fn a_real_prometheus_gives_shares_and_values_or_says_why_not() {
    let server = Server::start().await;
    let counted = server.asks_more("cart_bad / cart_all", |source| {
        source.requests = Some("cart_all".into());
        source.freshness = Some("cart_all".into());
    });
    // Its last scrape may be older than two samples on a machine that stands still; then it is blind.
    let reading = server.until(&counted, |r| r.bad_share().is_some()).await;
    assert!(
        matches!(
            reading,
            Reading::Seen {
                observed: 400,
                bad: 3,
                ..
            }
        ),
        "{reading:?}"
    );
    let queue = ProbeSpec {
        value: Some(ValueRule::Range {
            min: None,
            max: Decimal::parse("10"),
        }),
        ..server.asks("cart_queue")
    };
    let reading = server.reading(&queue).await;
    assert!(
        matches!(
            reading,
            Reading::Seen {
                observed: 1,
                bad: 1,
                ..
            }
        ),
        "{reading:?}"
    );
    assert_eq!(reading.detail().and_then(|d| d.value), Some(12.0));

    for (query, words) in [
        ("cart_none / cart_none", "gives NaN"),
        ("cart_all / cart_none", "gives +Inf"),
        ("-cart_all / cart_none", "gives -Inf"),
        ("cart_basket", "an empty vector"),
        ("{__name__=~\"cart_(bad|all)\"}", "gives 2 series, one is wanted"),
        ("cart_all[5s]", "gives a matrix"),
        ("\"many\"", "gives a string"),
        ("cart_all", "no share from 0 to 1"),
        ("sum(cart_all", "Prometheus refuses the query:"),
    ] {
        server.check_blind(&server.asks(query), words).await;
    }
    let none = server.asks_more("cart_bad / cart_all", |s| s.requests = Some("cart_none".into()));
    server.check_blind(&none, "there were no requests").await;
    let stale = server.asks_more("cart_bad / cart_all", |s| s.freshness = Some("cart_old".into()));
    server
        .check_blind(&stale, "less than 10 s, two samples, is needed")
        .await;
    let unknown = server.asks_more("cart_bad / cart_all", |s| {
        s.freshness = Some("cart_basket".into())
    });
    server
        .check_blind(
            &unknown,
            "how fresh the series is can't be said: the query gives nothing",
        )
        .await;
}

#[tokio::test]
async fn when_its_target_goes_away_the_probe_is_blind() {
    let server = Server::start().await;
    let plain = server.asks("cart_bad / cart_all");
    let fresh = server.asks_more("cart_bad / cart_all", |s| s.freshness = Some("cart_all".into()));
    server.exporter.abort();
    for probe in [plain, fresh] {
        let reading = server.until(&probe, |r| matches!(r, Reading::Blind { .. })).await;
        let Reading::Blind { why } = reading else {
            unreachable!()
        };
        assert!(why.contains("an empty vector"), "{why}");
    }
}
