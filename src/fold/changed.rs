//! Whose records have changed since they were written last: what a checkpoint has to write of them. What every heartbeat changes,
//! the hot parts, is written each time and not noted.

use super::gateway::Excuse;
use super::population::Population;
use super::record::{Cold, Facts, NO_EPOCH, NONE, Person, User};
use super::slab::Slab;
use crate::model::signal::EVERY_MS_MAX;

/// Records of which every change is noted, or declared to need none.
#[derive(Debug)]
pub(crate) struct Kept<T>(Slab<T>);

/// Users, by place.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    is_noted: Vec<u64>,
    places: Vec<u32>,
}

impl Changed {
    pub(super) fn note(&mut self, user: u32) {
        let (word, bit) = ((user / u64::BITS) as usize, 1 << (user % u64::BITS));
        if self.is_noted.len() <= word {
            self.is_noted.resize(word + 1, 0);
        }
        if self.is_noted[word] & bit == 0 {
            self.is_noted[word] |= bit;
            self.places.push(user);
        }
    }

    /// How many they are; some may be gone.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Their places in ascending order; some may be gone.
    pub(crate) fn in_order(&self) -> Vec<u32> {
        let mut places = self.places.clone();
        places.sort_unstable();
        places
    }
}

impl<T: Default> Default for Kept<T> {
    fn default() -> Self {
        Self(Slab::new())
    }
}

impl<T: Default> Kept<T> {
    /// See [`Slab::insert`].
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.0.insert(value)
    }

    /// See [`Slab::place_next`].
    pub(crate) fn place_next(&mut self, at: u32) {
        self.0.place_next(at);
    }

    /// See [`Slab::fill_gaps`].
    pub(crate) fn fill_gaps(&mut self, is_used: impl Fn(u32) -> bool) {
        self.0.fill_gaps(is_used);
    }

    /// See [`Slab::remove`].
    pub(crate) fn remove(&mut self, at: u32) -> T {
        self.0.remove(at)
    }

    /// See [`Slab::get`].
    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        self.0.get(at)
    }

    /// See [`Slab::fetch`].
    pub(crate) fn fetch(&self, at: u32) {
        self.0.fetch(at);
    }

    /// See [`Slab::len`].
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// See [`Slab::places`].
    pub(crate) fn places(&self) -> std::ops::Range<u32> {
        self.0.places()
    }
}

impl<T> std::ops::Index<u32> for Kept<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        &self.0[at]
    }
}

impl Population {
    /// Notes that what is kept of a user or of its sessions is not what was written.
    pub(crate) fn note(&mut self, user: u32) {
        if let Some(changed) = &mut self.changed {
            changed.note(user);
        }
    }

    /// The cold part of a session, to be changed.
    pub(crate) fn cold_mut(&mut self, at: u32) -> &mut Cold {
        self.note(self.cold[at].user);
        &mut self.cold.0[at]
    }

    /// A user, to be changed.
    pub(crate) fn user_mut(&mut self, at: u32) -> &mut User {
        self.note(at);
        &mut self.users.0[at]
    }

    /// As [`Population::facts_of`], to be changed.
    pub(crate) fn facts_of_mut(&mut self, at: u32) -> Option<&mut Facts> {
        let facts = self.hot[at].facts;
        if facts == NONE {
            return None;
        }
        self.note(self.cold[at].user);
        Some(&mut self.facts.0[facts])
    }

    /// The rare facts of a session, made where there are none, to be changed.
    pub(crate) fn facts_mut(&mut self, at: u32) -> &mut Facts {
        self.note(self.cold[at].user);
        let hot = &mut self.hot[at];
        if hot.facts == NONE {
            hot.facts = self.facts.insert(Facts::default());
        }
        &mut self.facts.0[hot.facts]
    }

    /// Forgets the rare facts of a session.
    pub(crate) fn remove_facts(&mut self, at: u32) {
        match std::mem::replace(&mut self.hot[at].facts, NONE) {
            NONE => {}
            facts => {
                self.note(self.cold[at].user);
                self.facts.remove(facts);
            }
        }
    }

    pub(crate) fn set_every_ms(&mut self, at: u32, every_ms: u32) {
        let [a, b, c, _] = every_ms.min(EVERY_MS_MAX).to_le_bytes();
        if self.cold[at].every_ms != [a, b, c] {
            self.cold_mut(at).every_ms = [a, b, c];
            self.hot[at].set_promised(every_ms > 0);
        }
    }

    pub(crate) fn set_epoch(&mut self, at: u32, epoch: Option<u64>) {
        let (name, epoch) = (self.hot[at].name, epoch.unwrap_or(NO_EPOCH));
        if self.names.epoch(name) != epoch {
            self.note(self.cold[at].user);
            self.names.set_epoch(name, epoch);
        }
    }

    pub(crate) fn set_excuse(&mut self, at: u32, excuse: Option<Excuse>) {
        self.hot[at].set_excused(excuse.is_some());
        let (name, excuse) = (self.hot[at].name, Excuse::pack(excuse));
        if self.names.excuse(name) != excuse {
            self.note(self.cold[at].user);
            self.names.set_excuse(name, excuse);
        }
    }

    /// What is rare of a user, made where there is none, to be changed.
    pub(crate) fn person_mut(&mut self, user: u32) -> &mut Person {
        self.note(user);
        self.person_unnoted(user)
    }

    /// As [`Population::person_mut`], to change what no checkpoint holds: where it is in the wheel and in rooms, and while it is
    /// here, until when it was.
    pub(crate) fn person_unnoted(&mut self, user: u32) -> &mut Person {
        let user = &mut self.users.0[user];
        if user.person == NONE {
            user.person = self.persons.insert(Person::default());
        }
        &mut self.persons.0[user.person]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_changes_often_is_noted_once() {
        let mut changed = Changed::default();
        for user in [70, 3, 70, 1_000_000, 3, 0] {
            changed.note(user);
        }
        assert_eq!((changed.len(), changed.in_order()), (4, vec![0, 3, 70, 1_000_000]));
    }
}
