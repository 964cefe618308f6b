//! The contract of one partition, the slow way: no wheel, no slab, no index, no packing. Everything is recomputed from
//! the facts, so that it can be read beside the contract and judge the fold.

mod clock;
mod facts;
mod fall;
mod foretell;
mod gateway;
mod gateway_facts;
mod intent;
pub(crate) mod logs;
mod look;
pub(crate) mod policies;
pub(crate) mod random;
mod reach;
mod ready;
mod rooms;
mod session;
mod sky;
mod story;
mod user;
pub(crate) mod witness;

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Clock;
use gateway::{Excuse, Gateways};
use look::{Desk, Heard, Key, Why};
use presence_engine::fold::{BatchItem, Body, Entry};
use presence_engine::model::{
    Address, EngineEvent, EngineWhat, Event, EventBody, Kind, Millis, Policy, RejectedEvent, Rejection, Signal, State,
};
use session::{Facts, Session};
use sky::{Sky, When};
use user::User;

/// Deadlines of those whom nothing touches are settled on this grid of observed time.
const GRID: Millis = 100;

/// One partition.
pub(crate) struct Oracle {
    number: u16,
    generation: u32,
    position: u64,
    sky: Sky,
    /// By tenant and user.
    users: BTreeMap<Key, User>,
    /// The log second of the latest rejection, and how many were told in it.
    rejections: (u64, u32),
    desk: Desk,
    /// Looks at every millisecond, and so has no opinion on when something may happen.
    plods: bool,
}

/// How long a gateway held a signal, and how it excuses the session.
#[derive(Clone, Copy)]
struct Held {
    age: Millis,
    excuse: Option<Excuse>,
}

impl Oracle {
    pub(crate) fn new(number: u16) -> Self {
        let sky = Sky { clock: None, policy: Arc::default(), gateways: Gateways::default(), forgotten: 0 };
        let (users, desk) = (BTreeMap::new(), Desk::new());
        Self { number, generation: 0, position: 0, sky, users, rejections: (0, 0), desk, plods: false }
    }

    fn plodding(number: u16) -> Self {
        Self { plods: true, ..Self::new(number) }
    }

    pub(crate) fn clock(&self) -> Option<Clock> {
        self.sky.clock
    }

    pub(crate) fn apply(&mut self, entry: &Entry<'_>) -> Vec<Event> {
        if entry.seq <= self.position {
            return Vec::new();
        }
        self.position = entry.seq;
        let failed = if let Body::Tick { failed } = entry.body { Some(failed) } else { None };
        self.pass(entry.ts, failed);
        self.settle_all(self.sky.now().w / GRID * GRID);
        match &entry.body {
            Body::Beat(address, beat) => self.hear(*address, &(*beat).into(), Held { age: 0, excuse: None }),
            Body::Signal(address, signal) => self.hear(*address, signal, Held { age: 0, excuse: None }),
            Body::Rejected { subject, reason } => self.reject(subject, reason.clone()),
            Body::Batch { tenant, gateway, items } => self.unpack(tenant.as_str(), gateway.as_str(), items),
            Body::Policy(policy) => self.rule(policy),
            Body::Tick { .. } | Body::Other => {}
        }
        self.number(entry.seq)
    }

    /// Puts what the entry told in order and numbers it.
    fn number(&mut self, seq: u64) -> Vec<Event> {
        let mut desk = std::mem::take(&mut self.desk);
        desk.sort_by(|a, b| (a.0, rank(&a.1)).cmp(&(b.0, rank(&b.1))));
        let (partition, generation) = (self.number, self.generation);
        let (mut told, mut k) = (Vec::<Event>::new(), 0);
        for (at_ms, body) in desk {
            k += u32::from(has_no_session_before(&told, at_ms, &body));
            told.push(Event { at_ms, partition, generation, seq, k, body });
            k += 1;
        }
        told
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
        (of_session.unwrap_or(State::Offline), user.map_or(State::Offline, |user| user.told.state))
    }

    /// How many sessions are remembered.
    pub(crate) fn sessions(&self) -> usize {
        self.users.values().map(|user| user.sessions.len()).sum()
    }

    // ── time ──

