//! Checkpoints: all that a partition is, as bytes. The wheel is not in them, and where records lie changes nothing that is told: it is
//! kept so that later checkpoints can build on what earlier ones wrote.
//!
//! ```text
//! "presence checkpoint 2\n"  fold version  partition  generation  position
//! observed time  rejections  forgotten  policy  gateways
//! names of segments  people  life signs
//! SipHash-1-3-128 of all before, under the key 0: it finds damage, not malice
//! ```
//!
//! People are the records that change seldom; life signs are what every heartbeat changes. People that were written once
//! are not written again: they lie in segments, see [`segments`].

mod gateways;
mod people;
mod policy;
mod segments;
mod signs;
mod values;

use std::fmt;
use std::sync::Arc;

use self::people::{Numbers, Places, Read, Unread, Written};
pub(crate) use self::segments::Segments;
pub use self::segments::{Segment, SegmentName, Snapshot};
use super::bytes::{Malformed, Reader, Writer};
use super::key::{self, IndexKey, SipKey};
use super::observed::{EARNED_MS_MAX, ObservedTime};
use super::partition::{GRID_MS, Partition};
use super::record::TIME_MAX;
use crate::model::Policy;

const MAGIC: &[u8] = b"presence checkpoint 2\n";
const HASH_KEY: SipKey = SipKey(0, 0);
const HASH_BYTES: usize = 16;

/// Why bytes are not a checkpoint that this version can restore. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointError {
    /// It does not begin as a checkpoint does.
    NotACheckpoint,
    /// Its hash does not fit it.
    Damaged,
    /// Another version of the fold wrote it; holds that version.
    Version(u32),
    /// A segment that it names is not among those that were given.
    NoSegment(SegmentName),
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
            Self::NoSegment(name) => write!(f, "the checkpoint's segment {name} is missing or damaged"),
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

/// What a checkpoint says before its people.
struct Head {
    number: u16,
    generation: u32,
    seq: u64,
    started: bool,
    time: ObservedTime,
    rejected: (u64, u32),
    forgotten: u64,
    policy: Policy,
}

impl Partition {
    /// All that the partition is, as bytes of their own. Equal partitions give equal bytes, wherever their records lie:
    /// users are in the order of their names, and each one's sessions in that of theirs.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<u8> {
        let users = self.people.users_by_text();
        let Written { bytes, sessions } = self.write_people(&users, Numbers::ByTurn);
        let signs = (0..).zip(sessions).map(|(number, at)| (number, at, self.is_sure_or_does_not_care(at)));
        self.seal(&[], &bytes, signs)
    }

    /// The bytes of a checkpoint of these segments, people and life signs.
    fn seal(&self, segments: &[SegmentName], people: &[u8], signs: impl Iterator<Item = (u32, u32, bool)>) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(
            2 * MAGIC.len() + people.len() + self.people.hot.len() * signs::BYTES + self.gateways.known.len() * 64,
        ));
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
        segments::write_names(&mut out, segments);
        out.bytes(people);
        self.write_signs(&mut out, signs);
        sealed(out)
    }

    /// The partition that these bytes were taken of, if they name no segment.
    ///
    /// # Errors
    /// A [`CheckpointError`] if they are not a whole checkpoint of this fold version.
    pub fn restore(bytes: &[u8], key: &IndexKey) -> Result<Self, CheckpointError> {
        Self::restore_from(bytes, &[] as &[&[u8]], key, GRID_MS)
    }

    /// As [`Partition::restore`], with the segments that the bytes name ([`segments_of`]), in any order, and with a width of the
    /// wheel's steps.
    ///
    /// # Errors
    /// As [`Partition::restore`].
    pub fn restore_from(
        bytes: &[u8],
        segments: &[impl AsRef<[u8]>],
        key: &IndexKey,
        wheel_tick: u64,
    ) -> Result<Self, CheckpointError> {
        let restored = match Self::restore_at(bytes, segments, (key, wheel_tick), Places::of) {
            Err(Unread::Sparse) => Self::restore_at(bytes, segments, (key, wheel_tick), |_| Places::Anew),
            restored => restored,
        };
        restored.map_err(|unread| match unread {
            Unread::Broken(error) => error,
            Unread::Sparse => CheckpointError::Impossible,
        })
    }

    fn restore_at(
        bytes: &[u8],
        segments: &[impl AsRef<[u8]>],
        (key, wheel_tick): (&IndexKey, u64),
        places: impl Fn(&[&[u8]]) -> Places,
    ) -> Result<Self, Unread> {
        let mut input = opened(bytes, MAGIC)?;
        let Head { number, generation, seq, started, time, rejected, forgotten, policy } = read_head(&mut input)?;
        let mut partition = Self::with_wheel_tick(number, key, wheel_tick);
        partition.start_at(time.w);
        (partition.generation, partition.seq, partition.started, partition.time) = (generation, seq, started, time);
        (partition.rejected, partition.forgotten) = (rejected, forgotten);
        partition.set_policy(Arc::new(policy));
        partition.read_gateways(&mut input)?;
        let named = segments::read_names(&mut input)?;
        let mut people = segments::choose(&named, segments, number)?;
        people.push(input.bytes()?);
        let places = places(&people);
        let Read { users, sessions, counts, last } = partition.read_people(&people, places)?;
        partition.read_signs(&mut input, &sessions)?;
        if !input.0.is_empty() {
            return Err(CheckpointError::Impossible.into());
        }
        for user in users {
            partition.look_at_rooms(user);
            partition.arm_user(user);
            partition.note_who_is_plain(user);
        }
        if places != Places::Anew {
            partition.build_on(&named, &counts, &last);
        }
        // What is counted in rooms was told before.
        partition.rooms.settle();
        Ok(partition)
    }

    /// Who can do nothing is not looked at when it is sure no more, so it may be noted or not.
    fn is_sure_or_does_not_care(&self, at: u32) -> bool {
        self.people.hot[at].sure() || self.people.facts_of(at).is_none_or(|facts| facts.can.is_empty())
    }
}

