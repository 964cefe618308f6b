//! The contract of one partition, the slow way: no wheel, no slab, no index, no packing. Everything is recomputed from
//! the facts, so that it can be read beside the contract and judge the fold.

mod clock;
pub(crate) mod logs;
pub(crate) mod random;
mod session;
pub(crate) mod witness;

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Clock;
use presence::fold::{Body, Entry};
use presence::model::{
    Address, Cause, EngineEvent, EngineWhat, Event, EventBody, Intent, Kind, Millis, NextState, Policy, RejectedEvent,
    Rejection, SessionEvent, Signal, State, Transport, UserEvent,
};
use session::{Facts, Session, User, by_signal};

/// Deadlines of those whom nothing touches are settled on this grid of observed time.
const GRID: Millis = 100;

/// A log time and an observed instant.
type When = (Millis, Millis);

/// One partition.
pub(crate) struct Oracle {
    number: u16,
    generation: u32,
    position: u64,
    pub(crate) clock: Option<Clock>,
    policy: Arc<Policy>,
    /// By tenant and user.
    users: BTreeMap<(String, String), User>,
    /// The highest incarnation of anybody who was forgotten.
    forgotten: u64,
    /// The log second of the latest rejection, and how many were told in it.
    rejections: (u64, u32),
    /// What the entry at hand tells, before it is put in order.
    told: Vec<(Millis, EventBody)>,
}

impl Oracle {
    pub(crate) fn new(number: u16) -> Self {
        let (policy, users) = (Arc::new(Policy::default()), BTreeMap::new());
        Self {
            number,
            generation: 0,
            position: 0,
            clock: None,
            policy,
            users,
            forgotten: 0,
            rejections: (0, 0),
            told: Vec::new(),
        }
    }

    pub(crate) fn apply(&mut self, entry: &Entry<'_>) -> Vec<Event> {
        if entry.seq <= self.position {
            return Vec::new();
        }
        self.position = entry.seq;
        let failed = if let Body::Tick { failed } = entry.body { Some(failed) } else { None };
        self.pass(entry.ts, failed);
        self.settle_all(self.now().w / GRID * GRID);
        match &entry.body {
            Body::Signal(address, signal) => self.hear(*address, signal),
            Body::Rejected { subject, reason } => self.reject(subject, reason.clone()),
            Body::Policy(policy) => self.rule(policy),
            Body::Batch { .. } | Body::Tick { .. } | Body::Other => {}
        }
        self.told.sort_by(|a, b| (a.0, rank(&a.1)).cmp(&(b.0, rank(&b.1))));
        let (partition, generation, seq) = (self.number, self.generation, entry.seq);
        let numbered = (0..).zip(self.told.drain(..));
        numbered.map(|(k, (at_ms, body))| Event { at_ms, partition, generation, seq, k, body }).collect()
    }

    /// Another log begins with the next entry.
    pub(crate) fn lose_log(&mut self) {
        self.generation += 1;
        self.position = 0;
    }

    /// The states of a session and its user; offline if nothing is known.
    pub(crate) fn states(&self, (tenant, user, session): logs::Who) -> (State, State) {
        let user = self.users.get(&(tenant.to_owned(), user.to_owned()));
        let of_session = user.and_then(|user| user.sessions.get(session)).map(|session| session.state);
        let of_user = user.and_then(|user| user.known).map(|known| known.0);
        (of_session.unwrap_or(State::Offline), of_user.unwrap_or(State::Offline))
    }

    /// How many sessions are remembered.
    pub(crate) fn sessions(&self) -> usize {
        self.users.values().map(|user| user.sessions.len()).sum()
    }

    fn now(&self) -> Clock {
        self.clock.expect("the first entry starts the clock")
    }

    // ── time ──

