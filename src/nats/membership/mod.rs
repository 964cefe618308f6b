//! Who takes part among the engines that share one log's partitions, and who holds which.
//!
//! - `assignment`: who should hold what, from names alone.
//! - `roster`: who lives, judged by what the own watch proves.
//! - `known`, `view`: what the buckets have told.
//! - `observer`, `pulse`: what goes on while an engine takes part.
//!
//! None of it makes anything safe: the fence in PRESENCE_EVENTS does ([`commit`](super::commit)). Leases only keep engines
//! from taking partitions from each other without need, and let others go on where one has died.

mod assignment;
mod known;
mod observer;
mod pulse;
mod roster;
mod view;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::kv::{Store, UpdateErrorKind};
use async_nats::jetstream::stream::RawMessageErrorKind;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use self::known::{Entry, Known};
use self::observer::{Observer, Shared, lock};
use self::pulse::Pulse;
pub use self::view::{Lessee, View};
use super::{Nats, names};
use crate::wire::{CONTRACT_VERSION, Lease, Member};

/// Why something could not be done in the buckets of members and leases; it is worth another try. A lease whose change is
/// not confirmed may have changed; the view shows it when it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {cause}; if the bucket {bucket} is missing, `presence setup` creates it")]
pub struct MembershipError {
    /// What can't be done.
    pub what: String,
    /// The bucket that it is done in.
    pub bucket: &'static str,
    /// What happened.
    pub cause: String,
}

impl MembershipError {
    fn new(what: impl Into<String>, bucket: &'static str, cause: &dyn std::fmt::Display) -> Self {
        Self { what: what.into(), bucket, cause: cause.to_string() }
    }
}

/// How long the first entry, and what is there before a watch goes on, may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Both buckets.
#[derive(Debug, Clone)]
struct Buckets {
    members: Store,
    leases: Store,
}

/// One engine's part. Dropping it without [`Membership::leave`] is what a crash looks like to the others.
#[derive(Debug)]
pub struct Membership {
    nats: Nats,
    name: String,
    buckets: Buckets,
    known: Shared,
    lease_ttl: Duration,
    leaving: watch::Sender<bool>,
    /// The renewal and the observer; they end with this.
    tasks: Mutex<JoinSet<()>>,
}

impl Membership {
    /// Writes the member's own entry, starts to renew it each sixth of `lease_ttl` (above 0) and to watch both buckets.
    /// Returns once what is there is known.
    ///
    /// # Errors
    /// [`MembershipError`]; the others never saw the member, or see that it is gone. Where even that can't be written, its entry
    /// ages out.
    pub async fn join(nats: &Nats, member: Member, lease_ttl: Duration) -> Result<Self, MembershipError> {
        let buckets = Buckets {
            members: open(nats, names::MEMBERS_BUCKET).await?,
            leases: open(nats, names::LEASES_BUCKET).await?,
        };
        let name = member.engine.clone();
        let (leaving, is_leaving) = watch::channel(member.leaving);
        let pulse = Pulse::new(nats, &buckets.members, member, is_leaving, lease_ttl);
        // Before anybody counts on it: who can't see the others takes no part.
        let known = Shared::new(Known::new(&name, lease_ttl).into());
        let observer = Observer::open(nats, &buckets, &known, lease_ttl).await?;
        if let Err(cause) = pulse.beat(ANSWER_MAX).await {
            // It may be written nevertheless.
            if let Ok(Err(error)) = timeout(lease_ttl, buckets.members.delete(&name)).await {
                debug!(name, %error, "the entry of a member that could not join ages out");
            }
            let what = format!("the member {name} can't be entered");
            return Err(MembershipError::new(what, names::MEMBERS_BUCKET, &cause));
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(pulse.run());
        tasks.spawn(observer.run());
        Ok(Self { nats: nats.clone(), name, buckets, known, lease_ttl, leaving, tasks: tasks.into() })
    }

    /// What is known, anew with each change that matters: members that live, leases, and whether it is settled.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        lock(&self.known).views()
    }

