//! What a signal does to one session, and what follows from its facts.

use std::collections::BTreeMap;

use presence::model::policy::DURATION_MS_MAX;
use presence::model::{Cause, Certainty, Claim, Confidence, Intent, Kind, Millis, Policy, Signal, State, Visibility};

/// No intent is told for longer than a year.
const INTENT_MAX: Millis = DURATION_MS_MAX;

#[derive(Default)]
pub(crate) struct User {
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) intent: Intent,
    pub(crate) until: Option<Millis>,
    /// State, intent and its end as of the last look.
    pub(crate) known: Option<(State, Intent, Option<Millis>)>,
    /// The latest incarnation, its latest ordinal, and the time it was told with.
    pub(crate) incarnation: Option<u64>,
    pub(crate) ordinal: u32,
    pub(crate) at: Millis,
}

pub(crate) struct Session {
    pub(crate) from: State,
    pub(crate) state: State,
    pub(crate) incarnation: u64,
    pub(crate) ordinal: u32,
    pub(crate) at: Millis,
    pub(crate) epoch: Option<u64>,
    pub(crate) seq: Option<u64>,
    /// Of signals of a lower epoch in a row: the epoch, the latest seq, how many.
    row: Option<(u64, u64, u32)>,
    /// The intent that this session said last.
    pub(crate) said: Option<Intent>,
    pub(crate) facts: Facts,
    pub(crate) seen: Millis,
    pub(crate) input: Millis,
    frozen: Millis,
    pub(crate) closed: Option<Millis>,
    pub(crate) leaving: Option<Millis>,
    /// When it went offline, and whether it had left.
    pub(crate) gone: Option<(Millis, bool)>,
}

/// What an incarnation inherits from its predecessor of the same epoch; the connection it doesn't.
#[derive(Clone)]
pub(crate) struct Facts {
    pub(crate) visibility: Visibility,
    pub(crate) out_of_sight: Option<Millis>,
    pub(crate) reported: bool,
    pub(crate) every_ms: u32,
    pub(crate) can: Box<[Box<str>]>,
    pub(crate) rooms: Box<[Box<str>]>,
    pub(crate) meta: Option<Box<str>>,
    pub(crate) profile: Box<str>,
    pub(crate) conn: Option<Box<str>>,
}

/// `seq` alone has epoch 0.
fn stamp(signal: &Signal) -> (Option<u64>, Option<u64>) {
    (signal.epoch.or(signal.seq.map(|_| 0)), signal.seq)
}

impl User {
    /// The best state, then the latest input, then the smallest name.
    pub(crate) fn leader(&self) -> Option<&String> {
        let key = |(name, session): &(&String, &Session)| (session.state, u64::MAX - session.input, (*name).clone());
        self.sessions.iter().min_by_key(key).map(|(name, _)| name)
    }

    /// When the next thing happens by itself.
    pub(crate) fn next_instant(&self, policy: &Policy) -> Option<Millis> {
        let falls = self.sessions.values().filter_map(|session| session.next_fall(policy));
        let forgotten = self.sessions.values().filter_map(|session| session.forget_at(policy));
        falls.chain(forgotten).chain(self.until).min()
    }

    /// The best session's; of somebody who is offline, none on the default curve.
    pub(crate) fn certainty(&self, instant: Millis, policy: &Policy) -> Certainty {
        let best = self.leader().map(|name| &self.sessions[name]).filter(|session| session.gone.is_none());
        best.map_or_else(
            || {
                let index = policy.profile_index(&policy.default_profile).expect("the default profile");
                let Confidence { model, grace, half_life, .. } = policy.profiles[index].1.confidence;
                Certainty { permille: 0, model, grace_ms: grace, half_life_ms: half_life }
            },
            |session| session.certainty(instant, policy),
        )
    }

    /// The first instant at which the best state is another, and that state.
    pub(crate) fn next(&self, now: Millis, policy: &Policy) -> Option<(Millis, State)> {
        let best_at = |instant| self.sessions.values().map(|session| session.state_at(instant, policy).0).min();
        let state = self.sessions.values().map(|session| session.state).min()?;
        let live = self.sessions.values().filter(|session| session.gone.is_none());
        let mut instants: Vec<Millis> = live.flat_map(|session| session.ladder(policy)).map(|(at, ..)| at).collect();
        instants.sort_unstable();
        let changes = instants.into_iter().filter(|at| *at >= now).map(|at| (at, best_at(at).expect("one is live")));
        changes.into_iter().find(|(_, to)| *to > state)
    }

