//! Rooms: how many of this partition's people are where. Each user contributes a share to each room that one of its sessions
//! is in; a look at the user takes its old shares back and adds the new ones, so a change costs the same in a room of any size.
//!
//! All of it follows from the records: nothing of it is in a checkpoint, and nothing of it reaches an event of the fold.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::partition::Partition;
use super::record::NONE;
use super::slab::Slab;
use crate::model::{Member, Millis, RoomPart, State, Tally, Token};

/// The rooms that somebody of this partition is in.
#[derive(Debug)]
pub(crate) struct Rooms {
    by_key: BTreeMap<Box<str>, u32>,
    rooms: Slab<Room>,
    /// Those that changed since they were asked for, each with the log time and sequence of its latest change.
    changed: BTreeMap<Box<str>, (Millis, u64)>,
}

#[derive(Debug, Default)]
struct Room {
    /// `<tenant>.<room>`
    key: Box<str>,
    sessions: [u64; 4],
    users: [u64; 4],
    /// By the place of the capability in the policy.
    ready: Vec<u64>,
    expected: u64,
    variance: u64,
    members: BTreeSet<u32>,
    at: Millis,
    seq: u64,
}

/// What a user contributes to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) room: u32,
    pub(crate) sessions: [u8; 4],
    /// The best state of its sessions there, and the greatest confidence that was told of one in that state.
    pub(crate) state: State,
    pub(crate) permille: u16,
    /// What it is ready for: a bit for each capability of the policy.
    pub(crate) ready: u64,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self { by_key: BTreeMap::new(), rooms: Slab::new(), changed: BTreeMap::new() }
    }

    /// All that changed so far was told.
    pub(crate) fn settle(&mut self) {
        self.changed.clear();
    }

    fn find_or_make(&mut self, key: String) -> u32 {
        if let Some(at) = self.by_key.get(key.as_str()) {
            return *at;
        }
        let key: Box<str> = key.into();
        let at = self.rooms.insert(Room { key: key.clone(), ..Room::default() });
        self.by_key.insert(key, at);
        at
    }

    /// A user's share of a room is another one; `now` is the log time and sequence of the entry that brought it.
    fn exchange(&mut self, user: u32, old: Option<&Share>, new: Option<&Share>, now: (Millis, u64)) {
        let Some(at) = old.or(new).map(|share| share.room) else { return };
        let room = &mut self.rooms[at];
        if let Some(old) = old {
            room.add(old, |count, more| count - more);
        }
        match new {
            Some(new) => {
                room.add(new, |count, more| count + more);
                room.members.insert(user);
            }
            None => {
                room.members.remove(&user);
            }
        }
        (room.at, room.seq) = now;
        self.changed.insert(room.key.clone(), now);
        if room.members.is_empty() {
            let room = self.rooms.remove(at);
            self.by_key.remove(&room.key);
        }
    }

    fn get(&self, key: &str) -> Option<&Room> {
        self.by_key.get(key).map(|at| &self.rooms[*at])
    }
}

impl Room {
    fn add(&mut self, share: &Share, with: impl Fn(u64, u64) -> u64) {
        for (count, more) in self.sessions.iter_mut().zip(share.sessions) {
            *count = with(*count, more.into());
        }
        let users = &mut self.users[share.state as usize];
        *users = with(*users, 1);
        let needed = (u64::BITS - share.ready.leading_zeros()) as usize;
        if self.ready.len() < needed {
            self.ready.resize(needed, 0);
        }
        for (place, count) in self.ready.iter_mut().enumerate() {
            *count = with(*count, share.ready >> place & 1);
        }
        let permille = u64::from(share.permille);
        self.expected = with(self.expected, permille);
        self.variance = with(self.variance, permille * (1_000 - permille));
    }
}

