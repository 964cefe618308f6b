//! The micro service `presence`, which tells what this engine is: to whoever asks any, and to whoever asks this one by its name.

use std::time::Duration;

use async_nats::service::error::Error as ServiceError;
use async_nats::service::{Request, Service, ServiceExt, endpoint::Endpoint};
use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{LogIdentity, Nats};
use crate::wire::{Info, subject};

/// Why the service can't be announced. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the service `presence` can't be announced: {0}; may this user subscribe to $SRV.>, presence.v1.info and presence.v1.info.*?"
)]
pub struct InfoError(String);

/// The running service; it ends when this is dropped.
#[derive(Debug)]
pub struct InfoService {
    task: JoinHandle<()>,
}

impl InfoService {
    /// Announces the service as the engine's `version`, over a connection of its own, and again whenever that has ended.
    /// While `info` is not live, it answers 503, but to who asks by the engine's name.
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

/// How long the log's leader may take to say where the log ends: others wait behind who asks.
const LOG_MAX: Duration = Duration::from_millis(500);
/// How long to wait before the service is announced again.
const ANNOUNCE_AGAIN: Duration = Duration::from_millis(500);

/// The service as it stands for as long as its connection does.
struct Announced {
    _service: Service,
    any: Endpoint,
    by_name: Endpoint,
    nats: Nats,
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
        let any = service.endpoint_builder().name("info").add(subject::INFO).await;
        let any = any.map_err(|error| failed(&error))?;
        // Everybody hears it, in a group of its own, and who is meant answers.
        let (group, all) = (nats.client.new_inbox(), subject::info_of("*"));
        let by_name = service.endpoint_builder().name("info-of").queue_group(group).add(all).await;
        let by_name = by_name.map_err(|error| failed(&error))?;
        // Who asks right after this has to be heard.
        let flushed = tokio::time::timeout(Duration::from_secs(5), nats.client.flush()).await;
        flushed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        Ok(Self { _service: service, any, by_name, nats })
    }

    /// Answers until the connection has ended.
    async fn serve(&mut self, info: &watch::Receiver<Option<Info>>) {
        loop {
            tokio::select! {
                request = self.any.next() => {
                    let Some(request) = request else { return };
                    let info = info.borrow().clone().filter(|info| info.live);
                    let restoring = || ServiceError {
                        status: "restoring: not every partition of this engine is live yet, ask again".into(),
                        code: 503,
                    };
                    answer(&request, info.map(Info::public).ok_or_else(restoring)).await;
                }
                request = self.by_name.next() => {
                    let Some(request) = request else { return };
                    let info = info.borrow().clone();
                    if let Some(info) = info.filter(|info| *request.message.subject == *subject::info_of(&info.owner)) {
                        let log = timeout(LOG_MAX, LogIdentity::read(&self.nats)).await.ok().and_then(Result::ok);
                        answer(&request, Ok(Info { log_seq: log.map(|log| log.last_seq), ..info })).await;
                    }
                }
            }
        }
    }
}

async fn answer(request: &Request, info: Result<Info, ServiceError>) {
    if let Err(error) = request.respond(info.map(|info| info.to_json().into())).await {
        debug!(%error, "an answer could not be sent");
    }
}
