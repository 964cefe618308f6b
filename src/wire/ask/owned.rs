//! What an engine asks the owner of partitions, in its own loop or over `presence.v1.owned.<engine>.<verb>`. Between engines names
//! are tokens, since pages go by their order.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::AskError;
use crate::fold::{Present, PresentSession};
use crate::model::{Candidate, Intent, Millis, Order, Readiness, State, Tally, Want};
use crate::wire::told::Next;
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
    },
    /// Who in a room is ready for what is wanted.
    ReadyIn {
        /// Room token.
        room: String,
        /// What is wanted.
        want: Want,
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

/// A session that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionNow {
    /// The state now.
    pub state: State,
    /// How probable it is that it is there, in thousandths.
    pub confidence_permille: u16,
    /// The log time of its latest event, told or not.
    pub told_at_ms: Millis,
}

/// A user who is present. See [`Present`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// User token.
    pub user: String,
    /// The number of its incarnation, and the ordinal of its latest event.
    pub told: (u64, u32),
    /// The state now.
    pub state: State,
    /// The state in the room that was asked for.
    pub in_room: Option<State>,
    /// The person's will.
    pub intent: Intent,
    /// How probable it is that its best session is there, in thousandths.
    pub confidence_permille: u16,
    /// The log time of its latest event.
    pub told_at_ms: Millis,
    /// The last life sign.
    pub last_seen_ms: Millis,
    /// The last input.
    pub last_input_ms: Millis,
    /// What it is ready for.
    pub ready: Vec<ReadyFor>,
    /// How probable it is that the surest session that makes it ready whatever is wanted is there; `None`: none does.
    pub reachable_permille: Option<u16>,
    /// In how many rooms it is.
    pub rooms: usize,
    /// What comes next.
    pub next: Option<Next>,
}

/// A capability that a user is ready for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyFor {
    /// The capability.
    pub name: String,
    /// Since when.
    pub since_ms: Millis,
    /// How probable it is that the surest session for it is there, in thousandths.
    pub confidence_permille: u16,
}

