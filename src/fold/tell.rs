//! What is told: events, their ordinals, incarnations and order.

use std::cmp::Ordering;

use super::partition::Partition;
use super::record::NONE;
use crate::model::{
    Cause, EngineEvent, EngineWhat, Event, EventBody, Intent, Millis, RejectedEvent, Rejection, SessionEvent, State,
    Transport, UserEvent,
};

impl Partition {
    /// Turns a session to another state, at a log time and an observed instant, and tells it.
    pub(crate) fn turn(&mut self, at: u32, to: State, cause: Cause, when: (Millis, Millis), out: &mut Vec<Event>) {
        let (at_ms, instant) = when;
        let from = self.people.hot[at].state();
        self.people.hot[at].set_state(to);
        self.people.hot[at].set_plain(false);
        let cold = &mut self.people.cold[at];
        cold.ordinal += 1;
        cold.told_at = cold.told_at.max(at_ms);
        if to == State::Offline {
            cold.ended = instant;
        }
        if self.policy.session_events {
            let told_at = cold.told_at;
            let event = self.session_event(at, from, cause, instant);
            self.tell(told_at, EventBody::Session(Box::new(event)), out);
        }
    }

    fn session_event(&self, at: u32, from: State, cause: Cause, instant: Millis) -> SessionEvent {
        let (hot, cold) = (&self.people.hot[at], &self.people.cold[at]);
        let facts = self.people.facts_of(at).cloned().unwrap_or_default();
        let left = hot.state() == State::Offline && cause == Cause::Left;
        let closed = left || facts.closed.is_some() || facts.leaving.is_some();
        SessionEvent {
            tenant: self.people.tenant_name(cold.user).into(),
            user: self.people.user_name(cold.user).into(),
            session: self.people.session_name(at).into(),
            incarnation: cold.incarnation,
            ordinal: cold.ordinal,
            cause,
            from,
            to: hot.state(),
            last_seen_ms: self.time.told(hot.seen()),
            last_input_ms: self.time.told(hot.input()),
            transport: if closed { Transport::Closed } else { Transport::Open },
            visibility: hot.visibility(),
            can: facts.can,
            rooms: facts.rooms,
            meta: facts.meta,
            profile: self.policy.profiles[hot.profile()].0.clone(),
            every_ms: self.people.every_ms(at),
            epoch: self.people.epoch(at),
            seq_client: hot.seq(),
            conn: facts.conn,
            confidence: self.certainty(at, instant),
            next: self.next_of(at),
        }
    }

    /// Derives a user's state from its sessions and tells it if it changed, or if its intent did; at a log time and an observed
    /// instant.
    pub(crate) fn tell_user(
        &mut self,
        at: u32,
        cause: Cause,
        when: (Millis, Millis),
        intent_changed: bool,
        out: &mut Vec<Event>,
    ) {
        let (at_ms, instant) = when;
        let mut counts = [0_u32; 5];
        for session in self.people.sessions_of(at) {
            counts[self.people.hot[session].state() as usize] += 1;
        }
        let to = State::ALL.into_iter().find(|state| counts[*state as usize] > 0).unwrap_or(State::Offline);
        let from = self.people.users[at].state;
        if to == from && !(intent_changed && to != State::Offline) {
            return;
        }
        let user = &mut self.people.users[at];
        if from == State::Offline {
            user.incarnation = raised(self.time.hi, user.incarnation, self.forgotten);
            user.ordinal = 0;
        }
        user.state = to;
        user.ordinal += 1;
        user.told_at = user.told_at.max(at_ms);
        let user = *user;
        // An offline user's event says nothing of the person.
        let (intent, until) = match user.will {
            _ if to == State::Offline => (Intent::Open, None),
            NONE => (Intent::Open, None),
            will => (self.people.wills[will].intent, self.people.wills[will].until),
        };
        let event = UserEvent {
            tenant: self.people.tenant_name(at).into(),
            user: self.people.user_name(at).into(),
            incarnation: user.incarnation,
            ordinal: user.ordinal,
            cause,
            from,
            to,
            sessions: [counts[0], counts[1], counts[2], counts[3]],
            intent,
            intent_until_ms: until.map(|until| self.time.expected(until)),
            last_seen_ms: self.time.told(self.people.latest(at, super::record::Hot::seen)),
            last_input_ms: self.time.told(self.people.latest(at, super::record::Hot::input)),
            ready: Box::default(),
            confidence: self.user_certainty(at, instant),
            next: self.next_of_user(at),
        };
        self.tell(user.told_at, EventBody::User(Box::new(event)), out);
    }

    pub(crate) fn tell_engine(&self, what: EngineWhat, from_ms: Millis, to_ms: Millis, out: &mut Vec<Event>) {
        self.tell(self.time.hi, EventBody::Engine(EngineEvent { what, from_ms, to_ms }), out);
    }

    /// Tells that a signal was refused, up to the limit of a log second.
    pub(crate) fn reject(&mut self, subject: Box<str>, reason: Rejection, out: &mut Vec<Event>) {
        let second = self.time.hi / 1_000;
        if self.rejected.0 != second {
            self.rejected = (second, 0);
        }
        if self.rejected.1 < self.policy.limits.rejected_events {
            self.rejected.1 += 1;
            self.tell(self.time.hi, EventBody::Rejected(Box::new(RejectedEvent { subject, reason })), out);
        }
    }

    fn tell(&self, at_ms: Millis, body: EventBody, out: &mut Vec<Event>) {
        out.push(Event { at_ms, partition: self.number, generation: self.generation, seq: self.seq, k: 0, body });
    }
}

/// An incarnation's number: the log time, raised above its predecessor's, which may be forgotten.
pub(crate) fn raised(hi: Millis, before: u64, forgotten: u64) -> u64 {
    let before = if before == 0 { forgotten } else { before };
    hi.max(before + 1)
}

/// Puts one entry's events in their order and numbers them.
pub(crate) fn put_in_order(events: &mut [Event]) {
    if events.len() > 1 {
        events.sort_by(|a, b| a.at_ms.cmp(&b.at_ms).then_with(|| compare(&a.body, &b.body)));
    }
    for (k, event) in events.iter_mut().enumerate() {
        event.k = u32::try_from(k).expect("limits keep an entry's events below four billion");
    }
}

fn compare(a: &EventBody, b: &EventBody) -> Ordering {
    rank(a).cmp(&rank(b))
}

/// Engine and rejected first, then by tenant and user: sessions before their user, by name. Equal ones stay as they came.
fn rank(body: &EventBody) -> (bool, &str, &str, bool, &str) {
    match body {
        EventBody::Engine(_) | EventBody::Rejected(_) => (false, "", "", false, ""),
        EventBody::Session(event) => (true, &event.tenant, &event.user, false, &event.session),
        EventBody::User(event) => (true, &event.tenant, &event.user, true, ""),
        EventBody::Ready(event) => (true, &event.tenant, &event.user, true, ""),
    }
}
