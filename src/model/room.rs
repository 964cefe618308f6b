//! Rooms: what partitions contribute to one, and who is in it.

use super::{Millis, State};

/// How many are in a room, and how sure that is.
///
/// Tallies add up: a room's is the sum of those of its partitions.
///
/// ```
/// use presence_engine::model::{State, Tally};
/// let mut room = Tally::default();
/// room.sessions[State::Active as usize] = 2;
/// room.add(&room.clone());
/// assert_eq!((room.sessions, room.is_empty()), ([4, 0, 0, 0], false));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sessions that are active, idle, away and stale.
    pub sessions: [u64; 4],
    /// Distinct users, each by the state of the best of its sessions in this room.
    pub users: [u64; 4],
    /// Users that are ready, by capability, in the order of the names; none is 0.
    pub ready: Vec<(Box<str>, u64)>,
    /// The expected number of users that are really there, in thousandths: the sum of their confidences.
    pub expected_permille: u64,
    /// The variance of that number, in millionths: the sum of p (1 - p), since users come and go independently.
    pub variance_millionths: u64,
}

impl Tally {
    /// Whether nobody is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions == [0; 4]
    }

    /// How many distinct users there are.
    #[must_use]
    pub fn users(&self) -> u64 {
        self.users.iter().sum()
    }

    /// Adds what another partition contributes.
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.sessions.iter_mut().zip(other.sessions) {
            *own += more;
        }
        for (own, more) in self.users.iter_mut().zip(other.users) {
            *own += more;
        }
        for (name, count) in &other.ready {
            match self.ready.binary_search_by(|(own, _)| own.cmp(name)) {
                Ok(at) => self.ready[at].1 += count,
                Err(at) => self.ready.insert(at, (name.clone(), *count)),
            }
        }
        self.expected_permille += other.expected_permille;
        self.variance_millionths += other.variance_millionths;
    }
}

/// What one partition contributes to a room: absolute, so that the latest replaces all before. Names are tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPart {
    /// Tenant token.
    pub tenant: Box<str>,
    /// Room token.
    pub room: Box<str>,
    /// The log time of the latest change.
    pub at_ms: Millis,
    /// The log sequence of the entry that caused it.
    pub seq: u64,
    /// How many.
    pub tally: Tally,
    /// Who, by name, while they are no more than `rooms.member_events`.
    pub members: Option<Vec<Member>>,
}

/// A user in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// User token.
    pub user: Box<str>,
    /// The state of the best of its sessions in this room.
    pub state: State,
    /// Its sessions in this room that are active, idle, away and stale.
    pub sessions: [u32; 4],
}
