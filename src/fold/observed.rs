//! Observed time: the log's time without what nobody watched.

use crate::model::{Millis, Policy};

/// Mercy that is earned at the start and at most, in milliseconds of observed time: ten of it buy one of hold.
pub const EARNED_MS_MAX: Millis = 300_000;

/// A partition's clock, told by its log.
///
/// `hi` is the latest timestamp, `w` the observed time. They move together, but a gap above `blind_after` moves only
/// `hi`, and after a gap or failed ticks `hold` of what follows is not observed either. All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObservedTime {
    pub(crate) hi: Millis,
    pub(crate) w: Millis,
    pub(crate) hold: Millis,
    pub(crate) earned: Millis,
    pub(crate) last_tick: Option<Millis>,
}

/// How an entry's timestamp lies to the latest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Observed time passes; the difference between log time and observed time stays.
    Watched,
    /// Hold is used up first, so the difference changes before observed time passes.
    Held,
    /// A gap: nobody watched.
    Blind,
    /// Not later, within the tolerance: nothing passes.
    Still,
    /// The log's clock was set back.
    SetBack,
}

impl ObservedTime {
    /// The time of a log that starts with an entry at `ts`.
    #[must_use]
    pub fn starting_at(ts: Millis) -> Self {
        Self { hi: ts, w: ts, hold: 0, earned: EARNED_MS_MAX, last_tick: None }
    }

    /// What an entry at `ts` will do; nothing is changed.
    #[must_use]
    pub fn passage(&self, ts: Millis, policy: &Policy) -> Passage {
        if ts > self.hi {
            if ts - self.hi > policy.blind_after {
                Passage::Blind
            } else if self.hold > 0 {
                Passage::Held
            } else {
                Passage::Watched
            }
        } else if self.hi - ts >= policy.blind_after {
            Passage::SetBack
        } else {
            Passage::Still
        }
    }

    /// Takes the mercy for a tick at `ts` whose publisher failed before it. Comes before [`ObservedTime::advance`]. Returns the
    /// tick since which time is excused, if any is.
    pub fn excuse_failed_ticks(&mut self, ts: Millis, policy: &Policy) -> Option<Millis> {
        if ts > self.hi && ts - self.hi > policy.blind_after {
            return None;
        }
        let last = self.last_tick?;
        let is_excused = self.buy(ts.saturating_sub(last)) > 0;
        is_excused.then_some(last)
    }

    /// Moves the time on to an entry at `ts`.
    pub fn advance(&mut self, ts: Millis, policy: &Policy) {
        match self.passage(ts, policy) {
            Passage::Watched | Passage::Held => {
                let passed = ts - self.hi;
                let used = passed.min(self.hold);
                self.hold -= used;
                self.w += passed - used;
                self.earned = (self.earned + passed - used).min(EARNED_MS_MAX);
                self.hi = ts;
            }
            Passage::Blind => {
                self.buy(policy.reconnect_grace.saturating_sub(self.hold));
                self.hi = ts;
            }
            Passage::Still => {}
            Passage::SetBack => self.hi = ts,
        }
    }

    /// Moves the time on by what was watched, where no hold is left.
    #[inline]
    pub(crate) fn watch(&mut self, passed: Millis) {
        self.hi += passed;
        self.w += passed;
        self.earned = (self.earned + passed).min(EARNED_MS_MAX);
    }

    /// Returns how much was bought.
    fn buy(&mut self, wanted: Millis) -> Millis {
        let bought = wanted.min(self.earned / 10);
        self.hold += bought;
        self.earned -= 10 * bought;
        bought
    }

    /// The log time of an instant of observed time, by the difference in force now.
    #[must_use]
    pub fn told(&self, w: Millis) -> Millis {
        (w + self.hi).saturating_sub(self.w)
    }

    /// The log time at which the observed instant `w` will be reached, if the log goes on.
    #[must_use]
    pub fn expected(&self, w: Millis) -> Millis {
        self.told(w) + self.hold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::default()
    }

    #[test]
    fn a_gap_adds_nothing_and_buys_the_grace() {
        let mut time = ObservedTime::starting_at(1_000_000);
        time.advance(1_003_000, &policy());
        assert_eq!((time.w, time.hold), (1_003_000, 0), "a gap of exactly blind_after was watched");
        time.advance(1_006_001, &policy());
        assert_eq!((time.hi, time.w, time.hold, time.earned), (1_006_001, 1_003_000, 15_000, 150_000));
    }

    #[test]
    fn hold_is_used_before_time_passes() {
        let mut time = ObservedTime { hold: 700, ..ObservedTime::starting_at(0) };
        time.advance(1_000, &policy());
        assert_eq!((time.w, time.hold, time.told(time.w)), (300, 0, 1_000));
    }

    #[test]
    fn recurring_gaps_run_out_of_mercy() {
        let mut time = ObservedTime::starting_at(0);
        let mut ts = 0;
        for _ in 0..1_000 {
            ts += 10_000;
            time.advance(ts, &policy());
            for _ in 0..10 {
                ts += 1_000;
                time.advance(ts, &policy());
            }
        }
        // Each round watches 10 s, of which at most a tenth can be bought back: time passes at more than 0.9 of it.
        assert!(time.w >= 1_000 * 9_000 - 30_000, "observed only {} ms", time.w);
    }

    #[test]
    fn a_clock_set_back_ages_nobody() {
        let mut time = ObservedTime::starting_at(10_000);
        time.advance(7_001, &policy());
        assert_eq!((time.hi, time.w), (10_000, 10_000));
        time.advance(7_000, &policy());
        assert_eq!((time.hi, time.w, time.told(9_000)), (7_000, 10_000, 6_000));
    }

    #[test]
    fn failed_ticks_excuse_the_time_since_the_tick_before() {
        let mut time = ObservedTime { last_tick: Some(0), ..ObservedTime::starting_at(0) };
        assert_eq!(time.excuse_failed_ticks(2_000, &policy()), Some(0));
        time.advance(2_000, &policy());
        assert_eq!((time.w, time.hold, time.earned), (0, 0, 280_000));
        let mut poor = ObservedTime { last_tick: Some(0), earned: 9, ..ObservedTime::starting_at(0) };
        assert_eq!(poor.excuse_failed_ticks(2_000, &policy()), None, "there is no mercy left");
    }
}
