//! What a user is ready for.

use super::look::{When, Why};
use super::partition::Partition;
use super::record::NONE;
use crate::model::session::NEVER;
use crate::model::{Cause, Event, EventBody, Intent, Millis, ReadyEvent, State};

impl Partition {
    /// What a user is ready for at an observed instant, as if its sessions stayed excused as they are at `now`; in the policy's
    /// order.
    pub(crate) fn ready_at(&self, user: u32, instant: Millis, now: Millis) -> Vec<Box<str>> {
        if self.people.intent(user).0 != Intent::Open {
            return Vec::new();
        }
        let is_ready = |at: &u32| self.is_ready_by(*at, instant - self.excused(*at, now));
        let ready: Vec<u32> = self.people.sessions_of(user).filter(is_ready).collect();
        let can = |name: &str| {
            let of =
                |at: &u32| self.people.facts_of(*at).is_some_and(|facts| facts.can.iter().any(|own| **own == *name));
            ready.iter().any(of)
        };
        self.policy.capabilities.iter().filter(|name| can(name)).cloned().collect()
    }

    fn is_ready_by(&self, at: u32, own: Millis) -> bool {
        let Some(facts) = self.people.facts_of(at).filter(|facts| !facts.can.is_empty()) else { return false };
        self.people.hot[at].state() != State::Offline
            && !facts.is_closed()
            && self.policy.ready.states.contains(&self.deadlines_of(at).state_at(own).0)
            && self.is_sure_by(at, own)
    }

    /// The first observed instant at which a user isn't ready for all of these, if nothing more is heard.
    fn loss(&self, user: u32, names: &[(Box<str>, Millis)], now: Millis) -> Option<Millis> {
        let turns = |at: u32| {
            let [_, unsure] = self.crossings(at);
            let own = self.deadlines_of(at).instants().into_iter().chain([unsure]).filter(|own| *own != NEVER);
            own.map(move |own| own + self.excused(at, now))
        };
        let present = self.people.sessions_of(user).filter(|at| self.people.hot[*at].state() != State::Offline);
        let mut instants: Vec<Millis> = present.flat_map(turns).filter(|instant| *instant > now).collect();
        instants.sort_unstable();
        instants.into_iter().find(|instant| {
            let left = self.ready_at(user, *instant, now);
            names.iter().any(|(name, _)| !left.contains(name))
        })
    }

    /// Compares what a user is ready for with what was told of it; `cause` is what is known of the cause so far.
    pub(crate) fn look_at_readiness(
        &mut self,
        at: u32,
        cause: Option<Cause>,
        when: When,
        why: Why<'_>,
        ready: Vec<Box<str>>,
        out: &mut Vec<Event>,
    ) {
        let before = self.people.person(at).map_or(&[][..], |person| &person.ready);
        if before.len() == ready.len() && before.iter().all(|(name, _)| ready.contains(name)) {
            return;
        }
        let told_at = self.people.users[at].told_at.get().max(when.at);
        let since = |name: &str| before.iter().find(|(other, _)| **other == *name).map_or(told_at, |(_, since)| *since);
        let to: Vec<_> = ready.into_iter().map(|name| (name.clone(), since(&name))).collect();
        let from = before.iter().map(|(name, _)| name.clone()).collect();
        let cause = match why {
            Why::Policy => Cause::Policy,
            Why::Time => cause.unwrap_or(Cause::Fading),
            Why::Rebuilt => cause.unwrap_or(Cause::Updated),
            Why::Signal(heard) => {
                cause.unwrap_or_else(|| match (heard.before.was_sure, self.is_sure(heard.session, when.instant)) {
                    (true, false) => Cause::Fading,
                    (false, true) => Cause::Refreshed,
                    (true, true) | (false, false) => Cause::Updated,
                })
            }
        };
        let until = if to.is_empty() { None } else { self.loss(at, &to, when.instant) };
        self.people.user_mut(at).told_at = told_at.into();
        let person = self.people.person_mut(at);
        person.ready.clone_from(&to);
        person.ready_ordinal += 1;
        let event = ReadyEvent {
            tenant: self.people.tenant_name(at).into(),
            user: self.people.user_name(at).into(),
            incarnation: self.people.users[at].incarnation.get(),
            ordinal: self.people.person(at).map_or(0, |person| person.ready_ordinal),
            cause,
            from,
            to: to.into(),
            until_ms: until.map(|until| self.time.expected(until)),
        };
        debug_assert!(self.people.users[at].person != NONE, "who has a readiness is a person");
        self.tell(told_at, EventBody::Ready(Box::new(event)), out);
    }
}
