//! `wait`: until that many are ready, instead of ringing.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::{malformed, missing};
use super::{AskError, Fields, ID_BYTES_MAX, USERS_MAX};
use crate::model::confidence::CERTAIN;
use crate::model::{Lack, Millis, Want};
use crate::wire::schema::names;
use crate::wire::{Encoding, Named};

/// Longest time that a question may ask to be held, in milliseconds.
pub const TIMEOUT_MS_MAX: u64 = 25_000;
/// How long a question is held where it says nothing, in milliseconds.
pub const TIMEOUT_MS_DEFAULT: u64 = 20_000;
/// Longest name of a capability, in bytes.
const CAPABILITY_BYTES_MAX: usize = 64;
/// Longest time that readiness may be asked to have lasted, in milliseconds.
pub const HOLD_MS_MAX: u64 = 60_000;

/// Asks to be answered when somebody is ready.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub struct WaitQuestion {
    /// Chosen by who asks.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// For these; or `room`.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 192)))]
    pub users: Option<Vec<String>>,
    /// For members of this room; or `users`.
    #[schemars(length(min = 1, max = 192))]
    pub room: Option<String>,
    /// How many of them: all of `users` where absent, one of a `room`.
    #[schemars(range(min = 1, max = 256))]
    pub need: Option<u16>,
    /// The capability; absent: any ready state will do.
    #[serde(rename = "for")]
    pub capability: Option<String>,
    /// With this confidence at least, in thousandths; that of the policy where absent.
    #[schemars(range(max = 1000))]
    pub min_confidence_permille: Option<u16>,
    /// They have to have been ready for so long; 0 where absent.
    #[schemars(range(max = 60000))]
    pub hold_ms: Option<u32>,
    /// Answer `pending` after so long; 20000 where absent.
    #[schemars(range(max = 25000))]
    pub timeout_ms: Option<u32>,
}

/// Who is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WaitAnswer")]
pub struct WaitAnswer {
    /// That of the question.
    pub id: String,
    /// `ready`, or `pending`: ask again.
    pub status: WaitStatus,
    /// Who is ready and has been for as long as was asked; of a room at most 256, the longest first.
    pub ready: Vec<ReadyUser>,
    /// Who of `users` is not, and why.
    pub missing: Vec<MissingUser>,
    /// How many more are needed.
    pub short: u64,
    /// The log time up to which this is known; of several partitions the earliest.
    pub as_of_ms: Millis,
}

/// Whether as many are ready as are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WaitStatus {
    /// They are.
    Ready,
    /// They are not yet.
    Pending,
}

/// Somebody who is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadyUser {
    /// The user.
    pub user: String,
    /// Since when at least.
    pub since_ms: Millis,
    /// How sure it is that it is still there, in thousandths.
    pub confidence_permille: u16,
}

/// Somebody who is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingUser {
    /// The user.
    pub user: String,
    /// Why: the first that holds.
    #[schemars(schema_with = "names::<Lack>")]
    pub why: Cow<'static, str>,
}

crate::wire::name::named! {
    Lack {
        Offline = "offline", Intent = "intent", State = "state", Closed = "closed", Incapable = "incapable",
        Unsure = "unsure", Holding = "holding"
    }
}

/// Among whom somebody is looked for: tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Among {
    /// These users.
    Users(Vec<String>),
    /// The members of this room.
    Room(String),
}

/// A question that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Chosen by who asks.
    pub id: String,
    /// For whom.
    pub among: Among,
    /// How many of them.
    pub need: usize,
    /// What they have to be ready for.
    pub want: Want,
    /// For how long they have to have been, in milliseconds.
    pub hold_ms: Millis,
    /// How long the question is held, in milliseconds.
    pub timeout_ms: u64,
}

