//! Values of any type, read without an error: what a field makes of the wrong ones is the field's matter.
//!
//! Both encodings are read through these. Nothing is allocated but list elements, and text with JSON escapes.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::signal::ROOMS_MAX;

/// A single value.
#[derive(Debug, PartialEq)]
pub(in crate::wire) enum Scalar<'de> {
    /// `null`.
    Null,
    /// A number that is not negative, its fraction cut off.
    Whole(u64),
    /// A text.
    Text(Cow<'de, str>),
    /// Anything else: a negative or too large number, a boolean, bytes, a list, a map.
    Other,
}

/// A list of texts.
#[derive(Debug)]
pub(super) enum List<'de> {
    /// `null`.
    Null,
    /// A list.
    Items {
        /// Its texts, the first [`ROOMS_MAX`] of them.
        texts: Vec<Cow<'de, str>>,
        /// How many elements it has, of whatever type.
        count: usize,
        /// Whether all of them are texts.
        sound: bool,
    },
    /// Anything else.
    Other,
}

/// What can stand for a value that its encoding can't even read, such as the number 1e999.
pub(super) trait Unreadable {
    fn unreadable() -> Self;
}

impl Unreadable for Scalar<'_> {
    fn unreadable() -> Self {
        Self::Other
    }
}

impl Unreadable for List<'_> {
    fn unreadable() -> Self {
        Self::Other
    }
}

/// Reads a list to its end.
pub(super) fn skip_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Reads a map to its end.
pub(super) fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

fn whole(number: f64) -> Option<u64> {
    // 2^64; NaN is in no range.
    const ABOVE: f64 = 18_446_744_073_709_551_616.0;
    (0.0..ABOVE).contains(&number).then_some(number as u64)
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(number).map_or(Scalar::Other, Scalar::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(whole(number).map_or(Scalar::Other, Scalar::Whole))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        skip_list(list).map(|()| Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map).map(|()| Scalar::Other)
    }

    /// MessagePack's extension types.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| Scalar::Other)
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        // No capacity from the encoding's own count: a header may claim four billion.
        let mut texts = Vec::new();
        let (mut count, mut sound) = (0, true);
        while let Some(item) = list.next_element()? {
            count += 1;
            match item {
                Scalar::Text(text) if texts.len() < ROOMS_MAX => texts.push(text),
                Scalar::Text(_) => {}
                Scalar::Null | Scalar::Whole(_) | Scalar::Other => sound = false,
            }
        }
        Ok(List::Items { texts, count, sound })
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(List::Null)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(List::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(List::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(List::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(List::Other)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(List::Other)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(List::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map).map(|()| List::Other)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| List::Other)
    }
}

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Scalar<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn fractions_are_cut_off_and_what_is_no_whole_number_is_told_apart() {
        assert_eq!(json("1.9"), Scalar::Whole(1));
        assert_eq!(json("0.5"), Scalar::Whole(0));
        assert_eq!(json("-0"), Scalar::Whole(0));
        assert_eq!(json("2e3"), Scalar::Whole(2_000));
        assert_eq!(json("18446744073709551615"), Scalar::Whole(u64::MAX));
        for other in ["-1", "-0.5", "18446744073709551616", "1e300", "true", "[1,[2]]", r#"{"a":{"b":1}}"#] {
            assert_eq!(json(other), Scalar::Other, "{other}");
        }
        assert_eq!(json("null"), Scalar::Null);
        assert_eq!(whole(f64::NAN), None);
        assert_eq!(whole(f64::INFINITY), None);
        assert_eq!(whole(18_446_744_073_709_549_568.0), Some(18_446_744_073_709_549_568));
    }

    #[test]
    fn text_is_borrowed_unless_it_has_escapes() {
        assert!(matches!(json(r#""plain""#), Scalar::Text(Cow::Borrowed("plain"))));
        assert!(matches!(json(r#""pl\u0061in""#), Scalar::Text(Cow::Owned(text)) if text == "plain"));
    }

    #[test]
    fn lists_count_every_element_and_keep_texts_up_to_the_limit() {
        let text = serde_json::to_string(&vec!["r"; 40]).unwrap();
        let List::Items { texts, count, sound } = serde_json::from_str(&text).unwrap() else { panic!() };
        assert_eq!((texts.len(), count, sound), (32, 40, true));
        let List::Items { count, sound, .. } = serde_json::from_str(r#"["a",1,null]"#).unwrap() else { panic!() };
        assert_eq!((count, sound), (3, false));
        for other in ["1", "-1", "1.5", "true", "\"a\"", "{\"a\":1}"] {
            assert!(matches!(serde_json::from_str(other).unwrap(), List::Other), "{other}");
        }
    }
}
