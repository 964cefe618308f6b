//! Who takes part, and who holds which partition: the values of the buckets `presence_members` and `presence_leases`.
//!
//! They say who is alive and who should own what. What makes it safe is not here but the [progress](super::Progress): whoever
//! has the fence owns the partition, whatever a lease says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Encoding, ReadError};

/// What an engine says of itself under its own name in `presence_members`. It is written again and again: who stops is taken
/// for dead after `engine.lease_ttl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Contract version.
    pub v: u8,
    /// The engine's name for this life.
    pub engine: String,
    /// The engine's version.
    pub version: String,
    /// The name of the machine it runs on.
    pub host: String,
    /// The process there.
    pub pid: u32,
    /// When it was written first, in milliseconds by that machine's clock: for people, nothing is judged by it.
    pub since_ms: u64,
    /// It hands over what it has and takes nothing more.
    #[serde(default)]
    pub leaving: bool,
}

/// Who holds a partition, under its number in `presence_leases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// Contract version.
    pub v: u8,
    /// The engine that holds it; `None` where it was given back.
    pub engine: Option<String>,
}

impl Member {
    /// The value: JSON, whatever encoding events have.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// [`ReadError::Json`] if it is none.
    pub fn from_json(value: &[u8]) -> Result<Self, ReadError> {
        serde_json::from_slice(value).map_err(ReadError::Json)
    }
}

impl Lease {
    /// The value: JSON, whatever encoding events have.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// [`ReadError::Json`] if it is none.
    pub fn from_json(value: &[u8]) -> Result<Self, ReadError> {
        serde_json::from_slice(value).map_err(ReadError::Json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_and_newer_fields_are_passed_over() {
        let member = Member {
            v: 1,
            engine: "a".into(),
            version: "0.1.0".into(),
            host: "h".into(),
            pid: 7,
            since_ms: 1,
            leaving: true,
        };
        assert_eq!(Member::from_json(&member.to_json()).unwrap(), member);
        for engine in [Some("a".to_owned()), None] {
            let lease = Lease { v: 1, engine };
            assert_eq!(Lease::from_json(&lease.to_json()).unwrap(), lease);
        }
        assert_eq!(Lease::from_json(br#"{"v":1,"engine":null,"more":1}"#).unwrap().engine, None);
        assert!(Lease::from_json(b"").is_err());
    }
}
