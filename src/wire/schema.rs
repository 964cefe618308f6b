//! JSON Schemas (2020-12) of every payload, and an AsyncAPI document that says where each goes. All of them come from the
//! types that read and write the payloads; `schemas/` holds them, and a test keeps it fresh.

use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use super::ask::Verb;
use super::asyncapi::asyncapi;
use super::batch::BatchText;
use super::policy::PolicyText;
use super::signal::SignalText;
use super::{CONTRACT_VERSION, Info, Lease, Member, Named, Progress, Tick, told};
use crate::model::Cause;
use crate::model::signal::{EVERY_MS_MAX, EVERY_MS_MIN};

/// Every file of `schemas/`: its name, and its text.
///
/// ```
/// let names: Vec<_> = presence_engine::wire::schema::all().into_iter().map(|(name, _)| name).collect();
/// assert!(names.contains(&"signal.schema.json"));
/// ```
#[must_use]
pub fn all() -> Vec<(&'static str, String)> {
    use Contract::{Deserialize, Serialize};
    vec![
        ("asyncapi.json", text(asyncapi())),
        ("batch.schema.json", of::<BatchText<'_>>(Deserialize)),
        ("engine.schema.json", of::<told::Engine<'_>>(Serialize)),
        ("info.schema.json", of::<Info>(Serialize)),
        ("policy.schema.json", of::<PolicyText>(Serialize)),
        ("lease.schema.json", of::<Lease>(Serialize)),
        ("member.schema.json", of::<Member>(Serialize)),
        ("progress.schema.json", of::<Progress>(Serialize)),
        ("ready.schema.json", of::<told::Ready<'_>>(Serialize)),
        ("partial.schema.json", of::<told::Partial<'_>>(Serialize)),
        ("rejected.schema.json", of::<told::Rejected<'_>>(Serialize)),
        ("room.schema.json", of::<told::Room<'_>>(Serialize)),
        ("room-member.schema.json", of::<told::Member<'_>>(Serialize)),
        ("session.schema.json", of::<told::Session<'_>>(Serialize)),
        ("signal.schema.json", of::<SignalText<'_>>(Deserialize)),
        ("tick.schema.json", of::<Tick>(Serialize)),
        ("user.schema.json", of::<told::User<'_>>(Serialize)),
    ]
    .into_iter()
    .chain(Verb::NAMES.iter().flat_map(|(_, verb)| verb.files().into_iter().zip(verb.schemas().map(text))))
    .collect()
}

/// What is written always has all of its fields; what is read may lack the optional ones.
fn of<T: JsonSchema>(contract: Contract) -> String {
    text(value_of::<T>(contract))
}

fn value_of<T: JsonSchema>(contract: Contract) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.contract = contract;
        settings.inline_subschemas = true;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of a question: what may be left out is not required.
pub(super) fn asked<T: JsonSchema>() -> Value {
    sorted(value_of::<T>(Contract::Deserialize))
}

/// The schema of an answer.
pub(super) fn answered<T: JsonSchema>() -> Value {
    sorted(value_of::<T>(Contract::Serialize))
}

fn text(value: Value) -> String {
    let mut text = serde_json::to_string_pretty(&sorted(value)).expect("a value is JSON");
    text.push('\n');
    text
}

/// The same value with its keys in order, whichever map `serde_json` was built with, and each description on one line.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(entry).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn entry((key, value): (String, Value)) -> (String, Value) {
    match value {
        Value::String(text) if key == "description" => (key, Value::String(text.replace('\n', " "))),
        value => (key, sorted(value)),
    }
}

fn listed<T: Named>() -> Vec<&'static str> {
    T::NAMES.iter().map(|(name, _)| *name).collect()
}

/// One of the names of `T`.
pub(super) fn names<T: Named>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": listed::<T>() })
}

/// One of the curves of confidence.
pub(super) fn curve(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ["half_life", "hazard"] })
}

/// A list of names of `T`.
pub(super) fn names_list<T: Named>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "enum": listed::<T>() } })
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
        "anyOf": [
            { "const": 0 },
            { "type": "integer", "minimum": EVERY_MS_MIN, "maximum": EVERY_MS_MAX },
            { "type": "null" },
        ],
    })
}

/// The contract's version.
pub(super) fn version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "const": CONTRACT_VERSION })
}

/// The kind of an event, by its place among the kinds.
pub(super) fn kind<const AT: usize>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "const": told::KINDS[AT] })
}

/// Why an event was told. Not closed: readers ignore causes that they don't know.
pub(super) fn cause(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "examples": listed::<Cause>() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn schema(name: &str) -> Value {
        let (_, text) = all().into_iter().find(|(file, _)| *file == name).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_signals_schema_names_the_fields_that_are_read() {
        let signal = schema("signal.schema.json");
        let fields: BTreeSet<_> = signal["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, super::super::signal::field_names().collect());
        assert_eq!(signal.get("required"), None, "every field is optional");
        assert_eq!(signal.get("additionalProperties"), None, "unknown fields are ignored");
    }

    #[test]
    fn a_batchs_schema_has_a_signals_fields_and_whose_it_is() {
        let batch = schema("batch.schema.json");
        let item = &batch["properties"]["signals"]["items"];
        let fields: BTreeSet<_> = item["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, super::super::signal::field_names().chain(["u", "s", "age_ms"]).collect());
        assert_eq!((&item["required"], &batch["required"]), (&json!(["u", "s"]), &json!(["v", "signals"])));
    }

    #[test]
    fn an_events_schema_requires_all_that_is_always_there() {
        for name in [
            "session.schema.json",
            "user.schema.json",
            "ready.schema.json",
            "room.schema.json",
            "room-member.schema.json",
            "partial.schema.json",
            "engine.schema.json",
            "rejected.schema.json",
        ] {
            let schema = schema(name);
            let properties = schema["properties"].as_object().unwrap().len();
            assert_eq!(schema["required"].as_array().unwrap().len(), properties, "{name}");
        }
    }

    #[test]
    fn every_schema_that_the_asyncapi_document_refers_to_is_there() {
        let document = schema("asyncapi.json");
        let messages = document["components"]["messages"].as_object().unwrap();
        let files: BTreeSet<_> = all().into_iter().map(|(name, _)| format!("./{name}")).collect();
        assert_eq!(messages.len(), 9 + 2 * Verb::NAMES.len());
        for (name, message) in messages {
            let file = message["payload"]["schema"]["$ref"].as_str().unwrap();
            assert!(files.contains(file), "{name}: {file}");
        }
        for (name, operation) in document["operations"].as_object().unwrap() {
            let channel = operation["channel"]["$ref"].as_str().unwrap().strip_prefix("#/channels/").unwrap();
            let channel = &document["channels"][channel];
            for message in channel["messages"].as_object().unwrap().values() {
                let message = message["$ref"].as_str().unwrap().strip_prefix("#/components/messages/").unwrap();
                assert!(messages.contains_key(message), "{name}: {message}");
            }
            let address = channel["address"].as_str().unwrap();
            if let Some(reply) = operation.get("reply") {
                let reply = reply["channel"]["$ref"].as_str().unwrap().strip_prefix("#/channels/").unwrap();
                assert_eq!(document["channels"][reply]["messages"].as_object().unwrap().len(), 1, "{name}");
            }
            for parameter in channel["parameters"].as_object().unwrap().keys() {
                assert!(address.contains(&format!("{{{parameter}}}")), "{name}: {parameter}");
            }
        }
    }
}
