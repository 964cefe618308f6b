//! What a partition keeps of a session beside its hot part, of a user and of a tenant.

use super::names::Name;
use super::rooms::Share;
use crate::model::{Intent, Millis, State, Visibility};

/// No record.
pub(crate) const NONE: u32 = u32::MAX;
/// An epoch's, with room above [`SEQ_MAX`](crate::model::signal::SEQ_MAX).
pub(crate) const EPOCH_BITS: u32 = 54;
/// No epoch.
pub(crate) const NO_EPOCH: u64 = (1 << EPOCH_BITS) - 1;
/// Not in the wheel: later than every step.
pub(crate) const UNARMED: u64 = (1 << 36) - 1;
/// The latest time that a record holds: the year 2109.
pub(crate) const TIME_MAX: Millis = (1 << 42) - 1;

/// A time or an incarnation's number in six bytes, since millions are kept: until the year 10889.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp([u8; 6]);

impl Stamp {
    /// The greatest.
    pub(crate) const MAX: u64 = (1 << 48) - 1;

    pub(crate) fn get(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

impl From<u64> for Stamp {
    /// What is greater than [`Stamp::MAX`] is that.
    fn from(value: u64) -> Self {
        let [a, b, c, d, e, f, _, _] = value.min(Self::MAX).to_le_bytes();
        Self([a, b, c, d, e, f])
    }
}

/// The part of a session that few signals touch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cold {
    pub(crate) user: u32,
    /// The next session of the same user, or [`NONE`].
    pub(crate) next: u32,
    pub(crate) ordinal: u32,
    /// The declared interval between its beats, 0 for none.
    pub(crate) every_ms: [u8; 3],
    pub(crate) incarnation: Stamp,
    /// `at_ms` of its latest event.
    pub(crate) told_at: Stamp,
    /// The observed instant of its latest event: of one that is offline, when it went; of a voice, when it spoke last.
    pub(crate) told_w: Stamp,
    /// The band of confidence that was told.
    pub(crate) band: u8,
    /// The confidence that was told, in thousandths.
    pub(crate) permille: u16,
}

impl Default for Cold {
    fn default() -> Self {
        Self {
            user: NONE,
            next: NONE,
            ordinal: 0,
            every_ms: [0; 3],
            incarnation: Stamp::default(),
            told_at: Stamp::default(),
            told_w: Stamp::default(),
            band: 0,
            permille: 0,
        }
    }
}

/// Facts that most sessions don't have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) out_of_sight: Option<Millis>,
    pub(crate) frozen: Millis,
    pub(crate) closed: Option<Millis>,
    pub(crate) leaving: Option<Millis>,
    pub(crate) conn: Option<Box<str>>,
    pub(crate) can: Box<[Box<str>]>,
    pub(crate) rooms: Box<[Box<str>]>,
    pub(crate) meta: Option<Box<str>>,
    /// The intent that this session said last.
    pub(crate) said: Option<Intent>,
    pub(crate) set_back: Option<SetBack>,
    /// What was told of the facts whose change is told, where it isn't what they are.
    pub(crate) told: Option<Box<Shown>>,
    /// When it last left active under anti-flap; how far it is stretched, and since when.
    pub(crate) left_active: Option<Millis>,
    pub(crate) level: u8,
    pub(crate) raised: Millis,
}

impl Facts {
    /// Whether the transport is closed: by a disconnect, or by a leave, a lingering one too.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_some() || self.leaving.is_some()
    }
}

/// The facts of a session whose change is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) closed: bool,
    pub(crate) visibility: Visibility,
    pub(crate) can: Box<[Box<str>]>,
    pub(crate) rooms: Box<[Box<str>]>,
    pub(crate) meta: Option<Box<str>>,
}

/// Signals of a lower epoch in a row: a device whose clock was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetBack {
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    pub(crate) count: u8,
}

/// What is kept of a user: nothing that its sessions tell, but what was told of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) tenant: u32,
    /// Its first session, or [`NONE`]. There the user's name stands.
    pub(crate) first: u32,
    pub(crate) ordinal: u32,
    /// Its latest, or above what its first has to be.
    pub(crate) incarnation: Stamp,
    /// `at_ms` of its latest event.
    pub(crate) told_at: Stamp,
    /// What is rare of it, or [`NONE`].
    pub(crate) person: u32,
    /// The observed instant of its latest event.
    pub(crate) told_w: Stamp,
    /// The state, band and counts of sessions that were told.
    pub(crate) state: State,
    pub(crate) band: u8,
    pub(crate) counts: [u8; 4],
    /// How many sessions it has, remembered ones included.
    pub(crate) sessions: u8,
}

impl Default for User {
    fn default() -> Self {
        Self {
            tenant: NONE,
            first: NONE,
            ordinal: 0,
            incarnation: Stamp::default(),
            told_at: Stamp::default(),
            person: NONE,
            told_w: Stamp::default(),
            state: State::Offline,
            band: 0,
            counts: [0; 4],
            sessions: 0,
        }
    }
}

/// What most users don't have: a will, and what they are ready for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) intent: Intent,
    /// The observed instant at which it becomes open.
    pub(crate) until: Option<Millis>,
    /// The latest instant at which a session was there or an update was taken, while there is an intent.
    pub(crate) kept: Millis,
    /// The intent and its end that were told.
    pub(crate) told: (Intent, Option<Millis>),
    /// What it was told to be ready for, each with the time since when.
    pub(crate) ready: Vec<(Box<str>, Millis)>,
    pub(crate) ready_ordinal: u32,
    /// What it contributes to which rooms.
    pub(crate) shares: Vec<Share>,
    /// The wheel step of its live entry.
    pub(crate) wake: u64,
    /// Its name, while it has no session.
    pub(crate) name: Name,
}

impl Default for Person {
    fn default() -> Self {
        Self {
            intent: Intent::Open,
            until: None,
            kept: 0,
            told: (Intent::Open, None),
            ready: Vec::new(),
            ready_ordinal: 0,
            shares: Vec::new(),
            wake: UNARMED,
            name: Name::default(),
        }
    }
}

/// A tenant, as far as this partition knows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tenant {
    pub(crate) name: Box<str>,
    pub(crate) users: u32,
    pub(crate) sessions: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_takes_36_bytes_beside_its_hot_part_and_a_user_44() {
        assert_eq!((size_of::<Cold>(), size_of::<User>()), (36, 44));
        const { assert!(crate::model::signal::EVERY_MS_MAX < 1 << 24, "a promise fits three bytes") }
    }

    #[test]
    fn a_stamp_is_what_it_was_made_of() {
        for value in [0, 1, 0x0102_0304_0506, TIME_MAX, Stamp::MAX] {
            assert_eq!(Stamp::from(value).get(), value);
        }
        assert_eq!(Stamp::from(Stamp::MAX + 1).get(), Stamp::MAX);
    }
}
