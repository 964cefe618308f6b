//! What the fold tells: events.

use serde::{Deserialize, Serialize};

use super::{Cause, Curve, Intent, Millis, State, Transport, Visibility};

/// One event with its position: the log entry that caused it, and its place among that entry's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened, in the log's time.
    pub at_ms: Millis,
    /// The partition.
    pub partition: u16,
    /// Grows each time the log was lost.
    pub generation: u32,
    /// The stream sequence of the log entry that caused it.
    pub seq: u64,
    /// Its place among that entry's events, from 0.
    pub k: u32,
    /// What happened.
    pub body: EventBody,
}

impl Event {
    /// `<partition>-<generation>-<input_seq>-<k>`: equal in a replay.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-{}-{}-{}", self.partition, self.generation, self.seq, self.k)
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventBody {
    /// A session's state changed.
    Session(Box<SessionEvent>),
    /// A user's state or intent changed.
    User(Box<UserEvent>),
    /// What a user is ready for changed.
    Ready(Box<ReadyEvent>),
    /// What the observer knows about itself.
    Engine(EngineEvent),
    /// A signal was refused.
    Rejected(Box<RejectedEvent>),
}

/// A session's transition and all that is known of it. Names are tokens, times are log time in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEvent {
    /// Tenant token.
    pub tenant: Box<str>,
    /// User token.
    pub user: Box<str>,
    /// Session token.
    pub session: Box<str>,
    /// The incarnation's number: the log time of its first signal, raised above its predecessor's.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// Why.
    pub cause: Cause,
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
    pub can: Box<[Box<str>]>,
    /// Room tokens.
    pub rooms: Box<[Box<str>]>,
    /// A compact JSON object, if one was given.
    pub meta: Option<Box<str>>,
    /// The profile in force.
    pub profile: Box<str>,
    /// The promise, 0 for none.
    pub every_ms: u32,
    /// The client's epoch.
    pub epoch: Option<u64>,
    /// The client's counter.
    pub seq_client: Option<u64>,
    /// The latest connection.
    pub conn: Option<Box<str>>,
    /// How probable it is that it is still there.
    pub confidence: Certainty,
    /// What it falls to if nothing more is heard.
    pub next: Option<NextState>,
}

/// A confidence at `at_ms` and the curve it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certainty {
    /// The value, in thousandths.
    pub permille: u16,
    /// The curve.
    pub model: Curve,
    /// Its grace, a promise included.
    pub grace_ms: Millis,
    /// Its half life.
    pub half_life_ms: Millis,
}

/// The next state if nothing more is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextState {
    /// The state.
    pub to: State,
    /// The log time at which it is reached.
    pub at_ms: Millis,
}

/// A user's transition, derived from its sessions. Names are tokens, times are log time in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEvent {
    /// Tenant token.
    pub tenant: Box<str>,
    /// User token.
    pub user: Box<str>,
    /// The incarnation's number: the log time at which it left offline, raised above its predecessor's.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// Why.
    pub cause: Cause,
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// How many sessions are active, idle, away and stale.
    pub sessions: [u32; 4],
    /// The person's will.
    pub intent: Intent,
    /// When it becomes open by itself.
    pub intent_until_ms: Option<Millis>,
    /// The last life sign of any session.
    pub last_seen_ms: Millis,
    /// The last input of any session.
    pub last_input_ms: Millis,
    /// The capabilities that it is ready for, in the policy's order.
    pub ready: Box<[Box<str>]>,
    /// How probable it is that its best session is still there.
    pub confidence: Certainty,
    /// What it falls to if nothing more is heard.
    pub next: Option<NextState>,
}

/// A change of what a user is ready for. Names are tokens, times are log time in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyEvent {
    /// Tenant token.
    pub tenant: Box<str>,
    /// User token.
    pub user: Box<str>,
    /// The user's incarnation.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// Why.
    pub cause: Cause,
    /// What it was ready for, in the policy's order.
    pub from: Box<[Box<str>]>,
    /// What it is ready for, each with the `at_ms` since when, in the policy's order.
    pub to: Box<[(Box<str>, Millis)]>,
    /// The first loss if nothing more is heard.
    pub until_ms: Option<Millis>,
}

/// What the observer knows about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// What.
    pub what: EngineWhat,
    /// Where it begins.
    pub from_ms: Millis,
    /// Where it ends.
    pub to_ms: Millis,
}

/// Kinds of [`EngineEvent`] that the fold tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineWhat {
    /// Nothing came for longer than `blind_after`: the time between is excused.
    Blind,
    /// The log's clock was set back.
    Clock,
    /// Another policy came into force.
    Policy,
    /// A publisher's ticks had failed: the time since the tick before is excused, as far as mercy reaches.
    TicksFailed,
    /// A gateway was silent for longer than `blind_after`: from here on its silence is its own, not that of its sessions.
    GatewaySilent,
}

/// A signal that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedEvent {
    /// The log subject it was stored under.
    pub subject: Box<str>,
    /// Why.
    pub reason: Rejection,
}

/// Why a signal was refused, with the value and the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// The subject is not one that this log takes, or a token in it is not one; says what.
    Subject(Box<str>),
    /// The payload is neither JSON object, MessagePack map nor empty; says what.
    Payload(Box<str>),
    /// Something is larger than its limit.
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A limit of the fold is reached.
    Limit {
        /// The limit's name in the configuration.
        limit: &'static str,
        /// Its value.
        max: u64,
    },
    /// A policy entry that can't be used; says what.
    Policy(Box<str>),
    /// One signal of a gateway's batch.
    Item {
        /// Its place in the batch, from 0.
        at: u32,
        /// Why.
        reason: Box<Rejection>,
    },
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subject(what) => write!(f, "misaddressed: {what}"),
            Self::Payload(what) => write!(f, "undecodable: {what}"),
            Self::TooLarge { what, size, limit } => {
                write!(f, "too large: {what} is {size}, the limit is {limit}")
            }
            Self::Limit { limit, max } => write!(f, "limit reached: {limit} is {max}"),
            Self::Policy(what) => write!(f, "policy refused: {what}"),
            Self::Item { at, reason } => write!(f, "signals[{at}]: {reason}"),
        }
    }
}
