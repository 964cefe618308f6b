//! `user` and `session`: the latest event, and how it is now.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AskError, Fields, Now};
use crate::model::{Millis, State};
use crate::wire::schema::{kind, names};
use crate::wire::{CONTRACT_VERSION, Encoding, ReadError, plain, told};

/// Asks for a user.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub struct UserQuestion {
    /// The user; read as a token.
    #[schemars(length(min = 1, max = 192))]
    pub user: String,
}

/// Asks for a session.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub struct SessionQuestion {
    /// The user; read as a token.
    #[schemars(length(min = 1, max = 192))]
    pub user: String,
    /// The session; read as a token.
    #[schemars(length(min = 1, max = 192))]
    pub session: String,
}

impl UserQuestion {
    /// Reads a question.
    ///
    /// # Errors
    /// [`AskError::Malformed`], [`AskError::TooLarge`].
    pub fn read(payload: &[u8]) -> Result<Self, AskError> {
        Ok(Self { user: Fields::read(payload)?.needed_name("user")? })
    }
}

impl SessionQuestion {
    /// Reads a question.
    ///
    /// # Errors
    /// [`AskError::Malformed`], [`AskError::TooLarge`].
    pub fn read(payload: &[u8]) -> Result<Self, AskError> {
        let fields = Fields::read(payload)?;
        Ok(Self { user: fields.needed_name("user")?, session: fields.needed_name("session")? })
    }
}

/// The latest event of a user, and how it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum UserAnswer<'a> {
    /// It is there: the event with all of its fields.
    There {
        /// The event.
        #[serde(flatten)]
        event: Box<told::User<'a>>,
        /// How it is now.
        now: Now,
        /// The log time up to which the answer knows.
        as_of_ms: Millis,
    },
    /// It is not, or its latest event is kept no more.
    Absent(AbsentUser<'a>),
}

/// The latest event of a session, and how it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum SessionAnswer<'a> {
    /// It is there: the event with all of its fields.
    There {
        /// The event.
        #[serde(flatten)]
        event: Box<told::Session<'a>>,
        /// How it is now.
        now: Now,
        /// The log time up to which the answer knows.
        as_of_ms: Millis,
    },
    /// It is not, or its events are not told, or kept no more.
    Absent(AbsentSession<'a>),
}

/// A user without an event: it left, is invisible or was never heard of. It is there where its latest event is kept no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AbsentUser<'a> {
    /// Contract version.
    pub v: u8,
    /// `user`.
    #[schemars(schema_with = "kind::<1>")]
    pub kind: Cow<'a, str>,
    /// The tenant.
    pub tenant: Cow<'a, str>,
    /// The user.
    pub user: Cow<'a, str>,
    /// The state now.
    #[schemars(schema_with = "names::<State>")]
    pub to: State,
    /// How it is now.
    pub now: Now,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
}

/// A session without an event: it left or was never heard of. It is there where its events are not told, or kept no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AbsentSession<'a> {
    /// Contract version.
    pub v: u8,
    /// `session`.
    #[schemars(schema_with = "kind::<0>")]
    pub kind: Cow<'a, str>,
    /// The tenant.
    pub tenant: Cow<'a, str>,
    /// The user.
    pub user: Cow<'a, str>,
    /// The session.
    pub session: Cow<'a, str>,
    /// The state now.
    #[schemars(schema_with = "names::<State>")]
    pub to: State,
    /// How it is now.
    pub now: Now,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
}

impl<'a> AbsentUser<'a> {
    /// Of a user of whom nothing is told; names are tokens.
    #[must_use]
    pub fn of(tenant: &'a str, user: &'a str, now: Now) -> Self {
        let (tenant, user) = (plain(tenant), plain(user));
        Self { v: CONTRACT_VERSION, kind: "user".into(), tenant, user, to: now.state, now, as_of_ms: now.at_ms }
    }

    /// The answer.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }
}

impl<'a> AbsentSession<'a> {
    /// Of a session of which nothing is told; names are tokens.
    #[must_use]
    pub fn of(tenant: &'a str, user: &'a str, session: &'a str, now: Now) -> Self {
        Self {
            v: CONTRACT_VERSION,
            kind: "session".into(),
            tenant: plain(tenant),
            user: plain(user),
            session: plain(session),
            to: now.state,
            now,
            as_of_ms: now.at_ms,
        }
    }

    /// The answer.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }
}

/// An event's payload as JSON, with the fields that this version doesn't know, and beside them how it is now.
///
/// # Errors
/// A [`ReadError`] if it is no event.
pub fn with_now(payload: &[u8], now: Now) -> Result<Vec<u8>, ReadError> {
    let line = told::json_line(payload)?;
    let mut answer = line.strip_suffix('}').unwrap_or(&line).as_bytes().to_vec();
    answer.extend_from_slice(b",\"now\":");
    answer.extend(Encoding::Json.write(&now));
    answer.extend_from_slice(format!(",\"as_of_ms\":{}}}", now.at_ms).as_bytes());
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_event_is_answered_whole_with_what_is_now_beside_it() {
        let now = Now { state: State::Idle, confidence_permille: 900, at_ms: 7 };
        for event in
            [json!({"kind":"user","next":{"to":"idle"}}), json!({"kind":"user","a":{"b":{"c":{}}}}), json!({"a":1})]
        {
            for encoding in [Encoding::Json, Encoding::MessagePack] {
                let answer: Value = serde_json::from_slice(&with_now(&encoding.write(&event), now).unwrap()).unwrap();
                let mut expected = event.clone();
                expected["now"] = json!({"state":"idle","confidence_permille":900,"at_ms":7});
                expected["as_of_ms"] = json!(7);
                assert_eq!(answer, expected);
            }
        }
    }

    #[test]
    fn names_are_needed_and_become_tokens() {
        assert_eq!(UserQuestion::read(br#"{"user":"a@b"}"#), Ok(UserQuestion { user: "a=40b".into() }));
        let error = SessionQuestion::read(br#"{"user":"a"}"#).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (400, "`session` is missing, it has to be a name"));
    }
}
