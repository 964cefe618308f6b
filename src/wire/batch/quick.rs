//! An item of a MessagePack batch as gateways write it, read in one go: by its bytes, without an allocation for what names and
//! numbers say.
//!
//! Whatever is unusual in it (an unknown key, a value that a signal can't take, a name that has to be escaped) is left to the
//! reading that is right about everything. So this one decides nothing but how fast it is.

use super::pack::Walk;
use crate::model::signal::{
    CAPABILITIES_MAX, CONN_BYTES_MAX, EVERY_MS_MAX, EVERY_MS_MIN, PAYLOAD_BYTES_MAX, ROOMS_MAX, SEQ_MAX,
};
use crate::model::{Beat, Millis, Said, Signal, Token};
use crate::wire::Named;
use crate::wire::signal::meta_of_message_pack;

/// What an item says.
pub(super) struct Quick<'p> {
    pub(super) user: Token<'p>,
    pub(super) session: Token<'p>,
    pub(super) age_ms: Millis,
    pub(super) said: Said,
    /// How many bytes it has.
    pub(super) size: usize,
}

/// The item that `bytes` begin with; `None` if there is anything unusual about it, or none.
pub(super) fn item(bytes: &[u8]) -> Option<Quick<'_>> {
    let mut cursor = Cursor(bytes);
    let (mut user, mut session, mut age_ms) = (None, None, 0);
    let (mut beat, mut signal) = (Beat::default(), None::<Box<Signal>>);
    for _ in 0..cursor.keys()? {
        match cursor.text()? {
            b"u" => user = Some(cursor.token()?),
            b"s" => session = Some(cursor.token()?),
            b"age_ms" => age_ms = cursor.number()?,
            b"epoch" => beat.epoch = Some(cursor.number()?),
            b"seq" => beat.seq = Some(cursor.number()?),
            key => cursor.field(key, signal.get_or_insert_default())?,
        }
    }
    let said = match signal {
        None => Said::Beat(beat),
        Some(signal) => Signal { epoch: beat.epoch, seq: beat.seq, ..*signal }.into(),
    };
    let size = bytes.len() - cursor.0.len();
    (size <= PAYLOAD_BYTES_MAX).then_some(Quick { user: user?, session: session?, age_ms, said, size })
}

/// What is left to be read.
struct Cursor<'p>(&'p [u8]);

impl<'p> Cursor<'p> {
    /// Reads what stands under one of a signal's keys; `None` if it is unusual.
    fn field(&mut self, key: &[u8], signal: &mut Signal) -> Option<()> {
        match key {
            b"kind" => signal.kind = self.name()?,
            b"conn" => signal.conn = Some(self.utf8(CONN_BYTES_MAX)?.into()),
            b"state" => signal.state = Some(self.name()?),
            b"input_age_ms" => signal.input_age_ms = Some(self.number()?),
            b"visibility" => signal.visibility = Some(self.name()?),
            b"every_ms" => signal.every_ms = Some(self.every()?),
            b"intent" => signal.intent = Some(self.name()?),
            b"intent_for_ms" => signal.intent_for_ms = Some(self.number()?),
            b"can" => signal.can = Some(self.names(CAPABILITIES_MAX, |cursor| cursor.utf8(PAYLOAD_BYTES_MAX))?),
            b"rooms" => signal.rooms = Some(self.names(ROOMS_MAX, |cursor| cursor.token().map(Token::as_str))?),
            b"profile" => signal.profile = Some(self.utf8(PAYLOAD_BYTES_MAX)?.into()),
            b"meta" => signal.meta = Some(meta_of_message_pack(self.value()?)?),
            _ => return None,
        }
        Some(())
    }

    fn keys(&mut self) -> Option<u32> {
        match *self.0 {
            [head @ 0x80..=0x8f, ref rest @ ..] => self.at(rest, u32::from(head & 0x0f)),
            [0xde, a, b, ref rest @ ..] => self.at(rest, u32::from(u16::from_be_bytes([a, b]))),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'p [u8]> {
        let (length, rest) = match *self.0 {
            [head @ 0xa0..=0xbf, ref rest @ ..] => (usize::from(head & 0x1f), rest),
            [0xd9, length, ref rest @ ..] => (usize::from(length), rest),
            [0xda, a, b, ref rest @ ..] => (usize::from(u16::from_be_bytes([a, b])), rest),
            _ => return None,
        };
        let (text, rest) = rest.split_at_checked(length)?;
        self.at(rest, text)
    }

    fn utf8(&mut self, bytes_max: usize) -> Option<&'p str> {
        let text = self.text()?;
        if text.len() > bytes_max { None } else { std::str::from_utf8(text).ok() }
    }

    fn token(&mut self) -> Option<Token<'p>> {
        Token::of_plain(std::str::from_utf8(self.text()?).ok()?)
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = match *self.0 {
            [number @ 0..=0x7f, ref rest @ ..] => (number.into(), rest),
            [0xcc, number, ref rest @ ..] => (number.into(), rest),
            [0xcd, a, b, ref rest @ ..] => (u16::from_be_bytes([a, b]).into(), rest),
            [0xce, a, b, c, d, ref rest @ ..] => (u32::from_be_bytes([a, b, c, d]).into(), rest),
            [0xcf, a, b, c, d, e, f, g, h, ref rest @ ..] => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), rest),
            _ => return None,
        };
        self.at(rest, number).filter(|number| *number <= SEQ_MAX)
    }

    fn every(&mut self) -> Option<u32> {
        let every = u32::try_from(self.number()?).ok()?;
        (every == 0 || (EVERY_MS_MIN..=EVERY_MS_MAX).contains(&every)).then_some(every)
    }

    fn name<T: Named>(&mut self) -> Option<T> {
        T::from_name(std::str::from_utf8(self.text()?).ok()?)
    }

    /// The names of a list, each once.
    fn names(&mut self, most: usize, name: impl Fn(&mut Self) -> Option<&'p str>) -> Option<Box<[Box<str>]>> {
        let count = match *self.0 {
            [head @ 0x90..=0x9f, ref rest @ ..] => self.at(rest, usize::from(head & 0x0f))?,
            [0xdc, a, b, ref rest @ ..] => self.at(rest, usize::from(u16::from_be_bytes([a, b])))?,
            _ => return None,
        };
        if count > most {
            return None;
        }
        let mut names: Vec<Box<str>> = Vec::with_capacity(count);
        for _ in 0..count {
            let name = name(self)?;
            if !names.iter().any(|known| **known == *name) {
                names.push(name.into());
            }
        }
        Some(names.into())
    }

    /// The bytes of a value, whatever it is.
    fn value(&mut self) -> Option<&'p [u8]> {
        let value = Walk::new(self.0).value().ok()?;
        self.at(&self.0[value.len()..], value)
    }

    /// Goes on behind what was read.
    fn at<T>(&mut self, rest: &'p [u8], read: T) -> Option<T> {
        self.0 = rest;
        Some(read)
    }
}
