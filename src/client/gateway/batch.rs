//! A batch as it is published, and what the log says of it.

use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::{Client, HeaderMap, Request};
use serde::Deserialize;
use tokio::time::Instant;

use super::item::Item;
use super::pack;

/// How long an acknowledgement is waited for.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(2);
/// The server's error of an expectation that is not met.
const WRONG_LAST_SEQUENCE: u64 = 10_071;

/// Bytes of a batch around its items.
pub(super) const FRAME_BYTES: usize = 64;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The log has it, at this sequence.
    Stored(u64),
    /// The log does not have it by this try: the last batch of this subject is at another sequence, 0 if there is none.
    Other(u64),
    /// It was refused.
    Refused(String),
    /// Nobody knows.
    Unknown(String),
}

/// A batch of these, with the ages that they have `now`.
pub(super) fn write<'i>(items: impl ExactSizeIterator<Item = &'i Item>, now: Instant) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 * items.len() + FRAME_BYTES);
    pack::map(2, &mut out);
    pack::text("v", &mut out);
    pack::number(1, &mut out);
    pack::text("signals", &mut out);
    pack::list(u32::try_from(items.len()).expect("a batch has at most 10,000"), &mut out);
    items.for_each(|item| item.write(now, &mut out));
    out
}

/// Publishes a batch behind the one at the sequence `behind`, and waits for what the log says.
pub(super) async fn publish(client: Client, subject: String, payload: Vec<u8>, behind: Option<u64>) -> Fate {
    let mut headers = HeaderMap::new();
    if let Some(behind) = behind {
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, behind.to_string());
    }
    let request = Request::new().payload(payload.into()).headers(headers).timeout(Some(ACKNOWLEDGED_WITHIN));
    match client.send_request(subject, request).await {
        Ok(answer) => read(&answer.payload),
        Err(error) => Fate::Unknown(error.to_string()),
    }
}

#[derive(Deserialize)]
struct Answer {
    error: Option<Refusal>,
    seq: Option<u64>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

fn read(answer: &[u8]) -> Fate {
    match serde_json::from_slice(answer) {
        Ok(Answer { error: None, seq: Some(seq) }) => Fate::Stored(seq),
        Ok(Answer { error: Some(Refusal { err_code: WRONG_LAST_SEQUENCE, description }), .. }) => {
            // `wrong last sequence: 42`
            match description.rsplit(' ').next().and_then(|last| last.parse().ok()) {
                Some(last) => Fate::Other(last),
                None => Fate::Refused(description),
            }
        }
        Ok(Answer { error: Some(Refusal { description, .. }), .. }) => Fate::Refused(description),
        Ok(Answer { error: None, seq: None }) | Err(_) => Fate::Unknown("the answer is no acknowledgement".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_batch_is_what_the_contract_says() {
        let items = [
            Item::read("acme", "ada", "tab", br#"{"seq":1}"#).unwrap(),
            Item::read("acme", "bob", "tab", b"").unwrap(),
        ];
        let payload = write(items.iter(), items[0].since());
        let read: serde_json::Value = rmp_serde::from_slice(&payload).unwrap();
        let expected = json!({"v": 1, "signals": [
            {"u": "ada", "s": "tab", "seq": 1, "age_ms": 0}, {"u": "bob", "s": "tab", "age_ms": 0},
        ]});
        assert_eq!(read, expected);
        let empty: serde_json::Value = rmp_serde::from_slice(&write([].iter(), items[0].since())).unwrap();
        assert_eq!(empty, json!({"v": 1, "signals": []}));
    }

    #[test]
    fn the_logs_answers_are_told_apart() {
        assert_eq!(read(br#"{"stream":"PRESENCE_LOG","seq":7}"#), Fate::Stored(7));
        let wrong =
            br#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 42"},"stream":"X","seq":0}"#;
        assert_eq!(read(wrong), Fate::Other(42));
        let full = br#"{"error":{"code":400,"err_code":10077,"description":"maximum messages exceeded"},"stream":"X","seq":0}"#;
        assert_eq!(read(full), Fate::Refused("maximum messages exceeded".to_owned()));
        assert!(matches!(read(b"hello"), Fate::Unknown(_)));
    }
}
