//! Events as they are told: the payloads that engines write and everybody reads.
//!
//! Names are plain text, times are milliseconds since the Unix epoch. Readers ignore fields, causes and kinds that they
//! don't know; the five states are closed.

mod read;
mod ready;
mod room;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::meta::Meta;
use super::schema::{cause, kind, names};
use super::{CONTRACT_VERSION, Named, plain};
use crate::model::{
    Certainty, Curve, EngineEvent, Event, Intent, Millis, NextState, RejectedEvent, SessionEvent, State, Transport,
    UserEvent, Visibility,
};

pub use self::read::{ToldEvent, json_line};
pub use self::ready::Ready;
pub use self::room::{InRoom, Member, Partial, Room};

/// A session's transition, and all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SessionEvent")]
pub struct Session<'a> {
    /// Contract version.
    pub v: u8,
    /// `session`.
    #[schemars(schema_with = "kind::<0>")]
    pub kind: Cow<'a, str>,
    /// `<partition>-<generation>-<input_seq>-<k>`: equal in a replay, so de-duplicate by it.
    pub id: Cow<'a, str>,
    /// The log time of the incarnation's first signal, raised above its predecessor's.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// Why.
    #[schemars(schema_with = "cause")]
    pub cause: Cow<'a, str>,
    /// When it happened, in the log's time.
    pub at_ms: Millis,
    /// The partition.
    pub partition: u16,
    /// The log sequence of the entry that caused it.
    pub seq: u64,
    /// The tenant.
    pub tenant: Cow<'a, str>,
    /// The user.
    pub user: Cow<'a, str>,
    /// The session.
    pub session: Cow<'a, str>,
    /// The state before.
    #[schemars(schema_with = "names::<State>")]
    pub from: State,
    /// The state now.
    #[schemars(schema_with = "names::<State>")]
    pub to: State,
    /// The last life sign.
    pub last_seen_ms: Millis,
    /// The last input.
    pub last_input_ms: Millis,
    /// Whether the connection is there.
    #[schemars(schema_with = "names::<Transport>")]
    pub transport: Transport,
    /// Whether it is in sight.
    #[schemars(schema_with = "names::<Visibility>")]
    pub visibility: Visibility,
    /// What it could do now.
    pub can: Vec<Cow<'a, str>>,
    /// Where it is.
    pub rooms: Vec<Cow<'a, str>>,
    /// What the client gave to be passed on.
    pub meta: Meta<'a>,
    /// The policy profile in force.
    pub profile: Cow<'a, str>,
    /// The promised interval between beats, 0 for none.
    pub every_ms: u32,
    /// The client's epoch.
    pub epoch: Option<u64>,
    /// The client's counter.
    pub seq_client: Option<u64>,
    /// The latest connection.
    pub conn: Option<Cow<'a, str>>,
    /// How sure it is that the session is still there.
    pub confidence: Option<Confidence<'a>>,
    /// What comes next if nothing more is heard.
    pub next: Option<Next>,
}

/// A user's transition, derived from its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "UserEvent")]
pub struct User<'a> {
    /// Contract version.
    pub v: u8,
    /// `user`.
    #[schemars(schema_with = "kind::<1>")]
    pub kind: Cow<'a, str>,
    /// `<partition>-<generation>-<input_seq>-<k>`: equal in a replay, so de-duplicate by it.
    pub id: Cow<'a, str>,
    /// The log time at which the user left offline, raised above its predecessor's.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// Why.
    #[schemars(schema_with = "cause")]
    pub cause: Cow<'a, str>,
    /// When it happened, in the log's time.
    pub at_ms: Millis,
    /// The partition.
    pub partition: u16,
    /// The log sequence of the entry that caused it.
    pub seq: u64,
    /// The tenant.
    pub tenant: Cow<'a, str>,
    /// The user.
    pub user: Cow<'a, str>,
    /// The state before.
    #[schemars(schema_with = "names::<State>")]
    pub from: State,
    /// The state now: that of the best session.
    #[schemars(schema_with = "names::<State>")]
    pub to: State,
    /// How many sessions are in each state but offline.
    pub sessions: Sessions,
    /// The person's will.
    #[schemars(schema_with = "names::<Intent>")]
    pub intent: Intent,
    /// When it becomes `open` by itself.
    pub intent_until_ms: Option<Millis>,
    /// The capabilities that the user is ready for.
    #[serde(default)]
    pub ready: Vec<Cow<'a, str>>,
    /// The last life sign of any session.
    pub last_seen_ms: Millis,
    /// The last input of any session.
    pub last_input_ms: Millis,
    /// How sure it is that some session is still there.
    pub confidence: Option<Confidence<'a>>,
    /// What comes next if nothing more is heard.
    pub next: Option<Next>,
}

