//! The micro service `presence`: what this engine is, told to whoever asks any and to whoever asks this one by its name, and the
//! questions about presence, which engines share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::service::error::Error as ServiceError;
use async_nats::service::{Request, Service as MicroService, ServiceExt, endpoint::Endpoint};
use async_nats::{HeaderMap, service};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{SelectAll, select_all};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{LogIdentity, Nats};
use crate::wire::ask::{Verb, tenant_in};
use crate::wire::{AskError, Info, Named, subject};

/// Why the service can't be announced. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the service `presence` can't be announced: {0}; may this user subscribe to $SRV.>, presence.v1.info, presence.v1.info.* and \
     presence.v1.ask.*.*?"
)]
pub struct ServiceFault(String);

/// The running service; it ends when this is dropped.
#[derive(Debug)]
pub struct Service {
    task: JoinHandle<()>,
    ending: watch::Sender<bool>,
}

/// A question that somebody asked.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub verb: Verb,
    request: Request,
    /// Answers over this where the connection that it came by has ended, or is about to.
    spare: Nats,
    is_ending: Arc<AtomicBool>,
}

impl Service {
    /// Announces the service as the engine's `version`, over a connection of its own, and again whenever that has ended.
    /// While `info` is not live, `presence.v1.info` answers 503, but to who asks by the engine's name. Questions go to
    /// `questions`; where that is full they are answered 429, with `questions_max` as the limit.
    ///
    /// # Errors
    /// [`ServiceFault`].
    pub async fn start(
        nats: &Nats,
        version: &str,
        info: watch::Receiver<Option<Info>>,
        questions: mpsc::Sender<Question>,
        questions_max: usize,
    ) -> Result<Self, ServiceFault> {
        let (nats, version) = (nats.clone(), version.to_owned());
        let mut announced = Announced::over(&nats, &version).await?;
        let (ending, mut is_ending) = watch::channel(false);
        let takers = Takers { questions, questions_max };
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = announced.serve(&info, &takers) => {}
                    _ = is_ending.changed() => return announced.serve_the_last(&takers).await,
                }
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
        Ok(Self { task, ending })
    }

    /// Takes no more questions, but for those that have come already.
    pub async fn end(mut self) {
        self.ending.send_replace(true);
        if timeout(END_MAX, &mut self.task).await.is_err() {
            debug!("the service ended in the midst of questions");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Question {
    /// The tenant that its subject names, not yet checked.
    #[must_use]
    pub fn tenant(&self) -> &str {
        tenant_in(&self.request.message.subject)
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.request.message.payload
    }

    /// Answers it.
    pub async fn answer(self, answer: Result<Vec<u8>, AskError>) {
        let answer = answer.and_then(|answer| fits(&self.spare, answer));
        let answer = answer.map(Bytes::from).map_err(|error| service_error(&error));
        let Some(reply) = self.request.message.reply.clone() else { return };
        // What is said while the connection is drained may be accepted and never be sent.
        if !self.is_ending.load(Ordering::Acquire) {
            let Err(error) = self.request.respond(answer.clone()).await else { return };
            debug!(%error, "the connection that a question came by has ended, answering over another");
        }
        let client = &self.spare.client;
        let sent = match answer {
            Ok(answer) => client.publish(reply, answer).await,
            Err(error) => client.publish_with_headers(reply, headers(&error), Bytes::new()).await,
        };
        if let Err(error) = sent {
            debug!(%error, "an answer could not be sent");
        }
    }
}

/// What the server would refuse, and with it the connection, is not sent.
pub(super) fn fits(nats: &Nats, answer: Vec<u8>) -> Result<Vec<u8>, AskError> {
    let (size, max) = (answer.len(), nats.client.server_info().max_payload);
    if size <= max {
        return Ok(answer);
    }
    Err(AskError::Malformed(format!(
        "the answer has {size} bytes, the server takes {max}: ask for fewer, or by `limit`"
    )))
}

fn service_error(error: &AskError) -> ServiceError {
    // A header is one line.
    let status = error.to_string().replace(['\r', '\n'], " ");
    ServiceError { status, code: error.code().into() }
}

/// The headers of an answer that says why there is none.
pub(super) fn headers(error: &ServiceError) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(service::NATS_SERVICE_ERROR, error.status.as_str());
    headers.insert(service::NATS_SERVICE_ERROR_CODE, error.code.to_string().as_str());
    headers
}

/// The same of an [`AskError`].
pub(super) fn error_headers(error: &AskError) -> HeaderMap {
    headers(&service_error(error))
}

/// Who takes questions.
struct Takers {
    questions: mpsc::Sender<Question>,
    questions_max: usize,
}

impl Takers {
    async fn take(&self, question: Question) {
        match self.questions.try_send(question) {
            Ok(()) => {}
            Err(TrySendError::Full(question)) => {
                let (limit, max) = ("limits.questions", self.questions_max as u64);
                question.answer(Err(AskError::TooMany { limit, max })).await;
            }
            Err(TrySendError::Closed(question)) => {
                question.answer(Err(AskError::Unavailable("this engine ends".into()))).await;
            }
        }
    }
}

/// How long the log's leader may take to say where the log ends: others wait behind who asks.
const LOG_MAX: Duration = Duration::from_millis(500);
/// How long the end may take.
const END_MAX: Duration = Duration::from_secs(1);
/// How long to wait before the service is announced again.
const ANNOUNCE_AGAIN: Duration = Duration::from_millis(500);

/// The service as it stands for as long as its connection does.
struct Announced {
    _service: MicroService,
    any: Endpoint,
    by_name: Endpoint,
    asks: SelectAll<futures::stream::BoxStream<'static, (Verb, Request)>>,
    nats: Nats,
    /// The engine's own connection.
    spare: Nats,
    is_ending: Arc<AtomicBool>,
}

impl Announced {
    async fn over(own: &Nats, version: &str) -> Result<Self, ServiceFault> {
        let failed = |error: &dyn std::fmt::Display| ServiceFault(error.to_string());
        let nats = own.another().await.map_err(|error| failed(&error))?;
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
        let mut asks = Vec::new();
        for (name, verb) in Verb::NAMES {
            let endpoint = service.endpoint_builder().name(*name).metadata(metadata(*verb));
            let endpoint = endpoint.add(verb.subject("*")).await.map_err(|error| failed(&error))?;
            asks.push(endpoint.map(|request| (*verb, request)).boxed());
        }
        // Who asks right after this has to be heard.
        let flushed = timeout(Duration::from_secs(5), nats.client.flush()).await;
        flushed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        Ok(Self {
            _service: service,
            any,
            by_name,
            asks: select_all(asks),
            nats,
            spare: own.clone(),
            is_ending: Arc::default(),
        })
    }

    /// Answers until the connection has ended, or nobody takes questions any more.
    async fn serve(&mut self, info: &watch::Receiver<Option<Info>>, takers: &Takers) {
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
                asked = self.asks.next() => {
                    let Some((verb, request)) = asked else { return };
                    takers.take(Question { verb, request, spare: self.spare.clone(), is_ending: Arc::clone(&self.is_ending) }).await;
                }
            }
        }
    }

    /// Hears no more, and passes on what it has heard already.
    async fn serve_the_last(mut self, takers: &Takers) {
        self.is_ending.store(true, Ordering::Release);
        if let Err(error) = self.nats.client.drain().await {
            debug!(%error, "the service's connection has ended already");
        }
        while let Some((verb, request)) = self.asks.next().await {
            takers
                .take(Question { verb, request, spare: self.spare.clone(), is_ending: Arc::clone(&self.is_ending) })
                .await;
        }
    }
}

/// What tooling shows of a verb.
fn metadata(verb: Verb) -> HashMap<String, String> {
    let [request, response] = verb.schemas().map(|schema| schema.to_string());
    let of = [("format", "application/json".to_owned()), ("request_schema", request), ("response_schema", response)];
    of.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

async fn answer(request: &Request, info: Result<Info, ServiceError>) {
    if let Err(error) = request.respond(info.map(|info| info.to_json().into())).await {
        debug!(%error, "an answer could not be sent");
    }
}
