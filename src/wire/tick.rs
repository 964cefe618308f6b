//! A tick's payload: `{"v":1,"failed":n}`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CONTRACT_VERSION;

/// What an engine publishes to `presence.v1.log.all.tick`: that time passed, and how its last ticks fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tick {
    /// Contract version.
    pub v: u8,
    /// How many of this publisher's ticks failed (refused, or unacknowledged after 1 s) directly before this one.
    pub failed: u32,
}

impl Tick {
    /// After so many failed ones.
    #[must_use]
    pub fn new(failed: u32) -> Self {
        Self { v: CONTRACT_VERSION, failed }
    }

    /// The payload: JSON.
    ///
    /// ```
    /// assert_eq!(presence_engine::wire::Tick::new(2).to_json(), br#"{"v":1,"failed":2}"#);
    /// ```
    #[must_use]
    pub fn to_json(self) -> Vec<u8> {
        super::Encoding::Json.write(&self)
    }

    /// How many ticks failed before the one with this payload.
    ///
    /// A payload that says nothing readable counts as none: that the tick is there proves that the log takes entries, and
    /// mercy has to be asked for.
    #[must_use]
    pub fn failed(payload: &[u8]) -> u32 {
        serde_json::from_slice::<Self>(payload).map_or(0, |tick| tick.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_tick_asks_for_no_mercy() {
        assert_eq!(Tick::failed(&Tick::new(7).to_json()), 7);
        assert_eq!(Tick::failed(br#"{"v":1,"failed":3,"from":"elsewhere"}"#), 3);
        for payload in
            [&b""[..], b"{}", br#"{"v":1}"#, br#"{"v":1,"failed":-1}"#, b"\xff", br#"{"v":1,"failed":4294967296}"#]
        {
            assert_eq!(Tick::failed(payload), 0, "{payload:?}");
        }
    }
}