    /// An intent counts if it differs from what this session last said, so that repetition neither renews nor overrules.
    pub(crate) fn will(&mut self, session: &mut Session, signal: &Signal, w: Millis) {
        let speaks = matches!(signal.kind, Kind::Heartbeat | Kind::Update);
        if let Some(intent) = signal.intent.filter(|intent| speaks && session.said != Some(*intent)) {
            session.said = Some(intent);
            self.intent = intent;
            self.until = signal.intent_for_ms.map(|length| w + length.min(INTENT_MAX));
            self.until = self.until.filter(|_| intent != Intent::Open);
        }
    }
}

impl Session {
    /// An incarnation before its first signal acts.
    pub(crate) fn new(predecessor: u64, inherited: Option<Facts>, policy: &Policy, w: Millis, hi: Millis) -> Self {
        let fresh = Facts {
            visibility: Visibility::Visible,
            out_of_sight: None,
            reported: false,
            every_ms: 0,
            can: Box::default(),
            rooms: Box::default(),
            meta: None,
            profile: policy.default_profile.clone(),
            conn: None,
        };
        Self {
            from: State::Offline,
            state: State::Offline,
            incarnation: hi.max(predecessor + 1),
            ordinal: 0,
            at: 0,
            epoch: None,
            seq: None,
            row: None,
            said: None,
            facts: inherited.unwrap_or(fresh),
            seen: w,
            input: w,
            frozen: 0,
            closed: None,
            leaving: None,
            gone: None,
        }
    }

    /// A disconnect or a leave of another connection than the latest is ignored wholly.
    pub(crate) fn by_another_connection(&self, signal: &Signal) -> bool {
        let ends = matches!(signal.kind, Kind::Disconnect | Kind::Leave);
        let known = self.facts.conn.is_some() && signal.conn.is_some();
        ends && known && self.facts.conn != signal.conn
    }

    /// Whether (epoch, seq) lies above what is known.
    fn is_next(&self, signal: &Signal) -> bool {
        let (epoch, seq) = stamp(signal);
        match (epoch, self.epoch) {
            (None, _) | (_, None) => true,
            (Some(new), Some(old)) if new != old => new > old,
            (Some(_), Some(_)) => seq.is_none() || self.seq.is_none() || seq > self.seq,
        }
    }

    /// Takes the (epoch, seq) of a signal, unless it is a duplicate or reordered.
    pub(crate) fn accept(&mut self, signal: &Signal) -> bool {
        let (epoch, seq) = stamp(signal);
        if !self.is_next(signal) {
            // A device whose clock was set back is believed at the third signal in a row.
            let (Some(epoch), Some(seq)) = (epoch.filter(|epoch| Some(*epoch) < self.epoch), seq) else {
                return false;
            };
            let (of, latest, count) = self.row.unwrap_or((epoch, seq, 0));
            self.row = match (of == epoch, seq > latest || count == 0) {
                (false, _) => Some((epoch, seq, 1)),
                (true, true) => Some((epoch, seq, count + 1)),
                (true, false) => self.row,
            };
            if self.row.is_none_or(|row| row.2 < 3) {
                return false;
            }
        }
        self.row = None;
        if epoch.is_some() && epoch != self.epoch {
            (self.epoch, self.seq) = (epoch, seq);
        } else if seq.is_some() {
            self.seq = seq;
        }
        true
    }

    /// Whether this heartbeat begins a new incarnation of a session that is offline.
    pub(crate) fn revives(&self, signal: &Signal) -> bool {
        let (epoch, _) = stamp(signal);
        let left = self.gone.is_some_and(|(_, left)| left);
        let higher = if left { epoch > self.epoch } else { self.is_next(signal) };
        signal.kind == Kind::Heartbeat && (epoch.is_none() || self.epoch.is_none() || higher)
    }

    /// What a signal does that came after the session went offline and doesn't revive it.
    pub(crate) fn hear_late(&mut self, signal: &Signal, user: &mut User, w: Millis) {
        let late = signal.kind != Kind::Heartbeat && !self.by_another_connection(signal);
        if late && self.is_next(signal) {
            self.accept(signal);
            self.gone = self.gone.map(|(at, left)| (at, left || signal.kind == Kind::Leave));
            user.will(self, signal, w);
        }
    }

