//! What the `haproxy` probe says of a real HAProxy that is set up as marathon-lb sets it up: steady
//! traffic, servers that die, reloads, two balancers.

use crate::support::daemons::{PATIENCE, free_port, start, until_it_listens};
use heartbreak::model::experiment::{Haproxy, Masked, Pooled, ProbeSpec, Reading, Role, Source};
use heartbreak::ports::prober::{Patience, Prober};
use heartbreak::probes::{ProbeOptions, Probes};
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::task::JoinHandle;

/// A task of the app: answers everything with 200, until it is killed.
struct Server {
    port: u16,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let app = axum::Router::new().fallback(|| async { "well" });
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("served") });
        Self { port, serving }
    }

    /// Connections are refused from now on.
    async fn killed(&mut self) {
        self.serving.abort();
        let refused = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port))
                .await
                .is_ok()
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, refused).await.expect("it is gone");
    }
}

/// A load balancer in front of two servers, over HTTP and over TCP.
struct Balancer {
    folder: TempDir,
    stats: u16,
    front: u16,
    tcp: u16,
    process: Child,
}

/// The parts of marathon-lb's template that matter here, with its numbers.
fn write_config(folder: &Path, [stats, front, tcp]: [u16; 3], servers: &[u16]) {
    let lines = |prefix: &str| -> String {
        let line = |port| format!("  server {prefix}_{port} 127.0.0.1:{port} check inter 2s fall 11\n");
        servers.iter().map(line).collect()
    };
    let config = format!(
        "global\n  maxconn 1000\n\
         defaults\n  retries 3\n  backlog 1000\n  timeout connect 3s\n  timeout client 30s\n  timeout server 30s\n  option redispatch\n  option dontlognull\n\
         listen stats\n  bind 127.0.0.1:{stats}\n  mode http\n  stats enable\n  monitor-uri /_haproxy_health_check\n\
         frontend shop_cart_10000\n  bind 127.0.0.1:{front}\n  mode http\n  use_backend shop_cart_10000\n\
         frontend shop_cart_10001\n  bind 127.0.0.1:{tcp}\n  mode tcp\n  use_backend shop_cart_10001\n\
         backend shop_cart_10000\n  balance roundrobin\n  mode http\n  option forwardfor\n{}\
         backend shop_cart_10001\n  balance roundrobin\n  mode tcp\n{}",
        lines("http"),
        lines("tcp"),
    );
    std::fs::write(folder.join("haproxy.cfg"), config).expect("written");
}

impl Balancer {
    async fn start(servers: &[u16]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (stats, front, tcp) = (free_port(), free_port(), free_port());
        write_config(folder.path(), [stats, front, tcp], servers);
        let process = start(
            "haproxy",
            &["-db", "-f", "haproxy.cfg"].map(str::to_owned),
            folder.path(),
        );
        let mut balancer = Self {
            folder,
            stats,
            front,
            tcp,
            process,
        };
        for port in [stats, front, tcp] {
            until_it_listens(port, &mut balancer.process, balancer.folder.path()).await;
        }
        balancer
    }

    /// Other servers than before, from the next reload on.
    fn has(&self, servers: &[u16]) {
        write_config(self.folder.path(), [self.stats, self.front, self.tcp], servers);
    }

    /// As marathon-lb does at every change of tasks: a new process takes over the ports.
    async fn reloads(&mut self) {
        let old = self.process.id().expect("it runs").to_string();
        let arguments = ["-db", "-f", "haproxy.cfg", "-sf", &old].map(str::to_owned);
        let new = start("haproxy", &arguments, self.folder.path());
        let mut before = std::mem::replace(&mut self.process, new);
        tokio::time::timeout(PATIENCE, before.wait())
            .await
            .expect("the old process ends in time")
            .expect("it ends");
        until_it_listens(self.stats, &mut self.process, self.folder.path()).await;
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.stats)
    }

    /// So many requests at once, each over its own connection; how many were answered with 200.
    async fn requests(&self, count: usize) -> usize {
        ask(self.front, count).await
    }
}

async fn ask(port: u16, count: usize) -> usize {
    let client = reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .no_proxy()
        .build()
        .expect("a client");
    let url = format!("http://127.0.0.1:{port}/");
    let answers = futures_util::future::join_all((0..count).map(|_| client.get(&url).send())).await;
    answers
        .into_iter()
        .filter(|answer| answer.as_ref().is_ok_and(|a| a.status() == 200))
        .count()
}

/// One probe of some balancers, and what it says at each look.
struct Look {
    probes: Probes,
    probe: ProbeSpec,
}

impl Look {
    fn at(lbs: &[&Balancer], backend: &str) -> Self {
        let source = Source::Haproxy(Haproxy {
            lbs: lbs.iter().map(|lb| lb.url()).collect(),
            backend: backend.into(),
        });
        let options = ProbeOptions {
            allow_hosts: vec!["127.0.0.0/8".into()],
            ..ProbeOptions::default()
        };
        Self {
            probes: Probes::new(&options).expect("probes"),
            probe: ProbeSpec::new("cart-edge", Role::Abort, source),
        }
    }

    async fn reading(&self) -> Reading {
        self.probes
            .take(&"r-1".into(), &self.probe, Patience::within(PATIENCE))
            .await
    }

