//! What a user is ready for.

use presence_engine::model::{Cause, EventBody, Intent, Millis, ReadyEvent};

use super::look::{Desk, Key, Why};
use super::session::Session;
use super::sky::{Sky, When};
use super::user::User;

/// What was told of it.
#[derive(Default)]
pub(super) struct Readiness {
    /// Each capability with the time since when.
    set: Vec<(Box<str>, Millis)>,
    pub(super) ordinal: u32,
}

impl Sky {
    /// How much of each session is excused at `instant`, to look at other instants as if it stayed so.
    pub(super) fn excuses(&self, user: &User, instant: Millis) -> Vec<Millis> {
        user.sessions.values().map(|session| self.excused(session, instant)).collect()
    }
}

impl Session {
    fn is_ready(&self, own: Millis, sky: &Sky) -> bool {
        let policy = &sky.policy;
        let open = self.closed.is_none() && self.leaving.is_none();
        self.is_live()
            && open
            && policy.ready.states.contains(&self.state_by(own, policy).0)
            && self.is_sure(own, policy)
    }
}

impl User {
    /// What it was told to be ready for.
    pub(super) fn told_ready(&self) -> impl Iterator<Item = &str> {
        self.ready.set.iter().map(|(name, _)| &**name)
    }

    /// What it is ready for at an instant, in the policy's order.
    pub(super) fn ready_at(&self, instant: Millis, excuses: &[Millis], sky: &Sky) -> Vec<Box<str>> {
        let ready: Vec<&Session> = (self.sessions.values().zip(excuses))
            .filter(|(session, excused)| session.is_ready(instant - *excused, sky))
            .map(|(session, _)| session)
            .collect();
        let can = |name: &str| ready.iter().any(|session| session.facts.can.iter().any(|other| &**other == name));
        let names = sky.policy.capabilities.iter().filter(|name| self.intent == Intent::Open && can(name));
        names.cloned().collect()
    }

    /// When it first isn't ready any more for all of these, as if nothing more were heard.
    fn loss(&self, names: &[Box<str>], now: Millis, sky: &Sky) -> Option<Millis> {
        let excuses = sky.excuses(self, now);
        let turns = |(session, by): (&Session, &Millis)| {
            session.turns(&sky.policy).into_iter().map(|at| at + by).collect::<Vec<_>>()
        };
        let mut instants: Vec<Millis> =
            self.sessions.values().zip(&excuses).flat_map(turns).filter(|at| *at > now).collect();
        instants.sort_unstable();
        instants.into_iter().find(|at| {
            let left = self.ready_at(*at, &excuses, sky);
            names.iter().any(|name| !left.contains(name))
        })
    }

    /// Tells the readiness if it is another; `cause` is what is known of the cause so far.
    pub(super) fn tell_ready(
        &mut self,
        key: &Key,
        (sky, desk): (&Sky, &mut Desk),
        (when, why, cause): (When, Why<'_>, Option<Cause>),
        names: &[Box<str>],
    ) {
        let before = &self.ready.set;
        if before.len() == names.len() && before.iter().all(|(name, _)| names.contains(name)) {
            return;
        }
        let at = self.at.max(when.at);
        let since = |name| before.iter().find(|(other, _)| other == name).map_or(at, |(_, since)| *since);
        let set: Vec<_> = names.iter().map(|name| (name.clone(), since(name))).collect();
        let from = before.iter().map(|(name, _)| name.clone()).collect();
        let cause = match why {
            Why::Policy => Cause::Policy,
            Why::Time => cause.unwrap_or(Cause::Fading),
            Why::Signal(heard) => cause.unwrap_or_else(|| {
                let session = &self.sessions[heard.name];
                match (heard.was_sure, session.is_sure(sky.own(session, when.instant), &sky.policy)) {
                    (true, false) => Cause::Fading,
                    (false, true) => Cause::Refreshed,
                    _ => Cause::Updated,
                }
            }),
        };
        let until = if names.is_empty() { None } else { self.loss(names, when.instant, sky) };
        self.ready = Readiness { set, ordinal: self.ready.ordinal + 1 };
        self.at = at;
        let event = ReadyEvent {
            tenant: key.0.as_str().into(),
            user: key.1.as_str().into(),
            incarnation: self.incarnation.expect("it left offline"),
            ordinal: self.ready.ordinal,
            cause,
            from,
            to: self.ready.set.clone().into(),
            until_ms: until.map(|until| sky.expected(until)),
        };
        desk.push((at, EventBody::Ready(Box::new(event))));
    }
}
