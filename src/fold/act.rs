//! How a signal acts on its session: the first, a late one, one of a session that lives.

use super::gateway::Excuse;
use super::look::{Heard, When, Why};
use super::partition::Partition;
use super::record::NONE;
use super::sequence::Sequence;
use super::sought::Sought;
use super::tell::raised;
use crate::model::{Address, Event, Kind, Millis, Rejection, Signal, State, Visibility};

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

/// What was known of a session before a signal acted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Before {
    /// Whether its confidence was enough to be ready.
    pub(crate) was_sure: bool,
    /// Its last life sign and its last input, as observed instants.
    pub(crate) seen: Millis,
    pub(crate) input: Millis,
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
                None => self.people.find_user_by(address.of_user()),
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
            let subject = format!("presence.v1.log.{}.signal.{}", self.number, address.as_str());
            self.reject(subject.into(), reason, out);
            return;
        }
        let is_known = self.people.find_user_by(address.of_user()).is_some();
        let at = self.people.add(address, sought);
        if !is_known {
            // It may be one who was forgotten: its incarnations rise above all that were.
            self.people.user_mut(self.people.cold[at].user).incarnation = self.forgotten.into();
        }
        self.people.hot[at].set_profile(self.policy.default_index());
        self.in_sequence(at, Sequence::default(), signal);
        if signal.kind == Kind::Heartbeat {
            self.begin(at, signal, held, out);
        } else {
            // A voice: nothing lives, but what it says counts.
            self.people.hot[at].set_voice(true);
            self.people.cold_mut(at).told_w = self.time.w.into();
            self.speak(at, signal, held, out);
        }
    }

    fn limit_reached(&self, address: Address<'_>) -> Option<Rejection> {
        let limits = &self.policy.limits;
        let user = self.people.find_user_by(address.of_user());
        let of_user = user.map_or(0, |user| u32::from(self.people.users[user].sessions));
        // Who has only an intent counts as one session, until it has one.
        let alone = u32::from(user.is_some_and(|user| self.people.is_alone(user)));
        let (of_tenant, of_all) = (self.people.sessions_of_tenant(address.tenant()), self.people.sessions_counted());
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
        let before = Before { was_sure: false, ..self.before(at) };
        let cold = self.people.cold_mut(at);
        cold.incarnation = raised(self.time.hi, cold.incarnation.get(), self.forgotten).into();
        (cold.ordinal, cold.band) = (0, 0);
        let hot = &mut self.people.hot[at];
        hot.set_voice(false);
        hot.set_seen(began);
        hot.set_input(began);
        self.excuse_by(at, held.excuse, self.time.w);
        let evidence = self.beat(at, signal, began, true);
        self.conclude(at, signal, Evidence { joined: true, ..evidence }, (held, before), out);
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
                Kind::Update if self.people.hot[at].is_voice() => self.people.cold_mut(at).told_w = now.into(),
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
        let is_excused_as_before = self.people.excuse(at) == held.excuse;
        if self.people.hot[at].plain() && is_excused_as_before && held.age == 0 && signal.plain().is_some() {
            self.people.hot[at].renew(self.time.w);
            return;
        }
        let before = self.before(at);
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
        self.conclude(at, signal, evidence, (held, before), out);
    }

    /// Draws the conclusion from a signal.
    fn conclude(
        &mut self,
        at: u32,
        signal: &Signal,
        evidence: Evidence,
        (held, before): (Held, Before),
        out: &mut Vec<Event>,
    ) {
        self.will(at, signal, held);
        self.flap(at);
        self.look_after(self.people.cold[at].user, Heard { session: at, signal, evidence, before }, out);
    }

    /// What is known of a session before a signal acts.
    pub(crate) fn before(&self, at: u32) -> Before {
        let (hot, excused) = (&self.people.hot[at], self.excused(at, self.time.w));
        Before { was_sure: self.is_sure(at, self.time.w), seen: hot.seen() + excused, input: hot.input() + excused }
    }

    /// Looks at a user after a signal, and arms what it changed.
    pub(crate) fn look_after(&mut self, user: u32, heard: Heard<'_>, out: &mut Vec<Event>) {
        let when = When { at: self.time.hi, instant: self.time.w };
        self.look(user, when, Why::Signal(&heard), out);
        self.arm_user(user);
    }
}
