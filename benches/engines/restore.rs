//! Starting an engine that has a million sessions.

use std::time::Duration;

use crate::common::{Result, flood, quantile};
use crate::phases::{Phases, restart};
use crate::rig::{Rig, config};
use crate::row::row;
use tokio::time::sleep;

/// Two of each user, in one tenant.
const SESSIONS: usize = 1_000_000;
const ROUNDS: usize = 3;
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// Longer than it may take to tell that everybody joined.
const JOINED_MAX: Duration = Duration::from_secs(900);

/// From the start of the process until it is live, after a SIGTERM and after `kill -9`.
pub async fn measure(is_small: bool) -> Result<()> {
    let sessions = if is_small { 20_000 } else { SESSIONS };
    // That sessions are not told makes filling it bearable, and changes nothing of what is restored.
    let engine = format!("checkpoint_every = \"{}s\"", CHECKPOINT_EVERY.as_secs());
    let rest = "[events]\nsessions = false\n[limits]\nsessions_per_partition = 2000000\nsessions_per_tenant = 2000000";
    let mut rig = Rig::start(1, &config(&engine, rest)).await?;
    let join = |number: usize| {
        let session = ["tab", "phone"][number % 2];
        (format!("presence.v1.signal.bench.user-{}.{session}", number / 2), r#"{"epoch":1,"seq":1}"#.to_owned())
    };
    flood(&rig.nats, sessions, join).await?;
    rig.told(JOINED_MAX).await?;
    for how in ["SIGTERM", "kill -9"] {
        let mut all = Vec::new();
        for _ in 0..if is_small { 1 } else { ROUNDS } {
            if how == "SIGTERM" {
                rig.end(0).await?;
            } else {
                // Every partition has a checkpoint of this life.
                sleep(CHECKPOINT_EVERY * 2).await;
                rig.engines[0].kill();
            }
            all.push(restart(&mut rig, 0).await?);
        }
        let median = |of: fn(&Phases) -> f64| quantile(&mut all.iter().map(of).collect::<Vec<_>>(), 0.5);
        let (fenced, loaded, caught_up) = (median(|of| of.fenced), median(|of| of.loaded), median(|of| of.caught_up));
        let what = format!("{} sessions restored after {how}, of {} restarts", all[0].sessions, all.len());
        let parts = format!(
            "median {:.0} ms: {fenced:.0} until it has the fences, {loaded:.0} loading checkpoints, {caught_up:.0} replaying",
            median(|of| of.fenced + of.loaded + of.caught_up)
        );
        let lease = if how == "SIGTERM" { "1000 ms + replay" } else { "1000 ms + replay + lease_ttl (3000 ms)" };
        row(&what, &parts, lease);
    }
    Ok(())
}
