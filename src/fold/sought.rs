//! A session that is looked for, and how it is found.

use super::hot::Hot;
use super::population::Population;
use super::record::NONE;
use crate::model::Address;

/// A session that is looked for: the hash of its address under the key of one population, and where it seems to be.
#[derive(Debug, Clone, Copy)]
pub struct Sought {
    pub(super) hash: u64,
    /// A hint: by the time it is used, somebody else may lie there.
    seen_at: u32,
}

impl Default for Sought {
    fn default() -> Self {
        Self { hash: 0, seen_at: NONE }
    }
}

impl Sought {
    /// Where it seems to be.
    pub(super) fn place(&self) -> u32 {
        self.seen_at
    }
}

impl Population {
    /// What a session is looked for by. Its line of the index is fetched.
    #[inline]
    pub(crate) fn sought(&self, address: Address<'_>) -> Sought {
        let hash = self.key.hash().of(address.as_str());
        self.by_session.fetch(hash);
        Sought { hash, seen_at: NONE }
    }

    /// The place of a session. The hash finds it, its names decide, so that a crafted collision gains nothing.
    #[inline]
    pub(crate) fn find(&self, address: Address<'_>, sought: &Sought) -> Option<u32> {
        let is_it = |at: u32| {
            let name = self.hot[at].name;
            name.is_some() && self.names.known(name, address.as_str()).is_some()
        };
        if sought.seen_at != NONE && is_it(sought.seen_at) {
            return Some(sought.seen_at);
        }
        self.by_session.find(sought.hash, is_it)
    }

    /// The hot part of a session with its epoch and its excuse as they are kept, if it is where it was seen. Whom this doesn't
    /// find may be there.
    #[inline]
    pub(crate) fn seen(&mut self, address: Address<'_>, sought: &Sought) -> Option<(&mut Hot, u64, u64)> {
        let hot = self.hot.get_mut(sought.seen_at)?;
        self.names.known(hot.name, address.as_str()).map(|(epoch, excuse)| (hot, epoch, excuse))
    }

    /// Notes where a session seems to be, by its hash alone, and fetches its hot part.
    #[inline]
    pub(crate) fn glance(&self, sought: &mut Sought) {
        sought.seen_at = self.by_session.glance(sought.hash);
        self.hot.fetch(sought.seen_at);
    }

    /// Fetches the name of a session that was seen.
    #[inline]
    pub(crate) fn fetch_name(&self, sought: &Sought) {
        if let Some(hot) = self.hot.get(sought.seen_at) {
            self.names.fetch(hot.name);
        }
    }
}
