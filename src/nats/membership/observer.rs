//! Follows both buckets, whatever happens to the connection, the server and the buckets.
//!
//! A watch of the client library mends itself after a lost connection by going on behind the last revision that it saw. Of a
//! bucket that was created anew, or that came back from an older copy, it would never tell anything again. So both watches
//! are made anew, from what is there, after each reconnect, where one of them fails, and where own renewals don't come back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::kv::{Operation, Store, Watch};
use futures::StreamExt;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, warn};

use super::known::{Entry, Known};
use super::{ANSWER_MAX, Buckets, MembershipError};
use crate::nats::latest::{Stored, bucket_values};
use crate::nats::{Nats, names};

/// What is known, shared by the observer and whoever takes and gives leases.
pub(super) type Shared = Arc<Mutex<Known>>;

pub(super) fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The watches of both buckets.
pub(super) struct Observer {
    nats: Nats,
    buckets: Buckets,
    known: Shared,
    lease_ttl: Duration,
    members: Watch,
    leases: Watch,
    /// How often a connection had been made when the watches were.
    connects: u64,
}

impl Observer {
    /// Makes both watches and reads what is there.
    ///
    /// # Errors
    /// [`MembershipError`], worth another try.
    pub(super) async fn open(
        nats: &Nats,
        buckets: &Buckets,
        known: &Shared,
        lease_ttl: Duration,
    ) -> Result<Self, MembershipError> {
        let connects = nats.connects();
        let (members, leases) = follow_both(nats, buckets, known).await?;
        let (nats, buckets, known) = (nats.clone(), buckets.clone(), known.clone());
        Ok(Self { nats, buckets, known, lease_ttl, members, leases, connects })
    }

    /// Follows them for ever. Dropping the future ends it.
    pub(super) async fn run(mut self) {
        let mut look = interval(self.lease_ttl / 12);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let broken = tokio::select! {
                entry = self.members.next() => match entry {
                    Some(Ok(entry)) => { self.known().member(of_watch(&entry)); None }
                    Some(Err(error)) => Some(format!("the watch of members fails: {error}")),
                    None => Some("the watch of members ended".to_owned()),
                },
                entry = self.leases.next() => match entry {
                    Some(Ok(entry)) => { self.known().lease(of_watch(&entry)); None }
                    Some(Err(error)) => Some(format!("the watch of leases fails: {error}")),
                    None => Some("the watch of leases ended".to_owned()),
                },
                _ = look.tick() => self.look(),
            };
            if let Some(cause) = broken {
                self.open_anew(&cause).await;
            }
        }
    }

    /// What is known changes by time alone, too. Returns why the watches have to be made anew, if they have to.
    fn look(&self) -> Option<String> {
        self.known().tell();
        if !self.nats.is_connected() {
            return None;
        }
        if self.nats.connects() != self.connects {
            return Some("the connection is another one".into());
        }
        let quiet = self.known().quiet();
        (quiet >= self.lease_ttl * 2).then(|| format!("own renewals did not come back for {quiet:?}"))
    }

    /// Until it succeeds, nothing is judged.
    async fn open_anew(&mut self, cause: &str) {
        warn!(cause, "who takes part is watched anew");
        self.known().distrust();
        loop {
            self.nats.connected().await;
            let connects = self.nats.connects();
            match follow_both(&self.nats, &self.buckets, &self.known).await {
                Ok((members, leases)) => {
                    (self.members, self.leases, self.connects) = (members, leases, connects);
                    return;
                }
                Err(error) => {
                    debug!(%error, "who takes part can't be watched yet");
                    sleep(self.lease_ttl / 6).await;
                }
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

/// Leases first: whoever holds one of these had written its entry before, so that it is among the members, or gone.
async fn follow_both(nats: &Nats, buckets: &Buckets, known: &Shared) -> Result<(Watch, Watch), MembershipError> {
    let (leases, held) = follow(nats, &buckets.leases, names::LEASES_BUCKET).await?;
    let (members, there) = follow(nats, &buckets.members, names::MEMBERS_BUCKET).await?;
    let of = |store: &Store, stored: &Vec<Stored>| {
        let entries = stored
            .iter()
            .filter_map(|stored| Some((stored.subject.strip_prefix(&*store.prefix)?.to_owned(), stored.clone())));
        entries.collect::<Vec<_>>()
    };
    let (there, held) = (of(&buckets.members, &there), of(&buckets.leases, &held));
    lock(known).begin(there.iter().map(of_stored), held.iter().map(of_stored));
    Ok((members, leases))
}

/// What is there, and a watch of what comes after it.
async fn follow(nats: &Nats, store: &Store, name: &'static str) -> Result<(Watch, Vec<Stored>), MembershipError> {
    let failed = |cause: &dyn std::fmt::Display| MembershipError::new("who takes part can't be watched", name, cause);
    let opened = timeout(ANSWER_MAX, async {
        let mut latest = bucket_values(nats, name).await.map_err(|error| failed(&error))?;
        let mut there = Vec::new();
        while let Some(mut some) = latest.next().await.map_err(|error| failed(&error))? {
            there.append(&mut some);
        }
        let next = there.iter().map(|stored| stored.seq).max().unwrap_or(0) + 1;
        let watch = store.watch_all_from_revision(next).await.map_err(|error| failed(&error))?;
        Ok((watch, there))
    });
    opened.await.map_err(|_| failed(&format!("the server did not answer within {ANSWER_MAX:?}")))?
}

fn of_stored((key, stored): &(String, Stored)) -> Entry<'_> {
    Entry { key, revision: stored.seq, value: (!stored.deleted).then_some(&stored.payload) }
}

fn of_watch(entry: &async_nats::jetstream::kv::Entry) -> Entry<'_> {
    let there = entry.operation == Operation::Put;
    Entry { key: &entry.key, revision: entry.revision, value: there.then_some(&entry.value) }
}
