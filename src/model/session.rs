//! One session's life, and the state that follows from it.

use super::{Cause, Millis, Profile, State, Visibility};

/// No deadline.
pub const NEVER: Millis = Millis::MAX;

/// The facts that a session's state follows from. All times in observed time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The last life sign.
    pub seen: Millis,
    /// The last input.
    pub input: Millis,
    /// Whether it is in sight.
    pub visibility: Visibility,
    /// Out of sight since then; `None` while visible.
    pub out_of_sight: Option<Millis>,
    /// The last signal that said frozen; counts only while the visibility is frozen.
    pub frozen: Millis,
    /// The first disconnect since the last accepted heartbeat.
    pub closed: Option<Millis>,
    /// The leave that waits for `leave_linger`.
    pub leaving: Option<Millis>,
    /// The declared interval between beats, 0 for none.
    pub every_ms: u32,
    /// Whether this incarnation has reported input by `input_age_ms` or `state`.
    pub reported: bool,
    /// How far anti-flap stretches it, 0 to 3, and since when.
    pub stretched: (u8, Millis),
}

impl Default for Life {
    /// One that is in sight, was seen at 0, and of which nothing else is known.
    fn default() -> Self {
        Self {
            seen: 0,
            input: 0,
            visibility: Visibility::Visible,
            out_of_sight: None,
            frozen: 0,
            closed: None,
            leaving: None,
            every_ms: 0,
            reported: false,
            stretched: (0, 0),
        }
    }
}

/// When a session falls to each state if nothing more comes, with the cause. [`NEVER`] where it doesn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    idle: Millis,
    away: (Millis, Cause),
    stale: (Millis, Cause),
    offline: (Millis, Cause),
}

impl Life {
    /// The deadlines under `profile`.
    #[must_use]
    pub fn deadlines(&self, profile: &Profile) -> Deadlines {
        let mut deadlines = if self.visibility == Visibility::Frozen {
            Deadlines {
                idle: NEVER,
                away: (0, Cause::Frozen),
                stale: (NEVER, Cause::Silent),
                offline: (self.frozen + profile.frozen_offline_after, Cause::Frozen),
            }
        } else {
            self.running(profile)
        };
        if let Some(leaving) = self.leaving {
            deadlines.offline = earlier((leaving + profile.leave_linger, Cause::Left), deadlines.offline);
        }
        deadlines
    }

    /// How much longer it may be quiet by anti-flap: as long as its last input is near enough to the latest return.
    #[must_use]
    pub fn stretch(&self, profile: &Profile) -> Millis {
        let (level, raised) = self.stretched;
        if self.input <= raised + 10 * profile.anti_flap { Millis::from(level) * profile.anti_flap } else { 0 }
    }

    fn running(&self, profile: &Profile) -> Deadlines {
        let (mut idle_after, mut stale_after) = (profile.idle_after, profile.stale_after);
        if let (Some(promise), 1..) = (&profile.promise, self.every_ms) {
            let every = Millis::from(self.every_ms).min(promise.cap);
            stale_after = every * Millis::from(promise.factor_permille) / 1_000 + promise.slack;
            if !self.reported {
                idle_after = idle_after.max(every * Millis::from(promise.idle_beats));
            }
        }
        let idle = self.input + idle_after + self.stretch(profile);
        let quiet = (idle + (profile.away_after - profile.idle_after), Cause::Quiet);
        let hidden = (self.out_of_sight.map_or(NEVER, |since| since + profile.hidden_after), Cause::Hidden);
        let closed = (self.closed.map_or(NEVER, |at| at + profile.disconnect_grace), Cause::Disconnected);
        let stale = earlier(closed, (self.seen + stale_after, Cause::Silent));
        let offline = (stale.0 + (profile.offline_after - profile.stale_after), stale.1);
        Deadlines { idle, away: earlier(hidden, quiet), stale, offline }
    }
}

/// The earlier of two deadlines, the first if they are equal.
fn earlier(a: (Millis, Cause), b: (Millis, Cause)) -> (Millis, Cause) {
    if a.0 <= b.0 { a } else { b }
}

