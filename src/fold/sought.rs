//! A session that is looked for, and how it is found.

use super::hot::Hot;
use super::population::Population;
use super::record::NONE;
use super::row::Row;
use crate::model::Address;

/// A session that is looked for: the row of its names, their hash under the key of one population, and where it seems to be.
#[derive(Debug, Clone, Copy)]
pub struct Sought {
    row: Row,
    pub(super) hash: u64,
    /// A hint: by the time it is used, somebody else may lie there.
    seen_at: u32,
}

impl Default for Sought {
    fn default() -> Self {
        Self { row: Row::default(), hash: 0, seen_at: NONE }
    }
}

impl Population {
    /// What a session is looked for by.
    pub(crate) fn sought(&self, address: Address<'_>) -> Sought {
        let mut sought = Sought::default();
        self.seek(address, &mut sought);
        sought
    }

    /// As [`Population::sought`], where it stands; and fetches its line of the index.
    #[inline]
    pub(crate) fn seek(&self, address: Address<'_>, sought: &mut Sought) {
        sought.hash = self.hash.and_row(names_of(address), &mut sought.row);
        self.by_session.fetch(sought.hash);
    }

    /// The place of a session. The hash finds it, its names decide, so that a crafted collision gains nothing.
    #[inline]
    pub(crate) fn find(&self, address: Address<'_>, sought: &Sought) -> Option<u32> {
        let is_it = |at: u32| {
            let name = self.hot[at].name;
            name.is_some() && self.names.is(name, &sought.row, names_of(address))
        };
        if sought.seen_at != NONE && is_it(sought.seen_at) {
            return Some(sought.seen_at);
        }
        self.by_session.find(sought.hash, is_it)
    }

    /// The hot part of a session with its epoch and its excuse as they are kept, if it is where it was seen and its names are kept
    /// as a row. Whom this doesn't find may be there.
    #[inline]
    pub(crate) fn seen(&mut self, sought: &Sought) -> Option<(&mut Hot, u64, u64)> {
        if sought.seen_at == NONE {
            return None;
        }
        let hot = &mut self.hot[sought.seen_at];
        if !hot.name.is_some() {
            return None;
        }
        self.names.known(hot.name, &sought.row).map(|(epoch, excuse)| (hot, epoch, excuse))
    }

    /// Notes where a session seems to be, by its hash alone, and fetches its hot part.
    #[inline]
    pub(crate) fn glance(&self, sought: &mut Sought) {
        sought.seen_at = self.by_session.glance(sought.hash);
        if sought.seen_at != NONE {
            self.hot.fetch(sought.seen_at);
        }
    }

    /// Fetches the name of a session that was seen.
    #[inline]
    pub(crate) fn fetch_name(&self, sought: &Sought) {
        if sought.seen_at != NONE {
            let name = self.hot[sought.seen_at].name;
            if name.is_some() {
                self.names.fetch(name);
            }
        }
    }
}

pub(crate) fn names_of(address: Address<'_>) -> [&str; 3] {
    [address.tenant.as_str(), address.user.as_str(), address.session.as_str()]
}
