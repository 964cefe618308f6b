//! The micro service `presence`, which tells what this engine is.

use std::time::Duration;

use async_nats::service::error::Error as ServiceError;
use async_nats::service::{Request, Service, ServiceExt, endpoint::Endpoint};
use futures::StreamExt;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::Nats;
use crate::wire::subject;

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

/// Why the service can't be announced. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the service `presence` can't be announced: {0}; may this user subscribe to $SRV.> and presence.v1.info?")]
pub struct InfoError(String);

/// The running service; it ends when this is dropped.
#[derive(Debug)]
pub struct InfoService {
    task: JoinHandle<()>,
}

impl InfoService {
    /// Announces the service as the engine's `version`, over a connection of its own, and again whenever that has ended.
    /// While `info` holds nothing, it answers 503.
    ///
    /// # Errors
    /// [`InfoError`].
    pub async fn start(nats: &Nats, version: &str, info: watch::Receiver<Option<Info>>) -> Result<Self, InfoError> {
        let (nats, version) = (nats.clone(), version.to_owned());
        let mut announced = Announced::over(&nats, &version).await?;
        let task = tokio::spawn(async move {
            loop {
                announced.serve(&info).await;
                // Who asks may put anything into the headers of the question, even what ends the connection.
                announced = loop {
                    tokio::time::sleep(ANNOUNCE_AGAIN).await;
                    match Announced::over(&nats, &version).await {
                        Ok(announced) => break announced,
                        Err(error) => warn!(%error, "trying again"),
                    }
                };
            }
        });
        Ok(Self { task })
    }
}

impl Drop for InfoService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How long to wait before the service is announced again.
const ANNOUNCE_AGAIN: Duration = Duration::from_millis(500);

/// The service as it stands for as long as its connection does.
struct Announced {
    _service: Service,
    endpoint: Endpoint,
    _nats: Nats,
}

impl Announced {
    async fn over(nats: &Nats, version: &str) -> Result<Self, InfoError> {
        let failed = |error: &dyn std::fmt::Display| InfoError(error.to_string());
        let nats = nats.another().await.map_err(|error| failed(&error))?;
        let service = nats
            .client
            .service_builder()
            .description("presence as a signal that decays")
            .start("presence", version)
            .await
            .map_err(|error| failed(&error))?;
        let endpoint = service.endpoint_builder().name("info").add(subject::INFO).await;
        let endpoint = endpoint.map_err(|error| failed(&error))?;
        // Who asks right after this has to be heard.
        let flushed = tokio::time::timeout(Duration::from_secs(5), nats.client.flush()).await;
        flushed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        Ok(Self { _service: service, endpoint, _nats: nats })
    }

    /// Answers until the connection has ended.
    async fn serve(&mut self, info: &watch::Receiver<Option<Info>>) {
        while let Some(request) = self.endpoint.next().await {
            let answer = info.borrow().clone();
            answer_one(&request, answer).await;
        }
    }
}

async fn answer_one(request: &Request, info: Option<Info>) {
    let answer = match info {
        Some(info) => Ok(serde_json::to_vec(&info).expect("an info is made of texts and numbers").into()),
        None => Err(ServiceError {
            status: "restoring: not every partition of this engine is live yet, ask again".into(),
            code: 503,
        }),
    };
    if let Err(error) = request.respond(answer).await {
        debug!(%error, "an answer could not be sent");
    }
}
