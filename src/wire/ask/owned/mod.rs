//! What an engine asks the owner of partitions, in its own loop or over `presence.v1.owned.<engine>.<verb>`. Between engines names
//! are tokens, since pages go by their order.

mod facts;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::facts::{Density, Person, SessionNow};
use super::AskError;
use crate::model::{Candidate, Millis, Order, Readiness, State, Want};
use crate::wire::{Encoding, ReadError};

/// Where the owners of partitions are asked; an engine and a verb follow.
pub const OWNED: &str = "presence.v1.owned";

/// The verb of these questions. Others that go to owners have verbs of their own.
pub const FOLD: &str = "fold";
/// The verb of a question that is answered when the answer is another than what is known.
pub const WATCH: &str = "watch";

/// The subject on which an engine of this name is asked; the verb may be `*`.
#[must_use]
pub fn subject(engine: &str, verb: &str) -> String {
    format!("{OWNED}.{engine}.{verb}")
}

/// A question about partitions, all of which have to be the asked engine's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Tenant token.
    pub tenant: String,
    /// The partitions.
    pub partitions: BTreeSet<u16>,
    /// Up to this entry of the log they have to be folded; 0: as they are.
    #[serde(default)]
    pub at_least: u64,
    /// What of them.
    pub what: What,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// How a session is now.
    Session {
        /// User token.
        user: String,
        /// Session token.
        session: String,
    },
    /// How these users are now; who is not there has no entry in the answer.
    Users(BTreeSet<String>),
    /// A page of who is here.
    Page {
        /// In one of these states; none: in any but offline.
        states: Vec<State>,
        /// Behind this user token.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// How many are in a room; its token.
    Room(String),
    /// A page of who is in a room.
    Members {
        /// Room token.
        room: String,
        /// Behind this user token.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Whether these users are ready for what is wanted.
    Ready {
        /// User tokens.
        users: BTreeSet<String>,
        /// What is wanted.
        want: Want,
        /// Whether it matters for how long: then it is remembered from one look to the next.
        #[serde(default)]
        lasting: bool,
    },
    /// Who in a room is ready for what is wanted.
    ReadyIn {
        /// Room token.
        room: String,
        /// What is wanted.
        want: Want,
        /// As in [`What::Ready`].
        #[serde(default)]
        lasting: bool,
    },
    /// Which of these users could be asked.
    Candidates {
        /// User tokens.
        users: BTreeSet<String>,
        /// What is wanted.
        want: Want,
        /// The pattern of rooms that count as load.
        load: String,
    },
    /// Which of the users in a room could be asked.
    CandidatesIn {
        /// Room token.
        room: String,
        /// What is wanted.
        want: Want,
        /// The pattern of rooms that count as load.
        load: String,
        /// In which order.
        order: Order,
        /// By a question of this id.
        id: String,
        /// At most so many.
        limit: usize,
    },
    /// Whether anything is known of the tenant.
    Tenant,
}

/// What one or several partitions answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The log time up to which all of them know.
    pub as_of_ms: Millis,
    /// What the log's time may be by now, as far as a local clock can tell.
    pub now_ms: Millis,
    /// What.
    pub said: Said,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// To [`What::Session`].
    Session {
        /// `None`: it is not there.
        now: Option<SessionNow>,
        /// Whether events of sessions are told.
        is_told: bool,
    },
    /// To [`What::Users`], [`What::Page`] and [`What::Members`], by their tokens.
    People(Vec<Person>),
    /// To [`What::Room`].
    Room(Density),
    /// To [`What::Ready`], by user token.
    Ready(BTreeMap<String, Readiness>),
    /// To [`What::ReadyIn`]: user tokens, each with since when and the confidence in thousandths. At most [`READY_MAX`].
    ReadyIn(Vec<(String, Millis, u16)>),
    /// To [`What::Candidates`] and [`What::CandidatesIn`].
    Candidates(Vec<Candidate>),
    /// To [`What::Tenant`].
    Tenant(bool),
}

/// Most of a room's members who are ready that an answer names.
pub const READY_MAX: usize = 256;

/// Those who have been ready for longest.
#[must_use]
pub fn first_ready(mut ready: Vec<(String, Millis, u16)>) -> Vec<(String, Millis, u16)> {
    ready.sort_unstable_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    ready.truncate(READY_MAX);
    ready
}

