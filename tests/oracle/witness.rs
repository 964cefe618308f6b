//! What holds of the events themselves: I2, I5 and I10, and their order, with nothing known of the fold.

use std::collections::BTreeMap;

use presence_engine::model::{
    Cause, EngineWhat, Event, EventBody, Intent, Millis, Policy, ReadyEvent, SessionEvent, State, UserEvent,
};
use proptest::prelude::*;

use super::logs::{Line, What};

/// Follows what is told and knows nothing of the fold.
#[derive(Default)]
pub(crate) struct Witness {
    sessions: BTreeMap<(String, String, String), (Millis, SessionEvent)>,
    users: BTreeMap<(String, String), (Millis, UserEvent)>,
    ready: BTreeMap<(String, String), (Millis, ReadyEvent)>,
    policy: Policy,
}

impl Witness {
    /// One entry's events. `forward`: the log's clock was never set back so far.
    pub(crate) fn see(&mut self, line: &Line, hi: Millis, told: &[Event], forward: bool) -> Result<(), TestCaseError> {
        let mut next = 0;
        for (place, event) in told.iter().enumerate() {
            prop_assert_eq!(event.seq, line.seq);
            let left_out = u32::from(needs_a_session(event) && !has_session_before(&told[..place], event));
            prop_assert_eq!(event.k, next + left_out, "{:?}", event);
            next = event.k + 1;
            match &event.body {
                EventBody::Session(session) => self.session(line, event.at_ms, session, forward)?,
                EventBody::User(user) => {
                    self.user(line, event.at_ms, user)?;
                    // Of several at one time, only the last is of what holds after that time's events of sessions.
                    let last = told.iter().rfind(|other| other.at_ms == event.at_ms && of_user(other, user));
                    // Items of a batch may come after it and only be due.
                    let more = matches!(line.what, What::Batch(..)) && event.at_ms == hi;
                    if forward && last == Some(event) && user.to != State::Offline && !more {
                        self.recount(line, event.at_ms, user)?;
                    }
                }
                EventBody::Ready(ready) => self.ready(event.at_ms, ready)?,
                EventBody::Engine(of) if of.what == EngineWhat::GatewaySilent => {
                    prop_assert!(of.from_ms < event.at_ms && (event.at_ms <= hi || !forward), "{:?}", event);
                }
                EventBody::Engine(_) | EventBody::Rejected(_) => prop_assert_eq!(event.at_ms, hi),
            }
        }
        prop_assert!(told.is_sorted_by_key(order), "out of order: {:#?}", told);
        for (key, (_, ready)) in &self.ready {
            let user = &self.users[key].1;
            let here = user.to != State::Offline && user.incarnation == ready.incarnation;
            prop_assert!(here || ready.to.is_empty(), "nobody is there to be ready: {:?}", ready);
        }
        if let What::Policy(policy) = &line.what {
            self.policy = (**policy).clone();
        }
        Ok(())
    }

    fn session(&mut self, line: &Line, at: Millis, now: &SessionEvent, forward: bool) -> Result<(), TestCaseError> {
        let key = (now.tenant.to_string(), now.user.to_string(), now.session.to_string());
        let before = self.sessions.get(&key).map(|(at, event)| (*at, event));
        let chain = before.map(|(at, event)| (at, event.incarnation, event.ordinal, event.to));
        follows(chain, (at, now.incarnation, now.ordinal, now.from))?;
        stands_still(now.from, now.to, now.cause)?;
        prop_assert_eq!(now.from == State::Offline, now.cause == Cause::Joined, "{:?}", now);
        let own = line.what.is_of((&key.0, &key.1), Some(&key.2));
        let policy = matches!(&line.what, What::Policy(_));
        prop_assert!(now.to >= now.from || own || policy, "time moves nobody up: {:?}", now);
        if forward {
            self.exact(at, now)?;
        }
        self.sessions.insert(key, (at, now.clone()));
        Ok(())
    }

