//! Who is there: the records of sessions, users and tenants, and how they are found.

use super::index::Index;
use super::key::{IndexKey, NameHash};
use super::names::Names;
use super::record::{Cold, Facts, Hot, NO_EPOCH, NONE, Tenant, User, Will};
use super::row::Row;
use super::sequence::Sequence;
use super::slab::Slab;
use crate::model::session::Life;
use crate::model::{Address, Millis, Policy, State, Token};

/// The records of one partition. Places are `u32`; a place is valid until its record is removed.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Population {
    // In the order in which a heartbeat asks them.
    hash: NameHash,
    by_session: Index,
    pub(crate) hot: Slab<Hot>,
    names: Names,
    pub(crate) cold: Slab<Cold>,
    pub(crate) facts: Slab<Facts>,
    pub(crate) users: Slab<User>,
    pub(crate) wills: Slab<Will>,
    tenants: Slab<Tenant>,
    by_user: Index,
    by_tenant: Index,
}

/// A session that is looked for: the row of its names, their hash under the key of one population, and where it seems to be.
#[derive(Debug, Clone, Copy)]
pub struct Sought {
    row: Row,
    hash: u64,
    /// A hint: by the time it is used, somebody else may lie there.
    seen_at: u32,
}

impl Default for Sought {
    fn default() -> Self {
        Self { row: Row::default(), hash: 0, seen_at: NONE }
    }
}

impl Population {
    pub(crate) fn new(key: IndexKey) -> Self {
        Self {
            hash: NameHash::new(key),
            hot: Slab::new(),
            cold: Slab::new(),
            facts: Slab::new(),
            users: Slab::new(),
            wills: Slab::new(),
            tenants: Slab::new(),
            names: Names::new(),
            by_session: Index::default(),
            by_user: Index::default(),
            by_tenant: Index::default(),
        }
    }

    /// What a session is looked for by.
    pub(crate) fn sought(&self, address: Address<'_>) -> Sought {
        let mut sought = Sought::default();
        self.seek(address, &mut sought);
        sought
    }

