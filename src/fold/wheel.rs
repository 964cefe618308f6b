//! A hierarchical timing wheel over `u32` entries: a hint of what to look at next, never the truth.
//!
//! ```text
//! level 0   64 slots of 1 step     the next 64 steps
//! level 1   64 slots of 64 steps   the next 4,096 steps
//! …
//! level 5   64 slots of 64⁵ steps  with 100 ms a step, two centuries
//! ```
//!
//! An entry is only a number. Where it belongs is known by whoever owns it; an entry found at another place is dead and
//! dropped. So moving an entry to an earlier step is one push at most, and nothing is ever searched for or unlinked. When a slot
//! of many steps is opened, the owner says anew where each of its entries belongs: most have moved on by then, and never come
//! down to single steps. Entries at the step that was reached last wait in `pending`, so that a step can be looked at again.

use std::ops::Range;

const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;

/// Whose entries a wheel holds. A closure is one that fetches nothing.
pub trait Owner {
    /// Where an entry belongs, if it is one that belongs into these steps, and not before they begin; `None` if it is dead.
    fn place(&mut self, entry: u32, span: Range<u64>) -> Option<u64>;

    /// Fetches what [`Owner::place`] will be asked of an entry soon.
    fn fetch(&self, _entry: u32) {}
}

impl<F: FnMut(u32, Range<u64>) -> Option<u64>> Owner for F {
    fn place(&mut self, entry: u32, span: Range<u64>) -> Option<u64> {
        self(entry, span)
    }
}

/// So many entries of a slot that is opened are fetched ahead.
const AHEAD: usize = 8;

/// The wheel. Steps are what its owner makes of them.
#[derive(Debug)]
pub struct TimingWheel {
    now: u64,
    pending: Vec<u32>,
    /// The memory of the slot that was opened last, for the next that is begun.
    spare: Vec<u32>,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    occupied: u64,
    slots: Vec<Vec<u32>>,
}

impl TimingWheel {
    /// An empty wheel that has reached the step `now`.
    #[must_use]
    pub fn starting_at(now: u64) -> Self {
        let level = || Level { occupied: 0, slots: vec![Vec::new(); SLOTS] };
        Self { now, pending: Vec::new(), spare: Vec::new(), levels: (0..LEVELS).map(|_| level()).collect() }
    }

    /// One that holds nothing and can hold nothing: it stands in for one that is being turned.
    pub(crate) fn hollow() -> Self {
        Self { now: 0, pending: Vec::new(), spare: Vec::new(), levels: Vec::new() }
    }

    /// The step that was reached last.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Turns on to the step `target` if there is nothing up to it.
    pub fn skip_to(&mut self, target: u64) {
        if self.now < target && self.next_step().is_none_or(|next| next > target) {
            self.now = target;
        }
    }

    /// Puts `entry` at `step`, or at the step reached last if that is later; returns the step where it is.
    pub fn push(&mut self, step: u64, entry: u32) -> u64 {
        let Some((level, slot)) = self.slot_of(step) else {
            self.pending.push(entry);
            return self.now;
        };
        self.levels[level].occupied |= 1 << slot;
        let entries = &mut self.levels[level].slots[slot];
        if entries.capacity() == 0 {
            *entries = std::mem::take(&mut self.spare);
        }
        entries.push(entry);
        step
    }

    /// Brings an entry from the step `from`, where it is, forward to an earlier `step`, or to the step reached last if that is
    /// later; returns the step where it is. Within one slot it stays where it lies: its owner is asked when the slot is opened.
    pub fn bring_forward(&mut self, from: u64, step: u64, entry: u32) -> u64 {
        if self.slot_of(from) == self.slot_of(step) { step.max(self.now) } else { self.push(step, entry) }
    }

    /// Level and slot where entries at `step` lie now; `None` where they are pending.
    fn slot_of(&self, step: u64) -> Option<(usize, usize)> {
        (step > self.now).then(|| {
            let level = level_for(self.now, step);
            (level, slot_at(step, level))
        })
    }

