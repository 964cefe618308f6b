//! A partition as it is now, derived beside the engine that owns it: from its newest checkpoint and the log behind that. Reads
//! only.

use std::time::Duration;

use super::error::RuntimeError;
use super::fleet::read;
use super::index_key;
use super::restore::segments_of;
use super::snapshot::Stored;
use crate::fold::{FOLD_VERSION, GRID_MS, Partition};
use crate::nats::commit::read_progress;
use crate::nats::log::entry_ts_ms;
use crate::nats::{Checkpoints, LogIdentity, LogMessage, LogReader, Nats, Partitions};

/// The log is there, so something comes; a server that says nothing for so long is not there.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A partition that was derived.
#[derive(Debug)]
pub struct Offline {
    /// The partition behind the last entry of the log.
    pub partition: Partition,
    /// Where it began.
    pub basis: Basis,
    /// How many entries of the log were read behind that.
    pub entries: u64,
    /// The last of them, which was the log's last.
    pub end: u64,
}

/// Where a derivation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// A checkpoint at this log entry.
    Checkpoint(u64),
    /// The log's first entry.
    Beginning,
}

impl Offline {
    /// Derives the partition `number` of so many; `Err` inside says why that can't be done from what is there.
    ///
    /// # Errors
    /// [`RuntimeError`], worth another try.
    pub async fn derive(nats: &Nats, number: u16, partitions: u16) -> Result<Result<Self, String>, RuntimeError> {
        let log = LogIdentity::read(nats).await?;
        let (mut partition, basis) = match begin(nats, &log, number).await? {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let mut events = Vec::new();
        let mut entries = 0;
        read_log(nats, &log, partition.position() + 1, |message| {
            let read = read(message, partitions);
            if read.route.reaches(number) {
                partition.apply(&read.entry(), &mut events);
                events.clear();
            }
            entries += 1;
        })
        .await?;
        Ok(Ok(Self { partition, basis, entries, end: log.last_seq }))
    }
}

/// The partition at the newest checkpoint that lies in this log, or before its first entry.
async fn begin(
    nats: &Nats,
    log: &LogIdentity,
    number: u16,
) -> Result<Result<(Partition, Basis), String>, RuntimeError> {
    // An age that nothing reaches: who only reads collects nothing.
    let checkpoints = Checkpoints::open(nats, Duration::MAX).await?;
    let (mut below, mut passed_over) = (log.last_seq, None);
    while let Some((seq, bytes)) = checkpoints.newest(number, below).await? {
        match from_checkpoint(nats, log, &checkpoints, number, &bytes).await? {
            Ok(partition) => return Ok(Ok((partition, Basis::Checkpoint(seq)))),
            Err(why) => passed_over = passed_over.or(Some(format!("the checkpoint at log entry {seq} {why}"))),
        }
        let Some(next) = seq.checked_sub(1) else { break };
        below = next;
    }
    let progress = read_progress(nats, number).await;
    let progress = progress
        .map_err(|error| RuntimeError::Unanswered { what: "reading the progress", cause: error.to_string() })?;
    let is_first = progress.is_none_or(|found| {
        let found = found.progress;
        found.generation == 0 && found.log_created == log.created && found.fold_version == FOLD_VERSION
    });
    if is_first && log.first_seq <= 1 {
        return Ok(Ok((Partition::new(number, &index_key()), Basis::Beginning)));
    }
    let checkpoint = passed_over.unwrap_or_else(|| "there is no checkpoint of it".to_owned());
    let log = if log.first_seq > 1 {
        format!("the log begins with entry {}", log.first_seq)
    } else {
        "the log is not the one that it began with".to_owned()
    };
    Ok(Err(format!("{checkpoint}, and {log}; an engine that runs leaves a checkpoint within engine.checkpoint_every")))
}

/// The partition of a checkpoint, or why it is of no use in this log.
async fn from_checkpoint(
    nats: &Nats,
    log: &LogIdentity,
    checkpoints: &Checkpoints,
    number: u16,
    bytes: &[u8],
) -> Result<Result<Partition, String>, RuntimeError> {
    let stored = match Stored::decode(bytes) {
        Ok(stored) => stored,
        Err(error) => return Ok(Err(format!("can't be read ({error})"))),
    };
    if stored.log_created != log.created {
        return Ok(Err("is one of another log".to_owned()));
    }
    if log.first_seq > stored.input_seq + 1 {
        return Ok(Err(format!("is followed by entries that are gone up to {}", log.first_seq - 1)));
    }
    let ts_there = if stored.input_seq >= log.first_seq { entry_ts_ms(nats, stored.input_seq).await? } else { None };
    if ts_there.is_some_and(|ts| ts != stored.input_ts) {
        return Ok(Err("is one of a log that lost its end".to_owned()));
    }
    let segments = segments_of(checkpoints, number, &stored).await?;
    let restored = Partition::restore_from(&stored.bytes, &segments, &index_key(), GRID_MS);
    Ok(restored.map_err(|error| format!("can't be restored ({error})")))
}

/// Hands `each` the log's entries from `next_seq` up to the end that `log` has, one after the other.
///
/// # Errors
/// [`RuntimeError::Log`], and [`RuntimeError::Unanswered`] where the server is silent.
pub async fn read_log(
    nats: &Nats,
    log: &LogIdentity,
    next_seq: u64,
    mut each: impl FnMut(&LogMessage),
) -> Result<(), RuntimeError> {
    let next_seq = next_seq.max(log.first_seq);
    if next_seq > log.last_seq {
        return Ok(());
    }
    let mut reader = LogReader::start(nats, &log.created, Partitions::All, next_seq);
    loop {
        let silent = |_| RuntimeError::Unanswered {
            what: "reading the log",
            cause: format!("nothing came for {} s", SILENCE_MAX.as_secs()),
        };
        for message in tokio::time::timeout(SILENCE_MAX, reader.next()).await.map_err(silent)?? {
            if message.seq > log.last_seq {
                return Ok(());
            }
            each(&message);
            if message.seq == log.last_seq {
                return Ok(());
            }
        }
    }
}
