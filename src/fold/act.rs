//! How a signal acts on its session, and how a policy acts on all.

use std::sync::Arc;

use super::partition::Partition;
use super::population::Sought;
use super::record::{Facts, NONE, Will};
use super::sequence::Sequence;
use super::tell::raised;
use crate::model::{
    Address, Cause, Claim, EngineWhat, Event, Intent, Kind, Millis, Policy, Rejection, Signal, State, Visibility,
    policy::DURATION_MS_MAX,
};

/// A reported input moves the last one only by so much at least, in milliseconds: what is less is jitter.
const INPUT_JITTER_MS: Millis = 1_000;

/// What of a signal explains a transition.
#[derive(Default)]
struct Evidence {
    /// It said that there was input.
    reported_input: bool,
    /// It counted as input without saying so.
    assumed_input: bool,
    /// It came into sight.
    became_visible: bool,
}

impl Partition {
    /// Takes one signal: first the user is settled to now, then the signal acts.
    pub(crate) fn take(&mut self, address: Address<'_>, sought: &Sought, signal: &Signal, out: &mut Vec<Event>) {
        let mut session = self.people.find(address, sought);
        if self.somebody_may_be_due() {
            let user = match session {
                Some(at) => Some(self.people.cold[at].user),
                None => self.people.find_user(address.tenant, address.user),
            };
            if let Some(user) = user.filter(|user| self.next_instant(*user, self.time.w) <= self.time.w) {
                self.settle_user(user, self.time.w, out);
                session = self.people.find(address, sought);
            }
        }
        match (session, signal.kind) {
            (Some(at), _) if self.people.hot[at].state() == State::Offline => self.take_late(at, signal, out),
            (Some(at), _) => self.take_live(at, signal, out),
            (None, Kind::Heartbeat) => self.take_first(address, sought, signal, out),
            // Nothing but a heartbeat starts a session.
            (None, Kind::Update | Kind::Disconnect | Kind::Leave) => self.dropped += 1,
        }
    }

    fn take_first(&mut self, address: Address<'_>, sought: &Sought, signal: &Signal, out: &mut Vec<Event>) {
        if let Some(reason) = self.limit_reached(address) {
            let Address { tenant, user, session } = address;
            let subject = format!("presence.v1.log.{}.signal.{tenant}.{user}.{session}", self.number);
            self.reject(subject.into(), reason, out);
            return;
        }
        let at = self.people.add(address, sought);
        self.people.hot[at].set_profile(self.policy.default_index());
        self.in_sequence(at, Sequence::default(), signal);
        self.begin(at, signal, out);
    }

    fn limit_reached(&self, address: Address<'_>) -> Option<Rejection> {
        let limits = &self.policy.limits;
        let of_user = self.people.find_user(address.tenant, address.user);
        let of_user = of_user.map_or(0, |user| u32::from(self.people.users[user].sessions));
        let counts = [
            ("limits.sessions_per_user", of_user, limits.sessions_per_user),
            ("limits.sessions_per_tenant", self.people.sessions_of_tenant(address.tenant), limits.sessions_per_tenant),
            ("limits.sessions_per_partition", self.people.hot.len() as u32, limits.sessions_per_partition),
        ];
        let reached = counts.into_iter().find(|(_, count, max)| count >= max);
        reached.map(|(limit, _, max)| Rejection::Limit { limit, max: max.into() })
    }

    /// A heartbeat starts an incarnation.
    fn begin(&mut self, at: u32, signal: &Signal, out: &mut Vec<Event>) {
        let cold = &mut self.people.cold[at];
        cold.incarnation = raised(self.time.hi, cold.incarnation, self.forgotten);
        cold.ordinal = 0;
        self.people.hot[at].set_input(self.time.w);
        let evidence = self.beat(at, signal, true);
        self.conclude(at, signal, &evidence, out);
    }

    /// A signal of a session that is offline and still remembered.
    fn take_late(&mut self, at: u32, signal: &Signal, out: &mut Vec<Event>) {
        let known = self.people.sequence(at);
        if signal.kind != Kind::Heartbeat {
            if !self.is_of_another_connection(at, signal) && known.precedes(signal) {
                self.in_sequence(at, known, signal);
                if signal.kind == Kind::Leave {
                    let now = self.time.w;
                    self.people.facts_mut(at).leaving.get_or_insert(now);
                } else if signal.kind == Kind::Update && self.will(at, signal) {
                    let user = self.people.cold[at].user;
                    self.tell_user(user, Cause::Intent, self.time.hi, true, out);
                }
            } else {
                self.dropped += 1;
            }
            return;
        }
        if !self.revives(at, signal) {
            self.dropped += 1;
            return;
        }
        let inherits = signal.epoch.is_some() && signal.epoch == known.epoch;
        self.in_sequence(at, known, signal);
        self.reincarnate(at, inherits);
        self.begin(at, signal, out);
    }

