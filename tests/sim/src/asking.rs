//! Requests over HTTP for the tests of this package.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Status, head in lower case, and body of the answer to a request with a JSON body or none.
pub async fn ask(to: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let kind = [("Content-Type", "application/json")];
    let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &kind };
    ask_with(to, method, path, headers, body).await
}

/// The same, with these headers.
pub async fn ask_with(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let mut connection = tokio::net::TcpStream::connect(to).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, format!("{}\r\n", head.to_lowercase()), body.to_owned())
}