impl Deadlines {
    /// The state at the instant `w`, and the cause of being there.
    #[must_use]
    pub fn state_at(&self, w: Millis) -> (State, Cause) {
        if w >= self.offline.0 {
            (State::Offline, self.offline.1)
        } else if w >= self.stale.0 {
            (State::Stale, self.stale.1)
        } else if w >= self.away.0 {
            (State::Away, self.away.1)
        } else if w >= self.idle {
            (State::Idle, Cause::Quiet)
        } else {
            (State::Active, Cause::Input)
        }
    }

    /// All instants at which the state may change, in no order; [`NEVER`] among them.
    #[must_use]
    pub fn instants(&self) -> [Millis; 4] {
        [self.idle, self.away.0, self.stale.0, self.offline.0]
    }

    /// The next instant at which a session in `state` falls to a lower one; [`NEVER`] if it doesn't.
    #[must_use]
    pub fn next_below(&self, state: State) -> Millis {
        match state {
            State::Active => self.idle.min(self.away.0).min(self.stale.0).min(self.offline.0),
            State::Idle => self.away.0.min(self.stale.0).min(self.offline.0),
            State::Away => self.stale.0.min(self.offline.0),
            State::Stale => self.offline.0,
            State::Offline => NEVER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life() -> Life {
        Life { seen: 1_000_000, input: 1_000_000, ..Life::default() }
    }

    fn profile(name: &str) -> Profile {
        Profile::built_in().into_iter().find(|(other, _)| **other == *name).unwrap().1
    }

    /// The ladder as (milliseconds after the last signal, state), walked deadline by deadline.
    fn ladder(life: &Life, profile: &Profile) -> Vec<(Millis, State)> {
        let deadlines = life.deadlines(profile);
        let mut steps = vec![(0, deadlines.state_at(life.seen).0)];
        loop {
            let at = deadlines.next_below(steps.last().unwrap().1);
            if at == NEVER {
                return steps;
            }
            steps.push((at - life.seen, deadlines.state_at(at).0));
        }
    }

    #[test]
    fn the_seed_walks_its_ladder_exactly() {
        use State::{Active, Away, Idle, Offline, Stale};
        let expected = [(0, Active), (15_000, Idle), (60_000, Away), (180_000, Stale), (240_000, Offline)];
        assert_eq!(ladder(&life(), &profile("seed")), expected);
    }

    #[test]
    fn thresholds_are_inclusive() {
        let deadlines = life().deadlines(&profile("seed"));
        assert_eq!(deadlines.state_at(1_014_999).0, State::Active);
        assert_eq!(deadlines.state_at(1_015_000), (State::Idle, Cause::Quiet));
    }

    #[test]
    fn a_promise_stretches_idle_until_input_is_reported_and_moves_stale() {
        let mut slow = Life { every_ms: 300_000, ..life() };
        let default = profile("default");
        let steps = ladder(&slow, &default);
        assert_eq!(steps[1], (635_000, State::Stale), "2 × 300 s + 35 s come before 3 × 300 s of quiet");
        assert_eq!(steps[2], (695_000, State::Offline));
        slow.reported = true;
        assert_eq!(ladder(&slow, &default)[1], (60_000, State::Idle));
    }

    #[test]
    fn a_disconnect_brings_stale_forward_and_never_back() {
        let default = profile("default");
        let early = Life { closed: Some(1_010_000), ..life() };
        assert_eq!(ladder(&early, &default)[1..], [(25_000, State::Stale), (85_000, State::Offline)]);
        let late = Life { closed: Some(1_179_000), ..life() };
        assert_eq!(ladder(&late, &default)[3..], [(180_000, State::Stale), (240_000, State::Offline)]);
    }

    #[test]
    fn frozen_is_away_and_never_stale() {
        let frozen = Life { visibility: Visibility::Frozen, frozen: 1_000_000, closed: Some(1_000_000), ..life() };
        assert_eq!(ladder(&frozen, &profile("default")), [(0, State::Away), (900_000, State::Offline)]);
    }

    #[test]
    fn thresholds_that_coincide_are_one_fall() {
        let steep = Profile { idle_after: 5, away_after: 5, stale_after: 5, offline_after: 9, ..Profile::default() };
        assert_eq!(ladder(&life(), &steep), [(0, State::Active), (5, State::Stale), (9, State::Offline)]);
    }
}
