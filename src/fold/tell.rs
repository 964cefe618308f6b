//! What is told: events, their ordinals, incarnations and order.

use std::cmp::Ordering;

use super::look::{When, Why};
use super::partition::Partition;
use crate::model::{
    Cause, EngineEvent, EngineWhat, Event, EventBody, Intent, Millis, RejectedEvent, Rejection, SessionEvent, State,
    Transport, UserEvent,
};

impl Partition {
    /// Tells a session as it is now.
    pub(crate) fn tell_session(&mut self, at: u32, from: State, cause: Cause, when: When, out: &mut Vec<Event>) {
        let permille = self.certainty(at, when.instant).permille;
        let cold = self.people.cold_mut(at);
        (cold.ordinal, cold.permille) = (cold.ordinal + 1, permille);
        cold.told_at = cold.told_at.get().max(when.at).into();
        if self.policy.session_events {
            let told_at = cold.told_at.get();
            let event = self.session_event(at, from, cause, when.instant);
            self.tell(told_at, EventBody::Session(Box::new(event)), out);
        }
    }

    fn session_event(&self, at: u32, from: State, cause: Cause, instant: Millis) -> SessionEvent {
        let (hot, cold) = (&self.people.hot[at], &self.people.cold[at]);
        let facts = self.people.facts_of(at).cloned().unwrap_or_default();
        let closed = facts.is_closed();
        let excused = self.excused(at, instant);
        SessionEvent {
            tenant: self.people.tenant_name(cold.user).into(),
            user: self.people.user_name(cold.user).into(),
            session: self.people.session_name(at).into(),
            incarnation: cold.incarnation.get(),
            ordinal: cold.ordinal,
            cause,
            from,
            to: hot.state(),
            last_seen_ms: self.time.told(hot.seen() + excused),
            last_input_ms: self.time.told(hot.input() + excused),
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
            next: self.next_of(at, instant),
        }
    }

    /// Tells a user as it is now.
    pub(crate) fn tell_user(
        &mut self,
        at: u32,
        (from, cause): (State, Cause),
        (when, why): (When, Why<'_>),
        ready: &[Box<str>],
        out: &mut Vec<Event>,
    ) {
        let user = self.people.users[at];
        let is_here = user.state != State::Offline;
        // An offline user's event says nothing of the person.
        let (intent, until) = if is_here { self.people.intent(at) } else { (Intent::Open, None) };
        // Who becomes invisible by a heartbeat is last seen where it was before, as one who leaves.
        let hidden = match why {
            Why::Signal(heard) if self.people.intent(at).0 == Intent::Invisible => Some(heard),
            Why::Signal(_) | Why::Time | Why::Policy | Why::Rebuilt => None,
        };
        let times = |session: u32| match hidden {
            Some(heard) if heard.session == session => (heard.before.seen, heard.before.input),
            Some(_) | None => {
                let (hot, excused) = (&self.people.hot[session], self.excused(session, when.instant));
                (hot.seen() + excused, hot.input() + excused)
            }
        };
        let lived = self.people.sessions_of(at).filter(|session| !self.people.hot[*session].is_voice());
        let latest = lived.map(times).fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
        let event = UserEvent {
            tenant: self.people.tenant_name(at).into(),
            user: self.people.user_name(at).into(),
            incarnation: user.incarnation.get(),
            ordinal: user.ordinal,
            cause,
            from,
            to: user.state,
            sessions: user.counts.map(u32::from),
            intent,
            intent_until_ms: until.map(|until| self.time.expected(until)),
            last_seen_ms: self.time.told(latest.0),
            last_input_ms: self.time.told(latest.1),
            ready: ready.into(),
            confidence: self.user_certainty(at, when.instant),
            next: if is_here { self.next_of_user(at, when.instant) } else { None },
        };
        self.tell(user.told_at.get(), EventBody::User(Box::new(event)), out);
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

    pub(crate) fn tell(&self, at_ms: Millis, body: EventBody, out: &mut Vec<Event>) {
        out.push(Event { at_ms, partition: self.number, generation: self.generation, seq: self.seq, k: 0, body });
    }
}

/// An incarnation's number: the log time, raised above its predecessor's, which may be forgotten.
pub(crate) fn raised(hi: Millis, before: u64, forgotten: u64) -> u64 {
    let before = if before == 0 { forgotten } else { before };
    hi.max(before + 1)
}

/// Puts one entry's events in their order and numbers them. Before a user's event that enters or leaves offline a number is
/// left out if no event of a session stands there: so the place doesn't tell an invisible user from one who left.
pub(crate) fn put_in_order(events: &mut [Event]) {
    if events.len() > 1 {
        events.sort_by(|a, b| a.at_ms.cmp(&b.at_ms).then_with(|| compare(&a.body, &b.body)));
    }
    let mut k = 0;
    for at in 0..events.len() {
        k += u32::from(stands_alone(&events[..=at]));
        events[at].k = k;
        k += 1;
    }
}

/// Whether the last of these events is a user's that enters or leaves offline, without an event of one of its sessions of the
/// same time before it.
fn stands_alone(events: &[Event]) -> bool {
    let Some((event, before)) = events.split_last() else { return false };
    let EventBody::User(user) = &event.body else { return false };
    let passes = user.from != user.to && (user.from == State::Offline || user.to == State::Offline);
    let of_user = |other: &Event| {
        let EventBody::Session(session) = &other.body else { return false };
        (&session.tenant, &session.user) == (&user.tenant, &user.user)
    };
    passes && !before.iter().rev().take_while(|other| other.at_ms == event.at_ms).any(of_user)
}

fn compare(a: &EventBody, b: &EventBody) -> Ordering {
    rank(a).cmp(&rank(b))
}

/// Engine and rejected first, then by tenant and user: sessions by name, their user, its readiness. Equal ones stay as they
/// came.
fn rank(body: &EventBody) -> (bool, &str, &str, u8, &str) {
    match body {
        EventBody::Engine(_) | EventBody::Rejected(_) => (false, "", "", 0, ""),
        EventBody::Session(event) => (true, &event.tenant, &event.user, 0, &event.session),
        EventBody::User(event) => (true, &event.tenant, &event.user, 1, ""),
        EventBody::Ready(event) => (true, &event.tenant, &event.user, 2, ""),
    }
}
