//! One room: the sum of what was contributed, what was told of it last, and what has to be told next.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{Own, Terms, split};
use crate::model::{Cause, Member, Millis, RoomPart, State, Tally, partition_of};
use crate::wire::{CONTRACT_VERSION, Message, Named, event, plain, told};

/// What is known of a room.
#[derive(Debug)]
pub(super) struct Room {
    /// Its own, whose owner tells of it.
    pub(super) partition: u16,
    /// What each partition contributes, and when that was stored; none is empty.
    pub(super) parts: BTreeMap<u16, (RoomPart, Millis)>,
    /// Their sum, kept by adding and taking away.
    pub(super) sum: Tally,
    /// How many of them don't say who is there.
    unknown: usize,
    /// The log time and sequence of the latest change.
    at_ms: Millis,
    seq: u64,
    told: Option<Told>,
    /// By token, those who were told to be there.
    members: BTreeMap<Box<str>, ToldMember>,
    /// The latest incarnation of somebody who left.
    floor: u64,
    /// The id of our last event that was not read back yet: until then nothing more is told.
    pub(super) pending: Option<Box<str>>,
    /// No event of the room before this.
    pub(super) next_at: Option<Instant>,
}

/// What was told of a room last.
#[derive(Debug)]
struct Told {
    incarnation: u64,
    ordinal: u32,
    at_ms: Millis,
    tally: Tally,
}

/// What was told last of somebody who is there.
#[derive(Debug)]
struct ToldMember {
    incarnation: u64,
    ordinal: u32,
    at_ms: Millis,
    state: State,
    sessions: told::Sessions,
}

impl Room {
    pub(super) fn new(partition: u16) -> Self {
        Self {
            partition,
            parts: BTreeMap::new(),
            sum: Tally::default(),
            unknown: 0,
            at_ms: 0,
            seq: 0,
            told: None,
            members: BTreeMap::new(),
            floor: 0,
            pending: None,
            next_at: None,
        }
    }

    /// Everything is told anew; what is on its way still is.
    pub(super) fn forget(&mut self) {
        let floor = self.latest_incarnation();
        let (pending, next_at) = (self.pending.take(), self.next_at);
        *self = Self { floor, pending, next_at, ..Self::new(self.partition) };
    }

    /// What a partition contributes from now on.
    pub(super) fn contribute(&mut self, partition: u16, part: RoomPart, stored_ms: Millis) {
        if let Some((before, _)) = self.parts.remove(&partition) {
            self.sum.remove(&before.tally);
            self.unknown -= usize::from(before.members.is_none());
        }
        (self.at_ms, self.seq) = (self.at_ms.max(part.at_ms), self.seq.max(part.seq));
        if !part.tally.is_empty() {
            self.sum.add(&part.tally);
            self.unknown += usize::from(part.members.is_none());
            self.parts.insert(partition, (part, stored_ms));
        }
    }

    /// An event of the room was read.
    pub(super) fn was_told(&mut self, told: &told::Room<'_>) {
        let tally = Tally {
            sessions: told.sessions.into(),
            users: told.users.into(),
            ready: told.ready.iter().map(|(name, count)| (name.as_ref().into(), *count)).collect(),
            expected_permille: told.expected_permille,
            variance_millionths: told.variance_permille.saturating_mul(1_000),
        };
        let (incarnation, ordinal, at_ms) = (told.incarnation, told.ordinal, told.at_ms);
        self.told = Some(Told { incarnation, ordinal, at_ms, tally });
        self.came_back(&told.id);
    }

    /// An event of a user in the room was read.
    pub(super) fn member_was_told(&mut self, user: Box<str>, told: &told::Member<'_>) {
        let (incarnation, ordinal, at_ms, sessions) = (told.incarnation, told.ordinal, told.at_ms, told.sessions);
        if told.to == State::Offline {
            self.members.remove(&user);
            self.floor = self.floor.max(incarnation);
        } else {
            self.members.insert(user, ToldMember { incarnation, ordinal, at_ms, state: told.to, sessions });
        }
        self.came_back(&told.id);
    }

    fn came_back(&mut self, id: &str) {
        if self.pending.as_deref() == Some(id) {
            self.pending = None;
        }
    }

    /// Whether nobody is there, and nobody was told to be.
    pub(super) fn is_over(&self) -> bool {
        self.parts.is_empty() && self.members.is_empty() && self.pending.is_none() && !self.is_told_used()
    }

    /// The latest incarnation of all that was told of it.
    pub(super) fn latest_incarnation(&self) -> u64 {
        let members = self.members.values().map(|member| member.incarnation);
        members.chain(self.told.as_ref().map(|told| told.incarnation)).fold(self.floor, u64::max)
    }

    fn is_told_used(&self) -> bool {
        self.told.as_ref().is_some_and(|told| !told.tally.is_empty())
    }

    /// Whether the sum is not what was told last.
    fn differs(&self) -> bool {
        match &self.told {
            None => !self.sum.is_empty(),
            Some(Told { tally, .. }) => {
                let Tally { sessions, users, ready, expected_permille, variance_millionths } = &self.sum;
                (sessions, users, ready, expected_permille) != (&tally.sessions, &tally.users, &tally.ready, &tally.expected_permille)
                    // It is told in thousandths.
                    || variance_millionths / 1_000 != tally.variance_millionths / 1_000
            }
        }
    }