impl Partition {
    /// Compares the rooms that a user is in with what is counted there.
    pub(crate) fn look_at_rooms(&mut self, user: u32) {
        let old = match self.people.person(user) {
            Some(person) if !person.shares.is_empty() => person.shares.clone(),
            Some(_) | None if !self.is_somewhere(user) => return,
            Some(_) | None => Vec::new(),
        };
        let new = self.shares_of(user, &old);
        if new == old {
            return;
        }
        let now = (self.time.hi, self.seq);
        for share in &old {
            let other = new.iter().find(|other| other.room == share.room);
            if other != Some(share) {
                self.rooms.exchange(user, Some(share), other, now);
            }
        }
        for share in &new {
            if !old.iter().any(|other| other.room == share.room) {
                self.rooms.exchange(user, None, Some(share), now);
            }
        }
        self.people.person_unnoted(user).shares = new;
    }

    /// Whether a session of a user names a room.
    fn is_somewhere(&self, user: u32) -> bool {
        self.people.sessions_of(user).any(|at| self.people.facts_of(at).is_some_and(|facts| !facts.rooms.is_empty()))
    }

    /// What a user contributes to which rooms; none where it is told as offline. Rooms that it was not in are made.
    fn shares_of(&mut self, user: u32, old: &[Share]) -> Vec<Share> {
        if self.people.users[user].state == State::Offline {
            return Vec::new();
        }
        let mut found: Vec<(&str, Share)> = Vec::new();
        let ready = self.ready_bits(user);
        for at in self.people.sessions_of(user) {
            let (state, permille) = (self.people.hot[at].state(), self.people.cold[at].permille);
            let Some(facts) = self.people.facts_of(at).filter(|_| state != State::Offline) else { continue };
            for (place, room) in facts.rooms.iter().enumerate() {
                if facts.rooms[..place].contains(room) {
                    continue;
                }
                let known = found.iter().position(|(name, _)| **name == **room).unwrap_or_else(|| {
                    found.push((room, Share { room: NONE, sessions: [0; 4], state, permille, ready }));
                    found.len() - 1
                });
                let (_, share) = &mut found[known];
                share.sessions[state as usize] += 1;
                if (state, Reverse(permille)) < (share.state, Reverse(share.permille)) {
                    (share.state, share.permille) = (state, permille);
                }
            }
        }
        let tenant = self.people.tenant_name(user);
        let is_named = |share: &&Share, name: &str| {
            let (of, room) = self.rooms.rooms[share.room].key.split_once('.').unwrap_or_default();
            of == tenant && room == name
        };
        let mut keys = Vec::new();
        let mut shares: Vec<Share> = Vec::with_capacity(found.len());
        for (name, share) in found {
            let room = old.iter().find(|share| is_named(share, name)).map_or(NONE, |share| share.room);
            keys.push((room == NONE).then(|| format!("{tenant}.{name}")));
            shares.push(Share { room, ..share });
        }
        for (share, key) in shares.iter_mut().zip(keys) {
            if let Some(key) = key {
                share.room = self.rooms.find_or_make(key);
            }
        }
        shares.sort_unstable_by_key(|share| share.room);
        shares
    }

    /// What a user was told to be ready for, by the places in the policy.
    fn ready_bits(&self, user: u32) -> u64 {
        let ready = self.people.person(user).map_or(&[][..], |person| &person.ready);
        let bit = |(name, _): &(Box<str>, Millis)| self.policy.capabilities.iter().position(|known| known == name);
        ready.iter().filter_map(bit).fold(0, |bits, place| bits | 1 << place)
    }

    /// Another policy orders capabilities otherwise: everybody is counted anew by the looks that follow.
    pub(crate) fn count_rooms_anew(&mut self) {
        let now = (self.time.hi, self.seq);
        let mut changed = std::mem::take(&mut self.rooms.changed);
        changed.extend(self.rooms.by_key.keys().map(|key| (key.clone(), now)));
        self.rooms = Rooms { changed, ..Rooms::new() };
        for user in self.people.users_in_order() {
            if self.people.users[user].person != NONE {
                self.people.person_unnoted(user).shares = Vec::new();
            }
        }
    }

