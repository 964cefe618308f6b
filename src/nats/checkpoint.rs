//! Checkpoints in the Object Store: `<partition>/<seq>`, the newest two of each partition, and the segments that they build on,
//! `<partition>/people/<name>`.
//!
//! The store is listed once, when it is opened; afterwards this process knows what is there, since it alone writes the
//! checkpoints of the partitions that it owns. Only an owner before it may still clear away what that one wrote.

mod object;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use async_nats::jetstream::object_store::{ObjectInfo, ObjectStore};
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use bytes::Bytes;
use futures::StreamExt;
use tracing::{info, warn};

use self::object::{
    chunk_subject, chunk_subjects, meta_subject, nuid_of, object_name, parse_name, parse_segment_name, read_all,
    segment_name,
};
use super::{Nats, names};
use crate::fold::{Segment, SegmentName};

/// How many of a partition are kept.
pub const KEPT: usize = 2;
/// What aborted writes left behind is collected when it is so old; a younger one may still be under way.
pub const ORPHAN_AGE: Duration = Duration::from_secs(10 * 60);
/// How long the store may say nothing.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Why the store did not do what it was asked to. Every checkpoint that was there before still is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the checkpoints can't be {action}: {cause}; if the bucket presence_checkpoints is missing, `presence setup` creates it"
)]
pub struct CheckpointError {
    /// What was asked: listed, written, read.
    pub action: &'static str,
    /// What happened.
    pub cause: String,
}

impl CheckpointError {
    fn new(action: &'static str, cause: &dyn std::fmt::Display) -> Self {
        Self { action, cause: cause.to_string() }
    }
}

/// The checkpoints of all partitions.
pub struct Checkpoints {
    nats: Nats,
    store: ObjectStore,
    stream: Stream<()>,
    known: BTreeMap<u16, Listed>,
    /// Segments that nobody else clears away: this process wrote them while it owned the partition.
    written: HashSet<(u16, SegmentName)>,
}

/// What is there of a partition, each with the unique name of its chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    checkpoints: BTreeMap<u64, Listing>,
    segments: BTreeMap<SegmentName, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Listing {
    nuid: String,
    /// The segments that it builds on; `None` of one that another process has stored.
    segments: Option<Vec<SegmentName>>,
}

impl Checkpoints {
    /// Lists what is there, and collects what aborted writes left behind if it is older than `orphan_age`
    /// ([`ORPHAN_AGE`]) by the store's own clock.
    ///
    /// # Errors
    /// [`CheckpointError`], worth another try.
    pub async fn open(nats: &Nats, orphan_age: Duration) -> Result<Self, CheckpointError> {
        let failed = |cause: &dyn std::fmt::Display| CheckpointError::new("listed", cause);
        let store = nats.jetstream.get_object_store(names::CHECKPOINTS).await.map_err(|error| failed(&error))?;
        let stream = nats.jetstream.get_stream_no_info(names::store_stream(names::CHECKPOINTS)).await;
        let stream = stream.map_err(|error| failed(&error))?;
        // Chunks first: the chunks of a write that ends between the two are in the second list.
        let chunks = chunk_subjects(&stream).await?;
        let mut checkpoints =
            Self { nats: nats.clone(), store, stream, known: BTreeMap::new(), written: HashSet::new() };
        let live = checkpoints.list().await?;
        checkpoints.collect_orphans(chunks, &live, orphan_age).await?;
        Ok(checkpoints)
    }

