//! Who is there: the records of sessions, users and tenants, and how they are found.

use super::changed::{Changed, Kept};
use super::gateway::Excuse;
use super::hot::Hot;
use super::index::Index;
use super::key::IndexKey;
use super::names::{Name, Names};
use super::record::{Cold, Facts, NO_EPOCH, NONE, Person, Shown, Tenant, UNARMED, User};
use super::sequence::Sequence;
use super::slab::Slab;
use super::sought::Sought;
use crate::model::session::Life;
use crate::model::{Address, Intent, Millis, State, Token};

/// The records of one partition. Places are `u32`; a place is valid until its record is removed.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Population {
    // In the order in which a heartbeat asks them.
    pub(super) key: IndexKey,
    pub(super) by_session: Index,
    pub(crate) hot: Slab<Hot>,
    pub(super) names: Names,
    pub(crate) cold: Kept<Cold>,
    pub(crate) facts: Kept<Facts>,
    pub(crate) users: Kept<User>,
    pub(crate) persons: Kept<Person>,
    tenants: Slab<Tenant>,
    by_user: Index,
    by_tenant: Index,
    /// Users without sessions.
    alone: u32,
    /// Whose records have changed since they were written, if that is kept.
    pub(crate) changed: Option<Changed>,
}

impl Population {
    pub(crate) fn new(key: &IndexKey) -> Self {
        Self {
            key: key.clone(),
            hot: Slab::new(),
            cold: Kept::default(),
            facts: Kept::default(),
            users: Kept::default(),
            persons: Kept::default(),
            tenants: Slab::new(),
            names: Names::new(),
            by_session: Index::default(),
            by_user: Index::default(),
            by_tenant: Index::default(),
            alone: 0,
            changed: None,
        }
    }

    /// The place of a user.
    pub(crate) fn find_user(&self, tenant: Token<'_>, user: Token<'_>) -> Option<u32> {
        self.find_user_by(&format!("{tenant}.{user}"))
    }

    /// As [`Population::find_user`], by both names as they stand in an address.
    pub(crate) fn find_user_by(&self, of_user: &str) -> Option<u32> {
        self.by_user.find(self.key.hash().of(of_user), |at| self.names.begins(self.name_of_user(at), of_user))
    }

    /// A text that begins with a user's name: that of a session, or its own where it has none.
    pub(super) fn name_of_user(&self, at: u32) -> Name {
        match self.users[at].first {
            NONE => self.persons[self.users[at].person].name,
            first => self.hot[first].name,
        }
    }

    fn user_hash(&self, at: u32) -> u64 {
        let name = self.names.get(self.name_of_user(at));
        let (of_user, _) = name.rsplit_once('.').expect("a session's name follows its user's");
        self.key.hash().of(of_user)
    }

    fn place_hash(&self, at: u32) -> u64 {
        self.key.hash().of(self.names.get(self.hot[at].name))
    }

