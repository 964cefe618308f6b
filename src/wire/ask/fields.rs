//! A question's fields, read one by one: an error names the field, its value and the limit.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::{ASK_BYTES_MAX, AskError};
use crate::model::id::escape;
use crate::wire::Named;

/// The fields of a question. Unknown ones are never asked for, `null` is absent.
///
/// ```
/// use presence_engine::wire::ask::Fields;
/// let fields = Fields::read(br#"{"limit":1000}"#).unwrap();
/// let error = fields.number("limit", 1..=256).unwrap_err();
/// assert_eq!(error.to_string(), "`limit` is 1000, it has to be within 1 to 256");
/// ```
#[derive(Debug)]
pub struct Fields(Map<String, Value>);

/// Longest piece of a question that an error repeats, in characters.
const SHOWN_MAX: usize = 40;

impl Fields {
    /// Reads a question; an empty one has no fields.
    ///
    /// # Errors
    /// [`AskError::TooLarge`], and [`AskError::Malformed`] if it is no JSON object.
    pub fn read(payload: &[u8]) -> Result<Self, AskError> {
        if payload.len() > ASK_BYTES_MAX {
            return Err(AskError::TooLarge { size: payload.len(), limit: ASK_BYTES_MAX });
        }
        if payload.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(payload) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(other) => Err(malformed(format!("the question is {}, it has to be a JSON object", shown(&other)))),
            Err(error) => Err(malformed(format!("the question is no JSON: {error}"))),
        }
    }

    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// Whether a field is there.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    /// A text of at most so many bytes, and at least one.
    ///
    /// # Errors
    /// [`AskError::Malformed`].
    pub fn text(&self, field: &str, bytes_max: usize) -> Result<Option<&str>, AskError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| wrong(field, value, "a text"))?;
        match text.len() {
            0 => Err(malformed(format!("`{field}` is empty"))),
            len if len > bytes_max => Err(malformed(format!("`{field}` has {len} bytes, the limit is {bytes_max}"))),
            _ => Ok(Some(text)),
        }
    }

    /// The token of a plain name.
    ///
    /// # Errors
    /// [`AskError::Malformed`].
    pub fn name(&self, field: &str) -> Result<Option<String>, AskError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let name = value.as_str().ok_or_else(|| wrong(field, value, "a name, which is a text"))?;
        escape(name).map(Some).map_err(|error| malformed(format!("`{field}`: {error}")))
    }

    /// As [`Fields::name`], of a name that has to be there.
    ///
    /// # Errors
    /// [`AskError::Malformed`].
    pub fn needed_name(&self, field: &str) -> Result<String, AskError> {
        self.name(field)?.ok_or_else(|| missing(field, "a name"))
    }

    /// The tokens of 1 to `max` plain names, each once.
    ///
    /// # Errors
    /// [`AskError::Malformed`].
    pub fn names(&self, field: &str, max: usize) -> Result<Option<Vec<String>>, AskError> {
        let Some(list) = self.list(field, 1..=max, "a list of names")? else { return Ok(None) };
        let (mut seen, mut names) = (BTreeSet::new(), Vec::with_capacity(list.len()));
        for (at, value) in list.iter().enumerate() {
            let name = value.as_str().ok_or_else(|| wrong(&format!("{field}[{at}]"), value, "a name"))?;
            let token = escape(name).map_err(|error| malformed(format!("`{field}[{at}]`: {error}")))?;
            if seen.insert(token.clone()) {
                names.push(token);
            }
        }
        Ok(Some(names))
    }

    /// A whole number within a range.
    ///
    /// # Errors
    /// [`AskError::Malformed`].
    pub fn number(&self, field: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, AskError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let (min, max) = (range.start(), range.end());
        match value.as_u64() {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            Some(_) | None if value.is_number() => {
                Err(malformed(format!("`{field}` is {}, it has to be within {min} to {max}", shown(value))))
            }
            Some(_) | None => Err(wrong(field, value, &format!("a whole number within {min} to {max}"))),
        }
    }

    /// `true` or `false`; `false` where it is absent.
    ///
    /// # Errors
    /// [`AskError::Malformed`].
    pub fn flag(&self, field: &str) -> Result<bool, AskError> {
        let Some(value) = self.get(field) else { return Ok(false) };
        value.as_bool().ok_or_else(|| wrong(field, value, "true or false"))
    }

    /// One of the names of `T`.
    ///
    /// # Errors
    /// [`AskError::Malformed`].
    pub fn choice<T: Named>(&self, field: &str) -> Result<Option<T>, AskError> {
        self.get(field).map(|value| one_of(field, value)).transpose()
    }

    /// A list of names of `T`; empty where it is absent.
    ///
    /// # Errors
    /// [`AskError::Malformed`].
    pub fn choices<T: Named>(&self, field: &str) -> Result<Vec<T>, AskError> {
        let Some(list) = self.list(field, 0..=T::NAMES.len(), "a list")? else { return Ok(Vec::new()) };
        list.iter().enumerate().map(|(at, value)| one_of(&format!("{field}[{at}]"), value)).collect()
    }

    fn list(&self, field: &str, count: RangeInclusive<usize>, what: &str) -> Result<Option<&Vec<Value>>, AskError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let list = value.as_array().ok_or_else(|| wrong(field, value, what))?;
        if count.contains(&list.len()) {
            return Ok(Some(list));
        }
        let (len, min, max) = (list.len(), count.start(), count.end());
        Err(malformed(format!("`{field}` has {len} entries, it has to have {min} to {max}")))
    }
}

