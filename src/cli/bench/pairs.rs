//! The engine and a consumer that does nothing, in turns on one stream: live, and with a backlog.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Result;
use super::course::until;
use super::crowd::{Crowd, Prepared};
use super::figures::{Part, ratios};
use super::load::{Passed, flood, through};
use super::nothing::Nothing;
use super::rig::{Rig, TOLD_MAX};
use crate::nats::{LogIdentity, told};

/// So many are prepared at a time.
const FILLED_AT_ONCE: usize = 500_000;
/// Rooms are told at most so often, by default.
const STILL: Duration = Duration::from_secs(1);
/// More than the progress that checkpoints bring in that time, and nothing beside what thousands tell.
const FEW: u64 = 100;

/// What each turn measured, in heartbeats per second.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// Live, by a consumer that does nothing.
    nothing: Vec<f64>,
    /// Live, through the engine.
    pub(super) engine: Vec<f64>,
    /// A backlog, by a consumer that does nothing.
    read: Vec<f64>,
    /// The same backlog, by the engine.
    replayed: Vec<f64>,
    /// Microseconds of the processor for each heartbeat.
    engine_us: Vec<f64>,
    server_us: Vec<f64>,
}

/// Lets everybody join by batches; the engine has to run.
pub(super) async fn fill(rig: &mut Rig, crowd: &mut Crowd) -> Result<()> {
    let joins = crowd.join();
    through(rig, joins).await?;
    told_everything(rig).await
}

/// Lets everybody join by single heartbeats. Who was ever heard through a gateway has an excuse to keep or to lose, which costs
/// the engine more than a heartbeat does.
pub(super) async fn fill_singly(rig: &mut Rig, crowd: &mut Crowd) -> Result<()> {
    let mut left = crowd.sessions();
    while left > 0 {
        let joins = crowd.singles(left.min(FILLED_AT_ONCE))?;
        left -= joins.heartbeats;
        through(rig, joins).await?;
    }
    told_everything(rig).await
}

/// Waits until nothing more is told: what is still committed would be taken for the cost of what comes next.
async fn told_everything(rig: &Rig) -> Result<()> {
    let mut told = told::last_seq(&rig.nats).await?;
    until("nothing more is told", TOLD_MAX, async || {
        sleep(STILL).await;
        let now = told::last_seq(&rig.nats).await?;
        Ok((now - std::mem::replace(&mut told, now) < FEW).then_some(()))
    })
    .await
}

/// So many turns, of so many heartbeats each, made by `next`. The engine has to run; it is ended afterwards. In every other turn it
/// goes first, since the stream grows meanwhile.
pub(super) async fn turns(rig: &mut Rig, turns: usize, mut next: impl FnMut() -> Result<Prepared>) -> Result<Pairs> {
    let mut pairs = Pairs::default();
    for turn in 0..turns {
        let is_first = turn % 2 == 1;
        if is_first {
            pairs.live(rig, next()?).await?;
        }
        rig.end().await?;
        let load = next()?;
        let (heartbeats, entries) = (load.heartbeats as f64, load.messages.len());
        let first = LogIdentity::read(&rig.nats).await?.last_seq + 1;
        let nothing = Nothing::start(rig, first, entries).await?;
        let begin = Instant::now();
        flood(&rig.nats, load).await?;
        nothing.done().await?;
        pairs.nothing.push(heartbeats / begin.elapsed().as_secs_f64());

        // The same entries are a backlog now, for both.
        let seconds = Nothing::start(rig, first, entries).await?.done().await?;
        pairs.read.push(heartbeats / seconds);
        let start = rig.begin().await?;
        pairs.replayed.push(heartbeats / start.caught_up);

        if !is_first {
            pairs.live(rig, next()?).await?;
        }
    }
    rig.end().await?;
    Ok(pairs)
}

impl Pairs {
    async fn live(&mut self, rig: &mut Rig, load: Prepared) -> Result<()> {
        let Passed { rate, engine_us, server_us } = through(rig, load).await?;
        self.engine.push(rate);
        self.engine_us.push(engine_us);
        self.server_us.push(server_us);
        Ok(())
    }

    /// The figures, with the targets of the two ratios where there are any.
    pub(super) fn tell(&self, part: &mut Part, of: &str, targets: Option<(f64, f64)>) {
        let Self { nothing, engine, read, replayed, engine_us, server_us } = self;
        let (live, backlog) = (ratios(engine, nothing), ratios(replayed, read));
        let what = |what: &str| format!("{of}: {what}");
        part.figure(&what("live, a consumer that does nothing"), "heartbeats/s", nothing);
        part.figure(&what("live, through the engine"), "heartbeats/s", engine);
        let (live_what, backlog_what) = (what("live, ratio"), what("backlog, ratio"));
        match targets {
            Some((bound, _)) => part.at_least(&live_what, "", &live, bound),
            None => part.figure(&live_what, "", &live),
        }
        part.figure(&what("backlog, a consumer that does nothing"), "heartbeats/s", read);
        part.figure(&what("backlog, replayed by the engine"), "heartbeats/s", replayed);
        match targets {
            Some((_, bound)) => part.at_least(&backlog_what, "", &backlog, bound),
            None => part.figure(&backlog_what, "", &backlog),
        }
        part.figure(&what("processor time of the engine"), "µs/heartbeat", engine_us);
        part.figure(&what("processor time of the server"), "µs/heartbeat", server_us);
    }
}
