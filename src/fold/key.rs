//! The keyed hashes. Names are found by multilinear hashing (Lemire and Kaser, "Strongly universal string hashing is fast",
//! 2014): whoever doesn't know the keys can't name two texts that meet with more than chance, which matters since clients
//! choose the names. The keys, and the check of a checkpoint's bytes, are SipHash-1-3 (Aumasson and Bernstein, 2012) with the
//! 128-bit finish of its authors' reference code.

use std::sync::Arc;

use super::names::{TEXT_MAX, WORD};

/// The secret of an index, and what is drawn from it, which those who have a clone of it share. It changes no event, only where
/// records lie.
#[derive(Debug, Clone)]
pub struct IndexKey(Arc<NameHash>);

impl IndexKey {
    /// The one of two secret numbers.
    #[must_use]
    pub fn new(first: u64, second: u64) -> Self {
        Self(Arc::new(NameHash::new(SipKey(first, second))))
    }

    /// How names are hashed under it.
    #[inline]
    pub(crate) fn hash(&self) -> &NameHash {
        &self.0
    }
}

/// A key of SipHash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SipKey(pub(crate) u64, pub(crate) u64);

/// Most words before a text's last byte.
const WORDS_MAX: usize = (TEXT_MAX - 1) / WORD;

/// The multilinear hash of texts without zeros: `(s + e·l + Σ kᵢ·wᵢ mod 2¹²⁸) / 2⁶⁴` over the whole words `w` before its last byte
/// and the word `l` that it ends with, with keys of 128 bits. What a short text lacks of that is zeros. The last word may
/// overlap the one before, so that no byte needs a look of its own; then it doesn't tell how long the text is, wherefore each
/// rest of eight has an `s` of its own.
#[derive(Debug)]
pub(crate) struct NameHash {
    starts: [u128; WORD],
    end: u128,
    keys: [u128; WORDS_MAX],
}

impl NameHash {
    fn new(key: SipKey) -> Self {
        let draw = |number: usize| hash(key, &number.to_le_bytes());
        Self {
            starts: std::array::from_fn(|rest| draw(WORDS_MAX + 1 + rest)),
            end: draw(WORDS_MAX),
            keys: std::array::from_fn(draw),
        }
    }

    /// The hash of a text: three names and what stands between them, at most.
    #[inline]
    pub(crate) fn of(&self, text: &str) -> u64 {
        let bytes = text.as_bytes();
        let term = |key: &u128, word: &[u8; WORD]| key.wrapping_mul(u64::from_le_bytes(*word).into());
        let start = self.starts[bytes.len() % WORD];
        let (Some(last), [before @ .., _]) = (bytes.last_chunk(), bytes) else {
            let mut padded = [0; WORD];
            padded[..bytes.len()].copy_from_slice(bytes);
            return (start.wrapping_add(term(&self.end, &padded)) >> 64) as u64;
        };
        let mut sum = start.wrapping_add(term(&self.end, last));
        for (key, word) in self.keys.iter().zip(before.as_chunks().0) {
            sum = sum.wrapping_add(term(key, word));
        }
        (sum >> 64) as u64
    }
}

/// The SipHash-1-3-128 of `bytes` under `key`.
pub(crate) fn hash(key: SipKey, bytes: &[u8]) -> u128 {
    let mut state = start(key);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        absorb(&mut state, u64::from_le_bytes(*word));
    }
    let tail = tail.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    absorb(&mut state, tail | (bytes.len() as u64) << 56);
    finish(state)
}

#[inline]
fn start(key: SipKey) -> [u64; 4] {
    [
        key.0 ^ 0x736f_6d65_7073_6575,
        key.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        key.0 ^ 0x6c79_6765_6e65_7261,
        key.1 ^ 0x7465_6462_7974_6573,
    ]
}

#[inline]
fn finish(mut state: [u64; 4]) -> u128 {
    state[2] ^= 0xee;
    let first = half(&mut state);
    state[1] ^= 0xdd;
    let second = half(&mut state);
    u128::from(second) << 64 | u128::from(first)
}

#[inline]
fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    state[0] ^= word;
}

#[inline]
fn half(state: &mut [u64; 4]) -> u64 {
    round(state);
    round(state);
    round(state);
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

#[inline]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher as _;

    use proptest::prelude::*;
    use siphasher::sip128::{Hasher128 as _, SipHasher13};

    use super::*;

    fn reference(a: u64, b: u64, bytes: &[u8]) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(a, b);
        hasher.write(bytes);
        hasher.finish128().as_u128()
    }

    proptest! {
        #[test]
        fn the_hash_is_siphash_1_3_128(a: u64, b: u64, bytes in prop::collection::vec(any::<u8>(), 0..70)) {
            prop_assert_eq!(hash(SipKey(a, b), &bytes), reference(a, b, &bytes));
        }

        #[test]
        fn texts_are_hashed_word_by_word(a: u64, b: u64, text in prop_oneof!["[a-z=.]{1,20}", "[a-z=.]{500,578}"]) {
            let draw = |number: usize| hash(SipKey(a, b), &number.to_le_bytes());
            let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte));
            let bytes = text.as_bytes();
            let last = word(&bytes[bytes.len().saturating_sub(8)..]);
            let mut sum = draw(WORDS_MAX + 1 + bytes.len() % 8).wrapping_add(draw(WORDS_MAX).wrapping_mul(last));
            for (at, whole) in bytes[..bytes.len() - 1].chunks_exact(8).enumerate() {
                sum = sum.wrapping_add(draw(at).wrapping_mul(word(whole)));
            }
            prop_assert_eq!(NameHash::new(SipKey(a, b)).of(&text), (sum >> 64) as u64);
        }
    }
}
