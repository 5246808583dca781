//! The binary: installs TLS, parses, does, exits with a documented code.

use heartbreak::exit::Exit;
use heartbreak::{app, cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: nothing that speaks TLS works without it, and a second provider would be a surprise.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("heartbreak: a TLS provider is installed already: this is our own fault");
        return Exit::Ours.into();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("heartbreak: could not start: {error}; nothing was done");
            return Exit::Ours.into();
        }
    };
    #[cfg(feature = "demo")]
    if let Some(port) = heartbreak::demo::task_port(std::env::args_os()) {
        return runtime.block_on(heartbreak::demo::task(port)).into();
    }
    runtime
        .block_on(cli::main(std::env::args_os(), &app::works()))
        .into()
}
