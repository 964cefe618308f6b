//! Rooms: what all partitions contribute to each, as it was told, and what the owner of a room tells of that. Pure: it is given
//! what was read of PRESENCE_EVENTS, and the local clock, which decides only when something is told.
//!
//! Every engine knows every room. That of the room's partition tells the sum and who is there, by what was told last, which
//! all of them have read: so whoever owns it next goes on where the one before ended.

mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::told;
use crate::model::{Millis, RoomPart, Tally, partition_of};
use crate::nats::{OutMessage, ToldOfRooms};
use crate::wire::Encoding;
use room::Room;

/// The first number of the ids of rooms' events in an epoch: those below are of what the runtime tells of itself.
const FIRST_N: u64 = 1 << 32;

/// What is told of rooms, and how.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Partitions of the log.
    pub partitions: u16,
    /// Least time between two events of a room.
    pub every: Duration,
    /// Users up to which it is told who is there.
    pub members_max: usize,
    /// How events are written.
    pub encoding: Encoding,
}

/// All rooms of all tenants.
#[derive(Debug)]
pub struct Rooms {
    terms: Terms,
    /// By `<tenant>.<room>`: those in which somebody is, or was told to be.
    by_key: BTreeMap<Box<str>, Room>,
    /// Whose rooms are ours to tell.
    owned: BTreeMap<u16, Own>,
    /// Rooms that have to be looked at.
    changed: BTreeSet<Box<str>>,
    /// Rooms that have to be looked at then.
    waiting: BTreeSet<(Instant, Box<str>)>,
    /// The latest incarnation of what is not remembered any more.
    floor: u64,
    /// Whether everything was read that was there when the reader began.
    is_whole: bool,
    marked: u64,
}

/// A partition whose rooms are ours to tell.
#[derive(Debug)]
struct Own {
    partition: u16,
    epoch: u64,
    next_n: u64,
}

impl Own {
    fn next_id(&mut self) -> String {
        self.next_n += 1;
        self.id(self.next_n - 1)
    }

    fn id(&self, n: u64) -> String {
        format!("{}-e{}-{n}", self.partition, self.epoch)
    }
}

/// A partial as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredPart<'a> {
    /// Whose.
    pub partition: u16,
    /// `<tenant>.<room>`
    pub key: &'a str,
    /// What it says.
    pub part: &'a RoomPart,
    /// When it was stored.
    pub stored_ms: Millis,
}