    /// Writes one that builds on `segments`, then deletes every other of the partition but the newest before it, and the
    /// segments that neither of the two needs. One with a higher `seq` belongs to a log that is no more.
    ///
    /// # Errors
    /// [`CheckpointError`], worth another try; or a segment is not there.
    pub async fn put(
        &mut self,
        partition: u16,
        seq: u64,
        bytes: Bytes,
        segments: &[SegmentName],
    ) -> Result<(), CheckpointError> {
        let listed = self.known.entry(partition).or_default();
        if let Some(missing) = segments.iter().find(|name| !listed.segments.contains_key(name)) {
            let cause = format!("its segment {missing} is not stored; the next one does not need it");
            return Err(CheckpointError::new("written", &cause));
        }
        self.check_inherited(partition, segments).await?;
        let nuid = self.write(&object_name(partition, seq), &bytes).await?;
        let listing = Listing { nuid, segments: Some(segments.to_vec()) };
        self.known.entry(partition).or_default().checkpoints.insert(seq, listing);
        self.prune(partition, seq).await;
        Ok(())
    }

    /// Writes a segment, for a checkpoint that follows.
    ///
    /// # Errors
    /// [`CheckpointError`], worth another try.
    pub async fn put_segment(&mut self, partition: u16, segment: &Segment) -> Result<(), CheckpointError> {
        let nuid = self.write(&segment_name(partition, segment.name), &segment.bytes).await?;
        self.known.entry(partition).or_default().segments.insert(segment.name, nuid);
        self.written.insert((partition, segment.name));
        Ok(())
    }

