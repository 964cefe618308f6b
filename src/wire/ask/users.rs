//! `users`: some of them, or a page of who is here.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{AskError, Fields, PAGE_DEFAULT, Person, USERS_MAX};
use crate::model::{Millis, State};
use crate::wire::{Encoding, Named};

/// Asks for some users, or for a page of who is here.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[schemars(default)]
pub struct UsersQuestion {
    /// These, in this order; absent: a page.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 192)))]
    pub users: Option<Vec<String>>,
    /// In one of these states; none: in any but offline.
    #[schemars(schema_with = "present_states")]
    pub states: Vec<State>,
    /// Behind this user, whether it is here or not.
    #[schemars(length(min = 1, max = 192))]
    pub after: Option<String>,
    /// At most so many, 1 to 256; 100 where absent.
    #[schemars(range(min = 1, max = 256))]
    pub limit: Option<u16>,
}

/// A list of the states of somebody who is here.
fn present_states(_: &mut SchemaGenerator) -> Schema {
    let states = State::ALL.into_iter().filter(|state| *state != State::Offline);
    let states: Vec<_> = states.map(Named::name).collect();
    json_schema!({ "type": ["array", "null"], "items": { "type": "string", "enum": states } })
}

const _: () = assert!(USERS_MAX == 256 && PAGE_DEFAULT == 100, "the schema says so");

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// These users; tokens, each once.
    Named(Vec<String>),
    /// A page.
    Page {
        /// In one of these states; none: in any but offline.
        states: Vec<State>,
        /// Behind this user token.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
}

impl UsersQuestion {
    /// Reads a question.
    ///
    /// # Errors
    /// [`AskError::Malformed`], [`AskError::TooLarge`].
    pub fn read(payload: &[u8]) -> Result<Wanted, AskError> {
        let fields = Fields::read(payload)?;
        let (after, limit) = page(&fields)?;
        let states = fields.choices("states")?;
        if states.contains(&State::Offline) {
            let why = "`states` has offline in it, a page has only those who are here: ask for others by `users`";
            return Err(AskError::Malformed(why.into()));
        }
        Ok(match fields.names("users", USERS_MAX)? {
            Some(users) => Wanted::Named(users),
            None => Wanted::Page { states, after, limit },
        })
    }
}

/// Where a page begins, and how long it is.
pub(super) fn page(fields: &Fields) -> Result<(Option<String>, usize), AskError> {
    let limit = fields.number("limit", 1..=USERS_MAX as u64)?;
    Ok((fields.name("after")?, limit.map_or(PAGE_DEFAULT, |limit| limit as usize)))
}

/// Some users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsersAnswer {
    /// Those who were asked for, in that order, or a page in the order of their tokens.
    pub users: Vec<Person>,
    /// The page goes on behind this user; `null`: it does not.
    pub after: Option<String>,
    /// What was told in `PRESENCE_EVENTS` up to this sequence is in the answer, and more may be.
    pub follow_from: u64,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
}

impl UsersAnswer {
    /// The answer.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_names_it_is_a_page_with_its_defaults() {
        assert_eq!(UsersQuestion::read(b""), Ok(Wanted::Page { states: vec![], after: None, limit: 100 }));
        let question = br#"{"states":["active","idle"],"after":"b@c","limit":256,"more":1}"#;
        let after = Some("b=40c".to_owned());
        let page = Wanted::Page { states: vec![State::Active, State::Idle], after, limit: 256 };
        assert_eq!(UsersQuestion::read(question), Ok(page));
        assert_eq!(UsersQuestion::read(br#"{"users":["b","a"]}"#), Ok(Wanted::Named(vec!["b".into(), "a".into()])));
    }

    #[test]
    fn limits_are_refused_with_their_values() {
        let why = |question: &str| UsersQuestion::read(question.as_bytes()).unwrap_err().to_string();
        assert_eq!(why(r#"{"limit":257}"#), "`limit` is 257, it has to be within 1 to 256");
        let many: Vec<String> = (0..257).map(|user| format!("u{user}")).collect();
        let many = serde_json::json!({ "users": many }).to_string();
        assert_eq!(why(&many), "`users` has 257 entries, it has to have 1 to 256");
        assert!(why(r#"{"states":["offline"]}"#).contains("ask for others by `users`"));
    }
}