    /// Whether there are entries at the step that was reached last, dead ones included.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes one live entry at a step up to `target`, turning the wheel as far as needed; at `target` when it answers `None`.
    ///
    /// The owner is asked about each entry of a slot that is opened.
    pub fn pop(&mut self, target: u64, owner: &mut impl Owner) -> Option<u32> {
        loop {
            if self.now > target {
                return None;
            }
            while let Some(entry) = self.pending.pop() {
                if let Some(ahead) = self.pending.len().checked_sub(AHEAD) {
                    owner.fetch(self.pending[ahead]);
                }
                match owner.place(entry, self.now..self.now + 1) {
                    Some(step) if step == self.now => return Some(entry),
                    Some(step) => drop(self.push(step, entry)),
                    None => {}
                }
            }
            match self.next_slot() {
                Some((level, slot, start)) if start <= target => {
                    self.now = start;
                    self.open(level, slot, owner);
                }
                Some(_) | None => {
                    self.now = target;
                    return None;
                }
            }
        }
    }

    /// A lower bound of the steps at which there are entries.
    #[must_use]
    pub fn next_step(&self) -> Option<u64> {
        if self.pending.is_empty() { self.next_slot().map(|(_, _, start)| start) } else { Some(self.now) }
    }

    /// Level, slot and first step of the earliest slot that isn't empty. Slots of a level lie behind all of the level below.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        let slot = self.levels[level].occupied.trailing_zeros() as usize;
        let shift = SLOT_BITS * level as u32;
        let turn = self.now >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
        Some((level, slot, turn + ((slot as u64) << shift)))
    }

    fn open(&mut self, level: usize, slot: usize, owner: &mut impl Owner) {
        self.levels[level].occupied &= !(1 << slot);
        if level == 0 {
            // What was pending is empty by now; its memory serves the slot's next turn.
            std::mem::swap(&mut self.pending, &mut self.levels[level].slots[slot]);
            return;
        }
        let mut entries = std::mem::take(&mut self.levels[level].slots[slot]);
        let span = self.now..self.now + (1 << (SLOT_BITS * level as u32));
        for (at, entry) in entries.iter().enumerate() {
            if let Some(ahead) = entries.get(at + AHEAD) {
                owner.fetch(*ahead);
            }
            if let Some(step) = owner.place(*entry, span.clone()) {
                self.push(step, *entry);
            }
        }
        entries.clear();
        if self.spare.capacity() < entries.capacity() {
            self.spare = entries;
        }
    }

    /// How many entries there are, dead ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        let in_slots: usize = self.levels.iter().flat_map(|level| &level.slots).map(Vec::len).sum();
        self.pending.len() + in_slots
    }

    /// Every entry with the steps of the slot where it lies, dead ones included.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Range<u64>, u32)> + '_ {
        let pending = self.pending.iter().map(|entry| (self.now..self.now + 1, *entry));
        pending.chain(self.levels.iter().enumerate().flat_map(move |(level, slots)| {
            let shift = SLOT_BITS * level as u32;
            let turn = self.now >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
            slots.slots.iter().enumerate().flat_map(move |(slot, entries)| {
                let start = turn + ((slot as u64) << shift);
                entries.iter().map(move |entry| (start..start + (1 << shift), *entry))
            })
        }))
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.levels.iter().all(|level| level.occupied == 0)
    }
}

/// The level of a later `step`: the highest six bits in which it differs from `now`.
fn level_for(now: u64, step: u64) -> usize {
    let differing = (now ^ step) | (SLOTS as u64 - 1);
    let level = ((63 - differing.leading_zeros()) / SLOT_BITS) as usize;
    assert!(level < LEVELS, "a deadline two centuries ahead was armed");
    level
}

