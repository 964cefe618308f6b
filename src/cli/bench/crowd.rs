//! Who beats: sessions of users, in an order in which neighbours in time are no neighbours in memory. Pure.

use async_nats::Subject;
use bytes::Bytes;

use super::Result;
use super::rig::TENANT;
use crate::model::{Signal, partition_of};
use crate::wire::batch::{HeldSignal, encode};
use crate::wire::{Encoding, subject};

/// The heartbeats of a batch.
pub(super) const BATCH: usize = 1_000;
/// Coprime to all numbers of sessions that are used here.
const STRIDE: usize = 611_953;
const GATEWAY: &str = "gateway";

/// Sessions, by number.
#[derive(Debug, Clone)]
pub(super) struct Crowd {
    sessions: usize,
    per_user: usize,
    /// How many users share a room, if there are rooms.
    room: Option<usize>,
    /// Those of each partition, in the order in which they beat.
    partitions: Vec<Vec<u32>>,
    /// How far the round of single heartbeats is, and that of each partition's batches.
    beaten: usize,
    taken: Vec<usize>,
    /// The partition whose batch is next.
    next: usize,
    /// The last `seq` that anybody said.
    seq: u64,
}

/// What is to be published, and how much of it is a heartbeat.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) messages: Vec<(Subject, Bytes)>,
    pub(super) heartbeats: usize,
}

impl Crowd {
    /// So many sessions, `per_user` of each user, on a log with so many partitions.
    pub(super) fn new(sessions: usize, per_user: usize, partitions: u16) -> Self {
        let mut of: Vec<Vec<u32>> = vec![Vec::new(); partitions.into()];
        for at in 0..sessions {
            let number = at * STRIDE % sessions;
            let user = format!("u{}", number / per_user);
            of[usize::from(partition_of(TENANT, &user, partitions))].push(u32::try_from(number).unwrap_or(u32::MAX));
        }
        let taken = vec![0; partitions.into()];
        Self { sessions, per_user, room: None, partitions: of, beaten: 0, taken, next: 0, seq: 0 }
    }

    /// The same, in rooms of so many users.
    pub(super) fn in_rooms(self, users: usize) -> Self {
        Self { room: Some(users), ..self }
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions
    }

    /// The heartbeats of its largest batches.
    pub(super) fn batch_size(&self) -> usize {
        self.partitions.iter().map(|sessions| sessions.len().min(BATCH)).max().unwrap_or(1).max(1)
    }

    /// The first so many of them, as a crowd of their own whose beats come behind those of this one.
    pub(super) fn first(&self, sessions: usize, partitions: u16) -> Self {
        Self { seq: self.seq, ..Self::new(sessions, self.per_user, partitions) }
    }

    /// The next heartbeats, each a message.
    pub(super) fn singles(&mut self, count: usize) -> Result<Prepared> {
        let mut messages = Vec::with_capacity(count);
        for _ in 0..count {
            let number = self.beaten % self.sessions * STRIDE % self.sessions;
            self.beaten += 1;
            self.seq += 1;
            let (user, session) = self.name(number);
            let payload = format!(r#"{{"epoch":1,"seq":{}}}"#, self.seq);
            messages.push((subject::signal(TENANT, &user, &session)?.into(), payload.into()));
        }
        Ok(Prepared { messages, heartbeats: count })
    }

    /// The next heartbeats, as gateways send them: at least `count`, in whole batches. Nobody is in a batch twice.
    pub(super) fn batches(&mut self, count: usize) -> Prepared {
        let mut prepared = Prepared { messages: Vec::with_capacity(count / BATCH + 1), heartbeats: 0 };
        while prepared.heartbeats < count && self.sessions > 0 {
            let at = self.next % self.partitions.len();
            self.next += 1;
            let size = BATCH.min(self.partitions[at].len());
            self.batch(at, size, &mut prepared, |_| Signal::default());
        }
        prepared
    }

    /// A heartbeat of everybody, in batches, with the room that they are in: how they come.
    pub(super) fn join(&mut self) -> Prepared {
        let mut prepared = Prepared { messages: Vec::new(), heartbeats: 0 };
        let (room, per_user) = (self.room, self.per_user);
        for at in 0..self.partitions.len() {
            let whole = self.partitions[at].len();
            for first in (0..whole).step_by(BATCH) {
                self.batch(at, BATCH.min(whole - first), &mut prepared, |number| {
                    let rooms = room.map(|users| [format!("room-{}", number / per_user / users).into()].into());
                    Signal { rooms, ..Signal::default() }
                });
            }
        }
        prepared
    }

    /// A batch of the next of a partition.
    fn batch(&mut self, at: usize, size: usize, prepared: &mut Prepared, says: impl Fn(usize) -> Signal) {
        let (first, whole) = (self.taken[at], self.partitions[at].len());
        if size == 0 {
            return;
        }
        self.taken[at] += size;
        self.seq += 1;
        let held = |turn: usize| {
            let number = self.partitions[at][turn % whole] as usize;
            let (user, session) = self.name(number);
            HeldSignal {
                user,
                session,
                signal: Signal { epoch: Some(1), seq: Some(self.seq), ..says(number) },
                age_ms: 0,
            }
        };
        let items: Vec<_> = (first..first + size).map(held).collect();
        let payload = encode(&items, Encoding::MessagePack);
        prepared.messages.push((subject::log_batch(at, TENANT, GATEWAY).into(), payload.into()));
        prepared.heartbeats += size;
    }

    fn name(&self, number: usize) -> (String, String) {
        (format!("u{}", number / self.per_user), format!("s{}", number % self.per_user))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_joins_once_and_beats_in_turn() {
        let mut crowd = Crowd::new(5_000, 2, 4);
        let joined = crowd.join();
        assert_eq!(joined.heartbeats, 5_000);
        let again = crowd.batches(5_000);
        assert!((5_000..6_000).contains(&again.heartbeats), "{}", again.heartbeats);
        assert_ne!(again.messages[0].1, joined.messages[0].1, "a batch that comes again would be a duplicate");
        let singles = crowd.singles(5_000).unwrap();
        let subjects: BTreeSet<_> = singles.messages.iter().map(|(subject, _)| subject.as_str()).collect();
        assert_eq!(subjects.len(), 5_000);
    }

    #[test]
    fn rooms_are_as_large_as_they_should_be() {
        let mut crowd = Crowd::new(400, 2, 4).in_rooms(100);
        let text: String =
            crowd.join().messages.iter().map(|(_, payload)| String::from_utf8_lossy(payload).into_owned()).collect();
        assert_eq!((text.matches("room-0").count(), text.matches("room-1").count()), (200, 200));
        assert_eq!(text.matches("room-2").count(), 0);
    }
}
