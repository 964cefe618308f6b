//! Catching up on what was stored while no engine ran.

use std::time::{Duration, Instant};

use presence_engine::nats::{LogIdentity, Nats};

use crate::common::{Result, flood, quantile, read_log};
use crate::phases::restart;
use crate::rig::{Rig, config};
use crate::row::row;

const SESSIONS: usize = 20_000;
const BACKLOG: usize = 1_000_000;
/// One that fits into no memory but the disk's.
const LONG: usize = 10_000_000;
/// Longer than it may take to tell that everybody joined.
const JOINED_MAX: Duration = Duration::from_secs(120);
const ROUNDS: usize = 3;

/// Heartbeats per second that an engine replays, beside a consumer that only reads them.
pub async fn measure(is_small: bool) -> Result<()> {
    let backlog = if is_small { 50_000 } else { BACKLOG };
    let mut rig = Rig::start(1, &config("checkpoint_every = \"5s\"", "")).await?;
    // Everybody joins before it is measured.
    beat(&rig.nats, 1, SESSIONS).await?;
    rig.told(JOINED_MAX).await?;
    let (mut nothing, mut replayed, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..if is_small { 1 } else { ROUNDS } {
        rig.end(0).await?;
        let before = LogIdentity::read(&rig.nats).await?.last_seq;
        beat(&rig.nats, 2 + round, backlog).await?;
        let count = usize::try_from(LogIdentity::read(&rig.nats).await?.last_seq - before)?;
        let begin = Instant::now();
        read_log(&rig.nats, before + 1, count).await?;
        let read = count as f64 / begin.elapsed().as_secs_f64();
        let replay = count as f64 / (restart(&mut rig, 0).await?.caught_up / 1_000.0);
        nothing.push(read);
        replayed.push(replay);
        ratios.push(replay / read);
    }
    let [nothing, replayed, ratio] = [&mut nothing, &mut replayed, &mut ratios].map(|values| quantile(values, 0.5));
    let what = format!("heartbeats replayed per second, of a backlog of {backlog}");
    let measured = format!("{replayed:.0}; a consumer that does nothing {nothing:.0}, ratio {ratio:.2}");
    row(&what, &measured, "");

    // Whatever waits in the log, what an engine needs is that of its sessions.
    let long = if is_small { 200_000 } else { LONG };
    rig.end(0).await?;
    restart(&mut rig, 0).await?;
    let without = rig.engines[0].peak_memory_kb();
    rig.end(0).await?;
    beat(&rig.nats, 2 + ROUNDS, long).await?;
    let caught_up = restart(&mut rig, 0).await?.caught_up;
    let with = rig.engines[0].peak_memory_kb();
    let what = format!("memory at most, with a backlog of {long} heartbeats");
    let rate = long as f64 / (caught_up / 1_000.0);
    row(&what, &format!("{} MB, without {} MB; {rate:.0} replayed per second", with / 1_000, without / 1_000), "");
    Ok(())
}

/// So many heartbeats of all sessions in turn.
async fn beat(nats: &Nats, epoch: usize, count: usize) -> Result<()> {
    let beat = |number| {
        let subject = format!("presence.v1.signal.bench.user-{}.tab", number % SESSIONS);
        (subject, format!(r#"{{"epoch":{epoch},"seq":{number}}}"#))
    };
    flood(nats, count, beat).await
}