fn slot_at(step: u64, level: usize) -> usize {
    (step >> (SLOT_BITS * level as u32)) as usize & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Turns the wheel to `target` and returns (step, entry) as they came.
    fn drain(wheel: &mut TimingWheel, target: u64, wakes: &[u64]) -> Vec<(u64, u32)> {
        let mut fired = Vec::new();
        let mut place = |entry: u32, span: Range<u64>| Some(wakes[entry as usize]).filter(|wake| span.contains(wake));
        while let Some(entry) = wheel.pop(target, &mut place) {
            fired.push((wheel.now(), entry));
        }
        fired
    }

    proptest! {
        #[test]
        fn entries_come_at_their_step_whatever_the_turns(
            start in 0_u64..1 << 30,
            delays in prop::collection::vec(prop_oneof![0_u64..200, 0_u64..10_000, 0_u64..1 << 30], 1..60),
            turns in prop::collection::vec(prop_oneof![0_u64..3, 0_u64..100, 0_u64..100_000], 0..40),
        ) {
            let mut wheel = TimingWheel::starting_at(start);
            let wakes: Vec<u64> = delays.iter().enumerate().map(|(i, delay)| wheel.push(start + delay, i as u32)).collect();
            let mut fired = Vec::new();
            let mut target = start;
            for turn in turns {
                target += turn;
                fired.extend(drain(&mut wheel, target, &wakes));
                prop_assert!(wheel.next_step().is_none_or(|next| next > target));
                prop_assert!(wakes.iter().enumerate().all(|(i, wake)| (*wake <= target) == fired.iter().any(|f| f.1 == i as u32)));
            }
            fired.extend(drain(&mut wheel, start + (1 << 31), &wakes));
            prop_assert!(fired.iter().all(|(step, entry)| *step == wakes[*entry as usize]));
            prop_assert_eq!(fired.len(), wakes.len());
            prop_assert!(wheel.is_empty());
        }
    }

    #[test]
    fn an_entry_moved_earlier_leaves_a_dead_one_behind() {
        let mut wheel = TimingWheel::starting_at(0);
        wheel.push(5_000, 0);
        wheel.push(70, 0);
        assert_eq!(drain(&mut wheel, 10_000, &[70]), [(70, 0)]);
    }

    #[test]
    fn an_entry_brought_forward_within_its_slot_stays_one() {
        let mut wheel = TimingWheel::starting_at(100);
        wheel.push(4_000, 0);
        for (from, step, len) in [(4_000, 3_000, 2), (3_000, 2_990, 2), (2_990, 130, 3), (130, 90, 4), (100, 80, 4)] {
            let at = wheel.bring_forward(from, step, 0);
            assert_eq!((at, wheel.len()), (step.max(100), len), "from {from} to {step}");
        }
        assert_eq!(drain(&mut wheel, 10_000, &[100]), [(100, 0)]);
    }

    #[test]
    fn an_entry_that_moved_on_is_placed_anew_when_its_slot_is_opened() {
        let mut wheel = TimingWheel::starting_at(0);
        wheel.push(100, 0);
        let mut wake = 100;
        let mut asked = 0;
        let mut place = |_: u32, span: Range<u64>| {
            asked += 1;
            if !span.contains(&wake) {
                return None;
            }
            wake = wake.max(1_000);
            Some(wake)
        };
        assert_eq!((wheel.pop(999, &mut place), wheel.now(), wheel.len()), (None, 999, 1));
        assert_eq!((wheel.pop(2_000, &mut place), wheel.now()), (Some(0), 1_000));
        assert_eq!(
            (wheel.pop(2_000, &mut place), asked),
            (None, 3),
            "once in each slot of many steps, once at its step"
        );
    }

    #[test]
    fn only_what_is_empty_is_skipped() {
        let mut wheel = TimingWheel::starting_at(0);
        wheel.push(7, 0);
        wheel.skip_to(7);
        assert_eq!(wheel.now(), 0);
        wheel.skip_to(6);
        assert_eq!(wheel.now(), 6);
        assert_eq!(drain(&mut wheel, 7, &[7]), [(7, 0)]);
    }

    #[test]
    fn a_step_can_be_looked_at_again() {
        let mut wheel = TimingWheel::starting_at(0);
        wheel.push(7, 0);
        assert_eq!(drain(&mut wheel, 7, &[7]), [(7, 0)]);
        assert_eq!(wheel.push(7, 0), 7);
        assert_eq!(drain(&mut wheel, 6, &[7]), []);
        assert_eq!(drain(&mut wheel, 7, &[7]), [(7, 0)]);
    }
}
