//! How a signal acts on its session, and how a policy acts on all.

use std::sync::Arc;

use super::entry::BatchItem;
use super::gateway::Excuse;
use super::look::{Heard, When, Why};
use super::partition::Partition;
use super::population::Sought;
use super::record::{NONE, Shown};
use super::sequence::Sequence;
use super::tell::raised;
use crate::model::{
    Address, Claim, EngineWhat, Event, Intent, Kind, Millis, Policy, Rejection, Signal, State, Token, Visibility,
    policy::DURATION_MS_MAX,
};

/// A reported input moves the last one only by so much at least, in milliseconds: what is less is jitter.
const INPUT_JITTER_MS: Millis = 1_000;

/// What of a signal explains a transition.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// It began an incarnation.
    pub(crate) joined: bool,
    /// It said that there was input.
    pub(crate) reported_input: bool,
    /// It counted as input without saying so.
    pub(crate) assumed_input: bool,
    /// It came into sight.
    pub(crate) became_visible: bool,
}

/// How a signal came.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// For how long a gateway held it.
    pub(crate) age: Millis,
    /// How that gateway excuses the session.
    pub(crate) excuse: Option<Excuse>,
}

impl Partition {
    /// Takes one signal: first the user is settled to now, then the signal acts.
    pub(crate) fn take(&mut self, from: (Address<'_>, &Sought), signal: &Signal, held: Held, out: &mut Vec<Event>) {
        let (address, sought) = from;
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
            (Some(at), _) if self.people.hot[at].state() == State::Offline => self.take_late(at, signal, held, out),
            (Some(at), _) => self.take_live(at, signal, held, out),
            (None, Kind::Heartbeat) => self.take_first(from, signal, held, out),
            (None, Kind::Update) if signal.intent.is_some() => self.take_first(from, signal, held, out),
            // Nothing but a heartbeat starts a session.
            (None, Kind::Update | Kind::Disconnect | Kind::Leave) => self.dropped += 1,
        }
    }

