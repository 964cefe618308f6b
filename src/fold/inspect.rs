//! What a partition holds of one user, for people who ask why. Changes nothing.

use super::partition::Partition;
use crate::model::session::NEVER;
use crate::model::{Cause, Certainty, Intent, Millis, NextState, State, Token, Transport, Visibility};

/// What is kept of a user. Times are log time as it would be told now, ages are observed time: milliseconds, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The state that was told last.
    pub state: State,
    /// The number of its incarnation.
    pub incarnation: u64,
    /// The ordinal of its latest event.
    pub ordinal: u32,
    /// The person's will, whether it is told or not.
    pub intent: Intent,
    /// When the intent becomes open by itself.
    pub intent_until_ms: Option<Millis>,
    /// How probable it is that the best session is still there.
    pub confidence: Certainty,
    /// What comes next if nothing more is heard.
    pub next: Option<NextState>,
    /// What it was told to be ready for, each with the log time since when.
    pub ready: Vec<(Box<str>, Millis)>,
    /// Its sessions in the order of their names, remembered ones included.
    pub sessions: Vec<InspectedSession>,
}

/// What is kept of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedSession {
    /// Its token.
    pub session: Box<str>,
    /// Its state; one that is offline is remembered.
    pub state: State,
    /// The number of its incarnation.
    pub incarnation: u64,
    /// The ordinal of its latest event.
    pub ordinal: u32,
    /// The last life sign.
    pub last_seen_ms: Millis,
    /// Observed time since then.
    pub silence_ms: Millis,
    /// The last input.
    pub last_input_ms: Millis,
    /// Observed time since then.
    pub quiet_ms: Millis,
    /// How much of the time since the last life sign its gateway was silent for, and is excused.
    pub gateway_excused_ms: Millis,
    /// How much longer it may be quiet by anti-flap.
    pub stretched_ms: Millis,
    /// Whether input was reported in this incarnation, so that plain heartbeats don't count as input.
    pub reported: bool,
    /// Whether it is in sight.
    pub visibility: Visibility,
    /// Observed time since it went out of sight.
    pub out_of_sight_ms: Option<Millis>,
    /// Whether the connection is there.
    pub transport: Transport,
    /// The promised interval between beats, 0 for none.
    pub every_ms: u32,
    /// The client's epoch.
    pub epoch: Option<u64>,
    /// The client's counter.
    pub seq: Option<u64>,
    /// The latest connection.
    pub conn: Option<Box<str>>,
    /// The intent that this session said last.
    pub said: Option<Intent>,
    /// The policy profile in force.
    pub profile: Box<str>,
    /// How probable it is that it is still there.
    pub confidence: Certainty,
    /// The way down if nothing more is heard, from its last signals on: falls that have come, then those to come.
    pub falls: Vec<Fall>,
}

/// A deadline of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fall {
    /// To which state.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// When, in log time.
    pub at_ms: Millis,
    /// Observed time until then; `None`: it has come.
    pub in_ms: Option<Millis>,
}

impl Partition {
    /// What is kept of a user, as of the last entry; `None` if nothing is known of it.
    #[must_use]
    pub fn inspect(&self, tenant: Token<'_>, user: Token<'_>) -> Option<Inspection> {
        let at = self.people.find_user(tenant, user)?;
        let of = &self.people.users[at];
        let (intent, until) = self.people.intent(at);
        Some(Inspection {
            state: of.state,
            incarnation: of.incarnation.get(),
            ordinal: of.ordinal,
            intent,
            intent_until_ms: until.map(|until| self.time.expected(until)),
            confidence: self.user_certainty(at, self.time.w),
            next: self.next_of_user(at, self.time.w),
            ready: self.people.person(at).map(|person| person.ready.clone()).unwrap_or_default(),
            sessions: self.people.sessions_in_order(at).into_iter().map(|at| self.inspect_session(at)).collect(),
        })
    }

    fn inspect_session(&self, at: u32) -> InspectedSession {
        let (hot, cold) = (&self.people.hot[at], &self.people.cold[at]);
        let facts = self.people.facts_of(at).cloned().unwrap_or_default();
        // Ages are those of the session's own time, which stands still while it is excused.
        let (own, excused) = (self.own(at, self.time.w), self.excused(at, self.time.w));
        let age = |instant: Millis| own.saturating_sub(instant);
        let closed = facts.is_closed();
        InspectedSession {
            session: self.people.session_name(at).into(),
            state: hot.state(),
            incarnation: cold.incarnation.get(),
            ordinal: cold.ordinal,
            last_seen_ms: self.time.told(hot.seen() + excused),
            silence_ms: age(hot.seen()),
            last_input_ms: self.time.told(hot.input() + excused),
            quiet_ms: age(hot.input()),
            gateway_excused_ms: excused,
            stretched_ms: self.people.life(at).stretch(self.profile_of(at)),
            reported: hot.reported(),
            visibility: hot.visibility(),
            out_of_sight_ms: facts.out_of_sight.map(age),
            transport: if closed { Transport::Closed } else { Transport::Open },
            every_ms: self.people.every_ms(at),
            epoch: self.people.epoch(at),
            seq: hot.seq(),
            conn: facts.conn,
            said: facts.said,
            profile: self.policy.profiles[hot.profile()].0.clone(),
            confidence: self.certainty(at, self.time.w),
            falls: self.falls(at),
        }
    }

