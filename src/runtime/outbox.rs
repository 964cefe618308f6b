//! The outbox: what was derived and not yet committed, of each partition in the order in which it has to be told. Pure, and
//! public so that `tests/simulation.rs` drives the very thing.

mod item;

use std::collections::{BTreeMap, VecDeque};

use crate::nats::{Batch, OutMessage};
use item::Item;
pub use item::{Reached, Snapshot, Telling};

/// A batch of more bytes takes no further item: it has to land within seconds.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Who has no more to tell than a batch's messages divided by this goes before those who have much.
const LITTLE: usize = 16;

/// One batch of so many is for whose turn it is, of those who have much. In the others the fewest go first: whoever was begun is
/// finished. Each partition's progress replaces the one before, which costs the server much less where that is not far behind.
const IN_TURN: usize = 4;

/// How much a partition has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holding {
    /// Little.
    Little,
    /// More than a [`LITTLE`]th of a batch.
    Much,
}

/// Most commits under way at a time: while the server works at one, the next is written and sent.
pub const COMMITS_AT_ONCE: usize = 2;

/// A batch that is being filled.
#[derive(Default)]
struct Filling {
    batch: Batch,
    /// Of payloads.
    bytes: usize,
    /// How many partitions are in it.
    progress: usize,
}

impl Filling {
    /// How many messages it comes to.
    fn len(&self) -> usize {
        self.batch.messages.len() + self.progress
    }
}

/// What waits to be committed. Items leave it only when their commit is confirmed: until then a lost process tells them
/// again from the log, and nobody else may.
#[derive(Debug)]
pub struct Outbox {
    /// By partition.
    queues: Vec<Queue>,
    /// How many items wait in all of them.
    len: usize,
    /// How many commits are under way.
    under_way: usize,
    /// The partition that is asked first for the next commit, by [`Holding`].
    turns: [usize; 2],
    /// How many batches were taken.
    batches: usize,
    /// The messages of the partials that wait, by subject: the server takes the same rollup only once in a batch, and a newer
    /// count replaces the one that waits.
    partials: BTreeMap<Box<str>, OutMessage>,
    messages_max: usize,
}

/// What waits of one partition, in its order.
#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    /// How many at the front are in a commit that is under way: one at a time.
    in_flight: usize,
    /// What the last confirmed commit said, while the partition is ours.
    confirmed: Option<Reached>,
}

impl Outbox {
    /// An empty outbox of no partition; a batch holds so many messages at most.
    #[must_use]
    pub fn new(messages_max: usize) -> Self {
        Self {
            queues: Vec::new(),
            len: 0,
            under_way: 0,
            turns: [0; 2],
            batches: 0,
            partials: BTreeMap::new(),
            messages_max,
        }
    }

    /// A partition is ours from now on, and has told so much already.
    pub fn begin(&mut self, partition: u16, told: Reached) {
        let at = usize::from(partition);
        if self.queues.len() <= at {
            self.queues.resize_with(at + 1, Queue::default);
        }
        self.queues[at].confirmed = Some(told);
    }

    /// A partition is ours no more: what of it was not committed is the next owner's to tell.
    pub fn end(&mut self, partition: u16) {
        let queue = std::mem::take(&mut self.queues[usize::from(partition)]);
        self.len -= queue.items.len();
        self.partials.retain(|_, message| message.partition != partition);
    }

    /// Whether nothing of a partition waits for its commit.
    #[must_use]
    pub fn is_empty_of(&self, partition: u16) -> bool {
        self.queues.get(usize::from(partition)).is_none_or(|queue| queue.items.is_empty())
    }

    /// How far a partition's log is told, if it is ours.
    #[must_use]
    pub fn told(&self, partition: u16) -> Option<&Reached> {
        self.queues.get(usize::from(partition))?.confirmed.as_ref()
    }