impl Said {
    /// Whether it says the same as what is known, but for how sure it is.
    #[must_use]
    pub fn is_like(&self, known: &Self) -> bool {
        match (self, known) {
            (Self::Ready(now), Self::Ready(known)) => {
                let is_same = |((user, now), (other, known)): ((&String, &Readiness), (&String, &Readiness))| {
                    user == other
                        && match (now, known) {
                            (Readiness::Ready { since_ms: now, .. }, Readiness::Ready { since_ms: known, .. }) => {
                                now == known
                            }
                            (Readiness::Missing(now), Readiness::Missing(known)) => now == known,
                            (Readiness::Ready { .. } | Readiness::Missing(_), _) => false,
                        }
                };
                now.len() == known.len() && now.iter().zip(known).all(is_same)
            }
            (Self::ReadyIn(now), Self::ReadyIn(known)) => {
                fn of(ready: &[(String, Millis, u16)]) -> impl Iterator<Item = (&str, Millis)> {
                    ready.iter().map(|(user, since, _)| (&**user, *since))
                }
                of(now).eq(of(known))
            }
            (now, known) => now == known,
        }
    }
}

impl Question {
    /// The payload.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`ReadError::Json`] if it is none.
    pub fn from_json(payload: &[u8]) -> Result<Self, ReadError> {
        serde_json::from_slice(payload).map_err(ReadError::Json)
    }

    /// The users that it is about by name.
    #[must_use]
    pub fn users(&self) -> Option<&BTreeSet<String>> {
        match &self.what {
            What::Users(users) | What::Ready { users, .. } | What::Candidates { users, .. } => Some(users),
            What::Session { .. }
            | What::Page { .. }
            | What::Room(_)
            | What::Members { .. }
            | What::ReadyIn { .. }
            | What::CandidatesIn { .. }
            | What::Tenant => None,
        }
    }

    /// The same about some of its partitions, and about these users where it is about users.
    #[must_use]
    pub fn about(&self, partitions: BTreeSet<u16>, users: BTreeSet<String>) -> Self {
        let what = match &self.what {
            What::Users(_) => What::Users(users),
            What::Ready { want, lasting, .. } => What::Ready { users, want: want.clone(), lasting: *lasting },
            What::Candidates { want, load, .. } => What::Candidates { users, want: want.clone(), load: load.clone() },
            What::Session { .. }
            | What::Page { .. }
            | What::Room(_)
            | What::Members { .. }
            | What::ReadyIn { .. }
            | What::CandidatesIn { .. }
            | What::Tenant => self.what.clone(),
        };
        Self { tenant: self.tenant.clone(), partitions, at_least: self.at_least, what }
    }
}

impl Answer {
    /// The payload.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`ReadError::Json`] if it is none.
    pub fn from_json(payload: &[u8]) -> Result<Self, ReadError> {
        serde_json::from_slice(payload).map_err(ReadError::Json)
    }

    /// One answer of several to the same question; at least one, of the same kind.
    ///
    /// # Errors
    /// [`AskError::Unavailable`] if there is none, or of different kinds: another engine of another version.
    pub fn all(what: &What, answers: Vec<Self>) -> Result<Self, AskError> {
        let mut answers = answers.into_iter();
        let first = answers.next().ok_or_else(|| strange("nobody"))?;
        let mut all = answers.try_fold(first, Self::and)?;
        if let (What::Page { limit, .. } | What::Members { limit, .. }, Said::People(people)) = (what, &mut all.said) {
            people.sort_unstable_by(|a, b| a.user.cmp(&b.user));
            people.truncate(*limit);
        }
        if let (What::CandidatesIn { order, id, limit, .. }, Said::Candidates(candidates)) = (what, &mut all.said) {
            candidates.sort_unstable_by(|a, b| order.compare(id, a, b));
            candidates.truncate(*limit);
        }
        Ok(all)
    }

    fn and(self, other: Self) -> Result<Self, AskError> {
        let said = match (self.said, other.said) {
            (Said::People(mut people), Said::People(more)) => {
                people.extend(more);
                Said::People(people)
            }
            (Said::Room(room), Said::Room(more)) => Said::Room(room.and(more)),
            (Said::Tenant(one), Said::Tenant(other)) => Said::Tenant(one || other),
            (Said::Ready(mut ready), Said::Ready(more)) => {
                ready.extend(more);
                Said::Ready(ready)
            }
            (Said::ReadyIn(mut ready), Said::ReadyIn(more)) => {
                ready.extend(more);
                Said::ReadyIn(first_ready(ready))
            }
            (Said::Candidates(mut candidates), Said::Candidates(more)) => {
                candidates.extend(more);
                Said::Candidates(candidates)
            }
            (
                Said::Session { .. }
                | Said::People(_)
                | Said::Room(_)
                | Said::Ready(_)
                | Said::ReadyIn(_)
                | Said::Candidates(_)
                | Said::Tenant(_),
                _,
            ) => return Err(strange("engines")),
        };
        let (as_of_ms, now_ms) = (self.as_of_ms.min(other.as_of_ms), self.now_ms.max(other.now_ms));
        Ok(Self { as_of_ms, now_ms, said })
    }
}

/// What can't be, unless engines of different versions ask each other.
pub(crate) fn strange(who: &str) -> AskError {
    AskError::Unavailable(format!("{who} answered something else than what was asked: engines of different versions?"))
}

#[cfg(test)]
mod tests;
