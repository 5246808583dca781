//! A pretend Marathon with its Mesos, and a pretend Slack, for tests and for the demo.

#[cfg(test)]
mod asking;
pub mod clock;
#[cfg(test)]
mod cluster;
mod control;
pub mod generate;
pub mod load;
pub mod marathon;
pub mod mesos;
pub mod mischief;
mod nodes;
#[cfg(test)]
mod points;
pub mod processes;
#[cfg(test)]
mod replayed;
pub mod slack;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use clock::{Clock, Pace};
pub use control::HELP;
pub use load::Load;
pub use marathon::agents::{AgentSpec, Attribute, Attributes, Presence};
pub use marathon::http::Shared;
pub use marathon::lost::Watch;
pub use marathon::placement::Agent;
pub use marathon::state::{AppSpec, Kill, State, Timings, Version};
pub use marathon::stream::Orders;
pub use mischief::{Bespoken, Frozen, Mischief, On, Recorded, Trouble};
pub use processes::{Balancer, Flavour, ProcessSpec};

use marathon::http::lock;
use nodes::{Common, Node};

/// What to pretend.
#[derive(Clone, Debug, Default)]
pub struct SimConfig {
    /// Which Marathon.
    pub version: Version,
    /// How long things take.
    pub timings: Timings,
    /// How long it takes until agents and their tasks are given up.
    pub watch: Watch,
    /// The apps, all running and healthy from the start.
    pub apps: Vec<AppSpec>,
    /// When set, tasks are processes of this computer.
    pub processes: Option<ProcessSpec>,
    /// Where to listen; without it, a free port of 127.0.0.1. Further nodes listen on the ports above.
    pub listen: Option<SocketAddr>,
    /// The agents; none means eight like those of the recordings, or as many as generated apps need.
    pub agents: Vec<AgentSpec>,
    /// Generated apps besides, for reading only.
    pub generate: Option<generate::Shape>,
    /// Where the leading Mesos master listens; without it, a free port of 127.0.0.1.
    pub mesos: Option<SocketAddr>,
    /// How many nodes; 0 is 1.
    pub nodes: u16,
    /// The time.
    pub clock: Clock,
    /// `user:password`, without which nothing is answered.
    pub credentials: Option<String>,
}

/// A pretend Marathon that listens.
pub struct Sim {
    mesos: SocketAddr,
    common: Common,
    nodes: Vec<Node>,
    tasks: Vec<JoinHandle<()>>,
}

impl Sim {
    /// Starts it.
    ///
    /// # Errors
    /// An address cannot be had.
    pub async fn start(config: SimConfig) -> io::Result<Self> {
        let mut state = State::new(config.version, config.timings, config.clock.now());
        state.set_watch(config.watch);
        if !config.agents.is_empty() {
            state.set_agents(config.agents);
        } else if let Some(shape) = config.generate {
            state.set_agents(AgentSpec::cluster(generate::agents_for(shape)));
        }
        if let Some(shape) = config.generate {
            let minor = config.version.minor();
            state.generate(generate::Shape { minor, ..shape });
        }
        let (master, mesos) = listen(config.mesos).await?;
        state.mesos.elect(mesos);
        if config.processes.is_some() {
            state.host = Some("127.0.0.1".to_owned());
            state.set_ports(processes::free_port);
        }
        for app in config.apps {
            state.add_app(app);
        }
        let state: Shared = Arc::new(Mutex::new(state));
        let mut sim = Self {
            mesos,
            common: Common {
                state: Arc::clone(&state),
                mischief: Mischief::default(),
                clock: config.clock.clone(),
                orders: Orders::default(),
                credentials: config.credentials.as_deref().map(nodes::basic),
            },
            nodes: Vec::new(),
            tasks: vec![tokio::spawn(mesos::serve(master, mesos, Arc::clone(&state)))],
        };
        let first = config
            .listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        for n in 0..config.nodes.max(1) {
            let mut address = first;
            if first.port() != 0 {
                let port = first.port().checked_add(n);
                address.set_port(port.ok_or_else(|| io::Error::other("there are no ports above 65535"))?);
            }
            sim.nodes.push(sim.common.node(address).await?);
        }
        sim.tasks
            .push(tokio::spawn(tick(Arc::clone(&state), config.clock)));
        if let Some(spec) = config.processes {
            sim.tasks.push(tokio::spawn(processes::supervise(state, spec)));
        }
        Ok(sim)
    }

