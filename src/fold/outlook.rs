//! What is to be expected if nothing more is heard: how sure it is that somebody is still there, and what comes next.

use super::partition::Partition;
use crate::model::session::{Deadlines, NEVER};
use crate::model::{Certainty, Millis, NextState, Profile, State};

impl Partition {
    fn profile_of(&self, at: u32) -> &Profile {
        &self.policy.profiles[self.people.hot[at].profile()].1
    }

    fn deadlines_of(&self, at: u32) -> Deadlines {
        self.people.life(at).deadlines(self.profile_of(at))
    }

    /// A session's confidence at an observed instant.
    pub(crate) fn certainty(&self, at: u32, instant: Millis) -> Certainty {
        let (hot, profile) = (&self.people.hot[at], self.profile_of(at));
        let grace = profile.confidence_grace(self.people.cold[at].every_ms);
        let permille = match hot.state() {
            State::Offline => 0,
            State::Active | State::Idle | State::Away | State::Stale => {
                profile.confidence.permille(instant.saturating_sub(hot.seen()), grace)
            }
        };
        profile.confidence.certainty(permille, grace)
    }

    /// A user's confidence: that of its best session. Of somebody who is offline nothing is known but the default curve.
    pub(crate) fn user_certainty(&self, user: u32, instant: Millis) -> Certainty {
        match self.leader(user) {
            Some(best) => self.certainty(best, instant),
            None => {
                let profile = &self.policy.profiles[self.policy.default_index()].1;
                profile.confidence.certainty(0, profile.confidence_grace(0))
            }
        }
    }

    /// What a session falls to next.
    pub(crate) fn next_of(&self, at: u32) -> Option<NextState> {
        let deadlines = self.deadlines_of(at);
        let instant = deadlines.next_below(self.people.hot[at].state());
        (instant != NEVER).then(|| NextState { to: deadlines.state_at(instant).0, at_ms: self.time.expected(instant) })
    }

    /// What a user falls to next: when the last of the sessions that are in its state has fallen.
    pub(crate) fn next_of_user(&self, user: u32) -> Option<NextState> {
        let present = || self.people.sessions_of(user).filter(|at| self.people.hot[*at].state() != State::Offline);
        let best = present().map(|at| self.people.hot[at].state()).min()?;
        let of_best = present().filter(|at| self.people.hot[*at].state() == best);
        let instant =
            of_best.map(|at| self.deadlines_of(at).next_below(best)).max().filter(|instant| *instant != NEVER)?;
        let to = present().map(|at| self.deadlines_of(at).state_at(instant).0).min()?;
        Some(NextState { to, at_ms: self.time.expected(instant) })
    }
}