    /// I2: what a fall for silence or quiet is told with is its deadline, to the millisecond.
    fn exact(&self, at: Millis, now: &SessionEvent) -> Result<(), TestCaseError> {
        if !matches!(now.cause, Cause::Quiet | Cause::Silent) {
            return Ok(());
        }
        let profile = self.policy.profiles.iter().find(|(name, _)| *name == now.profile);
        let Some((_, profile)) = profile else {
            return Err(TestCaseError::fail(format!("unknown profile: {now:?}")));
        };
        let (mut idle_after, mut stale_after) = (vec![profile.idle_after], profile.stale_after);
        if let Some(promise) = profile.promise.as_ref().filter(|_| now.every_ms > 0) {
            let every = promise.cap.min(now.every_ms.into());
            stale_after = every * u64::from(promise.factor_permille) / 1_000 + promise.slack;
            idle_after.push(profile.idle_after.max(every * u64::from(promise.idle_beats)));
        }
        let stretched = |idle_after: Millis| (0..=3).map(move |level| idle_after + level * profile.anti_flap);
        let idle_after: Vec<Millis> = idle_after.into_iter().flat_map(stretched).collect();
        let (silence, quiet) = (at - now.last_seen_ms, at - now.last_input_ms);
        let (to_away, to_offline) =
            (profile.away_after - profile.idle_after, profile.offline_after - profile.stale_after);
        let holds = match (now.cause, now.to) {
            (Cause::Quiet, State::Idle) => idle_after.contains(&quiet),
            (Cause::Quiet, State::Away) => idle_after.iter().any(|idle_after| idle_after + to_away == quiet),
            (Cause::Silent, State::Stale) => stale_after == silence,
            (Cause::Silent, State::Offline) => stale_after + to_offline == silence,
            _ => false,
        };
        prop_assert!(holds, "silent for {}, quiet for {}: {:?} under {:?}", silence, quiet, now, profile);
        Ok(())
    }

    /// I10: a user is the best of its sessions, with or without what the entry itself did to them at the same time.
    fn recount(&self, line: &Line, at: Millis, now: &UserEvent) -> Result<(), TestCaseError> {
        let count = |without: bool| {
            let mut counts = [0; 5];
            for ((tenant, user, session), (told, event)) in &self.sessions {
                let own = line.what.is_of((tenant, user), Some(session));
                if (&**tenant, &**user) == (&*now.tenant, &*now.user) {
                    let by_entry = *told == at && (own || event.cause == Cause::Policy);
                    let state = if without && by_entry { event.from } else { event.to };
                    counts[state as usize] += 1;
                }
            }
            counts
        };
        let counts = [count(false), count(true)].map(|counts| counts[..4].to_vec());
        prop_assert!(counts.contains(&now.sessions.to_vec()), "{:?} but the sessions are {:?}", now, counts);
        let best = State::ALL.into_iter().zip(now.sessions).find(|(_, count)| *count > 0);
        prop_assert_eq!(now.to, best.map_or(State::Offline, |(state, _)| state), "{:?}", now);
        Ok(())
    }

    fn ready(&mut self, at: Millis, now: &ReadyEvent) -> Result<(), TestCaseError> {
        let key = (now.tenant.to_string(), now.user.to_string());
        // Of one time, a user's events all stand before those of its readiness.
        let latest = self.users.get(&key).map_or(0, |(_, user)| user.incarnation);
        prop_assert!(now.incarnation <= latest, "{:?} before its user", now);
        let before = self.ready.get(&key).filter(|(_, event)| event.incarnation == now.incarnation);
        let (ordinal, from) = before.map_or((0, &[][..]), |(_, event)| (event.ordinal, &event.to));
        prop_assert_eq!(now.ordinal, ordinal + 1, "{:?}", now);
        prop_assert!(from.iter().map(|(name, _)| name).eq(now.from.iter()), "{:?} is not from {:?}", now, from);
        prop_assert!(self.ready.get(&key).is_none_or(|(before, _)| *before <= at), "{:?}", now);
        for (name, since) in &now.to {
            let kept = from.iter().find(|(other, _)| other == name).map(|(_, since)| *since);
            prop_assert_eq!(*since, kept.unwrap_or(at), "{:?}", now);
        }
        let same = now.to.len() == now.from.len() && now.to.iter().all(|(name, _)| now.from.contains(name));
        prop_assert!(!same, "nothing changed: {:?}", now);
        prop_assert_eq!(now.until_ms.is_none(), now.to.is_empty(), "{:?}", now);
        self.ready.insert(key, (at, now.clone()));
        Ok(())
    }

