//! What is to be expected if nothing more is heard: how sure it is that somebody is still there, and what comes next.

use super::hot::Hot;
use super::partition::Partition;
use super::record::{NONE, TIME_MAX};
use crate::model::session::{Deadlines, Life, NEVER};
use crate::model::{Certainty, Curve, Millis, NextState, Policy, Profile, State};

/// The silences after which the confidence of a profile's sessions falls below each edge of its bands, and below what is
/// enough to be ready: computed once a policy, since the wheel asks for them with every session that it finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crossings {
    silences: Vec<Millis>,
    /// How long a plain session that promised nothing has from its last input, and from its last sign of life.
    plain: [Millis; 2],
}

impl Crossings {
    /// Those of every profile of a policy.
    pub(crate) fn of(policy: &Policy) -> Vec<Self> {
        let of_profile = |(_, profile): &(Box<str>, Profile)| {
            let edges = profile.confidence.bands.iter().chain([&policy.ready.min_confidence]);
            let below = |edge: &u16| profile.confidence.below_at(*edge, profile.confidence.grace);
            let silences: Vec<Millis> = edges.map(below).collect();
            let falls =
                |seen, input| Life { seen, input, ..Life::default() }.deadlines(profile).next_below(State::Active);
            let fades = if profile.confidence.bands.is_empty() { NEVER } else { silences[0] };
            Self { plain: [falls(TIME_MAX, 0), falls(0, TIME_MAX).min(fades)], silences }
        };
        policy.profiles.iter().map(of_profile).collect()
    }

    /// The silence for the edge at a place, with a promise.
    fn silence(&self, place: usize, profile: &Profile, every_ms: u32, policy: &Policy) -> Millis {
        let (confidence, grace) = (&profile.confidence, profile.confidence_grace(every_ms));
        match confidence.model {
            // A longer grace only puts the same curve off.
            Curve::HalfLife => self.silences[place] + (grace - confidence.grace),
            Curve::Hazard { .. } if grace == confidence.grace => self.silences[place],
            Curve::Hazard { .. } => {
                let edge = confidence.bands.get(place).copied().unwrap_or(policy.ready.min_confidence);
                confidence.below_at(edge, grace)
            }
        }
    }
}

/// As [`Partition::soonest`] in its own time, of one that is plain, has no rare facts and promised nothing: nearly all that the
/// wheel finds.
#[inline]
pub(crate) fn soonest_of_plain(crossings: &[Crossings], hot: &Hot) -> Option<Millis> {
    (hot.plain() && !hot.promised() && hot.facts == NONE).then(|| {
        let [quiet, silent] = crossings[hot.profile()].plain;
        hot.input().saturating_add(quiet).min(hot.seen().saturating_add(silent))
    })
}

impl Partition {
    pub(crate) fn profile_of(&self, at: u32) -> &Profile {
        &self.policy.profiles[self.people.hot[at].profile()].1
    }

    /// A session's deadlines, in its own time.
    pub(crate) fn deadlines_of(&self, at: u32) -> Deadlines {
        self.people.life(at).deadlines(self.profile_of(at))
    }

    /// How much of a session's ages at an observed instant is excused.
    pub(crate) fn excused(&self, at: u32, instant: Millis) -> Millis {
        self.gateways.excused(self.people.excuse(at), instant)
    }

    /// An observed instant in a session's own time, which stands still while it is excused.
    pub(crate) fn own(&self, at: u32, instant: Millis) -> Millis {
        instant.saturating_sub(self.excused(at, instant))
    }

    fn grace(&self, at: u32) -> Millis {
        self.profile_of(at).confidence_grace(self.people.every_ms(at))
    }

    /// A session's confidence at an instant of its own time, if it is there.
    pub(crate) fn permille_by(&self, at: u32, own: Millis) -> u16 {
        let silence = own.saturating_sub(self.people.hot[at].seen());
        self.profile_of(at).confidence.permille(silence, self.grace(at))
    }

    /// The band of a session's confidence at an observed instant.
    pub(crate) fn band(&self, at: u32, instant: Millis) -> u8 {
        self.profile_of(at).confidence.band(self.permille_by(at, self.own(at, instant)))
    }