/// How many are in each state but offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sessions {
    /// Active.
    pub active: u32,
    /// Idle.
    pub idle: u32,
    /// Away.
    pub away: u32,
    /// Stale.
    pub stale: u32,
}

/// How sure it is that somebody is still there: the value at `at_ms`, and how it falls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Confidence<'a> {
    /// The value at `at_ms`, in thousandths.
    pub permille: u16,
    /// The model it follows, such as `half_life`.
    pub model: Cow<'a, str>,
    /// Silence up to this leaves it at 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<Millis>,
    /// Beyond, it halves in this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_life_ms: Option<Millis>,
    /// `hazard`: the probability that a beat doesn't come although the session is there, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_permille: Option<u16>,
}

/// The next transition if nothing more is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Next {
    /// The state to come.
    #[schemars(schema_with = "names::<State>")]
    pub to: State,
    /// When.
    pub at_ms: Millis,
}

/// What an engine knows about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "EngineEvent")]
pub struct Engine<'a> {
    /// Contract version.
    pub v: u8,
    /// `engine`.
    #[schemars(schema_with = "kind::<2>")]
    pub kind: Cow<'a, str>,
    /// `<partition>-<generation>-<input_seq>-<k>`, equal in a replay; or `<partition>-e<epoch>-<n>` for what is outside of it.
    pub id: Cow<'a, str>,
    /// When it happened, in the log's time.
    pub at_ms: Millis,
    /// The partition.
    pub partition: u16,
    /// The log sequence of the entry that caused it, or up to which it was known.
    pub seq: u64,
    /// What: `blind`, `clock`, `ticks_failed`, `gateway_silent`, `policy`, `owner`, `log_lost`, `checkpoint_stale`, or something newer.
    pub what: Cow<'a, str>,
    /// Where it begins.
    pub from_ms: Millis,
    /// Where it ends.
    pub to_ms: Millis,
}

/// A signal that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RejectedEvent")]
pub struct Rejected<'a> {
    /// Contract version.
    pub v: u8,
    /// `rejected`.
    #[schemars(schema_with = "kind::<3>")]
    pub kind: Cow<'a, str>,
    /// `<partition>-<generation>-<input_seq>-<k>`: equal in a replay, so de-duplicate by it.
    pub id: Cow<'a, str>,
    /// When the log took it.
    pub at_ms: Millis,
    /// The partition.
    pub partition: u16,
    /// Its log sequence.
    pub seq: u64,
    /// Why, for people: what it is, its value and the limit.
    pub reason: Cow<'a, str>,
    /// The log subject it is stored under.
    pub subject: Cow<'a, str>,
}

/// The kinds of events, in the order of their schemas.
pub(crate) const KINDS: [&str; 8] = ["session", "user", "engine", "rejected", "ready", "room", "member", "partial"];

