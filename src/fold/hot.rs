//! The part of a session that every heartbeat touches.

use super::names::Name;
use super::record::{NONE, UNARMED};
use crate::model::{Millis, State, Visibility};

/// A field of bits in one of [`Hot`]'s words.
#[derive(Clone, Copy)]
struct Bits {
    word: usize,
    shift: u32,
    width: u32,
}

const SEQ: Bits = Bits { word: 0, shift: 0, width: 53 };
const SEQ_KNOWN: Bits = Bits { word: 0, shift: 53, width: 1 };
/// Both: `1 << 53` beside a known one.
const SEQ_OR_NONE: Bits = Bits { word: 0, shift: 0, width: 54 };
const PROFILE: Bits = Bits { word: 0, shift: 54, width: 6 };
const NAMED: Bits = Bits { word: 0, shift: 60, width: 1 };
const VOICE: Bits = Bits { word: 0, shift: 61, width: 1 };
const SURE: Bits = Bits { word: 0, shift: 62, width: 1 };
const EXCUSED: Bits = Bits { word: 0, shift: 63, width: 1 };
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
/// word 0 seq (53), seq known, profile (6), named, voice, sure, excused
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

    #[inline]
    fn get(&self, bits: Bits) -> u64 {
        self.words[bits.word] >> bits.shift & ((1 << bits.width) - 1)
    }

    #[inline]
    fn set(&mut self, bits: Bits, value: u64) {
        debug_assert!(value < 1 << bits.width, "{value} does not fit {} bits", bits.width);
        let mask = ((1 << bits.width) - 1) << bits.shift;
        self.words[bits.word] = self.words[bits.word] & !mask | value << bits.shift;
    }

    #[inline]
    pub(crate) fn seen(&self) -> Millis {
        self.get(SEEN)
    }

    #[inline]
    pub(crate) fn set_seen(&mut self, at: Millis) {
        self.set(SEEN, at);
    }

    #[inline]
    pub(crate) fn input(&self) -> Millis {
        self.get(INPUT)
    }

    #[inline]
    pub(crate) fn set_input(&mut self, at: Millis) {
        self.set(INPUT, at);
    }

    /// The wheel step at which its one live entry is.
    #[inline]
    pub(crate) fn wake(&self) -> u64 {
        self.get(WAKE_LOW) | self.get(WAKE_HIGH) << WAKE_LOW.width
    }

    #[inline]
    pub(crate) fn set_wake(&mut self, step: u64) {
        self.set(WAKE_LOW, step & ((1 << WAKE_LOW.width) - 1));
        self.set(WAKE_HIGH, step >> WAKE_LOW.width);
    }

    #[inline]
    pub(crate) fn seq(&self) -> Option<u64> {
        (self.get(SEQ_KNOWN) == 1).then_some(self.get(SEQ))
    }

    #[inline]
    pub(crate) fn set_seq(&mut self, seq: Option<u64>) {
        self.set(SEQ_OR_NONE, seq.map_or(0, |seq| seq | 1 << SEQ.width));
    }

    #[inline]
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
    #[inline]
    pub(crate) fn renew(&mut self, at: Millis) {
        self.set_seen(at);
        self.set_input(at);
    }

    /// Whether a gateway's silence excuses it.
    #[inline]
    pub(crate) fn excused(&self) -> bool {
        self.get(EXCUSED) == 1
    }

    pub(crate) fn set_excused(&mut self, excused: bool) {
        self.set(EXCUSED, u64::from(excused));
    }

    /// Whether it has declared an interval between its beats.
    #[inline]
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
    #[inline]
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

#[cfg(test)]
mod tests {
    use super::super::record::TIME_MAX;
    use super::*;

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
