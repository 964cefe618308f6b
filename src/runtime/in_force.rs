//! Which policy is in force, for those who ask from outside: by what engines have committed.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::LastRawMessageErrorKind;

use super::error::RuntimeError;
use super::snapshot::Stored;
use crate::fold::policy_of;
use crate::model::Policy;
use crate::nats::commit::read_progress;
use crate::nats::{Checkpoints, Nats, names};
use crate::wire::{policy, subject};

/// The policies in force.
#[derive(Debug, Clone)]
pub struct InForce {
    /// For each partition the hash of its policy, in the order of their numbers.
    pub hashes: Vec<String>,
    /// The policy of partition 0, if it can still be had.
    pub policy: Option<(Arc<Policy>, Source)>,
}

/// Where a policy was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The one that holds before any other.
    BuiltIn,
    /// The log's entry with this sequence.
    Entry(u64),
    /// The checkpoint of partition 0 with this position.
    Checkpoint(u64),
}

impl InForce {
    /// Asks for the policies of so many partitions. Reads only.
    ///
    /// # Errors
    /// [`RuntimeError::Unanswered`] and [`RuntimeError::Checkpoint`], worth another try.
    pub async fn read(nats: &Nats, partitions: u16) -> Result<Self, RuntimeError> {
        let hashes = hashes(nats, partitions).await?;
        let policy = find(nats, &hashes[0]).await?;
        Ok(Self { hashes, policy })
    }

    /// The partitions in which another policy is in force than the one with this hash.
    #[must_use]
    pub fn others(&self, hash: &str) -> Vec<u16> {
        (0_u16..).zip(&self.hashes).filter(|(_, found)| *found != hash).map(|(number, _)| number).collect()
    }
}

/// The hash of each partition's policy, as of what was committed last.
///
/// # Errors
/// [`RuntimeError::Unanswered`], worth another try.
pub async fn hashes(nats: &Nats, partitions: u16) -> Result<Vec<String>, RuntimeError> {
    let mut hashes = Vec::with_capacity(partitions.into());
    for number in 0..partitions {
        let progress = read_progress(nats, number).await;
        let progress = progress.map_err(|error| failed("reading the progress", &error))?;
        // A partition that has told nothing yet begins with the built-in policy.
        hashes.push(progress.map_or_else(|| policy::hash(&Policy::default()), |found| found.progress.policy_hash));
    }
    Ok(hashes)
}

/// The policy with this hash: the log keeps its entry for a while, checkpoints keep what is in force.
async fn find(nats: &Nats, hash: &str) -> Result<Option<(Arc<Policy>, Source)>, RuntimeError> {
    let is_it = |policy: &Policy| policy::hash(policy) == hash;
    if let Some((seq, policy)) = last_entry(nats).await?
        && is_it(&policy)
    {
        return Ok(Some((Arc::new(policy), Source::Entry(seq))));
    }
    let built_in = Policy::default();
    if is_it(&built_in) {
        return Ok(Some((Arc::new(built_in), Source::BuiltIn)));
    }
    // An age that nothing reaches: who only reads collects nothing.
    let checkpoints = Checkpoints::open(nats, Duration::MAX).await?;
    let Some((seq, bytes)) = checkpoints.newest(0, u64::MAX).await? else {
        return Ok(None);
    };
    let stored = Stored::decode(&bytes).ok().filter(|stored| stored.policy_hash == hash);
    let policy = stored.and_then(|stored| policy_of(&stored.bytes).ok());
    Ok(policy.map(|policy| (Arc::new(policy), Source::Checkpoint(seq))))
}

/// The last policy that was published and is still in the log, if it is one.
async fn last_entry(nats: &Nats) -> Result<Option<(u64, Policy)>, RuntimeError> {
    let log = nats.jetstream.get_stream_no_info(names::LOG).await;
    let log = log.map_err(|error| failed("reading the log's last policy", &error))?;
    match log.get_last_raw_message_by_subject(subject::POLICY).await {
        Ok(message) => Ok(policy::decode(&message.payload).ok().map(|policy| (message.sequence, policy))),
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            LastRawMessageErrorKind::InvalidSubject
            | LastRawMessageErrorKind::JetStream(_)
            | LastRawMessageErrorKind::Other => Err(failed("reading the log's last policy", &error)),
        },
    }
}

fn failed(what: &'static str, cause: &dyn std::fmt::Display) -> RuntimeError {
    RuntimeError::Unanswered { what, cause: cause.to_string() }
}
