//! What is read for `presence status`: members and leases, what each engine answers, progress, checkpoints, engine events.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use futures::{StreamExt, stream};
use serde::Serialize;
use tokio::time::timeout;

use super::unseen::{self, Unseen};
use crate::cli::CliError;
use crate::nats::checkpoint;
use crate::nats::commit::read_progress;
use crate::nats::history::{History, Since};
use crate::nats::latest::{LatestError, bucket_values};
use crate::nats::{LogIdentity, Nats, names, topology};
use crate::wire::{Info, Lease, Member, ToldEvent, subject};

/// How long an engine is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// So many partitions are asked for at a time.
const AT_ONCE: usize = 32;

/// Everything as it is now.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    /// The last entry of the log.
    pub(super) log_seq: u64,
    pub(super) engines: Vec<Engine>,
    pub(super) partitions: Vec<Partition>,
    /// What nobody watched, and what else engines told of their own blindness, oldest first.
    pub(super) unseen: Vec<Unseen>,
}

/// An engine that has an entry among the members.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Engine {
    #[serde(flatten)]
    pub(super) member: Member,
    /// `live`, `restoring`, `leaving`, or `silent` where it did not answer: it is gone, stopped or cut off.
    pub(super) state: &'static str,
    /// How many partitions it follows.
    pub(super) owned: usize,
    /// Log entries that it has still to read, of the partition that is furthest behind.
    pub(super) lag: Option<u64>,
}

/// A partition.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Partition {
    pub(super) partition: u16,
    /// The engine that answers for it; `null` where none does.
    pub(super) owner: Option<String>,
    /// Who holds its lease.
    pub(super) lease: Option<String>,
    /// The epoch of its fence, 0 before the first.
    pub(super) epoch: u64,
    /// The last log entry of which something was told, or that a checkpoint covers.
    pub(super) told_seq: u64,
    /// Log entries that are still to be read for it.
    pub(super) lag: u64,
    pub(super) checkpoint_seq: Option<u64>,
    pub(super) checkpoint_age_ms: Option<u64>,
}

impl Overview {
    pub(super) async fn gather(nats: &Nats, since: Since) -> Result<Self, CliError> {
        let Some(count) = topology::partitions(nats).await? else {
            return Err(CliError::No(format!(
                "there is no stream {}: nothing was set up here yet; start an engine by `presence run`",
                names::LOG
            )));
        };
        let members = members(nats).await?;
        let infos = join_all(members.iter().map(|member| ask(nats, member))).await;
        let leases = leases(nats).await?;
        let checkpoints =
            checkpoint::newest_of_all(nats).await.map_err(|error| CliError::Unreachable(error.to_string()))?;
        let log = LogIdentity::read(nats).await;
        let log_seq = log.map_err(|error| CliError::Unreachable(error.to_string()))?.last_seq;
        let owners = owners(&infos);
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis());
        let now = now.unwrap_or(u64::MAX);

        let numbers: Vec<u16> = (0..count).collect();
        let reads: Vec<_> = numbers.iter().map(|number| read_progress(nats, *number)).collect();
        let progress: Vec<_> = stream::iter(reads).buffered(AT_ONCE).collect().await;
        let mut partitions = Vec::with_capacity(numbers.len());
        for (number, progress) in numbers.into_iter().zip(progress) {
            let progress = progress
                .map_err(|error| CliError::Unreachable(format!("the progress of partition {number}: {error}")))?
                .map(|stored| stored.progress);
            let (told_seq, epoch) = progress.map_or((0, 0), |progress| (progress.input_seq, progress.epoch));
            let (owner, position) = owners
                .get(&number)
                .map_or((None, told_seq), |(owner, _, position)| (Some(owner.clone()), (*position).max(told_seq)));
            let checkpoint = checkpoints.get(&number);
            partitions.push(Partition {
                partition: number,
                owner,
                lease: leases.get(&number).cloned(),
                epoch,
                told_seq,
                lag: log_seq.saturating_sub(position),
                checkpoint_seq: checkpoint.map(|(seq, _)| *seq),
                checkpoint_age_ms: checkpoint.map(|(_, stored_ms)| now.saturating_sub(*stored_ms)),
            });
        }
        let engines = members.into_iter().zip(infos).map(|(member, info)| engine(member, info.as_ref(), log_seq));
        Ok(Self { log_seq, engines: engines.collect(), partitions, unseen: unseen(nats, since).await? })
    }

    /// What keeps this from being whole; nothing if each partition has an engine that answers for it and is live.
    pub(super) fn what_is_missing(&self) -> Option<String> {
        let is_live = |owner: &str| {
            self.engines.iter().any(|engine| engine.member.engine == owner && engine.state != "restoring")
        };
        let of = |is: &dyn Fn(&Partition) -> bool| -> Vec<u16> {
            self.partitions.iter().filter(|partition| is(partition)).map(|partition| partition.partition).collect()
        };
        let nobody = of(&|partition| partition.owner.is_none());
        if !nobody.is_empty() {
            return Some(format!(
                "no engine answers for {}: what is published there waits in the log; start one by `presence run`, or wait until the others have taken over",
                super::text::partitions(&nobody)
            ));
        }
        let restoring = of(&|partition| partition.owner.as_deref().is_some_and(|owner| !is_live(owner)));
        (!restoring.is_empty())
            .then(|| format!("{} are being restored: ask again", super::text::partitions(&restoring)))
    }
}