    /// Lets an accepted signal act. What it would be called if the session rises by it.
    pub(crate) fn hear(&mut self, signal: &Signal, first: bool, policy: &Policy, w: Millis) -> Option<Cause> {
        match signal.kind {
            Kind::Heartbeat => self.beat(signal, first, policy, w),
            Kind::Update => self.learn(signal, signal.visibility, policy, w).then_some(Cause::Visible),
            Kind::Disconnect => {
                self.closed = self.closed.or(Some(w));
                None
            }
            Kind::Leave => {
                self.leaving = self.leaving.or(Some(w));
                None
            }
        }
    }

    fn beat(&mut self, signal: &Signal, first: bool, policy: &Policy, w: Millis) -> Option<Cause> {
        (self.seen, self.closed, self.leaving) = (w, None, None);
        let claimed = signal.state.map(|claim| match claim {
            Claim::Active | Claim::Idle => Visibility::Visible,
            Claim::Away => Visibility::Hidden,
        });
        let thawed = Some(Visibility::Hidden).filter(|_| self.facts.visibility == Visibility::Frozen);
        let into_sight = self.learn(signal, signal.visibility.or(claimed).or(thawed), policy, w);
        let profile = profile_of(&self.facts, policy);
        if signal.state == Some(Claim::Away) {
            let hidden = w.saturating_sub(profile.hidden_after);
            self.facts.out_of_sight = self.facts.out_of_sight.map(|since| since.min(hidden));
        }
        let before = self.input;
        let counts = match (signal.input_age_ms, signal.state) {
            (Some(age), _) => {
                let input = w.saturating_sub(age);
                if first || !self.facts.reported || age == 0 || input >= self.input + 1_000 {
                    self.input = input;
                }
                age == 0 || self.input > before
            }
            (None, Some(Claim::Active)) => {
                self.input = w;
                true
            }
            (None, Some(Claim::Idle)) => {
                self.input = self.input.min(w.saturating_sub(profile.idle_after));
                false
            }
            (None, Some(Claim::Away) | None) => false,
        };
        self.facts.reported |= signal.input_age_ms.is_some() || signal.state.is_some();
        let assumed = self.facts.visibility == Visibility::Visible && !self.facts.reported;
        if assumed {
            self.input = w;
        }
        let causes = [(counts, Cause::Input), (into_sight, Cause::Visible), (assumed, Cause::Input)];
        causes.into_iter().find(|(holds, _)| *holds).map(|(_, cause)| cause)
    }

    /// Takes the facts. Whether the session came into sight.
    fn learn(&mut self, signal: &Signal, visibility: Option<Visibility>, policy: &Policy, w: Millis) -> bool {
        let facts = &mut self.facts;
        facts.conn = signal.conn.clone().or(facts.conn.take());
        facts.every_ms = signal.every_ms.unwrap_or(facts.every_ms);
        if let Some(can) = signal.can.clone().filter(|can| can.iter().all(|name| policy.capabilities.contains(name))) {
            facts.can = can;
        }
        facts.rooms = signal.rooms.clone().unwrap_or(std::mem::take(&mut facts.rooms));
        facts.meta = signal.meta.clone().or(facts.meta.take()).filter(|meta| **meta != *"{}");
        if let Some(profile) = signal.profile.clone().filter(|name| policy.profile_index(name).is_some()) {
            facts.profile = profile;
        }
        let before = facts.visibility;
        facts.visibility = visibility.unwrap_or(before);
        facts.out_of_sight = match facts.visibility {
            Visibility::Visible => None,
            Visibility::Hidden | Visibility::Frozen => facts.out_of_sight.or(Some(w)),
        };
        if visibility == Some(Visibility::Frozen) {
            self.frozen = w;
        }
        before != Visibility::Visible && facts.visibility == Visibility::Visible
    }

