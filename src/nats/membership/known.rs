//! What the watches have told so far, read from the buckets' bytes; each change that matters makes a new view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{info, warn};

use super::roster::Roster;
use super::view::{Held, View};
use crate::wire::{Lease, Member};

/// What a bucket says of one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    pub(super) revision: u64,
    /// `None` where it was deleted.
    pub(super) value: Option<&'a [u8]>,
}

#[derive(Debug)]
pub(super) struct Known {
    own: String,
    began: Instant,
    roster: Roster,
    leases: BTreeMap<u16, Held>,
    leaving: BTreeSet<String>,
    views: watch::Sender<Arc<View>>,
}

impl Known {
    pub(super) fn new(own: &str, lease_ttl: Duration) -> Self {
        let views = watch::Sender::new(Arc::new(View::of(own, [], []).unsettled()));
        let roster = Roster::new(own, lease_ttl);
        Self {
            own: own.into(),
            began: Instant::now(),
            roster,
            leases: BTreeMap::new(),
            leaving: BTreeSet::new(),
            views,
        }
    }

    pub(super) fn views(&self) -> watch::Receiver<Arc<View>> {
        self.views.subscribe()
    }

    /// Watches that are made anew begin with what is there.
    pub(super) fn begin<'a>(
        &mut self,
        members: impl IntoIterator<Item = Entry<'a>>,
        leases: impl IntoIterator<Item = Entry<'a>>,
    ) {
        self.roster.restart(self.began.elapsed());
        for entry in members {
            if entry.key == self.own {
                self.roster.own_is_there(entry.revision);
            } else {
                self.enter_member(entry, Roster::was_there);
            }
        }
        self.leases = leases.into_iter().filter_map(|entry| Some((partition(entry.key)?, held(entry)))).collect();
        self.tell();
    }

    /// A member's entry changed.
    pub(super) fn member(&mut self, entry: Entry<'_>) {
        self.enter_member(entry, Roster::seen);
        self.tell();
    }

    /// A lease changed. What is older than what is known, such as an echo of an own write, says nothing.
    pub(super) fn lease(&mut self, entry: Entry<'_>) {
        let Some(partition) = partition(entry.key) else {
            return;
        };
        if self.leases.get(&partition).is_none_or(|known| known.revision < entry.revision) {
            let held = held(entry);
            if let Some(holder) = &held.holder {
                self.roster.took_a_lease(holder, self.began.elapsed());
            }
            self.leases.insert(partition, held);
            self.tell();
        }
    }

    /// What the leader says of a lease whose revision `tried` was not the one it had. What the watch has told meanwhile
    /// stays.
    pub(super) fn corrected(&mut self, partition: u16, tried: u64, entry: Option<Entry<'_>>) {
        if self.leases.get(&partition).map_or(0, |known| known.revision) != tried {
            return;
        }
        match entry {
            Some(entry) => self.leases.insert(partition, held(entry)),
            None => self.leases.remove(&partition),
        };
        self.tell();
    }

    /// How long no own renewal came back.
    pub(super) fn quiet(&self) -> Duration {
        self.roster.quiet(self.began.elapsed())
    }

    /// Nothing that comes by the watches there are is judged any more.
    pub(super) fn distrust(&mut self) {
        self.roster.restart(self.began.elapsed());
        self.tell();
    }

    /// Makes a view of what is known, if it is another one than the last.
    pub(super) fn tell(&mut self) {
        let members: BTreeSet<_> = self.roster.members().map(str::to_owned).collect();
        let unproven: BTreeSet<_> = self.roster.unproven().map(str::to_owned).collect();
        self.leaving.retain(|engine| members.contains(engine) || unproven.contains(engine));
        let view = View {
            own: self.own.clone(),
            leaving: self.leaving.clone(),
            members,
            unproven,
            leases: self.leases.clone(),
            settled: self.roster.is_settled(self.began.elapsed()),
        };
        self.views.send_if_modified(|last| {
            if **last == view {
                return false;
            }
            for joined in view.members.difference(&last.members) {
                info!(engine = joined, "another engine takes part");
            }
            for gone in last.members.difference(&view.members) {
                info!(engine = gone, "an engine takes part no more");
            }
            *last = Arc::new(view);
            true
        });
    }

    fn enter_member(&mut self, entry: Entry<'_>, note: fn(&mut Roster, &str, u64, Duration)) {
        let now = self.began.elapsed();
        match entry.value {
            None => self.roster.deleted(entry.key, entry.revision, now),
            Some(value) => match Member::from_json(value) {
                Ok(member) if member.engine == entry.key => {
                    note(&mut self.roster, entry.key, entry.revision, now);
                    if member.leaving {
                        self.leaving.insert(member.engine);
                    }
                }
                Ok(member) => {
                    let says = member.engine;
                    warn!(
                        key = entry.key,
                        says, "a member's entry names another engine than its key does, it is passed over"
                    );
                }
                Err(error) => warn!(key = entry.key, %error, "a member's entry can't be read, it is passed over"),
            },
        }
    }
}

