//! The nodes: each takes connections as long as it lives, and again when it has been started again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::marathon::http::{Context, Shared, lock, serve};
use crate::marathon::stream::Orders;
use crate::mischief::Mischief;

/// How soon a node notices that it lives or does not.
const LOOKS: Duration = Duration::from_millis(10);
/// How long a connection of a dead node lasts, so that what has been answered arrives.
const LAST_WORDS: Duration = Duration::from_millis(60);

/// What all nodes share.
pub(crate) struct Common {
    pub(crate) state: Shared,
    pub(crate) mischief: Mischief,
    pub(crate) clock: Clock,
    pub(crate) orders: Orders,
    pub(crate) credentials: Option<String>,
}

/// What `Authorization` has to say for `user:password`.
pub(crate) fn basic(credentials: &str) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(credentials);
    format!("Basic {encoded}")
}

/// A node; it ends when dropped.
pub(crate) struct Node {
    address: SocketAddr,
    listens: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Common {
    /// Starts one more node.
    ///
    /// # Errors
    /// The address cannot be had.
    pub(crate) async fn node(&self, wanted: SocketAddr) -> io::Result<Node> {
        let listener = TcpListener::bind(wanted).await?;
        let address = listener.local_addr()?;
        let most = {
            let mut s = lock(&self.state);
            s.join(address.to_string());
            s.version.max_proxied()
        };
        let context = Context {
            state: Arc::clone(&self.state),
            mischief: self.mischief.clone(),
            clock: self.clock.clone(),
            own: address.to_string(),
            orders: self.orders.clone(),
            credentials: self.credentials.clone(),
            proxied: Arc::new(Semaphore::new(most)),
        };
        let (tell, listens) = watch::channel(true);
        let task = tokio::spawn(live(listener, context, tell));
        Ok(Node {
            address,
            listens,
            task,
        })
    }
}

impl Node {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it refuses connections.
    pub(crate) async fn is_down(&self) {
        let mut listens = self.listens.clone();
        let _ = listens.wait_for(|listens| !listens).await;
    }

    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until a node is to take connections, or is not to.
async fn until(context: &Context, wanted: bool) {
    while lock(&context.state).listens(&context.own) != wanted {
        tokio::time::sleep(LOOKS).await;
    }
}

async fn live(listener: TcpListener, context: Context, tell: watch::Sender<bool>) {
    let mut listener = Some(listener);
    loop {
        if let Some(listener) = listener.take() {
            tell.send_replace(true);
            tokio::select! {
                () = serve(&listener, context.clone()) => {}
                () = async {
                    until(&context, false).await;
                    tokio::time::sleep(LAST_WORDS).await;
                } => {}
            }
        }
        tell.send_replace(false);
        until(&context, true).await;
        listener = TcpListener::bind(&context.own).await.ok();
        if listener.is_none() {
            tokio::time::sleep(LOOKS).await;
        }
    }
}