    /// Every deadline with the state below it, and why. Of the same instant and state, the first counts.
    fn ladder(&self, policy: &Policy) -> Vec<(Millis, State, Cause)> {
        let facts = &self.facts;
        let profile = profile_of(facts, policy);
        let mut ladder = Vec::new();
        if let Some(at) = self.leaving {
            ladder.push((at + profile.leave_linger, State::Offline, Cause::Left));
        }
        if facts.visibility == Visibility::Frozen {
            ladder.push((0, State::Away, Cause::Frozen));
            ladder.push((self.frozen + profile.frozen_offline_after, State::Offline, Cause::Frozen));
            return ladder;
        }
        let (mut idle_after, mut stale_after) = (profile.idle_after, profile.stale_after);
        if let Some(promise) = profile.promise.as_ref().filter(|_| facts.every_ms > 0) {
            let every = u64::from(facts.every_ms).min(promise.cap);
            stale_after = u64::from(promise.factor_permille) * every / 1_000 + promise.slack;
            if !facts.reported {
                idle_after = idle_after.max(u64::from(promise.idle_beats) * every);
            }
        }
        let to_away = profile.away_after - profile.idle_after;
        let to_offline = profile.offline_after - profile.stale_after;
        let closed = self.closed.map(|at| (at + profile.disconnect_grace, Cause::Disconnected));
        for (stale, cause) in closed.into_iter().chain([(self.seen + stale_after, Cause::Silent)]) {
            ladder.push((stale, State::Stale, cause));
            ladder.push((stale + to_offline, State::Offline, cause));
        }
        ladder.extend(facts.out_of_sight.map(|at| (at + profile.hidden_after, State::Away, Cause::Hidden)));
        ladder.push((self.input + idle_after + to_away, State::Away, Cause::Quiet));
        ladder.push((self.input + idle_after, State::Idle, Cause::Quiet));
        ladder
    }

    /// The state at an instant: the lowest whose deadline is reached, because of what reached it first.
    pub(crate) fn state_at(&self, instant: Millis, policy: &Policy) -> (State, Cause) {
        if self.gone.is_some() {
            return (State::Offline, Cause::Left);
        }
        let ladder = self.ladder(policy);
        let reached = || ladder.iter().filter(|(at, ..)| *at <= instant);
        let state = reached().map(|(_, state, _)| *state).max().unwrap_or(State::Active);
        let first = reached().filter(|(_, of, _)| *of == state).min_by_key(|(at, ..)| *at);
        (state, first.map_or(Cause::Input, |(.., cause)| *cause))
    }

    pub(crate) fn certainty(&self, instant: Millis, policy: &Policy) -> Certainty {
        let profile = profile_of(&self.facts, policy);
        let promised = profile.promise.as_ref().filter(|_| self.facts.every_ms > 0);
        let promised = promised.map_or(0, |promise| u64::from(self.facts.every_ms).min(promise.cap) + promise.slack);
        let Confidence { model, grace, half_life, .. } = profile.confidence;
        let grace_ms = grace.max(promised);
        let silence = instant.saturating_sub(self.seen);
        let permille = if self.gone.is_some() { 0 } else { profile.confidence.permille(silence, grace_ms) };
        Certainty { permille, model, grace_ms, half_life_ms: half_life }
    }

    /// The instant of its next fall, and the state that it falls to.
    pub(crate) fn next(&self, policy: &Policy) -> Option<(Millis, State)> {
        self.next_fall(policy).map(|at| (at, self.state_at(at, policy).0))
    }

    /// When it falls below the state it is in.
    fn next_fall(&self, policy: &Policy) -> Option<Millis> {
        let live = self.gone.is_none();
        let below = self.ladder(policy).into_iter().filter(|(_, state, _)| live && *state > self.state);
        below.map(|(at, ..)| at).min()
    }

    pub(crate) fn forget_at(&self, policy: &Policy) -> Option<Millis> {
        self.gone.map(|(at, _)| at + profile_of(&self.facts, policy).tombstone)
    }

    pub(crate) fn enter(&mut self, state: State, instant: Millis) {
        (self.from, self.state) = (self.state, state);
        self.ordinal += 1;
        if state == State::Offline {
            self.gone = Some((instant, self.leaving.is_some()));
        }
    }
}

fn profile_of<'a>(facts: &Facts, policy: &'a Policy) -> &'a presence::model::Profile {
    &policy.profiles[policy.profile_index(&facts.profile).expect("a known profile")].1
}

/// Why a session changed its state by a signal, where `why` its facts put it there, and `up` is what would have raised it.
pub(crate) fn by_signal(signal: &Signal, before: State, state: State, why: Cause, up: Option<Cause>) -> Cause {
    let claimed = signal.state.is_some() && signal.kind == Kind::Heartbeat;
    if state > before {
        return match why {
            Cause::Frozen | Cause::Left | Cause::Disconnected => why,
            Cause::Hidden if !claimed => why,
            _ => Cause::Claimed,
        };
    }
    match up {
        _ if before == State::Stale && signal.kind == Kind::Heartbeat => Cause::Resumed,
        Some(cause) => cause,
        None if why == Cause::Frozen => Cause::Frozen,
        None => Cause::Claimed,
    }
}
