//! What a partition keeps of a session, of a user and of a tenant.

use super::gateway::Excuse;
use super::names::Name;
use crate::model::{Intent, Millis, State, Visibility};

/// No record.
pub(crate) const NONE: u32 = u32::MAX;
/// No epoch.
pub(crate) const NO_EPOCH: u64 = u64::MAX;
/// Not in the wheel: later than every step.
pub(crate) const UNARMED: u64 = (1 << 36) - 1;
/// The latest time that a record holds: the year 2109.
pub(crate) const TIME_MAX: Millis = (1 << 42) - 1;

/// A field of bits in one of [`Hot`]'s words.
#[derive(Clone, Copy)]
struct Bits {
    word: usize,
    shift: u32,
    width: u32,
}

const SEQ: Bits = Bits { word: 0, shift: 0, width: 53 };
const SEQ_KNOWN: Bits = Bits { word: 0, shift: 53, width: 1 };
const PROFILE: Bits = Bits { word: 0, shift: 54, width: 6 };
const NAMED: Bits = Bits { word: 0, shift: 60, width: 1 };
const VOICE: Bits = Bits { word: 0, shift: 61, width: 1 };
const SURE: Bits = Bits { word: 0, shift: 62, width: 1 };
const SEEN: Bits = Bits { word: 1, shift: 0, width: 42 };
const WAKE_LOW: Bits = Bits { word: 1, shift: 42, width: 22 };
const INPUT: Bits = Bits { word: 2, shift: 0, width: 42 };
const WAKE_HIGH: Bits = Bits { word: 2, shift: 42, width: 14 };
const STATE: Bits = Bits { word: 2, shift: 56, width: 3 };
const VISIBILITY: Bits = Bits { word: 2, shift: 59, width: 2 };
const REPORTED: Bits = Bits { word: 2, shift: 61, width: 1 };
const PROMISED: Bits = Bits { word: 2, shift: 62, width: 1 };
const PLAIN: Bits = Bits { word: 2, shift: 63, width: 1 };

/// The part of a session that every heartbeat touches: 32 bytes, two to a cache line.
///
/// ```text
/// name   its names
/// facts  its rare facts, or NONE
/// word 0 seq (53), seq known, profile (6), named, voice, sure
/// word 1 last seen (42), wake (22 low)
/// word 2 last input (42), wake (14 high), state (3), visibility (2), reported, promised, plain
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(32))]
pub(crate) struct Hot {
    pub(crate) name: Name,
    /// Its rare facts, or [`NONE`].
    pub(crate) facts: u32,
    words: [u64; 3],
}

impl Default for Hot {
    fn default() -> Self {
        Self::with_name(Name::default())
    }
}

impl Hot {
    /// A session that is offline and at no step of the wheel.
    pub(crate) fn with_name(name: Name) -> Self {
        let mut hot = Self { name, facts: NONE, words: [0; 3] };
        hot.set_wake(UNARMED);
        hot.set_state(State::Offline);
        hot
    }

    fn get(&self, bits: Bits) -> u64 {
        self.words[bits.word] >> bits.shift & ((1 << bits.width) - 1)
    }

    fn set(&mut self, bits: Bits, value: u64) {
        debug_assert!(value < 1 << bits.width, "{value} does not fit {} bits", bits.width);
        let mask = ((1 << bits.width) - 1) << bits.shift;
        self.words[bits.word] = self.words[bits.word] & !mask | value << bits.shift;
    }

    pub(crate) fn seen(&self) -> Millis {
        self.get(SEEN)
    }

    pub(crate) fn set_seen(&mut self, at: Millis) {
        self.set(SEEN, at);
    }

    pub(crate) fn input(&self) -> Millis {
        self.get(INPUT)
    }

    pub(crate) fn set_input(&mut self, at: Millis) {
        self.set(INPUT, at);
    }

    /// The wheel step at which its one live entry is.
    pub(crate) fn wake(&self) -> u64 {
        self.get(WAKE_LOW) | self.get(WAKE_HIGH) << WAKE_LOW.width
    }

    pub(crate) fn set_wake(&mut self, step: u64) {
        self.set(WAKE_LOW, step & ((1 << WAKE_LOW.width) - 1));
        self.set(WAKE_HIGH, step >> WAKE_LOW.width);
    }

    pub(crate) fn seq(&self) -> Option<u64> {
        (self.get(SEQ_KNOWN) == 1).then_some(self.get(SEQ))
    }

    pub(crate) fn set_seq(&mut self, seq: Option<u64>) {
        self.set(SEQ_KNOWN, u64::from(seq.is_some()));
        self.set(SEQ, seq.unwrap_or(0));
    }

    pub(crate) fn profile(&self) -> usize {
        self.get(PROFILE) as usize
    }

    pub(crate) fn set_profile(&mut self, index: usize) {
        self.set(PROFILE, index as u64);
    }

    pub(crate) fn state(&self) -> State {
        State::ALL[self.get(STATE) as usize]
    }

