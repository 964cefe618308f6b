//! What the log entry behind an event says.

use serde::Serialize;

use crate::cli::CliError;
use crate::nats::log::entry;
use crate::nats::{LogMessage, Nats};
use crate::wire::{LogSubject, Named, ToldEvent, plain, signal};

/// The log entry by which an event came about.
#[derive(Debug, Serialize)]
pub(super) struct Evidence {
    /// Its sequence.
    pub(super) entry: Option<u64>,
    /// Its log time; absent if it is no longer there.
    pub(super) at_ms: Option<u64>,
    /// What it is, for people.
    pub(super) what: String,
}

impl Evidence {
    /// Of the event with this payload.
    pub(super) async fn of(nats: &Nats, partitions: u16, payload: &[u8]) -> Result<Self, CliError> {
        let (seq, user, session) = match ToldEvent::read(payload) {
            Ok(ToldEvent::Session(of)) => (of.seq, of.user, Some(of.session)),
            Ok(ToldEvent::User(of)) => (of.seq, of.user, None),
            Ok(ToldEvent::Ready(of)) => (of.seq, of.user, None),
            Ok(
                ToldEvent::Room(_)
                | ToldEvent::Member(_)
                | ToldEvent::Engine(_)
                | ToldEvent::Rejected(_)
                | ToldEvent::Other { .. },
            )
            | Err(_) => {
                return Ok(Self { entry: None, at_ms: None, what: "unknown to this version".to_owned() });
            }
        };
        let found = entry(nats, seq).await.map_err(|error| CliError::Unreachable(error.to_string()))?;
        let Some(found) = found else {
            return Ok(Self { entry: Some(seq), at_ms: None, what: "no longer in the log".to_owned() });
        };
        let what = match LogSubject::parse(&found.subject, partitions) {
            LogSubject::Signal(_, address) if plain(address.user().as_str()) == user => {
                let own = plain(address.session().as_str());
                let is_its = session.is_none_or(|session| session == own);
                if is_its { format!("{own}: {}", said(&found)) } else { format!("its session {own}: {}", said(&found)) }
            }
            LogSubject::Signal(..) => "time passed: somebody else's signal".to_owned(),
            LogSubject::Batch(_, _, gateway) => format!("a batch of the gateway {}", plain(gateway.as_str())),
            LogSubject::Tick => "time passed: a tick".to_owned(),
            LogSubject::Policy => "a policy came into force".to_owned(),
            LogSubject::Refused(..) | LogSubject::Other(_) => "time passed".to_owned(),
        };
        Ok(Self { entry: Some(seq), at_ms: Some(found.ts_ms), what })
    }
}

/// What a signal says, in some words.
pub(super) fn said(entry: &LogMessage) -> String {
    let decoded = match signal::decode(&entry.payload, entry.content_type.as_deref()) {
        Ok(decoded) => decoded,
        Err(reason) => return reason.to_string(),
    };
    let signal = decoded.signal;
    let mut words = vec![signal.kind.name().to_owned()];
    words.extend(signal.state.map(|state| format!("state {}", state.name())));
    words.extend(signal.input_age_ms.map(|age| format!("input {age} ms ago")));
    words.extend(signal.visibility.map(|visibility| visibility.name().to_owned()));
    words.extend(signal.intent.map(|intent| format!("intent {}", intent.name())));
    words.extend(signal.every_ms.map(|every| format!("every {every} ms")));
    words.extend(signal.epoch.map(|epoch| format!("epoch {epoch}")));
    words.extend(signal.seq.map(|seq| format!("seq {seq}")));
    words.join(", ")
}