    /// Takes the lease of `partition` if the view shows it free or already ours. Returns whether it is ours; `false`: it is
    /// another's, or somebody was quicker.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn acquire(&self, partition: u16) -> Result<bool, MembershipError> {
        let view = self.view().borrow().clone();
        if let Lessee::Other(_) = view.lessee(partition) {
            return Ok(false);
        }
        self.write(partition, view.revision(partition), Some(&self.name)).await
    }

    /// Gives the lease of `partition` back. Nothing is done where the view shows that it is not ours, or where it is
    /// somebody else's by now.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn release(&self, partition: u16) -> Result<(), MembershipError> {
        let view = self.view().borrow().clone();
        if view.lessee(partition) == Lessee::Own {
            self.write(partition, view.revision(partition), None).await?;
        }
        Ok(())
    }

    /// Says that this engine hands over what it has, and takes nothing more: others count on it no longer for their shares, and
    /// wait for its leases.
    pub fn retire(&self) {
        self.leaving.send_replace(true);
    }

    /// Ends the renewal and deletes the own entry, so that the others need not wait. Leases stay as they are: release them
    /// before.
    ///
    /// # Errors
    /// [`MembershipError`]; then the others wait for `lease_ttl`.
    pub async fn leave(&self) -> Result<(), MembershipError> {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        let what = format!("the member {} can't be deleted", self.name);
        let failed = |cause: &dyn std::fmt::Display| MembershipError::new(what.as_str(), names::MEMBERS_BUCKET, cause);
        match self.soon(self.buckets.members.delete(&self.name)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(&error)),
            Err(cause) => Err(failed(&cause)),
        }
    }

    /// Writes a lease over the revision `seen`; whether it was that one.
    async fn write(&self, partition: u16, seen: u64, holder: Option<&str>) -> Result<bool, MembershipError> {
        let what = format!("the lease of partition {partition} can't be written");
        let failed = |cause: &dyn std::fmt::Display| MembershipError::new(what.as_str(), names::LEASES_BUCKET, cause);
        let (key, lease) = (partition.to_string(), Lease { v: CONTRACT_VERSION, engine: holder.map(str::to_owned) });
        let value = lease.to_json();
        let written = self.soon(self.buckets.leases.update(&key, value.clone().into(), seen)).await;
        match written.map_err(|cause| failed(&cause))? {
            Ok(revision) => {
                lock(&self.known).lease(Entry { key: &key, revision, value: Some(&value) });
                Ok(true)
            }
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                debug!(partition, seen, "a lease is not what it was, somebody was quicker");
                self.correct(partition, seen).await?;
                Ok(false)
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Asks the leader what a lease is: of a bucket that was purged the watch says nothing.
    async fn correct(&self, partition: u16, seen: u64) -> Result<(), MembershipError> {
        let what = format!("the lease of partition {partition} can't be read");
        let failed = |cause: &dyn std::fmt::Display| MembershipError::new(what.as_str(), names::LEASES_BUCKET, cause);
        let (key, store) = (partition.to_string(), &self.buckets.leases);
        let subject = format!("{}{key}", store.prefix);
        let read = self.soon(store.stream.get_last_raw_message_by_subject(&subject)).await;
        match read.map_err(|cause| failed(&cause))? {
            Ok(found) => {
                let deleted = found.headers.get("KV-Operation").is_some();
                let value = (!deleted).then_some(&*found.payload);
                lock(&self.known).corrected(
                    partition,
                    seen,
                    Some(Entry { key: &key, revision: found.sequence, value }),
                );
                Ok(())
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                lock(&self.known).corrected(partition, seen, None);
                Ok(())
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// What comes of a request, or why there is nothing. Without a connection none is made: it would wait, and be sent when
    /// nobody wants it any more.
    async fn soon<T>(&self, request: impl IntoFuture<Output = T>) -> Result<T, String> {
        if !self.nats.is_connected() {
            return Err("there is no connection".into());
        }
        timeout(self.lease_ttl, request).await.map_err(|_| format!("no answer within {:?}", self.lease_ttl))
    }
}

async fn open(nats: &Nats, bucket: &'static str) -> Result<Store, MembershipError> {
    let opened = nats.jetstream.get_key_value(bucket).await;
    opened.map_err(|error| MembershipError::new("no engine can take part", bucket, &error))
}
