//! What all of a partition live under: its time, its policy, and the gateways that it knows.

use std::sync::Arc;

use presence_engine::model::{Millis, Policy};

use super::clock::Clock;
use super::gateway::Gateways;
use super::session::Session;

pub(super) struct Sky {
    pub(super) clock: Option<Clock>,
    pub(super) policy: Arc<Policy>,
    pub(super) gateways: Gateways,
    /// The highest incarnation of anybody who was forgotten.
    pub(super) forgotten: u64,
}

/// A log time and an observed instant.
#[derive(Clone, Copy)]
pub(super) struct When {
    pub(super) at: Millis,
    pub(super) instant: Millis,
}

impl Sky {
    pub(super) fn now(&self) -> Clock {
        self.clock.expect("the first entry starts the clock")
    }

    pub(super) fn told(&self, instant: Millis) -> Millis {
        self.now().told(instant)
    }

    /// When something to come is told, if it does.
    pub(super) fn expected(&self, instant: Millis) -> Millis {
        self.told(instant) + self.now().hold
    }

    /// How much of this session's ages is excused.
    pub(super) fn excused(&self, session: &Session, instant: Millis) -> Millis {
        self.gateways.excused(session.excuse, instant)
    }

    /// The instant in the session's own time.
    pub(super) fn own(&self, session: &Session, instant: Millis) -> Millis {
        instant - self.excused(session, instant)
    }
}
