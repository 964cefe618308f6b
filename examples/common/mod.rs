//! What the stories share: a connection, and how an expectation fails.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use async_nats::Client;

pub type Story = Result<(), Box<dyn Error>>;

/// The server that `NATS_URL` names, and a tenant of this story's own, so that no two meet.
pub async fn stage(story: &str) -> Result<(Client, String), Box<dyn Error>> {
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned());
    let client =
        async_nats::connect(&url).await.map_err(|error| format!("{url}: {error}; `make up` starts a server"))?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok((client, format!("{story}-{}", since.as_millis())))
}

/// Fails with `otherwise` unless it is so.
pub fn expect(is_so: bool, otherwise: impl Into<String>) -> Story {
    if is_so { Ok(()) } else { Err(otherwise.into().into()) }
}
