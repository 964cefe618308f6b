//! `room`: how many are in a room, and who.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::owned::Density;
use super::users::page;
use super::{AskError, Fields, PAGE_DEFAULT, Person};
use crate::model::Millis;
use crate::wire::told::Sessions;
use crate::wire::{Encoding, plain};

/// Asks for a room.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub struct RoomQuestion {
    /// The room; read as a token.
    #[schemars(length(min = 1, max = 192))]
    pub room: String,
    /// Whether to say who is there, a page of them.
    #[schemars(default, with = "Option<bool>")]
    pub members: bool,
    /// Members behind this user.
    #[schemars(length(min = 1, max = 192))]
    pub after: Option<String>,
    /// At most so many, 1 to 256; 100 where absent.
    #[schemars(range(min = 1, max = 256), default = "page_default", with = "Option<u16>")]
    pub limit: usize,
}

fn page_default() -> usize {
    PAGE_DEFAULT
}

impl RoomQuestion {
    /// Reads a question.
    ///
    /// # Errors
    /// [`AskError::Malformed`], [`AskError::TooLarge`].
    pub fn read(payload: &[u8]) -> Result<Self, AskError> {
        let fields = Fields::read(payload)?;
        let (after, limit) = page(&fields)?;
        Ok(Self { room: fields.needed_name("room")?, members: fields.flag("members")?, after, limit })
    }
}

/// How many are in a room. An empty one has zeros.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomAnswer {
    /// The room.
    pub room: String,
    /// Sessions in each state but offline.
    pub sessions: Sessions,
    /// Distinct users, each by the state of the best of its sessions in this room.
    pub users: Sessions,
    /// How many users are ready, by capability; none is left out.
    pub ready: BTreeMap<String, u64>,
    /// The expected number of users that are really there, in thousandths.
    pub expected_permille: u64,
    /// The variance of that number, in thousandths.
    pub variance_permille: u64,
    /// A page of who is there, in the order of their tokens; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Person>>,
    /// The page goes on behind this user; `null`: it does not. Only where members were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub after: Option<Option<String>>,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
}

impl RoomAnswer {
    /// A room, by its token, without its members.
    #[must_use]
    pub fn of(room: &str, of: Density, as_of_ms: Millis) -> Self {
        Self {
            room: plain(room).into_owned(),
            sessions: of.sessions.into(),
            users: of.users.into(),
            ready: of.ready,
            expected_permille: of.expected_permille,
            variance_permille: of.variance_millionths / 1_000,
            members: None,
            after: None,
            as_of_ms,
        }
    }

    /// The answer.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }
}
