//! Handing over: one of three leaves, and one joins.

use crate::common::{Result, now_ms, quantile};
use crate::rig::{Rig, config};
use crate::row::{row, spread};
use crate::witness::{EVERY, Heard, Witnesses};

const ROUNDS: usize = 10;

/// The greatest lateness of each partition that changes hands, above what is usual: for so long nobody read it.
pub async fn measure(is_small: bool) -> Result<()> {
    let mut rig = Rig::start(3, &config("", "")).await?;
    let witnesses = Witnesses::start(&rig.nats).await?;
    let (mut leaving, mut joining, mut usual, mut staying) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..if is_small { 1 } else { ROUNDS } {
        let at = round % rig.engines.len();
        for gaps in [&mut leaving, &mut joining] {
            let before = rig.settled().await?;
            let calm = calm(&witnesses).await?;
            usual.push(calm);
            let (mark, begin) = (witnesses.mark(), now_ms()?);
            if rig.engines[at].has_ended() {
                rig.engines[at].respawn();
            } else {
                rig.end(at).await?;
            }
            let after = rig.settled().await?;
            witnesses.on_time().await?;
            for (partition, late) in witnesses.worst(mark, begin) {
                let has_moved = before[&partition] != after[&partition];
                if has_moved { &mut *gaps } else { &mut staying }.push((late - calm).max(0.0));
            }
        }
    }
    let grain = EVERY.as_millis();
    row("one of three leaves: nobody reads a partition for", &spread(&mut leaving), "1000 ms");
    row("one joins two: nobody reads a partition for", &spread(&mut joining), "1000 ms");
    row("meanwhile, a partition that stays where it is", &spread(&mut staying), "");
    row(&format!("usual lateness, subtracted; a change each {grain} ms"), &spread(&mut usual), "");
    row("changes in every partition meanwhile", &witnesses.verdict().await?, "0 lost, 0 twice");
    Ok(())
}

/// The usual lateness: the median of some seconds in which nothing happens.
async fn calm(witnesses: &Witnesses) -> Result<f64> {
    witnesses.on_time().await?;
    let mark = witnesses.mark();
    for _ in 0..20 {
        witnesses.on_time().await?;
    }
    let mut late: Vec<f64> = witnesses.since(mark).iter().map(Heard::lateness).collect();
    Ok(quantile(&mut late, 0.5))
}
