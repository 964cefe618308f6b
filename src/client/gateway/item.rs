//! A signal that a gateway holds, as it will stand in a batch.

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::pack;
use crate::client::Error;
use crate::client::facts::ms;
use crate::client::name::{at_most, token};
use crate::model::partition_of;
use crate::model::signal::PAYLOAD_BYTES_MAX;

/// A signal that is held.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The tenant's token.
    pub(super) tenant: Box<str>,
    /// The user's token.
    user: Box<str>,
    /// Its keys and values, `u` and `s` behind the others: of a key that stands twice the last one counts.
    body: Box<[u8]>,
    /// How many keys these are.
    keys: u32,
    /// Where `u` and `s` begin.
    names_at: usize,
    /// When it was brought.
    since: Instant,
}

/// Bytes that an item has beside its body: the head of its map, and `age_ms`.
const FRAME_BYTES: usize = 5 + 7 + 9;

impl Item {
    /// Reads what a connection of this session brought.
    pub(super) fn read(tenant: &str, user: &str, session: &str, payload: &[u8]) -> Result<Self, Error> {
        let (tenant, token_of_user) = (token("tenant", tenant)?, token("user", user)?);
        token("session", session)?;
        at_most("the signal's length in bytes", payload.len(), PAYLOAD_BYTES_MAX)?;
        let (keys, mut body) = pairs(payload)?;
        let names_at = body.len();
        for (key, name) in [("u", user), ("s", session)] {
            pack::text(key, &mut body);
            pack::text(name, &mut body);
        }
        // What the engine takes of one, names included.
        at_most("the length in bytes of the signal with its names", body.len() + FRAME_BYTES, PAYLOAD_BYTES_MAX)?;
        let (tenant, user) = (tenant.into(), token_of_user.into());
        Ok(Self { tenant, user, body: body.into(), keys: keys + 2, names_at, since: Instant::now() })
    }

    pub(super) fn partition(&self, partitions: u16) -> u16 {
        partition_of(&self.tenant, &self.user, partitions)
    }

    /// Whose it is, to be compared with others of its tenant.
    pub(super) fn names(&self) -> &[u8] {
        &self.body[self.names_at..]
    }

    /// Its bytes in a batch, at the most.
    pub(super) fn bytes(&self) -> usize {
        self.body.len() + FRAME_BYTES
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Writes it with the age that it has `now`.
    pub(super) fn write(&self, now: Instant, out: &mut Vec<u8>) {
        pack::map(self.keys + 1, out);
        out.extend_from_slice(&self.body);
        pack::text("age_ms", out);
        pack::number(ms(now.saturating_duration_since(self.since)), out);
    }
}

/// The keys and values of a signal's payload as MessagePack, and how many they are.
fn pairs(payload: &[u8]) -> Result<(u32, Vec<u8>), Error> {
    match payload.first() {
        None => Ok((0, Vec::new())),
        // As the contract tells the encodings apart.
        Some(b'{' | b' ' | b'\t' | b'\n' | b'\r') => {
            let mut fields: Map<String, Value> =
                serde_json::from_slice(payload).map_err(|error| Error::Signal(format!("no JSON object: {error}")))?;
            let mut body = Vec::with_capacity(payload.len());
            fields.retain(|key, _| !matches!(key.as_str(), "u" | "s" | "age_ms"));
            for (key, value) in &fields {
                pack::text(key, &mut body);
                let written = value.serialize(&mut rmp_serde::Serializer::new(&mut body));
                written.map_err(|error| Error::Signal(format!("a value can't be MessagePack: {error}")))?;
            }
            Ok((u32::try_from(fields.len()).expect("8 KiB hold fewer"), body))
        }
        Some(first) => {
            let (keys, body) = pack::pairs(payload).ok_or_else(|| {
                Error::Signal(format!(
                    "neither a JSON object nor one whole MessagePack map: it starts with byte {first:#04x}"
                ))
            })?;
            Ok((keys, body.to_vec()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn written(payload: &[u8], held: Duration) -> Value {
        let item = Item::read("acme", "ada@x", "tab 1", payload).unwrap();
        let mut bytes = Vec::new();
        item.write(item.since + held, &mut bytes);
        assert!(bytes.len() <= item.bytes());
        rmp_serde::from_slice(&bytes).unwrap()
    }

    #[test]
    fn it_says_what_was_brought_whose_it_is_and_how_old() {
        let said = json!({"seq": 5, "every_ms": 20_000.5, "can": ["audio"], "meta": {"a": [null, -1]}});
        let mut expected = said.clone();
        expected["u"] = "ada@x".into();
        expected["s"] = "tab 1".into();
        expected["age_ms"] = 1_500.into();
        let held = Duration::from_millis(1_500);
        assert_eq!(written(said.to_string().as_bytes(), held), expected);
        assert_eq!(written(&rmp_serde::to_vec_named(&said).unwrap(), held), expected);
        let nothing = json!({"u": "ada@x", "s": "tab 1", "age_ms": 0});
        for empty in [&b""[..], b"{}", b" {} ", b"\x80"] {
            assert_eq!(written(empty, Duration::ZERO), nothing);
        }
    }

    #[test]
    fn nobody_speaks_for_somebody_else() {
        let claims = json!({"u": "eve", "s": "x", "age_ms": 30_000});
        for payload in [claims.to_string().into_bytes(), rmp_serde::to_vec_named(&claims).unwrap()] {
            // Of a key that stands twice, a reader takes the last one, as serde_json does here.
            let read = written(&payload, Duration::ZERO);
            assert_eq!(read, json!({"u": "ada@x", "s": "tab 1", "age_ms": 0}));
        }
    }

    #[test]
    fn what_cannot_be_a_signal_is_refused_with_the_reason() {
        let refused = |payload: &[u8]| Item::read("acme", "ada", "tab", payload).unwrap_err().to_string();
        assert!(refused(b"{").starts_with("the signal can't be taken: no JSON object: EOF"), "{}", refused(b"{"));
        let no_map =
            "the signal can't be taken: neither a JSON object nor one whole MessagePack map: it starts with byte 0x5b";
        assert!(refused(b"[1]").starts_with(no_map), "{}", refused(b"[1]"));
        let long = json!({"x": "x".repeat(8_192)}).to_string();
        assert_eq!(refused(long.as_bytes()), "the signal's length in bytes is 8200, the limit is 8192");
        let close = json!({"x": "x".repeat(8_170)}).to_string();
        assert!(refused(close.as_bytes()).starts_with("the length in bytes of the signal with its names is 82"));
        let unnamed = Item::read("acme", "", "tab", b"").unwrap_err().to_string();
        assert_eq!(unnamed, "the user \"\" can't be used: a name must not be empty");
    }
}
