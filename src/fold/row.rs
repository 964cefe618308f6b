//! Rows of names: text as words of eight bytes, the last of them filled up with zeros.
//!
//! No name has a zero in it. So a row can be compared and hashed word by word, and no two texts have the same words.

/// Bytes of a word.
pub(crate) const WORD: usize = 8;

/// So many words a text of `len` bytes takes.
pub(crate) const fn words_of(len: usize) -> usize {
    len.div_ceil(WORD)
}

/// The whole words of a text, and what is left of it as the last one, 0 if there is nothing left.
#[inline]
pub(crate) fn words(text: &str) -> (&[[u8; WORD]], u64) {
    let bytes = text.as_bytes();
    let (words, rest) = bytes.as_chunks::<WORD>();
    (words, little_endian(bytes, rest))
}

/// The up to 7 bytes of `tail`, which `bytes` ends with, as a number.
#[inline]
pub(crate) fn little_endian(bytes: &[u8], tail: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk::<WORD>() {
        // In two steps, since there may be nothing left of it.
        return u64::from_le_bytes(*last) >> 8 >> (8 * (WORD - 1 - tail.len()));
    }
    tail.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The text of a row.
///
/// # Panics
/// If it isn't one.
pub(crate) fn text(row: &[[u8; WORD]]) -> &str {
    let filled = row.last().map_or(0, |last| u64::from_le_bytes(*last).leading_zeros() as usize / 8);
    let bytes = row.as_flattened();
    std::str::from_utf8(&bytes[..bytes.len() - filled]).expect("names are kept as they were given")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(of: &str) -> Vec<[u8; WORD]> {
        let (whole, rest) = words(of);
        let last = (rest != 0).then(|| rest.to_le_bytes());
        whole.iter().copied().chain(last).collect()
    }

    proptest! {
        #[test]
        fn a_row_is_its_text(given in "[a-z=.]{1,40}", other in "[a-z=.]{1,40}") {
            prop_assert_eq!(row(&given).len(), words_of(given.len()));
            let own = row(&given);
            prop_assert_eq!(text(&own), &given);
            prop_assert_eq!(own == row(&other), given == other);
        }
    }

    #[test]
    fn a_word_holds_its_bytes_in_their_order() {
        assert_eq!(row("abc").as_flattened(), b"abc\0\0\0\0\0");
        assert_eq!(row("abcdefgh").as_flattened(), b"abcdefgh");
        assert_eq!(row("abcdefghij").as_flattened(), b"abcdefghij\0\0\0\0\0\0");
    }
}
