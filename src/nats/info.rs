//! The micro service `presence`, which tells what this engine is.

use serde::Serialize;
use tokio::sync::watch;

use super::Nats;

/// What `presence.v1.info` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Info {
    /// The contract's version, `1.n`.
    pub contract: String,
    /// The engine's version.
    pub version: String,
    /// The log's partitions.
    pub partitions: u16,
    /// The version of the fold's rules.
    pub fold_version: u32,
    /// The engine's name for this life.
    pub owner: String,
    /// The version of the NATS server.
    pub server: String,
}

/// The running service; it ends when this is dropped.
#[derive(Debug)]
pub struct InfoService {}

impl InfoService {
    /// Starts it. While `info` holds nothing, it answers 503.
    ///
    /// # Errors
    /// A text, if the service can't be announced.
    pub async fn start(_nats: &Nats, _info: watch::Receiver<Option<Info>>) -> Result<Self, String> {
        unimplemented!()
    }
}
