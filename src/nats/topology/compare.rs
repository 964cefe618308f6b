//! What is there against what is wanted. Pure.

use std::time::Duration;

use serde_json::{Map, Value};

use super::spec::{Field, Rule, Spec, partitions_of};
use super::{Difference, Remedy};

/// The differences of one stream; `None` is a stream that isn't there.
pub(super) fn compare(spec: &Spec, found: Option<&Map<String, Value>>) -> Vec<Difference> {
    let Some(found) = found else {
        return vec![Difference {
            stream: spec.name.clone(),
            field: "",
            found: "missing".into(),
            wanted: spec.description.into(),
            remedy: Remedy::Create,
        }];
    };
    let null = Value::Null;
    let of = |field: &Field| found.get(field.name).unwrap_or(&null).clone();
    spec.fields
        .iter()
        .filter(|field| !same(field.name, &of(field), &field.wanted))
        .map(|field| difference(spec, field, &of(field)))
        .collect()
}

fn difference(spec: &Spec, field: &Field, found: &Value) -> Difference {
    let remedy = match field.rule {
        Rule::Update => Remedy::Update,
        Rule::Fixed => Remedy::Refuse(format!(
            "the server can't undo this on a stream that is there; {}",
            instead(&spec.name, "the configuration")
        )),
        Rule::Partitions => partitions_remedy(spec, found),
    };
    let shown = |value: &Value| match field.rule {
        Rule::Partitions => partitions_of(value).map_or_else(|| show(field.name, value), |n| format!("{n} partitions")),
        Rule::Update | Rule::Fixed => show(field.name, value),
    };
    Difference {
        stream: spec.name.clone(),
        field: field.name,
        found: shown(found),
        wanted: shown(&field.wanted),
        remedy,
    }
}

fn partitions_remedy(spec: &Spec, found: &Value) -> Remedy {
    match partitions_of(found) {
        Some(count) => Remedy::Refuse(format!(
            "the partition count is fixed for the log's life: set engine.partitions = {count}, or stop every engine, {}",
            instead(&spec.name, "the log with all that is in it")
        )),
        None => Remedy::Refuse(format!("this stream was not made by presence; {}", instead(&spec.name, "it"))),
    }
}

fn instead(stream: &str, what: &str) -> String {
    format!("give up {what} by `nats stream rm {stream}`, then run `presence setup` again")
}

/// Whether two values mean the same to the server, which fills in defaults.
fn same(name: &str, found: &Value, wanted: &Value) -> bool {
    if name.starts_with("max_") {
        return limit(found) == limit(wanted);
    }
    covers(found, wanted)
}

/// No limit is written as nothing, 0 or -1.
fn limit(value: &Value) -> Option<u64> {
    value.as_u64().filter(|limit| *limit > 0)
}

/// Whether `found` says all that `wanted` says, where what is absent is empty, and names may be beside it that the
/// server has filled in with something empty.
fn covers(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            let null = Value::Null;
            wanted.iter().all(|(name, value)| covers(found.get(name).unwrap_or(&null), value))
                && found.iter().all(|(name, value)| wanted.contains_key(name) || is_empty(value))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| covers(found, wanted))
        }
        _ => found == wanted || (is_empty(found) && is_empty(wanted)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

/// A value as a person reads it.
fn show(name: &str, value: &Value) -> String {
    if matches!(name, "max_age" | "duplicate_window") {
        return limit(value)
            .map_or_else(|| "no limit".into(), |n| humantime::format_duration(Duration::from_nanos(n)).to_string());
    }
    if name.starts_with("max_") {
        return limit(value).map_or_else(|| "no limit".into(), |n| n.to_string());
    }
    match value {
        Value::String(text) => text.clone(),
        _ if is_empty(value) && !value.is_boolean() => "nothing".into(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::spec::{log_transform, specs};
    use super::super::{Parameters, Storage};
    use super::*;

    fn log_spec() -> Spec {
        specs(&Parameters { storage: Storage::File, ..Parameters::default() }).remove(0)
    }

    fn found_with(name: &str, value: Value) -> Map<String, Value> {
        let Value::Object(mut found) = log_spec().create() else { panic!("a configuration is an object") };
        found.insert(name.into(), value);
        found
    }

    fn only(found: &Map<String, Value>) -> Difference {
        let mut differences = compare(&log_spec(), Some(found));
        assert_eq!(differences.len(), 1, "{differences:?}");
        differences.remove(0)
    }

    #[test]
    fn what_was_created_does_not_differ() {
        for spec in specs(&Parameters::default()) {
            let Value::Object(found) = spec.create() else { panic!("a configuration is an object") };
            assert_eq!(compare(&spec, Some(&found)), []);
        }
    }

    #[test]
    fn defaults_that_the_server_fills_in_do_not_differ() {
        let mut found = found_with("max_msgs", json!(-1));
        found.extend([
            ("sources".into(), json!([])),
            ("metadata".into(), json!({"_nats.ver": "2.15.1"})),
            ("consumer_limits".into(), json!({})),
        ]);
        found.remove("allow_rollup_hdrs");
        assert_eq!(compare(&log_spec(), Some(&found)), []);
    }

    #[test]
    fn a_changed_partition_count_is_refused_and_says_which_to_set() {
        let difference = only(&found_with("subject_transform", log_transform(8)));
        assert_eq!((difference.found.as_str(), difference.wanted.as_str()), ("8 partitions", "64 partitions"));
        let Remedy::Refuse(why) = difference.remedy else { panic!("must be refused") };
        assert!(why.contains("engine.partitions = 8"), "{why}");
        assert!(why.contains("nats stream rm PRESENCE_LOG"), "{why}");
    }

    #[test]
    fn a_stream_without_the_transform_is_refused() {
        assert!(matches!(only(&found_with("subject_transform", Value::Null)).remedy, Remedy::Refuse(_)));
    }

    #[test]
    fn retention_is_updated_and_ttl_on_the_log_is_refused() {
        let retention = only(&found_with("max_age", json!(60_000_000_000_u64)));
        assert_eq!((retention.found.as_str(), retention.remedy), ("1m", Remedy::Update));
        assert!(matches!(only(&found_with("allow_msg_ttl", json!(true))).remedy, Remedy::Refuse(_)));
    }
}
