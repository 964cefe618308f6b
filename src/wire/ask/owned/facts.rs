//! What owners answer of sessions, users and rooms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fold::{Present, PresentSession};
use crate::model::{Intent, Millis, State, Tally};
use crate::wire::told::Next;

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
    /// The capabilities that it is ready for.
    pub ready: Vec<String>,
    /// What comes next.
    pub next: Option<Next>,
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

impl Density {
    pub(super) fn and(self, other: Self) -> Self {
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
            ready: of.ready.into_iter().map(String::from).collect(),
            next: of.next.map(Into::into),
        }
    }
}
