//! A signal while it is read, field by field, from either encoding.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Decoded;
use super::field::{Field, HeldField, Ignored};
use super::loose::{List, Scalar, Unreadable};
use crate::model::id::escape;
use crate::model::signal::{
    CAPABILITIES_MAX, CONN_BYTES_MAX, EVERY_MS_MAX, EVERY_MS_MIN, META_BYTES_MAX, PAYLOAD_BYTES_MAX, ROOMS_MAX, SEQ_MAX,
};
use crate::model::{Kind, Rejection, Signal};
use crate::wire::encoding::MESSAGE_PACK_DEPTH_MAX;
use crate::wire::meta::{self, JsonWriter, META_DEPTH_MAX};
use crate::wire::{Encoding, Named};

/// What a payload gives for a field. A key that stands twice counts by its last value.
#[derive(Debug, Default)]
pub(in crate::wire) enum Given<T> {
    /// `null`: as if it were not there.
    #[default]
    Absent,
    /// A value within its range.
    Value(T),
    /// Not one: the field is dropped.
    Wrong,
    /// So large that the whole signal is refused.
    TooLarge { size: usize, limit: usize },
}

impl<T> Given<T> {
    fn of(value: Option<T>) -> Self {
        value.map_or(Self::Wrong, Self::Value)
    }

    fn and_then<U>(self, narrow: impl FnOnce(T) -> Option<U>) -> Given<U> {
        match self {
            Self::Absent => Given::Absent,
            Self::Value(value) => Given::of(narrow(value)),
            Self::Wrong => Given::Wrong,
            Self::TooLarge { size, limit } => Given::TooLarge { size, limit },
        }
    }
}

/// A signal with what is wrong with it so far.
#[derive(Debug, Default)]
pub(super) struct Draft<'de> {
    signal: Signal,
    ignored: Ignored,
    kind_unknown: bool,
    too_large: Option<Rejection>,
    /// Of an item of a batch.
    pub(super) held: Held<'de>,
}

/// What an item of a batch says beside its signal.
#[derive(Debug, Default)]
pub(in crate::wire) struct Held<'de> {
    /// `u`: the user, as plain text.
    pub(in crate::wire) user: Given<Cow<'de, str>>,
    /// `s`: the session, as plain text.
    pub(in crate::wire) session: Given<Cow<'de, str>>,
    /// `age_ms`: how long the gateway held it.
    pub(in crate::wire) age_ms: Given<u64>,
}

impl<'de> Held<'de> {
    fn read<A: MapAccess<'de>>(&mut self, of: HeldField, reader: Reader, map: &mut A) -> Result<(), A::Error> {
        match of {
            HeldField::User => self.user = borrowed(reader.value(map)?),
            HeldField::Session => self.session = borrowed(reader.value(map)?),
            HeldField::AgeMs => self.age_ms = number(reader.value(map)?),
        }
        Ok(())
    }
}

impl<'de> Draft<'de> {
    /// The signal, unless something refuses it whole.
    pub(super) fn finish(self) -> Result<Decoded, Rejection> {
        if let Some(rejection) = self.too_large {
            return Err(rejection);
        }
        if self.kind_unknown {
            return Err(Rejection::Payload(format!("`kind` is none of {}", Kind::listed()).into()));
        }
        Ok(Decoded { signal: self.signal, ignored: self.ignored })
    }

    fn read<A: MapAccess<'de>>(&mut self, field: Field, reader: Reader, map: &mut A) -> Result<(), A::Error> {
        match field {
            Field::Kind => self.kind(name(reader.value(map)?)),
            Field::Conn => self.signal.conn = self.settle(field, text(reader.value(map)?, CONN_BYTES_MAX)),
            Field::State => self.signal.state = self.settle(field, name(reader.value(map)?)),
            Field::InputAgeMs => self.signal.input_age_ms = self.settle(field, number(reader.value(map)?)),
            Field::Visibility => self.signal.visibility = self.settle(field, name(reader.value(map)?)),
            Field::EveryMs => self.signal.every_ms = self.settle(field, every(reader.value(map)?)),
            Field::Epoch => self.signal.epoch = self.settle(field, number(reader.value(map)?)),
            Field::Seq => self.signal.seq = self.settle(field, number(reader.value(map)?)),
            Field::Intent => self.signal.intent = self.settle(field, name(reader.value(map)?)),
            Field::IntentForMs => self.signal.intent_for_ms = self.settle(field, number(reader.value(map)?)),
            Field::Can => {
                let can = names(reader.value(map)?, CAPABILITIES_MAX, |name| Some(name.into()));
                self.signal.can = self.settle(field, can);
            }
            Field::Rooms => {
                let rooms = names(reader.value(map)?, ROOMS_MAX, |room| escape(room).ok().map(Into::into));
                self.signal.rooms = self.settle(field, rooms);
            }
            Field::Profile => {
                self.signal.profile = self.settle(field, text(reader.value(map)?, PAYLOAD_BYTES_MAX));
            }
            Field::Meta => self.signal.meta = self.settle(field, reader.meta(map)?),
        }
        Ok(())
    }

    fn settle<T>(&mut self, field: Field, given: Given<T>) -> Option<T> {
        self.ignored.set(field, matches!(given, Given::Wrong));
        match given {
            Given::Value(value) => Some(value),
            Given::Absent | Given::Wrong => None,
            Given::TooLarge { size, limit } => {
                let (size, limit) = (size as u64, limit as u64);
                self.too_large = Some(Rejection::TooLarge { what: field.name(), size, limit });
                None
            }
        }
    }

    /// A kind that is not one drops the signal: to take a mistaken `leave` for a heartbeat would be worse than nothing.
    fn kind(&mut self, given: Given<Kind>) {
        self.kind_unknown = matches!(given, Given::Wrong);
        self.signal.kind = match given {
            Given::Value(kind) => kind,
            Given::Absent | Given::Wrong | Given::TooLarge { .. } => Kind::default(),
        };
    }
}

