//! What a signal does to one session, and what follows from its facts.

use presence_engine::model::{Cause, Claim, Intent, Kind, Millis, Policy, Signal, State, Transport, Visibility};

use super::fall::profile_of;
use super::gateway::Excuse;
use super::sky::Sky;

/// A session. Its instants are those of its own time, which stands still while it is excused.
pub(super) struct Session {
    pub(super) state: State,
    pub(super) incarnation: u64,
    pub(super) ordinal: u32,
    pub(super) at: Millis,
    pub(super) epoch: Option<u64>,
    pub(super) seq: Option<u64>,
    /// Of signals of a lower epoch in a row: the epoch, the latest seq, how many.
    row: Option<(u64, u64, u32)>,
    /// The intent that this session said last.
    pub(super) said: Option<Intent>,
    pub(super) facts: Facts,
    pub(super) seen: Millis,
    pub(super) input: Millis,
    pub(super) frozen: Millis,
    pub(super) closed: Option<Millis>,
    pub(super) leaving: Option<Millis>,
    /// When it last left active, how far it is stretched, and since when.
    pub(super) left_active: Option<Millis>,
    pub(super) level: u64,
    pub(super) raised: Millis,
    pub(super) excuse: Option<Excuse>,
    /// When it went offline, and whether it had left. For a voice: when it spoke last.
    pub(super) gone: Option<(Millis, bool)>,
    /// It never lived.
    pub(super) voice: bool,
    pub(super) told: Told,
}

/// What was told of it last, and the instant of that.
#[derive(Default)]
pub(super) struct Told {
    pub(super) instant: Millis,
    pub(super) band: u8,
    /// The confidence that was told.
    pub(super) permille: u16,
    pub(super) facts: Option<Shown>,
}

/// The facts whose change is told.
#[derive(Clone, PartialEq)]
pub(super) struct Shown {
    pub(super) transport: Transport,
    visibility: Visibility,
    can: Box<[Box<str>]>,
    rooms: Box<[Box<str>]>,
    meta: Option<Box<str>>,
}

/// What an incarnation inherits from its predecessor of the same epoch; the connection it doesn't.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) visibility: Visibility,
    pub(super) out_of_sight: Option<Millis>,
    pub(super) reported: bool,
    pub(super) every_ms: u32,
    pub(super) can: Box<[Box<str>]>,
    pub(super) rooms: Box<[Box<str>]>,
    pub(super) meta: Option<Box<str>>,
    pub(super) profile: Box<str>,
    /// Whether it named its profile.
    pub(super) named: bool,
    pub(super) conn: Option<Box<str>>,
}

/// `seq` alone has epoch 0.
fn stamp(signal: &Signal) -> (Option<u64>, Option<u64>) {
    (signal.epoch.or(signal.seq.map(|_| 0)), signal.seq)
}

impl Session {
    /// An incarnation before its first signal acts.
    pub(super) fn new(predecessor: u64, inherited: Option<Facts>, policy: &Policy, w: Millis, hi: Millis) -> Self {
        let fresh = Facts {
            visibility: Visibility::Visible,
            out_of_sight: None,
            reported: false,
            every_ms: 0,
            can: Box::default(),
            rooms: Box::default(),
            meta: None,
            profile: policy.default_profile.clone(),
            named: false,
            conn: None,
        };
        Self {
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
            left_active: None,
            level: 0,
            raised: 0,
            excuse: None,
            gone: None,
            voice: false,
            told: Told::default(),
        }
    }

    /// One that speaks and doesn't live.
    pub(super) fn voice(policy: &Policy, w: Millis) -> Self {
        Self { voice: true, gone: Some((w, false)), incarnation: 0, ..Self::new(0, None, policy, w, 0) }
    }

    pub(super) fn is_live(&self) -> bool {
        self.gone.is_none()
    }

    pub(super) fn shown(&self) -> Shown {
        let facts = self.facts.clone();
        let closed = self.closed.is_some() || self.leaving.is_some();
        Shown {
            transport: if closed { Transport::Closed } else { Transport::Open },
            visibility: facts.visibility,
            can: facts.can,
            rooms: facts.rooms,
            meta: facts.meta,
        }
    }

    /// Its excuse ends at `w` with another, or with none: what was excused stays so, by moving every instant.
    pub(super) fn excuse_by(&mut self, excuse: Option<Excuse>, w: Millis, sky: &Sky) {
        let by = sky.excused(self, w);
        let instants = [&mut self.closed, &mut self.leaving, &mut self.left_active, &mut self.facts.out_of_sight];
        let instants = instants.into_iter().flatten();
        // What never was stays so.
        let since = [&mut self.frozen, &mut self.raised].into_iter().filter(|at| **at > 0);
        instants.chain([&mut self.seen, &mut self.input]).chain(since).for_each(|at| *at += by);
        self.excuse = excuse;
    }

    /// A disconnect or a leave of another connection than the latest is ignored wholly.
    pub(super) fn by_another_connection(&self, signal: &Signal) -> bool {
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
    pub(super) fn accept(&mut self, signal: &Signal) -> bool {
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
    pub(super) fn revives(&self, signal: &Signal) -> bool {
        let (epoch, _) = stamp(signal);
        let left = self.gone.is_some_and(|(_, left)| left);
        let higher = if left { epoch > self.epoch } else { self.is_next(signal) };
        signal.kind == Kind::Heartbeat && (epoch.is_none() || self.epoch.is_none() || higher)
    }

    /// What a signal does that came after the session went offline and doesn't revive it. Whether it was accepted.
    pub(super) fn hear_late(&mut self, signal: &Signal, w: Millis) -> bool {
        let late = signal.kind != Kind::Heartbeat && !self.by_another_connection(signal) && self.is_next(signal);
        if late {
            self.accept(signal);
            let speaks = self.voice && signal.kind == Kind::Update;
            let left = signal.kind == Kind::Leave;
            self.gone = self.gone.map(|(at, was)| (if speaks { w } else { at }, was || left));
        }
        late
    }

    /// Lets an accepted signal act. What it would be called if the session rises by it.
    pub(super) fn hear(&mut self, signal: &Signal, first: bool, policy: &Policy, w: Millis) -> Option<Cause> {
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
        let (before, late) = (self.input, w < self.seen && !first);
        (self.seen, self.closed, self.leaving) = (self.seen.max(w), None, None);
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
                self.input = self.input.min(w.saturating_sub(profile.idle_after + self.level * profile.anti_flap));
                false
            }
            (None, Some(Claim::Away) | None) => false,
        };
        self.facts.reported |= signal.input_age_ms.is_some() || signal.state.is_some();
        let assumed = self.facts.visibility == Visibility::Visible && !self.facts.reported;
        if assumed {
            self.input = w;
        }
        if late {
            self.input = self.input.max(before);
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
            (facts.profile, facts.named) = (profile, true);
        }
        let before = facts.visibility;
        facts.visibility = visibility.unwrap_or(before);
        facts.out_of_sight = match facts.visibility {
            Visibility::Visible => None,
            Visibility::Hidden | Visibility::Frozen => facts.out_of_sight.or(Some(w)),
        };
        if visibility == Some(Visibility::Frozen) {
            self.frozen = self.frozen.max(w);
        }
        before != Visibility::Visible && facts.visibility == Visibility::Visible
    }
}

/// Why a session changed its state by a signal, where `why` its facts put it there, and `up` is what would have raised it.
pub(super) fn by_signal(signal: &Signal, before: State, state: State, why: Cause, up: Option<Cause>) -> Cause {
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
