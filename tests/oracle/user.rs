//! A user: the best of its sessions and the person's will, and what is told of it.

use std::collections::BTreeMap;

use presence_engine::model::{Cause, Certainty, Confidence, EventBody, Intent, Millis, NextState, State, UserEvent};

use super::look::{Desk, Key, Why};
use super::ready::Readiness;
use super::session::Session;
use super::sky::{Sky, When};

#[derive(Default)]
pub(super) struct User {
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) intent: Intent,
    pub(super) until: Option<Millis>,
    /// The latest instant at which a session was not offline or an update was accepted.
    pub(super) kept: Millis,
    /// The latest instant that was looked at.
    pub(super) looked: Millis,
    /// What was told last, and the instant of that.
    pub(super) told: Told,
    pub(super) told_instant: Millis,
    /// The latest incarnation, its latest ordinal, and the time that it or its readiness was told with last.
    pub(super) incarnation: Option<u64>,
    pub(super) ordinal: u32,
    pub(super) at: Millis,
    pub(super) ready: Readiness,
}

/// What a user event is told for.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Told {
    pub(super) state: State,
    intent: (Intent, Option<Millis>),
    band: u8,
    counts: [u32; 4],
}

impl Default for Told {
    fn default() -> Self {
        Self { state: State::Offline, intent: (Intent::Open, None), band: 0, counts: [0; 4] }
    }
}

impl User {
    /// The best state, then the latest input as it was at the last life sign, then the smallest name.
    pub(super) fn leader(&self) -> Option<&String> {
        let key = |(name, session): &(&String, &Session)| (session.state, u64::MAX - session.input, (*name).clone());
        self.sessions.iter().filter(|(_, session)| session.is_live()).min_by_key(key).map(|(name, _)| name)
    }

    fn best(&self) -> State {
        self.sessions.values().map(|session| session.state).min().unwrap_or(State::Offline)
    }

    pub(super) fn is_here(&self) -> bool {
        self.sessions.values().any(Session::is_live)
    }

    fn counts(&self) -> [u32; 4] {
        let count = |state| self.sessions.values().filter(|session| session.state == state).count() as u32;
        [State::Active, State::Idle, State::Away, State::Stale].map(count)
    }

    /// What could be told now.
    fn shown(&self, instant: Millis, sky: &Sky) -> Told {
        let best = self.best();
        if best == State::Offline || self.intent == Intent::Invisible {
            return Told::default();
        }
        let leader = self.leader().map(|name| &self.sessions[name]);
        Told {
            state: best,
            intent: (self.intent, self.until),
            band: leader.map_or(0, |session| session.band(instant, sky)),
            counts: self.counts(),
        }
    }

    /// When the next thing may happen by itself.
    pub(super) fn next_instant(&self, sky: &Sky) -> Option<Millis> {
        let of_session = |session: &Session| {
            let turns = session.turns(&sky.policy).into_iter();
            let turns = turns.map(|own| sky.gateways.reached(session.excuse, own)).chain(session.due(sky));
            turns.filter(|at| *at > self.looked).min()
        };
        let counts = self.due(sky).chain(self.until).filter(|at| *at > self.looked);
        self.sessions.values().filter_map(of_session).chain(counts).min()
    }

    /// When something of it is forgotten next.
    pub(super) fn next_forgotten(&self, sky: &Sky) -> Option<Millis> {
        let sessions = self.sessions.values().filter_map(|session| session.forget_at(&sky.policy));
        let intent = (!self.is_here() && self.intent != Intent::Open).then_some(self.kept + sky.policy.intent_keep);
        sessions.chain(intent).min()
    }

    /// When counts that may differ are due.
    fn due(&self, sky: &Sky) -> impl Iterator<Item = Millis> {
        let here = self.told.state != State::Offline && self.counts() != self.told.counts;
        here.then_some(self.told_instant + sky.policy.update_every).into_iter()
    }

    /// The best session's; of somebody who is offline, none on the default curve.
    fn certainty(&self, to: State, instant: Millis, sky: &Sky) -> Certainty {
        let best = self.leader().map(|name| &self.sessions[name]).filter(|_| to != State::Offline);
        best.map_or_else(
            || {
                let Confidence { model, grace, half_life, .. } =
                    sky.policy.profiles[sky.policy.default_index()].1.confidence;
                Certainty { permille: 0, model, grace_ms: grace, half_life_ms: half_life }
            },
            |session| session.certainty(instant, sky),
        )
    }