    fn falls(&self, at: u32) -> Vec<Fall> {
        let deadlines = self.deadlines_of(at);
        let (own, excused) = (self.own(at, self.time.w), self.excused(at, self.time.w));
        let (mut falls, mut state) = (Vec::new(), State::Active);
        loop {
            let instant = deadlines.next_below(state);
            if instant == NEVER {
                return falls;
            }
            let (to, cause) = deadlines.state_at(instant);
            let in_ms = instant.checked_sub(own).filter(|left| *left > 0);
            let instant_now = instant + excused;
            let at_ms = if in_ms.is_some() { self.time.expected(instant_now) } else { self.time.told(instant_now) };
            falls.push(Fall { to, cause, at_ms, in_ms });
            state = to;
        }
    }

    /// Observed time, the log's time, and how much of what comes next will not be observed, in milliseconds.
    #[must_use]
    pub fn observed(&self) -> (Millis, Millis, Millis) {
        (self.time.w, self.time.hi, self.time.hold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::{Body, Entry, IndexKey};
    use crate::model::{Address, Signal};

    const START: Millis = 1_700_000_000_000;

    fn token(text: &str) -> Token<'_> {
        Token::parse(text).unwrap()
    }

    fn partition(seconds: u64) -> Partition {
        let (mut partition, mut events) = (Partition::new(0, &IndexKey::new(1, 2)), Vec::new());
        let address = Address::parse("main.alice.tab").unwrap();
        let signal = Signal { every_ms: Some(30_000), epoch: Some(5), ..Signal::default() };
        partition.apply(&Entry { seq: 1, ts: START, body: Body::Signal(address, &signal) }, &mut events);
        for second in 1..=seconds {
            let tick = Entry { seq: 1 + second, ts: START + 1_000 * second, body: Body::Tick { failed: 0 } };
            partition.apply(&tick, &mut events);
        }
        partition
    }

    #[test]
    fn a_user_is_seen_with_all_that_its_state_follows_from() {
        let alice = partition(92).inspect(token("main"), token("alice")).unwrap();
        assert_eq!((alice.state, alice.intent, alice.ordinal), (State::Idle, Intent::Open, 2));
        let [tab] = &alice.sessions[..] else { panic!("{alice:?}") };
        assert_eq!((&*tab.session, tab.state, &*tab.profile), ("tab", State::Idle, "default"));
        assert_eq!((tab.silence_ms, tab.quiet_ms, tab.last_seen_ms), (92_000, 92_000, START));
        assert_eq!((tab.every_ms, tab.epoch, tab.transport), (30_000, Some(5), Transport::Open));
        let falls: Vec<_> =
            tab.falls.iter().map(|fall| (fall.to, fall.cause, fall.at_ms - START, fall.in_ms)).collect();
        let expected = [
            (State::Idle, Cause::Quiet, 90_000, None),
            (State::Stale, Cause::Silent, 95_000, Some(3_000)),
            (State::Offline, Cause::Silent, 155_000, Some(63_000)),
        ];
        assert_eq!(falls, expected, "3 × 30 s of quiet, 2 × 30 s + 35 s of silence");
        assert_eq!(alice.next, Some(NextState { to: State::Stale, at_ms: START + 95_000 }));
    }

    #[test]
    fn nothing_is_known_of_a_stranger() {
        assert_eq!(partition(1).inspect(token("main"), token("bob")), None);
    }

    #[test]
    fn time_that_nobody_watched_is_in_no_age() {
        let mut partition = partition(10);
        let tick = Entry { seq: 100, ts: START + 3_600_000, body: Body::Tick { failed: 0 } };
        partition.apply(&tick, &mut Vec::new());
        let (w, hi, hold) = partition.observed();
        assert_eq!((w - START, hi - START, hold), (10_000, 3_600_000, 15_000));
        let alice = partition.inspect(token("main"), token("alice")).unwrap();
        assert_eq!(alice.sessions[0].silence_ms, 10_000);
        let idle = alice.sessions[0].falls[0];
        assert_eq!((idle.in_ms, idle.at_ms - START), (Some(80_000), 3_600_000 + 80_000 + 15_000));
    }
}
