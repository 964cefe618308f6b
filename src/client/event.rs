//! Events as clients read them.
//!
//! Names are plain text, times are milliseconds since the Unix epoch in the log's time, confidences are thousandths.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Certainty;
use crate::model::{Intent, Millis, State, Transport, Visibility};

/// A session's transition, and all that is known of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct SessionEvent {
    /// Equal in a replay.
    pub id: String,
    /// The incarnation's number.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// Why, such as `joined`, `quiet`, `left`; there may be newer ones.
    pub cause: String,
    /// When it happened.
    pub at_ms: Millis,
    /// The user.
    pub user: String,
    /// The session.
    pub session: String,
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// The last life sign.
    pub last_seen_ms: Millis,
    /// The last input.
    pub last_input_ms: Millis,
    /// Whether the connection is there.
    pub transport: Transport,
    /// Whether it is in sight.
    pub visibility: Visibility,
    /// What it could do now.
    pub can: Vec<String>,
    /// Where it is.
    pub rooms: Vec<String>,
    /// What the session gave to be passed on.
    pub meta: Map<String, Value>,
    /// The client's start, if it told it.
    pub epoch: Option<u64>,
    /// The client's counter, if it told it.
    pub seq_client: Option<u64>,
    /// How sure it is that the session is still there.
    pub confidence: Option<Certainty>,
    /// What comes next if nothing more is heard.
    pub next: Option<Next>,
}

/// A user's transition, derived from its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct UserEvent {
    /// Equal in a replay.
    pub id: String,
    /// The incarnation's number.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// Why; there may be newer ones.
    pub cause: String,
    /// When it happened.
    pub at_ms: Millis,
    /// The user.
    pub user: String,
    /// The state before.
    pub from: State,
    /// The state now: that of the best session.
    pub to: State,
    /// How many sessions are in each state but offline.
    pub sessions: Counts,
    /// The person's will.
    pub intent: Intent,
    /// When it becomes open by itself.
    pub intent_until_ms: Option<Millis>,
    /// The capabilities that the user is ready for.
    #[serde(default)]
    pub ready: Vec<String>,
    /// The last life sign of any session.
    pub last_seen_ms: Millis,
    /// The last input of any session.
    pub last_input_ms: Millis,
    /// How sure it is that the best session is still there.
    pub confidence: Option<Certainty>,
    /// What comes next if nothing more is heard.
    pub next: Option<Next>,
}

/// A change of what a user is ready for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ReadyEvent {
    /// Equal in a replay.
    pub id: String,
    /// The user's incarnation.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// Why; there may be newer ones.
    pub cause: String,
    /// When it happened.
    pub at_ms: Millis,
    /// The user.
    pub user: String,
    /// The capabilities that the user was ready for.
    pub from: Vec<String>,
    /// The capabilities that the user is ready for.
    pub to: Vec<String>,
    /// Since when, for each of `to`.
    pub since_ms: BTreeMap<String, Millis>,
    /// When the first of `to` is lost if nothing more is heard.
    pub until_ms: Option<Millis>,
}

/// How many are in a room.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct RoomEvent {
    /// De-duplicate by it.
    pub id: String,
    /// The incarnation's number.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// Why; there may be newer ones.
    pub cause: String,
    /// When it happened.
    pub at_ms: Millis,
    /// The room.
    pub room: String,
    /// How many, and how sure that is.
    #[serde(flatten)]
    pub density: Density,
}

/// A user came into a room, left it, or is there otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct MemberEvent {
    /// De-duplicate by it.
    pub id: String,
    /// The incarnation's number.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// Why; there may be newer ones.
    pub cause: String,
    /// When it happened.
    pub at_ms: Millis,
    /// The room.
    pub room: String,
    /// The user.
    pub user: String,
    /// The state in this room before; offline: it was not there.
    pub from: State,
    /// The state in this room now; offline: it is not there.
    pub to: State,
    /// Its sessions in this room in each state but offline.
    pub sessions: Counts,
}

/// How many are in a room, and how sure that is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Density {
    /// Sessions in each state but offline.
    pub sessions: Counts,
    /// Distinct users, each by the state of the best of its sessions in this room.
    pub users: Counts,
    /// How many users are ready, by capability.
    #[serde(default)]
    pub ready: BTreeMap<String, u64>,
    /// The expected number of users that are really there, in thousandths.
    #[serde(default)]
    pub expected_permille: u64,
    /// The variance of that number, in thousandths.
    #[serde(default)]
    pub variance_permille: u64,
}

/// How many are in each state but offline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Counts {
    /// Active.
    pub active: u32,
    /// Idle.
    pub idle: u32,
    /// Away.
    pub away: u32,
    /// Stale.
    pub stale: u32,
}

impl Counts {
    /// How many there are.
    #[must_use]
    pub fn all(&self) -> u64 {
        [self.active, self.idle, self.away, self.stale].into_iter().map(u64::from).sum()
    }
}

/// The next state if nothing more is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Next {
    /// The state.
    pub to: State,
    /// When it is reached.
    pub at_ms: Millis,
}
