//! What has to be told: one undisturbed fold of the whole log, without outbox, commits or checkpoints; and the invariants that
//! can be seen in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use presence_engine::fold::{IndexKey, Partition};
use presence_engine::model::{Cause, EngineWhat, Event, EventBody, Intent, Millis, Policy, SessionEvent, State, Token};
use presence_engine::wire::{self, Encoding, Message, Route};

use crate::events::Published;
use crate::logs::{PARTITIONS, Said};

/// A message, as it has to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) subject: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload: Bytes,
}

/// Per partition, what it tells and what it is.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) told: Vec<Told>,
    /// Behind each of its entries, its checkpoint.
    pub(crate) states: BTreeMap<u64, Vec<u8>>,
    pub(crate) events: Vec<Event>,
}

impl Told {
    pub(crate) fn of(published: &Published) -> Self {
        let is_its_own = |(name, _): &&(&str, String)| *name != "Presence-Epoch";
        let headers = published.headers.iter().filter(is_its_own).cloned().collect();
        Self { subject: published.subject.clone(), headers, payload: published.payload.clone() }
    }
}

/// Folds a story, partition by partition, with that width of the wheel.
pub(crate) fn of(story: &[Said], wheel_tick: Millis) -> Vec<Truth> {
    let new = |number| Partition::with_wheel_tick(number, &IndexKey::new(3, 4), wheel_tick);
    (0..PARTITIONS).map(|number| fold(number, new(number), story, 1)).collect()
}

/// Folds a story whose first entry has the sequence `first_seq`.
pub(crate) fn fold(number: u16, mut partition: Partition, story: &[Said], first_seq: u64) -> Truth {
    let mut truth = Truth::default();
    let mut witness = Witness { is_whole: first_seq == 1, ..Witness::default() };
    for (seq, said) in (first_seq..).zip(story) {
        let message = wire::LogMessage {
            seq,
            ts: said.ts_ms,
            subject: &said.subject,
            payload: &said.payload,
            content_type: said.content_type.as_deref(),
        };
        let read = message.read(PARTITIONS);
        match read.route {
            Route::Partition(other) if other != number => continue,
            Route::Nobody => continue,
            Route::Partition(_) | Route::All => {}
        }
        let before = Arc::clone(partition.policy());
        let first = truth.events.len();
        partition.apply(&read.entry(), &mut truth.events);
        let state = partition.checkpoint();
        witness.observe(said.ts_ms, &state, &partition);
        let policies = [&*before, &**partition.policy()];
        truth.events[first..].iter().for_each(|event| witness.hear(event, policies));
        witness.recount(&partition);
        truth.states.insert(seq, state);
    }
    for event in &truth.events {
        let messages = wire::event::messages(event, Encoding::Json);
        truth.told.extend(messages.map(|Message { subject, headers, payload }| Told { subject, headers, payload }));
    }
    truth
}

/// Watches one partition's fold and holds it against I1 to I3, I9 and I10.
#[derive(Debug, Default)]
struct Witness {
    /// Whether it has heard everything from the log's beginning.
    is_whole: bool,
    started: bool,
    hi: Millis,
    w: Millis,
    was_set_back: bool,
    /// What nobody watched.
    blind: Vec<(Millis, Millis)>,
    /// Per session and user, what was told last.
    sessions: BTreeMap<[Box<str>; 3], (State, Millis)>,
    users: BTreeMap<[Box<str>; 2], State>,
}

impl Witness {
    fn observe(&mut self, ts: Millis, state: &[u8], partition: &Partition) {
        let [hi, w] = observed(state);
        if self.started {
            let step = ts.saturating_sub(self.hi);
            assert!(w >= self.w, "I1: observed time went back from {} to {w}", self.w);
            assert!(w - self.w <= step, "I1: observed time grew by {} in a step of {step}", w - self.w);
            self.was_set_back |= hi < self.hi;
        }
        (self.started, self.hi, self.w) = (true, hi, w);
        // A wider wheel looks a deadline up early, so only the engine's own tells.
        let due = partition.next_due().filter(|_| self.is_whole);
        assert!(due.is_none_or(|due| due > hi), "I3: a deadline at {due:?} is unsettled at {hi}");
    }

