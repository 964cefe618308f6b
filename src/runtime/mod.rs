//! The engine's loop for all partitions of one process: fence, restore, replay, live, drain.
//!
//! ```text
//! reader ──▶ fleet ──▶ outbox ──▶ lane        one commit at a time; confirmed ones advance the position
//!   ▲          │          └────▶ keeper       snapshots whose position is committed go to the store
//! ticker ◀── next due
//! ```

mod around;
pub mod backtest;
mod error;
pub mod fleet;
pub mod in_force;
mod keeper;
mod live;
pub mod offline;
pub mod outbox;
mod restore;
pub mod restored;
pub mod snapshot;
mod told;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};

pub use error::RuntimeError;

use crate::config::{self, Config};
use crate::fold::{FOLD_VERSION, IndexKey};
use crate::nats::info::{Info, InfoService};
use crate::nats::{Checkpoints, CommitLane, Fence, LogError, LogIdentity, LogReader, Nats, Owner, Partitions, Ticker};
use crate::wire::{self, RuntimeEvent, RuntimeWhat};
use around::Around;
use fleet::Fleet;
use keeper::Keeper;
use live::{Lane, Live};
use outbox::Outbox;
use restore::Restore;
use restored::Restored;

/// Chunks of aborted checkpoint writes are collected when they are this old: nobody writes them any more.
const ORPHAN_AGE: Duration = Duration::from_secs(600);
/// So often the log has to say that it ends before what was told of it.
const LOG_END_ASKED_MAX: u32 = 3;
/// The pause between.
const LOG_END_PAUSE: Duration = Duration::from_millis(500);

/// Runs the engine until `shutdown` is done, then drains: everything derived is committed, and a checkpoint lies exactly at
/// the progress. `on_live` is called once, when every partition is live. The streams have to be there already.
///
/// # Errors
/// A [`RuntimeError`]: another engine took over, or the shutdown did not get through.
pub async fn run(
    nats: &Nats,
    config: &Config,
    shutdown: impl Future<Output = ()>,
    on_live: impl FnOnce(),
) -> Result<(), RuntimeError> {
    let mut shutdown = std::pin::pin!(shutdown);
    let (tell_info, info) = watch::channel(None);
    let _service = InfoService::start(nats, env!("CARGO_PKG_VERSION"), info)
        .await
        .map_err(|error| RuntimeError::Nats { what: "announcing the service", cause: error.to_string() })?;
    let mut around = Around {
        nats: nats.clone(),
        policy: Arc::new(config.policy.clone()),
        info: Info {
            contract: wire::CONTRACT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            partitions: config.engine.partitions,
            fold_version: FOLD_VERSION,
            owner: String::new(),
            server: nats.client.server_info().version,
        },
        tell_info,
        on_live: Some(on_live),
        leftovers: mpsc::channel(1).1,
    };
    loop {
        let takeover = tokio::select! {
            takeover = take_over(nats, config, &mut around) => takeover?,
            () = &mut shutdown => return Ok(()),
        };
        let ticker = Ticker::new(nats, config.engine.tick).run(takeover.next_due);
        let ended = tokio::select! {
            ended = takeover.live.run(&mut shutdown, &mut around) => ended,
            () = ticker => unreachable!("ticks end only with the engine"),
        };
        match ended {
            Err(RuntimeError::Log(lost @ (LogError::Replaced { .. } | LogError::Cut { .. }))) => {
                around.not_live();
                warn!(%lost, "the log was lost while it was read: starting over with what is there");
            }
            ended => return ended,
        }
    }
}

/// The loop, ready to run.
struct Takeover {
    live: Live,
    next_due: watch::Receiver<Option<Instant>>,
}