    fn take_first(&mut self, from: (Address<'_>, &Sought), signal: &Signal, held: Held, out: &mut Vec<Event>) {
        let (address, sought) = from;
        if let Some(reason) = self.limit_reached(address) {
            let Address { tenant, user, session } = address;
            let subject = format!("presence.v1.log.{}.signal.{tenant}.{user}.{session}", self.number);
            self.reject(subject.into(), reason, out);
            return;
        }
        let at = self.people.add(address, sought);
        self.people.hot[at].set_profile(self.policy.default_index());
        self.in_sequence(at, Sequence::default(), signal);
        if signal.kind == Kind::Heartbeat {
            self.begin(at, signal, held, out);
        } else {
            // A voice: nothing lives, but what it says counts.
            self.people.hot[at].set_voice(true);
            self.people.cold[at].told_w = self.time.w;
            self.speak(at, signal, held, out);
        }
    }

    fn limit_reached(&self, address: Address<'_>) -> Option<Rejection> {
        let limits = &self.policy.limits;
        let user = self.people.find_user(address.tenant, address.user);
        let of_user = user.map_or(0, |user| u32::from(self.people.users[user].sessions));
        // Who has only an intent counts as one session, until it has one.
        let alone = u32::from(user.is_some_and(|user| self.people.is_alone(user)));
        let (of_tenant, of_all) = (self.people.sessions_of_tenant(address.tenant), self.people.sessions_counted());
        let counts = [
            ("limits.sessions_per_user", of_user, limits.sessions_per_user),
            ("limits.sessions_per_tenant", of_tenant - alone, limits.sessions_per_tenant),
            ("limits.sessions_per_partition", of_all - alone, limits.sessions_per_partition),
        ];
        let reached = counts.into_iter().find(|(_, count, max)| count >= max);
        reached.map(|(limit, _, max)| Rejection::Limit { limit, max: max.into() })
    }

    /// A heartbeat starts an incarnation.
    fn begin(&mut self, at: u32, signal: &Signal, held: Held, out: &mut Vec<Event>) {
        let began = self.time.w.saturating_sub(held.age);
        let cold = &mut self.people.cold[at];
        cold.incarnation = raised(self.time.hi, cold.incarnation, self.forgotten);
        (cold.ordinal, cold.band) = (0, 0);
        let hot = &mut self.people.hot[at];
        hot.set_voice(false);
        hot.set_seen(began);
        hot.set_input(began);
        self.excuse_by(at, held.excuse, self.time.w);
        let evidence = self.beat(at, signal, began, true);
        self.conclude(at, signal, Evidence { joined: true, ..evidence }, (held, false), out);
    }

    /// A signal of a session that is offline and still remembered.
    fn take_late(&mut self, at: u32, signal: &Signal, held: Held, out: &mut Vec<Event>) {
        let known = self.people.sequence(at);
        if signal.kind != Kind::Heartbeat {
            if self.is_of_another_connection(at, signal) || !known.precedes(signal) {
                self.dropped += 1;
                return;
            }
            self.in_sequence(at, known, signal);
            let now = self.time.w;
            match signal.kind {
                Kind::Leave => {
                    self.people.facts_mut(at).leaving.get_or_insert(now);
                }
                Kind::Update if self.people.hot[at].is_voice() => self.people.cold[at].told_w = now,
                Kind::Heartbeat | Kind::Update | Kind::Disconnect => {}
            }
            self.speak(at, signal, held, out);
            return;
        }
        if !self.revives(at, signal) {
            self.dropped += 1;
            return;
        }
        let inherits = signal.epoch.is_some() && signal.epoch == known.epoch;
        self.in_sequence(at, known, signal);
        self.reincarnate(at, inherits);
        self.begin(at, signal, held, out);
    }

    /// What somebody says who isn't there: only the person's intent counts.
    fn speak(&mut self, at: u32, signal: &Signal, held: Held, out: &mut Vec<Event>) {
        let user = self.people.cold[at].user;
        self.will(at, signal, held);
        if signal.kind == Kind::Update && self.people.intent(user).0 != Intent::Open {
            let now = self.time.w;
            self.people.person_mut(user).kept = now;
        }
        let (evidence, was_sure) = (Evidence::default(), false);
        self.look_after(user, Heard { session: at, signal, evidence, was_sure }, out);
    }

    /// What the next incarnation keeps: with the same epoch its facts, otherwise nothing.
    fn reincarnate(&mut self, at: u32, inherits: bool) {
        if inherits {
            if self.people.hot[at].facts != NONE {
                let facts = self.people.facts_mut(at);
                (facts.closed, facts.leaving, facts.conn, facts.set_back) = (None, None, None, None);
                (facts.left_active, facts.level, facts.raised, facts.frozen) = (None, 0, 0, 0);
            }
        } else {
            self.people.set_every_ms(at, 0);
            self.people.remove_facts(at);
            let hot = &mut self.people.hot[at];
            hot.set_visibility(Visibility::Visible);
            hot.set_reported(false);
            hot.set_named(false);
            hot.set_profile(self.policy.default_index());
        }
    }

    fn take_live(&mut self, at: u32, signal: &Signal, held: Held, out: &mut Vec<Event>) {
        let known = self.people.sequence(at);
        let counts = |fold: &mut Self| known.precedes(signal) || fold.was_set_back(at, known, signal);
        if self.is_of_another_connection(at, signal) || !counts(self) {
            self.dropped += 1;
            return;
        }
        self.in_sequence(at, known, signal);
        if self.people.hot[at].plain() && held.excuse.is_none() && held.age == 0 && signal.is_plain() {
            self.people.hot[at].renew(self.time.w);
            return;
        }
        let was_sure = self.is_sure(at, self.time.w);
        let shown = self.may_show(at, signal).then(|| self.people.shown(at));
        if signal.kind == Kind::Heartbeat {
            self.excuse_by(at, held.excuse, self.time.w);
        }
        let now = self.own(at, self.time.w).saturating_sub(held.age);
        let evidence = match signal.kind {
            Kind::Heartbeat => self.beat(at, signal, now, false),
            Kind::Update => {
                self.learn(at, signal);
                Evidence {
                    became_visible: signal.visibility.is_some_and(|visibility| self.see(at, visibility, now)),
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
        if let Some(shown) = shown {
            self.note_told(at, shown);
        }
        self.conclude(at, signal, evidence, (held, was_sure), out);
    }

    /// Whether a signal may change a fact whose change is told.
    fn may_show(&self, at: u32, signal: &Signal) -> bool {
        let is_known = self.people.hot[at].visibility() == Visibility::Visible
            && self
                .people
                .facts_of(at)
                .is_none_or(|facts| facts.closed.is_none() && facts.leaving.is_none() && facts.told.is_none());
        let says = signal.visibility.is_some_and(|visibility| visibility != Visibility::Visible)
            || signal.state == Some(Claim::Away)
            || signal.can.is_some()
            || signal.rooms.is_some()
            || signal.meta.is_some();
        !is_known || says || matches!(signal.kind, Kind::Disconnect | Kind::Leave)
    }

    /// Keeps what was told of the facts where it isn't what they are: `before` the signal they were that, if nothing is kept.
    fn note_told(&mut self, at: u32, before: Shown) {
        let now = self.people.shown(at);
        let told = self.people.facts_of_mut(at).and_then(|facts| facts.told.take()).map_or(before, |told| *told);
        if told != now {
            self.people.facts_mut(at).told = Some(Box::new(told));
        }
    }

    /// An excuse ends at an observed instant with another, or with none: what was excused stays so, by moving every instant.
    pub(crate) fn excuse_by(&mut self, at: u32, excuse: Option<Excuse>, instant: Millis) {
        if excuse.is_none() && self.people.facts_of(at).is_none_or(|facts| facts.excuse.is_none()) {
            return;
        }
        let by = self.excused(at, instant);
        let hot = &mut self.people.hot[at];
        hot.set_seen(hot.seen() + by);
        hot.set_input(hot.input() + by);
        let facts = self.people.facts_mut(at);
        let kept = [&mut facts.closed, &mut facts.leaving, &mut facts.left_active, &mut facts.out_of_sight];
        kept.into_iter().flatten().chain([&mut facts.frozen, &mut facts.raised]).for_each(|at| *at += by);
        facts.excuse = excuse;
    }

    /// A heartbeat: a life sign, and input unless something says otherwise; as of an instant of the session's own time.
    fn beat(&mut self, at: u32, signal: &Signal, now: Millis, first: bool) -> Evidence {
        let (before, seen) = (self.people.hot[at].input(), self.people.hot[at].seen());
        self.people.hot[at].set_seen(seen.max(now));
        if let Some(facts) = self.people.facts_of_mut(at) {
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
            let facts = self.people.facts_mut(at);
            facts.out_of_sight = Some(facts.out_of_sight.map_or(already, |since| since.min(already)));
        }
        became_visible
    }

    /// Takes over a visibility; whether it came into sight.
    fn see(&mut self, at: u32, visibility: Visibility, now: Millis) -> bool {
        let known = self.people.hot[at].visibility();
        if visibility == Visibility::Visible && known == Visibility::Visible {
            return false;
        }
        self.people.hot[at].set_visibility(visibility);
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
    fn learn(&mut self, at: u32, signal: &Signal) {
        if let Some(every_ms) = signal.every_ms {
            self.people.set_every_ms(at, every_ms);
        }
        if let Some(index) = signal.profile.as_ref().and_then(|name| self.policy.profile_index(name)) {
            self.people.hot[at].set_profile(index);
            self.people.hot[at].set_named(true);
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

    /// Takes over the person's intent if it is another than this session said last.
    fn will(&mut self, at: u32, signal: &Signal, held: Held) {
        let Some(intent) = signal.intent.filter(|_| matches!(signal.kind, Kind::Heartbeat | Kind::Update)) else {
            return;
        };
        if self.people.facts_of(at).and_then(|facts| facts.said) == Some(intent) {
            return;
        }
        self.people.facts_mut(at).said = Some(intent);
        let user = self.people.cold[at].user;
        if intent == Intent::Open && self.people.users[user].person == NONE {
            return;
        }
        let said = self.time.w.saturating_sub(held.age);
        let until = signal.intent_for_ms.map(|lasts| said + lasts.min(DURATION_MS_MAX));
        let person = self.people.person_mut(user);
        (person.intent, person.until) = (intent, until.filter(|_| intent != Intent::Open));
    }

    /// Draws the conclusion from a signal.
    fn conclude(
        &mut self,
        at: u32,
        signal: &Signal,
        evidence: Evidence,
        (held, was_sure): (Held, bool),
        out: &mut Vec<Event>,
    ) {
        self.will(at, signal, held);
        self.flap(at);
        self.look_after(self.people.cold[at].user, Heard { session: at, signal, evidence, was_sure }, out);
    }

    /// Looks at a user after a signal, and arms what it changed.
    fn look_after(&mut self, user: u32, heard: Heard<'_>, out: &mut Vec<Event>) {
        let when = When { at: self.time.hi, instant: self.time.w };
        self.look(user, when, Why::Signal(&heard), out);
        self.arm_user(user);
    }

    /// A return to active soon after it was left stretches the next stay, up to three times as much.
    fn flap(&mut self, at: u32) {
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

    /// Takes what a gateway held. Any batch is its life sign, and ends what its silence excuses.
    pub(crate) fn unpack(&mut self, gateway: (Token<'_>, Token<'_>), items: &[BatchItem<'_>], out: &mut Vec<Event>) {
        let (tenant, name) = gateway;
        if self.gateways.is_silent(tenant, name, self.time.w) {
            self.settle(self.time.w, out);
        }
        let excuse = self.gateways.hear(tenant, name, self.time.w, &self.policy);
        for item in items {
            match item {
                BatchItem::Signal(address, signal, age) => {
                    let held = Held { age: (*age).min(self.policy.limits.batch_age), excuse };
                    self.take((*address, &self.people.sought(*address)), signal, held, out);
                }
                BatchItem::Rejected(reason) => {
                    let subject = format!("presence.v1.log.{}.batch.{tenant}.{name}", self.number);
                    self.reject(subject.into(), reason.clone(), out);
                }
            }
        }
    }

    /// Another policy comes into force: what was due is settled by the old one, then everybody is looked at anew.
    pub(crate) fn adopt(&mut self, policy: &Arc<Policy>, out: &mut Vec<Event>) {
        if *self.policy == **policy {
            return;
        }
        self.settle(self.time.w, out);
        self.gateways.rule(self.time.w, policy);
        let old = std::mem::replace(&mut self.policy, Arc::clone(policy));
        self.tell_engine(EngineWhat::Policy, self.time.hi, self.time.hi, out);
        for user in self.people.users_in_order() {
            for at in self.people.sessions_in_order(user) {
                let hot = &mut self.people.hot[at];
                let named = Some(&old.profiles[hot.profile()].0).filter(|_| hot.named());
                let index = named.and_then(|name| self.policy.profile_index(name));
                hot.set_named(index.is_some());
                hot.set_profile(index.unwrap_or_else(|| self.policy.default_index()));
            }
            self.look(user, When { at: self.time.hi, instant: self.time.w }, Why::Policy, out);
            // Who would be forgotten by now is forgotten now: the wheel has passed its step.
            if self.forget(user, self.time.w) {
                self.arm_user(user);
            }
        }
    }
}
