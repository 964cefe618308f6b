//! How far what is read of the log is what the log is now. Pure but for the local clock, which it is given.

use std::time::Duration;

use tokio::time::Instant;

/// Ticks come once a second at least: who has heard nothing for so long doesn't know what is in the log now.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Who had more than so many entries before it is behind. An engine that keeps up with 100,000 a second has up to 41,000 of them
/// in hand (two requests of 8,192, and six chunks), and lets tens of thousands wait while it takes a snapshot; this is less than a
/// second of such a load.
const PENDING_MAX: u64 = 65_536;

/// How the log stood when some entries of it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// When they came, or earlier: since then nobody looked.
    pub heard: Instant,
    /// How many were still to come, as the server said with the last of them.
    pub pending: u64,
    /// The last entry that was in the log when reading began anew, after a pause too: what the server had sent before says
    /// nothing of what has come since.
    pub resumed_at: u64,
}

impl Standing {
    /// Nothing was read yet.
    #[must_use]
    pub fn unread() -> Self {
        Self { heard: Instant::now(), pending: 0, resumed_at: 0 }
    }

    /// How long ago it was.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// Whether something was heard of the log just now.
    #[must_use]
    pub fn is_heard(&self, now: Instant) -> bool {
        self.age(now) < SILENCE_MAX
    }

    /// Whether who has folded up to `position` is near the end of the log.
    #[must_use]
    pub fn is_near(&self, position: u64) -> bool {
        self.pending <= PENDING_MAX && position >= self.resumed_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_what_was_sent_before_a_pause_is_not_near_the_end() {
        let now = Instant::now();
        let standing = Standing { heard: now, pending: 0, resumed_at: 600 };
        assert!(standing.is_heard(now) && !standing.is_near(599) && standing.is_near(600));
        assert!(!standing.is_heard(now + SILENCE_MAX));
    }

    #[test]
    fn who_has_as_many_before_it_as_a_loaded_engine_is_near_and_who_has_more_is_behind() {
        let standing = |pending| Standing { pending, ..Standing::unread() };
        assert!(standing(41_000).is_near(1) && standing(PENDING_MAX).is_near(1));
        assert!(!standing(PENDING_MAX + 1).is_near(1));
    }
}
