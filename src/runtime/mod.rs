//! A placeholder, so that the command line compiles.

use std::future::Future;

use crate::config::Config;
use crate::nats::Nats;

/// Why the engine ended.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// It is not there yet.
    #[error("the engine is not built yet")]
    Missing,
}

/// Runs the engine until `shutdown`; calls `on_live` once every partition is live.
///
/// # Errors
/// [`RuntimeError`].
pub async fn run(
    _nats: Nats,
    _config: &Config,
    shutdown: impl Future<Output = ()>,
    on_live: impl FnOnce(),
) -> Result<(), RuntimeError> {
    on_live();
    shutdown.await;
    Ok(())
}