    fn pass(&mut self, ts: Millis, failed: Option<u32>) {
        let Some(mut time) = self.sky.clock else {
            self.sky.clock = Some(Clock::starting_at(ts, failed.map(|_| ts)));
            return;
        };
        let forward = ts.saturating_sub(time.hi);
        let blind = forward > self.sky.policy.blind_after;
        let mut excused = None;
        if failed.is_some_and(|count| count > 0) && !blind {
            excused = time.last_tick.filter(|last| time.grant(ts.saturating_sub(*last)) > 0);
        }
        if failed.is_some() {
            time.last_tick = Some(ts);
        }
        self.sky.clock = Some(time);
        let from_ms = time.hi;
        let set_back = time.hi.saturating_sub(ts) >= self.sky.policy.blind_after;
        let used = if blind || set_back { 0 } else { forward.min(time.hold) };
        if blind || set_back || used > 0 {
            self.settle_all(time.w);
        }
        if blind {
            time.grant(self.sky.policy.reconnect_grace.saturating_sub(time.hold));
        } else if !set_back {
            time.observe(forward, used);
        }
        time.hi = if set_back { ts } else { time.hi.max(ts) };
        self.sky.clock = Some(time);
        if blind || set_back {
            let what = if blind { EngineWhat::Blind } else { EngineWhat::Clock };
            self.desk.push((ts, EventBody::Engine(EngineEvent { what, from_ms, to_ms: ts })));
        }
        if let Some(from_ms) = excused {
            let what = EngineWhat::TicksFailed;
            self.desk.push((time.hi, EventBody::Engine(EngineEvent { what, from_ms, to_ms: ts })));
        }
    }

    fn settle_all(&mut self, bound: Millis) {
        for (since, silent) in self.sky.gateways.fallen_silent(bound) {
            let (from_ms, to_ms) = (self.sky.told(since), self.sky.told(silent));
            let what = EngineWhat::GatewaySilent;
            self.desk.push((to_ms, EventBody::Engine(EngineEvent { what, from_ms, to_ms })));
        }
        for key in self.users.keys().cloned().collect::<Vec<_>>() {
            let mut user = self.users.remove(&key).expect("it is there");
            self.settle(&key, &mut user, bound);
            self.keep(key, user);
        }
    }

    /// Lets everything of this user happen that is due at `bound`, instant by instant.
    fn settle(&mut self, key: &Key, user: &mut User, bound: Millis) {
        loop {
            let plod = (self.plods && !user.sessions.is_empty()).then_some(user.looked + 1);
            let next = plod.or_else(|| user.next_instant(&self.sky));
            let forgotten = user.next_forgotten(&self.sky).map(|at| at.max(user.looked));
            let Some(instant) = next.into_iter().chain(forgotten).min().filter(|instant| *instant <= bound) else {
                user.looked = user.looked.max(bound);
                return;
            };
            if next == Some(instant) {
                let when = When { at: self.sky.told(instant), instant };
                user.look(key, (&self.sky, &mut self.desk), when, Why::Time);
            }
            user.forget(instant, &mut self.sky);
        }
    }

    fn keep(&mut self, key: Key, user: User) {
        if user.is_nobody() {
            self.sky.forgotten = self.sky.forgotten.max(user.incarnation.unwrap_or(0));
        } else {
            self.users.insert(key, user);
        }
    }

    fn rule(&mut self, policy: &Arc<Policy>) {
        if *policy == self.sky.policy {
            return;
        }
        let Clock { hi, w, .. } = self.sky.now();
        self.settle_all(w);
        self.sky.gateways.rule(w, policy);
        self.sky.policy = policy.clone();
        self.desk.push((hi, EventBody::Engine(EngineEvent { what: EngineWhat::Policy, from_ms: hi, to_ms: hi })));
        for (key, mut user) in std::mem::take(&mut self.users) {
            for session in user.sessions.values_mut() {
                let facts = &mut session.facts;
                facts.named &= policy.profile_index(&facts.profile).is_some();
                if !facts.named {
                    facts.profile = policy.default_profile.clone();
                }
            }
            user.look(&key, (&self.sky, &mut self.desk), When { at: hi, instant: w }, Why::Policy);
            user.forget(w, &mut self.sky);
            self.keep(key, user);
        }
    }

    // ── signals ──

