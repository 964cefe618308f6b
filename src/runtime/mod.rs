//! The engine: it acquires its share of the partitions, restores them, follows the log, and hands over what is not its own.
//!
//! ```text
//! membership ─▶ acquisition ─▶ followers ──▶ outbox ──▶ lane       two commits at a time at most; confirmed ones advance the position
//!               lease, fence,      ▲   │         └────▶ keeper     snapshots whose position is committed go to the store
//!               restore         reader └─ next due ─▶ ticker
//! ```

mod acquisition;
mod around;
mod ask;
pub mod backtest;
pub mod census;
mod duty;
mod error;
pub mod fleet;
mod follower;
mod freshness;
mod handover;
pub mod history;
pub mod in_force;
mod keeper;
mod lane;
mod live;
pub mod offline;
pub mod outbox;
mod patience;
mod restore;
pub mod restored;
pub mod rooms;
pub mod snapshot;
mod standing;
mod status;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

pub use error::RuntimeError;
pub use patience::Patience;
pub use standing::stand_up;

use crate::config::{self, Config};
use crate::fold::{FOLD_VERSION, IndexKey};
use crate::nats::checkpoint::ORPHAN_AGE;
use crate::nats::service::Service;
use crate::nats::{Checkpoints, CommitLane, LogError, LogIdentity, Membership, Nats, Owner, RoomReader, Ticker};
use crate::wire::{self, Info, Member};
use acquisition::{Acquisition, Ground};
use around::Around;
use ask::{ASKED_MAX, Desk, HISTORIES_MAX, Interests, Lasting, Looks, Owned, Serving, Waits};
use census::Census;
use follower::Followers;
use freshness::Freshness;
use keeper::Keeper;
use lane::Lane;
use live::Live;
use outbox::Outbox;
use rooms::Terms;

/// How long the others are told that we leave; then they find out by themselves.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// Runs an engine until `shutdown` is done: by itself, or among others that share the partitions. Then it hands over:
/// everything derived is committed, a checkpoint lies exactly at the progress, and the leases are given back. `on_live` is
/// called once, when its share of the partitions is live. The streams have to be there already.
///
/// # Errors
/// A [`RuntimeError`]: nothing that was acknowledged is lost by any.
pub async fn run(
    nats: &Nats,
    config: &Config,
    shutdown: impl Future<Output = ()>,
    on_live: impl FnOnce(),
) -> Result<(), RuntimeError> {
    let mut shutdown = std::pin::pin!(shutdown);
    let (tell_info, info) = watch::channel(None);
    let (tell_desk, desks) = watch::channel(None);
    let (serving, questions) = Serving::start(desks, &config.limits);
    let service = Service::start(nats, env!("CARGO_PKG_VERSION"), info, questions, config.limits.questions)
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
            live: false,
            members: Vec::new(),
            owned: Vec::new(),
            waiting: 0,
            log_seq: None,
        },
        tell_info,
        tell_desk,
        on_live: Some(on_live),
        leftovers: mpsc::channel(1).1,
    };
    loop {
        let life = tokio::select! {
            life = Life::begin_patiently(nats, config, &mut around) => life?,
            () = &mut shutdown => return Ok(()),
        };
        let Life { live, next_due, membership, owned } = life;
        let ticker = Ticker::new(nats, config.engine.tick).run(next_due);
        let ended = tokio::select! {
            ended = live.run(&mut shutdown, &mut around) => ended,
            () = ticker => unreachable!("ticks end only with the engine"),
        };
        if let Ok(Err(error)) = timeout(LEAVE_PATIENCE, membership.leave()).await {
            warn!(%error, "the others are not told that this engine leaves");
        }
        match ended {
            Err(RuntimeError::Log(lost @ (LogError::Replaced { .. } | LogError::Cut { .. }))) => {
                around.not_live();
                warn!(%lost, "the log was lost while it was read: starting over with what is there");
            }
            ended => {
                service.end().await;
                serving.end().await;
                drop(owned);
                // The last answers are on their way over it.
                timeout(LEAVE_PATIENCE, nats.client.flush()).await.ok();
                return ended;
            }
        }
    }
}

