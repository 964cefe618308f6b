//! Observed time (decision 2): what of the log's time counts.

use presence_engine::model::Millis;

/// Ten of it buy one of hold.
const EARNED_MAX: Millis = 300_000;

/// In milliseconds: the log's latest timestamp, observed time, the mercy that is left, and what buys it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) hi: Millis,
    pub(crate) w: Millis,
    pub(crate) hold: Millis,
    earned: Millis,
    pub(crate) last_tick: Option<Millis>,
}

impl Clock {
    pub(crate) fn starting_at(ts: Millis, last_tick: Option<Millis>) -> Self {
        Self { hi: ts, w: ts, hold: 0, earned: EARNED_MAX, last_tick }
    }

    /// Time passes, of which `used` is excused by mercy.
    pub(crate) fn observe(&mut self, forward: Millis, used: Millis) {
        self.hold -= used;
        self.w += forward - used;
        self.earned = (self.earned + forward - used).min(EARNED_MAX);
    }

    /// Ten observed seconds buy one of mercy; returns how much was bought.
    pub(crate) fn grant(&mut self, wanted: Millis) -> Millis {
        let granted = wanted.min(self.earned / 10);
        self.hold += granted;
        self.earned -= 10 * granted;
        granted
    }

    /// How an instant of observed time is told.
    pub(crate) fn told(&self, w: Millis) -> Millis {
        (w + self.hi).saturating_sub(self.w)
    }
}