    fn unpack(&mut self, tenant: &str, gateway: &str, items: &[BatchItem<'_>]) {
        let w = self.sky.now().w;
        if self.sky.gateways.is_silent(tenant, gateway, w) {
            self.settle_all(w);
        }
        let policy = self.sky.policy.clone();
        let excuse = self.sky.gateways.hear(tenant, gateway, w, &policy);
        for item in items {
            match item {
                BatchItem::Signal(address, said, age) => {
                    self.hear(*address, &said.signal(), Held { age: (*age).min(policy.limits.batch_age), excuse });
                }
                BatchItem::Rejected(reason) => {
                    let subject = format!("presence.v1.log.{}.batch.{tenant}.{gateway}", self.number);
                    self.reject(&subject, reason.clone());
                }
            }
        }
    }

    fn hear(&mut self, address: Address<'_>, signal: &Signal, held: Held) {
        let Clock { hi, w, .. } = self.sky.now();
        let key = (address.tenant().as_str().to_owned(), address.user().as_str().to_owned());
        let mut user = self.users.remove(&key).unwrap_or_else(|| self.newcomer());
        self.settle(&key, &mut user, w);
        if user.is_nobody() {
            self.keep(key.clone(), std::mem::take(&mut user));
            user = self.newcomer();
        }
        if let Some(heard) = self.act((&key, address.session().as_str()), &mut user, signal, held) {
            user.look(&key, (&self.sky, &mut self.desk), When { at: hi, instant: w }, Why::Signal(heard));
        }
        self.keep(key, user);
    }

    /// A user of whom nothing is known: it may have been, so its incarnations rise above all that were forgotten.
    fn newcomer(&self) -> User {
        User { incarnation: Some(self.sky.forgotten), ..User::default() }
    }

    /// Lets a signal act on what is known of its session. `None` if it doesn't count.
    fn act<'a>(
        &mut self,
        (key, name): (&Key, &'a str),
        user: &mut User,
        signal: &'a Signal,
        held: Held,
    ) -> Option<Heard<'a>> {
        let Clock { hi, w, .. } = self.sky.now();
        let policy = self.sky.policy.clone();
        let said_at = w.saturating_sub(held.age);
        let before = user.sessions.get(name).filter(|session| !session.voice).map_or((0, 0), |session| {
            let excused = self.sky.excused(session, w);
            (session.seen + excused, session.input + excused)
        });
        let nothing = Heard { name, signal, joined: false, up: None, was_sure: false, before };
        let (mut session, joined) = match user.sessions.remove(name) {
            Some(mut session) if !session.is_live() && !session.revives(signal) => {
                if session.hear_late(signal, w) {
                    user.will(&mut session, signal, said_at);
                    user.kept = if signal.kind == Kind::Update { w } else { user.kept };
                }
                user.sessions.insert(name.to_owned(), session);
                return Some(nothing);
            }
            Some(old) if !old.is_live() => {
                let same = signal.epoch.is_some_and(|epoch| Some(epoch) == old.epoch);
                let facts = same.then(|| Facts { conn: None, ..old.facts.clone() });
                let before = if old.voice { self.sky.forgotten } else { old.incarnation };
                let mut next = Session::new(before, facts.filter(|_| !old.voice), &policy, said_at, hi);
                (next.epoch, next.seq, next.at) = (old.epoch, old.seq, old.at);
                next.said = old.said.filter(|_| same);
                next.accept(signal);
                (next, true)
            }
            Some(mut session) => {
                if session.by_another_connection(signal) || !session.accept(signal) {
                    user.sessions.insert(name.to_owned(), session);
                    return None;
                }
                (session, false)
            }
            None => {
                let voice = signal.kind == Kind::Update && signal.intent.is_some();
                if !voice && signal.kind != Kind::Heartbeat {
                    return None;
                }
                if let Some(limit) = self.limit_reached(&key.0, user.sessions.len()) {
                    let subject = format!("presence.v1.log.{}.signal.{}.{}.{name}", self.number, key.0, key.1);
                    self.reject(&subject, limit);
                    return None;
                }
                let mut session = if voice {
                    Session::voice(&policy, w)
                } else {
                    Session::new(self.sky.forgotten, None, &policy, said_at, hi)
                };
                session.accept(signal);
                if voice {
                    user.will(&mut session, signal, said_at);
                    user.kept = w;
                    user.sessions.insert(name.to_owned(), session);
                    return Some(nothing);
                }
                (session, true)
            }
        };
        let was_sure = session.is_sure(self.sky.own(&session, w), &policy);
        if signal.kind == Kind::Heartbeat {
            session.excuse_by(held.excuse, w, &self.sky);
        }
        let own = self.sky.own(&session, w).saturating_sub(held.age);
        let up = session.hear(signal, joined, &policy, own);
        user.will(&mut session, signal, said_at);
        session.flap(w, &self.sky);
        user.sessions.insert(name.to_owned(), session);
        Some(Heard { name, signal, joined, up, was_sure, before })
    }

    fn limit_reached(&self, tenant: &str, of_user: usize) -> Option<Rejection> {
        let limits = &self.sky.policy.limits;
        let count = |of: &dyn Fn(&str) -> bool| {
            self.users.iter().filter(|(key, _)| of(&key.0)).map(|(_, user)| user.weight()).sum::<usize>() + of_user
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

    fn reject(&mut self, subject: &str, reason: Rejection) {
        let hi = self.sky.now().hi;
        if self.rejections.0 != hi / 1_000 {
            self.rejections = (hi / 1_000, 0);
        }
        if self.rejections.1 < self.sky.policy.limits.rejected_events {
            self.rejections.1 += 1;
            self.desk.push((hi, EventBody::Rejected(Box::new(RejectedEvent { subject: subject.into(), reason }))));
        }
    }
}

/// Whether a user enters or leaves offline and no event of a session of it stands before that at its time.
fn has_no_session_before(told: &[Event], at_ms: Millis, body: &EventBody) -> bool {
    let EventBody::User(user) = body else { return false };
    let passes = user.from != user.to && (user.from == State::Offline || user.to == State::Offline);
    let of_it = |event: &Event| {
        let EventBody::Session(session) = &event.body else { return false };
        event.at_ms == at_ms && (&session.tenant, &session.user) == (&user.tenant, &user.user)
    };
    passes && !told.iter().any(of_it)
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
