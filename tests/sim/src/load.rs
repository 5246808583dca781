//! Steady requests, sent on time whether or not earlier ones have been answered.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use crate::processes::exchange;

/// A load until dropped or stopped.
#[derive(Debug)]
pub struct Load {
    counts: Arc<(AtomicU64, AtomicU64)>,
    task: JoinHandle<()>,
}

impl Load {
    /// Sends so many GET requests a second to a URL such as `http://127.0.0.1:8000/`.
    ///
    /// # Errors
    /// The URL is not `http://` with an IP address and a port.
    pub fn start(url: &str, per_second: u32) -> io::Result<Self> {
        let bad = || io::Error::new(io::ErrorKind::InvalidInput, format!("bad URL {url}"));
        let rest = url.strip_prefix("http://").ok_or_else(bad)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address: SocketAddr = host.parse().map_err(|_| bad())?;
        let path: Arc<str> = format!("/{path}").into();
        let counts: Arc<(AtomicU64, AtomicU64)> = Arc::default();
        let shared = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            let mut beat = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
            loop {
                beat.tick().await;
                while open.try_join_next().is_some() {}
                let (path, shared) = (Arc::clone(&path), Arc::clone(&shared));
                open.spawn(async move {
                    let answer = exchange(address, &path).await;
                    let ok = answer.is_ok_and(|a| a.starts_with(b"HTTP/1.1 2"));
                    let count = if ok { &shared.0 } else { &shared.1 };
                    count.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        Ok(Self { counts, task })
    }

    /// The requests answered with 2xx, and the others that have ended.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (
            self.counts.0.load(Ordering::Relaxed),
            self.counts.1.load(Ordering::Relaxed),
        )
    }

    /// Stops; requests under way are dropped and not counted.
    pub async fn stop(mut self) -> (u64, u64) {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.counts()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}