    /// The rooms in which something changed since this was called last; each is a [`Partition::room_part`] to tell.
    pub fn take_changed_rooms(&mut self, members_max: usize) -> Vec<RoomPart> {
        let changed = std::mem::take(&mut self.rooms.changed);
        let part = |(key, (at_ms, seq)): (Box<str>, (Millis, u64))| self.part(&key, at_ms, seq, members_max);
        changed.into_iter().map(part).collect()
    }

    /// What this partition contributes to a room now, nothing or something; its members where they are no more than so many.
    #[must_use]
    pub fn room_part(&self, tenant: Token<'_>, room: Token<'_>, members_max: usize) -> RoomPart {
        self.part(&format!("{tenant}.{room}"), self.time.hi, self.seq, members_max)
    }

    /// What this partition contributes to each room that somebody of it is in.
    pub fn room_parts(&self, members_max: usize) -> impl Iterator<Item = RoomPart> {
        self.rooms.by_key.keys().map(move |key| self.part(key, self.time.hi, self.seq, members_max))
    }

    fn part(&self, key: &str, at_ms: Millis, seq: u64, members_max: usize) -> RoomPart {
        let (tenant, name) = key.split_once('.').expect("a room's key is tenant and room");
        let Some(room) = self.rooms.get(key) else {
            let (tally, members) = (Tally::default(), Some(Vec::new()));
            return RoomPart { tenant: tenant.into(), room: name.into(), at_ms, seq, tally, members };
        };
        let capability = |(place, count): (usize, &u64)| (self.policy.capabilities[place].clone(), *count);
        let mut ready: Vec<_> =
            room.ready.iter().enumerate().filter(|(_, count)| **count > 0).map(capability).collect();
        ready.sort_unstable();
        let tally = Tally {
            sessions: room.sessions,
            users: room.users,
            ready,
            expected_permille: room.expected,
            variance_millionths: room.variance,
        };
        let members = (room.members.len() <= members_max).then(|| {
            let mut members: Vec<Member> = room.members.iter().map(|user| self.member(*user, key)).collect();
            members.sort_unstable_by(|a, b| a.user.cmp(&b.user));
            members
        });
        RoomPart { tenant: tenant.into(), room: name.into(), at_ms: room.at, seq: room.seq, tally, members }
    }

    fn member(&self, user: u32, key: &str) -> Member {
        let share = self.share(user, key).expect("who is counted in a room has a share of it");
        let (state, sessions) = (share.state, share.sessions.map(u32::from));
        Member { user: self.people.user_name(user).into(), state, sessions }
    }

    /// A user's share of a room.
    pub(crate) fn share(&self, user: u32, key: &str) -> Option<&Share> {
        let at = self.rooms.by_key.get(key)?;
        self.people.person(user)?.shares.iter().find(|share| share.room == *at)
    }

    /// The users of this partition in a room, in no order that means anything.
    pub(crate) fn users_in(&self, key: &str) -> impl Iterator<Item = u32> + '_ {
        self.rooms.get(key).into_iter().flat_map(|room| room.members.iter().copied())
    }

    /// In how many rooms of which `counts` says so a user is.
    pub(crate) fn count_rooms(&self, user: u32, counts: impl Fn(&str) -> bool) -> u32 {
        let shares = self.people.person(user).map_or(&[][..], |person| &person.shares);
        let name =
            |share: &&Share| self.rooms.rooms[share.room].key.split_once('.').is_some_and(|(_, room)| counts(room));
        shares.iter().filter(name).count() as u32
    }

    /// The rooms that a user is in, each as `<tenant>.<room>`, in no order that means anything.
    pub fn rooms_of_user(&self, tenant: Token<'_>, user: Token<'_>) -> impl Iterator<Item = &str> {
        let person = self.people.find_user(tenant, user).and_then(|at| self.people.person(at));
        let shares = person.map_or(&[][..], |person| &person.shares);
        shares.iter().map(|share| &*self.rooms.rooms[share.room].key)
    }
}

#[cfg(test)]
mod tests;
