//! What engines answer.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Density, Next};
use crate::model::{Intent, Millis, State};

/// A user, or a session of one, as it is now.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Latest {
    /// What the owner of its partition knows now, of which no event may tell yet.
    pub now: Now,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
    /// The incarnation, unless it is not there.
    #[serde(default)]
    pub incarnation: Option<u64>,
    /// The latest event's ordinal, unless it is not there.
    #[serde(default)]
    pub ordinal: Option<u32>,
    /// The person's will; `None` where it is offline.
    #[serde(default)]
    pub intent: Option<Intent>,
    /// The capabilities that the user is ready for.
    #[serde(default)]
    pub ready: Vec<String>,
    /// The last life sign as the latest event told it.
    #[serde(default)]
    pub last_seen_ms: Option<Millis>,
    /// The last input as the latest event told it.
    #[serde(default)]
    pub last_input_ms: Option<Millis>,
    /// What comes next if nothing more is heard.
    #[serde(default)]
    pub next: Option<Next>,
    /// Everything else of the latest event.
    #[serde(flatten)]
    pub event: Map<String, Value>,
}

/// What is known now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Now {
    /// The state.
    pub state: State,
    /// How sure it is, in thousandths.
    pub confidence_permille: u16,
    /// At this log time.
    pub at_ms: Millis,
}

/// A user among others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Somebody {
    /// The user.
    pub user: String,
    /// The state; of a room's member, that in the room.
    pub state: State,
    /// The person's will; `None` where it is offline.
    #[serde(default)]
    pub intent: Option<Intent>,
    /// How sure it is that the user is still there, in thousandths.
    #[serde(default)]
    pub confidence_permille: u16,
    /// The last life sign.
    #[serde(default)]
    pub last_seen_ms: Option<Millis>,
    /// The last input.
    #[serde(default)]
    pub last_input_ms: Option<Millis>,
    /// The capabilities that the user is ready for.
    #[serde(default)]
    pub ready: Vec<String>,
    /// What comes next if nothing more is heard.
    #[serde(default)]
    pub next: Option<Next>,
    /// The incarnation, where the engine tells it.
    #[serde(default)]
    pub incarnation: Option<u64>,
    /// The latest event's ordinal, where the engine tells it.
    #[serde(default)]
    pub ordinal: Option<u32>,
}

/// A page of who is here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct UsersPage {
    /// Who.
    pub users: Vec<Somebody>,
    /// Ask for the page behind this user; `None` behind the last.
    pub after: Option<String>,
    /// A sequence of PRESENCE_EVENTS from which everything that changes since is told.
    pub follow_from: u64,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
}

/// A room as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct RoomNow {
    /// The room.
    pub room: String,
    /// How many, and how sure that is.
    #[serde(flatten)]
    pub density: Density,
    /// Who, if it was asked for.
    #[serde(default)]
    pub members: Vec<Somebody>,
    /// Ask for the page behind this user; `None` behind the last.
    #[serde(default)]
    pub after: Option<String>,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
}

/// What became of a wait.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Waited {
    /// Whether that many are ready.
    pub status: Status,
    /// Who is ready.
    #[serde(default)]
    pub ready: Vec<ReadyUser>,
    /// Who of those that were named is not, and why.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// How many more are needed, of a room.
    #[serde(default)]
    pub short: u64,
}

impl Waited {
    /// Whether it came true.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match self.status {
            Status::Ready => true,
            Status::Pending => false,
        }
    }
}

/// How a wait stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// That many are ready.
    Ready,
    /// They are not, and time is over.
    Pending,
}

/// Somebody who is ready.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ReadyUser {
    /// The user.
    pub user: String,
    /// Since when.
    pub since_ms: Millis,
    /// How sure it is, in thousandths.
    pub confidence_permille: u16,
}

/// Somebody who is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Missing {
    /// The user.
    pub user: String,
    /// Why: the first that holds of `offline`, `intent`, `state`, `closed`, `incapable`, `unsure`, `holding`.
    pub why: String,
}

/// Somebody to turn to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Candidate {
    /// The user.
    pub user: String,
    /// The state.
    pub state: State,
    /// How sure it is, in thousandths.
    pub confidence_permille: u16,
    /// The last input.
    #[serde(default)]
    pub last_input_ms: Option<Millis>,
    /// In how many rooms it is that match `route.load_rooms`.
    #[serde(default)]
    pub load: u64,
    /// Why it stands where it stands, for people.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// A page of what a user was.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct HistoryPage {
    /// One behind the other, without a gap.
    pub segments: Vec<Segment>,
    /// Ask for the page behind this; `None` behind the last.
    pub after: Option<String>,
    /// When the oldest event that is kept happened; `None`: none is.
    #[serde(default)]
    pub kept_from_ms: Option<Millis>,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
}

/// A time in which a user's state was one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Segment {
    /// The state; `None`: unknown, since what is kept does not reach that far.
    #[serde(deserialize_with = "known")]
    pub state: Option<State>,
    /// From when.
    pub from_ms: Millis,
    /// Until when.
    pub to_ms: Millis,
    /// Why it began.
    #[serde(default)]
    pub cause: Option<String>,
    /// Whether anybody watched.
    #[serde(default = "yes")]
    pub observed: bool,
}

/// A page of who was here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ThenPage {
    /// At this time.
    pub at_ms: Millis,
    /// Who.
    pub users: Vec<Then>,
    /// Ask for the page behind this; `None` behind the last.
    pub after: Option<String>,
    /// When the oldest event that is kept happened; `None`: none is.
    #[serde(default)]
    pub kept_from_ms: Option<Millis>,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
}

/// Somebody as it was.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Then {
    /// The user.
    pub user: String,
    /// The state.
    pub state: State,
    /// Since when; `None` where what is kept does not reach that far.
    pub since_ms: Option<Millis>,
}

fn yes() -> bool {
    true
}

/// A state, or `unknown`.
fn known<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<State>, D::Error> {
    let name = String::deserialize(from)?;
    if name == "unknown" {
        return Ok(None);
    }
    let state = State::ALL.into_iter().find(|state| state.as_str() == name);
    state.map(Some).ok_or_else(|| serde::de::Error::custom(format!("{name:?} is no state")))
}
