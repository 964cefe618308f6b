//! The MessagePack of batches: what is written, and whether what was brought is one whole map.

/// Writes the head of a map with so many keys.
pub(super) fn map(keys: u32, out: &mut Vec<u8>) {
    match keys {
        0..=15 => out.push(0x80 | keys as u8),
        16..=0xffff => {
            out.push(0xde);
            out.extend_from_slice(&(keys as u16).to_be_bytes());
        }
        _ => {
            out.push(0xdf);
            out.extend_from_slice(&keys.to_be_bytes());
        }
    }
}

/// Writes the head of a list with so many values.
pub(super) fn list(values: u32, out: &mut Vec<u8>) {
    out.push(0xdd);
    out.extend_from_slice(&values.to_be_bytes());
}

/// Writes a text of less than 64 KiB: signals are smaller.
pub(super) fn text(text: &str, out: &mut Vec<u8>) {
    match text.len() {
        length @ 0..=31 => out.push(0xa0 | length as u8),
        length @ 32..=0xff => out.extend_from_slice(&[0xd9, length as u8]),
        length => {
            out.push(0xda);
            out.extend_from_slice(&u16::try_from(length).expect("signals are small").to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// Writes a number.
pub(super) fn number(number: u64, out: &mut Vec<u8>) {
    match number {
        0..=0x7f => out.push(number as u8),
        0x80..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(number as u32).to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// The keys with their values, and how many there are, if `payload` is one whole map and nothing else. It recurses nowhere,
/// whatever a head claims: what is brought may not break out of its place in a batch.
pub(super) fn pairs(payload: &[u8]) -> Option<(u32, &[u8])> {
    let (keys, body) = match *payload {
        [head @ 0x80..=0x8f, ref body @ ..] => (u32::from(head & 0x0f), body),
        [0xde, a, b, ref body @ ..] => (u32::from(u16::from_be_bytes([a, b])), body),
        [0xdf, a, b, c, d, ref body @ ..] => (u32::from_be_bytes([a, b, c, d]), body),
        _ => return None,
    };
    let (mut rest, mut values) = (body, 2 * u64::from(keys));
    while values > 0 {
        let (skipped, within) = value(rest)?;
        rest = rest.get(usize::try_from(skipped).ok()?..)?;
        values = values - 1 + within;
    }
    rest.is_empty().then_some((keys, body))
}

/// How many bytes a value has, without the values within it, and how many of these follow.
fn value(bytes: &[u8]) -> Option<(u64, u64)> {
    let (marker, rest) = bytes.split_first()?;
    let long = |size: usize| {
        let digits = rest.get(..size)?;
        Some(digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)))
    };
    Some(match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (1, 0),
        0x80..=0x8f => (1, 2 * u64::from(marker & 0x0f)),
        0x90..=0x9f => (1, u64::from(marker & 0x0f)),
        0xa0..=0xbf => (1 + u64::from(marker & 0x1f), 0),
        0xc1 => return None,
        0xc4 | 0xd9 => (2 + long(1)?, 0),
        0xc5 | 0xda => (3 + long(2)?, 0),
        0xc6 | 0xdb => (5 + long(4)?, 0),
        0xc7 => (3 + long(1)?, 0),
        0xc8 => (4 + long(2)?, 0),
        0xc9 => (6 + long(4)?, 0),
        0xcc | 0xd0 => (2, 0),
        0xcd | 0xd1 => (3, 0),
        0xca | 0xce | 0xd2 => (5, 0),
        0xcb | 0xcf | 0xd3 => (9, 0),
        0xd4..=0xd8 => (2 + (1 << (marker - 0xd4)), 0),
        0xdc => (3, long(2)?),
        0xdd => (5, long(4)?),
        0xde => (3, 2 * long(2)?),
        0xdf => (5, 2 * long(4)?),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = Vec::new();
        map(3, &mut bytes);
        for (key, value) in [("n", 5), ("m", 70_000), ("l", 1 << 40)] {
            text(key, &mut bytes);
            number(value, &mut bytes);
        }
        let read: serde_json::Value = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(read, json!({"n": 5, "m": 70_000, "l": 1_u64 << 40}));
        for length in [0, 31, 32, 255, 256, 600] {
            let (mut bytes, written) = (Vec::new(), "x".repeat(length));
            text(&written, &mut bytes);
            assert_eq!(rmp_serde::from_slice::<String>(&bytes).unwrap(), written);
        }
        for keys in [0, 15, 16, 70_000] {
            let mut bytes = Vec::new();
            map(keys, &mut bytes);
            bytes.extend((0..2 * keys).map(|_| 0xc0));
            assert_eq!(pairs(&bytes).map(|(keys, _)| keys), Some(keys));
        }
    }

    #[test]
    fn only_one_whole_map_is_taken() {
        let whole = rmp_serde::to_vec_named(&json!({"a": [1, -2, 0.5, "x", null, {"b": true}], "n": {}})).unwrap();
        assert_eq!(pairs(&whole), Some((2, &whole[1..])));
        for end in 0..whole.len() {
            assert_eq!(pairs(&whole[..end]), None, "cut at {end}");
        }
        let more = [&whole[..], b"\xa1u\xa3eve"].concat();
        for none in [&more[..], b"\x81\xa1a\xc1", b"\x93\x01\x02\x03", b"\xdf\xff\xff\xff\xff", &[0x81; 100_000]] {
            assert_eq!(pairs(none), None);
        }
    }
}