    fn pass(&mut self, ts: Millis, failed: Option<u32>) {
        let Some(mut time) = self.clock else {
            self.clock = Some(Clock::starting_at(ts, failed.map(|_| ts)));
            return;
        };
        let forward = ts.saturating_sub(time.hi);
        let blind = forward > self.policy.blind_after;
        if failed.is_some_and(|count| count > 0) && !blind {
            let since = time.last_tick.map_or(0, |last| ts.saturating_sub(last));
            time.grant(since);
        }
        if failed.is_some() {
            time.last_tick = Some(ts);
        }
        self.clock = Some(time);
        let from_ms = time.hi;
        let set_back = time.hi.saturating_sub(ts) >= self.policy.blind_after;
        let used = if blind || set_back { 0 } else { forward.min(time.hold) };
        if blind || set_back || used > 0 {
            self.settle_all(time.w);
        }
        if blind {
            time.grant(self.policy.reconnect_grace.saturating_sub(time.hold));
        } else if !set_back {
            time.observe(forward, used);
        }
        time.hi = if set_back { ts } else { time.hi.max(ts) };
        self.clock = Some(time);
        if blind || set_back {
            let what = if blind { EngineWhat::Blind } else { EngineWhat::Clock };
            self.told.push((ts, EventBody::Engine(EngineEvent { what, from_ms, to_ms: ts })));
        }
    }

    fn settle_all(&mut self, bound: Millis) {
        for key in self.users.keys().cloned().collect::<Vec<_>>() {
            let user = self.users.remove(&key).expect("it is there");
            let user = self.settle(&key, user, bound);
            self.keep(key, user);
        }
    }

    /// Lets everything of this user fall that is due at `bound`, instant by instant.
    fn settle(&mut self, key: &(String, String), mut user: User, bound: Millis) -> User {
        let policy = self.policy.clone();
        while let Some(instant) = user.next_instant(&policy).filter(|instant| *instant <= bound) {
            let leader = user.leader().cloned();
            let mut cause = None;
            let at = self.now().told(instant);
            for (name, session) in &mut user.sessions {
                let (state, why) = session.state_at(instant, &policy);
                if state != session.state {
                    session.enter(state, instant);
                    self.tell_session(key, name, session, (at, instant), why);
                    if leader.as_ref() == Some(name) {
                        cause = Some(why);
                    }
                }
            }
            if user.until.is_some_and(|until| until <= instant) {
                (user.intent, user.until) = (Intent::Open, None);
            }
            self.tell_user(key, &mut user, (at, instant), cause);
            self.forget(&mut user, instant);
        }
        user
    }

    fn forget(&mut self, user: &mut User, instant: Millis) {
        user.sessions.retain(|_, session| {
            let kept = session.forget_at(&self.policy).is_none_or(|at| at > instant);
            self.forgotten = if kept { self.forgotten } else { session.incarnation.max(self.forgotten) };
            kept
        });
    }

    /// A user lives as long as one of its sessions is remembered.
    fn keep(&mut self, key: (String, String), user: User) {
        if user.sessions.is_empty() {
            self.forgotten = self.forgotten.max(user.incarnation.unwrap_or(0));
        } else {
            self.users.insert(key, user);
        }
    }

    fn rule(&mut self, policy: &Arc<Policy>) {
        if *policy == self.policy {
            return;
        }
        let Clock { hi, w, .. } = self.now();
        self.settle_all(w);
        self.policy = policy.clone();
        self.told.push((hi, EventBody::Engine(EngineEvent { what: EngineWhat::Policy, from_ms: hi, to_ms: hi })));
        for (key, mut user) in std::mem::take(&mut self.users) {
            for (name, session) in &mut user.sessions {
                if policy.profile_index(&session.facts.profile).is_none() {
                    session.facts.profile = policy.default_profile.clone();
                }
                let (state, _) = session.state_at(w, policy);
                if session.gone.is_none() && state != session.state {
                    session.enter(state, w);
                    self.tell_session(&key, name, session, (hi, w), Cause::Policy);
                }
            }
            self.tell_user(&key, &mut user, (hi, w), Some(Cause::Policy));
            self.forget(&mut user, w);
            self.keep(key, user);
        }
    }

    // ── signals ──