/// The partition that a key of the leases names.
fn partition(key: &str) -> Option<u16> {
    let partition = key.parse::<u16>().ok().filter(|partition| partition.to_string() == key);
    if partition.is_none() {
        warn!(key, "a lease is of no partition, it is passed over");
    }
    partition
}

fn held(entry: Entry<'_>) -> Held {
    let read = entry.value.map(Lease::from_json).transpose().unwrap_or_else(|error| {
        warn!(partition = entry.key, %error, "a lease can't be read, it counts as free");
        None
    });
    Held { holder: read.and_then(|lease| lease.engine), revision: entry.revision }
}

#[cfg(test)]
mod tests {
    use super::super::Lessee;
    use super::*;

    fn entry<'a>(key: &'a str, revision: u64, value: &'a [u8]) -> Entry<'a> {
        Entry { key, revision, value: Some(value) }
    }

    #[test]
    fn garbage_is_passed_over_and_a_garbled_lease_is_free() {
        let mut known = Known::new("me", Duration::from_secs(3));
        let members = [entry("a", 1, b"\xff"), entry("b", 2, b"{}"), entry("", 3, b""), entry("x.y", 4, b"null")];
        let leases = [entry("7", 1, b"\xff"), entry("07", 2, b"{}"), entry("70000", 3, b""), entry("x", 4, b"")];
        known.begin(members, leases);
        known.member(entry("c", 5, b"[]"));
        known.member(entry("d", 6, br#"{"v":1,"engine":"e","version":"","host":"","pid":1,"since_ms":0}"#));
        known.lease(entry("7", 6, b"garbage"));
        known.lease(entry("-1", 7, b"garbage"));
        let view = known.views().borrow().clone();
        assert_eq!(view.members().collect::<Vec<_>>(), ["me"]);
        assert_eq!(view.lessee(7), Lessee::Free);
        assert_eq!((view.revision(7), view.leases.len()), (6, 1));
    }

    #[test]
    fn renewals_make_no_new_view() {
        let mut known = Known::new("me", Duration::from_secs(3));
        let mut views = known.views();
        let other = br#"{"v":1,"engine":"other","version":"","host":"","pid":1,"since_ms":0}"#;
        known.begin([entry("other", 1, other)], []);
        known.member(entry("other", 2, other));
        assert!(views.has_changed().unwrap());
        views.borrow_and_update();
        known.member(entry("other", 3, other));
        assert!(!views.has_changed().unwrap());
    }

    #[test]
    fn the_echo_of_an_own_write_changes_nothing_and_the_leader_corrects() {
        let mut known = Known::new("me", Duration::from_secs(3));
        let (own, other) = (br#"{"v":1,"engine":"me"}"#.as_slice(), br#"{"v":1,"engine":"other"}"#.as_slice());
        known.lease(entry("7", 5, own));
        known.lease(entry("7", 4, other));
        assert_eq!(known.views().borrow().lessee(7), Lessee::Own);
        known.corrected(7, 4, None);
        assert_eq!(known.views().borrow().lessee(7), Lessee::Own);
        known.corrected(7, 5, Some(entry("7", 2, other)));
        assert_eq!(known.views().borrow().lessee(7), Lessee::Other("other"));
        known.corrected(7, 2, None);
        assert_eq!(known.views().borrow().revision(7), 0);
    }
}
