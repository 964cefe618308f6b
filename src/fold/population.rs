//! Who is there: the records of sessions, users and tenants, and how they are found.

use hashbrown::HashTable;

use super::key::{self, IndexKey};
use super::names::{Names, same};
use super::record::{Cold, Facts, Hot, NO_EPOCH, NONE, Tenant, UNARMED, User, Will};
use super::slab::Slab;
use crate::model::session::Life;
use crate::model::{Address, Millis, Token};

/// The records of one partition. Places are `u32`; a place is valid until its record is removed.
#[derive(Debug)]
pub(crate) struct Population {
    key: IndexKey,
    pub(crate) hot: Slab<Hot>,
    pub(crate) cold: Slab<Cold>,
    pub(crate) facts: Slab<Facts>,
    pub(crate) users: Slab<User>,
    pub(crate) wills: Slab<Will>,
    tenants: Slab<Tenant>,
    names: Names,
    by_session: HashTable<u32>,
    by_user: HashTable<u32>,
    by_tenant: HashTable<u32>,
}

/// The hash of a session's names under the key of one population, and where a session of that hash was seen.
#[derive(Debug, Clone, Copy)]
pub struct SessionHash {
    hash: u128,
    /// A hint: by the time it is used, somebody else may lie there.
    seen_at: u32,
}

impl Default for SessionHash {
    fn default() -> Self {
        Self { hash: 0, seen_at: NONE }
    }
}

impl Population {
    pub(crate) fn new(key: IndexKey) -> Self {
        Self {
            key,
            hot: Slab::new(),
            cold: Slab::new(),
            facts: Slab::new(),
            users: Slab::new(),
            wills: Slab::new(),
            tenants: Slab::new(),
            names: Names::new(),
            by_session: HashTable::new(),
            by_user: HashTable::new(),
            by_tenant: HashTable::new(),
        }
    }

    /// The hash under which a session is found.
    pub(crate) fn session_hash(&self, address: Address<'_>) -> SessionHash {
        let names = [address.tenant.as_str(), address.user.as_str(), address.session.as_str()];
        SessionHash { hash: key::hash_names(self.key, names), seen_at: NONE }
    }

    /// The place of a session. The hash finds it, its names decide, so that a crafted collision gains nothing.
    pub(crate) fn find(&self, address: Address<'_>, hash: SessionHash) -> Option<u32> {
        let is_it = |at: u32| self.hot[at].key == (hash.hash >> 64) as u64 && self.is_at(at, address);
        if hash.seen_at != NONE && self.cold[hash.seen_at].user != NONE && is_it(hash.seen_at) {
            return Some(hash.seen_at);
        }
        self.by_session.find(hash.hash as u64, |at| is_it(*at)).copied()
    }

    /// Notes where a session seems to be, by its hash alone.
    pub(crate) fn glance(&self, hash: &mut SessionHash) {
        let same = |at: &u32| self.hot[*at].key == (hash.hash >> 64) as u64;
        hash.seen_at = self.by_session.find(hash.hash as u64, same).copied().unwrap_or(NONE);
    }

    /// Reads the cold part of a session that was seen, if it was; what it returns means nothing.
    pub(crate) fn touch_cold(&self, hash: SessionHash) -> u64 {
        if hash.seen_at == NONE { 0 } else { self.cold[hash.seen_at].epoch }
    }

    /// Reads the names of a session that was seen and its user's record; what it returns means nothing.
    pub(crate) fn touch(&self, hash: SessionHash) -> u64 {
        if hash.seen_at == NONE {
            return 0;
        }
        let cold = &self.cold[hash.seen_at];
        let user = &self.users[cold.user];
        let names = self.names.bytes(cold.name)[0] ^ self.names.bytes(user.name)[0];
        user.soonest ^ u64::from(names)
    }

    fn is_at(&self, at: u32, address: Address<'_>) -> bool {
        let cold = &self.cold[at];
        self.names.is(cold.name, address.session.as_str()) && self.is_user(cold.user, address.tenant, address.user)
    }

    fn is_user(&self, at: u32, tenant: Token<'_>, name: Token<'_>) -> bool {
        let user = &self.users[at];
        self.names.is(user.name, name.as_str())
            && same(self.tenants[user.tenant].name.as_bytes(), tenant.as_str().as_bytes())
    }

    /// The place of a user.
    pub(crate) fn find_user(&self, tenant: Token<'_>, user: Token<'_>) -> Option<u32> {
        let hash = key::hash_names(self.key, [tenant.as_str(), user.as_str()]) as u64;
        self.by_user.find(hash, |at| self.is_user(*at, tenant, user)).copied()
    }

    fn user_hash(&self, at: u32) -> u64 {
        let user = &self.users[at];
        key::hash_names(self.key, [&self.tenants[user.tenant].name, self.names.get(user.name)]) as u64
    }

    fn place_hash(&self, at: u32) -> u64 {
        let cold = &self.cold[at];
        let user = &self.users[cold.user];
        let tenant = &self.tenants[user.tenant].name;
        key::hash_names(self.key, [tenant, self.names.get(user.name), self.names.get(cold.name)]) as u64
    }

    fn tenant_hash(&self, tenant: &str) -> u64 {
        key::hash_names(self.key, [tenant]) as u64
    }

    fn find_tenant(&self, tenant: Token<'_>) -> Option<u32> {
        let same = |at: &u32| *self.tenants[*at].name == *tenant.as_str();
        self.by_tenant.find(self.tenant_hash(tenant.as_str()), same).copied()
    }

