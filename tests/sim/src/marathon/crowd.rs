//! Generated apps among the others: read, and nothing else.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use hyper::header::{CONTENT_ENCODING, HeaderValue};
use hyper::{Method, Response};

use super::definition;
use super::routes::{Answer, Asked};
use super::selector::Selector;
use super::show::Embed;
use super::state::State;
use crate::generate::{Generator, Rows};

/// So much is written at once.
const PIECE: usize = 64 * 1024;

/// The answer to a read that generated apps have a part in.
pub(super) fn answer(asked: &Asked, s: &mut State, leader: &str, zipped: bool) -> Option<Response<Body>> {
    let crowd = s.crowd.clone().filter(|_| asked.method == Method::GET)?;
    let path = asked.path.trim_end_matches('/');
    if let Some(rest) = path.strip_prefix("/v2/apps/") {
        return one(&crowd, rest)
            .map(|text| Answer::text(200, "application/json", &text).into_response(leader, zipped));
    }
    let tasks = match path {
        "/v2/apps" => false,
        "/v2/tasks" => true,
        _ => return None,
    };
    let others = asked.answer(s, false);
    let selector = Selector::read(asked.first("label").unwrap_or_default(), s.version).ok()?;
    let head = others
        .body
        .strip_suffix("]}")
        .filter(|_| others.status == 200)?
        .to_owned();
    let embed = Embed::read(asked.all("embed"));
    let id = asked.first("id").unwrap_or_default().to_lowercase();
    let cmd = asked.first("cmd").unwrap_or_default().to_lowercase();
    let status: Vec<&str> = asked.all("status").chain(asked.all("status[]")).collect();
    let is = |wanted: &str| status.iter().any(|s| s.eq_ignore_ascii_case(wanted));
    let rows = Rows {
        services: true,
        running_only: is("running") || is("staging"),
    };
    let wanted = move |crowd: &Generator, n: u32| {
        crowd.id(n).contains(&id) && crowd.cmd(n).contains(&cmd) && selector.matches(&crowd.labels(n))
    };
    let write = move |crowd: &Generator, n: u32, to: &mut String| {
        if tasks {
            crowd.write_rows(n, rows, to);
        } else if wanted(crowd, n) {
            crowd.write_app(n, embed.tasks, to);
        }
    };
    let pieces = pieces(head, crowd, write);
    let mut response = Answer {
        body: String::new(),
        ..others
    }
    .into_response(leader, false);
    *response.body_mut() = if zipped {
        let name = HeaderValue::from_static("gzip");
        response.headers_mut().insert(CONTENT_ENCODING, name);
        Body::from_stream(stream::iter(gzip(pieces)))
    } else {
        Body::from_stream(stream::iter(
            pieces.map(|piece| Ok::<_, Infallible>(Bytes::from(piece))),
        ))
    };
    Some(response)
}

/// One app, or its tasks.
fn one(crowd: &Generator, rest: &str) -> Option<String> {
    let (id, tasks) = match rest.strip_suffix("/tasks") {
        Some(id) => (id, true),
        None => (rest, false),
    };
    let n = crowd.number(&definition::canonical(id))?;
    let mut text = String::new();
    if tasks {
        crowd.write_rows(n, Rows::default(), &mut text);
        return Some(format!("{{\"tasks\":[{text}]}}"));
    }
    crowd.write_app(n, true, &mut text);
    Some(format!("{{\"app\":{text}}}"))
}

/// What stands before, then one generated app after the other, each made when its turn comes.
fn pieces(
    head: String,
    crowd: Arc<Generator>,
    write: impl Fn(&Generator, u32, &mut String) + Send + 'static,
) -> impl Iterator<Item = String> + Send + 'static {
    let mut first = head.ends_with('[');
    let mut begun = Some(head);
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let mut n = next?;
        let mut piece = begun.take().unwrap_or_default();
        while n < crowd.shape().apps && piece.len() < PIECE {
            let mut part = String::new();
            write(&crowd, n, &mut part);
            if !part.is_empty() {
                if !std::mem::take(&mut first) {
                    piece.push(',');
                }
                piece += &part;
            }
            n += 1;
        }
        next = (n < crowd.shape().apps).then_some(n);
        if next.is_none() {
            piece += "]}";
        }
        Some(piece)
    })
}

