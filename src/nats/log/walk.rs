//! Reading the log entry by entry, around headers that no client can read.
//!
//! Who may publish a signal may put any bytes where its headers stand. async-nats closes the connection over headers that it
//! can't parse, and its connection panics over some that it can: with the entry delivered again after each reconnect, one
//! signal would stop the engine for good. Asked for a single entry, the server answers in JSON, with the headers as base64,
//! and that harms nobody. It is some twenty times slower than a consumer.

use std::str::FromStr;

use async_nats::{HeaderName, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{LogError, LogMessage};
use crate::nats::{Nats, names};

/// An entry that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Walked {
    pub(super) entry: LogMessage,
    /// Whether its headers are such that a delivery would cut off who hears it. Then it is taken to have none.
    pub(super) damaged: bool,
}

/// Asks the log's leader for the entry `seq`; `None` if it is not there.
///
/// # Errors
/// [`LogError::Missing`], and [`LogError::Server`], which is worth another try.
pub(super) async fn entry(nats: &Nats, seq: u64) -> Result<Option<Walked>, LogError> {
    ask(nats, &json!({ "seq": seq })).await
}

/// Asks the log's leader for the last entry under `subject`; `None` if there is none.
///
/// # Errors
/// As [`entry`].
pub(super) async fn last(nats: &Nats, subject: &str) -> Result<Option<Walked>, LogError> {
    ask(nats, &json!({ "last_by_subj": subject })).await
}

async fn ask(nats: &Nats, which: &Value) -> Result<Option<Walked>, LogError> {
    let subject = format!("STREAM.MSG.GET.{}", names::LOG);
    let answer: Answer =
        nats.jetstream.request(subject, which).await.map_err(|error| LogError::Server(error.to_string()))?;
    match answer {
        Answer { error: Some(error), .. } if error.err_code == MESSAGE_NOT_FOUND => Ok(None),
        Answer { error: Some(error), .. } if error.err_code == super::STREAM_NOT_FOUND => Err(LogError::Missing),
        Answer { error: Some(error), .. } => Err(LogError::Server(error.description)),
        Answer { error: None, message: Some(message) } => message.read().map(Some),
        Answer { error: None, message: None } => Err(LogError::Server("the answer holds no entry".into())),
    }
}

const MESSAGE_NOT_FOUND: u64 = 10_037;

#[derive(Deserialize)]
struct Answer {
    error: Option<super::InfoError>,
    message: Option<Stored>,
}

#[derive(Deserialize)]
struct Stored {
    seq: u64,
    subject: String,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: String,
}

impl Stored {
    fn read(self) -> Result<Walked, LogError> {
        let seq = self.seq;
        let unreadable = |what: &str| LogError::Server(format!("entry {seq} was answered with an unreadable {what}"));
        let headers = STANDARD.decode(&self.hdrs).map_err(|_| unreadable("header"))?;
        let payload = STANDARD.decode(&self.data).map_err(|_| unreadable("payload"))?;
        let time = humantime::parse_rfc3339(&self.time).map_err(|_| unreadable("time"))?;
        let since = time.duration_since(std::time::UNIX_EPOCH).map_err(|_| unreadable("time"))?;
        let ts_ms = u64::try_from(since.as_millis()).map_err(|_| unreadable("time"))?;
        let (content_type, damaged) = match content_type(&headers) {
            Ok(content_type) => (content_type, false),
            Err(Damaged) => (None, true),
        };
        let entry = LogMessage { seq, ts_ms, subject: self.subject.into(), payload: payload.into(), content_type };
        Ok(Walked { entry, damaged })
    }
}

/// Headers that are none.
#[derive(Debug, PartialEq, Eq)]
struct Damaged;

/// The value of `Content-Type` in a block of headers, read as async-nats reads it: an entry must say the same whichever way
/// it comes, or a replay would tell something else.
fn content_type(block: &[u8]) -> Result<Option<String>, Damaged> {
    if block.is_empty() {
        return Ok(None);
    }
    let mut lines = std::str::from_utf8(block).map_err(|_| Damaged)?.lines().peekable();
    let version = lines.next().and_then(|line| line.strip_prefix("NATS/1.0")).ok_or(Damaged)?;
    let status = version.trim().split_once(' ').map_or(version.trim(), |(status, _)| status.trim());
    if !status.is_empty() {
        StatusCode::from_str(status).map_err(|_| Damaged)?;
    }
    let mut found = None;
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':').ok_or(Damaged)?;
        let name = HeaderName::from_str(name).map_err(|_| Damaged)?;
        let mut value = value.trim_start().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            value.push_str(more);
        }
        value.truncate(value.trim_end().len());
        if value.contains(['\r', '\n']) {
            return Err(Damaged);
        }
        if found.is_none() && name == HeaderName::from_static("Content-Type") {
            found = Some(value);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &str) -> Result<Option<String>, Damaged> {
        content_type(block.as_bytes())
    }

    #[test]
    fn the_first_content_type_of_readable_headers_is_found() {
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("NATS/1.0\r\n\r\n"), Ok(None));
        assert_eq!(read("NATS/1.0\r\ncontent-type: a\r\n\r\n"), Ok(None), "names are compared as they are");
        let two = "NATS/1.0\r\nX: y\r\nContent-Type:  a/b \r\nContent-Type: c\r\n\r\n";
        assert_eq!(read(two), Ok(Some("a/b".into())));
        assert_eq!(read("NATS/1.0\r\nContent-Type: a/\r\n b\r\n\r\n"), Ok(Some("a/ b".into())));
        assert_eq!(read("NATS/1.0 409 Consumer Deleted\r\nContent-Type: a\r\n\r\n"), Ok(Some("a".into())));
    }

    #[test]
    fn what_would_cut_off_a_client_is_damaged() {
        for block in [
            "x",
            "HTTP/1.1 200 OK\r\n\r\n",
            "NATS/1.0 full\r\n\r\n",
            "NATS/1.0\r\nno colon\r\n\r\n",
            "NATS/1.0\r\n: no name\r\n a b: c\r\n\r\nx",
            "NATS/1.0\r\na b: c\r\n\r\n",
            "NATS/1.0\r\nX: a\rb\r\n\r\n",
        ] {
            assert_eq!(read(block), Err(Damaged), "{block:?}");
        }
        assert_eq!(content_type(b"NATS/1.0\r\nX: \xff\r\n\r\n"), Err(Damaged));
    }
}
