//! What each stream has to be.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Parameters, Storage};
use crate::nats::names;
use crate::wire::subject;

/// Largest entry of the log, headers included: what a server takes by default anyway.
const ENTRY_BYTES_MAX: u32 = 1024 * 1024;

/// Whoever has not written for so long has been dead for long: this only clears away, nothing is judged by it.
const MEMBER_AGE: Duration = Duration::from_secs(60);

/// One stream as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spec {
    pub(super) name: String,
    /// What it is for; given when it is created, a person may change it.
    pub(super) description: &'static str,
    pub(super) fields: Vec<Field>,
}

/// One field of a stream's configuration, by its name in the server's JSON. Fields that are not named here (placement,
/// compression, metadata, …) are the operator's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) wanted: Value,
    pub(super) rule: Rule,
}

/// What is done where a field differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// It is updated, and nobody loses anything by it.
    Update,
    /// The server can't change it on a stream that is there, or it can't be known what was done while it was so.
    Fixed,
    /// The transform that puts signals into partitions: the count is fixed for the log's life.
    Partitions,
}

impl Spec {
    /// The configuration to create it with.
    pub(super) fn create(&self) -> Value {
        let mut config = Map::new();
        config.insert("name".into(), self.name.as_str().into());
        config.insert("description".into(), self.description.into());
        self.overlay(&mut config);
        Value::Object(config)
    }

    /// Puts what is wanted over a configuration.
    pub(super) fn overlay(&self, config: &mut Map<String, Value>) {
        for field in &self.fields {
            config.insert(field.name.into(), field.wanted.clone());
        }
    }
}

/// Every stream, in an order in which they can be created: sources first.
pub(super) fn specs(parameters: &Parameters) -> Vec<Spec> {
    vec![
        log(parameters),
        events(parameters),
        bucket(
            parameters,
            names::SESSIONS_BUCKET,
            "session",
            3,
            "latest event of each session; sourced, nobody writes it",
        ),
        bucket(parameters, names::USERS_BUCKET, "user", 2, "latest event of each user; sourced, nobody writes it"),
        membership(parameters, names::MEMBERS_BUCKET, MEMBER_AGE, "engines that live, each by its own name"),
        membership(parameters, names::LEASES_BUCKET, Duration::ZERO, "who holds which partition"),
        reservations(parameters),
        checkpoints(parameters),
    ]
}

/// The transform of the log: which partition a signal belongs to, decided by the server.
pub(super) fn log_transform(partitions: u16) -> Value {
    json!({
        "src": subject::SIGNALS,
        "dest": format!(
            "presence.v1.log.{{{{partition({partitions},1,2)}}}}.signal.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}.{{{{wildcard(3)}}}}"
        ),
    })
}

/// The partition count in a [`log_transform`]; `None` if it isn't one.
pub(super) fn partitions_of(transform: &Value) -> Option<u16> {
    let dest = transform.get("dest")?.as_str()?;
    let count = dest.strip_prefix("presence.v1.log.{{partition(")?.split(',').next()?.parse().ok()?;
    (*transform == log_transform(count)).then_some(count)
}

fn field(name: &'static str, wanted: impl Into<Value>, rule: Rule) -> Field {
    Field { name, wanted: wanted.into(), rule }
}

fn nanos(duration: Duration) -> Value {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).into()
}

fn bytes(limit: Option<u64>) -> Value {
    limit.map_or_else(|| (-1).into(), Value::from)
}

/// What all streams have in common.
fn common(parameters: &Parameters, discard: &str) -> Vec<Field> {
    let storage = match parameters.storage {
        Storage::File => "file",
        Storage::Memory => "memory",
    };
    vec![
        field("storage", storage, Rule::Fixed),
        field("retention", "limits", Rule::Fixed),
        field("mirror", Value::Null, Rule::Fixed),
        field("sealed", false, Rule::Fixed),
        field("num_replicas", parameters.replicas, Rule::Update),
        field("discard", discard, Rule::Update),
        field("max_msgs", -1, Rule::Update),
        field("no_ack", false, Rule::Update),
    ]
}

fn log(parameters: &Parameters) -> Spec {
    let mut fields = common(parameters, "old");
    fields.extend([
        field("subjects", json!([subject::SIGNALS, subject::LOG_ENTRIES]), Rule::Update),
        field("subject_transform", log_transform(parameters.partitions), Rule::Partitions),
        field("max_age", nanos(parameters.log_retention), Rule::Update),
        field("max_bytes", bytes(parameters.log_bytes_max), Rule::Update),
        field("max_msgs_per_subject", -1, Rule::Update),
        // The reader asks for 8 MB at a time; an entry above that would never come.
        field("max_msg_size", ENTRY_BYTES_MAX, Rule::Update),
        field("duplicate_window", nanos(parameters.duplicate_window), Rule::Update),
        // NATS permissions don't see headers. With any of these a client that may publish its own signals could empty
        // the log, make entries vanish or forge those of others.
        field("allow_rollup_hdrs", false, Rule::Update),
        field("allow_msg_ttl", false, Rule::Fixed),
        field("allow_msg_schedules", false, Rule::Fixed),
        field("allow_msg_counter", false, Rule::Fixed),
        field("allow_atomic", false, Rule::Update),
        field("deny_purge", true, Rule::Update),
        field("deny_delete", true, Rule::Update),
        // Nothing comes into the log but by its subjects, and nothing is told from it.
        field("sources", Value::Null, Rule::Update),
        field("republish", Value::Null, Rule::Update),
    ]);
    Spec { name: names::LOG.into(), description: "presence: signals, ticks and policies, in one order", fields }
}