    /// Whether a session's confidence at an observed instant is enough to be ready.
    pub(crate) fn is_sure(&self, at: u32, instant: Millis) -> bool {
        self.is_sure_by(at, self.own(at, instant))
    }

    pub(crate) fn is_sure_by(&self, at: u32, own: Millis) -> bool {
        self.permille_by(at, own) >= self.policy.ready.min_confidence
    }

    /// The instant of its own time at which a session's confidence falls below so many thousandths. [`NEVER`] where it doesn't.
    pub(crate) fn unsure_at(&self, at: u32, permille: u16) -> Millis {
        if permille == 0 {
            return NEVER;
        }
        self.people.hot[at].seen() + self.profile_of(at).confidence.below_at(permille, self.grace(at))
    }

    /// The band of a session's confidence that was told.
    fn band_told(&self, at: u32) -> u8 {
        // Whoever is plain is in the top one: the wheel need not fetch the cold part of nearly all that it asks for.
        if self.people.hot[at].plain() { 0 } else { self.people.cold[at].band }
    }

    /// The instants of its own time at which a session's confidence falls into another band than the one that was told, and
    /// below what is enough to be ready. [`NEVER`] where it doesn't.
    pub(crate) fn crossings(&self, at: u32) -> [Millis; 2] {
        let (hot, band) = (&self.people.hot[at], usize::from(self.band_told(at)));
        let (profile, every_ms) = (self.profile_of(at), self.people.every_ms(at));
        let crossings = &self.crossings[hot.profile()];
        let after = |place: usize| hot.seen() + crossings.silence(place, profile, every_ms, &self.policy);
        let is_needed = hot.sure() && self.people.facts_of(at).is_some_and(|facts| !facts.can.is_empty());
        let bands = profile.confidence.bands.len();
        [if band < bands { after(band) } else { NEVER }, if is_needed { after(bands) } else { NEVER }]
    }

    /// A session's confidence at an observed instant.
    pub(crate) fn certainty(&self, at: u32, instant: Millis) -> Certainty {
        let is_there = self.people.hot[at].state() != State::Offline;
        let permille = if is_there { self.permille_by(at, self.own(at, instant)) } else { 0 };
        self.profile_of(at).confidence.certainty(permille, self.grace(at))
    }

    /// A user's confidence: that of its best session. Of somebody who is told as offline nothing is known but the default curve.
    pub(crate) fn user_certainty(&self, user: u32, instant: Millis) -> Certainty {
        match self.leader(user).filter(|_| self.people.users[user].state != State::Offline) {
            Some(best) => self.certainty(best, instant),
            None => {
                let profile = &self.policy.profiles[self.policy.default_index()].1;
                profile.confidence.certainty(0, profile.confidence_grace(0))
            }
        }
    }

    /// What a session falls to next, as if it stayed excused as it is at an observed instant.
    pub(crate) fn next_of(&self, at: u32, now: Millis) -> Option<NextState> {
        let deadlines = self.deadlines_of(at);
        let own = deadlines.next_below(self.people.hot[at].state());
        let expected = |own| self.time.expected(own + self.excused(at, now));
        (own != NEVER).then(|| NextState { to: deadlines.state_at(own).0, at_ms: expected(own) })
    }

    /// What a user falls to next: when the last of the sessions that are in its state has fallen.
    pub(crate) fn next_of_user(&self, user: u32, now: Millis) -> Option<NextState> {
        let present = || self.people.sessions_of(user).filter(|at| self.people.hot[*at].state() != State::Offline);
        let best = present().map(|at| self.people.hot[at].state()).min()?;
        let of_best = present().filter(|at| self.people.hot[*at].state() == best);
        let falls = |at: u32| self.deadlines_of(at).next_below(best).saturating_add(self.excused(at, now));
        let instant = of_best.map(falls).max().filter(|instant| *instant != NEVER)?;
        let state = |at: u32| self.deadlines_of(at).state_at(instant - self.excused(at, now)).0;
        Some(NextState { to: present().map(state).min()?, at_ms: self.time.expected(instant) })
    }
}
