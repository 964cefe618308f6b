//! People: the records of users and their sessions but for what every heartbeat changes. A block of them is a sequence of
//! users, each by a number, with its bytes; no bytes stand for a user who is gone. Of two blocks the later counts.

use super::super::bytes::{Reader, Writer};
use super::super::gateway::Excuse;
use super::super::partition::Partition;
use super::super::record::{Facts, NONE, Person, SetBack, TIME_MAX};
use super::CheckpointError;
use super::values::{read_intent, read_person, read_shown, read_stamp, read_state, read_time, read_token};
use crate::model::confidence::CERTAIN;
use crate::model::signal::SEQ_MAX;
use crate::model::{Address, Intent, Token};

/// What most sessions take with their users: room for as many is made.
const SESSION_BYTES: usize = 96;
/// So many users are looked ahead at.
const AHEAD: usize = 8;

/// By what number a session or a user is known within a checkpoint and its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// By where it lies, which stays while it is there.
    ByPlace,
    /// By its turn, whatever lies where.
    ByTurn,
}

/// A block of people.
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    /// The places of their sessions, in turn.
    pub(super) sessions: Vec<u32>,
}

/// Those that were read from blocks.
pub(super) struct Read {
    /// The places of users.
    pub(super) users: Vec<u32>,
    /// The numbers of sessions in ascending order, each with its place.
    pub(super) sessions: Vec<(u32, u32)>,
    /// How many users each block tells of.
    pub(super) counts: Vec<usize>,
    /// The numbers of those that the last block tells of.
    pub(super) last: Vec<u32>,
}

/// Where those are kept that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// At the place that is their number, so that the blocks tell of them also later.
    ByNumber {
        /// No number is higher.
        max: u32,
    },
    /// Wherever there is room.
    Anew,
}

impl Places {
    /// So many bytes of people to a place, a third of what a session with its user takes as a rule: where fewer are left of those that
    /// there were, the memory of their places is worth more than what it costs to write them anew.
    const BYTES: usize = 24;
    const MIN: usize = 1_024;

    /// At their numbers, as long as not too many places between are empty.
    pub(super) fn of(blocks: &[&[u8]]) -> Self {
        let bytes: usize = blocks.iter().map(|block| block.len()).sum();
        Self::ByNumber { max: u32::try_from(bytes / Self::BYTES + Self::MIN).unwrap_or(u32::MAX >> 1) }
    }

    /// The place for a number, if it is to be at one; `None` where that would leave too much room.
    fn of_number(self, number: u32) -> Option<Option<u32>> {
        match self {
            Self::Anew => Some(None),
            Self::ByNumber { max } => (number <= max).then_some(Some(number)),
        }
    }
}

/// Why blocks were not read.
pub(super) enum Unread {
    Broken(CheckpointError),
    /// They leave too many places empty.
    Sparse,
}

impl<E: Into<CheckpointError>> From<E> for Unread {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

impl Partition {
    pub(super) fn write_people(&self, users: &[u32], numbers: Numbers) -> Written {
        let mut out = Writer(Vec::with_capacity(SESSION_BYTES * users.len()));
        let (mut own, mut sessions) = (Writer::default(), Vec::with_capacity(users.len()));
        out.number(users.len() as u64);
        for (turn, user) in users.iter().enumerate() {
            if let Some(ahead) = users.get(turn + AHEAD) {
                self.people.users.fetch(*ahead);
            }
            if let Some(ahead) = users.get(turn + AHEAD / 2) {
                self.people.fetch_user(*ahead);
            }
            out.number(match numbers {
                Numbers::ByPlace => u64::from(*user),
                Numbers::ByTurn => turn as u64,
            });
            own.0.clear();
            // Who is gone may lie behind all that were restored.
            if self.people.users.get(*user).is_some_and(|user| user.tenant != NONE) {
                self.write_user(&mut own, *user, numbers, &mut sessions);
            }
            out.bytes(&own.0);
        }
        Written { bytes: out.0, sessions }
    }

    fn write_user(&self, out: &mut Writer, at: u32, numbers: Numbers, written: &mut Vec<u32>) {
        let user = &self.people.users[at];
        out.text(self.people.tenant_name(at));
        out.text(self.people.user_name(at));
        for number in
            [user.ordinal.into(), user.incarnation.get(), user.told_at.get(), user.told_w.get(), user.state as u64]
        {
            out.number(number);
        }
        out.number(user.band.into());
        user.counts.iter().for_each(|count| out.number((*count).into()));
        let nothing = Person::default();
        let person = self.people.person(at).unwrap_or(&nothing);
        out.number(person.intent as u64);
        out.maybe_number(person.until);
        // While somebody is there it is as good as now.
        out.number(if self.people.is_here(at) { 0 } else { person.kept });
        out.number(person.told.0 as u64);
        out.maybe_number(person.told.1);
        out.number(person.ready.len() as u64);
        for (name, since) in &person.ready {
            out.text(name);
            out.number(*since);
        }
        out.number(person.ready_ordinal.into());
        let sessions = self.people.sessions_in_order(at);
        out.number(sessions.len() as u64);
        for session in sessions {
            out.number(match numbers {
                Numbers::ByPlace => u64::from(session),
                Numbers::ByTurn => written.len() as u64,
            });
            self.write_session(out, session);
            written.push(session);
        }
    }

