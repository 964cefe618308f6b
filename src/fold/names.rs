//! The names of sessions, each with its user's and tenant's as one [row]: no allocation a name, no pointer.
//! Before them lie the client's epoch and what excuses the session: whoever compares the names of a signal needs them next.

use prefetch_index::prefetch_index;

use super::record::NO_EPOCH;
use super::row::{self, Row, WORD, words_of};
use crate::model::id::TOKEN_BYTES_MAX;

/// Most words of a row.
pub(crate) const WORDS_MAX: usize = 3 * words_of(TOKEN_BYTES_MAX);
/// Most rows of one length.
pub(crate) const ROWS_MAX: u32 = 1 << PLACE_BITS;

/// Words before the names: the epoch, the excuse.
const BEFORE: usize = 2;
const PLACE_BITS: u32 = 25;
/// Rows of one length lie in chunks of so many, which never move.
const CHUNK_BITS: u32 = 9;
const CHUNK: usize = 1 << CHUNK_BITS;

/// Where a row is: its words and its place among those of as many. The default is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Name(u32);

impl Name {
    /// Whether it is the name of somebody.
    pub(crate) fn is_some(self) -> bool {
        self != Self::default()
    }

    fn words(self) -> usize {
        (self.0 >> PLACE_BITS) as usize
    }

    fn place(self) -> u32 {
        self.0 & (ROWS_MAX - 1)
    }
}

/// Rows of names by the number of their words.
#[derive(Debug)]
pub(crate) struct Names {
    classes: [Class; WORDS_MAX + 1],
}

