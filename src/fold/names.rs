//! The names of sessions, each with its user's and tenant's as one [row](super::row): no allocation a name, no pointer.

use super::row::{self, WORD, words_of};
use crate::model::id::TOKEN_BYTES_MAX;

/// Most words of a row.
pub(crate) const WORDS_MAX: usize = 3 * words_of(TOKEN_BYTES_MAX);
/// Most rows of one length.
pub(crate) const ROWS_MAX: u32 = 1 << PLACE_BITS;

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
    classes: Vec<Class>,
}

#[derive(Debug, Default)]
struct Class {
    chunks: Vec<Box<[u8]>>,
    free: Vec<u32>,
    used: u32,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self { classes: (0..=WORDS_MAX).map(|_| Class::default()).collect() }
    }

    pub(crate) fn insert(&mut self, names: [&str; 3]) -> Name {
        let words: usize = names.iter().map(|name| words_of(name.len())).sum();
        let class = &mut self.classes[words];
        let place = class.free.pop().unwrap_or_else(|| {
            let place = class.used;
            assert!(place < ROWS_MAX, "limits keep rows of a length below {ROWS_MAX}");
            if place as usize == class.chunks.len() << CHUNK_BITS {
                class.chunks.push(vec![0; CHUNK * words * WORD].into());
            }
            class.used += 1;
            place
        });
        let at = (place as usize & (CHUNK - 1)) * words * WORD;
        let mut rest = class.chunks[(place >> CHUNK_BITS) as usize][at..at + words * WORD].as_chunks_mut().0.iter_mut();
        row::all_words(names, |word| rest.next().map(|slot| *slot = word.to_le_bytes()).is_some());
        Name((words as u32) << PLACE_BITS | place)
    }

    pub(crate) fn remove(&mut self, name: Name) {
        self.classes[name.words()].free.push(name.place());
    }

    #[inline]
    fn row(&self, name: Name) -> &[u8] {
        let width = name.words() * WORD;
        let at = (name.place() as usize & (CHUNK - 1)) * width;
        &self.classes[name.words()].chunks[(name.place() >> CHUNK_BITS) as usize][at..at + width]
    }

    /// Whether a row holds these names.
    #[inline]
    pub(crate) fn is(&self, name: Name, names: [&str; 3]) -> bool {
        let mut rest = self.row(name).as_chunks::<WORD>().0.iter();
        row::all_words(names, |word| rest.next() == Some(&word.to_le_bytes())) && rest.next().is_none()
    }

    /// Whether a row begins with these names. It is read from its end, since only there it says where a name begins.
    pub(crate) fn begins(&self, name: Name, names: [&str; 2]) -> bool {
        let [tenant, user, _] = self.get(name);
        [tenant, user] == names
    }

    /// Reads the first byte of a row, which fetches it.
    pub(crate) fn touch(&self, name: Name) -> u8 {
        self.row(name).first().copied().unwrap_or(0)
    }

    pub(crate) fn get(&self, name: Name) -> [&str; 3] {
        row::names(self.row(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_if_every_byte_is() {
        let mut names = Names::new();
        for len in 1..=40 {
            let text = "x".repeat(len);
            let name = names.insert(["main", "alice", &text]);
            assert!(names.is(name, ["main", "alice", &text]) && names.begins(name, ["main", "alice"]));
            assert!(!names.is(name, ["main", "alice", &"x".repeat(len + 1)]));
            assert!(!names.is(name, ["main", "alicf", &text]) && !names.begins(name, ["main", "alicf"]));
            assert!(!names.is(name, ["mail", "alice", &text]) && !names.begins(name, ["mail", "alice"]));
            for at in 0..len {
                let mut other = text.clone().into_bytes();
                other[at] = b'y';
                let other = std::str::from_utf8(&other).unwrap();
                assert!(!names.is(name, ["main", "alice", other]), "byte {at} of {len}");
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
    }
}