    fn tenant_hash(&self, tenant: &str) -> u64 {
        self.key.hash().of(tenant)
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

    /// How many sessions a tenant has, remembered ones included; a user who has only an intent counts as one.
    pub(crate) fn sessions_of_tenant(&self, tenant: Token<'_>) -> u32 {
        self.find_tenant(tenant).map_or(0, |at| self.tenants[at].sessions)
    }

    /// How many sessions there are, counted likewise.
    pub(crate) fn sessions_counted(&self) -> u32 {
        self.hot.len() as u32 + self.alone
    }

    /// The user that is added next is kept at this place, where there must be none.
    pub(crate) fn place_next_user(&mut self, at: u32) {
        self.users.place_next(at);
    }

    /// The session that is added next is kept at this place, where there must be none.
    pub(crate) fn place_next_session(&mut self, at: u32) {
        self.hot.place_next(at);
        self.cold.place_next(at);
    }

    /// Behind those that were placed: what was left between them is used again.
    pub(crate) fn fill_gaps(&mut self) {
        let Self { hot, cold, users, .. } = self;
        let is_there: Vec<bool> = hot.places().map(|at| hot[at].name.is_some()).collect();
        hot.fill_gaps(|at| is_there[at as usize]);
        cold.fill_gaps(|at| is_there[at as usize]);
        let is_there: Vec<bool> = users.places().map(|at| users[at].tenant != NONE).collect();
        users.fill_gaps(|at| is_there[at as usize]);
    }

    /// Adds a session that is not there, with its user and tenant where they are not.
    pub(crate) fn add(&mut self, address: Address<'_>, sought: &Sought) -> u32 {
        let user = match self.find_user_by(address.of_user()) {
            Some(user) => user,
            None => self.add_user(address.tenant(), address.of_user()),
        };
        let tenant = self.users[user].tenant;
        if self.is_alone(user) {
            let name = std::mem::take(&mut self.person_mut(user).name);
            self.names.remove(name);
            self.alone -= 1;
        } else {
            self.tenants[tenant].sessions += 1;
        }
        let at = self.hot.insert(Hot::with_name(self.names.insert(address.as_str())));
        let next = std::mem::replace(&mut self.user_mut(user).first, at);
        let cold = self.cold.insert(Cold { user, next, ..Cold::default() });
        assert_eq!(at, cold, "both parts of a session lie at one place");
        self.user_mut(user).sessions += 1;
        let mut index = std::mem::take(&mut self.by_session);
        index.insert(sought.hash, at, |at| self.place_hash(at));
        self.by_session = index;
        at
    }

    /// Adds a user that is not there, and has nothing but an intent.
    pub(crate) fn add_alone(&mut self, tenant: Token<'_>, user: Token<'_>, person: Person) -> u32 {
        let mut name = format!("{tenant}.{user}");
        let at = self.add_user(tenant, &name);
        name.push('.');
        let name = self.names.insert(&name);
        self.user_mut(at).person = self.persons.insert(Person { name, ..person });
        self.alone += 1;
        let tenant = self.users[at].tenant;
        self.tenants[tenant].sessions += 1;
        at
    }

    /// Whether it is a user that has no session.
    pub(crate) fn is_alone(&self, user: u32) -> bool {
        self.users[user].person != NONE && self.person(user).is_some_and(|person| person.name.is_some())
    }

    fn add_user(&mut self, tenant: Token<'_>, of_user: &str) -> u32 {
        let tenant_at = match self.find_tenant(tenant) {
            Some(at) => at,
            None => self.add_tenant(tenant),
        };
        self.tenants[tenant_at].users += 1;
        let at = self.users.insert(User { tenant: tenant_at, ..User::default() });
        let mut index = std::mem::take(&mut self.by_user);
        index.insert(self.key.hash().of(of_user), at, |at| self.user_hash(at));
        self.by_user = index;
        at
    }

    /// Removes a session, and its user if that was the last one and there is no intent; returns the highest incarnation that is
    /// forgotten.
    pub(crate) fn remove(&mut self, at: u32) -> u64 {
        self.by_session.remove(self.place_hash(at), at);
        let user = self.cold[at].user;
        let user_hash = self.user_hash(user);
        self.unlink(user, at);
        let is_last = self.users[user].first == NONE;
        let is_willed = self.person(user).is_some_and(|person| person.intent != Intent::Open);
        if is_last && is_willed {
            let name = self.names.get(self.hot[at].name);
            let session = self.session_name(at).len();
            let of_user = name[..name.len() - session].to_owned();
            let name = self.names.insert(&of_user);
            self.person_mut(user).name = name;
            self.alone += 1;
        } else {
            let tenant = self.users[user].tenant;
            self.tenants[tenant].sessions -= 1;
        }
        self.remove_facts(at);
        let hot = self.hot.remove(at);
        let cold = self.cold.remove(at);
        self.names.remove(hot.name);
        self.user_mut(user).sessions -= 1;
        let forgotten = if is_last && !is_willed { self.remove_user(user, user_hash) } else { 0 };
        forgotten.max(cold.incarnation.get())
    }

    /// Removes a user without sessions, whose intent has gone; returns its incarnation.
    pub(crate) fn remove_alone(&mut self, at: u32) -> u64 {
        let hash = self.user_hash(at);
        let name = self.person_mut(at).name;
        self.names.remove(name);
        self.alone -= 1;
        let tenant = self.users[at].tenant;
        self.tenants[tenant].sessions -= 1;
        self.remove_user(at, hash)
    }

    fn unlink(&mut self, user: u32, at: u32) {
        let next = self.cold[at].next;
        if self.users[user].first == at {
            self.user_mut(user).first = next;
            return;
        }
        let mut before = self.users[user].first;
        while self.cold[before].next != at {
            before = self.cold[before].next;
        }
        self.cold_mut(before).next = next;
    }

    fn remove_user(&mut self, at: u32, hash: u64) -> u64 {
        self.by_user.remove(hash, at);
        self.note(at);
        let user = self.users.remove(at);
        if user.person != NONE {
            self.persons.remove(user.person);
        }
        self.tenants[user.tenant].users -= 1;
        if self.tenants[user.tenant].users == 0 {
            self.remove_tenant(user.tenant);
        }
        user.incarnation.get()
    }

    /// The places of a user's sessions, in no order that means anything.
    pub(crate) fn sessions_of(&self, user: u32) -> impl Iterator<Item = u32> + '_ {
        let first = Some(self.users[user].first).filter(|at| *at != NONE);
        std::iter::successors(first, |at| Some(self.cold[*at].next).filter(|next| *next != NONE))
    }

