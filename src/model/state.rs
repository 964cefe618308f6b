//! The five states, the transport, and why a state changed.

use serde::{Deserialize, Serialize};

/// What a session or a user is, from most to least present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Input is recent and in sight.
    Active,
    /// No input for `idle_after`.
    Idle,
    /// Out of sight for `hidden_after`, frozen, or no input for `away_after`.
    Away,
    /// No life sign for `stale_after`.
    Stale,
    /// Left, or no life sign for `offline_after`.
    Offline,
}

impl State {
    /// Every state, best first.
    pub const ALL: [Self; 5] = [Self::Active, Self::Idle, Self::Away, Self::Stale, Self::Offline];

    /// The name in payloads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
            Self::Away => "away",
            Self::Stale => "stale",
            Self::Offline => "offline",
        }
    }
}

/// Whether the session's connection is there, as far as disconnects have told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Nothing said that it closed.
    Open,
    /// A disconnect or a leave came, and no accepted heartbeat since.
    Closed,
}

/// Why an event was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The first signal of an incarnation.
    Joined,
    /// The person did something.
    Input,
    /// The page or app came into sight again.
    Visible,
    /// A stale session was heard again.
    Resumed,
    /// The client said so itself, by `state` or `input_age_ms`.
    Claimed,
    /// Out of sight for `hidden_after`.
    Hidden,
    /// Suspended by the system.
    Frozen,
    /// No input for `idle_after` or `away_after`.
    Quiet,
    /// No life sign for `stale_after` or `offline_after`.
    Silent,
    /// The transport closed and nothing came within the grace.
    Disconnected,
    /// The session left.
    Left,
    /// The person's intent changed.
    Intent,
    /// Another policy came into force.
    Policy,
    /// Facts or counts changed, and the state did not.
    Updated,
    /// The confidence fell into a lower band.
    Fading,
    /// The confidence rose into a higher band.
    Refreshed,
}
