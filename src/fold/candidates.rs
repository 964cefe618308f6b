//! Who is ready for what is wanted, and for those who route: who could be asked, and in which order.

use super::partition::Partition;
use crate::model::ready::matches;
use crate::model::{Candidate, Intent, Lack, Millis, Order, Readiness, State, Token, Want};

/// A session by which a user is ready for something, as of one look at it. Two looks tell whether it was all the time between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carrier {
    session: u32,
    incarnation: u64,
    /// The log time of the latest event that may have been about it.
    changed_ms: Millis,
    seen_ms: Millis,
    /// Its last life sign, and when it stops being sure enough if no other comes; both observed, and excused as they are now.
    seen: Millis,
    unsure_at: Millis,
}

impl Carrier {
    /// Its last life sign, in log time.
    #[must_use]
    pub fn seen_ms(&self) -> Millis {
        self.seen_ms
    }

    /// Whether it has made its user ready ever since it was `before`: nothing was told that may have been about it, and the life
    /// sign that came last came before the one before was too old. So did those between them.
    #[must_use]
    pub fn lasted_since(&self, before: &Self) -> bool {
        (self.session, self.incarnation, self.changed_ms) == (before.session, before.incarnation, before.changed_ms)
            && self.seen < before.unsure_at
    }
}

impl Partition {
    /// Whether a user is ready for what is wanted, as of the latest entry.
    #[must_use]
    pub fn readiness(&self, tenant: Token<'_>, user: Token<'_>, want: &Want) -> Readiness {
        self.people.find_user(tenant, user).map_or(Readiness::Missing(Lack::Offline), |at| self.readiness_of(at, want))
    }

    /// The sessions by which a user is ready for what is wanted, none where it isn't.
    #[must_use]
    pub fn carriers(&self, tenant: Token<'_>, user: Token<'_>, want: &Want) -> Vec<Carrier> {
        let Some(user) = self.people.find_user(tenant, user) else { return Vec::new() };
        if self.people.users[user].state == State::Offline || self.people.intent(user).0 != Intent::Open {
            return Vec::new();
        }
        let (min, now) = (self.min_permille(want), self.time.w);
        let carries = |at: &u32| self.lack_of(*at, want) == Lack::Unsure && self.certainty(*at, now).permille >= min;
        let carrier = |at: u32| {
            let cold = &self.people.cold[at];
            // What is told of readiness is by the policy's confidence: of more than that only the session's own events tell.
            let told = self.told_ready(user, want).filter(|_| min <= self.policy.ready.min_confidence);
            let seen = self.people.hot[at].seen() + self.excused(at, now);
            Carrier {
                session: at,
                incarnation: cold.incarnation.get(),
                changed_ms: told.unwrap_or_else(|| self.people.users[user].told_at.get().max(cold.told_at.get())),
                seen_ms: self.time.told(seen),
                seen,
                unsure_at: self.unsure_at(at, min).saturating_add(self.excused(at, now)),
            }
        };
        self.people.sessions_of(user).filter(carries).map(carrier).collect()
    }

    /// Those in a room who are ready for what is wanted, in no order that means anything; each user token with since when at
    /// least, in log time, and the confidence in thousandths.
    #[must_use]
    pub fn ready_in(&self, tenant: Token<'_>, room: Token<'_>, want: &Want) -> Vec<(Box<str>, Millis, u16)> {
        let key = format!("{tenant}.{room}");
        let ready = |at: u32| match self.readiness_of(at, want) {
            Readiness::Ready { since_ms, permille } => Some((self.people.user_name(at).into(), since_ms, permille)),
            Readiness::Missing(_) => None,
        };
        self.users_in(&key).filter_map(ready).collect()
    }

    /// A user as one who could be asked, if it is ready for what is wanted; rooms that match `load` count as its load.
    #[must_use]
    pub fn candidate(&self, tenant: Token<'_>, user: Token<'_>, want: &Want, load: &str) -> Option<Candidate> {
        self.candidate_at(self.people.find_user(tenant, user)?, want, load)
    }