    /// Where the first node listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.nodes[0].address()
    }

    /// Where every node listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
    }

    /// The first node's URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The URL of the first Mesos master, without a slash at the end. It leads until another is elected.
    #[must_use]
    pub fn mesos_url(&self) -> String {
        format!("http://{}", self.mesos)
    }

    /// Starts another Mesos master, which does not lead. It ends with this one.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn second_master(&mut self) -> io::Result<SocketAddr> {
        let (listener, own) = listen(None).await?;
        self.tasks
            .push(tokio::spawn(mesos::serve(listener, own, self.state())));
        Ok(own)
    }

    /// The state itself, for [`Balancer::start`].
    #[must_use]
    pub fn state(&self) -> Shared {
        Arc::clone(&self.common.state)
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.common.clock.clone()
    }

    /// What is done to event streams.
    #[must_use]
    pub fn orders(&self) -> Orders {
        self.common.orders.clone()
    }

    /// Starts one more node, which passes everything on to the leader. It ends with this one.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn second_node(&mut self) -> io::Result<SocketAddr> {
        let node = self.common.node(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = node.address();
        self.nodes.push(node);
        Ok(address)
    }

    /// Ends the node that leads as `kill -9` would, for good; the next one leads after this long.
    ///
    /// Kills that it has accepted and not carried out never happen. When this returns, it refuses
    /// connections.
    pub async fn kill_leader(&self, lasts: Duration) {
        let leader = self.with(|s| {
            let leader = s.leader.clone();
            s.kill_node(&leader, lasts, None);
            leader
        });
        for node in self.nodes.iter().filter(|n| n.address().to_string() == leader) {
            node.is_down().await;
        }
    }

    /// Looks at the state or changes it.
    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut lock(&self.common.state))
    }

    /// The trouble it makes.
    #[must_use]
    pub fn mischief(&self) -> Mischief {
        self.common.mischief.clone()
    }

    /// The kills carried out.
    #[must_use]
    pub fn kills(&self) -> Vec<Kill> {
        self.with(|s| s.kills().to_vec())
    }

    /// The requests that were not reads.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.common.mischief.requests()
    }

    /// Stops it, with its connections and processes, and waits for that.
    pub async fn stop(mut self) {
        for node in std::mem::take(&mut self.nodes) {
            node.stop().await;
        }
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Listens there, or on a free port of this computer.
async fn listen(wanted: Option<SocketAddr>) -> io::Result<(TcpListener, SocketAddr)> {
    let wanted = wanted.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = TcpListener::bind(wanted).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn tick(state: Shared, clock: Clock) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        lock(&state).advance(clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn ask(sim: &Sim, head: &str, body: &str) -> String {
        let mut c = tokio::net::TcpStream::connect(sim.address()).await.unwrap();
        let text = format!(
            "{head} HTTP/1.1\r\nHost: x\r\nX-Heartbreak-Intent: i-1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        c.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = c.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn requests_and_mischief() {
        let apps = vec![AppSpec::new("/shop/web", 2).label("tier", "front")];
        let sim = Sim::start(SimConfig {
            apps,
            ..SimConfig::default()
        })
        .await
        .unwrap();
        let info = ask(&sim, "GET /v2/info", "").await;
        assert!(info.starts_with("HTTP/1.1 200") && info.contains("frameworkId"));
        assert!(info.to_lowercase().contains("\r\ndate: "), "{info}");
        for (label, found) in [
            ("tier%3D%3Dfront", true),
            ("tier+in+(a,front)", true),
            ("tier!%3Dfront", false),
            ("other", false),
        ] {
            let a = ask(&sim, &format!("GET /v2/apps?label={label}"), "").await;
            assert_eq!(a.contains("/shop/web"), found, "{label}: {a}");
        }
        let a = ask(&sim, "GET /v2/apps?label=tier%3Dfront", "").await;
        assert!(a.starts_with("HTTP/1.1 422"), "{a}");
        let a = ask(&sim, "GET /v2/apps//x", "").await;
        assert!(a.starts_with("HTTP/1.1 404"), "{a}");
        let a = ask(&sim, "GET /v2/apps/shop/web", "").await;
        assert!(a.contains("\"tasks\":["), "{a}");
        for (body, status) in [("{}", 422), ("{", 400), (r#"{"ids":["foo"]}"#, 400)] {
            let a = ask(&sim, "POST /v2/tasks/delete", body).await;
            assert!(a.starts_with(&format!("HTTP/1.1 {status}")), "{a}");
        }
        let id = sim.with(|s| s.task_ids("/shop/web")[0].clone());
        let body = format!(r#"{{"ids":["{id}"]}}"#);
        sim.mischief().next(On::Kills, 1, Trouble::CloseBefore);
        sim.mischief().next(On::Kills, 1, Trouble::AcceptNever);
        sim.mischief().next(On::Kills, 1, Trouble::CloseAfter);
        assert_eq!(ask(&sim, "POST /v2/tasks/delete", &body).await, "");
        let a = ask(&sim, "POST /v2/tasks/delete", &body).await;
        assert!(a.contains(&id), "{a}");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(sim.kills().len(), 0);
        assert_eq!(ask(&sim, "POST /v2/tasks/delete", &body).await, "");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(sim.kills().len(), 1);
        assert_eq!(sim.kills()[0].intent.as_deref(), Some("i-1"));
        assert_eq!(sim.requests().len(), 6);
        sim.stop().await;
    }
}
