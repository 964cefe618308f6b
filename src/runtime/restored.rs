//! What recovery decides: where a partition stands, judged by its progress, its checkpoints and its log. Pure, and public so
//! that `tests/simulation.rs` drives the very thing; `restore` asks NATS for what is judged here.

use std::sync::Arc;

use tracing::{info, warn};

use super::error::RuntimeError;
use super::outbox::Reached;
use super::snapshot::Stored;
use crate::fold::{FOLD_VERSION, GRID_MS, IndexKey, Partition};
use crate::model::{Event, Policy};
use crate::nats::LogIdentity;
use crate::wire::Progress;

/// A partition, ready to read its log on.
#[derive(Debug)]
pub struct Restored {
    /// The partition.
    pub partition: Partition,
    /// Where in the log it is.
    pub position: Reached,
    /// What was told before; events up to there are suppressed.
    pub reached: Reached,
    /// The log before is gone; holds the log time up to which it was told.
    pub lost_since: Option<u64>,
    /// What the lost log would have told, as far as it can be told without it.
    pub amends: Vec<Event>,
}

/// What a partition that was fenced is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The log as it is behind the fence.
    pub log: &'a LogIdentity,
    /// The progress that the fence found.
    pub progress: &'a Progress,
    /// The timestamp in milliseconds of the log's entry at [`Evidence::place`]; `None` if it is not there.
    pub ts_there: Option<u64>,
    /// The secret of the partition's index.
    pub key: &'a IndexKey,
}

impl Restored {
    /// A partition that has told nothing yet.
    #[must_use]
    pub fn fresh(number: u16, key: &IndexKey) -> Self {
        let (position, reached) = (Reached::nothing(0), Reached::nothing(0));
        let partition = Partition::new(number, key);
        Self { partition, position, reached, lost_since: None, amends: Vec::new() }
    }

    /// The latest log entry of which something was told, with its timestamp.
    #[must_use]
    pub fn latest(restored: &[Self]) -> Option<(u64, u64)> {
        let known = restored.iter().map(|found| &found.reached).filter(|reached| reached.ts > 0);
        known.map(|reached| (reached.seq, reached.ts)).max()
    }
}