    /// The first so many in a room who could be asked, in this order, by a question of this id.
    #[must_use]
    pub fn candidates_in(
        &self,
        (tenant, room): (Token<'_>, Token<'_>),
        (want, load): (&Want, &str),
        (order, id): (Order, &str),
        limit: usize,
    ) -> Vec<Candidate> {
        let key = format!("{tenant}.{room}");
        let mut found: Vec<_> = self.users_in(&key).filter_map(|at| self.candidate_at(at, want, load)).collect();
        order.first(id, limit, &mut found);
        found
    }

    fn candidate_at(&self, at: u32, want: &Want, load: &str) -> Option<Candidate> {
        let Readiness::Ready { since_ms, permille } = self.readiness_of(at, want) else { return None };
        let now = self.time.w;
        let input = |session: u32| self.people.hot[session].input() + self.excused(session, now);
        let lived = self.people.sessions_of(at).filter(|session| !self.people.hot[*session].is_voice());
        Some(Candidate {
            user: self.people.user_name(at).into(),
            state: self.people.users[at].state,
            since_ms,
            permille,
            last_input_ms: self.time.told(lived.map(input).max().unwrap_or(0)),
            load: self.count_rooms(at, |room| matches(load, room)),
        })
    }

    fn readiness_of(&self, user: u32, want: &Want) -> Readiness {
        let of = &self.people.users[user];
        if of.state == State::Offline {
            return Readiness::Missing(Lack::Offline);
        }
        if self.people.intent(user).0 != Intent::Open {
            return Readiness::Missing(Lack::Intent);
        }
        let min = self.min_permille(want);
        // The best that any session comes to, and the surest that has all of it.
        let (mut lack, mut surest) = (Lack::State, None);
        for at in self.people.sessions_of(user) {
            let step = self.lack_of(at, want);
            lack = lack.max(step);
            if step == Lack::Unsure {
                surest = surest.max(Some((self.certainty(at, self.time.w).permille, at)));
            }
        }
        match surest {
            Some((permille, at)) if permille >= min => {
                Readiness::Ready { since_ms: self.ready_since(user, at, want), permille }
            }
            Some(_) | None => Readiness::Missing(lack),
        }
    }

    fn min_permille(&self, want: &Want) -> u16 {
        want.min_permille.unwrap_or(self.policy.ready.min_confidence)
    }

    /// What a session lacks to make its user ready; [`Lack::Unsure`]: nothing but perhaps confidence.
    fn lack_of(&self, at: u32, want: &Want) -> Lack {
        let facts = self.people.facts_of(at);
        let can = |name: &str| facts.is_some_and(|facts| facts.can.iter().any(|own| **own == *name));
        if !self.policy.ready.states.contains(&self.people.hot[at].state()) {
            Lack::State
        } else if facts.is_some_and(super::record::Facts::is_closed) {
            Lack::Closed
        } else if !want.capability.as_deref().is_none_or(can) {
            Lack::Incapable
        } else {
            Lack::Unsure
        }
    }

    /// Since when a user was told to be ready for what is wanted.
    fn told_ready(&self, user: u32, want: &Want) -> Option<Millis> {
        let ready = self.people.person(user).map_or(&[][..], |person| &person.ready);
        ready.iter().find(|(name, _)| Some(name) == want.capability.as_ref()).map(|(_, since)| *since)
    }

    /// Since when at least: since it was told where it was, else since what was told or heard last of it.
    fn ready_since(&self, user: u32, session: u32, want: &Want) -> Millis {
        let told = self.told_ready(user, want);
        let seen = self.time.told(self.people.hot[session].seen() + self.excused(session, self.time.w));
        let is_stricter = want.min_permille.is_some_and(|min| min > self.policy.ready.min_confidence);
        match told {
            // Between two beats the confidence may have been below.
            Some(since) if is_stricter => since.max(seen),
            Some(since) => since,
            None => {
                let changed = self.people.users[user].told_at.get().max(self.people.cold[session].told_at.get());
                if want.capability.is_some() || is_stricter { changed.max(seen) } else { changed }
            }
        }
    }
}

#[cfg(test)]
mod tests;
