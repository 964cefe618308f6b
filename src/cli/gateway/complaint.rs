//! What can't be taken is told, but not each time.

use std::time::{Duration, Instant};

/// Complaints are at least so far apart.
const APART: Duration = Duration::from_secs(1);

/// Counts what was refused, and tells of it once a second at most.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    count: u64,
    untold: u64,
    told: Option<Instant>,
}

impl Complaints {
    /// Something was refused: which, and why.
    pub(super) fn tell(&mut self, which: &str, why: &str) {
        self.count += 1;
        if self.told.is_some_and(|told| told.elapsed() < APART) {
            self.untold += 1;
            return;
        }
        self.told = Some(Instant::now());
        match std::mem::take(&mut self.untold) {
            0 => tracing::warn!("{which} is left out: {why}"),
            untold => tracing::warn!("{which} is left out, and {untold} before it: {why}"),
        }
    }

    /// How many were refused; tells of those that were not told.
    pub(super) fn end(self) -> u64 {
        if self.untold > 0 {
            tracing::warn!("{} more were left out", self.untold);
        }
        self.count
    }
}
