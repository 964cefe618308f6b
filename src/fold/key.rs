//! The keyed 128-bit hash under which sessions and users are found: SipHash-1-3 (Aumasson and Bernstein, 2012) with the
//! 128-bit finish of its authors' reference code. Clients choose the names, so the hash must not be theirs to predict.

/// The secret of an index. It changes no event, only where records lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexKey(pub u64, pub u64);

/// The SipHash-1-3-128 of `bytes` under `key`.
pub(crate) fn hash(key: IndexKey, bytes: &[u8]) -> u128 {
    let mut state = start(key);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        absorb(&mut state, u64::from_le_bytes(*word));
    }
    absorb(&mut state, little_endian(bytes, tail) | (bytes.len() as u64) << 56);
    finish(state)
}

/// The SipHash-1-3-128 of names of less than 256 bytes. Each is taken with zeros and its length behind it, which fill up
/// its last eight bytes: so no two rows of names are the same bytes, and none has to be copied.
#[inline]
pub(crate) fn hash_names<const N: usize>(key: IndexKey, names: [&str; N]) -> u128 {
    let mut state = start(key);
    let mut len = 0_u64;
    for name in names {
        let (words, tail) = name.as_bytes().as_chunks::<8>();
        for word in words {
            absorb(&mut state, u64::from_le_bytes(*word));
        }
        absorb(&mut state, little_endian(name.as_bytes(), tail) | (name.len() as u64) << 56);
        len += 8 * (words.len() as u64 + 1);
    }
    absorb(&mut state, len << 56);
    finish(state)
}

#[inline]
fn start(key: IndexKey) -> [u64; 4] {
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

/// The up to 7 bytes of `tail`, which `bytes` ends with, as a number.
#[inline]
pub(crate) fn little_endian(bytes: &[u8], tail: &[u8]) -> u64 {
    if tail.is_empty() {
        return 0;
    }
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
            prop_assert_eq!(hash(IndexKey(a, b), &bytes), reference(a, b, &bytes));
        }

        #[test]
        fn names_are_hashed_as_their_padded_row(a: u64, b: u64, names in prop::array::uniform3("[a-z=]{1,192}")) {
            let mut row = Vec::new();
            for name in &names {
                row.extend_from_slice(name.as_bytes());
                row.resize(row.len().next_multiple_of(8) + if name.len() % 8 == 0 { 8 } else { 0 }, 0);
                *row.last_mut().unwrap() = name.len() as u8;
            }
            let names = [&*names[0], &*names[1], &*names[2]];
            prop_assert_eq!(hash_names(IndexKey(a, b), names), reference(a, b, &row));
        }
    }
}
