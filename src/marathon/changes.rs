//! What harms: `POST /v2/tasks/delete` for tasks of apps and `DELETE /v2/pods/{id}::instances` for pods, each
//! written once.
//!
//! Not with reqwest: between the last look and the first byte there must be no queue, no pool and no
//! connection attempt. On Marathon 1.8 and later a request that arrives late kills the replacement, so
//! the socket is set up not to deliver anything after we gave up on it (`TCP_USER_TIMEOUT`, `SO_LINGER` 0).

use super::client::{Client, address, place, refused, sentence};
use super::wire;
use crate::model::ids::{InstanceId, IntentId, TaskId};
use crate::ports::cluster::{KillAnswer, KillOrder, LastLook};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Method;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::Url;

/// Who asks.
pub(super) const AGENT: &str = concat!("heartbreak/", env!("CARGO_PKG_VERSION"));
/// How long the kernel may try to deliver written bytes.
const DELIVERY: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const MOST: usize = 8 << 20;

/// Whether an intent is for the step that a permit lets through.
pub(super) fn belongs(intent: &IntentId, step: u32) -> Result<(), String> {
    match intent.as_str().rsplit_once('/') {
        Some((_, suffix)) if suffix == step.to_string() => Ok(()),
        _ => Err(format!(
            "the permit is for step {step}, not for {intent}: nothing was sent"
        )),
    }
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Connects, asks `last_look`, writes, and reads the answer.
pub(super) async fn send_once(client: &Client, order: &KillOrder, last_look: &dyn LastLook) -> KillAnswer {
    if order.tasks.is_empty() {
        return KillAnswer::NotSent {
            why: "the order names no task".to_owned(),
        };
    }
    let authorization = match client.authorization().await {
        Ok(authorization) => authorization,
        Err(why) => return KillAnswer::NotSent { why },
    };
    let mut failed = Vec::new();
    for node in client.nodes() {
        // Nothing is written before the connection stands, so trying the next node is safe.
        match tokio::time::timeout(client.options.connect_timeout, connect(client, &node)).await {
            Ok(Ok(stream)) => {
                return match request(authorization, &node, order) {
                    Ok(request) => {
                        let answer = talk(stream, request, order, last_look).await;
                        // Whoever leads now may be somebody else: the next look asks anew.
                        client.forget_info();
                        if matches!(answer, KillAnswer::Refused { status: 401, .. }) {
                            client.session.forget();
                        }
                        answer
                    }
                    Err(why) => KillAnswer::NotSent { why },
                };
            }
            Ok(Err(why)) => failed.push(format!("{}: {why}", place(&node))),
            Err(_) => failed.push(format!("{}: no connection in time", place(&node))),
        }
    }
    KillAnswer::NotSent {
        why: format!(
            "no node could be reached, nothing was sent: {}",
            failed.join("; ")
        ),
    }
}

async fn connect(client: &Client, node: &Url) -> Result<Box<dyn Wire>, String> {
    let host = node
        .host_str()
        .ok_or("the address has no host")?
        .trim_matches(['[', ']']);
    let port = node.port_or_known_default().ok_or("the address has no port")?;
    let tcp = TcpStream::connect((host, port))
        .await
        .map_err(|e| e.to_string())?;
    set_up(&tcp)?;
    if node.scheme() != "https" {
        return Ok(Box::new(tcp));
    }
    let name = rustls_pki_types::ServerName::try_from(host.to_owned()).map_err(|e| e.to_string())?;
    let tls = tokio_rustls::TlsConnector::from(client.tls.clone());
    Ok(Box::new(tls.connect(name, tcp).await.map_err(|e| sentence(&e))?))
}

/// Nothing is delivered after we gave up on it.
fn set_up(tcp: &TcpStream) -> Result<(), String> {
    let socket = socket2::SockRef::from(&tcp);
    socket.set_tcp_nodelay(true).map_err(|e| e.to_string())?;
    socket
        .set_linger(Some(Duration::ZERO))
        .map_err(|e| e.to_string())?;
    #[cfg(target_os = "linux")]
    socket
        .set_tcp_user_timeout(Some(DELIVERY))
        .map_err(|e| e.to_string())?;
    Ok(())
}

fn request(
    authorization: Option<hyper::http::HeaderValue>,
    node: &Url,
    order: &KillOrder,
) -> Result<hyper::Request<Full<Bytes>>, String> {
    let (method, url, body) = match &order.pod {
        None => {
            let ids: Vec<&str> = order.tasks.iter().map(TaskId::as_str).collect();
            let url = address(node, &["v2", "tasks", "delete"], &[]);
            (Method::POST, url, serde_json::json!({ "ids": ids }))
        }
        // Never `tasks/delete`: it answers 200 to a pod's task and does nothing.
        Some(pod) => {
            let ids: Vec<&str> = pod.instances.iter().map(InstanceId::as_str).collect();
            let last = format!("{}::instances", pod.pod);
            let path = ["v2", "pods"].into_iter().chain(last.split('/').skip(1));
            let url = address(node, &path.collect::<Vec<_>>(), &[]);
            (Method::DELETE, url, serde_json::json!(ids))
        }
    };
    let body = serde_json::to_vec(&body).map_err(|e| e.to_string())?;
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    // A follower forwards a body without Content-Length as nothing.
    let mut request = hyper::Request::builder()
        .method(method)
        .uri(url.path())
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_LENGTH, body.len())
        .header("X-Heartbreak-Intent", order.intent.as_str());
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    request
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| format!("the request can't be written: {e}"))
}

