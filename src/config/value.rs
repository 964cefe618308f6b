//! Single TOML values → numbers, durations, names; and numbers → what a person would write.

use std::time::Duration;

use toml::de::DeValue;

/// What a number counts, so that a limit can be told as a person would write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things, or nothing that has a number.
    One,
    /// Thousandths, written as a fraction.
    Permille,
    /// Milliseconds, written as a duration.
    Millis,
}

impl Unit {
    /// `value` as a person would write it.
    pub(super) fn show(self, value: u64) -> String {
        match self {
            Self::One => value.to_string(),
            Self::Permille => format!("{}", value as f64 / 1_000.0),
            Self::Millis => humantime::format_duration(Duration::from_millis(value)).to_string(),
        }
    }
}

/// What a name of a profile or capability has to be.
pub(super) const NAME: &str = "a name of 1 to 64 of a-z A-Z 0-9 - _";

/// Whether `text` is what [`NAME`] says.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

pub(super) fn name_of<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    value.as_str().filter(|text| is_name(text))
}

pub(super) fn names_of(value: &DeValue<'_>) -> Option<Vec<Box<str>>> {
    let items = value.as_array()?;
    items.iter().map(|item| name_of(item.get_ref()).map(Into::into)).collect()
}

pub(super) fn whole_number(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

pub(super) fn thousandths(value: &DeValue<'_>) -> Option<u64> {
    let number: f64 = match value {
        DeValue::Integer(_) => whole_number(value)? as f64,
        DeValue::Float(float) => float.as_str().parse().ok()?,
        _ => return None,
    };
    let permille = number * 1_000.0;
    let exact = (permille - permille.round()).abs() < 1e-6;
    (exact && (0.0..=u64::MAX as f64).contains(&permille)).then_some(permille.round() as u64)
}

pub(super) fn whole_millis(text: &str) -> Result<u64, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.subsec_nanos() % 1_000_000 != 0 {
        return Err("milliseconds are the shortest unit".to_owned());
    }
    u64::try_from(duration.as_millis()).map_err(|_| "it is too long".to_owned())
}

/// A value for a message: its first line, and no more of it than helps.
pub(super) fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let short: String = line.chars().take(60).collect();
    if short.len() == text.len() { short } else { format!("{short}…") }
}
