//! The stored log, folded under two policies beside the engine: what would another policy have told? Reads only.
//!
//! Both folds begin at the same entry with nobody there, so that they differ by their policies alone. Who was there before
//! shows up with its next signal.

pub mod measure;

use std::sync::Arc;

use super::error::RuntimeError;
use super::fleet::read;
use super::index_key;
use super::offline::read_log;
use crate::fold::{Body, Entry, Partition};
use crate::model::{Event, Millis, Policy};
use crate::nats::log::{entry_ts_ms, first_since};
use crate::nats::{LogIdentity, Nats};
use crate::wire::{LogEntry, Route};
use measure::{Measure, Measured};

/// What both folds told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backtest {
    /// How many entries were folded.
    pub entries: u64,
    /// The log time of the first one.
    pub from_ms: Millis,
    /// The log time of the last one.
    pub to_ms: Millis,
    /// How many policies came into force on the way, under the stored policy.
    pub policies: u64,
    /// Under the stored policy.
    pub stored: Measured,
    /// Under the other one.
    pub other: Measured,
}

impl Backtest {
    /// Folds the log of so many partitions from the time `since` on, or from its first entry. `stored` is in force before the
    /// first policy that the log holds. `None`: there is no entry.
    ///
    /// # Errors
    /// [`RuntimeError`], worth another try.
    pub async fn run(
        nats: &Nats,
        partitions: u16,
        since: Option<Millis>,
        stored: &Arc<Policy>,
        other: &Arc<Policy>,
    ) -> Result<Option<Self>, RuntimeError> {
        let log = LogIdentity::read(nats).await?;
        let from_seq = match since {
            Some(since) => first_since(nats, &log, since).await?,
            None => log.first_seq,
        };
        let Some(from_ms) = entry_ts_ms(nats, from_seq).await? else {
            return Ok(None);
        };
        // A log that is read from its very beginning says itself what came into force.
        let before = if from_seq == 1 { &Arc::default() } else { stored };
        let mut folds = [
            Fold::starting(partitions, (from_seq, from_ms), before, false),
            Fold::starting(partitions, (from_seq, from_ms), other, true),
        ];
        let (mut entries, mut to_ms) = (0, from_ms);
        read_log(nats, &log, from_seq, |message| {
            let entry = read(message, partitions);
            folds.iter_mut().for_each(|fold| fold.apply(&entry));
            (entries, to_ms) = (entries + 1, to_ms.max(message.ts_ms));
        })
        .await?;
        let [stored, other] = folds;
        let policies = stored.policies;
        let (stored, other) = (stored.measure.measured(), other.measure.measured());
        Ok(Some(Self { entries, from_ms, to_ms, policies, stored, other }))
    }
}

/// All partitions under one policy, and what they told.
#[derive(Debug)]
struct Fold {
    partitions: Vec<Partition>,
    /// What comes into force in place of the log's own policies.
    instead: Option<Arc<Policy>>,
    /// How many of the log's policies came.
    policies: u64,
    measure: Measure,
    events: Vec<Event>,
}

impl Fold {
    /// Partitions with nobody there, under `policy`, before the entry `first` (sequence and log time). `always`: no policy of
    /// the log takes its place.
    fn starting(partitions: u16, first: (u64, Millis), policy: &Arc<Policy>, always: bool) -> Self {
        let policy = told_of_sessions(policy);
        let (first_seq, ts) = first;
        let key = index_key();
        let partitions = (0..partitions).map(|number| {
            let mut partition = Partition::new(number, &key);
            // A policy comes into force by an entry only: one before all others, which then never was.
            partition.apply(&Entry { seq: 1, ts, body: Body::Policy(&policy) }, &mut Vec::new());
            partition.lose_log(0);
            partition.skip_to(first_seq - 1);
            partition
        });
        let partitions = partitions.collect();
        let instead = always.then_some(policy);
        Self { partitions, instead, policies: 0, measure: Measure::default(), events: Vec::new() }
    }