    pub(crate) fn set_state(&mut self, state: State) {
        self.set(STATE, state as u64);
    }

    pub(crate) fn visibility(&self) -> Visibility {
        match self.get(VISIBILITY) {
            0 => Visibility::Visible,
            1 => Visibility::Hidden,
            _ => Visibility::Frozen,
        }
    }

    pub(crate) fn set_visibility(&mut self, visibility: Visibility) {
        self.set(VISIBILITY, visibility as u64);
    }

    /// A life sign and an input at one time.
    pub(crate) fn renew(&mut self, at: Millis) {
        self.set_seen(at);
        self.set_input(at);
    }

    /// Whether it has declared an interval between its beats.
    pub(crate) fn promised(&self) -> bool {
        self.get(PROMISED) == 1
    }

    pub(crate) fn set_promised(&mut self, promised: bool) {
        self.set(PROMISED, u64::from(promised));
    }

    /// Whether it named its profile.
    pub(crate) fn named(&self) -> bool {
        self.get(NAMED) == 1
    }

    pub(crate) fn set_named(&mut self, named: bool) {
        self.set(NAMED, u64::from(named));
    }

    /// Whether it never lived: it only spoke, for the person.
    pub(crate) fn is_voice(&self) -> bool {
        self.get(VOICE) == 1
    }

    pub(crate) fn set_voice(&mut self, voice: bool) {
        self.set(VOICE, u64::from(voice));
    }

    /// Whether its confidence was enough to be ready when it was looked at last.
    pub(crate) fn sure(&self) -> bool {
        self.get(SURE) == 1
    }

    pub(crate) fn set_sure(&mut self, sure: bool) {
        self.set(SURE, u64::from(sure));
    }

    /// Whether all that a plain heartbeat would change is when it was last seen and its last input. It may be unset where it
    /// could be set, not the other way round.
    pub(crate) fn plain(&self) -> bool {
        self.get(PLAIN) == 1
    }

    pub(crate) fn set_plain(&mut self, plain: bool) {
        self.set(PLAIN, u64::from(plain));
    }

    /// Whether this incarnation has reported input by `input_age_ms` or `state`.
    pub(crate) fn reported(&self) -> bool {
        self.get(REPORTED) == 1
    }

    pub(crate) fn set_reported(&mut self, reported: bool) {
        self.set(REPORTED, u64::from(reported));
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
    pub(crate) incarnation: u64,
    /// `at_ms` of its latest event.
    pub(crate) told_at: Millis,
    /// The observed instant of its latest event: of one that is offline, when it went; of a voice, when it spoke last.
    pub(crate) told_w: Millis,
    /// The band of confidence that was told.
    pub(crate) band: u8,
}

impl Default for Cold {
    fn default() -> Self {
        Self { user: NONE, next: NONE, ordinal: 0, every_ms: [0; 3], incarnation: 0, told_at: 0, told_w: 0, band: 0 }
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
    /// Whose silence excuses it.
    pub(crate) excuse: Option<Excuse>,
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
    pub(crate) incarnation: u64,
    /// `at_ms` of its latest event.
    pub(crate) told_at: Millis,
    /// What is rare of it, or [`NONE`].
    pub(crate) person: u32,
    /// The observed instant of its latest event.
    pub(crate) told_w: Millis,
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
            incarnation: 0,
            told_at: 0,
            person: NONE,
            told_w: 0,
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
    fn the_cold_part_is_40_bytes() {
        assert_eq!(size_of::<Cold>(), 40);
        const { assert!(crate::model::signal::EVERY_MS_MAX < 1 << 24, "a promise fits three bytes") }
    }

    #[test]
    fn the_hot_part_is_32_bytes_and_its_fields_do_not_touch_each_other() {
        assert_eq!(size_of::<Hot>(), 32);
        let mut hot = Hot::default();
        hot.set_seen(TIME_MAX);
        hot.set_input(TIME_MAX - 1);
        hot.set_wake(UNARMED);
        hot.set_seq(Some(crate::model::signal::SEQ_MAX - 1));
        hot.set_profile(crate::model::policy::PROFILES_MAX - 1);
        hot.set_state(State::Offline);
        hot.set_visibility(Visibility::Frozen);
        hot.set_reported(true);
        hot.set_promised(true);
        assert_eq!((hot.promised(), hot.plain()), (true, false));
        hot.set_plain(true);
        hot.set_promised(false);
        assert_eq!((hot.promised(), hot.plain()), (false, true));
        assert_eq!((hot.seen(), hot.input(), hot.wake()), (TIME_MAX, TIME_MAX - 1, UNARMED));
        assert_eq!(hot.seq(), Some(crate::model::signal::SEQ_MAX - 1));
        assert_eq!((hot.profile(), hot.state(), hot.visibility()), (63, State::Offline, Visibility::Frozen));
        hot.set_seq(None);
        hot.set_seen(0);
        assert_eq!((hot.seq(), hot.seen(), hot.input(), hot.reported()), (None, 0, TIME_MAX - 1, true));
    }
}