    /// What the next incarnation keeps: with the same epoch its facts, otherwise nothing.
    fn reincarnate(&mut self, at: u32, inherits: bool) {
        if inherits {
            if self.people.hot[at].facts != NONE {
                let facts = self.people.facts_mut(at);
                (facts.closed, facts.leaving, facts.conn, facts.set_back) = (None, None, None, None);
            }
        } else {
            self.people.set_every_ms(at, 0);
            self.people.remove_facts(at);
            let hot = &mut self.people.hot[at];
            hot.set_visibility(Visibility::Visible);
            hot.set_reported(false);
            hot.set_profile(self.policy.default_index());
        }
    }

    fn take_live(&mut self, at: u32, signal: &Signal, out: &mut Vec<Event>) {
        let known = self.people.sequence(at);
        let counts = |fold: &mut Self| known.precedes(signal) || fold.was_set_back(at, known, signal);
        if self.is_of_another_connection(at, signal) || !counts(self) {
            self.dropped += 1;
            return;
        }
        self.in_sequence(at, known, signal);
        let now = self.time.w;
        if self.people.hot[at].plain() && signal.is_plain() {
            self.people.hot[at].renew(now);
            return;
        }
        let evidence = match signal.kind {
            Kind::Heartbeat => self.beat(at, signal, false),
            Kind::Update => {
                self.learn(at, signal);
                Evidence {
                    became_visible: signal.visibility.is_some_and(|visibility| self.see(at, visibility)),
                    ..Evidence::default()
                }
            }
            Kind::Disconnect => {
                self.people.facts_mut(at).closed.get_or_insert(now);
                Evidence::default()
            }
            Kind::Leave => {
                self.people.facts_mut(at).leaving.get_or_insert(now);
                Evidence::default()
            }
        };
        self.conclude(at, signal, &evidence, out);
    }

    /// Whether all that a plain heartbeat changes of a session is when it was last seen and its last input. Then its deadlines
    /// only move later, of which the wheel need not learn: the case of nearly all.
    fn is_plain(&self, at: u32) -> bool {
        let hot = &self.people.hot[at];
        let is_open = |facts: &Facts| facts.closed.is_none() && facts.leaving.is_none();
        let counts_as_input = hot.visibility() == Visibility::Visible && !hot.reported();
        hot.state() == State::Active && counts_as_input && self.people.facts_of(at).is_none_or(is_open)
    }

