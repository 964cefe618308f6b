//! The engine's loop for all partitions of one process: fence, restore, replay, live, drain.
//!
//! ```text
//! reader ──▶ fleet ──▶ outbox ──▶ lane        one commit at a time; confirmed ones advance the position
//!   ▲          │          └────▶ keeper       snapshots whose position is committed go to the store
//! ticker ◀── next due
//! ```

mod error;
mod fleet;
mod keeper;
mod live;
mod outbox;
mod restore;
mod snapshot;
mod told;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

pub use error::RuntimeError;

use crate::config::{self, Config};
use crate::fold::{FOLD_VERSION, IndexKey};
use crate::model::Policy;
use crate::nats::info::{Info, InfoService};
use crate::nats::{Checkpoints, CommitLane, LogError, LogIdentity, LogReader, Nats, Owner, Partitions, Ticker};
use crate::wire::{self, RuntimeEvent, RuntimeWhat};
use fleet::Fleet;
use keeper::Keeper;
use live::{Lane, Live, Observer};
use outbox::{Outbox, Snapshot};
use restore::{Restore, Restored};
use told::Leftover;

/// Chunks of aborted checkpoint writes are collected when they are this old: nobody writes them any more.
const ORPHAN_AGE: Duration = Duration::from_secs(600);

/// Runs the engine until `shutdown` is done, then drains: everything derived is committed, and a checkpoint lies exactly at
/// the progress. `on_live` is called once, when every partition is live.
///
/// # Errors
/// A [`RuntimeError`]: another engine took over, the topology is not as it has to be, or the shutdown did not get through.
pub async fn run(
    nats: &Nats,
    config: &Config,
    shutdown: impl Future<Output = ()> + Send,
    on_live: impl FnOnce() + Send,
) -> Result<(), RuntimeError> {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut on_live: Option<Box<dyn FnOnce() + Send + '_>> = Some(Box::new(on_live));
    let (tell_info, info) = watch::channel(None);
    let _service = InfoService::start(nats, env!("CARGO_PKG_VERSION"), info)
        .await
        .map_err(|cause| RuntimeError::Nats { what: "announcing the service", cause: cause.to_string() })?;
    loop {
        let engine = Engine { nats, config, tell_info: &tell_info };
        match engine.run(shutdown.as_mut(), &mut on_live).await {
            Err(RuntimeError::Log(lost @ (LogError::Replaced { .. } | LogError::Cut { .. }))) => {
                tell_info.send_replace(None);
                warn!(%lost, "the log was lost while it was read: starting over with what is there");
            }
            ended => return ended,
        }
    }
}

struct Engine<'a> {
    nats: &'a Nats,
    config: &'a Config,
    tell_info: &'a watch::Sender<Option<Info>>,
}

