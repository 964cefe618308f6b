//! Checkpoints: all that a partition is, as bytes. Equal partitions give equal bytes: everything lies in the order of
//! names, and neither the wheel nor the places of records are in it.
//!
//! ```text
//! "presence checkpoint\n"  fold version  partition  generation  position
//! observed time  rejections  forgotten  policy  tenants' users with their sessions
//! SipHash-1-3-128 of all before, under the key 0: it finds damage, not malice
//! ```

mod policy;
mod values;

use std::fmt;
use std::sync::Arc;

use self::values::{read_intent, read_person, read_shown, read_stamp, read_state, read_token, read_visibility};
use super::bytes::{Malformed, Reader, Writer};
use super::gateway::{Excuse, Gateway};
use super::key::{self, IndexKey};
use super::observed::{EARNED_MS_MAX, ObservedTime};
use super::partition::{GRID_MS, Partition};
use super::record::{Facts, NONE, Person, SetBack, TIME_MAX};
use crate::model::confidence::CERTAIN;
use crate::model::signal::SEQ_MAX;
use crate::model::{Address, Intent};

const MAGIC: &[u8] = b"presence checkpoint\n";
/// What most sessions take with their users: room for as many is made.
const SESSION_BYTES: usize = 128;
/// No user takes fewer.
const USER_BYTES_MIN: usize = 16;
/// So many users are looked ahead at.
const AHEAD: usize = 8;
const HASH_KEY: IndexKey = IndexKey(0, 0);

/// Why bytes are not a checkpoint that this version can restore. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointError {
    /// It does not begin as a checkpoint does.
    NotACheckpoint,
    /// Its hash does not fit it.
    Damaged,
    /// Another version of the fold wrote it; holds that version.
    Version(u32),
    /// It is whole, and yet says what can't be.
    Impossible,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotACheckpoint => write!(f, "these bytes are no checkpoint"),
            Self::Damaged => write!(f, "the checkpoint is damaged: its hash does not fit"),
            Self::Version(version) => {
                write!(f, "the checkpoint is of fold version {version}, this is version {}", super::FOLD_VERSION)
            }
            Self::Impossible => write!(f, "the checkpoint says what can't be"),
        }
    }
}

impl std::error::Error for CheckpointError {}

impl From<Malformed> for CheckpointError {
    fn from(_: Malformed) -> Self {
        Self::Impossible
    }
}