    fn hear(&mut self, address: Address<'_>, signal: &Signal) {
        let Clock { hi, w, .. } = self.now();
        let key = (address.tenant.as_str().to_owned(), address.user.as_str().to_owned());
        let name = address.session.as_str();
        let user = self.users.remove(&key).unwrap_or_default();
        let mut user = self.settle(&key, user, w);
        if user.sessions.is_empty() {
            self.keep(key.clone(), std::mem::take(&mut user));
        }
        let policy = self.policy.clone();
        let known = user.sessions.remove(name);
        let (mut session, joined) = match known {
            Some(mut session) if session.gone.is_some() => {
                if !session.revives(signal) {
                    session.hear_late(signal, &mut user, w);
                    user.sessions.insert(name.to_owned(), session);
                    self.tell_user(&key, &mut user, (hi, w), None);
                    return self.keep(key, user);
                }
                let same = signal.epoch.is_some_and(|epoch| Some(epoch) == session.epoch);
                let facts = same.then(|| Facts { conn: None, ..session.facts.clone() });
                let mut next = Session::new(session.incarnation, facts, &policy, w, hi);
                (next.epoch, next.seq, next.at) = (session.epoch, session.seq, session.at);
                next.said = session.said.filter(|_| same);
                next.accept(signal);
                (next, true)
            }
            Some(mut session) => {
                if session.by_another_connection(signal) || !session.accept(signal) {
                    user.sessions.insert(name.to_owned(), session);
                    return self.keep(key, user);
                }
                (session, false)
            }
            None if signal.kind != Kind::Heartbeat => return self.keep(key, user),
            None => {
                if let Some(limit) = self.limit_reached(&key.0, user.sessions.len()) {
                    self.keep(key.clone(), user);
                    let subject = format!("presence.v1.log.{}.signal.{}.{}.{name}", self.number, key.0, key.1);
                    return self.reject(&subject, limit);
                }
                let mut session = Session::new(self.forgotten, None, &policy, w, hi);
                session.accept(signal);
                (session, true)
            }
        };
        let up = session.hear(signal, joined, &policy, w);
        user.will(&mut session, signal, w);
        let (before, (state, why)) = (session.state, session.state_at(w, &policy));
        let mut cause = None;
        if state != before {
            cause = Some(if joined { Cause::Joined } else { by_signal(signal, before, state, why, up) });
            session.enter(state, w);
            self.tell_session(&key, name, &mut session, (hi, w), cause.expect("just set"));
        }
        user.sessions.insert(name.to_owned(), session);
        self.tell_user(&key, &mut user, (hi, w), cause);
        self.keep(key, user);
    }

    fn limit_reached(&self, tenant: &str, of_user: usize) -> Option<Rejection> {
        let limits = &self.policy.limits;
        let count = |of: &dyn Fn(&str) -> bool| {
            self.users.iter().filter(|(key, _)| of(&key.0)).map(|(_, user)| user.sessions.len()).sum::<usize>()
                + of_user
        };
        [
            ("limits.sessions_per_user", limits.sessions_per_user, of_user),
            ("limits.sessions_per_tenant", limits.sessions_per_tenant, count(&|other| other == tenant)),
            ("limits.sessions_per_partition", limits.sessions_per_partition, count(&|_| true)),
        ]
        .into_iter()
        .find(|(_, max, count)| *count as u64 >= u64::from(*max))
        .map(|(limit, max, _)| Rejection::Limit { limit, max: max.into() })
    }

    // ── events ──

    fn reject(&mut self, subject: &str, reason: Rejection) {
        let hi = self.now().hi;
        if self.rejections.0 != hi / 1_000 {
            self.rejections = (hi / 1_000, 0);
        }
        if self.rejections.1 < self.policy.limits.rejected_events {
            self.rejections.1 += 1;
            self.told.push((hi, EventBody::Rejected(Box::new(RejectedEvent { subject: subject.into(), reason }))));
        }
    }