impl Evidence<'_> {
    /// Where the log has to be looked at: at the progress' position, or at its end if it ends before that.
    #[must_use]
    pub fn place(log: &LogIdentity, progress: &Progress) -> u64 {
        progress.input_seq.min(log.last_seq)
    }

    /// Whether this log is the one in which the progress is a position, as far as it can still be seen.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        let Self { log, progress, .. } = self;
        if progress.log_created != log.created || progress.input_seq > log.last_seq {
            return false;
        }
        progress.input_seq < log.first_seq || self.ts_there.is_none_or(|ts| ts == progress.input_ts)
    }

    /// The partition from the checkpoint that is stored as `number` and `seq`, with the segments that it names, if that is of use.
    ///
    /// # Errors
    /// [`RuntimeError::FoldVersion`].
    pub fn from_checkpoint(
        &self,
        number: u16,
        seq: u64,
        stored: &Stored,
        segments: &[impl AsRef<[u8]>],
    ) -> Result<Option<Restored>, RuntimeError> {
        let progress = self.progress;
        if stored.log_created != progress.log_created {
            return Ok(None);
        }
        if (stored.input_seq, stored.k) > (progress.input_seq, progress.k) {
            // PRESENCE_EVENTS lost its end: what was told up to this checkpoint has to be told again.
            return Ok(None);
        }
        let drained = stored.input_seq == progress.input_seq && stored.k == progress.k;
        if progress.fold_version != FOLD_VERSION && !drained {
            return Err(fold_version(number, progress));
        }
        let partition = match Partition::restore_from(&stored.bytes, segments, self.key, GRID_MS) {
            Ok(partition) => partition,
            Err(error) => {
                warn!(partition = number, seq, %error, "passing over a checkpoint that can't be restored");
                return Ok(None);
            }
        };
        if partition.generation() != progress.generation {
            return Ok(None);
        }
        if self.goes_on() && self.log.first_seq <= seq + 1 {
            info!(partition = number, seq, sessions = partition.sessions(), "restored");
            let (seq, ts, k) = (stored.input_seq, stored.input_ts, stored.k);
            let position = Reached { seq, ts, k, ..Reached::nothing(progress.generation) };
            let reached = Reached::of(progress);
            return Ok(Some(Restored { partition, position, reached, lost_since: None, amends: Vec::new() }));
        }
        // Where the log behind the checkpoint is gone, but everything up to it was told, nobody's state is missing.
        Ok(drained.then(|| self.lose_log(partition, &[])))
    }

    /// The partition before the log's first entry, where there is no checkpoint of use; `None` if that is not where it began.
    ///
    /// # Errors
    /// [`RuntimeError::FoldVersion`].
    pub fn from_the_beginning(&self, number: u16) -> Result<Option<Restored>, RuntimeError> {
        let progress = self.progress;
        if progress.fold_version != FOLD_VERSION {
            return Err(fold_version(number, progress));
        }
        // Nothing was ever lost and the log is whole: it can be folded from its beginning.
        let whole = self.goes_on() && progress.generation == 0 && self.log.first_seq <= 1;
        Ok(whole.then(|| Restored { reached: Reached::of(progress), ..Restored::fresh(number, self.key) }))
    }

    /// The partition from what was told of it last: the log is another one, or was cut.
    #[must_use]
    pub fn rebuilt(&self, number: u16, policy: &Arc<Policy>, told: &[Event]) -> Restored {
        let progress = self.progress;
        let now = told.iter().map(|event| event.at_ms).max().unwrap_or(0).max(progress.input_ts);
        self.lose_log(Partition::rebuild(number, self.key, Arc::clone(policy), now, told), told)
    }

    /// A partition of which all was told reads on in what is left of the log: behind what was told of it, or, if it is
    /// another log, from its beginning. Where the log lost its end and grew again, what came instead is passed over too.
    fn lose_log(&self, mut partition: Partition, told: &[Event]) -> Restored {
        let Self { log, progress, .. } = self;
        let place = if progress.log_created == log.created { Self::place(log, progress) } else { 0 };
        let seq = place.max(log.first_seq - 1);
        // Another log has no entry there yet, and a cut one none that was seen.
        let ts = if seq == place && seq > 0 { self.ts_there.unwrap_or(0) } else { 0 };
        partition.lose_log(progress.generation + 1);
        partition.skip_to(seq);
        let position = Reached { seq, ts, ..Reached::nothing(partition.generation()) };
        let (reached, lost_since, amends) = (position.clone(), Some(partition.log_time()), partition.reconcile(told));
        Restored { partition, position, reached, lost_since, amends }
    }
}

