//! `meta`: a JSON object that is passed on as it is.
//!
//! Inside the engine it is compact JSON text. What came as JSON keeps its spelling, numbers included; what came as
//! MessagePack is written as JSON. Only what every JSON reader reads is taken: text keys, no lone surrogates, numbers
//! that a double holds, at most [`META_DEPTH_MAX`] levels.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Deepest nesting of objects and lists in `meta`, itself included.
pub const META_DEPTH_MAX: u32 = 32;

/// The text of `raw` JSON, which is known to be valid, without white space between its tokens.
pub(crate) fn compact(raw: &str) -> Box<str> {
    let (mut text, mut quoted, mut escaped) = (String::with_capacity(raw.len()), false, false);
    for symbol in raw.chars() {
        if quoted {
            quoted = escaped || symbol != '"';
            escaped = !escaped && symbol == '\\';
            text.push(symbol);
        } else if !matches!(symbol, ' ' | '\t' | '\n' | '\r') {
            quoted = symbol == '"';
            text.push(symbol);
        }
    }
    text.into()
}

/// Writes a value of any encoding as compact JSON. What JSON can't say, or nests deeper than its limit, makes it
/// unsound, and is read to its end all the same.
#[derive(Debug)]
pub(crate) struct JsonWriter {
    out: Vec<u8>,
    sound: bool,
    depth_left: u32,
}

impl JsonWriter {
    /// A writer for so many levels of lists and maps.
    pub(crate) fn new(depth_max: u32) -> Self {
        Self { out: Vec::new(), sound: true, depth_left: depth_max }
    }

    /// The JSON text, if JSON can say it.
    pub(crate) fn text(self) -> Option<Box<str>> {
        if self.sound { String::from_utf8(self.out).ok().map(Into::into) } else { None }
    }

    fn write<T: Serialize + ?Sized>(&mut self, value: &T) {
        self.sound &= serde_json::to_writer(&mut self.out, value).is_ok();
    }

    fn unsound<E>(&mut self) -> Result<(), E> {
        self.sound = false;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut JsonWriter {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut JsonWriter {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.write(&());
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.write(&value);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.write(&number);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.write(&number);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.sound &= number.is_finite();
        self.write(&number);
        Ok(())
    }

    /// Apart from `f64`, so that 0.1 stays 0.1.
    fn visit_f32<E>(self, number: f32) -> Result<(), E> {
        self.sound &= number.is_finite();
        self.write(&number);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.write(text);
        Ok(())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<(), E> {
        self.unsound()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.depth_left == 0 {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return self.unsound();
        }
        self.depth_left -= 1;
        self.out.push(b'[');
        let mut first = true;
        loop {
            let before = self.out.len();
            if !first {
                self.out.push(b',');
            }
            if list.next_element_seed(&mut *self)?.is_none() {
                self.out.truncate(before);
                break;
            }
            first = false;
        }
        self.out.push(b']');
        self.depth_left += 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.depth_left == 0 {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return self.unsound();
        }
        self.depth_left -= 1;
        self.out.push(b'{');
        let mut first = true;
        loop {
            let before = self.out.len();
            if !first {
                self.out.push(b',');
            }
            let key_at = self.out.len();
            if map.next_key_seed(&mut *self)?.is_none() {
                self.out.truncate(before);
                break;
            }
            first = false;
            self.sound &= self.out.get(key_at) == Some(&b'"');
            self.out.push(b':');
            map.next_value_seed(&mut *self)?;
        }
        self.out.push(b'}');
        self.depth_left += 1;
        Ok(())
    }

    /// MessagePack's extension types.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        IgnoredAny::deserialize(inner)?;
        self.unsound()
    }
}

/// Whether every JSON reader reads `raw`, which is known to be grammatical.
pub(crate) fn is_readable(raw: &str) -> bool {
    let mut writer = JsonWriter::new(META_DEPTH_MAX);
    let mut reader = serde_json::Deserializer::from_str(raw);
    (&mut writer).deserialize(&mut reader).is_ok() && writer.sound
}

/// The `meta` of an event: compact JSON text of an object, a real map in either encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta<'a>(Cow<'a, str>);

impl<'a> Meta<'a> {
    /// From the text that a session has; `None` is `{}`.
    #[must_use]
    pub fn new(text: Option<&'a str>) -> Self {
        Self(Cow::Borrowed(text.unwrap_or("{}")))
    }

    /// Compact JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Meta<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serde_json::from_str::<&RawValue>(&self.0).map_err(S::Error::custom)?.serialize(serializer)
        } else {
            let value: serde_json::Value = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
            value.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Meta<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = if deserializer.is_human_readable() {
            compact(Box::<RawValue>::deserialize(deserializer)?.get())
        } else {
            let mut writer = JsonWriter::new(META_DEPTH_MAX);
            writer.deserialize(deserializer)?;
            writer.text().ok_or_else(|| D::Error::custom("`meta` holds what JSON can't say"))?
        };
        Ok(Self(Cow::Owned(text.into())))
    }
}

impl JsonSchema for Meta<'_> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Meta".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_goes_but_never_out_of_text() {
        let raw = "{ \"a b\" :\t[ 1.10 , \"c \\\" d\\\\\" ,\r\n{ } ] }";
        assert_eq!(&*compact(raw), r#"{"a b":[1.10,"c \" d\\",{}]}"#);
    }

    #[test]
    fn only_what_every_json_reader_reads_is_readable() {
        assert!(is_readable(r#"{"a":[1,-2,1.5e3,true,null,"\u00e9"],"a":{}}"#));
        assert!(!is_readable(r#"{"a":"\ud800"}"#), "a lone surrogate");
        assert!(!is_readable(r#"{"a":1e999}"#), "no double holds it");
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(is_readable(&nested(32)));
        assert!(!is_readable(&nested(33)));
    }

    fn from_message_pack(value: &impl Serialize) -> Option<Box<str>> {
        let bytes = rmp_serde::to_vec_named(value).unwrap();
        let mut writer = JsonWriter::new(META_DEPTH_MAX);
        (&mut writer).deserialize(&mut rmp_serde::Deserializer::from_read_ref(&bytes)).unwrap();
        writer.text()
    }

    #[test]
    fn message_pack_becomes_json_unless_json_cannot_say_it() {
        let value = serde_json::json!({"a": [1, -2, 1.5, true, null, "ü\n"], "b": {"c": {}}, "d": []});
        let text = from_message_pack(&value).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert_eq!(from_message_pack(&0.1_f32).unwrap(), "0.1".into());
        assert_eq!(from_message_pack(&f64::NAN), None);
        assert_eq!(from_message_pack(&f32::INFINITY), None);
        assert_eq!(from_message_pack(&std::collections::BTreeMap::from([(1, 2)])), None, "a key that is no text");
        assert_eq!(from_message_pack(&std::collections::BTreeMap::from([(vec!["a"], 2)])), None);
    }

    #[test]
    fn an_events_meta_survives_both_encodings() {
        let meta = Meta::new(Some(r#"{"price":0.1,"big":18446744073709551615,"n":{"l":[null]}}"#));
        let json = serde_json::to_string(&meta).unwrap();
        assert_eq!(json, meta.as_str(), "JSON is passed on as it is");
        assert_eq!(serde_json::from_str::<Meta<'_>>(&json).unwrap(), meta);
        let packed = rmp_serde::to_vec_named(&meta).unwrap();
        let back: Meta<'_> = rmp_serde::from_slice(&packed).unwrap();
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(back.as_str()), value(meta.as_str()));
        assert_eq!(Meta::new(None).as_str(), "{}");
    }
}
