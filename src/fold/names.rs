//! Names in classes of eight bytes: no allocation a name, no pointer, eight bytes for a name of up to seven.

use crate::model::id::TOKEN_BYTES_MAX;

const CLASS_BYTES: usize = 8;
const CLASSES: usize = (TOKEN_BYTES_MAX + 1).div_ceil(CLASS_BYTES);
const PLACE_BITS: u32 = 27;

/// Where a name is: its class and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Name(u32);

/// Names of 1 to 192 bytes. A name takes its length in one byte and itself, rounded up to eight.
#[derive(Debug)]
pub(crate) struct Names {
    classes: Vec<Class>,
}

#[derive(Debug, Default)]
struct Class {
    bytes: Vec<u8>,
    free: Vec<u32>,
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
            let place = class.bytes.len() / width;
            if class.bytes.len() == class.bytes.capacity() {
                class.bytes.reserve_exact((place / 8 + 16) * width);
            }
            class.bytes.resize(class.bytes.len() + width, 0);
            u32::try_from(place).ok().filter(|place| *place < 1 << PLACE_BITS).expect("limits keep names below 2^27 a class")
        });
        let at = place as usize * width;
        class.bytes[at] = name.len() as u8;
        class.bytes[at + 1..=at + name.len()].copy_from_slice(name.as_bytes());
        Name((class_number as u32) << PLACE_BITS | place)
    }

    pub(crate) fn remove(&mut self, name: Name) {
        self.classes[(name.0 >> PLACE_BITS) as usize].free.push(name.0 & ((1 << PLACE_BITS) - 1));
    }

    pub(crate) fn bytes(&self, name: Name) -> &[u8] {
        let class_number = (name.0 >> PLACE_BITS) as usize;
        let at = (name.0 & ((1 << PLACE_BITS) - 1)) as usize * (class_number + 1) * CLASS_BYTES;
        let bytes = &self.classes[class_number].bytes[at..];
        &bytes[1..=usize::from(bytes[0])]
    }

    pub(crate) fn get(&self, name: Name) -> &str {
        std::str::from_utf8(self.bytes(name)).expect("names are kept as they were given")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
