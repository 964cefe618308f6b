//! The signals of a batch as they stand in its payload: one slice each, not yet read.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::pack::{Broken, Head, Walk};
use super::{BATCH_SIGNALS_MAX, undecodable};
use crate::model::Rejection;
use crate::wire::signal::{Scalar, check_is_map};
use crate::wire::{CONTRACT_VERSION, Encoding};

/// The values in `signals`, whatever they are.
pub(super) fn slices(payload: &[u8], encoding: Encoding) -> Result<Vec<&[u8]>, Rejection> {
    check_is_map(payload, encoding)?;
    let Found { version, signals } = match encoding {
        Encoding::Json => json(payload)?,
        Encoding::MessagePack => message_pack(payload)?,
    };
    match version {
        Version::Number(number) if number == u64::from(CONTRACT_VERSION) => {}
        Version::Number(number) => {
            let what = format!("version {number} of the contract, this engine reads version {CONTRACT_VERSION}");
            return Err(undecodable(&what));
        }
        Version::NoNumber => {
            return Err(undecodable(&format!("`v` has to be the contract's version, {CONTRACT_VERSION}")));
        }
    }
    let Some(signals) = signals else {
        return Err(undecodable("there is no list `signals`; a batch of nothing has `\"signals\":[]`"));
    };
    check_count(signals.len() as u64)?;
    Ok(signals)
}

fn check_count(size: u64) -> Result<(), Rejection> {
    let limit = BATCH_SIGNALS_MAX as u64;
    if size > limit { Err(Rejection::TooLarge { what: "signals", size, limit }) } else { Ok(()) }
}

struct Found<'p> {
    version: Version,
    signals: Option<Vec<&'p [u8]>>,
}

enum Version {
    Number(u64),
    NoNumber,
}

impl Version {
    fn of(scalar: Option<Scalar<'_>>) -> Self {
        match scalar {
            Some(Scalar::Whole(number)) => Self::Number(number),
            Some(Scalar::Null | Scalar::Text(_) | Scalar::Other) | None => Self::NoNumber,
        }
    }
}

fn json(payload: &[u8]) -> Result<Found<'_>, Rejection> {
    let mut reader = serde_json::Deserializer::from_slice(payload);
    let read = reader.deserialize_map(JsonBatch).and_then(|found| reader.end().map(|()| found));
    read.map_err(|error| match error.classify() {
        // The message quotes what stands there.
        Category::Data => undecodable("`signals` is no list"),
        Category::Io | Category::Syntax | Category::Eof => undecodable(&format!("JSON: {error}")),
    })
}

struct JsonBatch;

impl<'de> Visitor<'de> for JsonBatch {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Found { version: Version::NoNumber, signals: None };
        while let Some(key) = map.next_key::<&RawValue>()? {
            match key_of(key) {
                Key::Version => {
                    let raw: &RawValue = map.next_value()?;
                    found.version = Version::of(serde_json::from_str(raw.get()).ok());
                }
                Key::Signals => {
                    let raw: Option<Vec<&'de RawValue>> = map.next_value()?;
                    found.signals = raw.map(|raw| raw.into_iter().map(|raw| raw.get().as_bytes()).collect());
                }
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

enum Key {
    Version,
    Signals,
    Other,
}

impl Key {
    fn of(scalar: &Scalar<'_>) -> Self {
        match scalar {
            Scalar::Text(text) if text == "v" => Self::Version,
            Scalar::Text(text) if text == "signals" => Self::Signals,
            Scalar::Text(_) | Scalar::Null | Scalar::Whole(_) | Scalar::Other => Self::Other,
        }
    }
}

fn key_of(raw: &RawValue) -> Key {
    serde_json::from_str(raw.get()).map_or(Key::Other, |key| Key::of(&key))
}

fn message_pack(payload: &[u8]) -> Result<Found<'_>, Rejection> {
    let broken = |broken: Broken| undecodable(broken.reason());
    let mut walk = Walk::new(payload);
    let Head::Map(entries) = walk.head().map_err(broken)? else {
        unreachable!("the first byte is that of a map");
    };
    let mut found = Found { version: Version::NoNumber, signals: None };
    for _ in 0..entries {
        let key = scalar(walk.value().map_err(broken)?).map_or(Key::Other, |key| Key::of(&key));
        match key {
            Key::Version => found.version = Version::of(scalar(walk.value().map_err(broken)?)),
            Key::Signals => found.signals = list(walk.value().map_err(broken)?)?,
            Key::Other => {
                walk.value().map_err(broken)?;
            }
        }
    }
    if !walk.is_at_end() {
        return Err(undecodable("MessagePack: trailing bytes behind the map"));
    }
    Ok(found)
}

/// The values of a list, which is known to be whole; `None` for nil.
fn list(value: &[u8]) -> Result<Option<Vec<&[u8]>>, Rejection> {
    let mut walk = Walk::new(value);
    match walk.head() {
        Ok(Head::List(count)) => {
            check_count(count)?;
            let values = (0..count).map(|_| walk.value().expect("the list is whole"));
            Ok(Some(values.collect()))
        }
        Ok(Head::Bytes(_)) if value == b"\xc0" => Ok(None),
        Ok(Head::Bytes(_) | Head::Map(_)) | Err(_) => Err(undecodable("`signals` is no list")),
    }
}

fn scalar(value: &[u8]) -> Option<Scalar<'_>> {
    rmp_serde::from_slice(value).ok()
}
