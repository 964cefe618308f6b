//! What the server commits of an engine's events, without an engine: of the same kind, on a stream that has others of the same
//! subjects, which is what costs it.

use tokio::time::Instant;

use super::falls::listen;
use crate::cli::bench::Result;
use crate::cli::bench::course::Course;
use crate::cli::bench::rig::{FILE, Rig, TENANT, still};
use crate::fold::{Body, Entry, FOLD_VERSION, IndexKey, Partition};
use crate::model::{Address, Event, Signal, partition_of};
use crate::nats::{Batch, CommitLane, LogIdentity, OutMessage, Owner, Position};
use crate::wire::{Encoding, event};

/// As many as an engine commits together.
const MESSAGES: usize = 900;
/// Any time that a log may have.
const START_MS: u64 = 1_790_000_000_000;
/// By so many seconds without a signal they are idle, by the built-in policy.
const IDLE_S: u64 = 61;

/// Events committed per second and delivered to a subscriber.
pub(super) async fn rate(course: &Course, sessions: usize, partitions: u16) -> Result<f64> {
    let rig = Rig::start(course, &still(FILE, "")).await?;
    let log = LogIdentity::read(&rig.nats).await?;
    let mut lane = CommitLane::new(&rig.nats, Owner::unique(&rig.nats), &log.created, FOLD_VERSION);
    lane.take_fences(&(0..partitions).collect::<Vec<_>>()).await?;
    let mut crowd = Crowd::new(partitions);
    for batch in crowd.joins(sessions)? {
        lane.commit(batch).await?;
    }
    let batches = crowd.falls();
    let events: usize = batches.iter().map(|batch| batch.messages.len()).sum();
    let listening = rig.another().await?;
    let told = listen(&listening, sessions).await?;
    let begin = Instant::now();
    for batch in batches {
        lane.commit(batch).await?;
    }
    for heard in told {
        heard.await??;
    }
    let rate = events as f64 / begin.elapsed().as_secs_f64();
    rig.stop().await?;
    Ok(rate)
}

/// What an engine tells of a crowd, as it would commit it.
struct Crowd {
    partitions: Vec<Partition>,
    seq: u64,
    events: Vec<Event>,
    batches: Vec<Batch>,
}

impl Crowd {
    fn new(partitions: u16) -> Self {
        let key = IndexKey::new(3, 5);
        let partitions = (0..partitions).map(|number| Partition::new(number, &key)).collect();
        Self { partitions, seq: 0, events: Vec::new(), batches: vec![Batch::default()] }
    }

    /// So many sessions join, of a user each.
    fn joins(&mut self, sessions: usize) -> Result<Vec<Batch>> {
        let signal = Signal::default();
        for number in 0..sessions {
            let user = format!("bare-{number}");
            let partition = partition_of(TENANT, &user, self.partitions.len() as u16);
            let address = format!("{TENANT}.{user}.tab");
            self.apply(partition, START_MS, Body::Signal(Address::parse(&address)?, &signal));
        }
        Ok(self.take())
    }

    /// All of them become idle by the clock alone.
    fn falls(&mut self) -> Vec<Batch> {
        for second in 1..=IDLE_S {
            for partition in 0..self.partitions.len() as u16 {
                self.apply(partition, START_MS + 1_000 * second, Body::Tick { failed: 0 });
            }
        }
        self.take()
    }

    fn apply(&mut self, partition: u16, ts: u64, body: Body<'_>) {
        self.seq += 1;
        self.partitions[usize::from(partition)].apply(&Entry { seq: self.seq, ts, body }, &mut self.events);
        let told: Vec<_> = self.events.drain(..).flat_map(|event| event::messages(&event, Encoding::Json)).collect();
        for event::Message { subject, headers, payload } in told {
            let Some(batch) = self.batches.last_mut() else { continue };
            batch.messages.push(OutMessage { partition, subject, headers, payload });
            // The latest position of a partition is the one that counts.
            batch.progress.retain(|(other, _)| *other != partition);
            let position =
                Position { input_seq: self.seq, input_ts: ts, k: 1, policy_hash: String::new(), generation: 1 };
            batch.progress.push((partition, position));
            if batch.messages.len() == MESSAGES {
                self.batches.push(Batch::default());
            }
        }
    }

    fn take(&mut self) -> Vec<Batch> {
        let mut batches = std::mem::replace(&mut self.batches, vec![Batch::default()]);
        batches.retain(|batch| !batch.messages.is_empty());
        batches
    }
}
