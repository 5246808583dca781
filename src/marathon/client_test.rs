use super::*;
use crate::marathon::pretend::{Do, answer, answer_with, client, json, nobody, options, serve};
use crate::model::policy::{LabelSelector, LabelTerm};

const APP: &str = r#"{"id":"/a","instances":1,"deployments":[],"tasks":[]}"#;

/// What a well Marathon says.
fn well(request: &str) -> Do {
    let head = "Content-Type: application/json\r\nDate: Mon, 23 Nov 2026 12:00:07 GMT\r\n";
    match request.split(['?', ' ']).nth(1).unwrap() {
        "/v2/info" => answer_with(
            200,
            head,
            r#"{"version":"1.11.24","frameworkId":"f-1","leader":"l:1"}"#,
        ),
        "/v2/apps" => json(&format!(r#"{{"apps":[{APP}]}}"#)),
        "/v2/apps/a" => json(&format!(r#"{{"app":{APP}}}"#)),
        "/v2/deployments" => json(r#"[{"id":"d","affectedApps":["/a"]}]"#),
        "/v2/queue" => json(r#"{"queue":[]}"#),
        _ => answer(
            404,
            "application/json",
            r#"{"message":"App '/b' does not exist"}"#,
        ),
    }
}

fn all() -> Query {
    Query::all()
}

#[tokio::test]
async fn a_look_joins_info_apps_deployments_and_queue() {
    let server = serve(well).await;
    let both = [
        Query::app(&"/a".into()),
        Query {
            selector: Some(LabelSelector {
                terms: vec![LabelTerm::Exists("chaos".into())],
            }),
            ids: vec![],
        },
    ];
    let seen = client(vec![server.url.clone()]).look_at_all(&both).await;
    assert!(seen.gaps.is_empty(), "{:?}", seen.gaps);
    assert_eq!(seen.apps[&"/a".into()].deployments, ["d".into()]);
    let info = seen.info.unwrap();
    assert_eq!(
        (info.framework_id.as_str(), info.clock_offset_ms),
        ("f-1", Some(7000))
    );
    let asked = server.asked().join("");
    assert!(
        asked.contains("GET /v2/apps?label=chaos&embed=apps.tasks&embed=apps.counts&embed=apps.deployments "),
        "{asked}"
    );
    assert!(asked.contains("GET /v2/apps?id=%2Fa&embed"), "{asked}");
}

#[tokio::test]
async fn whatever_cannot_be_read_is_a_gap_for_each_part() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"apps\":[".to_vec();
    for say in [
        answer(200, "text/html", "<html>"),
        answer(200, "application/json", ""),
        answer(401, "text/html", "<html>"),
        answer(
            403,
            "application/json",
            r#"{"message":"Max number (100) of running deployments is achieved"}"#,
        ),
        answer(500, "application/json", r#"{"message":"URI not found"}"#),
        answer(502, "", ""),
        Do::Say(cut),
        Do::Close,
        Do::Hang,
    ] {
        let server = serve(move |_| say.clone()).await;
        let mut options = options(vec![server.url.clone()]);
        options.read_timeout = Duration::from_millis(200);
        let client = Client::new(options).unwrap();
        let seen = client.look_at_all(&[all()]).await;
        let kinds: Vec<GapKind> = seen.gaps.iter().map(|g| g.what).collect();
        let mut expected = vec![
            GapKind::Apps,
            GapKind::Pods,
            GapKind::Deployments,
            GapKind::Queue,
            GapKind::Info,
        ];
        // A Marathon that says so of the pods has none.
        expected.retain(|kind| *kind != GapKind::Pods || !seen.gaps[0].why.contains("URI not found"));
        assert_eq!(kinds, expected, "{:?}", seen.gaps);
        assert!(seen.apps.is_empty() && seen.info.is_none());
        assert!(client.look_at_one(&"/a".into()).await.is_err());
    }
}

#[tokio::test]
async fn reads_go_on_to_the_next_node_only_where_it_may_know_better() {
    for (first, moves_on) in [
        (answer(502, "text/html", "<p>"), true),
        (answer(503, "", ""), true),
        (answer(504, "", ""), true),
        (answer(500, "", ""), true),
        (answer(500, "application/json", r#"{"message":"m"}"#), false),
        (answer(403, "", ""), false),
        (answer(404, "", ""), false),
    ] {
        let bad = serve(move |_| first.clone()).await;
        let good = serve(well).await;
        let client = client(vec![nobody().await, bad.url.clone(), good.url.clone()]);
        assert_eq!(client.look_at_one(&"/a".into()).await.is_ok(), moves_on);
        assert_eq!(good.asked().len(), usize::from(moves_on));
    }
}

#[tokio::test]
async fn only_marathons_own_404_says_that_there_is_no_app() {
    let server = serve(well).await;
    assert_eq!(
        client(vec![server.url.clone()]).look_at_one(&"/b".into()).await,
        Ok(None)
    );
    for body in [
        "<html>",
        "",
        r#"{"message":"App '/c' does not exist"}"#,
        r#"{"message":"HTTP 404 Not Found"}"#,
    ] {
        let server = serve(move |_| answer(404, "application/json", body)).await;
        assert!(
            client(vec![server.url.clone()])
                .look_at_one(&"/b".into())
                .await
                .is_err(),
            "{body}"
        );
    }
    let other = serve(|_| json(&format!(r#"{{"app":{APP}}}"#))).await;
    assert!(
        client(vec![other.url.clone()])
            .look_at_one(&"/b".into())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn redirects_are_followed_with_credentials_to_listed_hosts_only() {
    let leader = serve(well).await;
    let to = format!("Location: {}v2/apps/a\r\n", leader.url);
    let follower = serve(move |_| answer_with(302, &to, "")).await;
    let strict = client(vec![follower.url.clone()]);
    assert!(
        strict
            .look_at_one(&"/a".into())
            .await
            .unwrap_err()
            .why
            .contains("not among the hosts")
    );
    assert!(leader.asked().is_empty());
    let mut options = options(vec![follower.url.clone()]);
    options
        .allowed_hosts
        .insert(format!("127.0.0.1:{}", leader.url.port().unwrap()));
    assert!(
        Client::new(options)
            .unwrap()
            .look_at_one(&"/a".into())
            .await
            .is_ok()
    );
    assert!(leader.asked()[0].contains("authorization: Basic dTpw"));
}

#[test]
fn credentials_do_not_leave_tls_and_the_leader_comes_first() {
    let url = |text: &str| Url::parse(text).unwrap();
    let mut tls = options(vec![
        url("https://m1:8443"),
        url("https://m2:8443/service/marathon"),
    ]);
    tls.allowed_hosts.insert("m3".into());
    let client = Client::new(tls).unwrap();
    assert!(client.may_go_to(&url("https://m3:1")) && !client.may_go_to(&url("http://m3:1")));
    assert!(!client.may_go_to(&url("http://m1:8443")));
    let mut headers = HeaderMap::new();
    for (leader, first) in [
        ("https://m2:8443", "/service/marathon"),
        ("http://evil", "/"),
        ("no url", "/"),
    ] {
        headers.insert("x-marathon-leader", leader.parse().unwrap());
        client.remember_leader(&headers);
        assert_eq!(client.nodes()[0].path(), first, "{leader}");
    }
}

#[test]
fn unusable_options_are_refused_with_a_sentence() {
    let url = |text: &str| Url::parse(text).unwrap();
    assert!(Client::new(options(vec![])).is_err());
    assert!(Client::new(options(vec![url("ftp://m")])).is_err());
    let refused = Client::new(options(vec![url("http://u:secret@m")]))
        .err()
        .unwrap()
        .to_string();
    assert!(!refused.contains("secret"));
    let mut login = options(vec![url("https://m")]);
    login.auth = Auth::DcosServiceAccount(crate::marathon::ServiceAccount {
        login_url: url("http://m/acs/api/v1/auth/login"),
        uid: "x".into(),
        key: std::sync::Arc::new(|| Ok("key".to_owned().into())),
    });
    assert!(Client::new(login).err().unwrap().why.contains("https"));
}

fn gzipped(body: &str) -> Vec<u8> {
    use std::io::Write;
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(body.as_bytes()).unwrap();
    writer.finish().unwrap()
}

fn zipped_answer(body: &[u8]) -> Do {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    Do::Say([head.as_bytes(), body].concat())
}

#[tokio::test]
async fn lists_are_asked_for_packed_and_read_so() {
    let packed = gzipped(&format!(r#"{{"apps":[{APP}]}}"#));
    let server = serve(move |request| {
        if request.starts_with("GET /v2/apps?") {
            zipped_answer(&packed)
        } else {
            well(request)
        }
    })
    .await;
    let seen = client(vec![server.url.clone()]).look_at_all(&[all()]).await;
    assert!(seen.gaps.is_empty(), "{:?}", seen.gaps);
    assert!(seen.apps.contains_key(&"/a".into()));
    let asked = server.asked();
    let list = asked.iter().find(|r| r.starts_with("GET /v2/apps?")).unwrap();
    assert!(
        list.to_ascii_lowercase()
            .contains("\r\naccept-encoding: gzip\r\n"),
        "{list}"
    );
}

#[tokio::test]
async fn a_body_without_end_is_cut_off_at_the_limit_packed_or_not() {
    let long = format!(r#"{{"apps":[{}]}}"#, " ".repeat(300_000));
    let packed = gzipped(&long);
    assert!(packed.len() < 1_000);
    for say in [json(&long), zipped_answer(&packed)] {
        let server = serve(move |_| say.clone()).await;
        let mut options = options(vec![server.url.clone()]);
        (options.max_list_bytes, options.max_body_bytes) = (200_000, 4_000);
        let client = Client::new(options).unwrap();
        let seen = client.look_at_all(&[all()]).await;
        let whys: Vec<&str> = seen.gaps.iter().map(|g| g.why.as_str()).collect();
        assert!(
            whys[0].contains("it is longer than 200000 bytes, and no more is read of it"),
            "{whys:?}"
        );
        assert!(
            whys.last().unwrap().contains("sent more than 4000 bytes"),
            "{whys:?}"
        );
        assert!(client.look_at_one(&"/a".into()).await.is_err());
    }
    // Just at the limit is not over it.
    let exact = format!(r#"{{"apps":[{APP}]}}"#);
    let mut options = options(vec![]);
    options.max_list_bytes = exact.len();
    let server = serve(move |request| {
        if request.starts_with("GET /v2/apps?") {
            json(&exact)
        } else {
            well(request)
        }
    })
    .await;
    options.urls = vec![server.url.clone()];
    let seen = Client::new(options).unwrap().look_at_all(&[all()]).await;
    assert!(seen.gaps.is_empty(), "{:?}", seen.gaps);
}

#[tokio::test]
async fn a_list_cut_anywhere_is_never_a_shorter_list() {
    let tasks: Vec<String> = (0..40)
        .map(|n| {
            format!(r#"{{"id":"a.instance-{n}._app.1","appId":"/a","host":"h","state":"TASK_RUNNING"}}"#)
        })
        .collect();
    let body = format!(
        r#"{{"apps":[{{"id":"/a","instances":40,"deployments":[],"tasks":[{}]}}]}}"#,
        tasks.join(",")
    );
    let mut places: Vec<usize> = (0..body.len()).step_by(1_000).collect();
    places.push(body.len() - 1);
    for place in places {
        let cut = body[..place].to_owned();
        // Cut by the connection, and cut as if that were all of it.
        let announced = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{cut}",
            body.len()
        );
        for say in [Do::Say(announced.into()), json(&cut)] {
            let server = serve(move |request| {
                if request.starts_with("GET /v2/apps?") {
                    say.clone()
                } else {
                    well(request)
                }
            })
            .await;
            let seen = client(vec![server.url.clone()]).look_at_all(&[all()]).await;
            assert!(!seen.is_whole() && seen.apps.is_empty(), "at byte {place}");
            assert!(
                seen.gaps[0].why.starts_with("the app list could not be read"),
                "{:?}",
                seen.gaps
            );
        }
    }
}

#[tokio::test]
async fn two_403s_are_told_apart_by_their_words() {
    for (message, words) in [
        (
            "Max number (100) of running deployments is achieved.",
            "too many running deployments",
        ),
        ("Not Authorized to perform this action!", "check the permissions"),
    ] {
        let body = format!(r#"{{"message":"{message}"}}"#);
        let server = serve(move |_| answer(403, "application/json", &body)).await;
        let why = client(vec![server.url.clone()])
            .look_at_one(&"/a".into())
            .await
            .unwrap_err()
            .why;
        assert!(why.contains(words), "{why}");
    }
}

#[tokio::test]
async fn big_lists_are_read_one_at_a_time() {
    use std::sync::atomic::{AtomicI32, Ordering};
    // Served by one task for each connection: what overlaps would be seen to.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (under_way, most) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicI32::new(0)));
    let (inside, peak) = (under_way.clone(), most.clone());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut socket, _)) = listener.accept().await {
            let (inside, peak) = (inside.clone(), peak.clone());
            tokio::spawn(async move {
                let mut asked = vec![0; 4096];
                let read = socket.read(&mut asked).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&asked[..read]).into_owned();
                let list = request.starts_with("GET /v2/apps?");
                if list {
                    peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
                if let Do::Say(bytes) = well(&request) {
                    let _ = socket.write_all(&bytes).await;
                }
            });
        }
    });
    let client = client(vec![url]);
    let queries = [all(), all()];
    let (a, b, c) = tokio::join!(
        client.look_at_all(&queries),
        client.look_at_all(&queries),
        client.list_once(&queries[0])
    );
    assert!(
        a.gaps.is_empty() && b.gaps.is_empty() && c == Ok(1),
        "{:?} {c:?}",
        a.gaps
    );
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_idle_relist_is_one_request() {
    let server = serve(well).await;
    assert_eq!(client(vec![server.url.clone()]).list_once(&all()).await, Ok(1));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn whatever_a_node_says_to_a_ping_we_are_not_cut_off_and_when_none_speaks_we_are() {
    let server = serve(|_| answer(503, "text/plain", "no leader")).await;
    assert_eq!(client(vec![server.url.clone()]).answers().await, Ok(()));
    assert!(
        server.asked().join("").contains("GET /ping "),
        "{:?}",
        server.asked()
    );
    let (gone, other) = (nobody().await, serve(well).await);
    assert_eq!(
        client(vec![gone.clone(), other.url.clone()]).answers().await,
        Ok(())
    );
    let why = client(vec![gone]).answers().await.unwrap_err();
    assert!(why.contains("127.0.0.1"), "{why}");
}

#[tokio::test]
async fn bad_lists_are_sentences_and_never_apps() {
    let bomb = format!(r#"{{"apps":[{}{}]}}"#, "[".repeat(200_000), "]".repeat(200_000));
    let with = |what: &str| {
        let app = r#"{"id":"/a","instances":1,"deployments":[],"tasks":[{"id":"a.1","appId":"/a","host":"h","state":"TASK_RUNNING"}]}"#;
        format!(r#"{{"apps":[{}]}}"#, app.replacen(r#""instances":1"#, what, 1))
    };
    for (body, words) in [
        (bomb.into_bytes(), "without a readable id"),
        (with(r#""instances":1e400"#).into_bytes(), "could not be read"),
        (
            with(r#""instances":18446744073709551616"#).into_bytes(),
            "could not be read",
        ),
        (with(r#""instances":1.5"#).into_bytes(), "could not be read"),
        (
            with(r#""instances":1,"instances":2"#).into_bytes(),
            "duplicate field",
        ),
        (
            with(r#""instances":1,"tasks":[]"#).into_bytes(),
            "duplicate field",
        ),
        (
            [b"{\"apps\":[{\"id\":\"/a".as_slice(), b"\xff\xfe\"}]}"].concat(),
            "could not be read",
        ),
        (
            with(r#""instances":1"#)
                .replace("\"/a\"", "\"/shop/../a\"")
                .into_bytes(),
            "app id",
        ),
        (
            with(r#""instances":1"#)
                .replace("\"/a\"", "\"/a\\u0007\"")
                .into_bytes(),
            "app id",
        ),
        (
            with(r#""instances":1"#)
                .replace(r#""appId":"/a""#, r#""appId":"/gone""#)
                .into_bytes(),
            "says it belongs to \"/gone\"",
        ),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let list = Do::Say(
            [
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                )
                .as_bytes(),
                &body,
            ]
            .concat(),
        );
        let server = serve(move |request| {
            if request.starts_with("GET /v2/apps?") {
                list.clone()
            } else {
                well(request)
            }
        })
        .await;
        let seen = client(vec![server.url.clone()]).look_at_all(&[all()]).await;
        assert!(seen.apps.is_empty(), "{shown}");
        assert!(seen.gaps[0].why.contains(words), "{shown}: {}", seen.gaps[0].why);
        assert!(
            !seen.gaps[0].why.chars().any(char::is_control),
            "{:?}",
            seen.gaps[0].why
        );
    }
}
