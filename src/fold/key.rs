//! The keyed 128-bit hash under which sessions and users are found: SipHash-1-3 (Aumasson and Bernstein, 2012) with the
//! 128-bit finish of its authors' reference code. Clients choose the names, so the hash must not be theirs to predict.

/// The secret of an index. It changes no event, only where records lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexKey(pub u64, pub u64);

/// The SipHash-1-3-128 of `bytes` under `key`.
#[must_use]
pub(crate) fn hash(key: IndexKey, bytes: &[u8]) -> u128 {
    let mut state = [
        key.0 ^ 0x736f_6d65_7073_6575,
        key.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        key.0 ^ 0x6c79_6765_6e65_7261,
        key.1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        absorb(&mut state, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    absorb(&mut state, u64::from_le_bytes(last) | (bytes.len() as u64) << 56);
    state[2] ^= 0xee;
    let first = finish(&mut state);
    state[1] ^= 0xdd;
    let second = finish(&mut state);
    u128::from(second) << 64 | u128::from(first)
}

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
        fn the_hash_is_siphash_1_3_128(a: u64, b: u64, bytes in prop::collection::vec(any::<u8>(), 0..70)) {
            let mut other = SipHasher13::new_with_keys(a, b);
            other.write(&bytes);
            prop_assert_eq!(hash(IndexKey(a, b), &bytes), other.finish128().as_u128());
        }
    }
}
