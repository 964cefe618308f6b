//! Who is present, for those who ask: what is public of a user now, and pages of those who are here.
//!
//! Somebody who is invisible is not present; nobody can tell it from one who left.

use std::ops::Bound;

use super::partition::Partition;
use crate::model::id::is_text;
use crate::model::{Address, Intent, Millis, NextState, State, Token};

/// What is public of a user who is present, as of the partition's latest entry. Times are log time in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// User token.
    pub user: Box<str>,
    /// The number of its incarnation, and the ordinal of its latest event.
    pub told: (u64, u32),
    /// The state that was told last.
    pub state: State,
    /// The person's will.
    pub intent: Intent,
    /// How probable it is now that its best session is still there, in thousandths.
    pub confidence_permille: u16,
    /// The log time of its latest event.
    pub told_at_ms: Millis,
    /// The last life sign of any session.
    pub last_seen_ms: Millis,
    /// The last input of any session.
    pub last_input_ms: Millis,
    /// The capabilities that it is ready for, in the policy's order.
    pub ready: Vec<Box<str>>,
    /// What comes next if nothing more is heard.
    pub next: Option<NextState>,
}

/// What is known of a session that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresentSession {
    /// The state that was told last.
    pub state: State,
    /// How probable it is now that it is still there, in thousandths.
    pub confidence_permille: u16,
    /// The log time of its latest event, told or not.
    pub told_at_ms: Millis,
}

impl Partition {
    /// A user who is present; `None`: it is offline, unknown or invisible.
    #[must_use]
    pub fn present(&self, tenant: Token<'_>, user: Token<'_>) -> Option<Present> {
        self.present_at(self.people.find_user(tenant, user)?)
    }

    /// A session that is there, also of somebody who is invisible: sessions are for operators and for the user itself.
    #[must_use]
    pub fn present_session(&self, address: Address<'_>) -> Option<PresentSession> {
        let at = self.people.find(address, &self.people.sought(address))?;
        let state = self.people.hot[at].state();
        let confidence_permille = self.certainty(at, self.time.w).permille;
        let told_at_ms = self.people.cold[at].told_at.get();
        (state != State::Offline).then_some(PresentSession { state, confidence_permille, told_at_ms })
    }

    /// Whether any session, or intent, of a tenant is known, remembered ones included.
    #[must_use]
    pub fn knows_tenant(&self, tenant: Token<'_>) -> bool {
        self.people.sessions_of_tenant(tenant) > 0
    }

    /// At most so many of a tenant's users in one of these states (in any, where there are none), behind the user token `after`, by
    /// their tokens.
    #[must_use]
    pub fn page(&self, tenant: Token<'_>, states: &[State], after: Option<&str>, limit: usize) -> Vec<Present> {
        let is_wanted = |at: &u32| {
            let state = self.people.users[*at].state;
            state != State::Offline
                && (states.is_empty() || states.contains(&state))
                && self.people.tenant_name(*at) == tenant.as_str()
        };
        self.first(self.people.users().filter(is_wanted), after, limit)
    }

    /// At most so many of the users in a room, behind the user token `after`, by their tokens; each with its state there.
    #[must_use]
    pub fn members(
        &self,
        tenant: Token<'_>,
        room: Token<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(Present, State)> {
        let key = format!("{tenant}.{room}");
        let present = self.first(self.users_in(&key), after, limit);
        let state = |of: &Present| {
            let user = self.people.find_user(tenant, Token::parse(&of.user).ok()?)?;
            self.share(user, &key).map(|share| share.state)
        };
        present.into_iter().filter_map(|of| state(&of).map(|state| (of, state))).collect()
    }

    /// The first of some users by name. Who has a name that is no text can't be asked for by it, nor can a page go on behind it.
    fn first(&self, users: impl Iterator<Item = u32>, after: Option<&str>, limit: usize) -> Vec<Present> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut first = std::collections::BTreeMap::new();
        for at in users {
            let name = self.people.user_name(at);
            let is_behind = match from {
                Bound::Excluded(after) => name > after,
                Bound::Unbounded | Bound::Included(_) => true,
            };
            let is_text = !name.contains('=') || Token::parse(name).is_ok_and(is_text);
            let is_first = first.len() < limit || first.last_key_value().is_some_and(|(last, _)| name < *last);
            if is_behind && is_first && is_text {
                first.insert(name, at);
                if first.len() > limit {
                    first.pop_last();
                }
            }
        }
        first.into_values().filter_map(|at| self.present_at(at)).collect()
    }

    fn present_at(&self, at: u32) -> Option<Present> {
        let user = &self.people.users[at];
        if user.state == State::Offline {
            return None;
        }
        let now = self.time.w;
        let (mut seen, mut input) = (0, 0);
        for session in self.people.sessions_of(at).filter(|at| !self.people.hot[*at].is_voice()) {
            let excused = self.excused(session, now);
            seen = seen.max(self.people.hot[session].seen() + excused);
            input = input.max(self.people.hot[session].input() + excused);
        }
        let ready = self.people.person(at).map_or(&[][..], |person| &person.ready);
        Some(Present {
            user: self.people.user_name(at).into(),
            told: (user.incarnation.get(), user.ordinal),
            state: user.state,
            intent: self.people.intent(at).0,
            confidence_permille: self.user_certainty(at, now).permille,
            told_at_ms: user.told_at.get(),
            last_seen_ms: self.time.told(seen),
            last_input_ms: self.time.told(input),
            ready: ready.iter().map(|(name, _)| name.clone()).collect(),
            next: self.next_of_user(at, now),
        })
    }
}

#[cfg(test)]
mod tests;
