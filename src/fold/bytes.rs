//! Plain bytes for checkpoints: little-endian base-128 numbers, and texts behind their length.

/// Appends to a buffer.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, mut value: u64) {
        // Most are flags and counts; the others are put together first, and appended at once.
        if value < 0x80 {
            return self.0.push(value as u8);
        }
        let (mut bytes, mut len) = ([0; 10], 0);
        while value >= 0x80 {
            bytes[len] = value as u8 | 0x80;
            value >>= 7;
            len += 1;
        }
        bytes[len] = value as u8;
        self.0.extend_from_slice(&bytes[..=len]);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Bytes behind their length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// By how much a number is below another, or above: near ones take few bytes.
    pub(crate) fn difference(&mut self, from: u64, value: u64) {
        let below = from.wrapping_sub(value).cast_signed();
        // As Protocol Buffers do with signed numbers: 0, -1, 1, -2, 2 are 0 to 4.
        self.number((below << 1 ^ below >> 63).cast_unsigned());
    }

    pub(crate) fn texts(&mut self, texts: &[Box<str>]) {
        self.number(texts.len() as u64);
        texts.iter().for_each(|text| self.text(text));
    }

    pub(crate) fn maybe_number(&mut self, value: Option<u64>) {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            self.number(value);
        }
    }

    pub(crate) fn maybe_text(&mut self, text: Option<&str>) {
        self.number(u64::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }
}

/// The bytes end too early, or hold what can't be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads what [`Writer`] wrote.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// A number that fits the target.
    pub(crate) fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T, Malformed> {
        T::try_from(self.number()?).map_err(|_| Malformed)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.narrow::<usize>()?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// The number that is so much below another, or above.
    pub(crate) fn different(&mut self, from: u64) -> Result<u64, Malformed> {
        let written = self.number()?;
        Ok(from.wrapping_sub(written >> 1 ^ (written & 1).wrapping_neg()))
    }

    pub(crate) fn texts(&mut self) -> Result<Box<[Box<str>]>, Malformed> {
        let count = self.number()?;
        (0..count).map(|_| self.text().map(Into::into)).collect()
    }

    pub(crate) fn maybe_number(&mut self) -> Result<Option<u64>, Malformed> {
        if self.flag()? { self.number().map(Some) } else { Ok(None) }
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<Box<str>>, Malformed> {
        if self.flag()? { self.text().map(|text| Some(text.into())) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_numbers_take_few_bytes_and_any_difference_comes_back() {
        for (from, value, len) in
            [(7, 7, 1), (100, 37, 1), (37, 100, 1), (5_000, 0, 2), (0, u64::MAX, 1), (1 << 63, 0, 10)]
        {
            let mut out = Writer::default();
            out.difference(from, value);
            assert_eq!((out.0.len(), Reader(&out.0).different(from)), (len, Ok(value)), "{value} from {from}");
        }
    }
}