    /// Tells the session's state, which was entered just now.
    fn tell_session(&mut self, key: &(String, String), name: &str, session: &mut Session, when: When, cause: Cause) {
        let (at, instant) = when;
        let policy = self.policy.clone();
        let time = self.now();
        session.at = session.at.max(at);
        let closed = session.closed.is_some() || session.leaving.is_some() || cause == Cause::Left;
        let facts = session.facts.clone();
        let event = SessionEvent {
            tenant: key.0.as_str().into(),
            user: key.1.as_str().into(),
            session: name.into(),
            incarnation: session.incarnation,
            ordinal: session.ordinal,
            cause,
            from: session.from,
            to: session.state,
            last_seen_ms: time.told(session.seen),
            last_input_ms: time.told(session.input),
            transport: if closed { Transport::Closed } else { Transport::Open },
            visibility: facts.visibility,
            can: facts.can,
            rooms: facts.rooms,
            meta: facts.meta,
            profile: facts.profile,
            every_ms: facts.every_ms,
            epoch: session.epoch,
            seq_client: session.seq,
            conn: facts.conn,
            confidence: session.certainty(instant, &policy),
            next: session.next(&policy).map(|(at, to)| NextState { to, at_ms: time.told(at) + time.hold }),
        };
        if self.policy.session_events {
            self.told.push((session.at, EventBody::Session(Box::new(event))));
        }
    }

    /// Tells the user if its state changed, or its intent while it is there. The cause is that of its session's event;
    /// where there is none, only the intent changed.
    fn tell_user(&mut self, key: &(String, String), user: &mut User, when: When, cause: Option<Cause>) {
        let (at, instant) = when;
        let policy = self.policy.clone();
        let time = self.now();
        let to = user.sessions.values().map(|session| session.state).min().unwrap_or(State::Offline);
        let (from, intent, until) = user.known.unwrap_or((State::Offline, Intent::Open, None));
        user.known = Some((to, user.intent, user.until));
        if from == to && (to == State::Offline || (intent, until) == (user.intent, user.until)) {
            return;
        }
        if from == State::Offline {
            user.incarnation = Some(time.hi.max(user.incarnation.unwrap_or(self.forgotten) + 1));
            user.ordinal = 0;
        }
        user.ordinal += 1;
        user.at = user.at.max(at);
        let is_here = to != State::Offline;
        let count = |state| user.sessions.values().filter(|session| session.state == state).count() as u32;
        let latest = |of: fn(&Session) -> Millis| time.told(user.sessions.values().map(of).max().unwrap_or(0));
        let event = UserEvent {
            tenant: key.0.as_str().into(),
            user: key.1.as_str().into(),
            incarnation: user.incarnation.expect("it left offline"),
            ordinal: user.ordinal,
            cause: cause.unwrap_or(Cause::Intent),
            from,
            to,
            sessions: [State::Active, State::Idle, State::Away, State::Stale].map(count),
            intent: if is_here { user.intent } else { Intent::Open },
            intent_until_ms: user.until.filter(|_| is_here).map(|until| time.told(until) + time.hold),
            last_seen_ms: latest(|session| session.seen),
            last_input_ms: latest(|session| session.input),
            ready: Box::default(),
            confidence: user.certainty(instant, &policy),
            next: user.next(instant, &policy).map(|(at, to)| NextState { to, at_ms: time.told(at) + time.hold }),
        };
        self.told.push((user.at, EventBody::User(Box::new(event))));
    }
}

/// The order of events that happened at the same time: the observer's own first, then by subject, sessions before users.
fn rank(body: &EventBody) -> (u8, &str, &str, u8, &str) {
    match body {
        EventBody::Engine(_) | EventBody::Rejected(_) => (0, "", "", 0, ""),
        EventBody::Session(event) => (1, &event.tenant, &event.user, 0, &event.session),
        EventBody::User(event) => (1, &event.tenant, &event.user, 1, ""),
        EventBody::Ready(event) => (1, &event.tenant, &event.user, 2, ""),
    }
}
