//! The simulated Object Store, and the keeper that writes to it as `runtime::keeper` and `nats::checkpoint` do: after its
//! commit, in order, and with the newest two of each partition kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use presence_engine::fold::{self, Segment, SegmentName};
use presence_engine::nats::LogIdentity;
use presence_engine::nats::checkpoint::KEPT;
use presence_engine::runtime::outbox::Snapshot;
use presence_engine::runtime::snapshot::Stored;

use crate::random::Random;

/// The bucket.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// `<partition>/<seq>` → content.
    pub(crate) checkpoints: BTreeMap<(u16, u64), Vec<u8>>,
    segments: BTreeMap<(u16, SegmentName), Vec<u8>>,
}

impl Store {
    /// The segments that a checkpoint names, as far as they are there.
    pub(crate) fn segments_of(&self, partition: u16, stored: &Stored) -> Vec<&[u8]> {
        let names = fold::segments_of(&stored.bytes).unwrap_or_default();
        names.iter().filter_map(|name| self.segments.get(&(partition, *name))).map(Vec::as_slice).collect()
    }
}

/// What one step of a keeper came to.
#[derive(Debug)]
pub(crate) enum Step {
    /// It goes on.
    Moved,
    /// A checkpoint was stored whole.
    Stored(Snapshot),
    /// A checkpoint of this partition could not be stored.
    Failed(u16),
}

/// Stores an owner's snapshots, one step at a time.
#[derive(Debug)]
pub(crate) struct Keeper {
    log: LogIdentity,
    waiting: VecDeque<Snapshot>,
    /// What this owner knows to be there; what a rival has written since it does not.
    known: BTreeMap<u16, BTreeSet<u64>>,
    /// The segments that a checkpoint builds on; of a rival's nobody knows.
    needs: BTreeMap<(u16, u64), Vec<SegmentName>>,
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
        for (partition, seq) in store.checkpoints.keys() {
            known.entry(*partition).or_default().insert(*seq);
        }
        let (waiting, needs) = (VecDeque::new(), BTreeMap::new());
        Self { log, waiting, known, needs, doomed: Vec::new(), failed: 0 }
    }

    /// The newest at or before `at_most`, with its content; one that is gone is passed over.
    pub(crate) fn newest<'a>(&self, store: &'a Store, partition: u16, at_most: u64) -> Option<(u64, &'a [u8])> {
        let known = self.known.get(&partition)?;
        known
            .range(..=at_most)
            .rev()
            .find_map(|seq| Some((*seq, store.checkpoints.get(&(partition, *seq))?.as_slice())))
    }

    pub(crate) fn store(&mut self, snapshot: Snapshot) {
        self.waiting.push_back(snapshot);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.doomed.is_empty()
    }

    /// One step: an object is written, or one that is not to be kept is deleted.
    pub(crate) fn step(&mut self, store: &mut Store, faults: StoreFaults, random: &mut Random) -> Step {
        if let Some(doomed) = self.doomed.pop() {
            if !random.chance(faults.aborted) {
                store.checkpoints.remove(&doomed);
                self.known.entry(doomed.0).or_default().remove(&doomed.1);
                self.needs.remove(&doomed);
            }
            self.collect(doomed.0, store);
            return Step::Moved;
        }
        let Some(mut snapshot) = self.waiting.pop_front() else { return Step::Moved };
        let (partition, seq) = (snapshot.partition, snapshot.reached.seq);
        let is_there = |name: &SegmentName| store.segments.contains_key(&(partition, *name));
        let builds_on = snapshot.taken.segments.iter();
        let own = snapshot.taken.segment.as_ref().map(|segment| segment.name);
        if random.chance(faults.aborted) || !builds_on.filter(|name| Some(**name) != own).all(is_there) {
            self.failed += 1;
            return Step::Failed(partition);
        }
        if let Some(Segment { name, bytes }) = snapshot.taken.segment.take() {
            store.segments.insert((partition, name), bytes);
            self.waiting.push_front(snapshot);
            return Step::Moved;
        }
        let mut bytes = Stored::new(&self.log, &snapshot.reached, snapshot.taken.bytes.clone()).encode();
        let damaged = random.chance(faults.damaged);
        if damaged {
            bytes.truncate(random.index(bytes.len()));
        }
        store.checkpoints.insert((partition, seq), bytes);
        self.needs.insert((partition, seq), snapshot.taken.segments.clone());
        let known = self.known.entry(partition).or_default();
        known.insert(seq);
        let kept: Vec<u64> = known.range(..=seq).rev().take(KEPT).copied().collect();
        self.doomed = known.iter().filter(|seq| !kept.contains(seq)).map(|seq| (partition, *seq)).collect();
        self.collect(partition, store);
        if damaged {
            self.failed += 1;
            return Step::Moved;
        }
        Step::Stored(snapshot)
    }

    /// Deletes the segments that no checkpoint needs, if it is known of all what they need.
    fn collect(&self, partition: u16, store: &mut Store) {
        let known = self.known.get(&partition).into_iter().flatten();
        let needs: Option<Vec<_>> = known.map(|seq| self.needs.get(&(partition, *seq))).collect();
        if let Some(needs) = needs {
            store.segments.retain(|(other, name), _| *other != partition || needs.iter().any(|of| of.contains(name)));
        }
    }
}
