//! What engines ask each other about the partitions that they own: `presence.v1.owned.<engine>.<verb>`.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Message, Request, Subscriber, service};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Nats;
use super::service::{error_headers, fits};
use crate::wire::AskError;
use crate::wire::ask::owned;

/// How long to wait before listening again.
const LISTEN_AGAIN: Duration = Duration::from_millis(200);

/// An engine that listens for what the others ask it; it ends when this is dropped.
#[derive(Debug)]
pub struct Listening {
    task: JoinHandle<()>,
}

/// A question of another engine's.
#[derive(Debug)]
pub struct OwnedQuestion {
    message: Message,
    /// Answers go over this, since the connection that it came by may end.
    nats: Nats,
}

impl Listening {
    /// Listens by this name, over a connection of its own, and again whenever that has ended. Returns once the others can ask.
    ///
    /// # Errors
    /// What the server says.
    pub async fn start(nats: &Nats, engine: &str, questions: mpsc::Sender<OwnedQuestion>) -> Result<Self, String> {
        let (nats, subject) = (nats.clone(), owned::subject(engine, "*"));
        let mut asked = subscribe(&nats, &subject).await?;
        let task = tokio::spawn(async move {
            loop {
                while let Some(message) = asked.1.next().await {
                    // Who waits here asks again elsewhere, or later.
                    if questions.send(OwnedQuestion { message, nats: nats.clone() }).await.is_err() {
                        return;
                    }
                }
                asked = loop {
                    tokio::time::sleep(LISTEN_AGAIN).await;
                    match subscribe(&nats, &subject).await {
                        Ok(asked) => break asked,
                        Err(error) => warn!(error, "the other engines can't ask this one, trying again"),
                    }
                };
            }
        });
        Ok(Self { task })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The connection lives as long as what listens on it.
async fn subscribe(nats: &Nats, subject: &str) -> Result<(Nats, Subscriber), String> {
    let nats = nats.another().await.map_err(|error| error.to_string())?;
    let asked = nats.client.subscribe(subject.to_owned()).await.map_err(|error| error.to_string())?;
    let flushed = timeout(Duration::from_secs(5), nats.client.flush()).await.map_err(|error| error.to_string())?;
    flushed.map_err(|error| error.to_string())?;
    Ok((nats, asked))
}

impl OwnedQuestion {
    /// The verb that its subject names.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.message.subject.rsplit('.').next().unwrap_or_default()
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.message.payload
    }

    /// Answers it.
    pub async fn answer(self, answer: Result<Vec<u8>, AskError>) {
        let Some(reply) = self.message.reply else { return };
        let client = &self.nats.client;
        let sent = match answer.and_then(|answer| fits(&self.nats, answer)) {
            Ok(answer) => client.publish(reply, answer.into()).await,
            Err(error) => client.publish_with_headers(reply, error_headers(&error), Bytes::new()).await,
        };
        if let Err(error) = sent {
            debug!(%error, "an answer to another engine could not be sent");
        }
    }
}

/// Asks another engine, and waits so long at most.
///
/// # Errors
/// [`AskError::Unavailable`]: it is gone, silent, or can't answer now; [`AskError::Malformed`]: it never will.
pub async fn ask(
    nats: &Nats,
    engine: &str,
    verb: &str,
    question: Vec<u8>,
    patience: Duration,
) -> Result<Bytes, AskError> {
    let unavailable = |why: String| AskError::Unavailable(format!("the engine {engine} {why}"));
    if !nats.is_connected() {
        return Err(unavailable("can't be asked, there is no connection to NATS".into()));
    }
    let request = Request::new().payload(question.into()).timeout(Some(patience));
    let answer = nats.client.send_request(owned::subject(engine, verb), request).await;
    let answer = answer.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => unavailable("is gone".into()),
        RequestErrorKind::TimedOut => unavailable(format!("does not answer within {patience:?}")),
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::Other => {
            unavailable(format!("can't be asked: {error}"))
        }
    })?;
    let header = |name| answer.headers.as_ref().and_then(|headers| headers.get(name)).map(|value| value.as_str());
    match (header(service::NATS_SERVICE_ERROR), header(service::NATS_SERVICE_ERROR_CODE)) {
        (Some(why), Some("400")) => Err(AskError::Malformed(why.to_owned())),
        (Some(why), _) => Err(AskError::Unavailable(why.trim_end_matches("; ask again").to_owned())),
        (None, _) => Ok(answer.payload),
    }
}
