//! Ticks: acknowledged entries that move the log's time where nothing else does.

use tokio::sync::watch;
use tokio::time::Instant;

use super::Nats;

/// What became of a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The log holds it.
    Stored {
        /// Its sequence.
        seq: u64,
    },
    /// It was refused, or not acknowledged in time; says why.
    Bad(String),
}

/// Publishes ticks, one after the other.
#[derive(Debug)]
pub struct Ticker {}

impl Ticker {
    /// A ticker that publishes at most every `every` (`engine.tick`).
    #[must_use]
    pub fn new(_nats: &Nats, _every: std::time::Duration) -> Self {
        unimplemented!()
    }

    /// Publishes one tick and waits for its acknowledgement, at most a second.
    pub async fn tick(&mut self) -> Outcome {
        unimplemented!()
    }

    /// Publishes ticks for ever: at least once a second, and when a deadline is `due`. Dropping the future ends it.
    pub async fn run(self, _due: watch::Receiver<Option<Instant>>) {
        unimplemented!()
    }
}
