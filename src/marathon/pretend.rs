//! A server for tests that answers one connection after the other with fixed bytes, and keeps what it was
//! sent.

use super::client::{Client, Options};
use super::{Auth, TlsFiles};
use crate::ports::clock::Clock;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

/// What to do with a request.
#[derive(Clone)]
pub(super) enum Do {
    /// Write these bytes and close.
    Say(Vec<u8>),
    /// Write these bytes, say nothing more, and stay.
    SayAndHang(Vec<u8>),
    /// Say nothing and stay.
    Hang,
    /// Close at once.
    Close,
}

pub(super) fn answer(status: u16, kind: &str, body: &str) -> Do {
    answer_with(status, &format!("Content-Type: {kind}\r\n"), body)
}

pub(super) fn answer_with(status: u16, head: &str, body: &str) -> Do {
    let length = body.len();
    Do::Say(
        format!("HTTP/1.1 {status} X\r\n{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .into(),
    )
}

pub(super) fn json(body: &str) -> Do {
    answer(200, "application/json", body)
}

pub(super) struct Server {
    pub url: Url,
    pub got: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn asked(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }
}

/// Serves until the test ends; `choose` sees the whole request.
pub(super) async fn serve(choose: impl Fn(&str) -> Do + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = got.clone();
    let choose = Arc::new(choose);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (kept, choose) = (kept.clone(), choose.clone());
            tokio::spawn(async move {
                let mut text = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    match socket.read(&mut buffer).await {
                        Ok(0) | Err(_) => return,
                        Ok(n) => text.extend_from_slice(&buffer[..n]),
                    }
                    let request = String::from_utf8_lossy(&text).into_owned();
                    let Some((head, body)) = request.split_once("\r\n\r\n") else {
                        continue;
                    };
                    let length = head
                        .to_ascii_lowercase()
                        .split("content-length: ")
                        .nth(1)
                        .and_then(|t| t.split("\r\n").next()?.parse::<usize>().ok())
                        .unwrap_or(0);
                    if body.len() >= length {
                        break;
                    }
                }
                let request = String::from_utf8(text).unwrap();
                kept.lock().unwrap().push(request.clone());
                match choose(&request) {
                    Do::Say(bytes) => {
                        socket.write_all(&bytes).await.ok();
                        socket.shutdown().await.ok();
                        // Wait for the other side, so that nothing is cut off by a reset.
                        let _closed = socket.read(&mut buffer).await;
                    }
                    Do::SayAndHang(bytes) => {
                        socket.write_all(&bytes).await.ok();
                        std::future::pending().await
                    }
                    Do::Hang => std::future::pending().await,
                    Do::Close => {}
                }
            });
        }
    });
    Server { url, got }
}

/// An address at which nobody listens.
pub(super) async fn nobody() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
}

/// Time that stands still until a test moves it.
pub(super) struct HandClock(tokio::sync::watch::Sender<Duration>);

impl HandClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(tokio::sync::watch::Sender::new(Duration::ZERO)))
    }

    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|elapsed| *elapsed += by);
    }
}

#[async_trait::async_trait]
impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        let noon = DateTime::parse_from_rfc3339("2026-11-23T12:00:00Z").unwrap();
        noon.to_utc() + *self.0.borrow()
    }
    fn elapsed(&self) -> Duration {
        *self.0.borrow()
    }
    async fn sleep(&self, duration: Duration) {
        let until = self.elapsed() + duration;
        let mut changes = self.0.subscribe();
        changes.wait_for(|now| *now >= until).await.unwrap();
    }
}

pub(super) fn options(urls: Vec<Url>) -> Options {
    Options {
        cluster: "c".into(),
        urls,
        auth: Auth::Basic {
            user: "u".into(),
            password: Arc::new(|| Ok("p".to_owned().into())),
        },
        tls: TlsFiles::default(),
        allowed_hosts: BTreeSet::new(),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(10),
        event_silence: Duration::from_secs(10),
        max_list_bytes: 512 << 20,
        max_body_bytes: 8 << 20,
        clock: HandClock::new(),
    }
}

pub(super) fn client(urls: Vec<Url>) -> Client {
    Client::new(options(urls)).unwrap()
}