fn one_of<T: Named>(field: &str, value: &Value) -> Result<T, AskError> {
    let known = value.as_str().and_then(T::from_name);
    known.ok_or_else(|| wrong(field, value, &format!("one of {}", T::listed())))
}

/// A field that has to be there is not.
pub(super) fn missing(field: &str, what: &str) -> AskError {
    malformed(format!("`{field}` is missing, it has to be {what}"))
}

fn wrong(field: &str, value: &Value, expected: &str) -> AskError {
    malformed(format!("`{field}` is {}, it has to be {expected}", shown(value)))
}

pub(super) fn malformed(message: String) -> AskError {
    AskError::Malformed(message)
}

/// A value of a stranger's, short enough for an error.
fn shown(value: &Value) -> String {
    let what = match value {
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return shortened(&value.to_string()),
    };
    what.to_owned()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::State;

    fn fields(text: &str) -> Fields {
        Fields::read(text.as_bytes()).unwrap()
    }

    fn why<T: std::fmt::Debug>(result: Result<T, AskError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_object_is_refused_with_what_it_is() {
        assert!(Fields::read(b"").is_ok() && Fields::read(b" \n").is_ok() && Fields::read(b"{}").is_ok());
        assert_eq!(why(Fields::read(b"[1]")), "the question is a list, it has to be a JSON object");
        assert_eq!(why(Fields::read(b"5")), "the question is 5, it has to be a JSON object");
        assert!(why(Fields::read(b"{\"a\"")).starts_with("the question is no JSON: EOF"));
        assert!(why(Fields::read("[".repeat(500).as_bytes())).contains("recursion limit"));
        let large = Fields::read(&vec![b' '; ASK_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(
            (large.code(), large.to_string().as_str()),
            (413, "the question has 65537 bytes, the limit is 65536")
        );
    }

    #[test]
    fn an_error_names_the_field_its_value_and_the_limit() {
        let fields = fields(
            r#"{"user":5,"long":"xxxxxxxxxx","limit":0,"half":1.5,"less":-1,"states":["actve"],"users":["a",""],"none":[],"flag":"x"}"#,
        );
        assert_eq!(why(fields.name("user")), "`user` is 5, it has to be a name, which is a text");
        assert_eq!(why(fields.needed_name("room")), "`room` is missing, it has to be a name");
        assert_eq!(why(fields.text("long", 5)), "`long` has 10 bytes, the limit is 5");
        for (field, value) in [("limit", "0"), ("half", "1.5"), ("less", "-1")] {
            let expected = format!("`{field}` is {value}, it has to be within 1 to 256");
            assert_eq!(why(fields.number(field, 1..=256)), expected);
        }
        assert_eq!(
            why(fields.number("long", 1..=2)),
            "`long` is \"xxxxxxxxxx\", it has to be a whole number within 1 to 2"
        );
        assert_eq!(
            why(fields.choices::<State>("states")),
            "`states[0]` is \"actve\", it has to be one of active, idle, away, stale, offline"
        );
        assert_eq!(why(fields.names("users", 256)), "`users[1]`: a name must not be empty");
        assert_eq!(why(fields.names("none", 256)), "`none` has 0 entries, it has to have 1 to 256");
        assert_eq!(why(fields.flag("flag")), "`flag` is \"x\", it has to be true or false");
    }

    #[test]
    fn null_is_absent_and_names_become_tokens_each_once() {
        let fields = fields(r#"{"user":null,"users":["a@b","c","a@b"]}"#);
        assert_eq!((fields.name("user"), fields.has("user")), (Ok(None), false));
        assert_eq!(fields.names("users", 256), Ok(Some(vec!["a=40b".into(), "c".into()])));
        assert_eq!((fields.flag("x"), fields.number("x", 1..=2)), (Ok(false), Ok(None)));
    }

    #[test]
    fn what_an_error_repeats_is_short_and_of_one_line() {
        let text = format!(r#"{{"limit":"{}","user":"{}\n"}}"#, "é".repeat(500), "x".repeat(500));
        let error = why(fields(&text).number("limit", 1..=2));
        assert!(error.chars().count() < 120 && !error.contains('\n'), "{error}");
    }
}