    /// Observed, bad, and what was masked.
    async fn counts(&self) -> (u32, u32, Masked) {
        match self.reading().await {
            Reading::Seen {
                observed,
                bad,
                detail,
                ..
            } => (observed, bad, detail.and_then(|d| d.masked).unwrap_or_default()),
            Reading::Blind { why } => panic!("blind: {why}"),
        }
    }

    /// What is new of the servers.
    async fn pool(&self) -> BTreeMap<String, Pooled> {
        match self.reading().await {
            Reading::Seen { detail, .. } => {
                let news = detail.into_iter().flat_map(|detail| detail.pool);
                news.map(|news| (news.server, news.state)).collect()
            }
            Reading::Blind { why } => panic!("blind: {why}"),
        }
    }

    async fn blind(&self, words: &str) {
        match self.reading().await {
            Reading::Blind { why } => assert!(why.contains(words), "{why}"),
            seen @ Reading::Seen { .. } => panic!("{seen:?} instead of blind"),
        }
    }
}

#[tokio::test]
async fn a_killed_server_is_masked_harm_and_all_killed_is_harm() {
    let (mut one, mut two) = (Server::start().await, Server::start().await);
    let balancer = Balancer::start(&[one.port, two.port]).await;
    let look = Look::at(&[&balancer], "shop_cart_10000");
    look.blind("the first look").await;
    look.blind("no request went to shop_cart_10000").await;

    assert_eq!(balancer.requests(20).await, 20);
    assert_eq!(look.counts().await, (20, 0, Masked::default()));

    one.killed().await;
    assert_eq!(balancer.requests(20).await, 20, "the other one answers them all");
    let (observed, bad, masked) = look.counts().await;
    assert_eq!((observed, bad), (20, 0));
    assert!(masked.redispatches > 0, "{masked}");

    two.killed().await;
    assert_eq!(balancer.requests(6).await, 0);
    let (observed, bad, _) = look.counts().await;
    assert_eq!((observed, bad), (6, 6), "HAProxy's own 503, counted once");
}

#[tokio::test]
async fn a_reload_is_one_blind_look_even_where_no_counter_of_the_app_shows_it() {
    let (one, two) = (Server::start().await, Server::start().await);
    let mut balancer = Balancer::start(&[one.port, two.port]).await;
    let look = Look::at(&[&balancer], "shop_cart_10000");
    look.blind("the first look").await;
    balancer.requests(2).await;
    assert_eq!(look.counts().await.0, 2);

    balancer.reloads().await;
    // More than before: the app's own counters have only grown.
    assert_eq!(balancer.requests(30).await, 30);
    look.blind("was reloaded").await;
    balancer.requests(4).await;
    assert_eq!(look.counts().await, (4, 0, Masked::default()));

    balancer.reloads().await;
    look.blind("was reloaded").await;
}

#[tokio::test]
async fn a_replacement_is_told_of_when_the_balancer_has_sent_it_a_session() {
    let (mut one, two) = (Server::start().await, Server::start().await);
    let mut balancer = Balancer::start(&[one.port, two.port]).await;
    let look = Look::at(&[&balancer], "shop_cart_10000");
    let name = |server: &Server| format!("http_{}", server.port);
    look.blind("the first look").await;
    balancer.requests(20).await;
    let told = look.pool().await;
    assert_eq!(
        told,
        BTreeMap::from([(name(&one), Pooled::Serving), (name(&two), Pooled::Serving)])
    );
    balancer.requests(4).await;
    assert_eq!(look.pool().await, BTreeMap::new(), "nothing is new");

    one.killed().await;
    let three = Server::start().await;
    balancer.has(&[two.port, three.port]);
    balancer.reloads().await;
    look.blind("was reloaded").await;
    balancer.requests(20).await;
    let told = look.pool().await;
    assert_eq!(told.get(&name(&one)), Some(&Pooled::Out));
    assert_eq!(told.get(&name(&three)), Some(&Pooled::Serving));
}

#[tokio::test]
async fn two_balancers_are_summed_and_one_that_is_gone_leaves_us_blind() {
    let (one, two) = (Server::start().await, Server::start().await);
    let servers = [one.port, two.port];
    let (left, mut right) = (Balancer::start(&servers).await, Balancer::start(&servers).await);
    let look = Look::at(&[&left, &right], "shop_cart_10000");
    look.blind("2 of 2 balancers can't be counted").await;
    left.requests(5).await;
    right.requests(7).await;
    assert_eq!(look.counts().await, (12, 0, Masked::default()));
    left.requests(5).await;
    right.reloads().await;
    look.blind("1 of 2 balancers can't be counted").await;
    right.process.kill().await.expect("killed");
    left.requests(5).await;
    look.blind("can't be connected to").await;
}

#[tokio::test]
async fn in_tcp_mode_connections_count() {
    let (mut one, mut two) = (Server::start().await, Server::start().await);
    let balancer = Balancer::start(&[one.port, two.port]).await;
    let look = Look::at(&[&balancer], "shop_cart_10001");
    look.blind("the first look").await;
    assert_eq!(ask(balancer.tcp, 8).await, 8);
    assert_eq!(look.counts().await, (8, 0, Masked::default()));
    one.killed().await;
    two.killed().await;
    assert_eq!(ask(balancer.tcp, 3).await, 0);
    let (observed, bad, _) = look.counts().await;
    assert_eq!((observed, bad), (3, 3));
    let unknown = Look::at(&[&balancer], "shop_basket_10000");
    unknown
        .blind("there is no backend shop_basket_10000; there are")
        .await;
}