fn events(parameters: &Parameters) -> Spec {
    let committed = format!("{}>", subject::COMMIT_PREFIX);
    let told = format!("{}>", subject::TOLD_PREFIX);
    let mut fields = common(parameters, "old");
    fields.extend([
        field("subjects", json!([committed]), Rule::Update),
        field("subject_transform", json!({"src": committed, "dest": told}), Rule::Update),
        field("republish", json!({"src": told, "dest": told}), Rule::Update),
        field("max_age", nanos(parameters.event_retention), Rule::Update),
        field("max_bytes", bytes(parameters.event_bytes_max), Rule::Update),
        field("max_msgs_per_subject", -1, Rule::Update),
        field("allow_atomic", true, Rule::Update),
        field("allow_rollup_hdrs", true, Rule::Update),
        field("allow_msg_ttl", true, Rule::Update),
        field("allow_msg_schedules", false, Rule::Fixed),
        field("allow_msg_counter", false, Rule::Fixed),
        field("allow_direct", true, Rule::Update),
        // Rollups of progress need it.
        field("deny_purge", false, Rule::Fixed),
        field("sources", Value::Null, Rule::Update),
    ]);
    Spec { name: names::EVENTS.into(), description: "presence: events and progress, told once committed", fields }
}

fn bucket(parameters: &Parameters, name: &str, kind: &str, tokens: usize, description: &'static str) -> Spec {
    let stars = ".*".repeat(tokens);
    let wildcards: String = (1..=tokens).map(|n| format!(".{{{{wildcard({n})}}}}")).collect();
    let key = format!("$KV.{name}{wildcards}");
    let source = json!([{
        "name": names::EVENTS,
        "subject_transforms": [
            {"src": format!("{}{kind}{stars}", subject::TOLD_PREFIX), "dest": key},
            {"src": format!("{}gone.{kind}{stars}", subject::TOLD_PREFIX), "dest": key},
        ],
    }]);
    let mut fields = common(parameters, "new");
    fields.extend([
        // Without subjects nobody can write it but the source.
        field("subjects", json!([]), Rule::Update),
        field("sources", source, Rule::Update),
        field("max_age", 0, Rule::Update),
        field("max_bytes", -1, Rule::Update),
        field("max_msgs_per_subject", 1, Rule::Update),
        field("allow_msg_ttl", true, Rule::Update),
        field("allow_rollup_hdrs", true, Rule::Update),
        field("allow_direct", true, Rule::Update),
        field("deny_delete", true, Rule::Update),
        field("subject_transform", Value::Null, Rule::Update),
        field("republish", Value::Null, Rule::Update),
    ]);
    Spec { name: names::bucket_stream(name), description, fields }
}

/// A bucket that engines write themselves.
fn membership(parameters: &Parameters, name: &str, age: Duration, description: &'static str) -> Spec {
    let mut fields = common(parameters, "new");
    fields.extend([
        field("subjects", json!([format!("$KV.{name}.>")]), Rule::Update),
        field("sources", Value::Null, Rule::Update),
        field("max_age", nanos(age), Rule::Update),
        field("max_bytes", -1, Rule::Update),
        field("max_msgs_per_subject", 1, Rule::Update),
        field("allow_rollup_hdrs", true, Rule::Update),
        field("allow_direct", true, Rule::Update),
        field("deny_delete", true, Rule::Update),
        field("subject_transform", Value::Null, Rule::Update),
        field("republish", Value::Null, Rule::Update),
    ]);
    Spec { name: names::bucket_stream(name), description, fields }
}

/// A bucket that engines write themselves, of keys that are forgotten by themselves.
fn reservations(parameters: &Parameters) -> Spec {
    let description = "who is held for which question of `route`";
    let mut spec = membership(parameters, names::RESERVATIONS_BUCKET, Duration::ZERO, description);
    spec.fields.push(field("allow_msg_ttl", true, Rule::Update));
    spec
}

fn checkpoints(parameters: &Parameters) -> Spec {
    let name = names::CHECKPOINTS;
    let mut fields = common(parameters, "new");
    fields.extend([
        field("subjects", json!([format!("$O.{name}.C.>"), format!("$O.{name}.M.>")]), Rule::Update),
        field("max_age", 0, Rule::Update),
        field("max_bytes", -1, Rule::Update),
        field("max_msgs_per_subject", -1, Rule::Update),
        field("allow_rollup_hdrs", true, Rule::Update),
        field("allow_direct", true, Rule::Update),
    ]);
    Spec {
        name: names::store_stream(name),
        description: "presence: checkpoints, the newest two of each partition",
        fields,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_count_is_read_back_from_the_transform() {
        for partitions in [1, 64, 512] {
            assert_eq!(partitions_of(&log_transform(partitions)), Some(partitions));
        }
        let foreign = json!({"src": "presence.v1.signal.*.*.*", "dest": "presence.v1.log.{{partition(64,1)}}.signal.{{wildcard(1)}}"});
        assert_eq!(partitions_of(&foreign), None);
        assert_eq!(partitions_of(&Value::Null), None);
    }

    #[test]
    fn the_transform_is_the_one_that_was_tried() {
        assert_eq!(
            log_transform(64)["dest"],
            "presence.v1.log.{{partition(64,1,2)}}.signal.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}"
        );
    }
}
