//! A second node: it passes everything on to the leader, and leads when the leader is gone.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, LOCATION, TRANSFER_ENCODING};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::routes::Answer;

const VIA: &str = "x-marathon-via";

/// What a node knows that need not be the leader.
#[derive(Clone, Debug)]
pub struct Standby {
    /// Its own host and port, as the leader's is written when it leads.
    pub own: String,
}

/// The time without a leader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interregnum {
    pub(super) began: Instant,
    pub(super) lasts: Duration,
}

impl Interregnum {
    /// Whether the leader's silence shows as 500, as it does while too many requests are piled up:
    /// in these parts of the time, on the real one.
    fn piled_up(self) -> bool {
        let gone = self.began.elapsed().as_secs_f64() / self.lasts.as_secs_f64().max(0.001);
        (0.050..0.074).contains(&gone) || (0.265..0.498).contains(&gone)
    }
}

/// A page of the web server itself: nothing of Marathon stands in its head.
fn page(status: u16, reason: &str, path: &str, accept: Option<&str>) -> Response<Body> {
    let mut response = Answer::page(status, reason, path, accept).into_response("");
    response.headers_mut().remove("X-Marathon-Leader");
    response
}

/// Answers for a node that does not lead.
pub(super) async fn pass_on(
    standby: &Standby,
    leader: &str,
    lost: Option<Interregnum>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let (path, accept) = (parts.uri.path(), header("accept"));
    let via = format!("1.1 {}", standby.own);
    if parts.headers.get_all(VIA).iter().any(|v| v == via.as_str()) {
        return page(502, "Detected proxying loop.", path, accept);
    }
    let target = parts.uri.path_and_query().map_or("/", |t| t.as_str());
    if path == "/v2/events" {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = hyper::StatusCode::FOUND;
        if let Ok(v) = format!("http://{leader}{target}").parse() {
            response.headers_mut().insert(LOCATION, v);
        }
        return response;
    }
    if let Some(lost) = lost {
        return if lost.piled_up() {
            page(500, "Server Error", path, accept)
        } else {
            page(502, "Connection to leader refused.", path, accept)
        };
    }
    // A body whose length is not said is not passed on.
    let said = parts.headers.contains_key(CONTENT_LENGTH);
    let body = match body.collect().await {
        Ok(body) if said => body.to_bytes(),
        _ => Bytes::new(),
    };
    let mut onward = Request::new(Full::new(body));
    *onward.method_mut() = parts.method.clone();
    *onward.uri_mut() = target.parse().unwrap_or_default();
    *onward.headers_mut() = parts.headers.clone();
    let headers = onward.headers_mut();
    for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    if let (Ok(host), Ok(via)) = (leader.parse(), via.parse()) {
        headers.insert(HOST, host);
        headers.append(VIA, via);
    }
    if let Ok(v) = "127.0.0.1".parse() {
        headers.append("X-Forwarded-For", v);
    }
    let Ok(mut response) = ask(leader, onward).await else {
        return page(502, "Connection to leader refused.", path, accept);
    };
    let headers = response.headers_mut();
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    if let Ok(v) = via.parse() {
        headers.insert(VIA, v);
    }
    response
}

/// One request on a connection of its own.
async fn ask(leader: &str, request: Request<Full<Bytes>>) -> Result<Response<Body>, ()> {
    let address: SocketAddr = leader.parse().map_err(|_| ())?;
    let stream = TcpStream::connect(address).await.map_err(|_| ())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| ())?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|_| ())?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| ())?.to_bytes();
    driver.abort();
    Ok(Response::from_parts(parts, Body::from(body)))
}