    /// As [`Population::sought`], where it stands; and fetches its line of the index.
    #[inline]
    pub(crate) fn seek(&self, address: Address<'_>, sought: &mut Sought) {
        sought.row.set(names_of(address));
        sought.hash = self.hash.of_row(&sought.row, names_of(address));
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

    /// The place of a user.
    pub(crate) fn find_user(&self, tenant: Token<'_>, user: Token<'_>) -> Option<u32> {
        let names = [tenant.as_str(), user.as_str()];
        self.by_user.find(self.hash.of(names), |at| self.names.begins(self.hot[self.users[at].first].name, names))
    }

    fn user_hash(&self, at: u32) -> u64 {
        let [tenant, user, _] = self.names.get(self.hot[self.users[at].first].name);
        self.hash.of([tenant, user])
    }

    fn place_hash(&self, at: u32) -> u64 {
        self.hash.of(self.names.get(self.hot[at].name))
    }

    fn tenant_hash(&self, tenant: &str) -> u64 {
        self.hash.of([tenant])
    }

    fn find_tenant(&self, tenant: Token<'_>) -> Option<u32> {
        let same = |at: u32| *self.tenants[at].name == *tenant.as_str();
        self.by_tenant.find(self.tenant_hash(tenant.as_str()), same)
    }

    fn add_tenant(&mut self, tenant: Token<'_>) -> u32 {
        let at = self.tenants.insert(Tenant { name: tenant.as_str().into(), ..Tenant::default() });
        let mut index = std::mem::take(&mut self.by_tenant);
        index.insert(self.tenant_hash(tenant.as_str()), at, |at| self.tenant_hash(&self.tenants[at].name));
        self.by_tenant = index;
        at
    }

    fn remove_tenant(&mut self, at: u32) {
        let hash = self.tenant_hash(&self.tenants[at].name);
        self.by_tenant.remove(hash, at);
        self.tenants.remove(at);
    }

    /// How many sessions a tenant has, remembered ones included.
    pub(crate) fn sessions_of_tenant(&self, tenant: Token<'_>) -> u32 {
        self.find_tenant(tenant).map_or(0, |at| self.tenants[at].sessions)
    }

    /// Adds a session that is not there, with its user and tenant where they are not.
    pub(crate) fn add(&mut self, address: Address<'_>, sought: &Sought) -> u32 {
        let user = match self.find_user(address.tenant, address.user) {
            Some(user) => user,
            None => self.add_user(address.tenant, address.user),
        };
        let at = self.hot.insert(Hot::named(self.names.insert(names_of(address))));
        let next = std::mem::replace(&mut self.users[user].first, at);
        let cold = self.cold.insert(Cold { user, next, ..Cold::default() });
        assert_eq!(at, cold, "both parts of a session lie at one place");
        self.users[user].sessions += 1;
        let tenant = self.users[user].tenant;
        self.tenants[tenant].sessions += 1;
        let mut index = std::mem::take(&mut self.by_session);
        index.insert(sought.hash, at, |at| self.place_hash(at));
        self.by_session = index;
        at
    }

    fn add_user(&mut self, tenant: Token<'_>, user: Token<'_>) -> u32 {
        let tenant_at = match self.find_tenant(tenant) {
            Some(at) => at,
            None => self.add_tenant(tenant),
        };
        self.tenants[tenant_at].users += 1;
        let at = self.users.insert(User { tenant: tenant_at, ..User::default() });
        let mut index = std::mem::take(&mut self.by_user);
        index.insert(self.hash.of([tenant.as_str(), user.as_str()]), at, |at| self.user_hash(at));
        self.by_user = index;
        at
    }

    /// Removes a session, and its user if that was the last one; returns the highest incarnation that is forgotten.
    pub(crate) fn remove(&mut self, at: u32) -> u64 {
        self.by_session.remove(self.place_hash(at), at);
        let user = self.cold[at].user;
        let user_hash = self.user_hash(user);
        self.unlink(user, at);
        let hot = self.hot.remove(at);
        let cold = self.cold.remove(at);
        self.names.remove(hot.name);
        if hot.facts != NONE {
            self.facts.remove(hot.facts);
        }
        let tenant = self.users[user].tenant;
        self.tenants[tenant].sessions -= 1;
        self.users[user].sessions -= 1;
        let forgotten = if self.users[user].first == NONE { self.remove_user(user, user_hash) } else { 0 };
        forgotten.max(cold.incarnation)
    }

    fn unlink(&mut self, user: u32, at: u32) {
        let next = self.cold[at].next;
        if self.users[user].first == at {
            self.users[user].first = next;
            return;
        }
        let mut before = self.users[user].first;
        while self.cold[before].next != at {
            before = self.cold[before].next;
        }
        self.cold[before].next = next;
    }

    fn remove_user(&mut self, at: u32, hash: u64) -> u64 {
        self.by_user.remove(hash, at);
        let user = self.users.remove(at);
        if user.will != NONE {
            self.wills.remove(user.will);
        }
        self.tenants[user.tenant].users -= 1;
        if self.tenants[user.tenant].users == 0 {
            self.remove_tenant(user.tenant);
        }
        user.incarnation
    }

    /// The places of a user's sessions, in no order that means anything.
    pub(crate) fn sessions_of(&self, user: u32) -> impl Iterator<Item = u32> + '_ {
        let first = Some(self.users[user].first).filter(|at| *at != NONE);
        std::iter::successors(first, |at| Some(self.cold[*at].next).filter(|next| *next != NONE))
    }

    pub(crate) fn session_name(&self, at: u32) -> &str {
        let [_, _, session] = self.names.get(self.hot[at].name);
        session
    }

    pub(crate) fn user_name(&self, at: u32) -> &str {
        let [_, user, _] = self.names.get(self.hot[self.users[at].first].name);
        user
    }

    pub(crate) fn tenant_name(&self, user: u32) -> &str {
        &self.tenants[self.users[user].tenant].name
    }

