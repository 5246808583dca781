use super::*;
use crate::marathon::pretend::{Do, answer, client, json, nobody, options, serve};
use std::sync::atomic::{AtomicU32, Ordering};

struct Look(Option<&'static str>, AtomicU32);

impl LastLook for Look {
    fn closed(&self) -> Option<String> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.map(str::to_owned)
    }
}

fn open() -> Look {
    Look(None, AtomicU32::new(0))
}

fn order() -> KillOrder {
    KillOrder {
        intent: "r-7Q2MK4XN/2".into(),
        tasks: vec!["web.instance-1._app.1".into(), "web.instance-2._app.4".into()],
        pod: None,
        timeout: Duration::from_secs(10),
    }
}

async fn kill(say: Do) -> (KillAnswer, Vec<String>) {
    let server = serve(move |_| say.clone()).await;
    let answer = send_once(&client(vec![server.url.clone()]), &order(), &open()).await;
    (answer, server.asked())
}

#[tokio::test]
async fn a_kill_is_exactly_these_bytes() {
    let (answer, asked) = kill(json(r#"{"tasks":[{"id":"web.instance-1._app.2","x":1}]}"#)).await;
    assert_eq!(
        answer,
        KillAnswer::Accepted {
            tasks: vec!["web.instance-1._app.2".into()]
        }
    );
    assert_eq!(asked.len(), 1);
    let (head, body) = asked[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(
        body,
        r#"{"ids":["web.instance-1._app.1","web.instance-2._app.4"]}"#
    );
    let mut lines: Vec<&str> = head.split("\r\n").filter(|l| !l.starts_with("host:")).collect();
    assert_eq!(lines.remove(0), "POST /v2/tasks/delete HTTP/1.1");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "accept: application/json",
            "authorization: Basic dTpw",
            "content-length: 57",
            "content-type: application/json",
            concat!("user-agent: heartbreak/", env!("CARGO_PKG_VERSION")),
            "x-heartbreak-intent: r-7Q2MK4XN/2",
        ]
    );
}

#[tokio::test]
async fn nothing_is_written_when_the_last_look_says_no() {
    let server = serve(|_| json(r#"{"tasks":[]}"#)).await;
    let look = Look(Some("halted"), AtomicU32::new(0));
    let answer = send_once(&client(vec![server.url.clone()]), &order(), &look).await;
    assert_eq!(answer, KillAnswer::NotSent { why: "halted".into() });
    assert_eq!(look.1.load(Ordering::SeqCst), 1);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_passed_over_before_the_last_look() {
    let server = serve(|_| json(r#"{"tasks":[]}"#)).await;
    let look = open();
    let answer = send_once(&client(vec![nobody().await, server.url.clone()]), &order(), &look).await;
    assert_eq!(answer, KillAnswer::Accepted { tasks: vec![] });
    let look = open();
    let answer = send_once(&client(vec![nobody().await]), &order(), &look).await;
    assert!(matches!(answer, KillAnswer::NotSent { .. }), "{answer:?}");
    assert_eq!(look.1.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn after_the_write_no_other_node_is_tried() {
    for say in [
        Do::Close,
        answer(502, "text/html", "<p>"),
        answer(500, "", ""),
        answer(503, "", ""),
    ] {
        let first = serve(move |_| say.clone()).await;
        let second = serve(|_| json(r#"{"tasks":[]}"#)).await;
        let client = client(vec![first.url.clone(), second.url.clone()]);
        let answer = send_once(&client, &order(), &open()).await;
        assert!(matches!(answer, KillAnswer::Unanswered { .. }), "{answer:?}");
        assert_eq!((first.asked().len(), second.asked().len()), (1, 0));
    }
}

#[tokio::test]
async fn silence_and_a_truncated_answer_are_no_answer() {
    let server = serve(|_| Do::Hang).await;
    let short = KillOrder {
        timeout: Duration::from_millis(50),
        ..order()
    };
    let said = send_once(&client(vec![server.url.clone()]), &short, &open()).await;
    assert!(matches!(said, KillAnswer::Unanswered { .. }), "{said:?}");
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"tasks\":[]}".to_vec();
    assert!(matches!(
        kill(Do::Say(cut)).await.0,
        KillAnswer::Unanswered { .. }
    ));
}

#[test]
fn only_definite_answers_are_taken_as_definite() {
    let leaderless = b"<h1>Could not determine the current leader</h1>";
    for (status, body, refused) in [
        (400, &b"{}"[..], true),
        (401, b"<html>", true),
        (403, b"", true),
        (404, b"", true),
        (409, b"", true),
        (422, b"", true),
        (502, leaderless, true),
        (502, b"", false),
        (500, leaderless, false),
        (503, b"", false),
        (504, b"", false),
        (302, b"", false),
        (201, br#"{"tasks":[]}"#, false),
        (405, b"", false),
        (200, b"<html>", false),
        (200, b"", false),
        (200, br#"{"version":"x","deploymentId":"y"}"#, false),
        (200, br#"{"tasks":[{"host":"a"}]}"#, false),
    ] {
        let answer = judge(status, body, &order());
        assert_eq!(
            matches!(answer, KillAnswer::Refused { .. }),
            refused,
            "{status}: {answer:?}"
        );
        assert_eq!(
            matches!(answer, KillAnswer::Unanswered { .. }),
            !refused,
            "{status}: {answer:?}"
        );
    }
}

#[test]
fn a_permit_for_another_step_does_not_fit() {
    assert!(belongs(&"r-7Q2MK4XN/2".into(), 2).is_ok());
    for (intent, step) in [("r-7Q2MK4XN/2", 1), ("r-7Q2MK4XN/12", 2), ("2", 2), ("r/02", 2)] {
        assert!(belongs(&intent.into(), step).is_err(), "{intent} {step}");
    }
}

#[tokio::test]
async fn an_order_without_tasks_or_without_a_password_is_not_sent() {
    let server = serve(|_| json(r#"{"tasks":[]}"#)).await;
    let none = KillOrder {
        tasks: vec![],
        ..order()
    };
    let answer = send_once(&client(vec![server.url.clone()]), &none, &open()).await;
    assert!(matches!(answer, KillAnswer::NotSent { .. }));
    let mut options = options(vec![server.url.clone()]);
    let first = AtomicU32::new(0);
    options.auth = crate::marathon::Auth::DcosToken(std::sync::Arc::new(move || {
        if first.fetch_add(1, Ordering::SeqCst) == 0 {
            Ok("t".to_owned().into())
        } else {
            Err("gone".into())
        }
    }));
    let answer = send_once(&Client::new(options).unwrap(), &order(), &open()).await;
    assert_eq!(answer, KillAnswer::NotSent { why: "gone".into() });
    assert!(server.asked().is_empty());
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_kernel_gives_up_on_a_kill_when_we_do() {
    let server = serve(|_| Do::Hang).await;
    let tcp = TcpStream::connect(("127.0.0.1", server.url.port().unwrap()))
        .await
        .unwrap();
    set_up(&tcp).unwrap();
    let socket = socket2::SockRef::from(&tcp);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(DELIVERY));
    assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
    assert!(socket.tcp_nodelay().unwrap());
}

#[tokio::test]
async fn a_token_that_a_kill_was_refused_with_is_not_used_again_and_neither_is_the_kill() {
    let server = serve(|_| answer(401, "text/html", "<html>")).await;
    let client = client(vec![server.url.clone()]);
    let said = send_once(&client, &order(), &open()).await;
    assert!(
        matches!(said, KillAnswer::Refused { status: 401, .. }),
        "{said:?}"
    );
    assert_eq!(server.asked().len(), 1);
}
