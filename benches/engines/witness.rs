//! Clients in every partition whose state changes all the time, and a subscriber who sees when each change is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use presence_engine::model::partition_of;
use presence_engine::nats::Nats;
use presence_engine::wire::ToldEvent;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::common::{Result, now_ms};
use crate::rig::{PARTITIONS, until};

/// Each partition has a change so often: the measure's grain.
pub const EVERY: Duration = Duration::from_millis(50);
/// What is stored is told after so long, or lost.
const TOLD_MAX: Duration = Duration::from_secs(60);
const TENANT: &str = "witness";

/// A change as the subscriber saw it.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    pub partition: u16,
    /// The client's own number of the signal.
    number: u64,
    /// When the log stored it.
    pub at_ms: u64,
    /// When the subscriber had its event.
    pub heard_ms: u64,
}

impl Heard {
    /// How late it was told, in milliseconds.
    pub fn lateness(&self) -> f64 {
        self.heard_ms.saturating_sub(self.at_ms) as f64
    }
}

/// A witness in each partition.
pub struct Witnesses {
    heard: Arc<Mutex<Vec<Heard>>>,
    stop: Arc<AtomicBool>,
    /// How many signals each has sent.
    sending: JoinHandle<Result<u64>>,
    /// Those that the log did not acknowledge.
    acknowledging: JoinHandle<u64>,
    listening: JoinHandle<Result<()>>,
}

impl Witnesses {
    /// From now on each of them changes its state [`EVERY`] so often.
    pub async fn start(nats: &Nats) -> Result<Self> {
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let mut told = nats.client.subscribe(format!("presence.v1.session.{TENANT}.>")).await?;
        nats.client.flush().await?;
        let into = Arc::clone(&heard);
        let listening = tokio::spawn(async move {
            while let Some(message) = told.next().await {
                let heard_ms = now_ms()?;
                let ToldEvent::Session(event) = ToldEvent::read(&message.payload)? else { continue };
                let number = event.seq_client.ok_or("a witness numbers its signals")?;
                let heard = Heard { partition: event.partition, number, at_ms: event.at_ms, heard_ms };
                into.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
            }
            Ok(())
        });
        let (expect, mut acks) = mpsc::unbounded_channel::<async_nats::jetstream::context::PublishAckFuture>();
        let acknowledging = tokio::spawn(async move {
            let mut lost = 0;
            while let Some(ack) = acks.recv().await {
                lost += u64::from(ack.await.is_err());
            }
            lost
        });
        let stop = Arc::<AtomicBool>::default();
        let (stopped, nats) = (Arc::clone(&stop), nats.clone());
        let sending = tokio::spawn(async move {
            let subjects = names().map(|user| format!("presence.v1.signal.{TENANT}.{user}.tab"));
            let subjects: Vec<String> = subjects.collect();
            let mut interval = interval(EVERY);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                interval.tick().await;
                number += 1;
                let state = if number % 2 == 0 { "idle" } else { "active" };
                for subject in &subjects {
                    let payload = format!(r#"{{"epoch":1,"seq":{number},"state":"{state}"}}"#);
                    expect.send(nats.jetstream.publish(subject.clone(), payload.into()).await?)?;
                }
            }
            Ok(number)
        });
        Ok(Self { heard, stop, sending, acknowledging, listening })
    }

    /// How many changes were heard so far.
    pub fn mark(&self) -> usize {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The changes that were heard from `mark` on.
    pub fn since(&self, mark: usize) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)[mark..].to_vec()
    }

    /// The greatest lateness, in milliseconds, of each partition's changes that were stored from `at_ms` on and heard from
    /// `mark` on.
    pub fn worst(&self, mark: usize, at_ms: u64) -> BTreeMap<u16, f64> {
        let mut worst: BTreeMap<u16, f64> = BTreeMap::new();
        for heard in self.since(mark).iter().filter(|heard| heard.at_ms >= at_ms) {
            let late = worst.entry(heard.partition).or_default();
            *late = late.max(heard.lateness());
        }
        worst
    }

    /// Waits until of all `partitions` something is heard that the log stored after `at_ms`; returns the instant by which that
    /// was so of all.
    pub async fn told_after(&self, at_ms: u64, partitions: impl IntoIterator<Item = u16>) -> Result<u64> {
        let wanted: Vec<u16> = partitions.into_iter().collect();
        let mut mark = self.mark();
        let mut first: BTreeMap<u16, u64> = BTreeMap::new();
        until("every partition tells", TOLD_MAX, async || {
            for heard in self.since(mark) {
                mark += 1;
                if heard.at_ms > at_ms {
                    first.entry(heard.partition).or_insert(heard.heard_ms);
                }
            }
            let heard: Option<Vec<u64>> = wanted.iter().map(|partition| first.get(partition).copied()).collect();
            Ok(heard.map(|heard| heard.into_iter().max().unwrap_or(at_ms)))
        })
        .await
    }

    /// Waits until every partition tells what is stored now.
    pub async fn on_time(&self) -> Result<()> {
        self.told_after(now_ms()?, 0..PARTITIONS).await.map(drop)
    }

    /// Stops them, and says how many signals were stored, and how many of these were never told or more than once.
    pub async fn verdict(mut self) -> Result<String> {
        self.on_time().await?;
        self.stop.store(true, Ordering::Relaxed);
        let each = (&mut self.sending).await??;
        let unstored = (&mut self.acknowledging).await?;
        let sent = each * u64::from(PARTITIONS);
        let stored = usize::try_from(sent - unstored)?;
        // What is missing after so long is lost, and counted.
        until("all is told", TOLD_MAX, async || Ok((self.mark() >= stored).then_some(()))).await.ok();
        let mut times: BTreeMap<(u16, u64), usize> = BTreeMap::new();
        for heard in self.since(0) {
            *times.entry((heard.partition, heard.number)).or_default() += 1;
        }
        if self.listening.is_finished() {
            (&mut self.listening).await??;
        }
        let (lost, twice) = (stored.saturating_sub(times.len()), times.values().filter(|times| **times > 1).count());
        Ok(format!("{stored} stored ({unstored} of {sent} not acknowledged), {lost} lost, {twice} told twice"))
    }
}

impl Drop for Witnesses {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.listening.abort();
    }
}

/// The name of a user of each partition.
fn names() -> impl Iterator<Item = String> {
    (0..PARTITIONS).map(|partition| {
        let mut names = (0..).map(|number: u32| format!("w{number}"));
        names.find(|name| partition_of(TENANT, name, PARTITIONS) == partition).expect("names do not end")
    })
}