    fn write_session(&self, out: &mut Writer, at: u32) {
        let cold = &self.people.cold[at];
        out.text(self.people.session_name(at));
        out.maybe_number(self.people.epoch(at));
        let every_ms = self.people.every_ms(at);
        for number in
            [cold.ordinal.into(), every_ms.into(), cold.incarnation.get(), cold.told_at.get(), cold.told_w.get()]
        {
            out.number(number);
        }
        [u64::from(cold.band), cold.permille.into()].into_iter().for_each(|number| out.number(number));
        let excuse = self.people.excuse(at);
        out.number(u64::from(excuse.is_some()));
        if let Some(Excuse { gateway, before }) = excuse {
            [gateway.into(), before].into_iter().for_each(|number| out.number(number));
        }
        // That there is a record of facts means nothing, if it says nothing.
        let facts = self.people.facts_of(at).filter(|facts| **facts != Facts::default());
        out.number(u64::from(facts.is_some()));
        if let Some(facts) = facts {
            write_facts(out, facts);
        }
    }

    /// Reads blocks of people, the oldest first, into a partition that has nobody.
    pub(super) fn read_people(&mut self, blocks: &[&[u8]], places: Places) -> Result<Read, Unread> {
        let (mut entries, mut counts) = (Vec::new(), Vec::new());
        for block in blocks {
            let (mut input, begin) = (Reader(block), entries.len());
            for _ in 0..input.number()? {
                entries.push((input.narrow::<u32>()?, input.bytes()?));
            }
            if !input.0.is_empty() {
                return Err(CheckpointError::Impossible.into());
            }
            counts.push(entries.len() - begin);
        }
        let before: usize = counts.iter().rev().skip(1).sum();
        let last = entries[before..].iter().map(|(number, _)| *number).collect();
        // It keeps the order of blocks.
        entries.sort_by_key(|(number, _)| *number);
        if let Some((highest, _)) = entries.last() {
            places.of_number(*highest).ok_or(Unread::Sparse)?;
        }
        let of_each = entries.chunk_by(|(one, _), (other, _)| one == other).filter_map(<[_]>::last);
        let latest: Vec<(u32, &[u8])> = of_each.copied().filter(|(_, own)| !own.is_empty()).collect();
        self.people.expect(latest.len());
        let (users, sessions) = (Vec::with_capacity(latest.len()), Vec::with_capacity(latest.len()));
        let mut read = Read { users, sessions, counts, last };
        for (number, own) in latest {
            if let Some(place) = places.of_number(number).ok_or(Unread::Sparse)? {
                self.people.place_next_user(place);
            }
            let mut input = Reader(own);
            let user = self.read_user(&mut input, places, &mut read.sessions)?;
            read.users.push(user);
            if !input.0.is_empty() {
                return Err(CheckpointError::Impossible.into());
            }
        }
        read.sessions.sort_unstable();
        if read.sessions.windows(2).any(|two| two[0].0 == two[1].0) {
            return Err(CheckpointError::Impossible.into());
        }
        if places != Places::Anew {
            self.people.fill_gaps();
        }
        Ok(read)
    }

    /// Returns the user's place.
    fn read_user(&mut self, input: &mut Reader<'_>, places: Places, read: &mut Vec<(u32, u32)>) -> Result<u32, Unread> {
        let (tenant, user) = (read_token(input)?, read_token(input)?);
        let (ordinal, incarnation, told_at, told_w) =
            (input.narrow()?, read_stamp(input)?, read_stamp(input)?, read_stamp(input)?);
        let (state, band) = (read_state(input)?, input.narrow()?);
        let counts = [input.narrow()?, input.narrow()?, input.narrow()?, input.narrow()?];
        let person = read_person(input)?;
        let sessions = input.number()?;
        let is_willed = person.intent != Intent::Open;
        if sessions == 0 && !is_willed || sessions > u64::from(u8::MAX) || self.people.find_user(tenant, user).is_some()
        {
            return Err(CheckpointError::Impossible.into());
        }
        let at = if sessions == 0 {
            self.people.add_alone(tenant, user, person)
        } else {
            let at = self.read_sessions((tenant, user, sessions), input, places, read)?;
            if person != Person::default() {
                *self.people.person_mut(at) = person;
            }
            at
        };
        let user = self.people.user_mut(at);
        (user.ordinal, user.incarnation, user.told_at, user.told_w) = (ordinal, incarnation, told_at, told_w);
        (user.state, user.band, user.counts) = (state, band, counts);
        Ok(at)
    }

