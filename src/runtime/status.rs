//! What the loop tells of itself to whoever asks.

use tokio::time::Instant;

use super::live::Live;
use crate::wire::{Info, Owned};

impl Live {
    /// The engine as it is; `of` says what of it never changes.
    pub(super) fn info(&self, of: &Info, is_live: bool) -> Info {
        let now = Instant::now();
        let view = self.view.borrow();
        let mut owned: Vec<_> = self.followers.fleets().flat_map(super::fleet::Fleet::standing).collect();
        owned.sort_unstable_by_key(|standing| standing.partition);
        let owned = owned.into_iter().map(|standing| Owned {
            partition: standing.partition,
            epoch: self.freshness.epoch(standing.partition).unwrap_or(0),
            position: Some(standing.position),
            log_ms: Some(standing.log_ms),
            told_seq: self.outbox.told(standing.partition).map(|reached| reached.seq),
            checkpoint: self.freshness.stored(standing.partition, now),
            blind: standing.blind,
        });
        Info {
            live: is_live,
            members: view.members().map(str::to_owned).collect(),
            owned: owned.collect(),
            waiting: self.waits.count(),
            ..of.clone()
        }
    }
}
