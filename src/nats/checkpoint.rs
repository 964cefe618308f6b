//! Checkpoints in the Object Store: `<partition>/<seq>`, the newest two of each partition.
//!
//! The store is listed once, when it is opened; afterwards this process knows what is there, since it alone writes the
//! checkpoints of the partitions that it owns.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_nats::jetstream::object_store::{Object, ObjectInfo, ObjectStore};
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use tokio::io::AsyncReadExt;
use tracing::{info, warn};

use super::{Nats, names};

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
    /// partition → seq → the unique name of its chunks.
    known: BTreeMap<u16, BTreeMap<u64, String>>,
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
        let mut checkpoints = Self { nats: nats.clone(), store, stream, known: BTreeMap::new() };
        let live = checkpoints.list().await?;
        checkpoints.collect_orphans(chunks, &live, orphan_age).await?;
        Ok(checkpoints)
    }

    /// Writes one, then deletes every other of the partition but the newest before it. One with a higher `seq` belongs
    /// to a log that is no more.
    ///
    /// # Errors
    /// [`CheckpointError`], worth another try.
    pub async fn put(&mut self, partition: u16, seq: u64, bytes: Bytes) -> Result<(), CheckpointError> {
        let name = object_name(partition, seq);
        let written = self.store.put(name.as_str(), &mut bytes.as_ref()).await;
        let info = written.map_err(|error| CheckpointError::new("written", &error))?;
        self.known.entry(partition).or_default().insert(seq, info.nuid);
        self.prune(partition, seq).await;
        Ok(())
    }

    /// The newest readable one at or before `at_most_seq`, with its position. One that is damaged is passed over.
    ///
    /// # Errors
    /// [`CheckpointError`] if the store does not answer, worth another try.
    pub async fn newest(&self, partition: u16, at_most_seq: u64) -> Result<Option<(u64, Bytes)>, CheckpointError> {
        let Some(known) = self.known.get(&partition) else {
            return Ok(None);
        };
        for (&seq, nuid) in known.range(..=at_most_seq).rev() {
            match self.read(partition, seq, nuid).await? {
                Ok(bytes) => return Ok(Some((seq, bytes))),
                Err(damage) => warn!(partition, seq, damage, "a checkpoint is passed over, trying the one before"),
            }
        }
        Ok(None)
    }

    /// What is known of some partitions, for [`Checkpoints::learn`] of another view of the same store.
    #[must_use]
    pub fn known(&self, partitions: &[u16]) -> BTreeMap<u16, BTreeMap<u64, String>> {
        let of_them = self.known.iter().filter(|(partition, _)| partitions.contains(partition));
        of_them.map(|(partition, known)| (*partition, known.clone())).collect()
    }

    /// Learns what others have left in the store, which is cleared away from now on like what is our own.
    pub fn learn(&mut self, known: BTreeMap<u16, BTreeMap<u64, String>>) {
        self.known.extend(known);
    }

    /// The positions of the partition's checkpoints, oldest first.
    pub fn positions(&self, partition: u16) -> impl Iterator<Item = u64> {
        self.known.get(&partition).into_iter().flat_map(|known| known.keys().copied())
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
                        self.known.entry(partition).or_default().insert(seq, nuid.clone());
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
        let kept = known.range(..=seq).rev().take(KEPT).map(|(seq, _)| *seq).collect::<Vec<_>>();
        let doomed = known.iter().filter(|(seq, _)| !kept.contains(seq));
        for (seq, nuid) in doomed.map(|(seq, nuid)| (*seq, nuid.clone())).collect::<Vec<_>>() {
            match self.delete(partition, seq, &nuid).await {
                Ok(()) => {
                    self.known.entry(partition).or_default().remove(&seq);
                }
                Err(error) => {
                    warn!(partition, seq, %error, "an old checkpoint can't be deleted, trying again later");
                }
            }
        }
    }

    /// Deletes without a trace: the Object Store's own deletion leaves a message for each name, and names never recur.
    async fn delete(&self, partition: u16, seq: u64, nuid: &str) -> Result<(), CheckpointError> {
        for subject in [meta_subject(&object_name(partition, seq)), chunk_subject(nuid)] {
            let purged = self.stream.purge().filter(subject).await;
            purged.map_err(|error| CheckpointError::new("deleted", &error))?;
        }
        Ok(())
    }

    /// The content, or in what way it is damaged.
    async fn read(&self, partition: u16, seq: u64, nuid: &str) -> Result<Result<Bytes, String>, CheckpointError> {
        let failed = |cause: &dyn std::fmt::Display| CheckpointError::new("read", cause);
        let mut object = match self.store.get(object_name(partition, seq)).await {
            Ok(object) => object,
            Err(error) => match error.kind() {
                async_nats::jetstream::object_store::GetErrorKind::NotFound => {
                    return Ok(Err("it is gone".into()));
                }
                _ => return Err(failed(&error)),
            },
        };
        if object.info().chunks > 0
            && let Err(error) = self.stream.get_last_raw_message_by_subject(&chunk_subject(nuid)).await
        {
            return match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(Err("its content is gone".into())),
                RawMessageErrorKind::InvalidSubject
                | RawMessageErrorKind::JetStream(_)
                | RawMessageErrorKind::Other => Err(failed(&error)),
            };
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

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints").field("known", &self.known).finish_non_exhaustive()
    }
}