    pub(crate) fn session_name(&self, at: u32) -> &str {
        self.names.get(self.hot[at].name).rsplit('.').next().unwrap_or_default()
    }

    pub(crate) fn user_name(&self, at: u32) -> &str {
        self.names.get(self.name_of_user(at)).split('.').nth(1).unwrap_or_default()
    }

    pub(crate) fn tenant_name(&self, user: u32) -> &str {
        &self.tenants[self.users[user].tenant].name
    }

    /// The rare facts of a session, if it has any.
    pub(crate) fn facts_of(&self, at: u32) -> Option<&Facts> {
        let facts = self.hot[at].facts;
        (facts != NONE).then(|| &self.facts[facts])
    }

    /// The declared interval between a session's beats, 0 for none.
    pub(crate) fn every_ms(&self, at: u32) -> u32 {
        // Only who promised something has its cold part looked at: most that asks this asks for thousands.
        let [a, b, c] = if self.hot[at].promised() { self.cold[at].every_ms } else { [0; 3] };
        u32::from_le_bytes([a, b, c, 0])
    }

    /// The client's epoch of a session.
    #[inline]
    pub(crate) fn epoch(&self, at: u32) -> Option<u64> {
        Some(self.names.epoch(self.hot[at].name)).filter(|epoch| *epoch != NO_EPOCH)
    }

    /// What is known of a session's (epoch, seq).
    #[inline]
    pub(crate) fn sequence(&self, at: u32) -> Sequence {
        Sequence { epoch: self.epoch(at), seq: self.hot[at].seq() }
    }

    /// What excuses a session, if a gateway's silence does.
    pub(crate) fn excuse(&self, at: u32) -> Option<Excuse> {
        let hot = &self.hot[at];
        hot.excused().then(|| Excuse::unpack(self.names.excuse(hot.name))).flatten()
    }

    /// What is rare of a user, if there is any.
    pub(crate) fn person(&self, user: u32) -> Option<&Person> {
        let person = self.users[user].person;
        (person != NONE).then(|| &self.persons[person])
    }

    /// A user's intent and its end.
    pub(crate) fn intent(&self, user: u32) -> (Intent, Option<Millis>) {
        self.person(user).map_or((Intent::Open, None), |person| (person.intent, person.until))
    }

    /// Whether a session of a user is there.
    pub(crate) fn is_here(&self, user: u32) -> bool {
        self.sessions_of(user).any(|at| self.hot[at].state() != State::Offline)
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
            stretched: facts.map_or((0, 0), |facts| (facts.level, facts.raised)),
        }
    }

    /// The facts of a session whose change is told, as they are.
    pub(crate) fn shown(&self, at: u32) -> Shown {
        let facts = self.facts_of(at).cloned().unwrap_or_default();
        Shown {
            closed: facts.is_closed(),
            visibility: self.hot[at].visibility(),
            can: facts.can,
            rooms: facts.rooms,
            meta: facts.meta,
        }
    }

    /// The wheel step of a user's own entry.
    pub(crate) fn person_wake(&self, user: u32) -> u64 {
        self.person(user).map_or(UNARMED, |person| person.wake)
    }

    /// Users in no order that means anything.
    pub(crate) fn users(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_user.places()
    }

    /// Makes room for so many users, and as many sessions.
    pub(crate) fn expect(&mut self, users: usize) {
        let mut index = std::mem::take(&mut self.by_user);
        index.reserve(users, |at| self.user_hash(at));
        self.by_user = index;
        let mut index = std::mem::take(&mut self.by_session);
        index.reserve(users, |at| self.place_hash(at));
        self.by_session = index;
    }
}