    fn user(&mut self, line: &Line, at: Millis, now: &UserEvent) -> Result<(), TestCaseError> {
        let key = (now.tenant.to_string(), now.user.to_string());
        let before = self.users.get(&key).map(|(at, event)| (*at, event));
        let chain = before.map(|(at, event)| (at, event.incarnation, event.ordinal, event.to));
        follows(chain, (at, now.incarnation, now.ordinal, now.from))?;
        match now.cause {
            Cause::Intent => {
                let intent = before.map(|(_, event)| (event.intent, event.intent_until_ms.is_some()));
                let will = Some((now.intent, now.intent_until_ms.is_some())) != intent || now.intent_until_ms.is_some();
                prop_assert!(now.from == now.to && will, "nothing changed: {:?}", now);
            }
            _ => stands_still(now.from, now.to, now.cause)?,
        }
        prop_assert!(now.from != State::Offline || now.cause == Cause::Joined, "{:?}", now);
        prop_assert_ne!(now.intent, Intent::Invisible, "{:?}", now);
        let nothing = (now.sessions, now.intent, now.confidence.permille, now.next) == ([0; 4], Intent::Open, 0, None);
        prop_assert!(now.to != State::Offline || nothing && now.ready.is_empty(), "offline says too much: {:?}", now);
        let own = line.what.is_of((&key.0, &key.1), None);
        // Who is invisible no more comes back by time alone.
        let may_rise = own || now.from == State::Offline || matches!(&line.what, What::Policy(_));
        prop_assert!(now.to >= now.from || may_rise, "time moves nobody up: {:?}", now);
        self.users.insert(key, (at, now.clone()));
        Ok(())
    }
}

/// A change is told with the cause of a change, and what else there is with a cause of its own.
fn stands_still(from: State, to: State, cause: Cause) -> Result<(), TestCaseError> {
    let quiet = matches!(cause, Cause::Updated | Cause::Fading | Cause::Refreshed);
    prop_assert!(cause == Cause::Policy || (from == to) == quiet, "{:?} from {:?} to {:?}", cause, from, to);
    Ok(())
}

fn needs_a_session(event: &Event) -> bool {
    let EventBody::User(user) = &event.body else { return false };
    (user.from == State::Offline) != (user.to == State::Offline)
}

fn has_session_before(told: &[Event], event: &Event) -> bool {
    let EventBody::User(user) = &event.body else { return false };
    told.iter().any(|other| {
        let EventBody::Session(session) = &other.body else { return false };
        other.at_ms == event.at_ms && (&session.tenant, &session.user) == (&user.tenant, &user.user)
    })
}

fn of_user(event: &Event, user: &UserEvent) -> bool {
    matches!(&event.body, EventBody::User(other) if (&other.tenant, &other.user) == (&user.tenant, &user.user))
}

/// I5: (told time, incarnation, ordinal, state) of an event and of its subject's next one.
fn follows(before: Option<(Millis, u64, u32, State)>, now: (Millis, u64, u32, State)) -> Result<(), TestCaseError> {
    let (at, incarnation, ordinal, from) = now;
    match before {
        Some((_, before, last, to)) if before == incarnation => {
            prop_assert_eq!((ordinal, from), (last + 1, to));
        }
        Some((_, before, _, to)) => {
            prop_assert!(incarnation > before, "incarnation {} after {}", incarnation, before);
            prop_assert_eq!((ordinal, from, to), (1, State::Offline, State::Offline));
        }
        None => prop_assert_eq!((ordinal, from), (1, State::Offline)),
    }
    prop_assert!(before.is_none_or(|before| at >= before.0), "told at {} after {:?}", at, before);
    Ok(())
}

/// Decision 4's order of one entry's events.
fn order(event: &Event) -> (Millis, Option<(String, String, u8, String)>) {
    let place = |tenant: &str, user: &str, rank, session: &str| {
        Some((tenant.to_owned(), user.to_owned(), rank, session.to_owned()))
    };
    let place = match &event.body {
        EventBody::Engine(_) | EventBody::Rejected(_) => None,
        EventBody::Session(event) => place(&event.tenant, &event.user, 0, &event.session),
        EventBody::User(event) => place(&event.tenant, &event.user, 1, ""),
        EventBody::Ready(event) => place(&event.tenant, &event.user, 2, ""),
    };
    (event.at_ms, place)
}
