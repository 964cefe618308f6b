//! JSON Schemas.
use schemars::{Schema, SchemaGenerator, json_schema};

use super::Named;
use crate::model::Cause;
use crate::model::signal::{EVERY_MS_MAX, EVERY_MS_MIN};

fn listed<T: Named>() -> Vec<&'static str> {
    T::NAMES.iter().map(|(name, _)| *name).collect()
}

/// One of the names of `T`.
pub(super) fn names<T: Named>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": listed::<T>() })
}

/// One of the names of `T`, or `null`.
pub(super) fn names_or_null<T: Named>(_: &mut SchemaGenerator) -> Schema {
    let mut names: Vec<_> = listed::<T>().into_iter().map(Some).collect();
    names.push(None);
    json_schema!({ "type": ["string", "null"], "enum": names })
}

/// A promise: 0 or within its range, or `null`.
pub(super) fn every_ms(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{ "const": 0 }, { "type": "integer", "minimum": EVERY_MS_MIN, "maximum": EVERY_MS_MAX }, { "type": "null" }],
    })
}

/// The kind of an event, by its place among the kinds.
pub(super) fn kind<const AT: usize>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "const": super::told::KINDS[AT] })
}

/// Why an event was told. Not closed: readers ignore causes that they don't know.
pub(super) fn cause(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "examples": listed::<Cause>() })
}