fn unreadable(error: &LatestError) -> CliError {
    CliError::Unreachable(format!("{error}; `presence setup` creates what is missing"))
}

/// The members by name.
async fn members(nats: &Nats) -> Result<Vec<Member>, CliError> {
    let mut values = bucket_values(nats, names::MEMBERS_BUCKET).await.map_err(|error| unreadable(&error))?;
    let mut members = Vec::new();
    while let Some(chunk) = values.next().await.map_err(|error| unreadable(&error))? {
        for stored in chunk.iter().filter(|stored| !stored.deleted) {
            match Member::from_json(&stored.payload) {
                Ok(member) => members.push(member),
                Err(error) => {
                    tracing::warn!(subject = %stored.subject, %error, "passing over a member that can't be read");
                }
            }
        }
    }
    members.sort_by(|a, b| (a.since_ms, &a.engine).cmp(&(b.since_ms, &b.engine)));
    Ok(members)
}

/// Who holds which partition.
async fn leases(nats: &Nats) -> Result<BTreeMap<u16, String>, CliError> {
    let mut values = bucket_values(nats, names::LEASES_BUCKET).await.map_err(|error| unreadable(&error))?;
    let mut leases = BTreeMap::new();
    while let Some(chunk) = values.next().await.map_err(|error| unreadable(&error))? {
        for stored in chunk.iter().filter(|stored| !stored.deleted) {
            let partition = stored.subject.rsplit('.').next().and_then(|key| key.parse().ok());
            match (partition, Lease::from_json(&stored.payload)) {
                (Some(partition), Ok(Lease { engine: Some(engine), .. })) => {
                    leases.insert(partition, engine);
                }
                (Some(_), Ok(_)) => {}
                (_, lease) => {
                    tracing::warn!(subject = %stored.subject, ?lease, "passing over a lease that can't be read");
                }
            }
        }
    }
    Ok(leases)
}

/// What an engine answers to its name; `None` if it doesn't in time.
async fn ask(nats: &Nats, member: &Member) -> Option<Info> {
    let answer = timeout(ANSWER_MAX, nats.client.request(subject::info_of(&member.engine), "".into())).await;
    match Info::from_json(&answer.ok()?.ok()?.payload) {
        Ok(info) => Some(info),
        Err(error) => {
            tracing::warn!(engine = member.engine, %error, "an engine's answer can't be read");
            None
        }
    }
}

/// Who answers for each partition, under which epoch, and up to where it has read. Where two do, the higher epoch has the fence.
fn owners(infos: &[Option<Info>]) -> BTreeMap<u16, (String, u64, u64)> {
    let mut owners = BTreeMap::<u16, (String, u64, u64)>::new();
    for info in infos.iter().flatten() {
        for owned in &info.owned {
            let known = owners.get(&owned.partition).map_or(0, |(_, epoch, _)| *epoch);
            if owned.epoch > known {
                owners.insert(owned.partition, (info.owner.clone(), owned.epoch, owned.position.unwrap_or(0)));
            }
        }
    }
    owners
}

fn engine(member: Member, info: Option<&Info>, log_seq: u64) -> Engine {
    let state = match info {
        None => "silent",
        Some(_) if member.leaving => "leaving",
        Some(info) if info.live => "live",
        Some(_) => "restoring",
    };
    let owned = info.map_or(&[][..], |info| &info.owned);
    let lag = owned.iter().map(|owned| log_seq.saturating_sub(owned.position.unwrap_or(0))).max();
    Engine { member, state, owned: owned.len(), lag }
}

/// What engines told of what they did not see.
async fn unseen(nats: &Nats, since: Since) -> Result<Vec<Unseen>, CliError> {
    let mut history = History::open(nats, vec!["presence.v1.engine.*".into()], since).await?;
    let mut told = Vec::new();
    while let Some(chunk) = history.next().await? {
        for stored in chunk {
            match ToldEvent::read(&stored.payload) {
                Ok(ToldEvent::Engine(of)) => told.push((of.what.into_owned(), of.partition, of.from_ms, of.to_ms)),
                Ok(_) => {}
                Err(error) => tracing::warn!("sequence {} is no event: {error}", stored.seq),
            }
        }
    }
    Ok(unseen::merged(told))
}
