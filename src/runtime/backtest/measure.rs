//! What the events of a fold say about its policy. Pure.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::model::{Cause, Event, EventBody, Millis, SessionEvent, State, UserEvent};

/// Who is active again so soon after leaving active has flapped.
pub const FLAP_MS: Millis = 60_000;

/// Takes events in their order, and counts.
#[derive(Debug, Default)]
pub struct Measure {
    sessions: Chains,
    users: Chains,
    resumed: u64,
    to_stale: Vec<Millis>,
    to_offline: Vec<Millis>,
    ready: u64,
    rejected: u64,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Measured {
    /// Sessions' transitions.
    pub sessions: Counted,
    /// Users' transitions.
    pub users: Counted,
    /// Sessions that were stale and were heard again in the same incarnation: candidates for having been stale by mistake.
    pub resumed: u64,
    /// From the last life sign to stale: the silence that counted.
    pub to_stale: Delays,
    /// From the last life sign to offline, but for those who left.
    pub to_offline: Delays,
    /// Changes of what users are ready for.
    pub ready: u64,
    /// Signals that were refused, as far as that is told.
    pub rejected: u64,
}

/// Transitions of sessions or of users.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counted {
    /// By state before and state after, in the order of the states.
    pub transitions: Vec<Transitions>,
    /// Active again within [`FLAP_MS`] of leaving active.
    pub flaps: u64,
}

/// How often a state came after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Transitions {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// How often.
    pub count: u64,
}

/// How long something took, by nearest rank; nothing where it never happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Delays {
    /// How often it happened.
    pub count: u64,
    /// Half of them took no longer.
    pub p50_ms: Option<Millis>,
    /// 99 of 100 took no longer.
    pub p99_ms: Option<Millis>,
}

#[derive(Debug, Default)]
struct Chains {
    transitions: BTreeMap<(State, State), u64>,
    flaps: u64,
    /// When those who are idle or away left active.
    left_active: HashMap<String, Millis>,
}

impl Measure {
    /// Takes the next event of any partition; those of one partition come in their order.
    pub fn observe(&mut self, event: &Event) {
        match &event.body {
            EventBody::Session(of) => self.session(event.at_ms, of),
            EventBody::User(of) => self.user(event.at_ms, of),
            EventBody::Ready(_) => self.ready += 1,
            EventBody::Rejected(_) => self.rejected += 1,
            EventBody::Engine(_) => {}
        }
    }

    fn session(&mut self, at_ms: Millis, of: &SessionEvent) {
        let SessionEvent { tenant, user, session, from, to, cause, last_seen_ms, .. } = of;
        self.sessions.walk(|| format!("{tenant}.{user}.{session}"), *from, *to, at_ms);
        let silence = at_ms.saturating_sub(*last_seen_ms);
        match (from, to, cause) {
            (State::Stale, State::Active | State::Idle | State::Away, Cause::Resumed) => self.resumed += 1,
            (_, State::Stale, _) if from != to => self.to_stale.push(silence),
            (_, State::Offline, cause) if from != to && *cause != Cause::Left => self.to_offline.push(silence),
            _ => {}
        }
    }

    fn user(&mut self, at_ms: Millis, of: &UserEvent) {
        let UserEvent { tenant, user, from, to, .. } = of;
        self.users.walk(|| format!("{tenant}.{user}"), *from, *to, at_ms);
    }

    /// What was counted.
    #[must_use]
    pub fn measured(self) -> Measured {
        let Self { sessions, users, resumed, to_stale, to_offline, ready, rejected } = self;
        Measured {
            sessions: sessions.counted(),
            users: users.counted(),
            resumed,
            to_stale: Delays::of(to_stale),
            to_offline: Delays::of(to_offline),
            ready,
            rejected,
        }
    }
}

impl Chains {
    fn walk(&mut self, key: impl Fn() -> String, from: State, to: State, at_ms: Millis) {
        if from == to {
            return;
        }
        *self.transitions.entry((from, to)).or_default() += 1;
        match (from, to) {
            (State::Active, State::Idle | State::Away) => {
                self.left_active.insert(key(), at_ms);
            }
            (State::Idle | State::Away, State::Active) => {
                let left = self.left_active.remove(&key());
                self.flaps += u64::from(left.is_some_and(|left| at_ms.saturating_sub(left) <= FLAP_MS));
            }
            (State::Idle, State::Away) | (State::Away, State::Idle) => {}
            // From stale and offline it is not the quiet that was too short.
            (_, State::Stale | State::Offline) => {
                self.left_active.remove(&key());
            }
            (State::Stale | State::Offline, _) | (_, State::Active | State::Idle | State::Away) => {}
        }
    }