    fn confirmed(&self, partition: u16) -> &Reached {
        self.told(partition).expect("only what is ours is told")
    }

    /// How many items wait, those of commits under way included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether everything is committed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a partition has told this event already, before the process began.
    #[must_use]
    pub fn was_told(&self, partition: u16, seq: u64, k: u32) -> bool {
        let confirmed = self.confirmed(partition);
        (seq, k) < (confirmed.seq, confirmed.k)
    }

    /// Takes one event; `reached` is the position behind it.
    pub fn tell(&mut self, partition: u16, reached: Reached, telling: impl Into<Telling>) {
        self.push(Item::Told { partition, reached, telling: telling.into() });
    }

    /// Writes what is probably in the next commit, for when there is nothing else to do.
    pub fn prepare(&mut self) {
        let mut left = self.messages_max;
        let [little, much] = self.asked(|queue| !queue.items.is_empty());
        for at in little.into_iter().chain(much) {
            let queue = &mut self.queues[at];
            for item in queue.items.iter_mut().skip(queue.in_flight).take(left) {
                item.messages();
                left -= 1;
            }
        }
    }

    /// The partitions that may be asked for the next batch, each in its order: who has little to tell, and who has much.
    fn asked(&self, may: impl Fn(&Queue) -> bool) -> [Vec<usize>; 2] {
        let [little, mut much] = [Holding::Little, Holding::Much].map(|holding| {
            let is_asked = |queue: &Queue| may(queue) && self.holding(queue) == holding;
            self.in_turn(holding).filter(|at| is_asked(&self.queues[*at])).collect::<Vec<_>>()
        });
        if !self.is_for_turns() {
            much.sort_by_key(|at| self.queues[*at].items.len());
        }
        [little, much]
    }

    /// Whether the next batch is for whose turn it is, of those who have much.
    fn is_for_turns(&self) -> bool {
        self.batches % IN_TURN == IN_TURN - 1
    }

    fn holding(&self, queue: &Queue) -> Holding {
        if queue.items.len() > self.messages_max / LITTLE { Holding::Much } else { Holding::Little }
    }

    /// All partitions, beginning with the one that is asked first.
    fn in_turn(&self, holding: Holding) -> impl Iterator<Item = usize> + use<> {
        let (turn, count) = (self.turns[holding as usize], self.queues.len());
        (0..count).map(move |step| (turn + step) % count)
    }

    /// Takes messages that no entry of the log caused.
    pub fn tell_aside(&mut self, partition: u16, messages: Vec<OutMessage>) {
        self.push(Item::Aside { partition, messages });
    }

    /// Takes what a partition contributes to a room, in place of what waits of that already.
    pub fn tell_partial(&mut self, message: OutMessage) {
        let (partition, subject): (u16, Box<str>) = (message.partition, message.subject.as_str().into());
        if self.partials.insert(subject.clone(), message).is_none() {
            self.push(Item::Partial { partition, subject });
        }
    }

    /// Whether [`Outbox::keep`] takes a snapshot from there.
    #[must_use]
    pub fn may_keep(&self, partition: u16, reached: &Reached) -> bool {
        reached.place() >= self.confirmed(partition).place()
    }

    /// Takes a snapshot, to be stored once everything before it is committed. One from before what was told already, as
    /// in the midst of a replay, is passed over: its commit would take the progress back, and events would be told again.
    /// Whether it was taken.
    pub fn keep(&mut self, snapshot: Snapshot) -> bool {
        let is_kept = self.may_keep(snapshot.partition, &snapshot.reached);
        if is_kept {
            self.push(Item::Snapshot(snapshot));
        }
        is_kept
    }

    fn push(&mut self, item: Item) {
        self.len += 1;
        self.queues[usize::from(item.partition())].items.push_back(item);
    }

