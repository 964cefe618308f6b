//! The names of sessions, each with its user's and tenant's as one [row], an address as it stands in a subject: no allocation
//! a name, no pointer.
//! Before them lie the client's epoch and what excuses the session: whoever compares the names of a signal needs them next.

use prefetch_index::prefetch_index;

use super::record::NO_EPOCH;
use super::row::{self, WORD, words_of};
use crate::model::id::TOKEN_BYTES_MAX;

/// Most words of a row.
pub(crate) const WORDS_MAX: usize = words_of(3 * TOKEN_BYTES_MAX + 2);
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
    /// As many as a [`Name`] can tell apart, so that none needs to be checked.
    classes: [Class; 1 << (u32::BITS - PLACE_BITS)],
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

    /// Keeps a text, an address or as much of one as there is.
    pub(crate) fn insert(&mut self, text: &str) -> Name {
        let words = words_of(text.len());
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
        let (whole, last) = row::words(text);
        let line = self.line_mut(name);
        (line[0], line[1]) = (NO_EPOCH.to_le_bytes(), [0; WORD]);
        let (own, rest) = line[BEFORE..].split_at_mut(whole.len());
        own.copy_from_slice(whole);
        rest.fill(last.to_le_bytes());
        name
    }

    pub(crate) fn remove(&mut self, name: Name) {
        self.classes[name.words()].free.push(name.place());
    }

    /// The epoch, the excuse and the words of a row.
    #[inline]
    fn line(&self, name: Name) -> &[[u8; WORD]] {
        self.line_of(name).expect("a name is somewhere")
    }

    #[inline]
    fn line_of(&self, name: Name) -> Option<&[[u8; WORD]]> {
        let width = BEFORE + name.words();
        let at = (name.place() as usize & (CHUNK - 1)) * width;
        self.classes[name.words()].chunks.get((name.place() >> CHUNK_BITS) as usize)?.get(at..at + width)
    }

    fn line_mut(&mut self, name: Name) -> &mut [[u8; WORD]] {
        let width = BEFORE + name.words();
        let at = (name.place() as usize & (CHUNK - 1)) * width;
        &mut self.classes[name.words()].chunks[(name.place() >> CHUNK_BITS) as usize][at..at + width]
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

    /// The epoch and the excuse of who has this name, if it is this text.
    #[inline]
    pub(crate) fn known(&self, name: Name, text: &str) -> Option<(u64, u64)> {
        let [epoch, excuse, own @ ..] = self.line_of(name)? else { return None };
        let (whole, last) = row::words(text);
        let (first, rest) = own.split_at_checked(whole.len())?;
        let is_it = first.iter().zip(whole).all(|(own, given)| u64::from_le_bytes(*own) == u64::from_le_bytes(*given))
            && match rest {
                [] => last == 0,
                [own] => u64::from_le_bytes(*own) == last,
                _ => false,
            };
        is_it.then_some((u64::from_le_bytes(*epoch), u64::from_le_bytes(*excuse)))
    }

    /// Fetches both ends of what lies by a name, if anything does.
    #[inline]
    pub(crate) fn fetch(&self, name: Name) {
        if let Some(line) = self.line_of(name) {
            prefetch_index(line, 0);
            prefetch_index(line, line.len() - 1);
        }
    }

    /// Whether a text begins with this user's.
    pub(crate) fn begins(&self, name: Name, of_user: &str) -> bool {
        self.get(name).strip_prefix(of_user).is_some_and(|rest| rest.starts_with('.'))
    }

    pub(crate) fn get(&self, name: Name) -> &str {
        row::text(self.row(name))
    }

    /// The words of a text, as they lie.
    pub(crate) fn row(&self, name: Name) -> &[[u8; WORD]] {
        &self.line(name)[BEFORE..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(names: &Names, name: Name, text: &str) -> bool {
        names.known(name, text).is_some()
    }

    #[test]
    fn names_are_the_same_if_every_byte_is() {
        let mut names = Names::new();
        for len in 1..=40 {
            let session = "x".repeat(len);
            let text = format!("main.alice.{session}");
            let name = names.insert(&text);
            assert!(is(&names, name, &text) && names.begins(name, "main.alice") && names.get(name) == text);
            assert!(!is(&names, name, &format!("{text}x")) && !is(&names, name, &text[..text.len() - 1]));
            assert!(!is(&names, name, &format!("main.alicf.{session}")) && !names.begins(name, "main.alicf"));
            assert!(!names.begins(name, "main.alic") && !names.begins(name, "main.alice.x"));
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = b'y';
                assert!(!is(&names, name, std::str::from_utf8(&other).unwrap()), "byte {at} of {}", text.len());
            }
        }
    }

    #[test]
    fn names_of_every_length_are_kept_and_their_places_used_again() {
        let mut names = Names::new();
        let longest = 3 * TOKEN_BYTES_MAX + 2;
        let texts: Vec<String> = (1..=longest).map(|len| "x".repeat(len)).collect();
        let kept: Vec<Name> = texts.iter().map(|text| names.insert(text)).collect();
        assert!(kept.iter().zip(&texts).all(|(name, text)| names.get(*name) == text && is(&names, *name, text)));
        names.remove(kept[6]);
        assert_eq!(names.insert("another"), kept[6]);
        assert_eq!(names.get(kept[7]), texts[7]);
        names.set_epoch(kept[7], 5);
        names.set_excuse(kept[7], 6);
        assert_eq!((names.epoch(kept[6]), names.epoch(kept[7]), names.epoch(kept[8])), (NO_EPOCH, 5, NO_EPOCH));
        assert_eq!((names.excuse(kept[6]), names.known(kept[7], &texts[7])), (0, Some((5, 6))));
    }
}
