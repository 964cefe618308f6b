//! `wait`: until that many are ready, instead of ringing.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AskError, ID_BYTES_MAX, USERS_MAX, checked};
use crate::model::confidence::CERTAIN;
use crate::model::{Lack, Millis, Want};
use crate::wire::Named;
use crate::wire::schema::names;

/// Longest time that a question may ask to be held, in milliseconds.
pub const TIMEOUT_MS_MAX: u64 = 25_000;
/// How long a question is held where it says nothing, in milliseconds.
pub const TIMEOUT_MS_DEFAULT: u64 = 20_000;
/// Longest time that readiness may be asked to have lasted, in milliseconds.
pub const HOLD_MS_MAX: u64 = 60_000;

/// The question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WaitQuestion")]
pub struct WaitQuestion {
    /// Chosen by who asks, 1 to 128 bytes.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// Whom to wait for; or `room`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub users: Option<Vec<String>>,
    /// For members of this room; or `users`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// How many of them: all of `users` where absent, one of a `room`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need: Option<u64>,
    /// The capability; absent: any ready state will do.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// With this confidence at least, in thousandths; that of the policy where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub min_confidence_permille: Option<u64>,
    /// They have to have been ready for so long.
    #[serde(default)]
    #[schemars(range(max = 60000))]
    pub hold_ms: u64,
    /// Answer `pending` after so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 25000))]
    pub timeout_ms: Option<u64>,
}

/// The answer.
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
    Users(Vec<Box<str>>),
    /// The members of this room.
    Room(Box<str>),
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
    /// The question with all that it leaves to defaults.
    ///
    /// # Errors
    /// [`AskError::Malformed`].
    pub fn check(self) -> Result<Wait, AskError> {
        checked::id(&self.id)?;
        let among = among(self.users, "users", self.room)?;
        let (all, max) = match &among {
            Among::Users(users) => (users.len(), users.len() as u64),
            Among::Room(_) => (1, USERS_MAX as u64),
        };
        let need = checked::within("need", self.need.unwrap_or(all as u64), 1, max)?;
        let hold_ms = checked::within("hold_ms", self.hold_ms, 0, HOLD_MS_MAX)?;
        let timeout_ms =
            checked::within("timeout_ms", self.timeout_ms.unwrap_or(TIMEOUT_MS_DEFAULT), 0, TIMEOUT_MS_MAX)?;
        let want = want(self.capability, self.min_confidence_permille)?;
        Ok(Wait { id: self.id, among, need: need as usize, want, hold_ms, timeout_ms })
    }
}

/// Whom a question is about: users, named in the field `name`, or the members of a room.
///
/// # Errors
/// [`AskError::Malformed`].
pub(super) fn among(users: Option<Vec<String>>, name: &str, room: Option<String>) -> Result<Among, AskError> {
    match (users, room) {
        (Some(users), None) => {
            let count = users.len();
            checked::within(&format!("the number of {name}"), count as u64, 1, USERS_MAX as u64)?;
            let mut tokens: Vec<Box<str>> = Vec::with_capacity(count);
            for user in &users {
                let token = checked::token("user", user)?.into();
                if !tokens.contains(&token) {
                    tokens.push(token);
                }
            }
            Ok(Among::Users(tokens))
        }
        (None, Some(room)) => Ok(Among::Room(checked::token("room", &room)?.into())),
        (Some(_), Some(_)) | (None, None) => {
            Err(AskError::Malformed(format!("either `{name}` or `room` has to be there, and only one of them")))
        }
    }
}

/// What is wanted of somebody.
///
/// # Errors
/// [`AskError::Malformed`].
pub(super) fn want(capability: Option<String>, min_permille: Option<u64>) -> Result<Want, AskError> {
    let min = min_permille.map(|min| checked::within("min_confidence_permille", min, 0, CERTAIN.into())).transpose()?;
    Ok(Want {
        capability: capability.map(Into::into),
        min_permille: min.map(|min| u16::try_from(min).expect("it is within a thousand")),
    })
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

    fn check(json: serde_json::Value) -> Result<Wait, String> {
        let question: WaitQuestion = serde_json::from_value(json).map_err(|error| error.to_string())?;
        question.check().map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let wait = check(serde_json::json!({ "id": "call-7", "users": ["ada", "b@c", "ada"] })).unwrap();
        let expected = Wait {
            id: "call-7".into(),
            among: Among::Users(vec!["ada".into(), "b=40c".into()]),
            need: 2,
            want: Want { capability: None, min_permille: None },
            hold_ms: 0,
            timeout_ms: 20_000,
        };
        assert_eq!(wait, expected);
        let room = check(serde_json::json!({ "id": "x", "room": "desk", "for": "audio" })).unwrap();
        assert_eq!((room.need, room.among), (1, Among::Room("desk".into())));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_value_and_the_limit() {
        let refused = |json| check(json).unwrap_err();
        let whom = refused(serde_json::json!({ "id": "x" }));
        assert_eq!(whom, "either `users` or `room` has to be there, and only one of them");
        let none = refused(serde_json::json!({ "id": "x", "users": [] }));
        assert_eq!(none, "the number of users is 0, allowed are 1 to 256");
        let need = refused(serde_json::json!({ "id": "x", "users": ["ada"], "need": 2 }));
        assert_eq!(need, "need is 2, allowed are 1 to 1");
        let long = refused(serde_json::json!({ "id": "x", "users": ["ada"], "timeout_ms": 25_001 }));
        assert_eq!(long, "timeout_ms is 25001, allowed are 0 to 25000");
        let id = refused(serde_json::json!({ "id": "", "users": ["ada"] }));
        assert_eq!(id, "id has 0 bytes, allowed are 1 to 128");
        let name = refused(serde_json::json!({ "id": "x", "users": [""] }));
        assert_eq!(name, "user: a name must not be empty");
    }
}
