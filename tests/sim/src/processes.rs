//! Tasks as real processes, and load balancers in front of them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::marathon::http::{Shared, lock};
use crate::marathon::state::LiveTask;

const PATIENCE: Duration = Duration::from_secs(2);

/// The program every running task is; `--port P` is added to its arguments.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// A port of 127.0.0.1 that was free a moment ago, or 0.
///
/// It is below those the system gives to outgoing connections, and not given twice soon.
#[must_use]
pub fn free_port() -> u16 {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..12_000 {
        let n = start.wrapping_add(TURN.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = u16::try_from(20_000 + n).unwrap_or(0);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    0
}

fn spawn(spec: &ProcessSpec, port: u16) -> io::Result<Child> {
    let (program, args) = spec
        .command
        .split_first()
        .ok_or_else(|| io::Error::other("no program"))?;
    Command::new(program)
        .args(args)
        .args(["--port", &port.to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

/// Keeps one process for every running task until dropped, which kills them all.
pub async fn supervise(state: Shared, spec: ProcessSpec) {
    let mut children: HashMap<String, Child> = HashMap::new();
    loop {
        let live: BTreeMap<String, LiveTask> = lock(&state)
            .live_tasks()
            .into_iter()
            .map(|t| (t.id.clone(), t))
            .collect();
        let gone: Vec<String> = children
            .keys()
            .filter(|id| !live.contains_key(*id))
            .cloned()
            .collect();
        for id in gone {
            if let Some(mut child) = children.remove(&id) {
                let _ = child.kill().await;
            }
        }
        for (id, task) in live {
            match children.get_mut(&id) {
                Some(child) => {
                    if matches!(child.try_wait(), Ok(Some(_))) {
                        children.remove(&id);
                        lock(&state).fail_task(&id);
                    }
                }
                None => match spawn(&spec, task.port) {
                    Ok(child) => {
                        children.insert(id, child);
                    }
                    Err(why) => {
                        tracing::warn!(%why, "a pretend task could not be started");
                        lock(&state).fail_task(&id);
                    }
                },
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a task does: answers 200 on its port until its standard input ends.
///
/// # Errors
/// The port cannot be had.
pub async fn task_main(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let answering = async {
        let mut open = JoinSet::new();
        loop {
            while open.try_join_next().is_some() {}
            let Ok((mut stream, _)) = listener.accept().await else {
                continue;
            };
            open.spawn(async move {
                if let Some(path) = read_path(&mut stream).await {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    let status = if path == "/" || path == "/health" {
                        "200 OK"
                    } else {
                        "404 Not Found"
                    };
                    let _ = stream.write_all(reply(status, "ok\n").as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            });
        }
    };
    // A thread of its own: tokio's reader of the standard input would hold up the exit.
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = ended.send(());
    });
    tokio::select! {
        () = answering => {}
        _ = end => {}
    }
    Ok(())
}

fn reply(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Reads the head of a request: its path.
async fn read_path(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = timeout(PATIENCE, stream.read(&mut part)).await.ok()?.ok()?;
        if n == 0 || head.len() > 16 * 1024 {
            return None;
        }
        head.extend_from_slice(&part[..n]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    head.split(' ').nth(1).map(str::to_owned)
}

/// One GET on a connection of its own: the whole answer.
///
/// # Errors
/// No connection, no answer in time, or an answer that is no HTTP.
pub async fn exchange(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        if answer.starts_with(b"HTTP/1.1 ") {
            Ok(answer)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    };
    timeout(PATIENCE, talk).await?
}

/// How good a balancer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Uses the healthy tasks of the moment and tries another when one does not answer.
    Sound,
    /// Goes round every backend it ever saw. It tries the next one while no more than one of them is dead, and
    /// from the second on answers 502 whenever the chosen one is.
    Flawed,
}

/// A load balancer of one app, until dropped.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Balancer {
    /// Starts a balancer on a port of its own.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(state: Shared, app: &str, flavour: Flavour) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let app = app.to_owned();
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            let mut seen: Vec<u16> = Vec::new();
            let mut turn = 0_usize;
            let mut look = tokio::time::interval(Duration::from_millis(20));
            loop {
                while open.try_join_next().is_some() {}
                let accepted = tokio::select! {
                    accepted = listener.accept() => Some(accepted),
                    _ = look.tick() => None,
                };
                let up: Vec<u16> = lock(&state).up_tasks(&app).iter().map(|t| t.port).collect();
                for port in &up {
                    if !seen.contains(port) {
                        seen.push(*port);
                    }
                }
                let Some(Ok((stream, _))) = accepted else {
                    continue;
                };
                let dead = seen.len() - up.len();
                let mut backends = match flavour {
                    Flavour::Sound => up,
                    Flavour::Flawed => seen.clone(),
                };
                if !backends.is_empty() {
                    let n = turn % backends.len();
                    backends.rotate_left(n);
                }
                turn = turn.wrapping_add(1);
                if flavour == Flavour::Flawed {
                    backends.truncate(if dead > 1 { 1 } else { 2 });
                }
                open.spawn(pass_on(stream, backends));
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(mut stream: TcpStream, backends: Vec<u16>) {
    let Some(path) = read_path(&mut stream).await else {
        return;
    };
    let mut answer = None;
    for port in backends {
        if let Ok(a) = exchange(SocketAddr::from(([127, 0, 0, 1], port)), &path).await {
            answer = Some(a);
            break;
        }
    }
    let answer = answer.unwrap_or_else(|| reply("502 Bad Gateway", "no backend\n").into_bytes());
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::marathon::state::{AppSpec, State, Timings, Version};

    async fn share_answered(balancer: &Balancer) -> usize {
        let mut ok = 0;
        for _ in 0..6 {
            let a = exchange(balancer.address(), "/").await.unwrap();
            ok += usize::from(a.starts_with(b"HTTP/1.1 200"));
        }
        ok
    }

    #[tokio::test]
    async fn a_flawed_balancer_remembers_the_dead_and_bears_one_of_them() {
        let now = crate::clock::now();
        let mut s = State::new(Version::V1_11, Timings::default(), now);
        s.set_ports(free_port);
        s.add_app(AppSpec::new("/web", 3));
        let tasks = s.live_tasks();
        let state = Arc::new(Mutex::new(s));
        let mut servers = Vec::new();
        for t in &tasks {
            servers.push(tokio::spawn(backend(t.port)));
        }
        let sound = Balancer::start(Arc::clone(&state), "/web", Flavour::Sound)
            .await
            .unwrap();
        let flawed = Balancer::start(Arc::clone(&state), "/web", Flavour::Flawed)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(share_answered(&sound).await, 6);
        assert_eq!(share_answered(&flawed).await, 6);
        servers[0].abort();
        let _ = (&mut servers[0]).await;
        assert_eq!(share_answered(&sound).await, 6);
        assert!(lock(&state).fail_task(&tasks[0].id));
        assert_eq!(share_answered(&sound).await, 6);
        assert_eq!(share_answered(&flawed).await, 6, "it bears one");
        servers[1].abort();
        let _ = (&mut servers[1]).await;
        assert!(lock(&state).fail_task(&tasks[1].id));
        assert_eq!(share_answered(&sound).await, 6);
        assert_eq!(share_answered(&flawed).await, 2, "two of three are dead");
    }

    async fn backend(port: u16) {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if read_path(&mut stream).await.is_some() {
                let _ = stream.write_all(reply("200 OK", "ok").as_bytes()).await;
            }
        }
    }
}