    /// The next commit: as much as one batch holds. Who has little to tell goes first, up to half of the batch, so that he hardly waits
    /// for those who have much; those follow one after the other, so that few need their progress in it.
    ///
    /// `None` if there is nothing; or if one is under way and fewer items wait of other partitions than a batch has messages, so
    /// that it grows meanwhile; or if so many are under way as may be.
    pub fn next_batch(&mut self) -> Option<Batch> {
        let enough = if self.under_way == 0 { 1 } else { self.messages_max };
        // Each turn of the loop asks, so what is already known comes first.
        if self.under_way == COMMITS_AT_ONCE || self.len < enough {
            return None;
        }
        let [little, much] = self.asked(Queue::is_free);
        let waiting: usize = little.iter().chain(&much).map(|at| self.queues[*at].items.len()).sum();
        if waiting < enough {
            return None;
        }
        self.under_way += 1;
        let mut filling = Filling::default();
        for at in &little {
            if filling.len() < self.messages_max / 2 {
                self.take_all(*at, &mut filling);
            }
        }
        for at in much.iter().chain(&little) {
            self.take_all(*at, &mut filling);
        }
        self.batches = self.batches.wrapping_add(1);
        let mut taken = [much, little].concat();
        taken.retain(|at| self.queues[*at].in_flight > 0);
        taken.sort_unstable();
        filling.batch.progress = taken.iter().map(|at| (*at as u16, self.queues[*at].reached().position())).collect();
        Some(filling.batch)
    }

    /// Takes what a partition has into the batch, as far as there is room. If anything was taken in its turn, the turn moves on.
    fn take_all(&mut self, at: usize, filling: &mut Filling) {
        let is_any = self.take(at, filling);
        while self.take(at, filling) {}
        let holding = self.holding(&self.queues[at]);
        if is_any && (holding == Holding::Little || self.is_for_turns()) {
            self.turns[holding as usize] = at + 1;
        }
    }

    /// Takes the next item of a partition into the batch. Whether there was one, and room for it.
    fn take(&mut self, at: usize, filling: &mut Filling) -> bool {
        let Filling { batch, bytes, progress } = filling;
        let queue = &mut self.queues[at];
        let Some(item) = queue.items.get_mut(queue.in_flight) else { return false };
        let is_first = queue.in_flight == 0;
        let size = batch.messages.len() + *progress + item.len() + usize::from(is_first);
        if *bytes > BATCH_BYTES_MAX || size > self.messages_max && *progress > 0 {
            return false;
        }
        *progress += usize::from(is_first);
        queue.in_flight += 1;
        let messages = item.take_messages(&mut self.partials);
        *bytes += messages.iter().map(|message| message.payload.len()).sum::<usize>();
        batch.messages.extend(messages);
        true
    }

    /// The commit of these partitions is confirmed: only now its items leave. Returns the snapshots that may be stored.
    pub fn confirm(&mut self, partitions: &[u16]) -> Vec<Snapshot> {
        self.under_way -= 1;
        let mut snapshots = Vec::new();
        for partition in partitions {
            let queue = &mut self.queues[usize::from(*partition)];
            // It may have ended meanwhile.
            if queue.in_flight == 0 {
                continue;
            }
            queue.confirmed = Some(queue.reached().clone());
            self.len -= queue.in_flight;
            for item in queue.items.drain(..std::mem::take(&mut queue.in_flight)) {
                if let Item::Snapshot(snapshot) = item {
                    snapshots.push(snapshot);
                }
            }
        }
        snapshots
    }
}

impl Queue {
    /// Whether something waits, and no commit of it is under way.
    fn is_free(&self) -> bool {
        self.in_flight == 0 && !self.items.is_empty()
    }

    /// How far the partition's log is told with what is in the commit under way.
    fn reached(&self) -> &Reached {
        let of_items = self.items.range(..self.in_flight).rev().find_map(Item::reached);
        of_items.or(self.confirmed.as_ref()).expect("only what is ours is told")
    }
}

#[cfg(test)]
mod tests;
