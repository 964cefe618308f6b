//! What follows from a session's facts by time alone: its states, its confidence, and when they change.

use presence_engine::model::{Cause, Certainty, Confidence, Millis, Policy, Profile, State, Visibility};

use super::session::{Facts, Session};
use super::sky::Sky;

pub(super) fn profile_of<'a>(facts: &Facts, policy: &'a Policy) -> &'a Profile {
    &policy.profiles[policy.profile_index(&facts.profile).expect("a known profile")].1
}

impl Session {
    /// Every deadline with the state below it, and why. Of the same instant and state, the first counts.
    fn ladder(&self, policy: &Policy) -> Vec<(Millis, State, Cause)> {
        let facts = &self.facts;
        let profile = profile_of(facts, policy);
        let mut ladder = Vec::new();
        if let Some(at) = self.leaving {
            ladder.push((at + profile.leave_linger, State::Offline, Cause::Left));
        }
        if facts.visibility == Visibility::Frozen {
            ladder.push((0, State::Away, Cause::Frozen));
            ladder.push((self.frozen + profile.frozen_offline_after, State::Offline, Cause::Frozen));
            return ladder;
        }
        let (mut idle_after, mut stale_after) = (profile.idle_after, profile.stale_after);
        if let Some(promise) = profile.promise.as_ref().filter(|_| facts.every_ms > 0) {
            let every = u64::from(facts.every_ms).min(promise.cap);
            stale_after = u64::from(promise.factor_permille) * every / 1_000 + promise.slack;
            if !facts.reported {
                idle_after = idle_after.max(u64::from(promise.idle_beats) * every);
            }
        }
        if self.input <= self.raised + 10 * profile.anti_flap {
            idle_after += self.level * profile.anti_flap;
        }
        let to_away = profile.away_after - profile.idle_after;
        let to_offline = profile.offline_after - profile.stale_after;
        let closed = self.closed.map(|at| (at + profile.disconnect_grace, Cause::Disconnected));
        for (stale, cause) in closed.into_iter().chain([(self.seen + stale_after, Cause::Silent)]) {
            ladder.push((stale, State::Stale, cause));
            ladder.push((stale + to_offline, State::Offline, cause));
        }
        ladder.extend(facts.out_of_sight.map(|at| (at + profile.hidden_after, State::Away, Cause::Hidden)));
        ladder.push((self.input + idle_after + to_away, State::Away, Cause::Quiet));
        ladder.push((self.input + idle_after, State::Idle, Cause::Quiet));
        ladder
    }

    /// The state at an instant of its own time: the lowest whose deadline is reached, because of what reached it first.
    pub(super) fn state_by(&self, own: Millis, policy: &Policy) -> (State, Cause) {
        if !self.is_live() {
            return (State::Offline, Cause::Left);
        }
        let ladder = self.ladder(policy);
        let reached = || ladder.iter().filter(|(at, ..)| *at <= own);
        let state = reached().map(|(_, state, _)| *state).max().unwrap_or(State::Active);
        let first = reached().filter(|(_, of, _)| *of == state).min_by_key(|(at, ..)| *at);
        (state, first.map_or(Cause::Input, |(.., cause)| *cause))
    }

    pub(super) fn state_at(&self, instant: Millis, sky: &Sky) -> (State, Cause) {
        self.state_by(sky.own(self, instant), &sky.policy)
    }

    fn grace(&self, policy: &Policy) -> Millis {
        let profile = profile_of(&self.facts, policy);
        let promised = profile.promise.as_ref().filter(|_| self.facts.every_ms > 0);
        let promised = promised.map_or(0, |promise| u64::from(self.facts.every_ms).min(promise.cap) + promise.slack);
        profile.confidence.grace.max(promised)
    }

    pub(super) fn permille_by(&self, own: Millis, policy: &Policy) -> u16 {
        let confidence = &profile_of(&self.facts, policy).confidence;
        let permille = confidence.permille(own.saturating_sub(self.seen), self.grace(policy));
        if self.is_live() { permille } else { 0 }
    }

    pub(super) fn certainty(&self, instant: Millis, sky: &Sky) -> Certainty {
        let Confidence { model, half_life, .. } = profile_of(&self.facts, &sky.policy).confidence;
        let permille = self.permille_by(sky.own(self, instant), &sky.policy);
        Certainty { permille, model, grace_ms: self.grace(&sky.policy), half_life_ms: half_life }
    }

    pub(super) fn band(&self, instant: Millis, sky: &Sky) -> u8 {
        let permille = self.permille_by(sky.own(self, instant), &sky.policy);
        profile_of(&self.facts, &sky.policy).confidence.band(permille)
    }

    /// Whether its confidence is enough to be ready.
    pub(super) fn is_sure(&self, own: Millis, policy: &Policy) -> bool {
        self.permille_by(own, policy) >= policy.ready.min_confidence
    }

    /// Every instant of its own time at which its state or confidence may pass something.
    pub(super) fn turns(&self, policy: &Policy) -> Vec<Millis> {
        if !self.is_live() {
            return Vec::new();
        }
        let confidence = &profile_of(&self.facts, policy).confidence;
        let edges = confidence.bands.iter().chain([&policy.ready.min_confidence]);
        let crossings = edges.map(|edge| self.seen + confidence.below_at(*edge, self.grace(policy)));
        self.ladder(policy).into_iter().map(|(at, ..)| at).chain(crossings).collect()
    }

    /// The instant of its next fall, with the excuse as it is now, and the state that it falls to.
    pub(super) fn next(&self, now: Millis, sky: &Sky) -> Option<(Millis, State)> {
        let below = self.ladder(&sky.policy).into_iter().filter(|(_, state, _)| self.is_live() && *state > self.state);
        let own = below.map(|(at, ..)| at).min()?;
        Some((own + sky.excused(self, now), self.state_by(own, &sky.policy).0))
    }

    pub(super) fn forget_at(&self, policy: &Policy) -> Option<Millis> {
        let kept = if self.voice { policy.intent_keep } else { profile_of(&self.facts, policy).tombstone };
        self.gone.map(|(at, _)| at + kept)
    }

    /// A return to active soon after it was left stretches the next stay, up to three times as much.
    pub(super) fn flap(&mut self, w: Millis, sky: &Sky) {
        if self.state == State::Active || self.state == State::Offline || self.state_at(w, sky).0 != State::Active {
            return;
        }
        let (own, anti_flap) = (sky.own(self, w), profile_of(&self.facts, &sky.policy).anti_flap);
        let soon = self.left_active.is_some_and(|at| own.saturating_sub(at) <= anti_flap);
        if self.state != State::Stale && anti_flap > 0 && soon {
            (self.level, self.raised) = ((self.level + 1).min(3), own);
        } else {
            self.level = 0;
        }
    }
}
