//! A node that does not lead: it passes everything on to the leader.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPIRES, HOST, LOCATION, TRANSFER_ENCODING};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::election::Part;
use super::http::{Context, lock, page};

const VIA: &str = "x-marathon-via";
/// How long the leader may take to listen.
const CONNECTS: Duration = Duration::from_secs(5);
/// How long the leader may be silent: `--leader_proxy_read_timeout`. Not reckoned to the second, so
/// that a stream whose heart beats as often survives.
const SILENCE: Duration = Duration::from_millis(10_500);

/// Why a request could not be passed on.
enum Failure {
    /// The leader does not listen.
    Refused,
    /// It listens, and says nothing.
    Silent,
    /// It went away in the middle.
    Broken,
}

/// Whether the leader's silence shows as 500, as it does while too many requests are piled up: in
/// these parts of the time without a leader, on the real one.
fn piled_up(share: f64) -> bool {
    (0.050..0.074).contains(&share) || (0.265..0.498).contains(&share)
}

/// Answers for a node that does not lead.
pub(super) async fn pass_on(context: &Context, part: Part, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let (path, accept) = (parts.uri.path(), header("accept"));
    let (leader, version) = {
        let s = lock(&context.state);
        (s.leader.clone(), s.version)
    };
    let via = format!("1.1 {}", context.own);
    if parts.headers.get_all(VIA).iter().any(|v| v == via.as_str()) {
        return page(502, "Detected proxying loop.", path, accept);
    }
    let target = parts.uri.path_and_query().map_or("/", |t| t.as_str());
    if path == "/v2/events" && version.events_redirect() {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = hyper::StatusCode::FOUND;
        if let Ok(v) = format!("http://{leader}{target}").parse() {
            response.headers_mut().insert(LOCATION, v);
        }
        return response;
    }
    let refused = || {
        let status = version.leader_refused_status();
        page(status, "Connection to leader refused.", path, accept)
    };
    if let Part::LeaderGone(share) = part {
        return if version.asynchronous_proxy() && piled_up(share) {
            page(500, "Server Error", path, accept)
        } else {
            refused()
        };
    }
    let Ok(permit) = Arc::clone(&context.proxied).try_acquire_owned() else {
        return page(500, "Server Error", path, accept);
    };
    // One proxy loses bodies whose length is not said, the other those of DELETE.
    let lost = if version.asynchronous_proxy() {
        !parts.headers.contains_key(CONTENT_LENGTH)
    } else {
        parts.method == Method::DELETE
    };
    let body = match body.collect().await {
        Ok(body) if !lost => body.to_bytes(),
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
    let streams = path == "/v2/events";
    let (head, mut rest) = match ask(&leader, onward).await {
        Ok(response) => response.into_parts(),
        Err(Failure::Refused) => return refused(),
        Err(Failure::Silent) if version.asynchronous_proxy() => {
            return page(500, "Server Error", path, accept);
        }
        Err(Failure::Silent) => {
            return page(version.leader_silent_status(), "Gateway Timeout", path, accept);
        }
        Err(Failure::Broken) => return page(502, "Bad Gateway", path, accept),
    };
    let mut response = if streams {
        let frames = as_it_comes(rest, permit);
        Response::from_parts(head, Body::from_stream(frames))
    } else {
        let mut whole = Vec::new();
        loop {
            match timeout(SILENCE, rest.frame()).await {
                Ok(Some(Ok(frame))) => whole.extend_from_slice(frame.data_ref().map_or(&[][..], |d| d)),
                Ok(None) => break,
                Ok(Some(Err(_))) | Err(_) => return super::http::dropped(),
            }
        }
        Response::from_parts(head, Body::from(whole))
    };
    let headers = response.headers_mut();
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    if headers.get(EXPIRES).is_some_and(|v| v == "0")
        && let Ok(v) = "Wed, 01 Jan 1800 00:00:00 GMT".parse()
    {
        headers.insert(EXPIRES, v);
    }
    // What has no body says so, in words of this proxy.
    if let (None, true, Ok(v)) = (
        headers.get(CONTENT_TYPE),
        headers.contains_key(LOCATION),
        "none/none".parse(),
    ) {
        headers.insert(CONTENT_TYPE, v);
    }
    if let Ok(v) = via.parse() {
        headers.insert(VIA, v);
    }
    response
}

/// A body passed on as it comes; it breaks off when nothing comes for too long.
fn as_it_comes(
    body: Incoming,
    permit: tokio::sync::OwnedSemaphorePermit,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    futures_util::stream::unfold(Some((body, permit)), |open| async move {
        let (mut body, permit) = open?;
        match timeout(SILENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap_or_default();
                Some((Ok(data), Some((body, permit))))
            }
            Ok(None) => None,
            Ok(Some(Err(_))) | Err(_) => Some((Err(std::io::Error::other("the leader fell silent")), None)),
        }
    })
    .boxed()
}

/// One request on a connection of its own.
async fn ask(leader: &str, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
    let address: SocketAddr = leader.parse().map_err(|_| Failure::Refused)?;
    let stream = match timeout(CONNECTS, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        _ => return Err(Failure::Refused),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::Broken)?;
    // It ends when the response has been read or dropped.
    tokio::spawn(connection);
    match timeout(SILENCE, sender.send_request(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(_)) => Err(Failure::Broken),
        Err(_) => Err(Failure::Silent),
    }
}
