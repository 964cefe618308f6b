//! How a batch looks on the wire, and how progress is read back.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::{HeaderMap, HeaderName, HeaderValue, PublishErrorKind, Request, RequestErrorKind, Subject, header};
use bytes::Bytes;
use serde::Deserialize;

use super::protocol::{Found, Outcome, Part};
use super::{OutMessage, names};
use crate::nats::Nats;
use crate::wire::{Progress, subject};

/// How long the first attempt waits for its acknowledgement; each further one twice as long, up to four times.
const ACK_MAX: Duration = Duration::from_secs(2);
/// A stream without a leader does not answer; the next one may.
const READ_MAX: Duration = Duration::from_secs(2);

const EPOCH: HeaderName = HeaderName::from_static("Presence-Epoch");

/// A batch, ready to be published any number of times once it is closed.
#[derive(Debug)]
pub(super) struct Outbound<'a> {
    nats: &'a Nats,
    /// Events first, then the progress of each part.
    messages: Vec<Message>,
    events: usize,
}

#[derive(Debug)]
struct Message {
    partition: u16,
    epoch: u64,
    subject: Subject,
    headers: Vec<(&'static str, String)>,
    payload: Bytes,
}

impl<'a> Outbound<'a> {
    /// The events of a batch.
    pub(super) fn new(nats: &'a Nats, events: Vec<OutMessage>) -> Self {
        let messages: Vec<_> = events.into_iter().map(event_message).collect();
        Self { nats, events: messages.len(), messages }
    }

    /// Closes the batch with the progress of its parts, in place of any before.
    pub(super) fn close(&mut self, parts: &[Part], progress: &[Progress]) {
        self.messages.truncate(self.events);
        let epochs: HashMap<_, _> = parts.iter().map(|part| (part.partition, part.epoch)).collect();
        for event in &mut self.messages {
            event.epoch = *epochs.get(&event.partition).expect("every partition of a batch has its progress in it");
        }
        self.messages.extend(parts.iter().zip(progress).map(|(part, progress)| progress_message(part, progress)));
    }

    /// Leaves out the events of some partitions. It is open then.
    pub(super) fn retain(&mut self, is_kept: impl Fn(u16) -> bool) {
        self.messages.truncate(self.events);
        self.messages.retain(|event| is_kept(event.partition));
        self.events = self.messages.len();
    }

    pub(super) fn count(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Publishes the whole batch as `batch_id`, once there is a connection. Only the last message is a request.
    pub(super) async fn publish(&self, batch_id: &str, attempt: u32) -> Outcome {
        self.nats.connected().await;
        let (last, others) = self.messages.split_last().expect("a batch ends with a progress");
        for (i, message) in others.iter().enumerate() {
            let headers = message.headers(batch_id, i + 1);
            let (subject, payload) = (message.subject.clone(), message.payload.clone());
            if let Err(error) = self.nats.client.publish_with_headers(subject, headers, payload).await {
                return match error.kind() {
                    PublishErrorKind::MaxPayloadExceeded | PublishErrorKind::InvalidSubject => unsendable(&error),
                    PublishErrorKind::Send => Outcome::Unknown,
                };
            }
        }
        let mut headers = last.headers(batch_id, self.messages.len());
        headers.insert(header::NATS_BATCH_COMMIT, "1");
        let request = Request::new()
            .headers(headers)
            .payload(last.payload.clone())
            .timeout(Some(ACK_MAX * 2_u32.pow(attempt.saturating_sub(1).min(2))));
        match self.nats.client.send_request(last.subject.clone(), request).await {
            Ok(answer) => outcome(&answer.payload),
            Err(error) => match error.kind() {
                RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject => unsendable(&error),
                RequestErrorKind::TimedOut | RequestErrorKind::NoResponders | RequestErrorKind::Other => {
                    Outcome::Unknown
                }
            },
        }
    }
}

impl Message {
    fn headers(&self, batch_id: &str, sequence: usize) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.insert(HeaderName::from_static(name), value.as_str());
        }
        headers.insert(EPOCH, HeaderValue::from(self.epoch));
        headers.insert(header::NATS_BATCH_ID, batch_id);
        headers.insert(header::NATS_BATCH_SEQUENCE, HeaderValue::from(sequence));
        headers
    }
}