    /// When it has to be looked at again though nothing changes: the interval after its last event ends.
    pub(super) fn look_again_at(&self, now: Instant, is_ours: bool) -> Option<Instant> {
        let at = self.next_at.filter(|at| *at > now)?;
        (self.pending.is_none() && (self.is_over() || is_ours && self.differs())).then_some(at)
    }

    /// What has to be told now, item by item; incarnations are above `floor`.
    pub(super) fn tell(
        &mut self,
        key: &str,
        own: &mut Own,
        floor: u64,
        now: Instant,
        terms: Terms,
    ) -> Vec<Vec<Message>> {
        let mut told = Vec::new();
        if self.pending.is_some() {
            return told;
        }
        let first_n = own.next_n;
        if self.differs() && self.next_at.is_none_or(|at| at <= now) {
            told.push(event::room(&self.event(key, own.next_id(), floor), terms.encoding).collect());
        }
        if self.sum.users() <= terms.members_max as u64 && self.unknown == 0 {
            let events = self.member_events(key, own, floor, terms.partitions);
            told.extend(events.iter().map(|of| vec![event::member(of, terms.encoding)]));
        }
        if own.next_n > first_n {
            self.pending = Some(own.id(own.next_n - 1).into());
        }
        told
    }

    fn event<'a>(&'a self, key: &'a str, id: String, floor: u64) -> told::Room<'a> {
        let (tenant, room) = split(key);
        let sum = &self.sum;
        let (incarnation, ordinal, cause, at_ms) = match &self.told {
            Some(told) if self.is_told_used() => {
                let cause = if sum.is_empty() { Cause::Left } else { Cause::Updated };
                (told.incarnation, told.ordinal.saturating_add(1), cause, self.at_ms.max(told.at_ms))
            }
            Some(_) | None => {
                // The latest: what was told before and has aged out of the stream began earlier.
                let first_ms = self.parts.values().map(|(part, _)| part.at_ms).max().unwrap_or(self.at_ms);
                let floor = floor.max(self.floor).max(self.told.as_ref().map_or(0, |told| told.incarnation));
                (first_ms.max(floor.saturating_add(1)), 1, Cause::Joined, self.at_ms)
            }
        };
        told::Room {
            v: CONTRACT_VERSION,
            kind: told::KINDS[5].into(),
            id: id.into(),
            incarnation,
            ordinal,
            cause: cause.name().into(),
            at_ms,
            partition: self.partition,
            seq: self.seq,
            tenant: plain(tenant),
            room: plain(room),
            sessions: sum.sessions.into(),
            users: sum.users.into(),
            ready: sum.ready.iter().map(|(name, count)| ((&**name).into(), *count)).collect(),
            expected_permille: sum.expected_permille,
            variance_permille: sum.variance_millionths / 1_000,
        }
    }

    /// The differences between who is there and who was told to be.
    fn member_events<'a>(&'a self, key: &'a str, own: &mut Own, floor: u64, partitions: u16) -> Vec<told::Member<'a>> {
        let found = self.parts.values().flat_map(|(part, _)| part.members.iter().flatten());
        let found: BTreeMap<&str, &Member> = found.map(|member| (&*member.user, member)).collect();
        let gone = self.members.keys().filter(|user| !found.contains_key(&***user)).map(|user| (&**user, None));
        let (tenant, room) = split(key);
        let floor = floor.max(self.floor);
        let mut events = Vec::new();
        for (user, member) in gone.chain(found.iter().map(|(user, member)| (*user, Some(*member)))) {
            let before = self.members.get(user);
            let (to, sessions) = member.map_or((State::Offline, [0; 4].into()), |member| {
                (member.state, told::Sessions::from(member.sessions.map(u64::from)))
            });
            if before.is_some_and(|before| (before.state, before.sessions) == (to, sessions)) {
                continue;
            }
            let part = self.parts.get(&partition_of(tenant, user, partitions)).map(|(part, _)| part);
            let (at_ms, seq) = part.map_or((self.at_ms, self.seq), |part| (part.at_ms, part.seq));
            let (incarnation, ordinal, from, at_ms) = match before {
                Some(before) => {
                    (before.incarnation, before.ordinal.saturating_add(1), before.state, at_ms.max(before.at_ms))
                }
                None => (at_ms.max(floor.saturating_add(1)), 1, State::Offline, at_ms),
            };
            let cause = match (from, to) {
                (State::Offline, _) => Cause::Joined,
                (_, State::Offline) => Cause::Left,
                (_, _) => Cause::Updated,
            };
            events.push(told::Member {
                v: CONTRACT_VERSION,
                kind: told::KINDS[6].into(),
                id: own.next_id().into(),
                incarnation,
                ordinal,
                cause: cause.name().into(),
                at_ms,
                partition: self.partition,
                seq,
                tenant: plain(tenant),
                room: plain(room),
                user: plain(user),
                from,
                to,
                sessions,
            });
        }
        events
    }
}
