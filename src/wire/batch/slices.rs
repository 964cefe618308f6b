//! A batch's payload taken apart: its version, and its signals, each of which is read where it stands.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::pack::{Broken, Head, Walk};
use super::{BATCH_SIGNALS_MAX, Reading, undecodable};
use crate::model::Rejection;
use crate::wire::signal::{Scalar, check_is_map};
use crate::wire::{CONTRACT_VERSION, Encoding};

/// Reads a payload whose items are read by `reading`, which is given back with them.
pub(super) fn read<'a>(payload: &'a [u8], encoding: Encoding, reading: Reading<'a>) -> Result<Reading<'a>, Rejection> {
    check_is_map(payload, encoding)?;
    let Found { version, reading } = match encoding {
        Encoding::Json => json(payload, reading)?,
        Encoding::MessagePack => message_pack(payload, reading)?,
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
    reading.ok_or_else(|| undecodable("there is no list `signals`; a batch of nothing has `\"signals\":[]`"))
}

fn check_count(size: u64) -> Result<(), Rejection> {
    let limit = BATCH_SIGNALS_MAX as u64;
    if size > limit { Err(Rejection::TooLarge { what: "signals", size, limit }) } else { Ok(()) }
}

struct Found<'p> {
    version: Version,
    /// `None`: there were no signals.
    reading: Option<Reading<'p>>,
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

fn json<'p>(payload: &'p [u8], mut reading: Reading<'p>) -> Result<Found<'p>, Rejection> {
    let mut reader = serde_json::Deserializer::from_slice(payload);
    let read = reader.deserialize_map(JsonBatch).and_then(|found| reader.end().map(|()| found));
    let JsonFound { version, signals } = read.map_err(|error| match error.classify() {
        // The message quotes what stands there.
        Category::Data => undecodable("`signals` is no list"),
        Category::Io | Category::Syntax | Category::Eof => undecodable(&format!("JSON: {error}")),
    })?;
    let Some(signals) = signals else { return Ok(Found { version, reading: None }) };
    // A batch of another version is refused for that, whatever it has.
    if matches!(version, Version::Number(number) if number == u64::from(CONTRACT_VERSION)) {
        check_count(signals.len() as u64)?;
        reading.begin(signals.len());
        signals.into_iter().for_each(|raw| reading.read(raw.get().as_bytes()));
    }
    Ok(Found { version, reading: Some(reading) })
}

struct JsonFound<'p> {
    version: Version,
    signals: Option<Vec<&'p RawValue>>,
}

struct JsonBatch;

impl<'de> Visitor<'de> for JsonBatch {
    type Value = JsonFound<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = JsonFound { version: Version::NoNumber, signals: None };
        while let Some(key) = map.next_key::<&RawValue>()? {
            match key_of(key) {
                Key::Version => {
                    let raw: &RawValue = map.next_value()?;
                    found.version = Version::of(serde_json::from_str(raw.get()).ok());
                }
                Key::Signals => {
                    found.signals = map.next_value()?;
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

fn message_pack<'p>(payload: &'p [u8], mut reading: Reading<'p>) -> Result<Found<'p>, Rejection> {
    let mut walk = Walk::new(payload);
    let Head::Map(entries) = walk.head().map_err(broken)? else {
        unreachable!("the first byte is that of a map");
    };
    let (mut version, mut is_there) = (Version::NoNumber, false);
    for _ in 0..entries {
        let key = scalar(walk.value().map_err(broken)?).map_or(Key::Other, |key| Key::of(&key));
        match key {
            Key::Version => version = Version::of(scalar(walk.value().map_err(broken)?)),
            Key::Signals => is_there = list(&mut walk, &mut reading)?,
            Key::Other => {
                walk.value().map_err(broken)?;
            }
        }
    }
    if !walk.is_at_end() {
        return Err(undecodable("MessagePack: trailing bytes behind the map"));
    }
    Ok(Found { version, reading: is_there.then_some(reading) })
}

/// Reads the items of a list; whether there is one, and not nil.
fn list<'p>(walk: &mut Walk<'p>, reading: &mut Reading<'p>) -> Result<bool, Rejection> {
    let before = *walk;
    match walk.head().map_err(broken)? {
        Head::List(count) if count <= BATCH_SIGNALS_MAX as u64 => {
            // No more than there are bytes, whatever the head claims.
            reading.begin(walk.rest().len().min(count as usize));
            for _ in 0..count {
                match reading.read_quickly(walk.rest()) {
                    Some(size) => walk.skip(size),
                    None => reading.read(walk.value().map_err(broken)?),
                }
            }
            Ok(true)
        }
        Head::List(count) => {
            *walk = before;
            walk.value().map_err(broken)?;
            check_count(count).map(|()| true)
        }
        Head::Bytes(_) | Head::Map(_) => {
            *walk = before;
            if walk.value().map_err(broken)? == b"\xc0" { Ok(false) } else { Err(undecodable("`signals` is no list")) }
        }
    }
}

fn broken(broken: Broken) -> Rejection {
    undecodable(broken.reason())
}

fn scalar(value: &[u8]) -> Option<Scalar<'_>> {
    rmp_serde::from_slice(value).ok()
}
