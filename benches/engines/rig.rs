//! A server and the engines that share its log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use presence_engine::nats::latest::latest_events;
use presence_engine::nats::{LogIdentity, Nats};
use presence_engine::wire::Progress;
use tokio::time::sleep;

use crate::common::Result;
use crate::phases::LIVE;
use crate::testing::TestServer;
use crate::testing::engine::Engine;

/// How many partitions the log has: the default.
pub const PARTITIONS: u16 = 64;

/// Longer than shares may take to be settled.
const SETTLED_MAX: Duration = Duration::from_secs(120);

/// Longer than an engine may take to hand over what it has.
const ENDED_MAX: Duration = Duration::from_secs(120);

/// A configuration in which nobody falls, with what a part adds to `[engine]` and to the rest.
pub fn config(engine: &str, rest: &str) -> String {
    format!(
        r#"
[engine]
partitions = {PARTITIONS}
{engine}
[profile.default]
idle_after = "2h"
away_after = "3h"
stale_after = "4h"
offline_after = "5h"
confidence = {{ bands = [] }}
{rest}
"#
    )
}

/// Waits until `condition` gives something, for at most `max`.
pub async fn until<T>(what: &str, max: Duration, mut condition: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let until = Instant::now() + max;
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if Instant::now() > until {
            return Err(format!("waited {max:?} in vain: {what}").into());
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// The engines, and before them what they need.
pub struct Rig {
    pub engines: Vec<Engine>,
    pub nats: Nats,
    pub server: TestServer,
}

impl Rig {
    /// Starts a server and so many engines, and waits until the partitions are shared by all of them.
    pub async fn start(engines: usize, config: &str) -> Result<Self> {
        let server = TestServer::start().await;
        let nats = server.connect().await;
        let mut rig = Self { engines: Vec::new(), nats, server };
        for _ in 0..engines {
            let engine = match std::env::var_os("ENGINES_LOGS").map(PathBuf::from) {
                Some(folder) => Engine::spawn_in(&folder, &rig.server.url(), config).await,
                None => Engine::spawn(&rig.server.url(), config).await,
            };
            rig.engines.push(engine);
            // The first creates the streams.
            rig.settled().await?;
        }
        Ok(rig)
    }

    /// The progress of all partitions: waits until each has one, and until one reading finds them all.
    async fn progress(&self) -> Result<BTreeMap<u16, Progress>> {
        until("every partition has its progress", SETTLED_MAX, async || {
            let mut all = BTreeMap::new();
            // There are no streams yet, or the server is busy.
            let Ok(mut latest) = latest_events(&self.nats, "presence.v1.progress.*").await else { return Ok(None) };
            while let Ok(Some(chunk)) = latest.next().await {
                for stored in chunk {
                    let partition = stored.subject.rsplit('.').next().ok_or("a subject has an end")?.parse()?;
                    all.insert(partition, Progress::from_json(&stored.payload)?);
                }
            }
            Ok((all.len() == usize::from(PARTITIONS)).then_some(all))
        })
        .await
    }

    /// The owner of each partition, as its fence says.
    pub async fn owners(&self) -> Result<BTreeMap<u16, String>> {
        Ok(self.progress().await?.into_iter().map(|(partition, progress)| (partition, progress.owner)).collect())
    }

    /// Waits until the engines that run are live and have all partitions, each its share; returns who owns what.
    pub async fn settled(&mut self) -> Result<BTreeMap<u16, String>> {
        let running: BTreeSet<usize> = (0..self.engines.len()).filter(|at| !self.engines[*at].has_ended()).collect();
        until("the partitions are shared", SETTLED_MAX, async || {
            let owners = self.owners().await?;
            let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
            for owner in owners.values() {
                *shares.entry(owner).or_default() += 1;
            }
            let most = usize::from(PARTITIONS).div_ceil(running.len());
            let is_whole = shares.len() == running.len()
                && shares.values().all(|share| *share <= most)
                && running
                    .iter()
                    .map(|at| self.engines[*at].stderr())
                    .all(|said| said.contains(LIVE) && shares.keys().any(|owner| said.contains(owner)));
            Ok(is_whole.then_some(owners))
        })
        .await
    }

    /// Waits until everything that the log has now is told, or covered by a checkpoint.
    pub async fn told(&self, max: Duration) -> Result<()> {
        let last = LogIdentity::read(&self.nats).await?.last_seq;
        until("everything in the log is told", max, async || {
            let progress = self.progress().await?;
            Ok(progress.values().all(|progress| progress.input_seq >= last).then_some(()))
        })
        .await
    }

    /// The partitions of one engine.
    pub fn share(&self, at: usize, owners: &BTreeMap<u16, String>) -> BTreeSet<u16> {
        let said = self.engines[at].stderr();
        owners.iter().filter(|(_, owner)| said.contains(*owner)).map(|(partition, _)| *partition).collect()
    }

    /// Ends an engine by SIGTERM; fails with what it said if it did not end well.
    pub async fn end(&mut self, at: usize) -> Result<()> {
        let engine = &mut self.engines[at];
        engine.signal_to_end();
        let status = until("the engine ends", ENDED_MAX, async || Ok(engine.has_ended_with())).await?;
        if status.success() { Ok(()) } else { Err(format!("{status}:\n{}", engine.stderr()).into()) }
    }
}