    fn hear(&mut self, event: &Event, policies: [&Policy; 2]) {
        match &event.body {
            EventBody::Session(session) => self.hear_session(event.at_ms, session, policies),
            EventBody::User(user) => {
                self.users.insert([user.tenant.clone(), user.user.clone()], user.to);
            }
            EventBody::Engine(engine) => {
                if engine.what == EngineWhat::Blind {
                    self.blind.push((engine.from_ms, engine.to_ms));
                }
            }
            EventBody::Ready(_) | EventBody::Rejected(_) => {}
        }
    }

    /// Behind an entry, each user is the best of its sessions, or invisible and told as offline.
    fn recount(&self, partition: &Partition) {
        if !self.is_whole {
            return;
        }
        let mut best = BTreeMap::<[Box<str>; 2], State>::new();
        for ([tenant, user, _], (state, _)) in &self.sessions {
            let of_user = best.entry([tenant.clone(), user.clone()]).or_insert(State::Offline);
            *of_user = state.min(of_user).to_owned();
        }
        for (user, best) in &best {
            let [tenant, name] = user.each_ref().map(|text| Token::parse(text).expect("what is told are tokens"));
            let told = self.users.get(user).copied().unwrap_or(State::Offline);
            let inspected = || partition.inspect(tenant, name);
            let is_invisible = || inspected().is_some_and(|inspected| inspected.intent == Intent::Invisible);
            let is_so = told == *best || told == State::Offline && is_invisible();
            assert!(is_so, "I10: {user:?} is told {told:?} and its best session is {best:?}");
        }
    }

    fn hear_session(&mut self, at_ms: Millis, session: &SessionEvent, policies: [&Policy; 2]) {
        let key = [session.tenant.clone(), session.user.clone(), session.session.clone()];
        let before = self.sessions.insert(key, (session.to, at_ms));
        match session.cause {
            Cause::Quiet | Cause::Silent => {}
            Cause::Joined | Cause::Input | Cause::Visible | Cause::Resumed | Cause::Claimed => return,
            Cause::Hidden | Cause::Frozen | Cause::Disconnected | Cause::Left => return,
            Cause::Intent | Cause::Policy | Cause::Updated | Cause::Fading | Cause::Refreshed => return,
        }
        assert!(session.to > session.from, "I9: time moved somebody up: {session:?}");
        if !self.is_whole || before.is_some_and(|(_, before)| before == at_ms) {
            return;
        }
        let fits = policies.iter().any(|policy| is_exact(at_ms, session, policy));
        assert!(fits, "I2: at {at_ms} {session:?} falls at no deadline of its own");
        let in_the_dark = self.blind.iter().find(|(from, to)| *from < at_ms && at_ms < *to);
        if !self.was_set_back {
            assert!(in_the_dark.is_none(), "I9: at {at_ms} {session:?} falls into {in_the_dark:?}");
        }
    }
}

/// Whether the session's silence or quiet is exactly what its profile gives it.
fn is_exact(at_ms: Millis, session: &SessionEvent, policy: &Policy) -> bool {
    let Some((_, profile)) = policy.profiles.iter().find(|(name, _)| *name == session.profile) else {
        return false;
    };
    let mut stale_after = profile.stale_after;
    let mut idle_afters = vec![profile.idle_after];
    if let (Some(promise), 1..) = (&profile.promise, session.every_ms) {
        let every = Millis::from(session.every_ms).min(promise.cap);
        stale_after = every * Millis::from(promise.factor_permille) / 1_000 + promise.slack;
        idle_afters.push(profile.idle_after.max(every * Millis::from(promise.idle_beats)));
    }
    let (silence, quiet) = (at_ms.wrapping_sub(session.last_seen_ms), at_ms.wrapping_sub(session.last_input_ms));
    match session.to {
        State::Active => false,
        State::Idle => idle_afters.contains(&quiet),
        State::Away => idle_afters.iter().any(|idle| quiet == idle + (profile.away_after - profile.idle_after)),
        State::Stale => silence == stale_after,
        State::Offline => silence == stale_after + (profile.offline_after - profile.stale_after),
    }
}

/// `hi` and `W`, as a checkpoint says them behind its magic, version, number, generation, position and whether it started.
fn observed(checkpoint: &[u8]) -> [Millis; 2] {
    let mut rest = checkpoint.strip_prefix(b"presence checkpoint 2\n".as_slice()).expect("a checkpoint");
    let mut number = || {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, after) = rest.split_first().expect("a whole checkpoint");
            rest = after;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    };
    for _ in 0..5 {
        number();
    }
    [number(), number()]
}
