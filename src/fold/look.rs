//! Looking at a user: its sessions and itself are compared with what was told of them, and what differs is told.

use super::act::{Before, Evidence};
use super::partition::Partition;
use super::record::{NONE, Shown};
use crate::model::{Cause, Event, Intent, Kind, Millis, Signal, State, Visibility};

/// A log time and the observed instant that it tells of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When {
    pub(crate) at: Millis,
    pub(crate) instant: Millis,
}

/// Why a user is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Why<'s> {
    Time,
    Policy,
    /// It was rebuilt from what was told.
    Rebuilt,
    Signal(&'s Heard<'s>),
}

/// A signal that acted just now.
pub(crate) struct Heard<'s> {
    pub(crate) session: u32,
    pub(crate) signal: &'s Signal,
    pub(crate) evidence: Evidence,
    pub(crate) before: Before,
}

impl Why<'_> {
    /// The cause of another band. Bands are counted from the top.
    fn crossing(self, before: u8, now: u8) -> Cause {
        match self {
            Self::Policy => Cause::Policy,
            Self::Time | Self::Rebuilt | Self::Signal(_) if now > before => Cause::Fading,
            Self::Time | Self::Rebuilt | Self::Signal(_) => Cause::Refreshed,
        }
    }
}

impl Partition {
    /// Looks at everything of a user, and tells what is to be told.
    pub(crate) fn look(&mut self, user: u32, when: When, why: Why<'_>, out: &mut Vec<Event>) {
        let leader = self.leader(user);
        let begins = matches!(why, Why::Signal(heard) if heard.evidence.joined);
        self.keep_intent(user, when.instant, begins || leader.is_some());
        let acting = match why {
            Why::Signal(heard) => Some(heard.session),
            Why::Time | Why::Policy | Why::Rebuilt => leader,
        };
        let mut acted = None;
        let mut first: Option<(u32, Cause)> = None;
        let mut next = self.people.users[user].first;
        while next != NONE {
            let at = next;
            next = self.people.cold[at].next;
            if let Some(cause) = self.look_at_session(at, when, why, out) {
                acted = acted.or((Some(at) == acting).then_some(cause));
                let is_first = |(other, _)| self.people.session_name(at) < self.people.session_name(other);
                if first.is_none_or(is_first) {
                    first = Some((at, cause));
                }
            }
        }
        let ready = self.ready_at(user, when.instant, when.instant);
        let first = first.map(|(_, cause)| cause);
        let told = self.look_at_user(user, acted.or(first), when, why, &ready, out);
        self.look_at_readiness(user, told.or(first), when, why, ready, out);
        self.look_at_rooms(user);
        self.note_who_is_plain(user);
    }

    /// Notes of a user's sessions whether they are plain.
    pub(crate) fn note_who_is_plain(&mut self, user: u32) {
        let is_top = self.people.users[user].band == 0;
        let mut next = self.people.users[user].first;
        while next != NONE {
            let plain = is_top && self.is_plain(next);
            self.people.hot[next].set_plain(plain);
            next = self.people.cold[next].next;
        }
    }

    /// Whether all that a plain heartbeat changes of a session is when it was last seen and its last input. Then its deadlines
    /// only move later, of which the wheel need not learn: the case of nearly all.
    fn is_plain(&self, at: u32) -> bool {
        let (hot, cold) = (&self.people.hot[at], &self.people.cold[at]);
        let counts_as_input = hot.visibility() == Visibility::Visible && !hot.reported();
        let is_certain = cold.band == 0 && hot.sure();
        hot.state() == State::Active
            && counts_as_input
            && is_certain
            && self.people.facts_of(at).is_none_or(|facts| {
                !facts.is_closed() && facts.told.is_none() && facts.set_back.is_none() && facts.level == 0
            })
    }

