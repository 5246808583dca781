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
    let second = Patience::within(Duration::from_secs(5));
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
            .take(
                &run(),
                &spec(Source::Marathon),
                Patience::within(Duration::from_secs(1)),
            )
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
    let first = probes
        .take(&run(), &probe, Patience::within(Duration::from_secs(5)))
        .await;
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
        probes
            .take(&run(), &probe, Patience::within(Duration::from_secs(5)))
            .await,
        "metadata",
    );
    check_blind(
        probes
            .take(&run(), &probe, Patience::within(Duration::from_secs(5)))
            .await,
        "no address",
    );
}

mod metric_systems {
    //! Metric systems that do not answer as they should: each is blind with words.

    use super::*;
    use crate::model::experiment::{AnyOf, Graphite, Haproxy, Influxdb, Prometheus, ValueRule};
    use axum::Router;
    use axum::extract::Query;
    use axum::http::{HeaderMap, StatusCode, header};
    use axum::response::IntoResponse;
    use axum::routing::get;
    use std::collections::HashMap;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Answers every path with what its query asks for: `200:BODY`, or one of these words.
    async fn fake() -> String {
        let answer = |Query(asked): Query<HashMap<String, String>>| async move {
            let wanted = ["query", "target", "q"].iter().find_map(|key| asked.get(*key));
            match wanted.map(String::as_str).unwrap_or("hang") {
                "hang" => std::future::pending().await,
                "redirect" => (
                    StatusCode::FOUND,
                    [(header::LOCATION, "http://169.254.169.254/latest/meta-data")],
                )
                    .into_response(),
                "huge" => "x".repeat(200_000).into_response(),
                "broken" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                text => {
                    let (status, body) = text.split_once('=').unwrap_or(("200", text));
                    let mut head = HeaderMap::new();
                    head.insert(header::DATE, "Thu, 01 Jan 1970 00:02:05 GMT".parse().unwrap());
                    let status: u16 = status.parse().unwrap();
                    (StatusCode::from_u16(status).unwrap(), head, body.to_owned()).into_response()
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(get(answer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn all(url: &str, wanted: &str) -> [Source; 3] {
        [
            prometheus(url, wanted),
            graphite(url, wanted),
            influxdb(url, wanted),
        ]
    }

    fn prometheus(url: &str, wanted: &str) -> Source {
        Source::Prometheus(Prometheus {
            url: url.into(),
            query: wanted.into(),
            requests: None,
            freshness: None,
        })
    }

    fn graphite(url: &str, wanted: &str) -> Source {
        Source::Graphite(Graphite {
            url: url.into(),
            target: wanted.into(),
        })
    }

    fn influxdb(url: &str, wanted: &str) -> Source {
        Source::Influxdb(Influxdb {
            url: url.into(),
            db: "d".into(),
            query: wanted.into(),
        })
    }

    #[tokio::test]
    async fn answers_that_are_none_are_blind_for_each_of_them() {
        let url = fake().await;
        for (wanted, words, patience) in [
            ("hang", "did not answer within", Duration::from_millis(300)),
            ("redirect", "302, a redirect; probes follow none", PATIENCE),
            ("huge", "longer than 64 KiB", PATIENCE),
            ("broken", "status 500", PATIENCE),
            ("<html>", "can't be read", PATIENCE),
            ("401=", "401", PATIENCE),
        ] {
            for source in all(&url, wanted) {
                let kind = source.kind();
                match local()
                    .take(&run(), &spec(source), Patience::within(patience))
                    .await
                {
                    Reading::Blind { why } => {
                        let password = kind == "influxdb" && wanted == "401=";
                        assert!(why.contains(words) || password, "{kind}, {wanted}: {why}");
                    }
                    seen @ Reading::Seen { .. } => panic!("{kind}, {wanted}: {seen:?}"),
                }
            }
        }
        for source in all("http://127.0.0.1:1", "x") {
            check_blind(
                local()
                    .take(&run(), &spec(source), Patience::within(PATIENCE))
                    .await,
                "can't be connected to",
            );
        }
        for source in all("http://169.254.169.254", "x") {
            check_blind(
                local()
                    .take(&run(), &spec(source), Patience::within(PATIENCE))
                    .await,
                "metadata",
            );
        }
    }

    #[tokio::test]
    async fn a_number_has_to_be_one_number() {
        let url = fake().await;
        let vector = |result: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#)
        };
        let one = |value: &str| vector(&format!(r#"[{{"metric":{{}},"value":[1,"{value}"]}}]"#));
        let influx = |series: &str| format!(r#"{{"results":[{{"statement_id":0,"series":{series}}}]}}"#);
        let rows = |rows: &str| {
            influx(&format!(
                r#"[{{"name":"x","columns":["time","mean"],"values":{rows}}}]"#
            ))
        };
        let points = |points: &str| format!(r#"[{{"target":"x","datapoints":{points}}}]"#);
        for (source, words) in [
            (prometheus(&url, &one("NaN")), "gives NaN"),
            (prometheus(&url, &one("+Inf")), "gives +Inf"),
            (prometheus(&url, &one("-Inf")), "gives -Inf"),
            (prometheus(&url, &one("x")), "which is no number"),
            (prometheus(&url, &one("7")), "no share from 0 to 1"),
            (prometheus(&url, &vector("[]")), "an empty vector"),
            (
                prometheus(&url, &vector(r#"[{"value":[1,"1"]},{"value":[1,"2"]}]"#)),
                "gives 2 series, one is wanted",
            ),
            (
                prometheus(
                    &url,
                    r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
                ),
                "gives a matrix",
            ),
            (
                prometheus(
                    &url,
                    r#"400={"status":"error","errorType":"bad_data","error":"parse error: oh"}"#,
                ),
                "refuses the query: parse error: oh",
            ),
            (
                prometheus(
                    &url,
                    r#"503={"status":"error","errorType":"unavailable","error":"busy"}"#,
                ),
                "answered 503: busy",
            ),
            (graphite(&url, "[]"), "gives no series"),
            (
                graphite(&url, "[{\"datapoints\":[]},{\"datapoints\":[]}]"),
                "gives 2 series",
            ),
            (graphite(&url, &points("[[1,120]]")), "fewer than two buckets"),
            (
                graphite(&url, &points("[[0.1,100],[null,110],[0.2,120]]")),
                "is empty",
            ),
            (
                graphite(&url, "400=no such function"),
                "refuses the target: no such function",
            ),
            (influxdb(&url, &influx("[]")), "gives nothing"),
            (influxdb(&url, &rows("[]")), "gives nothing"),
            (influxdb(&url, &rows("[[0,0.5]]")), "the row is 125 s old"),
            (
                graphite(&url, &points("[[0.1,20],[0.2,30],[0.2,40]]")),
                "the last bucket (00:00:40 UTC) ended 75 s ago",
            ),
            (influxdb(&url, &rows("[[0,null]]")), "gives null"),
            (influxdb(&url, &rows("[[0,\"x\"]]")), "no number"),
            (influxdb(&url, &rows("[[0,1],[1,2]]")), "gives 2 rows"),
            (influxdb(&url, &rows("[[0,1,2]]")), "2 columns"),
            (
                influxdb(&url, r#"{"results":[{"error":"database not found"}]}"#),
                "refuses the query: database not found",
            ),
            (
                influxdb(&url, r#"400={"error":"error parsing query"}"#),
                "refuses the query: error parsing",
            ),
            (influxdb(&url, r#"{"results":[]}"#), "0 results"),
        ] {
            check_blind(
                local()
                    .take(&run(), &spec(source), Patience::within(PATIENCE))
                    .await,
                words,
            );
        }
    }

    #[tokio::test]
    async fn one_number_is_a_share_or_a_value() {
        let url = fake().await;
        let number = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"0.25"]}}"#;
        let row = r#"{"results":[{"series":[{"values":[[115000,0.25]]}]}]}"#;
        let buckets = r#"[{"target":"x","datapoints":[[0.5,100],[0.25,110],[1.0,120]]}]"#;
        for source in [
            prometheus(&url, number),
            influxdb(&url, row),
            graphite(&url, buckets),
        ] {
            let share = local()
                .take(&run(), &spec(source.clone()), Patience::within(PATIENCE))
                .await;
            assert_eq!(share.bad_share(), Some(0.25), "{share:?}");
            let judged = ProbeSpec {
                value: Some(ValueRule::Range {
                    min: None,
                    max: crate::model::experiment::Decimal::parse("0.2"),
                }),
                ..spec(source)
            };
            let value = local().take(&run(), &judged, Patience::within(PATIENCE)).await;
            assert_eq!(value.bad_share(), Some(1.0), "{value:?}");
            assert_eq!(value.detail().and_then(|d| d.value), Some(0.25));
        }
    }

    #[tokio::test]
    async fn a_bucket_counts_once() {
        let url = fake().await;
        let buckets = r#"[{"target":"x","datapoints":[[0.5,100],[0.25,110],[1.0,120]]}]"#;
        let (probes, probe) = (local(), spec(graphite(&url, buckets)));
        assert_eq!(
            probes
                .take(&run(), &probe, Patience::within(PATIENCE))
                .await
                .bad_share(),
            Some(0.25)
        );
        check_blind(
            probes.take(&run(), &probe, Patience::within(PATIENCE)).await,
            "the bucket of 00:01:50 UTC was counted already",
        );
        let other = probes
            .take(&"r-2".into(), &probe, Patience::within(PATIENCE))
            .await;
        assert_eq!(other.bad_share(), Some(0.25), "each run counts for itself");
        let row = r#"{"results":[{"series":[{"values":[[115000,0.25]]}]}]}"#;
        let probe = spec(influxdb(&url, row));
        let first = probes
            .take(&"r-3".into(), &probe, Patience::within(PATIENCE))
            .await;
        assert_eq!(first.bad_share(), Some(0.25));
        check_blind(
            probes
                .take(&"r-3".into(), &probe, Patience::within(PATIENCE))
                .await,
            "the row was counted already",
        );
    }

    #[tokio::test]
    async fn a_series_that_was_not_scraped_lately_is_no_answer() {
        // The same number answers every question: 0.25, and 9 s since the last scrape.
        for (age, every, fresh) in [(9, 5, true), (9, 4, false)] {
            let number =
                format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[1,"{age}"]}}}}"#);
            let app = Router::new().fallback(get(move || async move { number }));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let aged = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, app).await });
            let probe = ProbeSpec {
                every: Some(Duration::from_secs(every)),
                value: Some(ValueRule::Equals(
                    crate::model::experiment::Decimal::parse("9").unwrap(),
                )),
                ..spec(Source::Prometheus(Prometheus {
                    url: aged,
                    query: "x".into(),
                    requests: None,
                    freshness: Some("x".into()),
                }))
            };
            let reading = local().take(&run(), &probe, Patience::within(PATIENCE)).await;
            match fresh {
                true => assert_eq!(reading.bad_share(), Some(0.0), "{reading:?}"),
                false => check_blind(
                    reading,
                    "last scraped 9 s ago; less than 8 s, two samples, is needed",
                ),
            }
        }
    }

    #[tokio::test]
    async fn a_metric_system_that_moves_to_a_forbidden_address_is_blind() {
        let url = fake().await;
        let port = Url::parse(&url).unwrap().port().unwrap();
        let good = format!("127.0.0.1:{port}").parse().unwrap();
        let evil = "169.254.169.254:80".parse().unwrap();
        let options = ProbeOptions {
            allow_hosts: vec!["127.0.0.0/8".into()],
            ..ProbeOptions::default()
        };
        let names = Rebinding(Mutex::new(vec![evil, good]));
        let probes = Probes::with_resolver(&options, Box::new(names)).unwrap();
        let number = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"0.25"]}}"#;
        let probe = spec(prometheus(&format!("http://rebinding.example:{port}"), number));
        let first = probes.take(&run(), &probe, Patience::within(PATIENCE)).await;
        assert_eq!(first.bad_share(), Some(0.25), "{first:?}");
        check_blind(
            probes.take(&run(), &probe, Patience::within(PATIENCE)).await,
            "metadata",
        );
    }

    #[tokio::test]
    async fn a_group_of_vantage_points_is_asked_at_once_and_remembers_each() {
        let url = fake().await;
        let share = |share: &str| {
            prometheus(
                &url,
                &format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[1,"{share}"]}}}}"#),
            )
        };
        let group = |sources: Vec<Source>| {
            spec(Source::AnyOf(AnyOf {
                sources,
                quorum: None,
            }))
        };
        let take = async |sources| {
            local()
                .take(&run(), &group(sources), Patience::within(Duration::from_secs(2)))
                .await
        };
        let two_of_three = take(vec![share("0"), share("0.5"), share("1")]).await;
        assert_eq!(two_of_three.bad_share(), Some(0.5));
        let one_hangs = take(vec![share("0"), prometheus(&url, "hang")]).await;
        assert_eq!(one_hangs.bad_share(), Some(0.0), "{one_hangs:?}");
        let all_hang = take(vec![prometheus(&url, "hang"), prometheus(&url, "broken")]).await;
        check_blind(all_hang, "no vantage point sees anything: prometheus hang at");
    }

    #[tokio::test]
    async fn balancers_that_cannot_be_counted_are_blind() {
        let url = fake().await;
        let haproxy = |lbs: &[&str]| {
            spec(Source::Haproxy(Haproxy {
                lbs: lbs.iter().map(|lb| (*lb).to_owned()).collect(),
                backend: "cart".into(),
            }))
        };
        let take = async |probe, patience| local().take(&run(), &probe, patience).await;
        check_blind(
            take(haproxy(&[&url]), Patience::within(Duration::from_millis(300))).await,
            "did not answer within",
        );
        let page = format!("{url}/?q=<html>");
        check_blind(
            take(haproxy(&[&page]), Patience::within(PATIENCE)).await,
            "this is not HAProxy's statistics",
        );
        let redirect = format!("{url}/?q=redirect");
        check_blind(
            take(haproxy(&[&redirect]), Patience::within(PATIENCE)).await,
            "probes follow none",
        );
        let password = format!("{url}/?q=401%3D");
        check_blind(
            take(haproxy(&[&password]), Patience::within(PATIENCE)).await,
            "asks for a password",
        );
        check_blind(
            take(
                haproxy(&[&page, "http://127.0.0.1:1"]),
                Patience::within(PATIENCE),
            )
            .await,
            "2 of 2 balancers can't be counted",
        );
    }
}
