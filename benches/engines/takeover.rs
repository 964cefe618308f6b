//! Taking over what a killed engine owned.

use crate::common::{Result, now_ms};
use crate::rig::{Rig, config};
use crate::row::{row, spread};
use crate::witness::Witnesses;

const KILLS: usize = 20;

/// From `kill -9` until the last of its partitions tells something that was stored after it; then the engine is started again.
pub async fn measure(is_small: bool) -> Result<()> {
    let mut rig = Rig::start(3, &config("", "")).await?;
    let witnesses = Witnesses::start(&rig.nats).await?;
    let (mut took, mut back) = (Vec::new(), Vec::new());
    for round in 0..if is_small { 2 } else { KILLS } {
        let owners = rig.settled().await?;
        witnesses.on_time().await?;
        let victim = round % rig.engines.len();
        let share = rig.share(victim, &owners);
        let begin = now_ms()?;
        rig.engines[victim].kill();
        let told = witnesses.told_after(now_ms()?, share).await?;
        took.push((told - begin) as f64);
        let before = rig.owners().await?;
        let (mark, begin) = (witnesses.mark(), now_ms()?);
        rig.engines[victim].respawn();
        let after = rig.settled().await?;
        witnesses.on_time().await?;
        let worst = witnesses.worst(mark, begin).into_iter();
        back.extend(worst.filter(|(partition, _)| before[partition] != after[partition]).map(|(_, late)| late));
    }
    row(
        "kill -9 of one of three until all of it is told again",
        &spread(&mut took),
        "4000 ms (lease_ttl + 1 s) + replay",
    );
    row("it is started again: lateness of partitions that it gets", &spread(&mut back), "1000 ms");
    row("changes in every partition meanwhile", &witnesses.verdict().await?, "0 lost, 0 twice");
    Ok(())
}