    /// The first instant at which the best state is another, with the excuses as they are now, and that state.
    fn next(&self, now: Millis, sky: &Sky) -> Option<(Millis, State)> {
        let live = || self.sessions.values().filter(|session| session.is_live());
        let with_excuse = live().map(|session| (session, sky.excused(session, now))).collect::<Vec<_>>();
        let best_at = |instant: Millis| {
            let states = with_excuse.iter().map(|(session, by)| session.state_by(instant - by, &sky.policy).0);
            states.min().expect("one is live")
        };
        let turns =
            with_excuse.iter().flat_map(|(session, by)| session.turns(&sky.policy).into_iter().map(move |at| at + by));
        let mut instants: Vec<Millis> = turns.filter(|at| *at > now).collect();
        instants.sort_unstable();
        instants.into_iter().map(|at| (at, best_at(at))).find(|(_, to)| *to != self.best())
    }

    /// Looks at everything of it, and tells what is to be told.
    pub(super) fn look(&mut self, key: &Key, (sky, desk): (&Sky, &mut Desk), when: When, why: Why<'_>) {
        self.looked = when.instant;
        if self.until.is_some_and(|until| until <= when.instant) {
            (self.intent, self.until) = (Intent::Open, None);
        }
        let leader = self.leader().cloned();
        if self.is_here() {
            self.kept = when.instant;
        }
        let mut entered = BTreeMap::new();
        for (name, session) in &mut self.sessions {
            if let Some(cause) = session.look((key, name), (sky, desk), when, why) {
                entered.insert(name.clone(), cause);
            }
        }
        let acting = match why {
            Why::Signal(heard) => Some(heard.name),
            Why::Time | Why::Policy => leader.as_deref(),
        };
        let state = acting.and_then(|name| entered.get(name)).copied();
        let ready = self.ready_at(when.instant, &sky.excuses(self, when.instant), sky);
        let told = self.compare((key, state), (sky, desk), (when, why), &ready);
        let cause = told.or_else(|| entered.values().next().copied());
        self.tell_ready(key, (sky, desk), (when, why, cause), &ready);
    }

    /// Tells the user if it is to be told. The cause, if it is another state or intent.
    fn compare(
        &mut self,
        (key, state): (&Key, Option<Cause>),
        (sky, desk): (&Sky, &mut Desk),
        (when, why): (When, Why<'_>),
        ready: &[Box<str>],
    ) -> Option<Cause> {
        let (told, now) = (self.told, self.shown(when.instant, sky));
        let (weighty, cause) = if now.state != told.state {
            let cause = match (told.state, why) {
                (State::Offline, _) => Cause::Joined,
                _ if self.intent == Intent::Invisible => Cause::Left,
                (_, Why::Policy) => Cause::Policy,
                (_, Why::Time | Why::Signal(_)) => state.expect("a session moves its user"),
            };
            (true, cause)
        } else if now.state == State::Offline {
            return None;
        } else if now.intent != told.intent {
            (true, Cause::Intent)
        } else if now.band != told.band {
            (false, why.crossing(told.band, now.band))
        } else if now.counts != told.counts && when.instant >= self.told_instant + sky.policy.update_every {
            (false, Cause::Updated)
        } else {
            return None;
        };
        if told.state == State::Offline {
            self.incarnation = Some(when.at.max(self.incarnation.unwrap_or(sky.forgotten) + 1));
            (self.ordinal, self.ready.ordinal) = (0, 0);
        }
        (self.told, self.told_instant) = (now, when.instant);
        self.ordinal += 1;
        self.at = self.at.max(when.at);
        // Becoming invisible by a heartbeat is no life sign to others.
        let hidden = match why {
            Why::Signal(heard) if self.intent == Intent::Invisible => Some(heard),
            Why::Signal(_) | Why::Time | Why::Policy => None,
        };
        let times = |(name, session): (&String, &Session)| match hidden {
            Some(heard) if heard.name == name.as_str() => heard.before,
            Some(_) | None => {
                let excused = sky.excused(session, when.instant);
                (session.seen + excused, session.input + excused)
            }
        };
        let lived = || self.sessions.iter().filter(|(_, session)| !session.voice).map(times);
        let last_seen = lived().map(|(seen, _)| seen).max().unwrap_or(0);
        let last_input = lived().map(|(_, input)| input).max().unwrap_or(0);
        let here = now.state != State::Offline;
        let event = UserEvent {
            tenant: key.0.as_str().into(),
            user: key.1.as_str().into(),
            incarnation: self.incarnation.expect("it left offline"),
            ordinal: self.ordinal,
            cause,
            from: told.state,
            to: now.state,
            sessions: now.counts,
            intent: now.intent.0,
            intent_until_ms: now.intent.1.map(|until| sky.expected(until)),
            last_seen_ms: sky.told(last_seen),
            last_input_ms: sky.told(last_input),
            ready: ready.into(),
            confidence: self.certainty(now.state, when.instant, sky),
            next: (self.next(when.instant, sky).filter(|_| here))
                .map(|(at, to)| NextState { to, at_ms: sky.expected(at) }),
        };
        desk.push((self.at, EventBody::User(Box::new(event))));
        weighty.then_some(cause)
    }
}