async fn read_all(object: &mut Object) -> std::io::Result<Bytes> {
    let size = object.info().size;
    let mut bytes = BytesMut::with_capacity(size);
    loop {
        let read = tokio::time::timeout(SILENCE_MAX, object.read_buf(&mut bytes)).await;
        match read {
            Ok(Ok(0)) if bytes.len() == size => return Ok(bytes.freeze()),
            Ok(Ok(0)) => {
                let damage = format!("{} of {size} bytes are there", bytes.len());
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, damage));
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(std::io::Error::other("the store is silent")),
        }
    }
}

async fn chunk_subjects(stream: &Stream<()>) -> Result<Vec<String>, CheckpointError> {
    let failed = |cause: &dyn std::fmt::Display| CheckpointError::new("listed", cause);
    let pages = stream.info_with_subjects(chunk_subject(">")).await.map_err(|error| failed(&error))?;
    // Only to the first error: asked again behind that, the client library panics.
    pages.map_ok(|(subject, _)| subject).try_collect().await.map_err(|error| failed(&error))
}

fn object_name(partition: u16, seq: u64) -> String {
    format!("{partition}/{seq}")
}

fn parse_name(name: &str) -> Option<(u16, u64)> {
    let (partition, seq) = name.split_once('/')?;
    let parsed = (partition.parse().ok()?, seq.parse().ok()?);
    (object_name(parsed.0, parsed.1) == name).then_some(parsed)
}

fn chunk_subject(nuid: &str) -> String {
    format!("$O.{}.C.{nuid}", names::CHECKPOINTS)
}

fn nuid_of(chunk_subject: &str) -> &str {
    chunk_subject.rsplit('.').next().unwrap_or(chunk_subject)
}

fn meta_subject(name: &str) -> String {
    format!("$O.{}.M.{}", names::CHECKPOINTS, base64(name.as_bytes()))
}

/// RFC 4648, the alphabet that is safe in URLs, padded: how the Object Store writes names.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let group = three.iter().enumerate().fold(0, |group, (i, byte)| group | u32::from(*byte) << (16 - 8 * i));
        for i in 0..4 {
            let six = ALPHABET[(group >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= three.len() { char::from(six) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_gives_the_examples_of_rfc_4648() {
        let examples = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (i, expected) in examples.iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..i]), *expected);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "-_8=");
    }

    #[test]
    fn only_our_own_names_are_checkpoints() {
        assert_eq!(parse_name("63/18446744073709551615"), Some((63, u64::MAX)));
        for name in ["", "7", "7/", "/7", "07/1", "7/+1", "7/1/2", "x/1"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
