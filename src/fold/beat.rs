//! What a heartbeat changes of its session: life, input, sight, facts.

use super::act::Evidence;
use super::partition::Partition;
use super::record::{Facts, Shown};
use crate::model::{Claim, Kind, Millis, Signal, State, Visibility};

/// A reported input moves the last one only by so much at least, in milliseconds: what is less is jitter.
const INPUT_JITTER_MS: Millis = 1_000;

impl Partition {
    /// A heartbeat: a life sign, and input unless something says otherwise; as of an instant of the session's own time.
    pub(crate) fn beat(&mut self, at: u32, signal: &Signal, now: Millis, first: bool) -> Evidence {
        let (before, seen) = (self.people.hot[at].input(), self.people.hot[at].seen());
        self.people.hot[at].set_seen(seen.max(now));
        if self.people.facts_of(at).is_some_and(Facts::is_closed) {
            let facts = self.people.facts_mut(at);
            (facts.closed, facts.leaving) = (None, None);
        }
        self.learn(at, signal);
        let became_visible = self.look_out(at, signal, now);
        let profile = self.profile_of(at);
        let level = self.people.facts_of(at).map_or(0, |facts| facts.level);
        let idle_after = profile.idle_after + Millis::from(level) * profile.anti_flap;
        let hot = &mut self.people.hot[at];
        let reported = hot.reported();
        let mut evidence = Evidence { became_visible, ..Evidence::default() };
        match (signal.input_age_ms, signal.state) {
            (Some(age), _) => {
                let input = now.saturating_sub(age);
                if first || !reported || age == 0 || input >= hot.input() + INPUT_JITTER_MS {
                    hot.set_input(input);
                }
                evidence.reported_input = age == 0 || hot.input() > before;
            }
            (None, Some(Claim::Active)) => {
                evidence.reported_input = true;
                hot.set_input(now);
            }
            (None, Some(Claim::Idle)) => hot.set_input(hot.input().min(now.saturating_sub(idle_after))),
            (None, Some(Claim::Away)) => {}
            (None, None) => {
                if first || !reported && hot.visibility() == Visibility::Visible {
                    evidence.assumed_input = true;
                    hot.set_input(now);
                }
            }
        }
        hot.set_reported(reported || signal.input_age_ms.is_some() || signal.state.is_some());
        if now < seen && !first {
            // It was held for longer than another that was heard before it.
            hot.set_input(hot.input().max(before));
        }
        evidence
    }

    /// Where a heartbeat is seen: what it says, what its claim implies, and a thaw where it says nothing.
    fn look_out(&mut self, at: u32, signal: &Signal, now: Millis) -> bool {
        let known = self.people.hot[at].visibility();
        let visibility = match (signal.visibility, signal.state) {
            (Some(visibility), _) => visibility,
            (None, Some(Claim::Active | Claim::Idle)) => Visibility::Visible,
            (None, Some(Claim::Away)) => Visibility::Hidden,
            (None, None) if known == Visibility::Frozen => Visibility::Hidden,
            (None, None) => known,
        };
        let became_visible = self.see(at, visibility, now);
        if signal.state == Some(Claim::Away) && visibility != Visibility::Visible {
            let already = now.saturating_sub(self.profile_of(at).hidden_after);
            let known = self.people.facts_of(at).and_then(|facts| facts.out_of_sight);
            if known.is_none_or(|since| already < since) {
                self.people.facts_mut(at).out_of_sight = Some(already);
            }
        }
        became_visible
    }

    /// Takes over a visibility; whether it came into sight.
    pub(crate) fn see(&mut self, at: u32, visibility: Visibility, now: Millis) -> bool {
        let known = self.people.hot[at].visibility();
        if visibility == Visibility::Visible && known == Visibility::Visible {
            return false;
        }
        self.people.hot[at].set_visibility(visibility);
        if (known, visibility) == (Visibility::Hidden, Visibility::Hidden) {
            // It is out of sight since it was hidden.
            return false;
        }
        let facts = self.people.facts_mut(at);
        match visibility {
            Visibility::Visible => facts.out_of_sight = None,
            Visibility::Hidden => {
                facts.out_of_sight.get_or_insert(now);
            }
            Visibility::Frozen => {
                facts.out_of_sight.get_or_insert(now);
                facts.frozen = facts.frozen.max(now);
            }
        }
        visibility == Visibility::Visible
    }

