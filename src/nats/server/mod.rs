//! `nats-server` as a supervised child.

use std::path::PathBuf;

/// How to run it.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The binary; `None`: `PATH` if new enough, else `.tools/bin/nats-server`.
    pub binary: Option<PathBuf>,
    /// Where it keeps its data, configuration and log.
    pub data_dir: PathBuf,
    /// The port on 127.0.0.1.
    pub port: u16,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// There is none, or none that is new enough.
    #[error("{0}")]
    NotFound(String),
    /// Somebody else has the port.
    #[error("port {0} is taken")]
    PortTaken(u16),
    /// It started and ended; holds the end of its log.
    #[error("{0}")]
    Failed(String),
}

/// A running server, started again when it crashes.
#[derive(Debug)]
pub struct EmbeddedServer {}

impl EmbeddedServer {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// [`ServerError`]; nothing runs then.
    pub async fn start(_options: ServerOptions) -> Result<Self, ServerError> {
        unimplemented!()
    }

    /// Where it listens, `nats://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> &str {
        unimplemented!()
    }

    /// Waits until it is given up: it crashed too often.
    pub async fn failed(&mut self) -> ServerError {
        unimplemented!()
    }

    /// Stops it, and waits until it has ended.
    pub async fn stop(self) {
        unimplemented!()
    }
}
