//! The keyed 128-bit hash under which sessions and users are found: SipHash-1-3 (Aumasson and Bernstein, 2012) with the
//! 128-bit finish of its authors' reference code. Clients choose the names, so the hash must not be theirs to predict.

/// The secret of an index. It changes no event, only where records lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexKey(pub u64, pub u64);

/// SipHash-1-3-128 over bytes that come in parts.
pub(crate) struct Hash {
    state: [u64; 4],
    /// Bytes that do not fill a word yet, the first one lowest.
    rest: u64,
    len: usize,
}

/// The SipHash-1-3-128 of `bytes` under `key`.
pub(crate) fn hash(key: IndexKey, bytes: &[u8]) -> u128 {
    Hash::new(key).with(bytes).finish()
}

impl Hash {
    #[inline]
    pub(crate) fn new(key: IndexKey) -> Self {
        let state = [
            key.0 ^ 0x736f_6d65_7073_6575,
            key.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            key.0 ^ 0x6c79_6765_6e65_7261,
            key.1 ^ 0x7465_6462_7974_6573,
        ];
        Self { state, rest: 0, len: 0 }
    }

    #[inline]
    pub(crate) fn with(mut self, bytes: &[u8]) -> Self {
        let (words, tail) = bytes.as_chunks::<8>();
        for word in words {
            self.push(u64::from_le_bytes(*word), 8);
        }
        if !tail.is_empty() {
            self.push(little_endian(bytes, tail), tail.len());
        }
        self
    }

    /// Takes the `count` (1 to 8) low bytes of `word`, whose other bytes are 0.
    #[inline]
    fn push(&mut self, word: u64, count: usize) {
        let held = self.len % 8;
        self.len += count;
        self.rest |= word << (8 * held);
        if held + count >= 8 {
            absorb(&mut self.state, self.rest);
            self.rest = if held == 0 { 0 } else { word >> (8 * (8 - held)) };
        }
    }

    #[inline]
    pub(crate) fn finish(mut self) -> u128 {
        absorb(&mut self.state, self.rest | (self.len as u64) << 56);
        self.state[2] ^= 0xee;
        let first = finish(&mut self.state);
        self.state[1] ^= 0xdd;
        let second = finish(&mut self.state);
        u128::from(second) << 64 | u128::from(first)
    }
}

/// The 1 to 7 bytes of `tail`, which `bytes` ends with, as a number.
#[inline]
fn little_endian(bytes: &[u8], tail: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*last) >> (8 * (8 - tail.len()));
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

#[inline]
fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    state[0] ^= word;
}

fn finish(state: &mut [u64; 4]) -> u64 {
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

    proptest! {
        #[test]
        fn the_hash_is_siphash_1_3_128(a: u64, b: u64, bytes in prop::collection::vec(any::<u8>(), 0..70), part in 1_usize..20) {
            let mut other = SipHasher13::new_with_keys(a, b);
            other.write(&bytes);
            prop_assert_eq!(hash(IndexKey(a, b), &bytes), other.finish128().as_u128());
            let parts = bytes.chunks(part).fold(Hash::new(IndexKey(a, b)), Hash::with);
            prop_assert_eq!(parts.finish(), other.finish128().as_u128());
        }
    }
}