/// The segments that a checkpoint needs to be restored, oldest first.
///
/// # Errors
/// As [`Partition::restore`].
pub fn segments_of(bytes: &[u8]) -> Result<Vec<SegmentName>, CheckpointError> {
    let mut input = opened(bytes, MAGIC)?;
    read_head(&mut input)?;
    gateways::skip(&mut input)?;
    segments::read_names(&mut input)
}

/// The policy that was in force at a checkpoint.
///
/// # Errors
/// As [`Partition::restore`].
pub fn policy_of(bytes: &[u8]) -> Result<Policy, CheckpointError> {
    Ok(read_head(&mut opened(bytes, MAGIC)?)?.policy)
}

/// Puts the hash behind what was written.
fn sealed(mut out: Writer) -> Vec<u8> {
    let hash = key::hash(HASH_KEY, &out.0);
    out.0.extend_from_slice(&hash.to_le_bytes());
    out.0
}

/// What lies between the beginning and the hash, if both fit.
fn opened<'a>(bytes: &'a [u8], magic: &[u8]) -> Result<Reader<'a>, CheckpointError> {
    let rest = bytes.strip_prefix(magic).ok_or(CheckpointError::NotACheckpoint)?;
    let (body, hash) = rest.split_last_chunk::<HASH_BYTES>().ok_or(CheckpointError::NotACheckpoint)?;
    if key::hash(HASH_KEY, &bytes[..bytes.len() - HASH_BYTES]) != u128::from_le_bytes(*hash) {
        return Err(CheckpointError::Damaged);
    }
    Ok(Reader(body))
}

fn read_head(input: &mut Reader<'_>) -> Result<Head, CheckpointError> {
    read_version(input)?;
    let (number, generation, seq) = (input.narrow()?, input.narrow()?, input.number()?);
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
    let (rejected, forgotten) = ((input.number()?, input.narrow()?), input.number()?);
    let policy = policy::read(input)?;
    Ok(Head { number, generation, seq, started, time, rejected, forgotten, policy })
}

fn read_version(input: &mut Reader<'_>) -> Result<(), CheckpointError> {
    match input.narrow()? {
        super::FOLD_VERSION => Ok(()),
        other => Err(CheckpointError::Version(other)),
    }
}

#[cfg(test)]
mod tests;