    /// Compares a session with what was told of it. Returns the cause if it is another state.
    fn look_at_session(&mut self, at: u32, when: When, why: Why<'_>, out: &mut Vec<Event>) -> Option<Cause> {
        let begins = matches!(why, Why::Signal(heard) if heard.session == at && heard.evidence.joined);
        let from = self.people.hot[at].state();
        if from == State::Offline && !begins || matches!(why, Why::Rebuilt) {
            return None;
        }
        let (state, reason) = self.deadlines_of(at).state_at(self.own(at, when.instant));
        // Time lets nobody rise, whatever somebody was rebuilt from.
        let may_rise = match why {
            Why::Policy => true,
            Why::Signal(heard) => heard.session == at,
            Why::Time | Why::Rebuilt => false,
        };
        let state = if may_rise { state } else { state.max(from) };
        let band = self.band(at, when.instant);
        let sure = self.is_sure(at, when.instant);
        self.people.hot[at].set_sure(sure);
        let cause = if state != from {
            match why {
                Why::Policy => Cause::Policy,
                Why::Signal(heard) if heard.session == at => heard.explain(from, state, reason),
                Why::Time | Why::Rebuilt | Why::Signal(_) => reason,
            }
        } else if state == State::Offline {
            // What brought it was so old that it has gone again.
            self.enter(at, state, when.instant);
            return None;
        } else if band != self.people.cold[at].band {
            why.crossing(self.people.cold[at].band, band)
        } else if self.facts_due(at).is_some_and(|due| when.instant >= due) {
            Cause::Updated
        } else {
            return None;
        };
        self.enter(at, state, when.instant);
        self.people.cold_mut(at).band = band;
        if let Some(facts) = self.people.facts_of_mut(at) {
            facts.told = None;
        }
        self.tell_session(at, from, cause, when, out);
        (state != from).then_some(cause)
    }

    /// When facts that differ from what was told are due, if they do. While a leave lingers, the transport isn't compared: so a
    /// reload is no event.
    pub(crate) fn facts_due(&self, at: u32) -> Option<Millis> {
        let facts = self.people.facts_of(at).filter(|_| self.people.hot[at].state() != State::Offline)?;
        let told = facts.told.as_ref()?;
        let differs = facts.leaving.is_none() || Shown { closed: told.closed, ..self.people.shown(at) } != **told;
        differs.then(|| self.people.cold[at].told_w.get() + self.policy.update_every)
    }

    fn enter(&mut self, at: u32, state: State, instant: Millis) {
        let own = self.own(at, instant);
        let flaps = self.profile_of(at).anti_flap > 0;
        if flaps && self.people.hot[at].state() == State::Active && state != State::Active {
            self.people.facts_mut(at).left_active = Some(own);
        }
        self.people.hot[at].set_state(state);
        self.people.cold_mut(at).told_w = instant.into();
        if state == State::Offline {
            self.excuse_by(at, None, instant);
            if let Some(facts) = self.people.facts_of_mut(at) {
                facts.told = None;
            }
        }
    }