fn event_message(event: OutMessage) -> Message {
    let OutMessage { partition, subject, mut headers, payload } = event;
    for (_, value) in &mut headers {
        // A header ends at a line break; what would come after it is not worth a crash.
        if value.bytes().any(|byte| matches!(byte, b'\r' | b'\n')) {
            *value = value.replace(['\r', '\n'], " ");
        }
    }
    Message { partition, epoch: 0, subject: subject::commit(&subject).into(), headers, payload }
}

fn progress_message(part: &Part, progress: &Progress) -> Message {
    let expected = part.expected.as_ref().map_or(0, |known| known.seq);
    let headers = vec![
        ("Nats-Rollup", "sub".to_owned()),
        // Of the subject as it is stored, after the stream's transform.
        ("Nats-Expected-Last-Subject-Sequence", expected.to_string()),
    ];
    Message {
        partition: part.partition,
        epoch: part.epoch,
        subject: subject::commit(&subject::progress(part.partition)).into(),
        headers,
        payload: progress.to_json().into(),
    }
}

/// Our own client does not send it: the same as a refusal for good. 10054 is "message size exceeds maximum allowed".
fn unsendable(error: &dyn std::fmt::Display) -> Outcome {
    Outcome::Refused { code: 10_054, description: error.to_string() }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<AnswerError>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    count: u64,
}

#[derive(Deserialize)]
struct AnswerError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

fn outcome(answer: &[u8]) -> Outcome {
    match serde_json::from_slice(answer) {
        Ok(Answer { error: Some(error), .. }) => {
            Outcome::Refused { code: error.err_code, description: error.description }
        }
        Ok(Answer { error: None, seq, count }) => Outcome::Acked { last_seq: seq, count },
        Err(_) => Outcome::Unknown,
    }
}

/// A partition's progress with its sequence in PRESENCE_EVENTS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredProgress {
    /// Its sequence.
    pub seq: u64,
    /// What it says.
    pub progress: Progress,
}

impl From<StoredProgress> for Found {
    fn from(StoredProgress { seq, progress }: StoredProgress) -> Self {
        Self { seq, commit: progress.commit.into(), owner: progress.owner.into(), epoch: progress.epoch }
    }
}

/// Why a progress could not be read. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nobody answered, or the stream is not there; worth another try.
    #[error("the progress was not answered: {0}")]
    Unanswered(String),
    /// What is there is no progress.
    #[error("what is stored is no progress: {0}")]
    Unreadable(String),
}

/// Reads a partition's progress from the leader of PRESENCE_EVENTS; `None` if there is none.
///
/// # Errors
/// [`ReadError`].
pub async fn read_progress(nats: &Nats, partition: u16) -> Result<Option<StoredProgress>, ReadError> {
    let unanswered = |error: &dyn std::fmt::Display| ReadError::Unanswered(error.to_string());
    let stream = nats.jetstream.get_stream_no_info(names::EVENTS).await.map_err(|error| unanswered(&error))?;
    let subject = subject::progress(partition);
    let answer = tokio::time::timeout(READ_MAX, stream.get_last_raw_message_by_subject(&subject)).await;
    match answer.map_err(|error| unanswered(&error))? {
        Ok(message) => match Progress::from_json(&message.payload) {
            Ok(progress) => Ok(Some(StoredProgress { seq: message.sequence, progress })),
            Err(error) => Err(ReadError::Unreadable(error.to_string())),
        },
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            LastRawMessageErrorKind::InvalidSubject
            | LastRawMessageErrorKind::JetStream(_)
            | LastRawMessageErrorKind::Other => Err(unanswered(&error)),
        },
    }
}