    /// Takes over what a signal says about its session beside life, sight and input.
    pub(crate) fn learn(&mut self, at: u32, signal: &Signal) {
        if let Some(every_ms) = signal.every_ms {
            self.people.set_every_ms(at, every_ms);
        }
        if let Some(index) = signal.profile.as_ref().and_then(|name| self.policy.profile_index(name)) {
            self.people.hot[at].set_profile(index);
            self.people.hot[at].set_named(true);
        }
        // Many say the same with each heartbeat, which changes nothing.
        if signal.conn.is_some() && self.people.facts_of(at).is_none_or(|known| known.conn != signal.conn) {
            self.people.facts_mut(at).conn.clone_from(&signal.conn);
        }
        if let Some(can) = &signal.can
            && self.people.facts_of(at).is_none_or(|known| known.can != *can)
            && can.iter().all(|name| self.policy.capabilities.contains(name))
        {
            self.people.facts_mut(at).can.clone_from(can);
        }
        if let Some(rooms) = &signal.rooms
            && self.people.facts_of(at).is_none_or(|known| known.rooms != *rooms)
        {
            self.people.facts_mut(at).rooms.clone_from(rooms);
        }
        if let Some(meta) = &signal.meta {
            let meta = Some(meta).filter(|meta| ***meta != *"{}");
            if self.people.facts_of(at).and_then(|known| known.meta.as_ref()) != meta {
                let meta = meta.cloned();
                self.people.facts_mut(at).meta = meta;
            }
        }
    }

    /// A return to active soon after it was left stretches the next stay, up to three times as much.
    pub(crate) fn flap(&mut self, at: u32) {
        let state = self.people.hot[at].state();
        let now = self.own(at, self.time.w);
        let anti_flap = self.profile_of(at).anti_flap;
        let facts = self.people.facts_of(at);
        let is_flat = facts.is_none_or(|facts| facts.level == 0 && facts.left_active.is_none());
        let is_up = || self.deadlines_of(at).state_at(now).0 == State::Active;
        if is_flat || matches!(state, State::Active | State::Offline) || !is_up() {
            return;
        }
        let facts = self.people.facts_mut(at);
        let is_soon = facts.left_active.is_some_and(|left| now.saturating_sub(left) <= anti_flap);
        if state != State::Stale && anti_flap > 0 && is_soon {
            (facts.level, facts.raised) = ((facts.level + 1).min(3), now);
        } else {
            facts.level = 0;
        }
    }

    /// Whether a signal may change a fact whose change is told.
    pub(crate) fn may_show(&self, at: u32, signal: &Signal) -> bool {
        let is_known = self.people.hot[at].visibility() == Visibility::Visible
            && self.people.facts_of(at).is_none_or(|facts| !facts.is_closed() && facts.told.is_none());
        let says = signal.visibility.is_some_and(|visibility| visibility != Visibility::Visible)
            || signal.state == Some(Claim::Away)
            || signal.can.is_some()
            || signal.rooms.is_some()
            || signal.meta.is_some();
        !is_known || says || matches!(signal.kind, Kind::Disconnect | Kind::Leave)
    }

    /// Keeps what was told of the facts where it isn't what they are: `before` the signal they were that, if nothing is kept.
    pub(crate) fn note_told(&mut self, at: u32, before: Shown) {
        let now = self.people.shown(at);
        let kept = self.people.facts_of(at).and_then(|facts| facts.told.as_deref());
        let told = kept.unwrap_or(&before);
        let next = (*told != now).then_some(told);
        if next != kept {
            let next = next.cloned().map(Box::new);
            self.people.facts_mut(at).told = next;
        }
    }
}
