//! What is told of a user to whoever asks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::owned;
use crate::model::{Intent, Millis, State};
use crate::wire::plain;
use crate::wire::schema::names;
use crate::wire::told::Next;

/// How somebody is now, as the owner computes it from what it heard last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Now {
    /// The state now.
    #[schemars(schema_with = "names::<State>")]
    pub state: State,
    /// How probable it is that somebody is there, in thousandths.
    pub confidence_permille: u16,
    /// The log time up to which that is known.
    pub at_ms: Millis,
}

/// A user among others. Of somebody who is offline nothing is told but that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// The user.
    pub user: String,
    /// The incarnation of its latest event; `null` where it is offline.
    pub incarnation: Option<u64>,
    /// The ordinal of its latest event; `null` where it is offline.
    pub ordinal: Option<u32>,
    /// The state now; of a room's member, in that room.
    #[schemars(schema_with = "names::<State>")]
    pub state: State,
    /// The person's will; `open` where it is offline.
    #[schemars(schema_with = "names::<Intent>")]
    pub intent: Intent,
    /// How probable it is that its best session is there, in thousandths.
    pub confidence_permille: u16,
    /// The last life sign of any session; `null` where it is offline.
    pub last_seen_ms: Option<Millis>,
    /// The last input of any session; `null` where it is offline.
    pub last_input_ms: Option<Millis>,
    /// The capabilities that it is ready for.
    pub ready: Vec<String>,
    /// What comes next if nothing more is heard.
    pub next: Option<Next>,
}

impl Person {
    /// Somebody who left, is invisible, or was never heard of; `user` is a token.
    #[must_use]
    pub fn offline(user: &str) -> Self {
        Self {
            user: plain(user).into_owned(),
            incarnation: None,
            ordinal: None,
            state: State::Offline,
            intent: Intent::Open,
            confidence_permille: 0,
            last_seen_ms: None,
            last_input_ms: None,
            ready: Vec::new(),
            next: None,
        }
    }
}

impl From<owned::Person> for Person {
    fn from(of: owned::Person) -> Self {
        Self {
            user: plain(&of.user).into_owned(),
            incarnation: Some(of.told.0),
            ordinal: Some(of.told.1),
            state: of.in_room.unwrap_or(of.state),
            intent: of.intent,
            confidence_permille: of.confidence_permille,
            last_seen_ms: Some(of.last_seen_ms),
            last_input_ms: Some(of.last_input_ms),
            ready: of.ready,
            next: of.next,
        }
    }
}