    fn apply<'a>(&mut self, read: &'a LogEntry<'a>) {
        let Entry { seq, ts, body } = read.entry();
        let (policy, body) = match body {
            Body::Policy(of_log) => {
                self.policies += 1;
                (Some(self.instead.clone().unwrap_or_else(|| told_of_sessions(of_log))), Body::Other)
            }
            body => (None, body),
        };
        let body = policy.as_ref().map_or(body, Body::Policy);
        let entry = Entry { seq, ts, body };
        let reached = match read.route {
            Route::Partition(number) => &mut self.partitions[usize::from(number)..=usize::from(number)],
            Route::All => &mut self.partitions[..],
            Route::Nobody => &mut [],
        };
        for partition in reached {
            partition.apply(&entry, &mut self.events);
            for event in self.events.drain(..) {
                self.measure.observe(&event);
            }
        }
    }
}

/// The policy with sessions' events told, which changes no other event: they are what is compared.
fn told_of_sessions(policy: &Arc<Policy>) -> Arc<Policy> {
    if policy.session_events {
        return Arc::clone(policy);
    }
    Arc::new(Policy { session_events: true, ..Policy::clone(policy) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{State, partition_of};
    use crate::wire::{LogMessage, Tick, policy, subject};

    const START: Millis = 1_700_000_000_000;
    const PARTITIONS: u16 = 4;

    /// Under `policy`: alice beats every 20 s for five minutes, and is gone after that; `entry` comes in the midst of it.
    fn fold(policy: &Policy, always: bool, entry: Option<&Policy>) -> (Measured, u64) {
        let mut fold = Fold::starting(PARTITIONS, (10, START), &Arc::new(policy.clone()), always);
        let signals = subject::log_signal(partition_of("main", "alice", PARTITIONS), "main", "alice", "tab");
        let (tick, payload) = (Tick::new(0).to_json(), entry.map(policy::encode));
        for second in 0..900 {
            let mut apply = |seq: u64, subject: &str, payload: &[u8]| {
                let ts = START + 1_000 * second;
                let message = LogMessage { seq, ts, subject, payload, content_type: None };
                fold.apply(&message.read(PARTITIONS));
            };
            let seq = 10 + 3 * second;
            apply(seq, subject::TICK, &tick);
            if second <= 300 && second % 20 == 0 {
                apply(seq + 1, &signals, b"");
            }
            if let (150, Some(payload)) = (second, &payload) {
                apply(seq + 2, subject::POLICY, payload);
            }
        }
        (fold.measure.measured(), fold.policies)
    }

    fn jumpy() -> Policy {
        let mut policy = Policy { session_events: false, ..Policy::default() };
        let index = policy.default_index();
        let profile = &mut policy.profiles[index].1;
        (profile.idle_after, profile.stale_after, profile.offline_after) = (10_000, 60_000, 90_000);
        policy
    }

    #[test]
    fn one_log_tells_other_events_under_another_policy() {
        let (calm, _) = fold(&Policy::default(), false, None);
        assert_eq!((calm.sessions.flaps, calm.sessions.count(State::Active, State::Idle)), (0, 1));
        assert_eq!((calm.to_stale.p50_ms, calm.to_offline.p99_ms), (Some(180_000), Some(240_000)));
        let (jumpy, _) = fold(&jumpy(), true, None);
        assert_eq!((jumpy.sessions.flaps, jumpy.sessions.count(State::Active, State::Idle)), (15, 16));
        assert_eq!((jumpy.to_stale.p50_ms, jumpy.to_offline.p99_ms), (Some(60_000), Some(90_000)));
        assert_eq!(jumpy.users.flaps, 15, "the user has no other session");
    }

    #[test]
    fn the_logs_own_policies_count_in_the_first_fold_only() {
        let (changed, policies) = fold(&Policy::default(), false, Some(&jumpy()));
        assert_eq!((changed.sessions.flaps, policies), (8, 1), "from 150 s on");
        let (always, policies) = fold(&Policy::default(), true, Some(&jumpy()));
        assert_eq!((always, policies), (fold(&Policy::default(), true, None).0, 1));
    }
}
