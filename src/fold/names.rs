//! Names in classes of eight bytes: no allocation a name, no pointer, eight bytes for a name of up to seven.

use super::key::little_endian;
use crate::model::id::TOKEN_BYTES_MAX;

const CLASS_BYTES: usize = 8;
const CLASSES: usize = (TOKEN_BYTES_MAX + 1).div_ceil(CLASS_BYTES);
const PLACE_BITS: u32 = 27;
/// Names of one class lie in chunks of so many, which never move.
const CHUNK_BITS: u32 = 9;
const CHUNK: usize = 1 << CHUNK_BITS;

/// Where a name is: its class and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Name(u32);

/// Whether two names are the same.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let ((a_words, a_tail), (b_words, b_tail)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let same_words = a_words.iter().zip(b_words).all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b));
    same_words && little_endian(a, a_tail) == little_endian(b, b_tail)
}

/// Names of 1 to 192 bytes. A name takes its length in one byte and itself, rounded up to eight.
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
        Self { classes: (0..CLASSES).map(|_| Class::default()).collect() }
    }

    pub(crate) fn insert(&mut self, name: &str) -> Name {
        let class_number = name.len() / CLASS_BYTES;
        let width = (class_number + 1) * CLASS_BYTES;
        let class = &mut self.classes[class_number];
        let place = class.free.pop().unwrap_or_else(|| {
            let place = class.used;
            assert!(place < 1 << PLACE_BITS, "limits keep names below 2^27 a class");
            if place as usize == class.chunks.len() << CHUNK_BITS {
                class.chunks.push(vec![0; CHUNK * width].into());
            }
            class.used += 1;
            place
        });
        let at = (place as usize & (CHUNK - 1)) * width;
        let bytes = &mut class.chunks[(place >> CHUNK_BITS) as usize][at..at + width];
        bytes[0] = name.len() as u8;
        bytes[1..=name.len()].copy_from_slice(name.as_bytes());
        Name((class_number as u32) << PLACE_BITS | place)
    }

    pub(crate) fn remove(&mut self, name: Name) {
        self.classes[(name.0 >> PLACE_BITS) as usize].free.push(name.0 & ((1 << PLACE_BITS) - 1));
    }

    #[inline]
    pub(crate) fn bytes(&self, name: Name) -> &[u8] {
        let class_number = (name.0 >> PLACE_BITS) as usize;
        let place = name.0 & ((1 << PLACE_BITS) - 1);
        let width = (class_number + 1) * CLASS_BYTES;
        let at = (place as usize & (CHUNK - 1)) * width;
        let bytes = &self.classes[class_number].chunks[(place >> CHUNK_BITS) as usize][at..at + width];
        &bytes[1..=usize::from(bytes[0])]
    }

    /// Whether a name is `text`. Names are compared with every signal, and they are short: by eight bytes at once, in line.
    #[inline]
    pub(crate) fn is(&self, name: Name, text: &str) -> bool {
        same(self.bytes(name), text.as_bytes())
    }

    pub(crate) fn get(&self, name: Name) -> &str {
        std::str::from_utf8(self.bytes(name)).expect("names are kept as they were given")
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
            let name = names.insert(&text);
            assert!(names.is(name, &text));
            assert!(!names.is(name, &"x".repeat(len + 1)));
            for at in 0..len {
                let mut other = text.clone().into_bytes();
                other[at] = b'y';
                assert!(!names.is(name, std::str::from_utf8(&other).unwrap()), "byte {at} of {len}");
            }
        }
    }

    #[test]
    fn names_of_every_length_are_kept_and_their_places_used_again() {
        let mut names = Names::new();
        let texts: Vec<String> = (1..=TOKEN_BYTES_MAX).map(|len| "x".repeat(len)).collect();
        let kept: Vec<Name> = texts.iter().map(|text| names.insert(text)).collect();
        assert!(kept.iter().zip(&texts).all(|(name, text)| names.get(*name) == text));
        names.remove(kept[6]);
        assert_eq!(names.insert("another").0, kept[6].0);
        assert_eq!(names.get(kept[7]), texts[7]);
    }
}