fn name<T: Named>(scalar: Scalar<'_>) -> Given<T> {
    match scalar {
        Scalar::Null => Given::Absent,
        Scalar::Text(text) => Given::of(T::from_name(&text)),
        Scalar::Whole(_) | Scalar::Other => Given::Wrong,
    }
}

fn number(scalar: Scalar<'_>) -> Given<u64> {
    match scalar {
        Scalar::Null => Given::Absent,
        Scalar::Whole(number) => Given::of(Some(number).filter(|number| *number <= SEQ_MAX)),
        Scalar::Text(_) | Scalar::Other => Given::Wrong,
    }
}

fn every(scalar: Scalar<'_>) -> Given<u32> {
    number(scalar).and_then(|ms| {
        let ms = u32::try_from(ms).ok()?;
        (ms == 0 || (EVERY_MS_MIN..=EVERY_MS_MAX).contains(&ms)).then_some(ms)
    })
}

fn borrowed(scalar: Scalar<'_>) -> Given<Cow<'_, str>> {
    match scalar {
        Scalar::Null => Given::Absent,
        Scalar::Text(text) => Given::Value(text),
        Scalar::Whole(_) | Scalar::Other => Given::Wrong,
    }
}

fn text(scalar: Scalar<'_>, bytes_max: usize) -> Given<Box<str>> {
    match scalar {
        Scalar::Null => Given::Absent,
        Scalar::Text(text) => Given::of((text.len() <= bytes_max).then(|| text.into())),
        Scalar::Whole(_) | Scalar::Other => Given::Wrong,
    }
}

/// The names of a list, each once, in their order.
fn names(list: List<'_>, limit: usize, convert: impl Fn(&str) -> Option<Box<str>>) -> Given<Box<[Box<str>]>> {
    match list {
        List::Null => Given::Absent,
        List::Other => Given::Wrong,
        List::Items { count: size, .. } if size > limit => Given::TooLarge { size, limit },
        List::Items { sound: false, .. } => Given::Wrong,
        List::Items { texts, .. } => {
            let mut names: Vec<Box<str>> = Vec::with_capacity(texts.len());
            for text in &texts {
                let Some(name) = convert(text) else {
                    return Given::Wrong;
                };
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            Given::Value(names.into())
        }
    }
}

/// `meta` as a MessagePack value; `None` if it is none that a signal can have, or so deep that it can't be read.
pub(in crate::wire) fn meta_of_message_pack(value: &[u8]) -> Option<Box<str>> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(value);
    // It stands in a map.
    reader.set_max_depth(MESSAGE_PACK_DEPTH_MAX - 1);
    let mut writer = JsonWriter::new(META_DEPTH_MAX);
    (&mut writer).deserialize(&mut reader).ok()?;
    match meta_of(writer.text()) {
        Given::Value(meta) => Some(meta),
        Given::Absent | Given::Wrong | Given::TooLarge { .. } => None,
    }
}

fn meta_of(text: Option<Box<str>>) -> Given<Box<str>> {
    match text {
        Some(text) if &*text == "null" => Given::Absent,
        Some(text) if !text.starts_with('{') => Given::Wrong,
        Some(text) if text.len() > META_BYTES_MAX => Given::TooLarge { size: text.len(), limit: META_BYTES_MAX },
        Some(text) => Given::Value(text),
        None => Given::Wrong,
    }
}

/// A key: what it names, if anything. Keys that are no text name nothing.
enum Key {
    Signal(Field),
    Held(HeldField),
    Unknown,
}

impl Key {
    fn of(name: &str) -> Self {
        match Field::of(name) {
            Some(field) => Self::Signal(field),
            None => HeldField::from_name(name).map_or(Self::Unknown, Self::Held),
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = Scalar::deserialize(deserializer)?;
        Ok(if let Scalar::Text(key) = key { Self::of(&key) } else { Self::Unknown })
    }
}

/// Reads the map of a signal into a [`Draft`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    /// The encoding that is read.
    pub(super) encoding: Encoding,
    /// For JSON: take each value's text first and read that, so that a value that can't be read drops its field only.
    pub(super) careful: bool,
    /// Read what an item of a batch says beside its signal too, which else is unknown.
    pub(super) held: bool,
}

impl Reader {
    fn value<'de, T, A>(self, map: &mut A) -> Result<T, A::Error>
    where
        T: Deserialize<'de> + Unreadable,
        A: MapAccess<'de>,
    {
        if self.careful {
            let raw: &RawValue = map.next_value()?;
            Ok(serde_json::from_str(raw.get()).unwrap_or_else(|_| T::unreadable()))
        } else {
            map.next_value()
        }
    }

    fn meta<'de, A: MapAccess<'de>>(self, map: &mut A) -> Result<Given<Box<str>>, A::Error> {
        match self.encoding {
            Encoding::Json => {
                let raw: &RawValue = map.next_value()?;
                let raw = raw.get();
                Ok(meta_of(meta::is_readable(raw).then(|| meta::compact(raw))))
            }
            Encoding::MessagePack => {
                let mut writer = JsonWriter::new(META_DEPTH_MAX);
                map.next_value_seed(&mut writer)?;
                Ok(meta_of(writer.text()))
            }
        }
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Draft<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut draft = Draft::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::Signal(field) => draft.read(field, self, &mut map)?,
                Key::Held(field) if self.held => draft.held.read(field, self, &mut map)?,
                Key::Held(_) | Key::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(draft)
    }
}