/// An engine under one name, reading one log.
struct Life {
    live: Live,
    next_due: watch::Receiver<Option<Instant>>,
    membership: Arc<Membership>,
    /// The others ask it.
    owned: Owned,
}

impl Life {
    async fn begin_patiently(
        nats: &Nats,
        config: &Config,
        around: &mut Around<impl FnOnce()>,
    ) -> Result<Self, RuntimeError> {
        let patience = Patience::begin("the engine can't begin");
        loop {
            match Self::begin(nats, config, around).await {
                Err(error) if patience.bears(&error, error.may_pass()).await => {}
                begun => return begun,
            }
        }
    }

    async fn begin(nats: &Nats, config: &Config, around: &mut Around<impl FnOnce()>) -> Result<Self, RuntimeError> {
        let owner = Owner::unique(nats);
        owner.as_str().clone_into(&mut around.info.owner);
        let log = LogIdentity::read(nats).await?;
        let checkpoints = Checkpoints::open(nats, ORPHAN_AGE).await?;
        let listening = Owned::listen(nats, owner.as_str()).await;
        let what = "listening to the other engines";
        let mut owned = listening.map_err(|cause| RuntimeError::Nats { what, cause })?;
        let membership = Arc::new(Membership::join(nats, member(&owner), config.engine.lease_ttl).await?);
        info!(engine = owner.as_str(), "joined");
        let (due, next_due) = watch::channel(None);
        let (ask, questions) = mpsc::channel(ASKED_MAX);
        let interests = Interests::default();
        let waits = Waits::new(config.limits.waits_per_tenant);
        let desk = Arc::new(Desk {
            nats: nats.clone(),
            partitions: config.engine.partitions,
            view: membership.view(),
            questions: ask,
            interests: interests.clone(),
            looks: Looks::default(),
            waits: waits.clone(),
            load_rooms: config.load_rooms.0.to_string(),
            histories: Semaphore::new(HISTORIES_MAX),
            history_events: config.limits.history_events,
        });
        owned.answer(&desk, &config.limits);
        around.tell_desk.send_replace(Some(desk));
        let encoding = match config.encoding {
            config::Encoding::Json => wire::Encoding::Json,
            config::Encoding::MsgPack => wire::Encoding::MessagePack,
        };
        let terms = Terms {
            partitions: config.engine.partitions,
            every: config.rooms.every,
            members_max: config.rooms.member_events,
            encoding,
        };
        let rooms = RoomReader::start(nats, owner.as_str());
        let live = Live {
            view: membership.view(),
            ground: Ground {
                nats: nats.clone(),
                membership: Arc::clone(&membership),
                log_created: log.created.clone(),
                partitions: config.engine.partitions,
                key: index_key(),
                policy: Arc::clone(&around.policy),
            },
            followers: Followers::default(),
            outbox: Outbox::new(config.limits.batch_messages),
            lane: Lane::start(CommitLane::new(nats, owner, &log.created, FOLD_VERSION)),
            keeper: Keeper::start(checkpoints, log),
            freshness: Freshness::new(config.engine.checkpoint_every),
            census: Census::new(rooms, terms, config.engine.event_retention),
            acquisition: Acquisition::default(),
            leaving: BTreeMap::new(),
            questions,
            interests,
            waits,
            lasting: Lasting::new(),
            releases: JoinSet::new(),
            due,
            encoding,
            members_max: config.rooms.member_events,
            pending_max: config.limits.pending_events,
            checkpoint_every: config.engine.checkpoint_every,
            began: Instant::now(),
        };
        Ok(Self { live, next_due, membership, owned })
    }
}

fn member(owner: &Owner) -> Member {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Member {
        v: wire::CONTRACT_VERSION,
        engine: owner.as_str().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        since_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        leaving: false,
    }
}

/// The secret of the indexes: random, so that no client can choose names that collide. It changes no event.
fn index_key() -> IndexKey {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new();
    IndexKey::new(random.hash_one(0), random.hash_one(1))
}
