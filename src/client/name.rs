//! Plain names become subject tokens.

use super::Error;
use crate::model::id::escape;

/// The subject token of a plain name.
pub(super) fn token(what: &'static str, name: &str) -> Result<String, Error> {
    escape(name).map_err(|source| Error::Name { what, name: name.to_owned(), source })
}

/// Checks names that a payload carries as plain text.
pub(super) fn all<'a>(what: &'static str, names: impl IntoIterator<Item = &'a String>) -> Result<(), Error> {
    names.into_iter().try_for_each(|name| token(what, name).map(drop))
}

/// Something that has a limit.
pub(super) fn at_most(what: &'static str, size: usize, limit: usize) -> Result<(), Error> {
    let (size, limit) = (size as u64, limit as u64);
    if size > limit { Err(Error::Limit { what, size, limit }) } else { Ok(()) }
}

/// A number by chance: the standard library keys each of these anew.
pub(super) fn chance() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
