//! Rooms in the loop: when the rooms of a partition become ours to tell, and which partials are told again since what is stored
//! is not what the fold counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info};

use super::live::Live;
use super::rooms::{Rooms, StoredPart, Terms};
use super::told;
use crate::fold::Partition;
use crate::model::{Millis, RoomPart, Token};
use crate::nats::{Fence, RoomReader, ToldOfRooms};

/// Most rooms that are told of in one turn of the loop.
const ROOMS_AT_ONCE: usize = 256;
/// Partials that are older than this part of the retention are told again.
const OLD_AFTER: u32 = 4;
/// They are looked for so often within the retention.
const LOOKS: u32 = 16;

/// What the loop holds of rooms.
#[derive(Debug)]
pub(crate) struct Census {
    pub(crate) rooms: Rooms,
    reader: RoomReader,
    /// Partitions that are ours, with our epoch, whose partials were not compared yet with what the fold counts: that can be
    /// done when the mark of this number was read, and the fold has caught up.
    unchecked: BTreeMap<u16, (u64, u64)>,
    members_max: usize,
    retention: Duration,
    next_look: Instant,
}

impl Census {
    /// Events are kept for `retention`.
    pub(crate) fn new(reader: RoomReader, terms: Terms, retention: Duration) -> Self {
        Self {
            rooms: Rooms::new(terms),
            reader,
            unchecked: BTreeMap::new(),
            members_max: terms.members_max,
            retention,
            next_look: Instant::now() + retention / LOOKS,
        }
    }

    /// Partitions are ours from now on; what was told of rooms before is stored.
    pub(super) fn begin(&mut self, fences: &[Fence]) {
        let mark = self.reader.mark();
        self.unchecked.extend(fences.iter().map(|fence| (fence.partition, (fence.epoch, mark))));
    }

    /// A partition is ours no more.
    pub(super) fn end(&mut self, partition: u16) {
        self.unchecked.remove(&partition);
        self.rooms.lose(partition);
    }

    /// Whether everything is known and compared.
    pub(super) fn is_settled(&self) -> bool {
        self.rooms.is_whole() && self.unchecked.is_empty()
    }

    /// What was read next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Vec<ToldOfRooms> {
        self.reader.next().await
    }

    pub(super) fn read(&mut self, chunk: Vec<ToldOfRooms>) {
        let now = Instant::now();
        for told in chunk {
            if told == ToldOfRooms::Anew {
                self.unchecked.extend(self.rooms.owned().map(|(partition, epoch)| (partition, (epoch, 0))));
            }
            self.rooms.read(told, now);
        }
    }

    /// When something of rooms is due.
    pub(super) fn next_due(&self) -> Instant {
        self.rooms.next_due(Instant::now()).map_or(self.next_look, |due| due.min(self.next_look))
    }
}

impl Live {
    /// One turn of what is to be done of rooms.
    pub(super) fn tell_rooms(&mut self) {
        if let Some(chunk) = self.census.reader.try_next() {
            self.census.read(chunk);
        }
        if self.outbox.len() >= self.pending_max {
            return;
        }
        self.check_partials();
        let now = Instant::now();
        if now >= self.census.next_look {
            self.census.next_look = now + self.census.retention / LOOKS;
            self.renew_partials();
        }
        for (partition, messages) in self.census.rooms.tell(now, ROOMS_AT_ONCE) {
            self.outbox.tell_aside(partition, messages);
        }
    }

    /// Compares what is stored of partitions that have become ours with what they count; from now on their rooms are ours too.
    fn check_partials(&mut self) {
        let Self { census, followers, outbox, .. } = self;
        if !census.rooms.is_whole() || census.unchecked.is_empty() {
            return;
        }
        let marked = census.rooms.marked();
        let is_ready = |(&partition, &(epoch, mark)): (&u16, &(u64, u64))| {
            // Then it has folded all that was told of it, as far as the log has it still.
            (mark <= marked && followers.is_caught_up_with(partition)).then_some((partition, epoch))
        };
        let ready: BTreeMap<u16, u64> = census.unchecked.iter().filter_map(is_ready).collect();
        if ready.is_empty() {
            return;
        }
        let mut stored: BTreeMap<u16, Vec<StoredPart<'_>>> = BTreeMap::new();
        for part in census.rooms.stored(|partition| ready.contains_key(&partition)) {
            stored.entry(part.partition).or_default().push(part);
        }
        let mut told_again = 0;
        for &number in ready.keys() {
            let partition = followers.of(number).and_then(|fleet| fleet.partition(number));
            let partition = partition.expect("it is followed and has caught up");
            for part in amends(partition, stored.get(&number).map_or(&[], Vec::as_slice), census.members_max) {
                told_again += 1;
                outbox.tell_partial(told::partial(number, &part));
            }
            followers.rooms_are_checked(number);
        }
        info!(partitions = ready.len(), told_again, "rooms are told");
        census.unchecked.retain(|partition, _| !ready.contains_key(partition));
        census.rooms.own(&ready);
    }

    /// Tells partials again that would age out of the stream.
    fn renew_partials(&mut self) {
        let Self { census, followers, outbox, .. } = self;
        let owned: BTreeSet<u16> = census.rooms.owned().map(|(partition, _)| partition).collect();
        let old_ms = u64::try_from((census.retention / OLD_AFTER).as_millis()).unwrap_or(u64::MAX);
        let mut renewed = 0;
        for StoredPart { partition: number, key, stored_ms, .. } in census.rooms.stored(|of| owned.contains(&of)) {
            let Some(partition) = followers.of(number).and_then(|fleet| fleet.partition(number)) else { continue };
            if is_old(stored_ms, old_ms, partition.log_time())
                && let Some(part) = part_of(partition, key, census.members_max)
            {
                renewed += 1;
                outbox.tell_partial(told::partial(number, &part));
            }
        }
        debug!(renewed, "partials looked through");
    }
}

/// Both times are those of servers.
fn is_old(stored_ms: Millis, old_ms: Millis, now_ms: Millis) -> bool {
    stored_ms.saturating_add(old_ms) < now_ms
}

fn part_of(partition: &Partition, key: &str, members_max: usize) -> Option<RoomPart> {
    let (tenant, room) = key.split_once('.')?;
    Some(partition.room_part(Token::parse(tenant).ok()?, Token::parse(room).ok()?, members_max))
}

/// What a partition has to tell of rooms, since what is stored of it is something else: contributions that differ, are missing
/// or superfluous.
pub fn amends(partition: &Partition, stored: &[StoredPart<'_>], members_max: usize) -> Vec<RoomPart> {
    let mut stored: BTreeMap<&str, &RoomPart> = stored.iter().map(|stored| (stored.key, stored.part)).collect();
    let mut amends = Vec::new();
    for part in partition.room_parts(members_max) {
        let known = stored.remove(&*format!("{}.{}", part.tenant, part.room));
        if known.is_none_or(|known| (&known.tally, &known.members) != (&part.tally, &part.members)) {
            amends.push(part);
        }
    }
    amends.extend(stored.into_keys().filter_map(|key| part_of(partition, key, members_max)));
    amends
}
