//! What the server commits of an engine's events, without an engine.

use tokio::time::Instant;

use crate::cli::bench::Result;
use crate::cli::bench::course::Course;
use crate::cli::bench::rig::{FILE, Rig, TENANT, still};
use crate::fold::{Body, Entry, FOLD_VERSION, IndexKey, Partition};
use crate::model::{Address, Signal, partition_of};
use crate::nats::{Batch, CommitLane, LogIdentity, OutMessage, Owner, Position};
use crate::wire::{Encoding, event};

/// As many as an engine commits together.
const MESSAGES: usize = 900;
/// Any time that a log may have.
const START_MS: u64 = 1_790_000_000_000;

/// Events committed per second, in each run.
pub(super) async fn rate(course: &Course, sessions: usize, partitions: u16) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    for _ in 0..course.runs {
        let rig = Rig::start(course, &still(FILE, "")).await?;
        let log = LogIdentity::read(&rig.nats).await?;
        let mut lane = CommitLane::new(&rig.nats, Owner::unique(&rig.nats), &log.created, FOLD_VERSION);
        lane.take_fences(&(0..partitions).collect::<Vec<_>>()).await?;
        let batches = joins(sessions, partitions)?;
        let events: usize = batches.iter().map(|batch| batch.messages.len()).sum();
        let begin = Instant::now();
        for batch in batches {
            lane.commit(batch).await?;
        }
        rates.push(events as f64 / begin.elapsed().as_secs_f64());
        rig.stop().await?;
    }
    Ok(rates)
}

/// What an engine tells when so many sessions join, as it would commit it.
fn joins(sessions: usize, partitions: u16) -> Result<Vec<Batch>> {
    let mut fold: Vec<_> = (0..partitions).map(|number| Partition::new(number, IndexKey(3, 5))).collect();
    let signal = Signal::default();
    let (mut batches, mut events) = (vec![Batch::default()], Vec::new());
    for number in 0..sessions {
        let user = format!("bare-{number}");
        let partition = partition_of(TENANT, &user, partitions);
        let address = format!("{TENANT}.{user}.tab");
        let address = Address::parse(&address)?;
        let seq = number as u64 + 1;
        let entry = Entry { seq, ts: START_MS, body: Body::Signal(address, &signal) };
        fold[usize::from(partition)].apply(&entry, &mut events);
        let messages = events.drain(..).flat_map(|event| event::messages(&event, Encoding::Json));
        let position = Position { input_seq: seq, input_ts: START_MS, k: 1, policy_hash: String::new(), generation: 1 };
        for event::Message { subject, headers, payload } in messages {
            let Some(batch) = batches.last_mut() else { continue };
            batch.messages.push(OutMessage { partition, subject, headers, payload });
            // The latest position of a partition is the one that counts.
            batch.progress.retain(|(other, _)| *other != partition);
            batch.progress.push((partition, position.clone()));
            if batch.messages.len() == MESSAGES {
                batches.push(Batch::default());
            }
        }
    }
    batches.retain(|batch| !batch.messages.is_empty());
    Ok(batches)
}
