//! Rows of names: `tenant`, `user`, `session` as words of eight bytes.
//!
//! Each name is followed by zeros and, in the last byte of its last word, by its length. So a row can be compared and hashed
//! word by word, no two rows of the same number of names are the same words, none is another with zeros behind it, and it is
//! read from its end without anything beside it.

/// Bytes of a word.
pub(crate) const WORD: usize = 8;

/// So many words a name of `len` bytes takes.
pub(crate) const fn words_of(len: usize) -> usize {
    len / WORD + 1
}

/// Calls `take` with the words of a row until it answers `false`; whether it never did.
#[inline]
pub(crate) fn all_words<const N: usize>(names: [&str; N], mut take: impl FnMut(u64) -> bool) -> bool {
    for name in names {
        let (words, tail) = name.as_bytes().as_chunks::<WORD>();
        for word in words {
            if !take(u64::from_le_bytes(*word)) {
                return false;
            }
        }
        if !take(little_endian(name.as_bytes(), tail) | (name.len() as u64) << 56) {
            return false;
        }
    }
    true
}

/// Most words of a [`Row`] that are kept: names of some 40 bytes each. A power of two, so that no place needs to be checked.
pub(crate) const KEPT: usize = 16;

/// The words of a row, where they are few; of a longer one, nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row {
    words: [u64; KEPT],
    len: usize,
}

impl Row {
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(names: [&str; N]) -> Self {
        let mut row = Self::default();
        row.set(names, |_, _| {});
        row
    }

    /// Becomes the row of these names, and tells each word with its place, below [`KEPT`]; where it stands, since a row that is
    /// copied is waited for. Whether it is kept.
    #[inline]
    pub(crate) fn set<const N: usize>(&mut self, names: [&str; N], mut tell: impl FnMut(usize, u64)) -> bool {
        let count: usize = names.iter().map(|name| words_of(name.len())).sum();
        if count > KEPT {
            self.len = 0;
            return false;
        }
        let mut at = 0;
        all_words(names, |word| {
            self.words[at % KEPT] = word;
            tell(at % KEPT, word);
            at += 1;
            true
        });
        self.len = count;
        true
    }

    /// The words; none if there were too many.
    #[inline]
    pub(crate) fn words(&self) -> &[u64] {
        self.words.get(..self.len).unwrap_or_default()
    }
}

/// The up to 7 bytes of `tail`, which `bytes` ends with, as a number.
#[inline]
pub(crate) fn little_endian(bytes: &[u8], tail: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk::<WORD>() {
        // In two steps, since there may be nothing of it left.
        return u64::from_le_bytes(*last) >> 8 >> (8 * (WORD - 1 - tail.len()));
    }
    if tail.is_empty() {
        return 0;
    }
    match (tail.first_chunk::<4>(), tail.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            let high = u64::from(u32::from_le_bytes(*last)) << (8 * (tail.len() - 4));
            u64::from(u32::from_le_bytes(*first)) | high
        }
        _ => {
            let (first, middle, last) = (tail[0], tail[tail.len() / 2], tail[tail.len() - 1]);
            u64::from(first) | u64::from(middle) << (8 * (tail.len() / 2)) | u64::from(last) << (8 * (tail.len() - 1))
        }
    }
}

/// The names of a row of `N`.
///
/// # Panics
/// If it isn't one.
pub(crate) fn names<const N: usize>(mut row: &[u8]) -> [&str; N] {
    let mut names = [""; N];
    for name in names.iter_mut().rev() {
        let len = usize::from(*row.last().expect("a row ends with a name"));
        let (before, own) = row.split_at(row.len() - words_of(len) * WORD);
        *name = std::str::from_utf8(&own[..len]).expect("names are kept as they were given");
        row = before;
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row<const N: usize>(names: [&str; N]) -> Vec<u8> {
        let mut row = Vec::new();
        all_words(names, |word| {
            row.extend_from_slice(&word.to_le_bytes());
            true
        });
        row
    }

    proptest! {
        #[test]
        fn a_row_is_its_names(texts in prop::array::uniform3(prop_oneof!["[a-z=]{1,20}", "[a-z=]{1,192}"])) {
            let given = [&*texts[0], &*texts[1], &*texts[2]];
            let row = row(given);
            prop_assert_eq!(row.len(), given.map(|name| words_of(name.len()) * WORD).iter().sum::<usize>());
            prop_assert_eq!(names::<3>(&row), given);
            let kept = Row::of(given);
            let bytes: Vec<u8> = kept.words().iter().flat_map(|word| word.to_le_bytes()).collect();
            prop_assert!(bytes == row || kept.words().is_empty() && row.len() > KEPT * WORD);
        }
    }

    #[test]
    fn a_word_holds_its_bytes_in_their_order() {
        assert_eq!(row(["abc"]), b"abc\0\0\0\0\x03");
        assert_eq!(row(["abcdefgh"]), b"abcdefgh\0\0\0\0\0\0\0\x08");
        assert_eq!(row(["abcdefghij"]), b"abcdefghij\0\0\0\0\0\x0a");
        for len in 1..=7 {
            assert_eq!(row(["abcdefg".get(..len).unwrap()])[..len], b"abcdefg"[..len]);
        }
    }
}
