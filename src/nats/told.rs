//! What PRESENCE_EVENTS holds now, asked of its leader.

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bytes::Bytes;
use serde::Deserialize;

use super::{Nats, names};

/// The payload of the latest message whose subject matches `filter`; `None` if there is none.
///
/// # Errors
/// What the server says, or that it says nothing.
pub async fn latest(nats: &Nats, filter: &str) -> Result<Option<Bytes>, String> {
    let stream = nats.jetstream.get_stream_no_info(names::EVENTS).await.map_err(|error| error.to_string())?;
    match stream.get_last_raw_message_by_subject(filter).await {
        Ok(message) => Ok(Some(message.payload)),
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            LastRawMessageErrorKind::InvalidSubject
            | LastRawMessageErrorKind::JetStream(_)
            | LastRawMessageErrorKind::Other => Err(error.to_string()),
        },
    }
}

/// The sequence of the last message, 0 where there was none yet.
///
/// # Errors
/// What the server says, or that it says nothing.
pub async fn last_seq(nats: &Nats) -> Result<u64, String> {
    #[derive(Deserialize)]
    struct Told {
        state: Option<State>,
        error: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct State {
        last_seq: u64,
    }
    let subject = format!("STREAM.INFO.{}", names::EVENTS);
    let told = nats.jetstream.request(subject, &serde_json::json!({})).await;
    let Told { state, error } =
        told.map_err(|error: async_nats::jetstream::context::RequestError| error.to_string())?;
    state.map(|state| state.last_seq).ok_or_else(|| error.unwrap_or_default().to_string())
}
