//! A stored checkpoint: the fold's bytes behind the identity of the log that they are a position in. Pure.

use serde::{Deserialize, Serialize};

use super::outbox::Reached;
use crate::nats::LogIdentity;

/// Which log a checkpoint belongs to, and where in it the partition was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// When the log's stream was created.
    pub log_created: String,
    /// The position.
    pub input_seq: u64,
    /// The timestamp of the entry there.
    pub input_ts: u64,
    /// How many events that entry told.
    pub k: u32,
    /// The version of the fold's rules.
    pub fold_version: u32,
    /// The policy in force.
    pub policy_hash: String,
    /// The fold's own bytes.
    #[serde(with = "serde_bytes_vec")]
    pub bytes: Vec<u8>,
}

impl Stored {
    /// A partition's bytes as they are stored, of a position in `log`.
    #[must_use]
    pub fn new(log: &LogIdentity, reached: &Reached, bytes: Vec<u8>) -> Self {
        Self {
            log_created: log.created.clone(),
            input_seq: reached.seq,
            input_ts: reached.ts,
            k: reached.k,
            fold_version: crate::fold::FOLD_VERSION,
            policy_hash: reached.policy_hash.to_string(),
            bytes,
        }
    }

    /// What the Object Store holds: MessagePack.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("a checkpoint's fields can be written")
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// If it is no stored checkpoint.
    pub fn decode(bytes: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
        rmp_serde::from_slice(bytes)
    }
}

/// `Vec<u8>` as one run of bytes, not as a list of numbers.
mod serde_bytes_vec {
    use std::fmt;

    use serde::de::{Deserializer, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(bytes.to_vec())
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
                Ok(bytes)
            }
        }

        deserializer.deserialize_byte_buf(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_checkpoint_survives_the_round_trip() {
        let stored = Stored {
            log_created: "2026-01-01T00:00:00Z".into(),
            input_seq: 7,
            input_ts: 8,
            k: 9,
            fold_version: 1,
            policy_hash: "abc".into(),
            bytes: vec![0, 255, 1],
        };
        assert_eq!(Stored::decode(&stored.encode()).unwrap(), stored);
    }
}
