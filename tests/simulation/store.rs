//! The simulated Object Store, and the keeper that writes to it as `runtime::keeper` and `nats::checkpoint` do: after its
//! commit, in order, and with the newest two of each partition kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use presence_engine::nats::LogIdentity;
use presence_engine::nats::checkpoint::KEPT;
use presence_engine::runtime::outbox::Snapshot;
use presence_engine::runtime::snapshot::Stored;

use crate::random::Random;

/// The bucket: `<partition>/<seq>` → content.
pub(crate) type Store = BTreeMap<(u16, u64), Vec<u8>>;

/// Stores an owner's snapshots, one step at a time.
#[derive(Debug)]
pub(crate) struct Keeper {
    log: LogIdentity,
    waiting: VecDeque<Snapshot>,
    /// What this owner knows to be there; what a rival has written since it does not.
    known: BTreeMap<u16, BTreeSet<u64>>,
    doomed: Vec<(u16, u64)>,
    /// How many could not be stored.
    pub(crate) failed: usize,
}

/// What may go wrong, in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StoreFaults {
    /// A write is aborted.
    pub(crate) aborted: u64,
    /// A write is not whole (the store's digest, or the hash in a checkpoint, tells).
    pub(crate) damaged: u64,
}

impl Keeper {
    /// Lists what is there.
    pub(crate) fn open(store: &Store, log: LogIdentity) -> Self {
        let mut known = BTreeMap::<u16, BTreeSet<u64>>::new();
        for (partition, seq) in store.keys() {
            known.entry(*partition).or_default().insert(*seq);
        }
        Self { log, waiting: VecDeque::new(), known, doomed: Vec::new(), failed: 0 }
    }

    /// The newest at or before `at_most`, with its content; one that is gone is passed over.
    pub(crate) fn newest<'a>(&self, store: &'a Store, partition: u16, at_most: u64) -> Option<(u64, &'a [u8])> {
        let known = self.known.get(&partition)?;
        known.range(..=at_most).rev().find_map(|seq| Some((*seq, store.get(&(partition, *seq))?.as_slice())))
    }

    pub(crate) fn store(&mut self, snapshot: Snapshot) {
        self.waiting.push_back(snapshot);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.doomed.is_empty()
    }

    /// One step: an object is written, or one that is not to be kept is deleted. Returns what was written whole.
    pub(crate) fn step(&mut self, store: &mut Store, faults: StoreFaults, random: &mut Random) -> Option<Snapshot> {
        if let Some(doomed) = self.doomed.pop() {
            if !random.chance(faults.aborted) {
                store.remove(&doomed);
                self.known.entry(doomed.0).or_default().remove(&doomed.1);
            }
            return None;
        }
        let snapshot = self.waiting.pop_front()?;
        if random.chance(faults.aborted) {
            self.failed += 1;
            return None;
        }
        let (partition, seq) = (snapshot.partition, snapshot.reached.seq);
        let mut bytes = Stored::new(&self.log, &snapshot.reached, snapshot.bytes.clone()).encode();
        let damaged = random.chance(faults.damaged);
        if damaged {
            bytes.truncate(random.index(bytes.len()));
        }
        store.insert((partition, seq), bytes);
        let known = self.known.entry(partition).or_default();
        known.insert(seq);
        let kept: Vec<u64> = known.range(..=seq).rev().take(KEPT).copied().collect();
        self.doomed = known.iter().filter(|seq| !kept.contains(seq)).map(|seq| (partition, *seq)).collect();
        if damaged {
            self.failed += 1;
        }
        (!damaged).then_some(snapshot)
    }
}
