//! A rolling restart.

use crate::common::Result;
use crate::rig::{Rig, config};
use crate::row::{row, spread};
use crate::witness::{Heard, Witnesses};

const ROUNDS: usize = 3;

/// All three engines are restarted one after the other: how late any transition is told.
pub async fn measure(is_small: bool) -> Result<()> {
    let mut rig = Rig::start(3, &config("", "")).await?;
    let witnesses = Witnesses::start(&rig.nats).await?;
    let (mut late, mut worst) = (Vec::new(), Vec::new());
    for _ in 0..if is_small { 1 } else { ROUNDS } {
        rig.settled().await?;
        witnesses.on_time().await?;
        let mark = witnesses.mark();
        for at in 0..rig.engines.len() {
            rig.end(at).await?;
            rig.engines[at].respawn();
            rig.settled().await?;
        }
        witnesses.on_time().await?;
        let of_round: Vec<f64> = witnesses.since(mark).iter().map(Heard::lateness).collect();
        worst.push(of_round.iter().copied().fold(0.0, f64::max));
        late.extend(of_round);
    }
    row("all three restarted in turn: lateness of any transition", &spread(&mut late), "max 2000 ms");
    row("the greatest of each restart of all", &spread(&mut worst), "");
    row("changes in every partition meanwhile", &witnesses.verdict().await?, "0 lost, 0 twice");
    Ok(())
}