async fn talk(
    stream: Box<dyn Wire>,
    request: hyper::Request<Full<Bytes>>,
    order: &KillOrder,
    last_look: &dyn LastLook,
) -> KillAnswer {
    let (mut sender, connection) = match hyper::client::conn::http1::handshake(TokioIo::new(stream)).await {
        Ok(both) => both,
        Err(e) => return KillAnswer::NotSent { why: sentence(&e) },
    };
    let exchange = async {
        // No await between this question and handing the request over; the connection is polled next.
        if let Some(why) = last_look.closed() {
            return KillAnswer::NotSent { why };
        }
        let lost = |what: &str, why: String| KillAnswer::Unanswered {
            why: format!("{what}: {why}; the kill may have happened or may yet happen"),
        };
        let answer = async {
            let response = match sender.send_request(request).await {
                Ok(response) => response,
                Err(e) => return lost("the request got no answer", sentence(&e)),
            };
            let status = response.status().as_u16();
            match Limited::new(response.into_body(), MOST).collect().await {
                Ok(body) => judge(status, &body.to_bytes(), order),
                Err(e) => lost(&format!("the answer {status} broke off"), sentence(e.as_ref())),
            }
        };
        match tokio::time::timeout(order.timeout, answer).await {
            Ok(answer) => answer,
            Err(_) => lost(
                "the request got no answer",
                format!("{:?} went by", order.timeout),
            ),
        }
    };
    let mut exchange = std::pin::pin!(exchange);
    let mut connection = std::pin::pin!(connection);
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut exchange => return answer,
            _ = &mut connection, if open => open = false,
        }
    }
}

/// The tasks that an answer of 200 names; of a pod's, those that were asked for and stand for its instances.
fn named(body: &[u8], order: &KillOrder) -> Result<Vec<TaskId>, serde_json::Error> {
    let Some(pod) = &order.pod else {
        let killed = serde_json::from_slice::<wire::Killed>(body)?;
        return Ok(killed.tasks.into_iter().map(|t| TaskId::new(t.id)).collect());
    };
    let killed = serde_json::from_slice::<Vec<wire::KilledInstance>>(body)?;
    let asked = pod.instances.iter().zip(&order.tasks);
    Ok(asked
        .filter(|(instance, _)| killed.iter().any(|k| k.instance_id == instance.as_str()))
        .map(|(_, task)| task.clone())
        .collect())
}

/// What an answer means. Only what is definite is taken as definite.
pub(super) fn judge(status: u16, body: &[u8], order: &KillOrder) -> KillAnswer {
    match status {
        200 => match named(body, order) {
            Ok(tasks) => KillAnswer::Accepted { tasks },
            Err(e) => KillAnswer::Unanswered {
                why: format!(
                    "Marathon answered 200, but no task list could be read from {}: {e}",
                    wire::said(body)
                ),
            },
        },
        400 | 401 | 403 | 404 | 409 | 422 => KillAnswer::Refused {
            status,
            why: refused(status, body),
        },
        502 if String::from_utf8_lossy(body).contains("Could not determine the current leader") => {
            KillAnswer::Refused {
                status,
                why: "Marathon has no leader at the moment (502)".to_owned(),
            }
        }
        _ => KillAnswer::Unanswered {
            why: format!(
                "Marathon answered {status} with {}; the kill may have happened or may yet happen",
                wire::said(body)
            ),
        },
    }
}

#[cfg(test)]
#[path = "changes_test.rs"]
mod tests;