#[derive(Debug, Default)]
struct Class {
    chunks: Vec<Box<[[u8; WORD]]>>,
    free: Vec<u32>,
    used: u32,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self { classes: std::array::from_fn(|_| Class::default()) }
    }

    pub(crate) fn insert(&mut self, names: [&str; 3]) -> Name {
        let words: usize = names.iter().map(|name| words_of(name.len())).sum();
        let class = &mut self.classes[words];
        let place = class.free.pop().unwrap_or_else(|| {
            let place = class.used;
            assert!(place < ROWS_MAX, "limits keep rows of a length below {ROWS_MAX}");
            if place as usize == class.chunks.len() << CHUNK_BITS {
                class.chunks.push(vec![[0; WORD]; CHUNK * (BEFORE + words)].into());
            }
            class.used += 1;
            place
        });
        let name = Name((words as u32) << PLACE_BITS | place);
        let mut rest = self.line_mut(name).iter_mut();
        let mut put = |word: u64| rest.next().map(|slot| *slot = word.to_le_bytes()).is_some();
        put(NO_EPOCH);
        put(0);
        row::all_words(names, put);
        name
    }

    pub(crate) fn remove(&mut self, name: Name) {
        self.classes[name.words()].free.push(name.place());
    }

    /// The epoch, the excuse and the words of a row.
    #[inline]
    fn line(&self, name: Name) -> &[[u8; WORD]] {
        let width = BEFORE + name.words();
        let at = (name.place() as usize & (CHUNK - 1)) * width;
        &self.classes[name.words()].chunks[(name.place() >> CHUNK_BITS) as usize][at..at + width]
    }

    fn line_mut(&mut self, name: Name) -> &mut [[u8; WORD]] {
        let width = BEFORE + name.words();
        let at = (name.place() as usize & (CHUNK - 1)) * width;
        &mut self.classes[name.words()].chunks[(name.place() >> CHUNK_BITS) as usize][at..at + width]
    }

    /// Whether a row holds these names, whose [`Row`] is at hand.
    #[inline]
    pub(crate) fn is(&self, name: Name, row: &Row, names: [&str; 3]) -> bool {
        let (_, own) = self.line(name).split_at(BEFORE);
        if row.words().is_empty() {
            let mut rest = own.iter();
            return row::all_words(names, |word| rest.next() == Some(&word.to_le_bytes())) && rest.next().is_none();
        }
        own.len() == row.words().len()
            && own.iter().zip(row.words()).all(|(own, word)| u64::from_le_bytes(*own) == *word)
    }

    /// The client's epoch of who has this name, or [`NO_EPOCH`].
    #[inline]
    pub(crate) fn epoch(&self, name: Name) -> u64 {
        u64::from_le_bytes(self.line(name)[0])
    }

    pub(crate) fn set_epoch(&mut self, name: Name, epoch: u64) {
        self.line_mut(name)[0] = epoch.to_le_bytes();
    }

    /// What excuses who has this name, as it was set; 0 before.
    #[inline]
    pub(crate) fn excuse(&self, name: Name) -> u64 {
        u64::from_le_bytes(self.line(name)[1])
    }

    pub(crate) fn set_excuse(&mut self, name: Name, excuse: u64) {
        self.line_mut(name)[1] = excuse.to_le_bytes();
    }

    /// The epoch and the excuse of who has this name, if it is the one whose row this is. A row that keeps no words is nobody's.
    #[inline]
    pub(crate) fn known(&self, name: Name, row: &Row) -> Option<(u64, u64)> {
        let ([epoch, excuse, own @ ..], words) = (self.line(name), row.words()) else { return None };
        let is_it = !words.is_empty()
            && own.len() == words.len()
            && own.iter().zip(words).all(|(own, word)| u64::from_le_bytes(*own) == *word);
        is_it.then_some((u64::from_le_bytes(*epoch), u64::from_le_bytes(*excuse)))
    }

    /// Fetches both ends of what lies by a name.
    #[inline]
    pub(crate) fn fetch(&self, name: Name) {
        let line = self.line(name);
        prefetch_index(line, 0);
        prefetch_index(line, line.len() - 1);
    }

    /// Whether a row begins with these names. It is read from its end, since only there it says where a name begins.
    pub(crate) fn begins(&self, name: Name, names: [&str; 2]) -> bool {
        let [tenant, user, _] = self.get(name);
        [tenant, user] == names
    }

    pub(crate) fn get(&self, name: Name) -> [&str; 3] {
        let (_, own) = self.line(name).split_at(BEFORE);
        row::names(own.as_flattened())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By its row, and without one: both must say the same.
    fn is(names: &Names, name: Name, texts: [&str; 3]) -> bool {
        let (by_row, by_text) = (names.is(name, &Row::of(texts), texts), names.is(name, &Row::default(), texts));
        assert_eq!(by_row, by_text);
        by_row
    }

    #[test]
    fn names_are_the_same_if_every_byte_is() {
        let mut names = Names::new();
        for len in 1..=40 {
            let text = "x".repeat(len);
            let name = names.insert(["main", "alice", &text]);
            assert!(is(&names, name, ["main", "alice", &text]) && names.begins(name, ["main", "alice"]));
            assert!(!is(&names, name, ["main", "alice", &"x".repeat(len + 1)]));
            assert!(!is(&names, name, ["main", "alicf", &text]) && !names.begins(name, ["main", "alicf"]));
            assert!(!is(&names, name, ["mail", "alice", &text]) && !names.begins(name, ["mail", "alice"]));
            for at in 0..len {
                let mut other = text.clone().into_bytes();
                other[at] = b'y';
                let other = std::str::from_utf8(&other).unwrap();
                assert!(!is(&names, name, ["main", "alice", other]), "byte {at} of {len}");
            }
        }
    }

    #[test]
    fn a_length_that_could_be_a_letter_does_not_end_a_name() {
        let mut names = Names::new();
        let (short, long) = ("x".repeat(55), format!("{}7yyy", "x".repeat(55)));
        let name = names.insert(["main", &long, "tab"]);
        assert!(names.begins(name, ["main", &long]) && !names.begins(name, ["main", &short]));
    }

    #[test]
    fn names_of_every_length_are_kept_and_their_places_used_again() {
        let mut names = Names::new();
        let texts: Vec<String> = (1..=TOKEN_BYTES_MAX).map(|len| "x".repeat(len)).collect();
        let kept: Vec<Name> = texts.iter().map(|text| names.insert([text, text, text])).collect();
        assert!(kept.iter().zip(&texts).all(|(name, text)| names.get(*name) == [text, text, text]));
        names.remove(kept[6]);
        assert_eq!(names.insert(["another", "another", "another"]), kept[6]);
        assert_eq!(names.get(kept[7])[2], texts[7]);
        names.set_epoch(kept[7], 5);
        assert_eq!((names.epoch(kept[6]), names.epoch(kept[7]), names.epoch(kept[8])), (NO_EPOCH, 5, NO_EPOCH));
    }
}
