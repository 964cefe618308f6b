//! Waiting for a NATS that is not ready yet, as while a cluster elects its leaders.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

/// How long an engine that starts waits for a NATS that is not ready. One that is live waits for ever.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Attempts something until it succeeds, fails with what doesn't pass, or [`START_PATIENCE`] is over. `what` is told where it has
/// to be waited for.
///
/// # Errors
/// That of the last attempt.
pub async fn patiently<T, E: Display>(
    what: &str,
    may_pass: impl Fn(&E) -> bool,
    attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    within(START_PATIENCE, PAUSE, what, may_pass, attempt).await
}

async fn within<T, E: Display>(
    patience: Duration,
    pause: Duration,
    what: &str,
    may_pass: impl Fn(&E) -> bool,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let start = Instant::now();
    loop {
        let error = match attempt().await {
            Err(error) if may_pass(&error) && start.elapsed() < patience => error,
            done => return done,
        };
        warn!(%error, "{what}: trying again for {} s at most", patience.saturating_sub(start.elapsed()).as_secs());
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("{0}")]
    struct Failure(&'static str);

    /// What comes of attempts of which the first ten fail with `cause`, and how many there are.
    async fn attempts(patience: Duration, cause: &'static str) -> (Result<(), Failure>, usize) {
        let mut made = 0;
        let passes = |failure: &Failure| failure.0 == "passes";
        let done = within(patience, Duration::ZERO, "it is not ready", passes, async || {
            made += 1;
            if made > 10 { Ok(()) } else { Err(Failure(cause)) }
        });
        (done.await, made)
    }

    #[tokio::test]
    async fn what_passes_is_attempted_until_it_has() {
        assert_eq!(attempts(Duration::MAX, "passes").await, (Ok(()), 11));
    }

    #[tokio::test]
    async fn what_does_not_pass_is_attempted_once() {
        assert_eq!(attempts(Duration::MAX, "stays").await, (Err(Failure("stays")), 1));
    }

    #[tokio::test]
    async fn patience_has_an_end() {
        assert_eq!(attempts(Duration::ZERO, "passes").await, (Err(Failure("passes")), 1));
    }
}