    /// Looks whether what others have written is still there: an owner before that was stopped clears it away when it goes on, if it
    /// has stored more than we have found.
    async fn check_inherited(&mut self, partition: u16, segments: &[SegmentName]) -> Result<(), CheckpointError> {
        for name in segments.iter().filter(|name| !self.written.contains(&(partition, **name))) {
            let subject = meta_subject(&segment_name(partition, *name));
            match self.stream.get_last_raw_message_by_subject(&subject).await {
                Ok(_) => {}
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                    self.known.entry(partition).or_default().segments.remove(name);
                    let cause = format!("its segment {name} is gone; the next one does not need it");
                    return Err(CheckpointError::new("written", &cause));
                }
                Err(error) => return Err(CheckpointError::new("written", &error)),
            }
        }
        Ok(())
    }

    /// The unique name of the chunks that it is written into.
    async fn write(&self, name: &str, mut bytes: &[u8]) -> Result<String, CheckpointError> {
        let written = self.store.put(name, &mut bytes).await;
        Ok(written.map_err(|error| CheckpointError::new("written", &error))?.nuid)
    }

    /// The newest readable one at or before `at_most_seq`, with its position. One that is damaged is passed over.
    ///
    /// # Errors
    /// [`CheckpointError`] if the store does not answer, worth another try.
    pub async fn newest(&self, partition: u16, at_most_seq: u64) -> Result<Option<(u64, Bytes)>, CheckpointError> {
        let Some(known) = self.known.get(&partition) else {
            return Ok(None);
        };
        for &seq in known.checkpoints.range(..=at_most_seq).rev().map(|(seq, _)| seq) {
            match self.read(&object_name(partition, seq)).await? {
                Ok(bytes) => return Ok(Some((seq, bytes))),
                Err(damage) => warn!(partition, seq, damage, "a checkpoint is passed over, trying the one before"),
            }
        }
        Ok(None)
    }

    /// A segment of a partition's checkpoints; `None` if it is not there, or damaged.
    ///
    /// # Errors
    /// [`CheckpointError`] if the store does not answer, worth another try.
    pub async fn segment(&self, partition: u16, name: SegmentName) -> Result<Option<Bytes>, CheckpointError> {
        if !self.known.get(&partition).is_some_and(|known| known.segments.contains_key(&name)) {
            return Ok(None);
        }
        match self.read(&segment_name(partition, name)).await? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(damage) => {
                warn!(partition, segment = %name, damage, "a segment of a checkpoint can't be read");
                Ok(None)
            }
        }
    }

    /// What is known of some partitions, for [`Checkpoints::learn`] of another view of the same store.
    #[must_use]
    pub fn known(&self, partitions: &[u16]) -> BTreeMap<u16, Listed> {
        let of_them = self.known.iter().filter(|(partition, _)| partitions.contains(partition));
        of_them.map(|(partition, known)| (*partition, known.clone())).collect()
    }

    /// Learns what others have left in the store, which is cleared away from now on like what is our own.
    pub fn learn(&mut self, known: BTreeMap<u16, Listed>) {
        // Others have had these partitions meanwhile, if they ever were ours.
        self.written.retain(|(partition, _)| !known.contains_key(partition));
        self.known.extend(known);
    }

    /// The positions of the partition's checkpoints, oldest first.
    pub fn positions(&self, partition: u16) -> impl Iterator<Item = u64> {
        self.known.get(&partition).into_iter().flat_map(|known| known.checkpoints.keys().copied())
    }

    /// Reads the list into what is known; returns the unique names of all objects that live.
    async fn list(&mut self) -> Result<HashSet<String>, CheckpointError> {
        let mut list = self.store.list().await.map_err(|error| CheckpointError::new("listed", &error))?;
        let mut live = HashSet::new();
        loop {
            let next = tokio::time::timeout(SILENCE_MAX, list.next()).await;
            match next.map_err(|_| CheckpointError::new("listed", &"the store is silent"))? {
                Some(Ok(ObjectInfo { name, nuid, .. })) => {
                    if let Some((partition, seq)) = parse_name(&name) {
                        let listing = Listing { nuid: nuid.clone(), segments: None };
                        self.known.entry(partition).or_default().checkpoints.insert(seq, listing);
                    } else if let Some((partition, segment)) = parse_segment_name(&name) {
                        self.known.entry(partition).or_default().segments.insert(segment, nuid.clone());
                    }
                    live.insert(nuid);
                }
                Some(Err(error)) => return Err(CheckpointError::new("listed", &error)),
                None => return Ok(live),
            }
        }
    }

    /// Deletes chunks that no object has, and that are so much older than the store's latest message.
    async fn collect_orphans(
        &self,
        chunks: Vec<String>,
        live: &HashSet<String>,
        orphan_age: Duration,
    ) -> Result<(), CheckpointError> {
        let orphans = chunks.iter().filter(|subject| !live.contains(nuid_of(subject))).collect::<Vec<_>>();
        if orphans.is_empty() {
            return Ok(());
        }
        let failed = |cause: &dyn std::fmt::Display| CheckpointError::new("listed", cause);
        let info = self.stream.get_info().await.map_err(|error| failed(&error))?;
        let latest = info.state.last_timestamp.unix_timestamp_nanos();
        for subject in orphans {
            let written = match self.stream.get_last_raw_message_by_subject(subject).await {
                Ok(message) => message.time.unix_timestamp_nanos(),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => continue,
                Err(error) => return Err(failed(&error)),
            };
            if latest - written >= i128::try_from(orphan_age.as_nanos()).unwrap_or(i128::MAX) {
                self.stream.purge().filter(subject).await.map_err(|error| failed(&error))?;
                info!(chunks = nuid_of(subject), "collected what an aborted checkpoint left behind");
            }
        }
        Ok(())
    }

    /// Deletes what is not to be kept beside `seq`. What can't be deleted now is tried again with the next one.
    async fn prune(&mut self, partition: u16, seq: u64) {
        let known = self.known.entry(partition).or_default();
        let kept = known.checkpoints.range(..=seq).rev().take(KEPT).map(|(seq, _)| *seq).collect::<BTreeSet<_>>();
        let doomed = known.checkpoints.iter().filter(|(seq, _)| !kept.contains(seq));
        for (seq, nuid) in doomed.map(|(seq, listing)| (*seq, listing.nuid.clone())).collect::<Vec<_>>() {
            if self.delete(&object_name(partition, seq), &nuid).await {
                self.known.entry(partition).or_default().checkpoints.remove(&seq);
            }
        }
        for (name, nuid) in self.known.entry(partition).or_default().needless() {
            if self.delete(&segment_name(partition, name), &nuid).await {
                self.known.entry(partition).or_default().segments.remove(&name);
                self.written.remove(&(partition, name));
            }
        }
    }

    /// Deletes without a trace: the Object Store's own deletion leaves a message for each name, and names never recur. Whether it
    /// is gone.
    async fn delete(&self, name: &str, nuid: &str) -> bool {
        for subject in [meta_subject(name), chunk_subject(nuid)] {
            if let Err(error) = self.stream.purge().filter(subject).await {
                warn!(object = name, %error, "what no checkpoint needs can't be deleted, trying again later");
                return false;
            }
        }
        true
    }

    /// How many chunks are there of an object.
    async fn chunks(&self, nuid: &str) -> Result<usize, CheckpointError> {
        let failed = |cause: &dyn std::fmt::Display| CheckpointError::new("read", cause);
        let mut counts = self.stream.info_with_subjects(chunk_subject(nuid)).await.map_err(|error| failed(&error))?;
        let count = counts.next().await.transpose().map_err(|error| failed(&error))?;
        Ok(count.map_or(0, |(_, count)| count))
    }

    /// The content, or in what way it is damaged.
    async fn read(&self, name: &str) -> Result<Result<Bytes, String>, CheckpointError> {
        let failed = |cause: &dyn std::fmt::Display| CheckpointError::new("read", cause);
        let mut object = match self.store.get(name).await {
            Ok(object) => object,
            Err(error) => match error.kind() {
                async_nats::jetstream::object_store::GetErrorKind::NotFound => {
                    return Ok(Err("it is gone".into()));
                }
                _ => return Err(failed(&error)),
            },
        };
        // Whoever reads what isn't there waits for ever.
        let (chunks, there) = (object.info().chunks, self.chunks(&object.info().nuid).await?);
        if there != chunks {
            return Ok(Err(format!("{there} of its {chunks} chunks are there")));
        }
        match read_all(&mut object).await {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(Err(error.to_string())),
            Err(error) if !self.nats.is_connected() => Err(failed(&format!("the connection is lost ({error})"))),
            Err(error) => Err(failed(&error)),
        }
    }
}