impl WaitQuestion {
    /// Reads a question.
    ///
    /// # Errors
    /// [`AskError::Malformed`], [`AskError::TooLarge`].
    pub fn read(payload: &[u8]) -> Result<Wait, AskError> {
        let fields = Fields::read(payload)?;
        let among = among(&fields, "users")?;
        let (all, max) = match &among {
            Among::Users(users) => (users.len() as u64, users.len() as u64),
            Among::Room(_) => (1, USERS_MAX as u64),
        };
        Ok(Wait {
            id: id(&fields)?,
            need: fields.number("need", 1..=max)?.unwrap_or(all) as usize,
            want: want(&fields)?,
            hold_ms: fields.number("hold_ms", 0..=HOLD_MS_MAX)?.unwrap_or(0),
            timeout_ms: fields.number("timeout_ms", 0..=TIMEOUT_MS_MAX)?.unwrap_or(TIMEOUT_MS_DEFAULT),
            among,
        })
    }
}

/// The id of a question.
pub(super) fn id(fields: &Fields) -> Result<String, AskError> {
    let id = fields.text("id", ID_BYTES_MAX)?;
    id.map(str::to_owned).ok_or_else(|| missing("id", "a text that you choose"))
}

/// Whom a question is about: users, in the field `users`, or the members of a room.
pub(super) fn among(fields: &Fields, users: &str) -> Result<Among, AskError> {
    match (fields.names(users, USERS_MAX)?, fields.name("room")?) {
        (Some(users), None) => Ok(Among::Users(users)),
        (None, Some(room)) => Ok(Among::Room(room)),
        (Some(_), Some(_)) => Err(malformed(format!("`{users}` and `room` are both there, name one of them"))),
        (None, None) => Err(malformed(format!("neither `{users}` nor `room` is there, name one of them"))),
    }
}

/// What is wanted of somebody.
pub(super) fn want(fields: &Fields) -> Result<Want, AskError> {
    let min = fields.number("min_confidence_permille", 0..=CERTAIN.into())?;
    let capability = fields.text("for", CAPABILITY_BYTES_MAX)?;
    Ok(Want { capability: capability.map(Into::into), min_permille: min.and_then(|min| u16::try_from(min).ok()) })
}

impl WaitAnswer {
    /// The answer.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }
}

impl MissingUser {
    /// A user by its plain name, and what it lacks.
    #[must_use]
    pub fn new(user: String, lack: Lack) -> Self {
        Self { user, why: lack.name().into() }
    }
}

const _: () = assert!(ID_BYTES_MAX == 128 && USERS_MAX == 256, "the schemas above say so");

#[cfg(test)]
mod tests {
    use super::*;

    fn read(question: &str) -> Result<Wait, String> {
        WaitQuestion::read(question.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let wait = read(r#"{"id":"call-7","users":["ada","b@c","ada"]}"#).unwrap();
        let expected = Wait {
            id: "call-7".into(),
            among: Among::Users(vec!["ada".into(), "b=40c".into()]),
            need: 2,
            want: Want { capability: None, min_permille: None },
            hold_ms: 0,
            timeout_ms: 20_000,
        };
        assert_eq!(wait, expected);
        let room = read(r#"{"id":"x","room":"desk","for":"audio"}"#).unwrap();
        assert_eq!((room.need, room.among), (1, Among::Room("desk".into())));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_value_and_the_limit() {
        for (question, why) in [
            (r#"{"id":"x"}"#, "neither `users` nor `room` is there, name one of them"),
            (r#"{"id":"x","users":["a"],"room":"b"}"#, "`users` and `room` are both there, name one of them"),
            (r#"{"id":"x","users":[]}"#, "`users` has 0 entries, it has to have 1 to 256"),
            (r#"{"id":"x","users":["ada"],"need":2}"#, "`need` is 2, it has to be within 1 to 1"),
            (r#"{"id":"x","room":"a","timeout_ms":25001}"#, "`timeout_ms` is 25001, it has to be within 0 to 25000"),
            (r#"{"users":["ada"]}"#, "`id` is missing, it has to be a text that you choose"),
        ] {
            assert_eq!(read(question).unwrap_err(), why);
        }
    }
}
