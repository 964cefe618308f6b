//! The renewal of the own entry.

use std::time::Duration;

use async_nats::jetstream::kv::Store;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use crate::nats::Nats;
use crate::wire::Member;

/// Writes the own entry again and again: that it changes is what says that the engine lives.
pub(super) struct Pulse {
    nats: Nats,
    store: Store,
    member: Member,
    /// Whether it hands over what it has.
    leaving: watch::Receiver<bool>,
    lease_ttl: Duration,
}

impl Pulse {
    pub(super) fn new(
        nats: &Nats,
        store: &Store,
        member: Member,
        leaving: watch::Receiver<bool>,
        lease_ttl: Duration,
    ) -> Self {
        Self { nats: nats.clone(), store: store.clone(), member, leaving, lease_ttl }
    }

    /// Writes the entry once, or says why it is not known to be written `within` this time.
    pub(super) async fn beat(&self, within: Duration) -> Result<(), String> {
        // What waits for the connection would be stored late, and would say that all was well.
        if !self.nats.is_connected() {
            return Err("there is no connection".into());
        }
        let member = Member { leaving: *self.leaving.borrow(), ..self.member.clone() };
        match timeout(within, self.store.put(&member.engine, member.to_json().into())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {within:?}")),
        }
    }

    /// Writes it at once, since nothing is judged before it came back twice; then each sixth of the ttl, and at once where it says
    /// something else, for ever. Dropping the future ends it.
    pub(super) async fn run(mut self) {
        let mut every = interval(self.lease_ttl / 6);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failed = 0_u64;
        loop {
            tokio::select! {
                _ = every.tick() => {}
                Ok(()) = self.leaving.changed() => {}
            }
            // One that hangs leaves time for the next.
            match self.beat(self.lease_ttl / 3).await {
                Ok(()) if failed > 0 => {
                    info!(failed, "the own entry among the members is renewed again");
                    failed = 0;
                }
                Ok(()) => {}
                Err(cause) => {
                    if failed == 0 {
                        warn!(cause, "the own entry among the members can't be renewed, trying again");
                    } else {
                        debug!(cause, "the own entry among the members can't be renewed yet");
                    }
                    failed += 1;
                }
            }
        }
    }
}
