//! Names of streams, buckets and subjects, in one place.

/// The stream of signals, gateways' batches, ticks and policies.
pub const LOG: &str = "PRESENCE_LOG";
/// The stream of events and progress.
pub const EVENTS: &str = "PRESENCE_EVENTS";
/// The bucket of the latest event of each session.
pub const SESSIONS_BUCKET: &str = "presence_sessions";
/// The bucket of the latest event of each user.
pub const USERS_BUCKET: &str = "presence_users";
/// The Object Store of checkpoints.
pub const CHECKPOINTS: &str = "presence_checkpoints";

/// What clients publish signals to.
pub const SIGNALS: &str = "presence.v1.signal.*.*.*";
/// What the log stores, beside signals.
pub const LOG_SUBJECTS: &str = "presence.v1.log.>";
/// What the log's subjects begin with; the partition, or `all`, comes next.
pub const LOG_PREFIX: &str = "presence.v1.log.";
/// The subject of ticks.
pub const TICK: &str = "presence.v1.log.all.tick";
/// The subject of policies.
pub const POLICY: &str = "presence.v1.log.all.policy";
/// Where what is [told](TOLD_PREFIX) is published: here nobody listens but the stream.
pub const COMMIT_PREFIX: &str = "presence.commit.v1.";
/// Where events are stored and told.
pub const TOLD_PREFIX: &str = "presence.v1.";
/// The subject of the service that tells what this engine is.
pub const INFO: &str = "presence.v1.info";

/// Most partitions of a log.
pub const PARTITIONS_MAX: u16 = 512;

/// The stream behind the bucket `name`.
///
/// ```
/// assert_eq!(presence::nats::names::bucket_stream("presence_users"), "KV_presence_users");
/// ```
#[must_use]
pub fn bucket_stream(name: &str) -> String {
    format!("KV_{name}")
}

/// The stream behind the Object Store `name`.
#[must_use]
pub fn store_stream(name: &str) -> String {
    format!("OBJ_{name}")
}

/// Where a partition's progress is stored.
#[must_use]
pub fn progress(partition: u16) -> String {
    format!("{TOLD_PREFIX}progress.{partition}")
}
