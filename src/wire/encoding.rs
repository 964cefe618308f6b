//! The two encodings of payloads, and what telling them apart takes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::PolicyError;

/// Deepest nesting of lists and maps in a MessagePack payload; JSON's readers have the same limit of their own, and skip
/// deeper unknown fields without recursion.
pub const MESSAGE_PACK_DEPTH_MAX: usize = 128;

/// How a payload is encoded: `events.encoding` in the configuration.
///
/// ```
/// use presence_engine::wire::Encoding;
/// assert_eq!(Encoding::of_content_type("application/json; charset=utf-8"), Some(Encoding::Json));
/// assert_eq!(Encoding::of_content_type("text/plain"), None);
/// assert_eq!(Encoding::of_payload(b"\x80"), Encoding::MessagePack);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// JSON (RFC 8259).
    #[default]
    Json,
    /// MessagePack, maps with text as keys.
    #[serde(rename = "msgpack", alias = "messagepack")]
    MessagePack,
}

impl Encoding {
    /// The media type that headers name it by.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::MessagePack => "application/msgpack",
        }
    }

    /// The encoding that a `Content-Type` names; `None` if it names another one or none at all.
    #[must_use]
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let is = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(media_type));
        if is(&["application/json", "text/json"]) {
            Some(Self::Json)
        } else if is(&["application/msgpack", "application/x-msgpack", "application/vnd.msgpack"]) {
            Some(Self::MessagePack)
        } else {
            None
        }
    }

    /// The encoding that the first byte tells of: `{` and JSON white space are JSON, anything else is MessagePack.
    ///
    /// In MessagePack these bytes are small integers, which no payload of the contract is.
    #[must_use]
    pub fn of_payload(payload: &[u8]) -> Self {
        match payload.first() {
            Some(b'{' | b' ' | b'\t' | b'\n' | b'\r') => Self::Json,
            Some(_) | None => Self::MessagePack,
        }
    }

    /// Writes `value`, of which this crate knows that both encodings can say it.
    pub(crate) fn write<T: Serialize>(self, value: &T) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(768);
        match self {
            Self::Json => serde_json::to_writer(&mut bytes, value).expect("our own types are JSON"),
            Self::MessagePack => {
                rmp_serde::encode::write_named(&mut bytes, value).expect("our own types are MessagePack");
            }
        }
        bytes
    }

    /// Reads a whole payload, in whichever encoding it is.
    pub(crate) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ReadError> {
        match Self::of_payload(payload) {
            Self::Json => serde_json::from_slice(payload).map_err(ReadError::Json),
            Self::MessagePack => {
                let mut reader = rmp_serde::Deserializer::from_read_ref(payload);
                reader.set_max_depth(MESSAGE_PACK_DEPTH_MAX);
                T::deserialize(&mut reader).map_err(ReadError::MessagePack)
            }
        }
    }
}

/// Why a payload that an engine wrote can't be read. Reading changes no state.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not JSON, or not what the contract says it holds.
    #[error("not readable as JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// It is not MessagePack, or not what the contract says it holds.
    #[error("not readable as MessagePack: {0}")]
    MessagePack(#[source] rmp_serde::decode::Error),
    /// It is of another version of the contract.
    #[error("version {found} of the contract, this engine reads version {known}")]
    Version {
        /// The version that it names.
        found: u64,
        /// The one that this engine reads.
        known: u8,
    },
    /// It is larger than anything that is taken.
    #[error("{size} bytes are above the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A policy that can't be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_compared_without_case_and_parameters() {
        assert_eq!(Encoding::of_content_type(" Application/JSON ;charset=utf-8"), Some(Encoding::Json));
        assert_eq!(Encoding::of_content_type("application/x-msgpack"), Some(Encoding::MessagePack));
        assert_eq!(Encoding::of_content_type(""), None);
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            assert_eq!(Encoding::of_content_type(encoding.content_type()), Some(encoding));
        }
    }

    #[test]
    fn the_configuration_names_encodings_shortly() {
        assert_eq!(serde_json::to_value(Encoding::MessagePack).unwrap(), "msgpack");
        assert_eq!(serde_json::from_str::<Encoding>("\"json\"").unwrap(), Encoding::Json);
    }

    #[test]
    fn both_encodings_are_told_apart_by_what_they_write() {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let bytes = encoding.write(&std::collections::BTreeMap::from([("a", 1)]));
            assert_eq!(Encoding::of_payload(&bytes), encoding);
            let read: std::collections::BTreeMap<String, u8> = Encoding::read(&bytes).unwrap();
            assert_eq!(read["a"], 1);
        }
    }
}