fn fold_version(partition: u16, progress: &Progress) -> RuntimeError {
    RuntimeError::FoldVersion { partition, found: progress.fold_version, own: FOLD_VERSION, seq: progress.input_seq }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::{Body, Entry};
    use crate::model::{Address, EventBody, Signal, State};

    fn key() -> IndexKey {
        IndexKey::new(1, 2)
    }

    const NO_SEGMENTS: &[&[u8]] = &[];

    fn log(created: &str, first_seq: u64, last_seq: u64) -> LogIdentity {
        LogIdentity { created: created.into(), first_seq, last_seq }
    }

    /// Of the log `a`, told up to and with two events of the entry `seq`, whose timestamp is 1,000 × `seq`.
    fn progress(seq: u64) -> Progress {
        Progress {
            v: 1,
            owner: "x".into(),
            epoch: 1,
            commit: "x.1".into(),
            log_created: "a".into(),
            input_seq: seq,
            input_ts: 1_000 * seq,
            k: 2,
            generation: 0,
            fold_version: FOLD_VERSION,
            policy_hash: String::new(),
        }
    }

    /// A heartbeat is the entry 100; with what it tells.
    fn partition() -> (Partition, Vec<Event>) {
        let address = Address::parse("acme.alice.tab").unwrap();
        let (mut partition, mut events) = (Partition::new(0, &key()), Vec::new());
        let signal = Signal::default();
        partition.apply(&Entry { seq: 100, ts: 100_000, body: Body::Signal(address, &signal) }, &mut events);
        (partition, events)
    }

    /// The checkpoint behind the entry 100.
    fn checkpoint() -> Stored {
        let reached = Reached { seq: 100, ts: 100_000, k: 2, ..Reached::nothing(0) };
        Stored::new(&log("a", 1, 100), &reached, partition().0.checkpoint())
    }

    fn restored(log: &LogIdentity, progress: &Progress, ts_there: Option<u64>) -> Restored {
        let evidence = Evidence { log, progress, ts_there, key: &key() };
        match evidence.from_checkpoint(0, 100, &checkpoint(), NO_SEGMENTS).unwrap() {
            Some(restored) => restored,
            None => evidence.rebuilt(0, &Arc::default(), &partition().1),
        }
    }

    /// (generation, the entry behind which it reads on, whether anything is lost)
    fn standing(restored: &Restored) -> (u32, u64, bool) {
        assert_eq!(restored.position.seq, restored.partition.position());
        (restored.partition.generation(), restored.partition.position(), restored.lost_since.is_some())
    }

    #[test]
    fn in_a_log_that_goes_on_it_is_where_its_checkpoint_is() {
        let restored = restored(&log("a", 1, 150), &progress(120), Some(120_000));
        assert_eq!(standing(&restored), (0, 100, false));
        let Reached { ts, k, .. } = restored.position;
        assert_eq!((ts, k, restored.reached), (100_000, 2, Reached::of(&progress(120))));
    }

    #[test]
    fn behind_a_cut_it_reads_on_behind_what_was_told() {
        assert_eq!(standing(&restored(&log("a", 110, 150), &progress(120), Some(120_000))), (1, 120, true));
        assert_eq!(standing(&restored(&log("a", 140, 150), &progress(120), None)), (1, 139, true));
        assert_eq!(standing(&restored(&log("a", 140, 150), &progress(100), None)), (1, 139, true), "drained");
    }

    #[test]
    fn a_log_that_lost_its_end_is_read_on_from_there() {
        assert_eq!(standing(&restored(&log("a", 1, 115), &progress(120), Some(115_000))), (1, 115, true));
        let grown = restored(&log("a", 1, 150), &progress(120), Some(777_000));
        assert_eq!((standing(&grown), grown.reached.ts), ((1, 120, true), 777_000));
    }

    #[test]
    fn another_log_is_read_from_its_beginning() {
        assert_eq!(standing(&restored(&log("b", 1, 150), &progress(120), Some(5))), (1, 0, true));
        assert_eq!(standing(&restored(&log("b", 9, 150), &progress(120), Some(5))), (1, 8, true));
    }

    #[test]
    fn a_checkpoint_behind_the_progress_is_of_no_use() {
        let (log, progress) = (log("a", 1, 150), Progress { k: 1, ..progress(100) });
        let evidence = Evidence { log: &log, progress: &progress, ts_there: Some(100_000), key: &key() };
        assert!(evidence.from_checkpoint(0, 100, &checkpoint(), NO_SEGMENTS).unwrap().is_none());
    }

    #[test]
    fn a_user_whose_last_session_was_told_offline_follows_it() {
        let (mut partition, mut events) = partition();
        partition.apply(&Entry { seq: 101, ts: 101_000, body: Body::Tick { failed: 0 } }, &mut events);
        let EventBody::Session(session) = &mut events[0].body else { panic!("{events:?}") };
        (session.from, session.to, session.ordinal) = (State::Active, State::Offline, 2);
        let (log, progress) = (log("b", 1, 0), progress(101));
        let evidence = Evidence { log: &log, progress: &progress, ts_there: None, key: &key() };
        let [gone] = &evidence.rebuilt(0, &Arc::default(), &events).amends[..] else { panic!("it alone") };
        let EventBody::User(user) = &gone.body else { panic!("{gone:?}") };
        assert_eq!((user.from, user.to, user.ordinal, &*gone.id()), (State::Active, State::Offline, 2, "0-1-0-1"));
    }
}