impl<'a> Engine<'a> {
    async fn run<'f>(
        &self,
        shutdown: std::pin::Pin<&mut (dyn Future<Output = ()> + Send)>,
        on_live: &mut Option<Box<dyn FnOnce() + Send + 'f>>,
    ) -> Result<(), RuntimeError> {
        let (nats, config) = (self.nats, self.config);
        let policy = Arc::new(config.policy.clone());
        let owner = Owner::unique(nats);
        let log = LogIdentity::read(nats).await?;
        let mut lane = CommitLane::new(nats, owner.clone(), &log.created, FOLD_VERSION);
        let numbers: Vec<u16> = (0..config.engine.partitions).collect();
        let fences = lane.take_fences(&numbers).await?;
        info!(partitions = numbers.len(), owner = owner.as_str(), "fences taken");

        // The log as it is behind the fence: everything an owner before us has told lies at or before its end.
        let log = LogIdentity { last_seq: LogIdentity::read(nats).await?.last_seq, ..log };
        let checkpoints = Checkpoints::open(nats, ORPHAN_AGE).await?;
        let key = index_key();
        let restore = Restore { nats, log: &log, checkpoints: &checkpoints, key, partitions: config.engine.partitions, policy: &policy };
        let restored = restore.all(&fences).await?;

        let mut outbox =
            Outbox::new(restored.iter().map(|found| found.reached.clone()).collect(), config.limits.batch_messages);
        let lost: Vec<(u16, u64)> = restored.iter().filter_map(lost_log).collect();
        let encoding = match config.encoding {
            config::Encoding::Json => wire::Encoding::Json,
            config::Encoding::MsgPack => wire::Encoding::MessagePack,
        };
        let fleet = Fleet::new(restored.into_iter().map(|found| found.partition).collect(), encoding);
        for (number, since) in lost {
            let epoch = fences[usize::from(number)].epoch;
            let told = RuntimeEvent {
                what: RuntimeWhat::LogLost,
                partition: number,
                epoch,
                n: 0,
                at_ms: since,
                seq: 0,
                from_ms: since,
                to_ms: since,
            };
            outbox.tell_aside(number, told::aside(&told, encoding));
            // A new log begins: the next start finds the state before its first entry.
            outbox.keep(Snapshot { reached: outbox::Reached::nothing(fleet.partitions()[usize::from(number)].generation()), ..fleet.snapshot(number) });
        }
        let next_seq = fleet.partitions().iter().map(|partition| partition.position() + 1).min().unwrap_or(1);
        let reader = LogReader::start(nats, &log.created, Partitions::All, next_seq.max(log.first_seq));
        let (due, next_due) = watch::channel(None);
        let ticker = Ticker::new(nats, config.engine.tick).run(next_due);
        let live = Live {
            fleet,
            outbox,
            reader,
            lane: Lane::start(lane),
            keeper: Keeper::start(checkpoints, log.clone()),
            due,
            catch_up_to: log.last_seq,
            policy: Arc::clone(&policy),
            pending_max: config.limits.pending_events,
            checkpoint_every: config.engine.checkpoint_every,
        };
        let info = Info {
            contract: wire::CONTRACT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            partitions: config.engine.partitions,
            fold_version: FOLD_VERSION,
            owner: owner.as_str().to_owned(),
            server: nats.client.server_info().version,
        };
        let mut around = Around { nats, policy, info, tell_info: self.tell_info, on_live, leftovers: mpsc::channel(1).1 };
        tokio::select! {
            ended = live.run(shutdown, &mut around) => ended,
            () = ticker => unreachable!("ticks end only with the engine"),
        }
    }
}

fn lost_log(found: &Restored) -> Option<(u16, u64)> {
    found.lost_since.map(|since| (found.partition.number(), since))
}

/// The secret of the indexes: random, so that no client can choose names that collide. It changes no event.
fn index_key() -> IndexKey {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new();
    IndexKey(random.hash_one(0), random.hash_one(1))
}

/// Publishes the configured policy until the log has it; once too often does no harm.
async fn publish_policy(nats: Nats, payload: Vec<u8>) {
    let payload = Bytes::from(payload);
    loop {
        let stored = match nats.jetstream.publish(wire::subject::POLICY, payload.clone()).await {
            Ok(stored) => stored.await.map(drop),
            Err(error) => Err(error),
        };
        match stored {
            Ok(()) => return,
            Err(error) => warn!(%error, "the policy is not stored yet: trying again"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What lies around the loop.
struct Around<'a, 'f> {
    nats: &'a Nats,
    policy: Arc<Policy>,
    info: Info,
    tell_info: &'a watch::Sender<Option<Info>>,
    on_live: &'a mut Option<Box<dyn FnOnce() + Send + 'f>>,
    leftovers: mpsc::Receiver<Leftover>,
}

impl Observer for Around<'_, '_> {
    fn policy_differs(&mut self) {
        info!(hash = wire::policy::hash(&self.policy), "the configured policy is not the one in force: publishing it");
        tokio::spawn(publish_policy(self.nats.clone(), wire::policy::encode(&self.policy)));
    }

    fn live(&mut self) {
        self.tell_info.send_replace(Some(self.info.clone()));
        self.leftovers = Leftover::find(self.nats);
        if let Some(on_live) = self.on_live.take() {
            on_live();
        }
    }

    fn leftovers(&mut self) -> &mut mpsc::Receiver<Leftover> {
        &mut self.leftovers
    }
}