impl<'a> Session<'a> {
    /// What is told of `event`, which the session `of` is about.
    #[must_use]
    pub fn of(event: &'a Event, of: &'a SessionEvent) -> Self {
        Self {
            v: CONTRACT_VERSION,
            kind: KINDS[0].into(),
            id: event.id().into(),
            incarnation: of.incarnation,
            ordinal: of.ordinal,
            cause: of.cause.name().into(),
            at_ms: event.at_ms,
            partition: event.partition,
            seq: event.seq,
            tenant: plain(&of.tenant),
            user: plain(&of.user),
            session: plain(&of.session),
            from: of.from,
            to: of.to,
            last_seen_ms: of.last_seen_ms,
            last_input_ms: of.last_input_ms,
            transport: of.transport,
            visibility: of.visibility,
            can: of.can.iter().map(|name| Cow::Borrowed(&**name)).collect(),
            rooms: of.rooms.iter().map(|room| plain(room)).collect(),
            meta: Meta::new(of.meta.as_deref()),
            profile: Cow::Borrowed(&of.profile),
            every_ms: of.every_ms,
            epoch: of.epoch,
            seq_client: of.seq_client,
            conn: of.conn.as_deref().map(Cow::Borrowed),
            confidence: Some(of.confidence.into()),
            next: of.next.map(Into::into),
        }
    }
}

impl<'a> User<'a> {
    /// What is told of `event`, which the user `of` is about.
    #[must_use]
    pub fn of(event: &'a Event, of: &'a UserEvent) -> Self {
        let [active, idle, away, stale] = of.sessions;
        Self {
            v: CONTRACT_VERSION,
            kind: KINDS[1].into(),
            id: event.id().into(),
            incarnation: of.incarnation,
            ordinal: of.ordinal,
            cause: of.cause.name().into(),
            at_ms: event.at_ms,
            partition: event.partition,
            seq: event.seq,
            tenant: plain(&of.tenant),
            user: plain(&of.user),
            from: of.from,
            to: of.to,
            sessions: Sessions { active, idle, away, stale },
            intent: of.intent,
            intent_until_ms: of.intent_until_ms,
            ready: of.ready.iter().map(|name| Cow::Borrowed(&**name)).collect(),
            last_seen_ms: of.last_seen_ms,
            last_input_ms: of.last_input_ms,
            confidence: Some(of.confidence.into()),
            next: of.next.map(Into::into),
        }
    }
}

impl From<Certainty> for Confidence<'_> {
    fn from(of: Certainty) -> Self {
        let lost_permille = match of.model {
            Curve::HalfLife => None,
            Curve::Hazard { lost_permille } => Some(lost_permille),
        };
        Self {
            permille: of.permille,
            model: of.model.as_str().into(),
            grace_ms: Some(of.grace_ms),
            half_life_ms: Some(of.half_life_ms),
            lost_permille,
        }
    }
}

impl From<NextState> for Next {
    fn from(of: NextState) -> Self {
        Self { to: of.to, at_ms: of.at_ms }
    }
}

impl Engine<'_> {
    /// What is told of `event`, which the engine found out while it folded.
    #[must_use]
    pub fn of(event: &Event, of: &EngineEvent) -> Self {
        Self {
            v: CONTRACT_VERSION,
            kind: KINDS[2].into(),
            id: event.id().into(),
            at_ms: event.at_ms,
            partition: event.partition,
            seq: event.seq,
            what: of.what.name().into(),
            from_ms: of.from_ms,
            to_ms: of.to_ms,
        }
    }
}

impl<'a> Rejected<'a> {
    /// What is told of `event`, which the refused signal `of` caused.
    #[must_use]
    pub fn of(event: &Event, of: &'a RejectedEvent) -> Self {
        Self {
            v: CONTRACT_VERSION,
            kind: KINDS[3].into(),
            id: event.id().into(),
            at_ms: event.at_ms,
            partition: event.partition,
            seq: event.seq,
            reason: of.reason.to_string().into(),
            subject: Cow::Borrowed(&of.subject),
        }
    }
}
