//! An index of places by their hash, made to be looked into for many hashes at once.
//!
//! A line of it is a cache line: ten places, 16 bits of each one's hash, and how many entries found it full and lie in a
//! line behind. What a hash could be is read without a branch on what was fetched, so that the fetches of several hashes
//! overlap; a table that compares and branches as it goes lets each wait for the one before.

use prefetch_index::prefetch_index;

use super::record::NONE;

const WIDTH: usize = 10;
/// So many of ten slots are used at most.
const FULL: usize = 8;

/// Places by hash. It knows neither keys nor hashes: who asks says what is meant, and what a place's hash is.
#[derive(Debug, Default)]
pub(crate) struct Index {
    lines: Vec<Line>,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line {
    /// 16 bits of the hash, 0 for an empty slot.
    tags: [u16; WIDTH],
    /// How many entries lie in a later line because this one was full.
    passed: u32,
    places: [u32; WIDTH],
}

impl Line {
    const EMPTY: Self = Self { tags: [0; WIDTH], passed: 0, places: [NONE; WIDTH] };

    /// The slots with this tag, as bits.
    #[inline]
    fn tagged(&self, tag: u16) -> u32 {
        self.tags.iter().enumerate().fold(0, |slots, (slot, other)| slots | u32::from(*other == tag) << slot)
    }
}

#[inline]
fn tag_of(hash: u64) -> u16 {
    ((hash >> 48) as u16).max(1)
}

fn slots(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let slot = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (slot < WIDTH).then_some(slot)
    })
}

impl Index {
    /// The line in which an entry of this hash lies if there is room.
    fn home(&self, hash: u64) -> usize {
        let share = u64::from(hash as u32) * self.lines.len() as u64;
        (share >> 32) as usize
    }

    /// The lines in which an entry of this hash may lie.
    fn path(&self, hash: u64) -> impl Iterator<Item = usize> {
        let (home, count) = (self.home(hash), self.lines.len());
        (0..count).map(move |step| (home + step) % count)
    }

    /// The place of this hash that `is_it`.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        for at in self.path(hash) {
            let line = &self.lines[at];
            let mut tagged = slots(line.tagged(tag_of(hash))).map(|slot| line.places[slot]);
            if let Some(place) = tagged.find(|place| is_it(*place)) {
                return Some(place);
            }
            if line.passed == 0 {
                break;
            }
        }
        None
    }

    /// Fetches the line in which an entry of this hash would lie.
    #[inline]
    pub(crate) fn fetch(&self, hash: u64) {
        prefetch_index(&self.lines, self.home(hash));
    }

    /// What the place of this hash seems to be, or [`NONE`]: a hint, from one line and without a branch on it.
    #[inline]
    pub(crate) fn glance(&self, hash: u64) -> u32 {
        let Some(line) = self.lines.get(self.home(hash)) else { return NONE };
        let tagged = line.tagged(tag_of(hash));
        let place = line.places[(tagged.trailing_zeros() as usize).min(WIDTH - 1)];
        if tagged == 0 { NONE } else { place }
    }

    /// Adds a place that is not there. `hash_of` tells the hash of those that are.
    pub(crate) fn insert(&mut self, hash: u64, place: u32, hash_of: impl Fn(u32) -> u64) {
        if self.len == self.lines.len() * FULL {
            self.grow(hash_of);
        }
        self.put(hash, place);
    }

    /// Makes room for so many places. `hash_of` tells the hash of those that are there.
    pub(crate) fn reserve(&mut self, count: usize, hash_of: impl Fn(u32) -> u64) {
        let lines = count.div_ceil(FULL);
        if lines > self.lines.len() {
            self.grow_to(lines, hash_of);
        }
    }

    fn put(&mut self, hash: u64, place: u32) {
        let count = self.lines.len();
        let mut at = self.home(hash);
        loop {
            let line = &mut self.lines[at];
            if let Some(slot) = slots(line.tagged(0)).next() {
                (line.tags[slot], line.places[slot]) = (tag_of(hash), place);
                self.len += 1;
                return;
            }
            line.passed += 1;
            at = (at + 1) % count;
        }
    }

    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) {
        self.grow_to(self.lines.len() + self.lines.len() / 2 + 1, hash_of);
    }

    fn grow_to(&mut self, count: usize, hash_of: impl Fn(u32) -> u64) {
        let grown = Self { lines: vec![Line::EMPTY; count], len: 0 };
        let old = std::mem::replace(self, grown);
        for place in old.places() {
            self.put(hash_of(place), place);
        }
    }

    /// Removes a place that is there.
    ///
    /// # Panics
    /// If it is not.
    pub(crate) fn remove(&mut self, hash: u64, place: u32) {
        let slot_in = |line: &Line| slots(line.tagged(tag_of(hash))).find(|slot| line.places[*slot] == place);
        let found = self.path(hash).find_map(|at| Some((at, slot_in(&self.lines[at])?)));
        let (at, slot) = found.expect("a place that is removed is in the index");
        (self.lines[at].tags[slot], self.lines[at].places[slot]) = (0, NONE);
        self.len -= 1;
        let count = self.lines.len();
        let mut before = self.home(hash);
        while before != at {
            self.lines[before].passed -= 1;
            before = (before + 1) % count;
        }
    }

    /// All places, in an order that means nothing.
    pub(crate) fn places(&self) -> impl Iterator<Item = u32> {
        self.lines.iter().flat_map(|line| line.places).filter(|place| *place != NONE)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_a_cache_line() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (64, 64));
    }

    proptest! {
        /// Few different hashes, so that tags meet, lines overflow and paths wrap around.
        #[test]
        fn it_finds_what_a_map_holds(steps in prop::collection::vec((any::<bool>(), 0_u32..300), 1..600), spread in 1_u64..64) {
            let hash_of = |place: u32| u64::from(place) % spread * 0x0001_0000_0400_0000;
            let (mut index, mut map) = (Index::default(), BTreeMap::new());
            for (add, place) in steps {
                match (add, map.contains_key(&place)) {
                    (true, false) => {
                        map.insert(place, ());
                        index.insert(hash_of(place), place, hash_of);
                    }
                    (false, true) => {
                        map.remove(&place);
                        index.remove(hash_of(place), place);
                    }
                    (true, true) | (false, false) => {}
                }
                let found = index.find(hash_of(place), |other| other == place);
                prop_assert_eq!(found, map.contains_key(&place).then_some(place));
            }
            for place in 0..300 {
                prop_assert_eq!(index.find(hash_of(place), |other| other == place).is_some(), map.contains_key(&place));
            }
            let mut places: Vec<u32> = index.places().collect();
            places.sort_unstable();
            prop_assert!(places.into_iter().eq(map.into_keys()));
            let passed: u32 = index.lines.iter().map(|line| line.passed).sum();
            prop_assert!(index.len > 0 || passed == 0, "an empty index has lines that were passed");
        }
    }

    #[test]
    fn a_glance_sees_what_lies_in_its_line() {
        let hash_of = |place: u32| u64::from(place) << 48 | u64::from(place) << 24;
        let mut index = Index::default();
        assert_eq!(index.glance(hash_of(1)), NONE);
        for place in 1..=200 {
            index.insert(hash_of(place), place, hash_of);
        }
        let seen = (1..=200).filter(|place| index.glance(hash_of(*place)) == *place).count();
        assert!(seen > 150, "only {seen} of 200 were seen");
        assert_eq!(index.glance(hash_of(201)), NONE);
    }
}