/// How many are in a room. See [`Tally`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Density {
    /// Sessions that are active, idle, away and stale.
    pub sessions: [u64; 4],
    /// Users that are.
    pub users: [u64; 4],
    /// Users that are ready, by capability.
    pub ready: BTreeMap<String, u64>,
    /// The sum of confidences, in thousandths.
    pub expected_permille: u64,
    /// The sum of p (1 - p), in millionths.
    pub variance_millionths: u64,
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
                let of = |ready: &Vec<(String, Millis, u16)>| {
                    ready.iter().map(|(user, since, _)| (user.clone(), *since)).collect::<Vec<_>>()
                };
                of(now) == of(known)
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

    /// The same about some of its partitions.
    #[must_use]
    pub fn about(&self, partitions: BTreeSet<u16>) -> Self {
        Self { partitions, ..self.clone() }
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

impl Density {
    fn and(self, other: Self) -> Self {
        let sum = |one: [u64; 4], other: [u64; 4]| std::array::from_fn(|at| one[at].saturating_add(other[at]));
        let mut ready = self.ready;
        for (name, count) in other.ready {
            let own = ready.entry(name).or_default();
            *own = own.saturating_add(count);
        }
        Self {
            sessions: sum(self.sessions, other.sessions),
            users: sum(self.users, other.users),
            ready,
            expected_permille: self.expected_permille.saturating_add(other.expected_permille),
            variance_millionths: self.variance_millionths.saturating_add(other.variance_millionths),
        }
    }
}

impl From<Tally> for Density {
    fn from(of: Tally) -> Self {
        Self {
            sessions: of.sessions,
            users: of.users,
            ready: of.ready.into_iter().map(|(name, count)| (name.into(), count)).collect(),
            expected_permille: of.expected_permille,
            variance_millionths: of.variance_millionths,
        }
    }
}

impl From<PresentSession> for SessionNow {
    fn from(of: PresentSession) -> Self {
        Self { state: of.state, confidence_permille: of.confidence_permille, told_at_ms: of.told_at_ms }
    }
}

impl From<Present> for Person {
    fn from(of: Present) -> Self {
        let ready = |ready: crate::fold::ReadyFor| ReadyFor {
            name: ready.name.into(),
            since_ms: ready.since_ms,
            confidence_permille: ready.confidence_permille,
        };
        Self {
            user: of.user.into(),
            told: of.told,
            state: of.state,
            in_room: None,
            intent: of.intent,
            confidence_permille: of.confidence_permille,
            told_at_ms: of.told_at_ms,
            last_seen_ms: of.last_seen_ms,
            last_input_ms: of.last_input_ms,
            ready: of.ready.into_iter().map(ready).collect(),
            reachable_permille: of.reachable_permille,
            rooms: of.rooms.len(),
            next: of.next.map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(user: &str) -> Person {
        Person {
            user: user.into(),
            told: (7, 2),
            state: State::Idle,
            in_room: None,
            intent: Intent::Busy,
            confidence_permille: 900,
            told_at_ms: 1,
            last_seen_ms: 2,
            last_input_ms: 3,
            ready: vec![ReadyFor { name: "audio".into(), since_ms: 4, confidence_permille: 800 }],
            reachable_permille: Some(700),
            rooms: 2,
            next: Some(Next { to: State::Away, at_ms: 5 }),
        }
    }

    fn answer(as_of_ms: Millis, said: Said) -> Answer {
        Answer { as_of_ms, now_ms: as_of_ms, said }
    }

    #[test]
    fn a_page_is_the_first_of_all_partitions_and_as_old_as_the_oldest() {
        let people = |users: &[&str]| Said::People(users.iter().map(|user| person(user)).collect());
        let parts = vec![answer(7, people(&["b", "d"])), answer(5, people(&["a", "e"])), answer(9, people(&["c"]))];
        let page = What::Page { states: vec![], after: None, limit: 4 };
        let first = Answer { now_ms: 9, ..answer(5, people(&["a", "b", "c", "d"])) };
        assert_eq!(Answer::all(&page, parts.clone()).unwrap(), first);
        let named = What::Users(["a", "b", "c", "d", "e"].map(str::to_owned).into());
        assert_eq!(Answer::all(&named, parts).unwrap().said, people(&["b", "d", "a", "e", "c"]));
    }

    #[test]
    fn rooms_add_up_and_a_tenant_is_known_where_one_knows_it() {
        let density = |count| Density {
            sessions: [count, 0, 1, 0],
            users: [0, count, 0, 0],
            ready: [("audio".to_owned(), count)].into(),
            expected_permille: 900,
            variance_millionths: 90_000,
        };
        let room = What::Room("lobby".into());
        let parts = vec![answer(1, Said::Room(density(2))), answer(2, Said::Room(density(3)))];
        let sum = Density {
            sessions: [5, 0, 2, 0],
            users: [0, 5, 0, 0],
            ready: [("audio".to_owned(), 5)].into(),
            expected_permille: 1_800,
            variance_millionths: 180_000,
        };
        assert_eq!(Answer::all(&room, parts).unwrap(), Answer { now_ms: 2, ..answer(1, Said::Room(sum)) });
        let known = vec![answer(1, Said::Tenant(false)), answer(1, Said::Tenant(true))];
        assert_eq!(Answer::all(&What::Tenant, known).unwrap().said, Said::Tenant(true));
    }

    #[test]
    fn answers_that_do_not_fit_each_other_are_none() {
        let parts = vec![answer(1, Said::Tenant(true)), answer(1, Said::People(vec![]))];
        assert_eq!(Answer::all(&What::Tenant, parts).unwrap_err().code(), 503);
        assert_eq!(Answer::all(&What::Tenant, Vec::new()).unwrap_err().code(), 503);
    }

    #[test]
    fn what_is_asked_and_said_between_engines_survives_the_way() {
        let users = ["a=40b".to_owned()].into();
        let members = What::Members { room: "lobby".into(), after: Some("a".into()), limit: 5 };
        let session = What::Session { user: "a".into(), session: "tab".into() };
        let page = What::Page { states: vec![State::Idle], after: None, limit: 5 };
        for what in [What::Users(users), members, session, page, What::Room("lobby".into()), What::Tenant] {
            let question = Question { tenant: "main".into(), partitions: [1, 511].into(), at_least: u64::MAX, what };
            assert_eq!(Question::from_json(&question.to_json()).unwrap(), question);
        }
        let now = SessionNow { state: State::Stale, confidence_permille: 1, told_at_ms: 2 };
        let session = Said::Session { now: Some(now), is_told: true };
        let absent = Said::Session { now: None, is_told: false };
        for said in
            [Said::People(vec![person("a=40b")]), session, absent, Said::Room(Density::default()), Said::Tenant(true)]
        {
            let answer = answer(u64::MAX, said);
            assert_eq!(Answer::from_json(&answer.to_json()).unwrap(), answer);
        }
    }
}
