//! Segments: people that were written once, so that a checkpoint writes only those that have changed since, and the life signs
//! of all. A checkpoint names the segments that it builds on; they are never written over.
//!
//! ```text
//! "presence segment 2\n"  fold version  partition  position  people
//! SipHash-1-3-128 of all before, under the key 0: by which it is named
//! ```
//!
//! Once what lies in segments is more than half dead, or they are many, everybody is written anew.

use std::fmt;

use super::super::bytes::{Reader, Writer};
use super::super::changed::Changed;
use super::super::partition::Partition;
use super::super::record::NONE;
use super::people::Numbers;
use super::{CheckpointError, HASH_BYTES, opened, read_version, sealed};

const MAGIC: &[u8] = b"presence segment 2\n";
/// Most segments of a checkpoint: each is read from the store when it is restored.
const SEGMENTS_MAX: usize = 16;

/// By what a segment is known: the hash of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName(u128);

/// People, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// By what it is known.
    pub name: SegmentName,
    /// What [`Partition::restore_from`] needs.
    pub bytes: Vec<u8>,
}

/// A checkpoint, with what it needs beside what was stored before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The checkpoint.
    pub bytes: Vec<u8>,
    /// What has to be stored before it.
    pub segment: Option<Segment>,
    /// All segments that it names, oldest first, that one included.
    pub segments: Vec<SegmentName>,
}

/// What a partition's next checkpoint builds on: segments, each with how many users it holds.
#[derive(Debug, Default)]
pub(crate) struct Segments(Vec<(SegmentName, usize)>);

impl SegmentName {
    /// Reads what [`SegmentName`]'s `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = Self(u128::from_str_radix(text, 16).ok()?);
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Partition {
    /// All that the partition is, as a checkpoint that builds on those before: whoever takes it stores all of it, or calls
    /// [`Partition::forget_segments`] before it takes another. People who take fewer than `segment_bytes` are in it
    /// themselves; more become a segment.
    pub fn snapshot(&mut self, segment_bytes: usize) -> Snapshot {
        let users = self.people.users.len();
        let changed = self.people.changed.as_ref().map_or(0, Changed::len);
        let written: usize = self.segments.0.iter().map(|(_, users)| users).sum();
        if self.segments.0.len() >= SEGMENTS_MAX || written + changed > 2 * users {
            self.forget_segments();
        }
        let whom = match &self.people.changed {
            Some(changed) => changed.in_order(),
            None => self.people.users.places().filter(|at| self.people.users[*at].tenant != NONE).collect(),
        };
        let (mut people, mut segment) = (self.write_people(&whom, Numbers::ByPlace).bytes, None);
        if people.len() >= segment_bytes {
            let stored = Segment::of((self.number(), self.position()), &people);
            self.segments.0.push((stored.name, whom.len()));
            self.people.changed = Some(Changed::default());
            people = self.write_people(&[], Numbers::ByPlace).bytes;
            segment = Some(stored);
        }
        let segments: Vec<_> = self.segments.0.iter().map(|(name, _)| *name).collect();
        let hot = &self.people.hot;
        let signs = hot.places().filter(|at| hot[*at].name.is_some()).map(|at| (at, at, hot[at].sure()));
        Snapshot { bytes: self.seal(&segments, &people, signs), segment, segments }
    }

    /// The next checkpoint builds on what this one was read from: segments of so many users each, of which those with the numbers
    /// in `changed` were written again since.
    pub(super) fn build_on(&mut self, segments: &[SegmentName], users: &[usize], changed: &[u32]) {
        if !segments.is_empty() {
            self.segments = Segments(segments.iter().copied().zip(users.iter().copied()).collect());
            let mut noted = Changed::default();
            changed.iter().for_each(|user| noted.note(*user));
            self.people.changed = Some(noted);
        }
    }

    /// The next checkpoint builds on none before.
    pub fn forget_segments(&mut self) {
        (self.segments, self.people.changed) = (Segments::default(), None);
    }
}

impl Segment {
    /// Its position makes it one of its own, whoever the same people are.
    fn of((partition, position): (u16, u64), people: &[u8]) -> Self {
        let mut out = Writer(Vec::with_capacity(MAGIC.len() + people.len() + 2 * HASH_BYTES));
        out.0.extend_from_slice(MAGIC);
        out.number(super::super::FOLD_VERSION.into());
        out.number(partition.into());
        out.number(position);
        out.0.extend_from_slice(people);
        let bytes = sealed(out);
        Self { name: name_of(&bytes), bytes }
    }
}

/// What a segment's bytes say that it is called.
fn name_of(bytes: &[u8]) -> SegmentName {
    SegmentName(bytes.last_chunk::<HASH_BYTES>().map_or(0, |hash| u128::from_le_bytes(*hash)))
}

pub(super) fn write_names(out: &mut Writer, names: &[SegmentName]) {
    out.number(names.len() as u64);
    names.iter().for_each(|name| out.0.extend_from_slice(&name.0.to_le_bytes()));
}

pub(super) fn read_names(input: &mut Reader<'_>) -> Result<Vec<SegmentName>, CheckpointError> {
    let (mut names, count) = (Vec::new(), input.number()?);
    if count > SEGMENTS_MAX as u64 {
        return Err(CheckpointError::Impossible);
    }
    for _ in 0..count {
        let (name, rest) = input.0.split_first_chunk::<HASH_BYTES>().ok_or(CheckpointError::Impossible)?;
        input.0 = rest;
        names.push(SegmentName(u128::from_le_bytes(*name)));
    }
    Ok(names)
}

/// The people of the segments that were `named`, out of those that were `given`.
pub(super) fn choose<'a>(
    named: &[SegmentName],
    given: &'a [impl AsRef<[u8]>],
    partition: u16,
) -> Result<Vec<&'a [u8]>, CheckpointError> {
    let people = |name: &SegmentName| {
        let missing = CheckpointError::NoSegment(*name);
        let bytes = given.iter().map(AsRef::as_ref).find(|bytes| name_of(bytes) == *name).ok_or(missing.clone())?;
        let mut input = opened(bytes, MAGIC).map_err(|_| missing)?;
        read_version(&mut input)?;
        let own: u16 = input.narrow()?;
        input.number()?;
        if own == partition { Ok(input.0) } else { Err(CheckpointError::Impossible) }
    };
    named.iter().map(people).collect()
}
