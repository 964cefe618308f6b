//! What lies around the loop: those who wait for it to be live, and what it starts beside itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::ask::Desk;
use super::told::Leftover;
use crate::model::Policy;
use crate::nats::Nats;
use crate::wire::{self, Info};

/// How long to wait before a policy that was not stored is published again.
const PUBLISH_AGAIN: Duration = Duration::from_secs(1);

/// What the loop tells those around it.
pub(crate) struct Around<F> {
    pub(crate) nats: Nats,
    /// The configured policy.
    pub(crate) policy: Arc<Policy>,
    pub(crate) info: Info,
    pub(crate) tell_info: watch::Sender<Option<Info>>,
    /// Where questions are asked of this engine's life.
    pub(crate) tell_desk: watch::Sender<Option<Arc<Desk>>>,
    pub(crate) on_live: Option<F>,
    /// Keys of the buckets that say offline, once live.
    pub(crate) leftovers: mpsc::Receiver<Leftover>,
}

impl<F: FnOnce()> Around<F> {
    /// The log was read up to where it ended when the engine started, but the policy in force is another one.
    pub(crate) fn policy_differs(&self) {
        info!(hash = wire::policy::hash(&self.policy), "the configured policy is not the one in force: publishing it");
        tokio::spawn(publish_policy(self.nats.clone(), wire::policy::encode(&self.policy)));
    }

    /// Every partition is live under the configured policy.
    pub(crate) fn live(&mut self) {
        self.leftovers = Leftover::find(&self.nats);
        if let Some(on_live) = self.on_live.take() {
            on_live();
        }
    }

    /// The engine starts over.
    pub(crate) fn not_live(&mut self) {
        self.tell_info.send_replace(None);
        self.tell_desk.send_replace(None);
    }
}

/// Publishes the configured policy until the log has it; once too often does no harm.
async fn publish_policy(nats: Nats, payload: Vec<u8>) {
    let payload = Bytes::from(payload);
    loop {
        let stored = match nats.jetstream.publish(wire::subject::POLICY, payload.clone()).await {
            Ok(stored) => stored.await.map(drop),
            Err(error) => Err(error),
        };
        match stored {
            Ok(()) => return,
            Err(error) => warn!(%error, "the policy is not stored yet: trying again"),
        }
        tokio::time::sleep(PUBLISH_AGAIN).await;
    }
}