    /// The rare facts of a session, if it has any.
    pub(crate) fn facts_of(&self, at: u32) -> Option<&Facts> {
        let facts = self.hot[at].facts;
        (facts != NONE).then(|| &self.facts[facts])
    }

    /// The rare facts of a session, made where there are none.
    pub(crate) fn facts_mut(&mut self, at: u32) -> &mut Facts {
        let hot = &mut self.hot[at];
        if hot.facts == NONE {
            hot.facts = self.facts.insert(Facts::default());
        }
        &mut self.facts[hot.facts]
    }

    /// Forgets the rare facts of a session.
    pub(crate) fn remove_facts(&mut self, at: u32) {
        match std::mem::replace(&mut self.hot[at].facts, NONE) {
            NONE => {}
            facts => drop(self.facts.remove(facts)),
        }
    }

    /// The declared interval between a session's beats, 0 for none.
    pub(crate) fn every_ms(&self, at: u32) -> u32 {
        // Only who promised something has its cold part looked at: most that asks this asks for thousands.
        if self.hot[at].promised() { self.cold[at].every_ms } else { 0 }
    }

    pub(crate) fn set_every_ms(&mut self, at: u32, every_ms: u32) {
        self.cold[at].every_ms = every_ms;
        self.hot[at].set_promised(every_ms > 0);
    }

    /// The client's epoch of a session.
    pub(crate) fn epoch(&self, at: u32) -> Option<u64> {
        Some(self.names.epoch(self.hot[at].name)).filter(|epoch| *epoch != NO_EPOCH)
    }

    /// What is known of a session's (epoch, seq).
    #[inline]
    pub(crate) fn sequence(&self, at: u32) -> Sequence {
        Sequence { epoch: self.epoch(at), seq: self.hot[at].seq() }
    }

    pub(crate) fn set_epoch(&mut self, at: u32, epoch: Option<u64>) {
        self.names.set_epoch(self.hot[at].name, epoch.unwrap_or(NO_EPOCH));
    }

    /// What a session's state follows from.
    pub(crate) fn life(&self, at: u32) -> Life {
        let (hot, facts) = (&self.hot[at], self.facts_of(at));
        Life {
            seen: hot.seen(),
            input: hot.input(),
            visibility: hot.visibility(),
            out_of_sight: facts.and_then(|facts| facts.out_of_sight),
            frozen: facts.map_or(0, |facts| facts.frozen),
            closed: facts.and_then(|facts| facts.closed),
            leaving: facts.and_then(|facts| facts.leaving),
            every_ms: self.every_ms(at),
            reported: hot.reported(),
        }
    }

    /// The instant at which a session falls to a lower state, or is forgotten.
    pub(crate) fn deadline(&self, at: u32, policy: &Policy) -> Millis {
        let hot = &self.hot[at];
        let profile = &policy.profiles[hot.profile()].1;
        match hot.state() {
            State::Offline => self.cold[at].ended + profile.tombstone,
            state => self.life(at).deadlines(profile).next_below(state),
        }
    }

    /// The latest of `time` over a user's sessions, remembered ones included.
    pub(crate) fn latest(&self, user: u32, time: impl Fn(&Hot) -> Millis) -> Millis {
        self.sessions_of(user).map(|at| time(&self.hot[at])).max().unwrap_or(0)
    }

    /// Users in the order of their tenant's and their own name.
    pub(crate) fn users_in_order(&self) -> Vec<u32> {
        let mut users: Vec<u32> = self.by_user.places().collect();
        users.sort_unstable_by_key(|at| (self.tenant_name(*at), self.user_name(*at)));
        users
    }

    /// A user's sessions in the order of their names.
    pub(crate) fn sessions_in_order(&self, user: u32) -> Vec<u32> {
        let mut sessions: Vec<u32> = self.sessions_of(user).collect();
        sessions.sort_unstable_by_key(|at| self.session_name(*at));
        sessions
    }
}

fn names_of(address: Address<'_>) -> [&str; 3] {
    [address.tenant.as_str(), address.user.as_str(), address.session.as_str()]
}