impl Rooms {
    /// Nothing was read yet.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            by_key: BTreeMap::new(),
            owned: BTreeMap::new(),
            changed: BTreeSet::new(),
            waiting: BTreeSet::new(),
            floor: 0,
            is_whole: false,
            marked: 0,
        }
    }

    /// Takes what was read.
    pub fn read(&mut self, told: ToldOfRooms, now: Instant) {
        let is_whole = self.is_whole;
        match told {
            ToldOfRooms::Anew => {
                self.is_whole = false;
                self.by_key.values_mut().for_each(Room::forget);
                self.changed.extend(self.by_key.keys().cloned());
            }
            ToldOfRooms::Marked(number) => (self.is_whole, self.marked) = (true, number),
            ToldOfRooms::Part { partition, key, part, stored_ms } if partition < self.terms.partitions => {
                self.room(key).contribute(partition, part, stored_ms);
            }
            ToldOfRooms::Part { .. } => {}
            ToldOfRooms::Room(key, told) => {
                let every = self.terms.every;
                let room = self.room(key);
                room.was_told(&told);
                if is_whole {
                    // From when it is known to be stored: so the stream's own timestamps are never nearer.
                    room.next_at = Some(now + every);
                }
            }
            ToldOfRooms::Member(key, user, told) => self.room(key).member_was_told(user, &told),
        }
    }

    /// A room that changes.
    fn room(&mut self, key: Box<str>) -> &mut Room {
        self.changed.insert(key.clone());
        let partitions = self.terms.partitions;
        self.by_key.entry(key).or_insert_with_key(|key| {
            let (tenant, name) = split(key);
            Room::new(partition_of(tenant, name, partitions))
        })
    }

    /// The number of the latest mark that was read.
    #[must_use]
    pub fn marked(&self) -> u64 {
        self.marked
    }

    /// Whether everything was read that was there when the reader began: until then nothing is told.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The partitions whose rooms are ours to tell, each with our epoch.
    pub fn owned(&self) -> impl Iterator<Item = (u16, u64)> {
        self.owned.values().map(|own| (own.partition, own.epoch))
    }

    /// The rooms of some partitions are ours to tell from now on, each with our epoch. What was told of them before has been
    /// read.
    pub fn own(&mut self, partitions: &BTreeMap<u16, u64>) {
        for (&partition, &epoch) in partitions {
            if self.owned.get(&partition).is_none_or(|own| own.epoch != epoch) {
                self.owned.insert(partition, Own { partition, epoch, next_n: FIRST_N });
            }
        }
        let of_them = self.by_key.iter().filter(|(_, room)| partitions.contains_key(&room.partition));
        self.changed.extend(of_them.map(|(key, _)| key.clone()));
    }

    /// The rooms of a partition are ours no more: what of them is not committed never will be.
    pub fn lose(&mut self, partition: u16) {
        if self.owned.remove(&partition).is_some() {
            let of_it = self.by_key.values_mut().filter(|room| room.partition == partition);
            of_it.for_each(|room| room.pending = None);
        }
    }

    /// What has to be told now, of so many rooms at most: each with the partition in which.
    pub fn tell(&mut self, now: Instant, rooms_max: usize) -> Vec<(u16, Vec<OutMessage>)> {
        let mut told = Vec::new();
        if !self.is_whole {
            return told;
        }
        while let Some((at, _)) = self.waiting.first()
            && *at <= now
        {
            self.changed.extend(self.waiting.pop_first().map(|(_, key)| key));
        }
        for _ in 0..rooms_max {
            let Some(key) = self.changed.pop_first() else { break };
            let Some(room) = self.by_key.get_mut(&key) else { continue };
            if let Some(own) = self.owned.get_mut(&room.partition) {
                let messages = room.tell(&key, own, self.floor, now, self.terms);
                let partition = room.partition;
                let out = |message| told::out(partition, message);
                told.extend(messages.into_iter().map(|item| (partition, item.into_iter().map(out).collect())));
            }
            if let Some(at) = room.look_again_at(now, self.owned.contains_key(&room.partition)) {
                self.waiting.insert((at, key));
            } else if room.is_over() {
                self.floor = self.floor.max(room.latest_incarnation());
                self.by_key.remove(&key);
            }
        }
        told
    }

    /// When [`Rooms::tell`] should be called next, if at all.
    #[must_use]
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        if !self.is_whole {
            return None;
        }
        if self.changed.is_empty() { self.waiting.first().map(|(at, _)| *at) } else { Some(now) }
    }

    /// How many are in a room, of this key (`<tenant>.<room>`, tokens): zeros where nobody is. `None` while that is not known,
    /// since not everything was read yet.
    #[must_use]
    pub fn tally(&self, key: &str) -> Option<Tally> {
        self.is_whole.then(|| self.by_key.get(key).map(|room| room.sum.clone()).unwrap_or_default())
    }

    /// Whether nobody is in a room of ours, and that is told.
    #[must_use]
    pub fn is_told_empty(&self, key: &str) -> bool {
        let (tenant, name) = split(key);
        let is_ours = self.owned.contains_key(&partition_of(tenant, name, self.terms.partitions));
        self.is_whole && is_ours && self.by_key.get(key).is_none_or(Room::is_over)
    }

    /// What is stored of some partitions' contributions, in no order of partitions.
    pub fn stored(&self, is_wanted: impl Fn(u16) -> bool) -> impl Iterator<Item = StoredPart<'_>> {
        let of_rooms = self.by_key.iter().flat_map(|(key, room)| {
            room.parts.iter().map(move |(partition, (part, stored_ms))| StoredPart {
                partition: *partition,
                key,
                part,
                stored_ms: *stored_ms,
            })
        });
        of_rooms.filter(move |stored| is_wanted(stored.partition))
    }
}

/// Tenant and room of a key.
fn split(key: &str) -> (&str, &str) {
    key.split_once('.').unwrap_or((key, ""))
}

#[cfg(test)]
mod tests;