/// The newest of each partition: its position, and when it was stored in milliseconds of the server's clock. Nothing is changed.
///
/// # Errors
/// [`CheckpointError`], worth another try.
pub async fn newest_of_all(nats: &Nats) -> Result<BTreeMap<u16, (u64, u64)>, CheckpointError> {
    let failed = |cause: &dyn std::fmt::Display| CheckpointError::new("listed", cause);
    let store = nats.jetstream.get_object_store(names::CHECKPOINTS).await.map_err(|error| failed(&error))?;
    let mut list = store.list().await.map_err(|error| failed(&error))?;
    let mut newest = BTreeMap::new();
    while let Some(info) = tokio::time::timeout(SILENCE_MAX, list.next()).await.map_err(|error| failed(&error))? {
        let ObjectInfo { name, modified, .. } = info.map_err(|error| failed(&error))?;
        let Some((partition, seq)) = parse_name(&name) else { continue };
        let stored = modified.map_or(0, |at| at.unix_timestamp_nanos() / 1_000_000);
        let stored = (seq, u64::try_from(stored).unwrap_or(0));
        newest.entry(partition).and_modify(|known: &mut (u64, u64)| *known = stored.max(*known)).or_insert(stored);
    }
    Ok(newest)
}

impl Listed {
    /// The segments that no checkpoint needs; none as long as there is one whose needs are not known.
    fn needless(&self) -> Vec<(SegmentName, String)> {
        let needs: Option<Vec<&[SegmentName]>> =
            self.checkpoints.values().map(|listing| listing.segments.as_deref()).collect();
        let Some(needs) = needs else { return Vec::new() };
        let is_needless = |name: &SegmentName| !needs.iter().any(|of_one| of_one.contains(name));
        let needless = self.segments.iter().filter(|(name, _)| is_needless(name));
        needless.map(|(name, nuid)| (*name, nuid.clone())).collect()
    }
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints").field("known", &self.known).finish_non_exhaustive()
    }
}
