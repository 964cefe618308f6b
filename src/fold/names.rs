//! The names of sessions, each with its user's and tenant's as one text, an address as it stands in a subject: no allocation
//! a name, no pointer.
//! Before them lie the client's epoch, the length of the text and what excuses the session: whoever compares the names of a signal
//! needs them next.

use prefetch_index::prefetch_index;

use super::record::{EPOCH_BITS, NO_EPOCH};
use crate::model::id::TOKEN_BYTES_MAX;

/// Bytes of a word.
pub(crate) const WORD: usize = 8;
/// Most bytes of a text: three names and what stands between them.
pub(crate) const TEXT_MAX: usize = 3 * TOKEN_BYTES_MAX + 2;
/// Words before a text: its length and the epoch, the excuse.
const BEFORE: usize = 2;
/// Texts lie one behind the other in chunks of so many words, which never move.
const CHUNK_BITS: u32 = 12;
const CHUNK: usize = 1 << CHUNK_BITS;
/// So far behind its first word a text is fetched too: most end in the first cache line or in the next.
const FETCHED: usize = 7;

const _: () = assert!(TEXT_MAX < 1 << (u64::BITS - EPOCH_BITS), "a text's length fits beside an epoch");

/// Where a name is: the word before which so many others lie. The default is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Name(u32);

impl Name {
    /// Whether it is the name of somebody.
    pub(crate) fn is_some(self) -> bool {
        self != Self::default()
    }

    fn chunk(self) -> usize {
        (self.0 >> CHUNK_BITS) as usize
    }

    fn place(self) -> usize {
        self.0 as usize & (CHUNK - 1)
    }
}

/// The names of a partition.
#[derive(Debug)]
pub(crate) struct Names {
    chunks: Vec<Box<[[u8; WORD]; CHUNK]>>,
    /// The next word that nobody ever used.
    next: usize,
    /// Places that nobody uses any more, by the number of their words.
    free: Vec<Vec<u32>>,
}

impl Names {
    pub(crate) fn new() -> Self {
        // The first word is nobody's, so that no name is nowhere.
        Self { chunks: Vec::new(), next: 1, free: Vec::new() }
    }

    /// Keeps a text, an address or as much of one as there is.
    pub(crate) fn insert(&mut self, text: &str) -> Name {
        let words = text.len().div_ceil(WORD);
        let freed = self.free.get_mut(words).and_then(Vec::pop);
        let name = Name(freed.unwrap_or_else(|| self.extend(BEFORE + words)));
        let line = self.line_mut(name);
        (line[0], line[1]) = (head(text.len(), NO_EPOCH), [0; WORD]);
        line[BEFORE..].as_flattened_mut()[..text.len()].copy_from_slice(text.as_bytes());
        name
    }

    /// Makes room for so many words.
    fn extend(&mut self, width: usize) -> u32 {
        if self.next % CHUNK + width > CHUNK {
            self.next = self.next.next_multiple_of(CHUNK);
        }
        if self.chunks.len() <= self.next / CHUNK {
            let chunk: Box<[_]> = vec![[0; WORD]; CHUNK].into();
            self.chunks.push(chunk.try_into().expect("a chunk has its size"));
        }
        let at = u32::try_from(self.next).expect("limits keep names below four billion words");
        self.next += width;
        at
    }

    pub(crate) fn remove(&mut self, name: Name) {
        let words = self.len(name).div_ceil(WORD);
        if self.free.len() <= words {
            self.free.resize_with(words + 1, Vec::new);
        }
        self.free[words].push(name.0);
    }

    /// The epoch, the excuse and what follows a name.
    #[inline]
    fn line(&self, name: Name) -> &[[u8; WORD]] {
        &self.chunks[name.chunk()][name.place()..]
    }

    fn line_mut(&mut self, name: Name) -> &mut [[u8; WORD]] {
        &mut self.chunks[name.chunk()][name.place()..]
    }

    /// Bytes of a text.
    #[inline]
    fn len(&self, name: Name) -> usize {
        len_of(self.line(name)[0])
    }

    /// The client's epoch of who has this name, or [`NO_EPOCH`].
    #[inline]
    pub(crate) fn epoch(&self, name: Name) -> u64 {
        epoch_of(self.line(name)[0])
    }

    pub(crate) fn set_epoch(&mut self, name: Name, epoch: u64) {
        let len = self.len(name);
        self.line_mut(name)[0] = head(len, epoch);
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
        let line = self.chunks.get(name.chunk())?.get(name.place()..)?;
        let [first, excuse, own @ ..] = line else { return None };
        let is_it = len_of(*first) == text.len() && own.as_flattened().get(..text.len())? == text.as_bytes();
        is_it.then_some((epoch_of(*first), u64::from_le_bytes(*excuse)))
    }

    /// Fetches what lies by a name, if anything does.
    #[inline]
    pub(crate) fn fetch(&self, name: Name) {
        if let Some(chunk) = self.chunks.get(name.chunk()) {
            prefetch_index(chunk.as_slice(), name.place());
            prefetch_index(chunk.as_slice(), name.place() + FETCHED);
        }
    }

    /// Whether a text begins with this user's.
    pub(crate) fn begins(&self, name: Name, of_user: &str) -> bool {
        self.get(name).strip_prefix(of_user).is_some_and(|rest| rest.starts_with('.'))
    }

    pub(crate) fn get(&self, name: Name) -> &str {
        let bytes = &self.line(name)[BEFORE..].as_flattened()[..self.len(name)];
        std::str::from_utf8(bytes).expect("names are kept as they were given")
    }
}

/// The length of a text, above the epoch.
fn head(len: usize, epoch: u64) -> [u8; WORD] {
    debug_assert!(epoch <= NO_EPOCH, "an epoch of {epoch} has more than {EPOCH_BITS} bits");
    (epoch | (len as u64) << EPOCH_BITS).to_le_bytes()
}

fn len_of(head: [u8; WORD]) -> usize {
    (u64::from_le_bytes(head) >> EPOCH_BITS) as usize
}

fn epoch_of(head: [u8; WORD]) -> u64 {
    u64::from_le_bytes(head) & NO_EPOCH
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
        let texts: Vec<String> = (1..=TEXT_MAX).map(|len| "x".repeat(len)).collect();
        let kept: Vec<Name> = texts.iter().map(|text| names.insert(text)).collect();
        assert!(kept.iter().zip(&texts).all(|(name, text)| names.get(*name) == text && is(&names, *name, text)));
        names.remove(kept[6]);
        assert_eq!(names.insert("another"), kept[6]);
        assert_eq!(names.get(kept[7]), texts[7]);
        names.set_epoch(kept[15], 5);
        names.set_excuse(kept[15], 6);
        names.remove(kept[15]);
        let shorter = "nine..ten";
        assert_eq!(
            (names.insert(shorter), names.get(kept[15])),
            (kept[15], shorter),
            "what lay there longer is not of it"
        );
        assert_eq!((names.known(kept[15], shorter), names.known(kept[15], &texts[15])), (Some((NO_EPOCH, 0)), None));
        names.set_epoch(kept[7], 5);
        names.set_excuse(kept[7], 6);
        assert_eq!((names.epoch(kept[6]), names.epoch(kept[7]), names.epoch(kept[8])), (NO_EPOCH, 5, NO_EPOCH));
        assert_eq!((names.excuse(kept[6]), names.known(kept[7], &texts[7])), (0, Some((5, 6))));
    }
}