    /// Compares a user with what was told of it. Returns the cause if it is another state or intent.
    fn look_at_user(
        &mut self,
        at: u32,
        acted: Option<Cause>,
        when: When,
        why: Why<'_>,
        ready: &[Box<str>],
        out: &mut Vec<Event>,
    ) -> Option<Cause> {
        let intent = self.people.intent(at);
        let leader = self.leader(at).filter(|_| intent.0 != Intent::Invisible);
        let to = leader.map_or(State::Offline, |best| self.people.hot[best].state());
        let user = &self.people.users[at];
        let (from, told_intent) =
            (user.state, self.people.person(at).map_or((Intent::Open, None), |person| person.told));
        let band = leader.map_or(0, |best| self.people.cold[best].band);
        let counts = if leader.is_some() { self.counts(at) } else { [0; 4] };
        let (weighty, cause) = if to != from {
            let cause = match why {
                _ if from == State::Offline => Cause::Joined,
                _ if intent.0 == Intent::Invisible => Cause::Left,
                Why::Policy => Cause::Policy,
                Why::Rebuilt => Cause::Silent,
                Why::Time | Why::Signal(_) => acted.expect("a session moves its user"),
            };
            (true, cause)
        } else if to == State::Offline {
            return None;
        } else if intent != told_intent {
            (true, Cause::Intent)
        } else if band != user.band {
            (false, why.crossing(user.band, band))
        } else if counts != user.counts && when.instant >= user.told_w.get() + self.policy.update_every {
            (false, Cause::Updated)
        } else {
            return None;
        };
        let user = self.people.user_mut(at);
        if from == State::Offline {
            user.incarnation = when.at.max(user.incarnation.get() + 1).into();
            user.ordinal = 0;
        }
        user.ordinal += 1;
        (user.state, user.band, user.counts) = (to, band, counts);
        user.told_w = when.instant.into();
        user.told_at = user.told_at.get().max(when.at).into();
        let told = if to == State::Offline { (Intent::Open, None) } else { intent };
        if self.people.users[at].person != NONE || told != (Intent::Open, None) {
            let person = self.people.person_mut(at);
            person.told = told;
            if from == State::Offline {
                person.ready_ordinal = 0;
            }
        }
        self.tell_user(at, (from, cause), (when, why), ready, out);
        weighty.then_some(cause)
    }

    /// How many sessions are active, idle, away and stale.
    pub(crate) fn counts(&self, user: u32) -> [u8; 4] {
        let mut counts = [0; 5];
        for at in self.people.sessions_of(user) {
            counts[self.people.hot[at].state() as usize] += 1;
        }
        let [active, idle, away, stale, _] = counts;
        [active, idle, away, stale]
    }

    /// When counts that differ from what was told are due, if they do.
    pub(crate) fn counts_due(&self, at: u32) -> Option<Millis> {
        let user = &self.people.users[at];
        let differs = user.state != State::Offline && self.counts(at) != user.counts;
        differs.then(|| user.told_w.get() + self.policy.update_every)
    }

    /// Lets an intent end that has come to its end, and notes until when it was kept.
    fn keep_intent(&mut self, user: u32, instant: Millis, is_here: bool) {
        let Some(person) = self.people.person(user) else { return };
        if person.until.is_some_and(|until| until <= instant) {
            let person = self.people.person_mut(user);
            (person.intent, person.until, person.kept) = (Intent::Open, None, 0);
        } else if is_here && person.intent != Intent::Open {
            self.people.person_unnoted(user).kept = instant;
        } else if person.intent == Intent::Open && person.kept > 0 {
            self.people.person_mut(user).kept = 0;
        }
    }

    /// The session that the user's state is: best state, then latest input, then name.
    pub(crate) fn leader(&self, user: u32) -> Option<u32> {
        let present = self.people.sessions_of(user).filter(|at| self.people.hot[*at].state() != State::Offline);
        present.min_by(|a, b| {
            let rank = |at: &u32| (self.people.hot[*at].state(), std::cmp::Reverse(self.people.hot[*at].input()));
            rank(a).cmp(&rank(b)).then_with(|| self.people.session_name(*a).cmp(self.people.session_name(*b)))
        })
    }
}

impl Heard<'_> {
    /// Why a signal changed the state: up by what it said, down by what it claimed or by the deadline it brought about.
    fn explain(&self, from: State, to: State, why: Cause) -> Cause {
        let (signal, evidence) = (self.signal, &self.evidence);
        if from == State::Offline {
            Cause::Joined
        } else if to > from {
            match why {
                Cause::Frozen | Cause::Left | Cause::Disconnected => why,
                Cause::Hidden if signal.state.is_none() || signal.kind == Kind::Update => why,
                _ => Cause::Claimed,
            }
        } else if from == State::Stale && signal.kind == Kind::Heartbeat {
            Cause::Resumed
        } else if evidence.reported_input {
            Cause::Input
        } else if evidence.became_visible {
            Cause::Visible
        } else if evidence.assumed_input {
            Cause::Input
        } else if why == Cause::Frozen {
            Cause::Frozen
        } else {
            Cause::Claimed
        }
    }
}