/// The same, compressed as it goes.
fn gzip(
    mut pieces: impl Iterator<Item = String> + Send + 'static,
) -> impl Iterator<Item = std::io::Result<Bytes>> + Send + 'static {
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    std::iter::from_fn(move || {
        let mut open = encoder.take()?;
        let Some(piece) = pieces.next() else {
            return Some(open.finish().map(Bytes::from));
        };
        let written = open.write_all(piece.as_bytes());
        let ready = std::mem::take(open.get_mut());
        encoder = Some(open);
        Some(written.map(|()| Bytes::from(ready)))
    })
    // A compressor keeps much to itself before it gives some away.
    .filter(|piece| piece.as_ref().map_or(true, |piece| !piece.is_empty()))
}

#[cfg(test)]
mod tests {
    use crate::asking::ask;
    use crate::generate::{Generator, Shape};
    use crate::{AppSpec, Sim, SimConfig};
    use flate2::read::GzDecoder;
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    fn json(chunked: &str) -> Value {
        // Chunks of the transfer coding: a length in hexadecimal, then so many bytes.
        if chunked.starts_with('{') {
            return serde_json::from_str(chunked).unwrap();
        }
        let (mut rest, mut text) = (chunked, String::new());
        while let Some((length, after)) = rest.split_once("\r\n") {
            let length = usize::from_str_radix(length, 16).unwrap();
            text += &after[..length];
            rest = &after[length + 2..];
        }
        serde_json::from_str(&text).unwrap()
    }

    /// What is answered to somebody who takes gzip.
    async fn unzipped(at: std::net::SocketAddr, path: &str) -> Value {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let text = format!("GET {path} HTTP/1.0\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        let end = said.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&said[..end]).to_lowercase();
        assert!(head.contains("content-encoding: gzip"), "{head}");
        let body = GzDecoder::new(&said[end + 4..]);
        serde_json::from_reader(body).unwrap()
    }

    #[tokio::test]
    async fn generated_apps_stand_among_the_others_and_run_on_listed_agents() {
        let shape = Shape::new(200, 5);
        let sim = Sim::start(SimConfig {
            apps: vec![AppSpec::new("/web", 2)],
            generate: Some(shape),
            ..SimConfig::default()
        })
        .await
        .unwrap();
        let get = async |path: &str| {
            let (status, _, body) = ask(sim.address(), "GET", path, "").await;
            assert_eq!(status, 200, "{path}: {body}");
            json(&body)
        };
        let all = get("/v2/apps?embed=apps.tasks").await;
        let apps = all["apps"].as_array().unwrap();
        assert_eq!(apps.len(), 201);
        let agents = sim.with(|s| {
            (0..s.agents().len())
                .map(|n| s.agent_id(crate::Agent(n)))
                .collect::<Vec<_>>()
        });
        let row = &apps[77]["tasks"][3];
        assert!(agents.iter().any(|id| row["slaveId"] == *id.as_str()), "{row}");
        for (query, count) in [
            ("label=chaos%3D%3Dopt-in", 20),
            ("label=chaos", 20),
            ("id=-0001", 10),
            ("id=web", 1),
            ("cmd=service-00011", 1),
        ] {
            let found = get(&format!("/v2/apps?{query}")).await;
            let found = found["apps"].as_array().unwrap();
            assert_eq!(found.len(), count, "{query}");
            assert!(found[0].get("tasks").is_none());
        }
        let zipped = unzipped(sim.address(), "/v2/apps?embed=apps.tasks").await;
        assert_eq!(zipped, all);
        let id = Generator::new(shape).id(7);
        assert_eq!(
            get(&format!("/v2/apps/{id}")).await["app"]["tasks"],
            apps[8]["tasks"]
        );
        let tasks = get("/v2/tasks").await;
        assert_eq!(tasks["tasks"].as_array().unwrap().len(), 2 + 200 * 5);
        let running = get("/v2/tasks?status=running").await;
        let running = running["tasks"].as_array().unwrap();
        assert!(running.len() < 1002 && running.iter().all(|r| r["state"] == "TASK_RUNNING"));
        sim.stop().await;
    }
}
