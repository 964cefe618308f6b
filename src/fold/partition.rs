//! A partition: the state machine that folds one partition's log.

use std::sync::Arc;

use super::act::Held;
use super::checkpoint::Segments;
use super::entry::{Body, Entry};
use super::gateway::Gateways;
use super::key::IndexKey;
use super::observed::{ObservedTime, Passage};
use super::outlook::Crossings;
use super::population::Population;
use super::record::TIME_MAX;
use super::rooms::Rooms;
use super::sought::Sought;
use super::wheel::TimingWheel;
use crate::model::{Address, EngineWhat, Event, Millis, Policy, State, Token};

/// Deadlines are settled on this grid of observed time. It is part of the contract, not a setting.
pub const GRID_MS: Millis = 100;

/// One partition's sessions and users, folded from its log.
///
/// [`Partition::apply`] takes the log's entries in their order and appends what they tell. It reads no clock: time passes
/// only as the entries' timestamps tell. The same entries give the same events, whatever was restored in between.
///
/// ```
/// use presence_engine::fold::{Body, Entry, IndexKey, Partition};
/// use presence_engine::model::{Address, EventBody, Signal, State};
///
/// let mut partition = Partition::new(0, &IndexKey::new(1, 2));
/// let address = Address::parse("main.alice.laptop").unwrap();
/// let mut events = Vec::new();
/// let signal = Signal::default();
/// partition.apply(&Entry { seq: 1, ts: 1_000_000, body: Body::Signal(address, &signal) }, &mut events);
/// for second in 1..=60 {
///     let tick = Entry { seq: 1 + second, ts: 1_000_000 + 1_000 * second, body: Body::Tick { failed: 0 } };
///     partition.apply(&tick, &mut events);
/// }
/// let EventBody::Session(idle) = &events[2].body else { panic!("{events:?}") };
/// assert_eq!((idle.from, idle.to, events[2].at_ms), (State::Active, State::Idle, 1_060_000));
/// ```
#[derive(Debug)]
#[repr(C)]
pub struct Partition {
    // What every signal touches comes first and lies together: there are as many partitions as a processor has cache for.
    pub(crate) seq: u64,
    pub(crate) time: ObservedTime,
    /// The log's time before which nothing happens by time alone, as long as nobody but plain heartbeats is heard: set behind
    /// each entry that goes the long way.
    pub(crate) calm_until: Millis,
    /// The policy's `blind_after`, where it is read with the others.
    pub(crate) blind_after: Millis,
    /// Observed time before which the wheel has nothing to say, so that most entries need not ask it.
    pub(crate) quiet_until: Millis,
    pub(crate) policy: Arc<Policy>,
    /// What follows from the policy, see [`Crossings`].
    pub(crate) crossings: Vec<Crossings>,
    /// Whether its time has started, with the first entry of its first log.
    pub(crate) started: bool,
    pub(crate) number: u16,
    pub(crate) generation: u32,
    pub(crate) people: Population,
    pub(crate) gateways: Gateways,
    pub(crate) rooms: Rooms,
    /// What its next checkpoint builds on.
    pub(crate) segments: Segments,
    pub(crate) wheel: TimingWheel,
    pub(crate) wheel_tick: Millis,
    /// While a span of the wheel is being settled: its last step, and the sessions to arm again behind it.
    pub(crate) settling: Option<u64>,
    pub(crate) deferred: Vec<u32>,
    /// The log second of the latest rejection, and how many were told in it.
    pub(crate) rejected: (u64, u32),
    /// The highest incarnation of anybody who was forgotten.
    pub(crate) forgotten: u64,
    /// Signals that were dropped as duplicate, reordered or late.
    pub(crate) dropped: u64,
}

impl Partition {
    /// A partition before its log's first entry, under the built-in policy.
    #[must_use]
    pub fn new(number: u16, key: &IndexKey) -> Self {
        Self::with_wheel_tick(number, key, GRID_MS)
    }

    /// As [`Partition::new`], with another width of the wheel's steps in milliseconds (64 at least). It changes no event.
    ///
    /// # Panics
    /// If the width is below 64 ms, which the records' wheel steps could not hold.
    #[must_use]
    pub fn with_wheel_tick(number: u16, key: &IndexKey, wheel_tick: Millis) -> Self {
        assert!(wheel_tick >= 64, "a wheel tick of {wheel_tick} ms is below 64");
        Self {
            number,
            generation: 0,
            seq: 0,
            started: false,
            time: ObservedTime::starting_at(0),
            crossings: Crossings::of(&Policy::default()),
            policy: Arc::default(),
            people: Population::new(key),
            gateways: Gateways::default(),
            rooms: Rooms::new(),
            segments: Segments::default(),
            wheel: TimingWheel::starting_at(0),
            wheel_tick,
            calm_until: 0,
            blind_after: Policy::default().blind_after,
            quiet_until: 0,
            settling: None,
            deferred: Vec::new(),
            rejected: (0, 0),
            forgotten: 0,
            dropped: 0,
        }
    }

    /// Folds one entry and appends its events in their order. Entries at or before the position change nothing.
    pub fn apply(&mut self, entry: &Entry<'_>, out: &mut Vec<Event>) {
        let sought = entry.body.address().map(|address| self.people.sought(address)).unwrap_or_default();
        self.apply_sought(entry, &sought, out);
    }