    /// Returns the place of their user.
    fn read_sessions(
        &mut self,
        (tenant, user, count): (Token<'_>, Token<'_>, u64),
        input: &mut Reader<'_>,
        places: Places,
        read: &mut Vec<(u32, u32)>,
    ) -> Result<u32, Unread> {
        let (mut buffer, mut of) = (String::new(), NONE);
        for _ in 0..count {
            buffer.clear();
            let (number, session) = (input.narrow()?, read_token(input)?);
            let address = Address::join(&mut buffer, tenant, user, session);
            let sought = self.people.sought(address);
            if self.people.find(address, &sought).is_some() {
                return Err(CheckpointError::Impossible.into());
            }
            if let Some(place) = places.of_number(number).ok_or(Unread::Sparse)? {
                if self.people.hot.get(place).is_some_and(|hot| hot.name.is_some()) {
                    return Err(CheckpointError::Impossible.into());
                }
                self.people.place_next_session(place);
            }
            let at = self.people.add(address, &sought);
            self.read_session(at, input)?;
            read.push((number, at));
            of = self.people.cold[at].user;
        }
        Ok(of)
    }

    fn read_session(&mut self, at: u32, input: &mut Reader<'_>) -> Result<(), CheckpointError> {
        let epoch = input.maybe_number()?;
        if epoch.is_some_and(|epoch| epoch > SEQ_MAX) {
            return Err(CheckpointError::Impossible);
        }
        self.people.set_epoch(at, epoch);
        let (ordinal, every_ms) = (input.narrow()?, input.narrow()?);
        self.people.set_every_ms(at, every_ms);
        let cold = self.people.cold_mut(at);
        cold.ordinal = ordinal;
        (cold.incarnation, cold.told_at, cold.told_w) = (read_stamp(input)?, read_stamp(input)?, read_stamp(input)?);
        (cold.band, cold.permille) = (input.narrow()?, input.narrow()?);
        if cold.permille > CERTAIN {
            return Err(CheckpointError::Impossible);
        }
        if input.flag()? {
            let excuse = Excuse { gateway: input.narrow()?, before: read_time(input)? };
            if excuse.gateway >= self.gateways.next {
                return Err(CheckpointError::Impossible);
            }
            self.people.set_excuse(at, Some(excuse));
        }
        if input.flag()? {
            *self.people.facts_mut(at) = read_facts(input)?;
        }
        Ok(())
    }
}

fn write_facts(out: &mut Writer, facts: &Facts) {
    out.maybe_number(facts.out_of_sight);
    out.number(facts.frozen);
    out.maybe_number(facts.closed);
    out.maybe_number(facts.leaving);
    out.maybe_text(facts.conn.as_deref());
    out.texts(&facts.can);
    out.texts(&facts.rooms);
    out.maybe_text(facts.meta.as_deref());
    out.maybe_number(facts.said.map(|intent| intent as u64));
    out.number(u64::from(facts.set_back.is_some()));
    if let Some(SetBack { epoch, seq, count }) = facts.set_back {
        [epoch, seq, count.into()].into_iter().for_each(|number| out.number(number));
    }
    out.number(u64::from(facts.told.is_some()));
    if let Some(told) = &facts.told {
        [u64::from(told.closed), told.visibility as u64].into_iter().for_each(|number| out.number(number));
        out.texts(&told.can);
        out.texts(&told.rooms);
        out.maybe_text(told.meta.as_deref());
    }
    out.maybe_number(facts.left_active);
    [facts.level.into(), facts.raised].into_iter().for_each(|number| out.number(number));
}

fn read_facts(input: &mut Reader<'_>) -> Result<Facts, CheckpointError> {
    let facts = Facts {
        out_of_sight: input.maybe_number()?,
        frozen: read_time(input)?,
        closed: input.maybe_number()?,
        leaving: input.maybe_number()?,
        conn: input.maybe_text()?,
        can: input.texts()?,
        rooms: input.texts()?,
        meta: input.maybe_text()?,
        said: input.maybe_number()?.map(read_intent).transpose()?,
        set_back: if input.flag()? {
            Some(SetBack { epoch: input.number()?, seq: input.number()?, count: input.narrow()? })
        } else {
            None
        },
        told: if input.flag()? { Some(Box::new(read_shown(input)?)) } else { None },
        left_active: input.maybe_number()?,
        level: input.narrow()?,
        raised: read_time(input)?,
    };
    let since = [facts.out_of_sight, facts.closed, facts.leaving, facts.left_active];
    let is_late = since.into_iter().flatten().any(|at| at > TIME_MAX);
    let is_counted = facts.set_back.is_none_or(|row| row.count < u8::MAX);
    if is_late || !is_counted || facts.level > 3 { Err(CheckpointError::Impossible) } else { Ok(facts) }
}
