//! Names of streams and buckets, in one place; those of subjects are [`wire::subject`](crate::wire::subject).

/// The stream of signals, gateways' batches, ticks and policies.
pub const LOG: &str = "PRESENCE_LOG";
/// The stream of events and progress.
pub const EVENTS: &str = "PRESENCE_EVENTS";
/// The bucket of the latest event of each session.
pub const SESSIONS_BUCKET: &str = "presence_sessions";
/// The bucket of the latest event of each user.
pub const USERS_BUCKET: &str = "presence_users";
/// The bucket in which engines say that they live.
pub const MEMBERS_BUCKET: &str = "presence_members";
/// The bucket of who holds which partition.
pub const LEASES_BUCKET: &str = "presence_leases";
/// The bucket of who is held for which question.
pub const RESERVATIONS_BUCKET: &str = "presence_reservations";
/// The Object Store of checkpoints.
pub const CHECKPOINTS: &str = "presence_checkpoints";

/// The stream behind the bucket `name`.
///
/// ```
/// assert_eq!(presence_engine::nats::names::bucket_stream("presence_users"), "KV_presence_users");
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