    /// As [`Partition::apply`], with what [`Ahead::look`](super::Ahead::look) found of this partition's signal.
    #[inline]
    pub fn apply_sought(&mut self, entry: &Entry<'_>, sought: &Sought, out: &mut Vec<Event>) {
        if entry.seq <= self.seq {
            return;
        }
        if let Body::Beat(address, beat) = &entry.body
            && let Some(passed) = self.calm_by(entry.ts)
            && self.renew((*address, sought), *beat, Held::default(), self.time.w + passed)
        {
            self.seq = entry.seq;
            self.time.watch(passed);
            return;
        }
        self.apply_slowly(entry, sought, out);
    }

    /// As [`Partition::apply_sought`], of any entry.
    fn apply_slowly(&mut self, entry: &Entry<'_>, sought: &Sought, out: &mut Vec<Event>) {
        let first = out.len();
        self.seq = entry.seq;
        let ts = entry.ts.min(TIME_MAX);
        if !self.started {
            self.start_at(ts);
        }
        self.pass(ts, &entry.body, out);
        match &entry.body {
            Body::Beat(address, beat) => self.take((*address, sought), &(*beat).into(), Held::default(), out),
            Body::Signal(address, signal) => self.take((*address, sought), signal, Held::default(), out),
            Body::Batch { tenant, gateway, items } => self.unpack((*tenant, *gateway), items, out),
            Body::Rejected { subject, reason } => self.reject((*subject).into(), reason.clone(), out),
            Body::Policy(policy) => self.adopt(policy, out),
            Body::Tick { .. } | Body::Other => {}
        }
        if out.len() > first {
            super::tell::put_in_order(&mut out[first..]);
        }
        let is_calm = self.time.hold == 0 && !self.wheel.has_pending();
        self.calm_until = if is_calm { self.time.told(self.quiet_until.min(TIME_MAX)).min(TIME_MAX) } else { 0 };
    }

    /// Puts a policy into force, without a look at anybody.
    pub(crate) fn set_policy(&mut self, policy: Arc<Policy>) {
        self.crossings = Crossings::of(&policy);
        self.blind_after = policy.blind_after;
        self.policy = policy;
    }

    pub(crate) fn start_at(&mut self, ts: Millis) {
        self.started = true;
        self.time = ObservedTime::starting_at(ts);
        self.wheel = TimingWheel::starting_at(ts / self.wheel_tick);
        self.quiet_until = 0;
    }

    /// Moves the time on to `ts` and settles what falls due by that.
    fn pass(&mut self, ts: Millis, body: &Body<'_>, out: &mut Vec<Event>) {
        let failed_since = match body {
            Body::Tick { failed: 1.. } => self.time.excuse_failed_ticks(ts, &self.policy),
            _ => None,
        };
        let passage = self.time.passage(ts, &self.policy);
        let from = self.time.hi;
        match passage {
            Passage::Watched | Passage::Still => {}
            // The difference to log time changes: what is due by now is told by the one in force until now.
            Passage::Held | Passage::Blind | Passage::SetBack => self.settle(self.time.w, out),
        }
        self.time.advance(ts, &self.policy);
        match passage {
            Passage::Blind => self.tell_engine(EngineWhat::Blind, from, ts, out),
            Passage::SetBack => self.tell_engine(EngineWhat::Clock, from, ts, out),
            Passage::Watched | Passage::Held | Passage::Still => {}
        }
        if let Some(since) = failed_since {
            self.tell_engine(EngineWhat::TicksFailed, since, ts, out);
        }
        if let Body::Tick { .. } = body {
            self.time.last_tick = Some(ts);
        }
        if self.time.w >= self.quiet_until {
            self.settle(self.grid(), out);
        }
    }

    /// The sequence of the last entry that was folded, 0 before the first.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.seq
    }

    /// The partition's number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The latest timestamp of the log, in milliseconds.
    #[must_use]
    pub fn log_time(&self) -> Millis {
        self.time.hi
    }

    /// Which log it is, counted: grows each time the log was lost.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The log time at which an entry would first have something to settle, early rather than late. `None`: never.
    #[must_use]
    pub fn next_due(&self) -> Option<Millis> {
        let of_people = self.next_due_of_people();
        let instant = of_people.into_iter().chain(self.gateways.next_alarm()).min()?;
        Some(self.time.expected(instant))
    }

    /// The instant of the grid at which something may fall due of somebody.
    fn next_due_of_people(&self) -> Option<Millis> {
        let step = self.wheel.next_step()?;
        let instant = if !self.somebody_may_be_due() {
            self.quiet_until + GRID_MS
        } else if self.quiet_until < self.grid() {
            // It was put where the wheel stands, which is the next instant of the grid, and is due by this one already.
            self.grid()
        } else {
            step * self.wheel_tick
        };
        Some(instant)
    }

    /// How many sessions are kept, remembered ones included.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.people.hot.len()
    }

    /// How many signals were dropped as duplicate, reordered or late since it was made.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The state of a session as it was told last; offline if nothing is known of it.
    #[must_use]
    pub fn session_state(&self, address: Address<'_>) -> State {
        self.people.find(address, &self.people.sought(address)).map_or(State::Offline, |at| self.people.hot[at].state())
    }

    /// The state of a user as it was told last; offline if nothing is known of it.
    #[must_use]
    pub fn user_state(&self, tenant: Token<'_>, user: Token<'_>) -> State {
        self.people.find_user(tenant, user).map_or(State::Offline, |at| self.people.users[at].state)
    }

    /// The log was lost: another one begins at the next entry, counted as `generation`. Who is there stays, and the gap
    /// between their timestamps is excused as any other.
    pub fn lose_log(&mut self, generation: u32) {
        self.generation = generation;
        self.seq = 0;
    }

    /// Entries up to `seq` count as folded: of a log that lost a part, what was told of it already is not folded again.
    pub fn skip_to(&mut self, seq: u64) {
        self.seq = self.seq.max(seq);
    }
}