    fn add_tenant(&mut self, tenant: Token<'_>) -> u32 {
        let at = self.tenants.insert(Tenant { name: tenant.as_str().into(), ..Tenant::default() });
        let mut index = std::mem::take(&mut self.by_tenant);
        index.insert_unique(self.tenant_hash(tenant.as_str()), at, |at| self.tenant_hash(&self.tenants[*at].name));
        self.by_tenant = index;
        at
    }

    fn remove_tenant(&mut self, at: u32) {
        let hash = self.tenant_hash(&self.tenants[at].name);
        self.by_tenant.find_entry(hash, |other| *other == at).expect("a tenant is in the index").remove();
        self.tenants.remove(at);
    }

    /// How many sessions a tenant has, remembered ones included.
    pub(crate) fn sessions_of_tenant(&self, tenant: Token<'_>) -> u32 {
        self.find_tenant(tenant).map_or(0, |at| self.tenants[at].sessions)
    }

    /// Adds a session that is not there, with its user and tenant where they are not.
    pub(crate) fn add(&mut self, address: Address<'_>, hash: SessionHash) -> u32 {
        let hash = hash.hash;
        let user = match self.find_user(address.tenant, address.user) {
            Some(user) => user,
            None => self.add_user(address.tenant, address.user),
        };
        let name = self.names.insert(address.session.as_str());
        let at = self.hot.insert(Hot::with_key((hash >> 64) as u64));
        let next = std::mem::replace(&mut self.users[user].first, at);
        let cold = self.cold.insert(Cold { name, user, next, ..Cold::default() });
        assert_eq!(at, cold, "both parts of a session lie at one place");
        self.users[user].sessions += 1;
        let tenant = self.users[user].tenant;
        self.tenants[tenant].sessions += 1;
        let mut index = std::mem::take(&mut self.by_session);
        index.insert_unique(hash as u64, at, |at| self.place_hash(*at));
        self.by_session = index;
        at
    }

    fn add_user(&mut self, tenant: Token<'_>, user: Token<'_>) -> u32 {
        let tenant_at = match self.find_tenant(tenant) {
            Some(at) => at,
            None => self.add_tenant(tenant),
        };
        self.tenants[tenant_at].users += 1;
        let name = self.names.insert(user.as_str());
        let at = self.users.insert(User { tenant: tenant_at, name, ..User::default() });
        let hash = key::hash_names(self.key, [tenant.as_str(), user.as_str()]) as u64;
        let mut index = std::mem::take(&mut self.by_user);
        index.insert_unique(hash, at, |at| self.user_hash(*at));
        self.by_user = index;
        at
    }

    /// Removes a session, and its user if that was the last one; returns the highest incarnation that is forgotten.
    pub(crate) fn remove(&mut self, at: u32) -> u64 {
        let hash = self.place_hash(at);
        self.by_session.find_entry(hash, |other| *other == at).expect("a session is in the index").remove();
        let user = self.cold[at].user;
        self.unlink(user, at);
        self.hot.remove(at);
        let cold = self.cold.remove(at);
        self.names.remove(cold.name);
        if cold.facts != NONE {
            self.facts.remove(cold.facts);
        }
        let tenant = self.users[user].tenant;
        self.tenants[tenant].sessions -= 1;
        self.users[user].sessions -= 1;
        let forgotten = if self.users[user].first == NONE { self.remove_user(user) } else { 0 };
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

    fn remove_user(&mut self, at: u32) -> u64 {
        let hash = self.user_hash(at);
        self.by_user.find_entry(hash, |other| *other == at).expect("a user is in the index").remove();
        let user = self.users.remove(at);
        self.names.remove(user.name);
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
        self.names.get(self.cold[at].name)
    }

    pub(crate) fn user_name(&self, at: u32) -> &str {
        self.names.get(self.users[at].name)
    }

    pub(crate) fn tenant_name(&self, user: u32) -> &str {
        &self.tenants[self.users[user].tenant].name
    }

    /// The rare facts of a session, if it has any.
    pub(crate) fn facts_of(&self, at: u32) -> Option<&Facts> {
        let facts = self.cold[at].facts;
        (facts != NONE).then(|| &self.facts[facts])
    }

    /// The rare facts of a session, made where there are none.
    pub(crate) fn facts_mut(&mut self, at: u32) -> &mut Facts {
        if self.cold[at].facts == NONE {
            self.cold[at].facts = self.facts.insert(Facts::default());
        }
        let facts = self.cold[at].facts;
        &mut self.facts[facts]
    }

    /// The client's epoch of a session.
    pub(crate) fn epoch(&self, at: u32) -> Option<u64> {
        Some(self.cold[at].epoch).filter(|epoch| *epoch != NO_EPOCH)
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
            every_ms: self.cold[at].every_ms,
            reported: hot.reported(),
        }
    }

    /// The wheel step of the end of a user's intent.
    pub(crate) fn will_wake(&self, user: u32) -> u64 {
        match self.users[user].will {
            NONE => UNARMED,
            will => self.wills[will].wake,
        }
    }

    /// The latest of `time` over a user's sessions, remembered ones included.
    pub(crate) fn latest(&self, user: u32, time: impl Fn(&Hot) -> Millis) -> Millis {
        self.sessions_of(user).map(|at| time(&self.hot[at])).max().unwrap_or(0)
    }

    /// Users in the order of their tenant's and their own name.
    pub(crate) fn users_in_order(&self) -> Vec<u32> {
        let mut users: Vec<u32> = self.by_user.iter().copied().collect();
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
