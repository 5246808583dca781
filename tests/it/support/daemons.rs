//! Real programs of Debian that the probes are tested against, each on loopback in a folder of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// However loaded a machine is, by then a program has started.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    // The binary does the same first of all; without it no HTTP client can be made.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Starts a program, which ends when the test lets go of it.
///
/// # Panics
///
/// When it isn't there: a test that passes without its judge would say nothing.
pub fn start(program: &str, arguments: &[String], folder: &Path) -> Child {
    let path = [format!("/usr/sbin/{program}"), format!("/usr/bin/{program}")]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or_else(|| {
            panic!("{program} is not installed: `apt-get install {program}`, or tests/run, which does it")
        });
    let log = std::fs::File::create(folder.join(format!("{program}.log"))).expect("a log");
    Command::new(path)
        .args(arguments)
        .env_clear()
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("started")
}

/// Waits until something lets connections in.
pub async fn until_it_listens(port: u16, child: &mut Child, folder: &Path) {
    let listens = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Ok(Some(status)) = child.try_wait() {
                let logs = std::fs::read_dir(folder).expect("a folder").flatten();
                let said: Vec<_> = logs
                    .filter(|file| file.path().extension().is_some_and(|e| e == "log"))
                    .filter_map(|file| std::fs::read_to_string(file.path()).ok())
                    .collect();
                panic!("it ended with {status}: {}", said.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, listens)
        .await
        .expect("it listens in time");
}