/// Takes the fences of all partitions and restores them.
async fn take_over(nats: &Nats, config: &Config, around: &mut Around<impl FnOnce()>) -> Result<Takeover, RuntimeError> {
    let owner = Owner::unique(nats);
    owner.as_str().clone_into(&mut around.info.owner);
    let log = LogIdentity::read(nats).await?;
    let mut lane = CommitLane::new(nats, owner.clone(), &log.created, FOLD_VERSION);
    let numbers: Vec<u16> = (0..config.engine.partitions).collect();
    let fences = lane.take_fences(&numbers).await?;
    info!(partitions = numbers.len(), owner = owner.as_str(), "fences taken");

    let log = LogIdentity { last_seq: log_end(nats, &log, &fences).await?, ..log };
    let checkpoints = Checkpoints::open(nats, ORPHAN_AGE).await?;
    let restore = Restore {
        nats,
        log: &log,
        checkpoints: &checkpoints,
        key: index_key(),
        partitions: config.engine.partitions,
        policy: &around.policy,
    };
    let restored = restore.all(&fences).await?;

    let encoding = match config.encoding {
        config::Encoding::Json => wire::Encoding::Json,
        config::Encoding::MsgPack => wire::Encoding::MessagePack,
    };
    let (outbox, fleet) = stand_up(restored, &fences, encoding, config.limits.batch_messages);
    let next_seq = fleet.partitions().iter().map(|partition| partition.position() + 1).min().unwrap_or(1);
    let next_seq = next_seq.max(log.first_seq);
    let reader = LogReader::start_knowing(nats, &log.created, Partitions::All, next_seq, outbox.latest());
    let (due, next_due) = watch::channel(None);
    let live = Live {
        fleet,
        outbox,
        reader,
        lane: Lane::start(lane),
        keeper: Keeper::start(checkpoints, log.clone()),
        due,
        catch_up_to: log.last_seq,
        pending_max: config.limits.pending_events,
        checkpoint_every: config.engine.checkpoint_every,
    };
    Ok(Takeover { live, next_due })
}

/// The log's end behind the fences: whatever an owner before us has told lies at or before it. Where it does not, the log
/// lost its end; but a leader that was stopped and goes on may say so too until it learns that there is another one, so it
/// is asked again.
async fn log_end(nats: &Nats, log: &LogIdentity, fences: &[Fence]) -> Result<u64, LogError> {
    let found = fences.iter().filter_map(|fence| fence.found.as_ref());
    let told = found.filter(|progress| progress.log_created == log.created).map(|progress| progress.input_seq).max();
    let mut asked = 1;
    loop {
        let last_seq = LogIdentity::read(nats).await?.last_seq;
        if asked == LOG_END_ASKED_MAX || told.is_none_or(|told| told <= last_seq) {
            return Ok(last_seq);
        }
        asked += 1;
        tokio::time::sleep(LOG_END_PAUSE).await;
    }
}

/// Puts the restored partitions to work; tells where their log was lost. Pure.
#[must_use]
pub fn stand_up(
    restored: Vec<Restored>,
    fences: &[Fence],
    encoding: wire::Encoding,
    batch_messages: usize,
) -> (Outbox, Fleet) {
    let reached = restored.iter().map(|found| found.reached.clone()).collect();
    let (mut partitions, mut lost) = (Vec::new(), Vec::new());
    for found in restored {
        partitions.push((found.partition, found.position));
        lost.push((found.lost_since, found.amends));
    }
    let fleet = Fleet::new(partitions, encoding);
    let mut outbox = Outbox::new(reached, batch_messages);
    for (fence, (since, amends)) in fences.iter().zip(lost) {
        let Some(since) = since else { continue };
        let told = RuntimeEvent {
            what: RuntimeWhat::LogLost,
            partition: fence.partition,
            epoch: fence.epoch,
            n: 0,
            at_ms: since,
            seq: 0,
            from_ms: since,
            to_ms: since,
        };
        outbox.tell_aside(fence.partition, vec![told::aside(&told, encoding)]);
        for event in amends {
            outbox.tell_aside(fence.partition, told::messages(&event, encoding));
        }
        // What was lost is over: the next start finds the state from before what is read now.
        outbox.keep(fleet.snapshot(fence.partition));
    }
    (outbox, fleet)
}

/// The secret of the indexes: random, so that no client can choose names that collide. It changes no event.
fn index_key() -> IndexKey {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new();
    IndexKey(random.hash_one(0), random.hash_one(1))
}