    /// A heartbeat: a life sign, and input unless something says otherwise.
    fn beat(&mut self, at: u32, signal: &Signal, first: bool) -> Evidence {
        let now = self.time.w;
        self.people.hot[at].set_seen(now);
        if self.people.facts_of(at).is_some_and(|facts| facts.closed.is_some() || facts.leaving.is_some()) {
            let facts = self.people.facts_mut(at);
            (facts.closed, facts.leaving) = (None, None);
        }
        self.learn(at, signal);
        let became_visible = self.look(at, signal);
        let idle_after = self.profile(at).idle_after;
        let hot = &mut self.people.hot[at];
        let reported = hot.reported();
        let mut evidence = Evidence { became_visible, ..Evidence::default() };
        match (signal.input_age_ms, signal.state) {
            (Some(age), _) => {
                let input = now.saturating_sub(age);
                if first || !reported || age == 0 || input >= hot.input() + INPUT_JITTER_MS {
                    evidence.reported_input = input > hot.input() || age == 0;
                    hot.set_input(input);
                }
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
        evidence
    }

    /// Where a heartbeat is seen: what it says, what its claim implies, and a thaw where it says nothing.
    fn look(&mut self, at: u32, signal: &Signal) -> bool {
        let known = self.people.hot[at].visibility();
        let visibility = match (signal.visibility, signal.state) {
            (Some(visibility), _) => visibility,
            (None, Some(Claim::Active | Claim::Idle)) => Visibility::Visible,
            (None, Some(Claim::Away)) => Visibility::Hidden,
            (None, None) if known == Visibility::Frozen => Visibility::Hidden,
            (None, None) => known,
        };
        let became_visible = self.see(at, visibility);
        if signal.state == Some(Claim::Away) && visibility != Visibility::Visible {
            let already = self.time.w.saturating_sub(self.profile(at).hidden_after);
            let facts = self.people.facts_mut(at);
            facts.out_of_sight = Some(facts.out_of_sight.map_or(already, |since| since.min(already)));
        }
        became_visible
    }

    /// Takes over a visibility; whether it came into sight.
    fn see(&mut self, at: u32, visibility: Visibility) -> bool {
        let known = self.people.hot[at].visibility();
        if visibility == Visibility::Visible && known == Visibility::Visible {
            return false;
        }
        self.people.hot[at].set_visibility(visibility);
        let now = self.time.w;
        let facts = self.people.facts_mut(at);
        match visibility {
            Visibility::Visible => facts.out_of_sight = None,
            Visibility::Hidden => {
                facts.out_of_sight.get_or_insert(now);
            }
            Visibility::Frozen => {
                facts.out_of_sight.get_or_insert(now);
                facts.frozen = now;
            }
        }
        visibility == Visibility::Visible
    }

    /// Takes over what a signal says about its session beside life, sight and input.
    fn learn(&mut self, at: u32, signal: &Signal) {
        if let Some(every_ms) = signal.every_ms {
            self.people.set_every_ms(at, every_ms);
        }
        if let Some(index) = signal.profile.as_ref().and_then(|name| self.policy.profile_index(name)) {
            self.people.hot[at].set_profile(index);
        }
        if let Some(conn) = &signal.conn {
            self.people.facts_mut(at).conn = Some(conn.clone());
        }
        if let Some(can) = &signal.can
            && can.iter().all(|name| self.policy.capabilities.contains(name))
        {
            self.people.facts_mut(at).can = can.clone();
        }
        if let Some(rooms) = &signal.rooms {
            self.people.facts_mut(at).rooms = rooms.clone();
        }
        if let Some(meta) = &signal.meta {
            self.people.facts_mut(at).meta = Some(meta.clone()).filter(|meta| **meta != *"{}");
        }
    }

    /// Takes over the person's intent if it is another than this session said last; whether the user's changed.
    fn will(&mut self, at: u32, signal: &Signal) -> bool {
        let Some(intent) = signal.intent else { return false };
        if self.people.facts_of(at).and_then(|facts| facts.said) == Some(intent) {
            return false;
        }
        self.people.facts_mut(at).said = Some(intent);
        let user = self.people.cold[at].user;
        let until = signal.intent_for_ms.map(|lasts| self.time.w + lasts.min(DURATION_MS_MAX));
        let new = Will { intent, until };
        let known = self.people.users[user].will;
        let before = if known == NONE { Will::default() } else { self.people.wills[known] };
        if known != NONE {
            self.people.wills.remove(known);
            self.people.users[user].will = NONE;
        }
        if intent != Intent::Open {
            self.people.users[user].will = self.people.wills.insert(new);
            self.arm_will(user);
        }
        let until = if intent == Intent::Open { None } else { until };
        (before.intent, before.until) != (intent, until)
    }

    /// Draws the conclusion from a signal: the session's state, the user's, and the wheel.
    fn conclude(&mut self, at: u32, signal: &Signal, evidence: &Evidence, out: &mut Vec<Event>) {
        let deadlines = self.people.life(at).deadlines(self.profile(at));
        let from = self.people.hot[at].state();
        let (to, why) = deadlines.state_at(self.time.w);
        let mut cause = Cause::Intent;
        if to != from {
            cause = explain(signal, evidence, from, to, why);
            self.turn(at, to, cause, (self.time.hi, self.time.w), out);
        }
        let willed = matches!(signal.kind, Kind::Heartbeat | Kind::Update) && self.will(at, signal);
        if to != from || willed {
            self.tell_user(self.people.cold[at].user, cause, self.time.hi, willed, out);
        }
        let plain = self.is_plain(at);
        self.people.hot[at].set_plain(plain);
        match to {
            State::Offline => self.arm(at),
            State::Active | State::Idle | State::Away | State::Stale => self.arm_by(at, deadlines.next_below(to)),
        }
    }

    fn profile(&self, at: u32) -> &crate::model::Profile {
        &self.policy.profiles[self.people.hot[at].profile()].1
    }

    /// Another policy comes into force: what was due is settled by the old one, then every state is taken anew.
    pub(crate) fn adopt(&mut self, policy: &Arc<Policy>, out: &mut Vec<Event>) {
        if *self.policy == **policy {
            return;
        }
        self.settle(self.time.w, out);
        let old = std::mem::replace(&mut self.policy, Arc::clone(policy));
        self.tell_engine(EngineWhat::Policy, self.time.hi, self.time.hi, out);
        for user in self.people.users_in_order() {
            for at in self.people.sessions_in_order(user) {
                let name = &old.profiles[self.people.hot[at].profile()].0;
                let index = self.policy.profile_index(name).unwrap_or_else(|| self.policy.default_index());
                self.people.hot[at].set_profile(index);
                let from = self.people.hot[at].state();
                let (to, _) = self.people.life(at).deadlines(self.profile(at)).state_at(self.time.w);
                if from != State::Offline && to != from {
                    self.turn(at, to, Cause::Policy, (self.time.hi, self.time.w), out);
                }
                self.arm(at);
            }
            self.tell_user(user, Cause::Policy, self.time.hi, false, out);
            // Who would be forgotten by now is forgotten now: the wheel has passed its step.
            self.settle_user(user, self.time.w, out);
        }
    }
}

/// Why a signal changed the state: up by what it said, down by what it claimed or by the deadline it brought about.
fn explain(signal: &Signal, evidence: &Evidence, from: State, to: State, why: Cause) -> Cause {
    if from == State::Offline {
        Cause::Joined
    } else if to > from {
        match why {
            Cause::Frozen | Cause::Left | Cause::Disconnected => why,
            Cause::Hidden if signal.state.is_none() || signal.kind == Kind::Update => why,
            _ => Cause::Claimed,
        }
    } else if from == State::Stale && signal.kind == Kind::Heartbeat {
        Cause::Resumed
    } else if evidence.reported_input {
        Cause::Input
    } else if evidence.became_visible {
        Cause::Visible
    } else if evidence.assumed_input {
        Cause::Input
    } else if why == Cause::Frozen {
        Cause::Frozen
    } else {
        Cause::Claimed
    }
}
