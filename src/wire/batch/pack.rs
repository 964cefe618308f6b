//! Where the values of a MessagePack payload begin and end, without reading them.

/// A walk over a payload. It recurses nowhere and allocates nothing, whatever a header claims.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'p> {
    bytes: &'p [u8],
    at: usize,
}

/// What follows a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// So many bytes.
    Bytes(u64),
    /// So many values.
    List(u64),
    /// So many keys, each with its value.
    Map(u64),
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The payload ends before the value does.
    Ends,
    /// The marker that is reserved.
    Reserved,
}

impl Broken {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Ends => "MessagePack: ends before the map does",
            Self::Reserved => "MessagePack: the byte 0xc1 begins no value",
        }
    }
}

impl<'p> Walk<'p> {
    pub(super) fn new(bytes: &'p [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// What was not walked over yet.
    pub(super) fn rest(&self) -> &'p [u8] {
        &self.bytes[self.at..]
    }

    /// Goes on behind the next `count` bytes, which are there.
    pub(super) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// The next value, as its bytes.
    pub(super) fn value(&mut self) -> Result<&'p [u8], Broken> {
        let from = self.at;
        let mut values = 1_u64;
        while values > 0 {
            values -= 1;
            match self.head()? {
                Head::Bytes(count) => {
                    self.take(count)?;
                }
                Head::List(count) => values += count,
                Head::Map(count) => values += 2 * count,
            }
        }
        Ok(&self.bytes[from..self.at])
    }

    /// The next marker with its length.
    pub(super) fn head(&mut self) -> Result<Head, Broken> {
        let [marker] = self.array()?;
        Ok(match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Head::Bytes(0),
            0x80..=0x8f => Head::Map(u64::from(marker & 0x0f)),
            0x90..=0x9f => Head::List(u64::from(marker & 0x0f)),
            0xa0..=0xbf => Head::Bytes(u64::from(marker & 0x1f)),
            0xc1 => return Err(Broken::Reserved),
            0xc4 | 0xd9 => Head::Bytes(self.u8()?),
            0xc5 | 0xda => Head::Bytes(self.u16()?),
            0xc6 | 0xdb => Head::Bytes(self.u32()?),
            // Extensions have a byte for their type.
            0xc7 => Head::Bytes(self.u8()? + 1),
            0xc8 => Head::Bytes(self.u16()? + 1),
            0xc9 => Head::Bytes(self.u32()? + 1),
            0xcc | 0xd0 => Head::Bytes(1),
            0xcd | 0xd1 => Head::Bytes(2),
            0xca | 0xce | 0xd2 => Head::Bytes(4),
            0xcb | 0xcf | 0xd3 => Head::Bytes(8),
            0xd4..=0xd8 => Head::Bytes((1 << (marker - 0xd4)) + 1),
            0xdc => Head::List(self.u16()?),
            0xdd => Head::List(self.u32()?),
            0xde => Head::Map(self.u16()?),
            0xdf => Head::Map(self.u32()?),
        })
    }

    fn u8(&mut self) -> Result<u64, Broken> {
        self.array().map(|[byte]| byte.into())
    }

    fn u16(&mut self) -> Result<u64, Broken> {
        self.array().map(|bytes| u16::from_be_bytes(bytes).into())
    }

    fn u32(&mut self) -> Result<u64, Broken> {
        self.array().map(|bytes| u32::from_be_bytes(bytes).into())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let taken = self.take(N as u64)?;
        Ok(taken.try_into().expect("so many were taken"))
    }

    fn take(&mut self, count: u64) -> Result<&'p [u8], Broken> {
        let rest = &self.bytes[self.at..];
        let count = usize::try_from(count).ok().filter(|count| *count <= rest.len()).ok_or(Broken::Ends)?;
        self.at += count;
        Ok(&rest[..count])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_marker_has_its_length() {
        let long = |marker: &[u8], length: usize| [marker, &vec![0; length]].concat();
        let values = [
            vec![0x7f],
            vec![0xe0],
            vec![0xc0],
            vec![0xc2],
            long(b"\xc4\x03", 3),
            long(b"\xc5\x01\x00", 256),
            long(b"\xc6\x00\x01\x00\x00", 65_536),
            long(b"\xc7\x03\x05", 3),
            long(b"\xc8\x00\x03\x05", 3),
            long(b"\xc9\x00\x00\x00\x03\x05", 3),
            long(b"\xca", 4),
            long(b"\xcb", 8),
            long(b"\xcc", 1),
            long(b"\xcf", 8),
            long(b"\xd0", 1),
            long(b"\xd3", 8),
            long(b"\xd4\x05", 1),
            long(b"\xd8\x05", 16),
            long(b"\xd9\x03", 3),
            long(b"\xa3", 3),
            vec![0x92, 0x01, 0x91, 0xc0],
            b"\xdc\x00\x01\x05".to_vec(),
            b"\xdd\x00\x00\x00\x01\x05".to_vec(),
            b"\x81\xa1a\x82\x01\x02\x03\x04".to_vec(),
            b"\xde\x00\x01\x05\x06".to_vec(),
            b"\xdf\x00\x00\x00\x00".to_vec(),
        ];
        let all = values.concat();
        let mut walk = Walk::new(&all);
        for value in &values {
            assert_eq!(walk.value().unwrap(), value);
        }
        assert!(walk.is_at_end());
        assert_eq!(Walk::new(b"\x92\x01\xc1").value(), Err(Broken::Reserved));
        assert_eq!(Walk::new(b"\xdf\xff\xff\xff\xff").value(), Err(Broken::Ends));
        assert_eq!(Walk::new(&[0x91; 1_000_000]).value(), Err(Broken::Ends), "and no stack overflows");
    }

    proptest! {
        #[test]
        fn what_is_written_is_one_value(numbers in prop::collection::vec(any::<i64>(), 0..40), text in ".{0,300}") {
            let packed = rmp_serde::to_vec_named(&json!({"n": numbers, "t": text, "m": {"f": 0.5, "b": true, "x": null}})).unwrap();
            let mut walk = Walk::new(&packed);
            prop_assert_eq!(walk.value(), Ok(&packed[..]));
            for end in 0..packed.len() {
                prop_assert_eq!(Walk::new(&packed[..end]).value(), Err(Broken::Ends));
            }
        }
    }
}