    fn counted(self) -> Counted {
        let transitions = self.transitions.into_iter().map(|((from, to), count)| Transitions { from, to, count });
        Counted { transitions: transitions.collect(), flaps: self.flaps }
    }
}

impl Counted {
    /// How often `to` came after `from`.
    #[must_use]
    pub fn count(&self, from: State, to: State) -> u64 {
        let found = self.transitions.iter().find(|of| (of.from, of.to) == (from, to));
        found.map_or(0, |of| of.count)
    }
}

impl Delays {
    fn of(mut delays: Vec<Millis>) -> Self {
        delays.sort_unstable();
        let rank = |percent: usize| {
            let rank = (delays.len() * percent).div_ceil(100);
            rank.checked_sub(1).map(|at| delays[at])
        };
        Self { count: delays.len() as u64, p50_ms: rank(50), p99_ms: rank(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_ms: Millis, session: &str, from: State, to: State, cause: Cause, last_seen_ms: Millis) -> Event {
        let recalled = serde_json::json!({
            "v": 1, "kind": "session", "id": "0-0-1-0", "incarnation": 1, "ordinal": 1, "cause": "joined", "at_ms": at_ms,
            "partition": 0, "seq": 1, "tenant": "main", "user": "alice", "session": session, "from": from, "to": to,
            "last_seen_ms": last_seen_ms, "last_input_ms": 0, "transport": "open", "visibility": "visible", "can": [],
            "rooms": [], "meta": {}, "profile": "default", "every_ms": 0, "epoch": null, "seq_client": null, "conn": null,
            "confidence": null, "next": null,
        });
        let told = crate::wire::ToldEvent::read(recalled.to_string().as_bytes()).unwrap();
        let mut event = told.recall().unwrap();
        let EventBody::Session(of) = &mut event.body else { unreachable!() };
        of.cause = cause;
        event
    }

    fn measured(events: &[Event]) -> Measured {
        let mut measure = Measure::default();
        events.iter().for_each(|event| measure.observe(event));
        measure.measured()
    }

    #[test]
    fn transitions_are_counted_by_both_states_and_repetitions_are_none() {
        use State::{Active, Idle, Offline};
        let found = measured(&[
            event(1_000, "a", Offline, Active, Cause::Joined, 1_000),
            event(2_000, "a", Active, Active, Cause::Fading, 1_000),
            event(3_000, "a", Active, Idle, Cause::Quiet, 1_000),
            event(3_000, "b", Active, Idle, Cause::Quiet, 1_000),
        ]);
        let expected =
            [Transitions { from: Active, to: Idle, count: 2 }, Transitions { from: Offline, to: Active, count: 1 }];
        assert_eq!(found.sessions.transitions, expected);
        assert_eq!((found.sessions.count(Active, Idle), found.sessions.count(Idle, Active)), (2, 0));
        assert_eq!(found.users, Counted::default());
    }

    #[test]
    fn active_again_within_a_minute_of_leaving_it_is_a_flap() {
        use State::{Active, Away, Idle, Stale};
        let back_after = |ms: Millis| {
            let events = [
                event(100_000, "a", Active, Idle, Cause::Quiet, 0),
                event(110_000, "a", Idle, Away, Cause::Quiet, 0),
                event(100_000 + ms, "b", Away, Active, Cause::Input, 0),
                event(100_000 + ms, "a", Away, Active, Cause::Input, 0),
            ];
            measured(&events).sessions.flaps
        };
        assert_eq!((back_after(60_000), back_after(60_001)), (1, 0), "and b never left active");
        let by_stale = [
            event(100_000, "a", Active, Idle, Cause::Quiet, 0),
            event(101_000, "a", Idle, Stale, Cause::Silent, 0),
            event(102_000, "a", Stale, Active, Cause::Resumed, 0),
        ];
        let found = measured(&by_stale);
        assert_eq!((found.sessions.flaps, found.resumed), (0, 1));
    }

    #[test]
    fn delays_are_the_silence_that_counted_and_who_left_has_none() {
        use State::{Active, Offline, Stale};
        let mut events: Vec<_> =
            (1..=200).map(|n| event(1_000 + n, "a", Active, Stale, Cause::Silent, 1_000)).collect();
        events.push(event(9_000, "a", Stale, Offline, Cause::Silent, 1_000));
        events.push(event(9_000, "b", Active, Offline, Cause::Left, 1_000));
        let found = measured(&events);
        assert_eq!(found.to_stale, Delays { count: 200, p50_ms: Some(100), p99_ms: Some(198) });
        assert_eq!(found.to_offline, Delays { count: 1, p50_ms: Some(8_000), p99_ms: Some(8_000) });
        assert_eq!(measured(&[]), Measured::default());
    }
}