impl Partition {
    /// All that the partition is, as bytes.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(SESSION_BYTES * (1 + self.people.hot.len())));
        out.0.extend_from_slice(MAGIC);
        for number in [u64::from(super::FOLD_VERSION), self.number.into(), self.generation.into(), self.seq] {
            out.number(number);
        }
        out.number(u64::from(self.started));
        let ObservedTime { hi, w, hold, earned, last_tick } = self.time;
        [hi, w, hold, earned].into_iter().for_each(|number| out.number(number));
        out.maybe_number(last_tick);
        [self.rejected.0, self.rejected.1.into(), self.forgotten].into_iter().for_each(|number| out.number(number));
        policy::write(&mut out, &self.policy);
        self.write_gateways(&mut out);
        let users = self.people.users_by_row();
        out.number(users.len() as u64);
        for (number, user) in users.iter().enumerate() {
            if let Some(ahead) = users.get(number + AHEAD) {
                self.people.users.fetch(*ahead);
            }
            if let Some(ahead) = users.get(number + AHEAD / 2) {
                self.people.fetch_user(*ahead);
            }
            self.write_user(&mut out, *user);
        }
        let hash = key::hash(HASH_KEY, &out.0);
        out.0.extend_from_slice(&hash.to_le_bytes());
        out.0
    }

    fn write_user(&self, out: &mut Writer, at: u32) {
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
            self.write_session(out, session);
        }
    }

    fn write_session(&self, out: &mut Writer, at: u32) {
        let (hot, cold) = (&self.people.hot[at], &self.people.cold[at]);
        out.text(self.people.session_name(at));
        for number in [hot.seen(), hot.input(), hot.profile() as u64, hot.state() as u64, hot.visibility() as u64] {
            out.number(number);
        }
        // Who can do nothing is not looked at when it is sure no more, so it may be noted or not.
        let sure = hot.sure() && self.people.facts_of(at).is_some_and(|facts| !facts.can.is_empty());
        for flag in [hot.reported(), hot.named(), hot.is_voice(), sure] {
            out.number(u64::from(flag));
        }
        out.maybe_number(hot.seq());
        out.maybe_number(self.people.epoch(at));
        let every_ms = self.people.every_ms(at);
        for number in
            [cold.ordinal.into(), every_ms.into(), cold.incarnation.get(), cold.told_at.get(), cold.told_w.get()]
        {
            out.number(number);
        }
        [u64::from(cold.band), cold.permille.into()].into_iter().for_each(|number| out.number(number));
        let nothing = Facts::default();
        let facts = self.people.facts_of(at).unwrap_or(&nothing);
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
        let excuse = self.people.excuse(at);
        out.number(u64::from(excuse.is_some()));
        if let Some(Excuse { gateway, before }) = excuse {
            [gateway.into(), before].into_iter().for_each(|number| out.number(number));
        }
    }

    fn write_gateways(&self, out: &mut Writer) {
        out.number(self.gateways.next.into());
        out.number(self.gateways.known.len() as u64);
        for (number, Gateway { tenant, name, latest, from, silence, lasting, is_told }) in &self.gateways.known {
            out.number((*number).into());
            out.text(tenant);
            out.text(name);
            [*latest, *from, *silence, *lasting, u64::from(*is_told)].into_iter().for_each(|number| out.number(number));
        }
    }

    fn read_gateways(&mut self, input: &mut Reader<'_>) -> Result<(), CheckpointError> {
        self.gateways.next = input.narrow()?;
        for _ in 0..input.number()? {
            let number = input.narrow()?;
            let (tenant, name) = (read_token(input)?.as_str().into(), read_token(input)?.as_str().into());
            let [latest, from, silence, lasting] = [input.number()?, input.number()?, input.number()?, input.number()?];
            if [latest, from, silence, lasting].iter().any(|time| *time > 2 * TIME_MAX) {
                return Err(CheckpointError::Impossible);
            }
            let is_told = input.flag()?;
            self.gateways.insert(number, Gateway { tenant, name, latest, from, silence, lasting, is_told });
        }
        Ok(())
    }

    /// The partition that these bytes were taken of.
    ///
    /// # Errors
    /// A [`CheckpointError`] if they are not a whole checkpoint of this fold version.
    pub fn restore(bytes: &[u8], key: IndexKey) -> Result<Self, CheckpointError> {
        Self::restore_with_wheel_tick(bytes, key, GRID_MS)
    }

    /// As [`Partition::restore`], with another width of the wheel's steps.
    ///
    /// # Errors
    /// As [`Partition::restore`].
    pub fn restore_with_wheel_tick(bytes: &[u8], key: IndexKey, wheel_tick: u64) -> Result<Self, CheckpointError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(CheckpointError::NotACheckpoint)?;
        let (_, hash) = rest.split_last_chunk::<16>().ok_or(CheckpointError::NotACheckpoint)?;
        let body = &bytes[..bytes.len() - 16];
        if key::hash(HASH_KEY, body) != u128::from_le_bytes(*hash) {
            return Err(CheckpointError::Damaged);
        }
        let mut input = Reader(&body[MAGIC.len()..]);
        let version = input.narrow::<u32>()?;
        if version != super::FOLD_VERSION {
            return Err(CheckpointError::Version(version));
        }
        let mut partition = Self::with_wheel_tick(input.narrow()?, key, wheel_tick);
        partition.generation = input.narrow()?;
        partition.seq = input.number()?;
        let started = input.flag()?;
        let time = ObservedTime {
            hi: input.number()?,
            w: input.number()?,
            hold: input.number()?,
            earned: input.number()?,
            last_tick: input.maybe_number()?,
        };
        if time.hi > TIME_MAX || time.w > TIME_MAX || time.earned > EARNED_MS_MAX {
            return Err(CheckpointError::Impossible);
        }
        partition.start_at(time.w);
        partition.started = started;
        partition.time = time;
        partition.rejected = (input.number()?, input.narrow()?);
        partition.forgotten = input.number()?;
        partition.set_policy(Arc::new(policy::read(&mut input)?));
        partition.read_gateways(&mut input)?;
        let users = input.number()?;
        // Each takes so many bytes at least: what says otherwise is found out below.
        partition.people.expect(usize::try_from(users).unwrap_or(usize::MAX).min(input.0.len() / USER_BYTES_MIN));
        for _ in 0..users {
            partition.read_user(&mut input)?;
        }
        // What is counted in rooms was told before.
        partition.rooms.settle();
        if input.0.is_empty() { Ok(partition) } else { Err(CheckpointError::Impossible) }
    }

    fn read_user(&mut self, input: &mut Reader<'_>) -> Result<(), CheckpointError> {
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
            return Err(CheckpointError::Impossible);
        }
        let at = if sessions == 0 {
            self.people.add_alone(tenant, user, person)
        } else {
            let (mut buffer, mut at) = (String::new(), NONE);
            for _ in 0..sessions {
                buffer.clear();
                let session = read_token(input)?;
                at = self.read_session(Address::join(&mut buffer, tenant, user, session), input)?;
            }
            if person != Person::default() {
                *self.people.person_mut(at) = person;
            }
            at
        };
        let user = &mut self.people.users[at];
        (user.ordinal, user.incarnation, user.told_at, user.told_w) = (ordinal, incarnation, told_at, told_w);
        (user.state, user.band, user.counts) = (state, band, counts);
        self.look_at_rooms(at);
        self.arm_user(at);
        Ok(())
    }

    /// Returns the place of its user.
    fn read_session(&mut self, address: Address<'_>, input: &mut Reader<'_>) -> Result<u32, CheckpointError> {
        let sought = self.people.sought(address);
        if self.people.find(address, &sought).is_some() {
            return Err(CheckpointError::Impossible);
        }
        let at = self.people.add(address, &sought);
        let times = [input.number()?, input.number()?];
        let profile = input.narrow::<usize>()?;
        if times.iter().any(|time| *time > TIME_MAX) || profile >= self.policy.profiles.len() {
            return Err(CheckpointError::Impossible);
        }
        let hot = &mut self.people.hot[at];
        hot.set_seen(times[0]);
        hot.set_input(times[1]);
        hot.set_profile(profile);
        hot.set_state(read_state(input)?);
        hot.set_visibility(read_visibility(input)?);
        hot.set_reported(input.flag()?);
        hot.set_named(input.flag()?);
        hot.set_voice(input.flag()?);
        hot.set_sure(input.flag()?);
        let (seq, epoch) = (input.maybe_number()?, input.maybe_number()?);
        if seq.is_some_and(|seq| seq > SEQ_MAX) {
            return Err(CheckpointError::Impossible);
        }
        hot.set_seq(seq);
        let (ordinal, every_ms) = (input.narrow()?, input.narrow()?);
        self.people.set_every_ms(at, every_ms);
        self.people.set_epoch(at, epoch);
        let cold = &mut self.people.cold[at];
        cold.ordinal = ordinal;
        (cold.incarnation, cold.told_at, cold.told_w) = (read_stamp(input)?, read_stamp(input)?, read_stamp(input)?);
        (cold.band, cold.permille) = (input.narrow()?, input.narrow()?);
        if cold.permille > CERTAIN {
            return Err(CheckpointError::Impossible);
        }
        self.read_facts(at, input)?;
        Ok(self.people.cold[at].user)
    }

    fn read_facts(&mut self, at: u32, input: &mut Reader<'_>) -> Result<(), CheckpointError> {
        let facts = Facts {
            out_of_sight: input.maybe_number()?,
            frozen: input.number()?,
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
            raised: input.number()?,
        };
        if input.flag()? {
            let excuse = Excuse { gateway: input.narrow()?, before: input.number()? };
            if excuse.gateway >= Excuse::GATEWAYS_MAX || excuse.before > TIME_MAX {
                return Err(CheckpointError::Impossible);
            }
            self.people.set_excuse(at, Some(excuse));
        }
        if facts != Facts::default() {
            *self.people.facts_mut(at) = facts;
        }
        Ok(())
    }
}
