//! Waiting for a NATS that is not ready yet, as while a cluster elects its leaders.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

/// How long an engine that starts waits for a NATS that is not ready. One that is live waits for ever.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Patience with what fails and may succeed later: it ends after a minute.
#[derive(Debug)]
pub struct Patience {
    what: &'static str,
    start: Instant,
    limit: Duration,
    pause: Duration,
}

impl Patience {
    /// It begins now. `what` is told where it is needed, such as "NATS is not ready".
    #[must_use]
    pub fn begin(what: &'static str) -> Self {
        Self { what, start: Instant::now(), limit: START_PATIENCE, pause: PAUSE }
    }

    /// Whether to try again after `error`: not if it doesn't pass, nor once patience has ended. Waits before it says so.
    pub async fn bears(&self, error: &impl Display, may_pass: bool) -> bool {
        let is_borne = may_pass && self.start.elapsed() < self.limit;
        if is_borne {
            let left = self.limit.saturating_sub(self.start.elapsed()).as_secs();
            warn!(%error, "{}: trying again for {left} s at most", self.what);
            sleep(self.pause).await;
        }
        is_borne
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(limit: Duration) -> Patience {
        Patience { limit, pause: Duration::ZERO, ..Patience::begin("it is not ready") }
    }

    #[tokio::test]
    async fn what_may_pass_is_borne_until_patience_ends_and_what_does_not_never() {
        let long = patience(Duration::MAX);
        assert!(long.bears(&"no leader", true).await && long.bears(&"no leader", true).await);
        assert!(!long.bears(&"no permission", false).await);
        assert!(!patience(Duration::ZERO).bears(&"no leader", true).await);
    }
}
