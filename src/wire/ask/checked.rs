//! Fields of questions, checked: what is wrong is told with the value and the limit.

use super::{AskError, ID_BYTES_MAX};
use crate::wire::{Named, subject};

/// A number within its range.
pub(super) fn within(what: &str, value: u64, min: u64, max: u64) -> Result<u64, AskError> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(AskError::Malformed(format!("{what} is {value}, allowed are {min} to {max}")))
}

/// The id of a question.
pub(super) fn id(id: &str) -> Result<(), AskError> {
    let size = id.len();
    if (1..=ID_BYTES_MAX).contains(&size) {
        return Ok(());
    }
    Err(AskError::Malformed(format!("id has {size} bytes, allowed are 1 to {ID_BYTES_MAX}")))
}

/// The token of a plain name.
pub(super) fn token(what: &'static str, plain: &str) -> Result<String, AskError> {
    subject::token(what, plain).map_err(|error| AskError::Malformed(error.to_string()))
}

/// One of some names.
pub(super) fn named<T: Named>(what: &str, name: &str) -> Result<T, AskError> {
    let unknown = || AskError::Malformed(format!("{what} is `{}`, allowed are {}", name.escape_debug(), T::listed()));
    T::from_name(name).ok_or_else(unknown)
}
