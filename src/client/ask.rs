//! Questions go to any engine, and are asked again while nobody can answer.

use std::time::Duration;

use async_nats::{Client, Message, Request, RequestErrorKind};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::Error;
use super::facts::ms;

/// Where a tenant's questions go.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) client: Client,
    /// The tenant as it was given, and its token.
    pub(super) tenant: String,
    pub(super) token: String,
}

/// How long an engine may take to answer what it can answer at once; longer is taken for silence.
const SILENCE: Duration = Duration::from_secs(5);
/// How long to wait before something is asked again; twice as long each time.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// What became of a question.
enum Answered {
    With(Message),
    /// Nobody can answer now: silence, nobody there, 503.
    NotNow(String),
}

impl Ask {
    /// The answer, asked for again by the same question until `within` is over.
    pub(super) async fn answer<Q: Serialize, A: DeserializeOwned>(
        &self,
        verb: &'static str,
        question: &Q,
        within: Duration,
    ) -> Result<A, Error> {
        let until = Instant::now() + within;
        let payload = written(verb, question)?;
        let mut again = Again::default();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let reason = match self.once(verb, payload.clone(), left.min(SILENCE)).await? {
                Answered::With(message) => return read(verb, &message),
                Answered::NotNow(reason) => reason,
            };
            if !again.wait(until).await {
                return Err(Error::Unanswered { verb, within_ms: ms(within), reason });
            }
        }
    }

    /// The answer to one of several questions in turn, which may take `within`; the reason where nobody can answer now.
    pub(super) async fn turn<Q: Serialize, A: DeserializeOwned>(
        &self,
        verb: &'static str,
        question: &Q,
        within: Duration,
    ) -> Result<Result<A, String>, Error> {
        match self.once(verb, written(verb, question)?, within).await? {
            Answered::With(message) => read(verb, &message).map(Ok),
            Answered::NotNow(reason) => Ok(Err(reason)),
        }
    }

    async fn once(&self, verb: &'static str, payload: Bytes, within: Duration) -> Result<Answered, Error> {
        let subject = self.subject(verb);
        let request = Request::new().payload(payload).timeout(Some(within));
        let message = match self.client.send_request(subject, request).await {
            Ok(message) => message,
            Err(error) => {
                let reason = match error.kind() {
                    RequestErrorKind::TimedOut => "silence".to_owned(),
                    RequestErrorKind::NoResponders => "no engine listens there".to_owned(),
                    _ => error.to_string(),
                };
                return Ok(Answered::NotNow(reason));
            }
        };
        let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str().to_owned());
        let Some(code) = header("Nats-Service-Error-Code") else { return Ok(Answered::With(message)) };
        let reason = header("Nats-Service-Error").unwrap_or_default();
        match code.parse().unwrap_or(0) {
            503 => Ok(Answered::NotNow(reason)),
            404 => Err(Error::UnknownTenant { tenant: self.tenant.clone() }),
            429 => Err(Error::Busy { verb, reason }),
            code => Err(Error::Refused { verb, code, reason }),
        }
    }

    /// The subject of a question.
    pub(super) fn subject(&self, verb: &str) -> String {
        format!("presence.v1.ask.{}.{verb}", self.token)
    }
}

/// How long to wait before something is tried again.
#[derive(Debug, Default)]
pub(super) struct Again {
    times: u32,
}

impl Again {
    /// Waits, longer each time; whether there is time left then.
    pub(super) async fn wait(&mut self, until: Instant) -> bool {
        let wait = AGAIN.saturating_mul(1 << self.times.min(10)).min(AGAIN_MAX);
        self.times += 1;
        if Instant::now() + wait >= until {
            return false;
        }
        sleep(wait).await;
        true
    }
}

fn read<A: DeserializeOwned>(verb: &'static str, message: &Message) -> Result<A, Error> {
    serde_json::from_slice(&message.payload)
        .map_err(|error| Error::Unreadable { what: format!("the answer to `{verb}`"), reason: error.to_string() })
}

fn written<Q: Serialize>(verb: &'static str, question: &Q) -> Result<Bytes, Error> {
    let written = serde_json::to_vec(question);
    written
        .map(Bytes::from)
        .map_err(|error| Error::Unreadable { what: format!("the question `{verb}`"), reason: error.to_string() })
}
