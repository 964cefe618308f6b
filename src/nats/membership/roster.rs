//! Who lives, judged by what the own watch proves. It knows no clock: every moment is given to it, as the time since the
//! observer began, by a clock that only goes forward.
//!
//! The own renewals come back through the same watch as everybody's entries, in one order. So one that came back proves that
//! everything that was written before it has been seen; and only then somebody is judged. If they stop coming (a dead
//! server, a cut wire, a watch that stalls, an engine that was stopped and goes on), nothing is judged, and afterwards all
//! silences start anew.

use std::collections::BTreeMap;
use std::time::Duration;

/// So long is remembered who is gone, so that an entry that is seen again doesn't make it live: longer than the bucket
/// keeps an entry.
const GONE_KEPT: Duration = Duration::from_secs(120);
/// So many own renewals have to come back, one after the other, before anything can be judged.
const PROOFS: u8 = 2;

/// Who takes part, and whether anything can be said of it.
#[derive(Debug)]
pub(super) struct Roster {
    own: String,
    lease_ttl: Duration,
    /// The revision of the own entry that came back last.
    revision: u64,
    /// When that was, or when the watch began to tell.
    heard: Duration,
    /// How many came back without a gap, up to [`PROOFS`].
    proofs: u8,
    others: BTreeMap<String, Other>,
}

#[derive(Debug)]
struct Other {
    revision: u64,
    /// Since when it is silent, or gone.
    since: Duration,
    life: Life,
    /// Whether its entry was seen to come, by this engine. What was there when it began may be of the dead.
    is_proven: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Lives,
    /// Its entry did not change for `lease_ttl`.
    Silent,
    /// Its entry was deleted. Names are of one life, so this is for good.
    Left,
}

impl Roster {
    pub(super) fn new(own: &str, lease_ttl: Duration) -> Self {
        Self { own: own.into(), lease_ttl, revision: 0, heard: Duration::ZERO, proofs: 0, others: BTreeMap::new() }
    }

    /// A new watch begins to tell; what is there follows. Nothing is judged until own renewals come back through it. Whoever
    /// has no entry there is not dead for it: the bucket may be another one.
    pub(super) fn restart(&mut self, now: Duration) {
        self.proofs = 0;
        self.begin_anew(now);
    }

    /// The own entry is there already: it was not this watch that brought it back.
    pub(super) fn own_is_there(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// An entry is seen, of whomever; one that has not changed says nothing.
    pub(super) fn seen(&mut self, name: &str, revision: u64, now: Duration) {
        if name == self.own {
            if revision != self.revision {
                self.revision = revision;
                self.came_back(now);
            }
            return;
        }
        match self.others.get_mut(name) {
            Some(other) if other.revision == revision => {}
            Some(other) => *other = Other { revision, since: now, life: Life::Lives, is_proven: true },
            None => self.enter(name, Other { revision, since: now, life: Life::Lives, is_proven: true }),
        }
    }

    /// An entry is there as a watch begins: of somebody who is known already, or of whom it is not known whether it lives.
    pub(super) fn was_there(&mut self, name: &str, revision: u64, now: Duration) {
        if self.others.contains_key(name) {
            self.seen(name, revision, now);
        } else {
            self.enter(name, Other { revision, since: now, life: Life::Lives, is_proven: false });
        }
    }

    fn enter(&mut self, name: &str, other: Other) {
        self.others.insert(name.into(), other);
    }

    /// An entry was deleted. If it is the own one, the next renewal writes it again.
    pub(super) fn deleted(&mut self, name: &str, revision: u64, now: Duration) {
        if name != self.own {
            self.enter(name, Other { revision, since: now, life: Life::Left, is_proven: true });
        }
    }

    /// Somebody took a lease, which only who lives does; its entry may still be on its way, since leases come by another
    /// watch.
    pub(super) fn took_a_lease(&mut self, name: &str, now: Duration) {
        if name == self.own {
            return;
        }
        let other = self.others.entry(name.into()).or_insert(Other {
            revision: 0,
            since: now,
            life: Life::Lives,
            is_proven: true,
        });
        if other.life != Life::Left {
            (other.since, other.life, other.is_proven) = (now, Life::Lives, true);
        }
    }

    /// Whether what is known can be acted on: own renewals came back, the last one not long ago.
    pub(super) fn is_settled(&self, now: Duration) -> bool {
        self.proofs >= PROOFS && !self.is_gap(now)
    }

    /// How long no own renewal came back.
    pub(super) fn quiet(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard)
    }

    /// Those who live, the own name included.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().filter(|(_, other)| other.life == Life::Lives && other.is_proven);
        others.map(|(name, _)| name.as_str()).chain([self.own.as_str()])
    }

    /// Those of whom it is not known yet whether they live: nobody counts on them, and what they hold is not free.
    pub(super) fn unproven(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().filter(|(_, other)| other.life == Life::Lives && !other.is_proven);
        others.map(|(name, _)| name.as_str())
    }

    fn came_back(&mut self, now: Duration) {
        if self.is_gap(now) {
            self.begin_anew(now);
            self.proofs = 1;
            return;
        }
        self.heard = now;
        self.proofs = PROOFS.min(self.proofs + 1);
        if self.proofs >= PROOFS {
            self.judge(now);
        }
    }

    fn judge(&mut self, now: Duration) {
        for other in self.others.values_mut() {
            if other.life == Life::Lives && now.saturating_sub(other.since) >= self.lease_ttl {
                (other.since, other.life) = (now, Life::Silent);
            }
        }
        self.others.retain(|_, other| other.life == Life::Lives || now.saturating_sub(other.since) < GONE_KEPT);
    }

    fn is_gap(&self, now: Duration) -> bool {
        self.quiet(now) > self.lease_ttl / 2
    }

    fn begin_anew(&mut self, now: Duration) {
        self.heard = now;
        for other in self.others.values_mut().filter(|other| other.life == Life::Lives) {
            other.since = now;
        }
    }
}

#[cfg(test)]
mod tests;
