//! Orders that don't depend on where records lie, and walks through records in them.

use super::population::Population;
use super::record::User;

/// What one step asks for has come when so many others have asked for theirs.
const DISTANCE: usize = 4;

impl Population {
    /// Users in the order of their tenant's and their own name.
    pub(crate) fn users_in_order(&self) -> Vec<u32> {
        let mut users: Vec<u32> = self.users().collect();
        users.sort_unstable_by_key(|at| (self.tenant_name(*at), self.user_name(*at)));
        users
    }

    /// Users in the order of the text that begins with their name, which means nothing, but is the same wherever they lie.
    pub(crate) fn users_by_text(&self) -> Vec<u32> {
        let places: Vec<u32> = self.users().collect();
        let fetch = |at: u32| self.hot.fetch(self.users[at].first);
        let mut texts: Vec<(&str, u32)> = Vec::with_capacity(places.len());
        for (number, at) in places.iter().enumerate() {
            // Each needs what the one before has fetched.
            if let Some(ahead) = places.get(number + 3 * DISTANCE) {
                self.users.fetch(*ahead);
            }
            if let Some(ahead) = places.get(number + 2 * DISTANCE) {
                fetch(*ahead);
            }
            if let Some(ahead) = places.get(number + DISTANCE) {
                self.names.fetch(self.name_of_user(*ahead));
            }
            texts.push((self.names.get(self.name_of_user(*at)), *at));
        }
        texts.sort_unstable_by_key(|(text, _)| *text);
        texts.into_iter().map(|(_, at)| at).collect()
    }

    /// Fetches what lies beside a user's name of it and of its first session, if it is there.
    pub(crate) fn fetch_user(&self, user: u32) {
        if let Some(User { first, .. }) = self.users.get(user) {
            self.hot.fetch(*first);
            self.cold.fetch(*first);
        }
    }

    /// A user's sessions in the order of their names.
    pub(crate) fn sessions_in_order(&self, user: u32) -> Vec<u32> {
        let mut sessions: Vec<u32> = self.sessions_of(user).collect();
        sessions.sort_unstable_by_key(|at| self.session_name(*at));
        sessions
    }
}
