//! Who is in which room: a recount of everybody.

use std::collections::{BTreeMap, BTreeSet};

use presence_engine::model::{Member, State, Tally};

use super::Oracle;
use super::look::Key;
use super::session::Session;
use super::user::User;

impl Oracle {
    /// What this partition contributes to each room that somebody is in, by tenant and room.
    pub(crate) fn rooms(&self) -> BTreeMap<Key, (Tally, Vec<Member>)> {
        let mut rooms: BTreeMap<Key, (Tally, Vec<Member>)> = BTreeMap::new();
        for ((tenant, name), user) in &self.users {
            for room in user.rooms() {
                let (tally, members) = rooms.entry((tenant.clone(), room.to_owned())).or_default();
                let member = user.in_room(name, room, tally);
                members.push(member);
            }
        }
        rooms
    }
}

impl User {
    fn rooms(&self) -> BTreeSet<&str> {
        let seen = self.told.state != State::Offline;
        let live = self.sessions.values().filter(|session| seen && session.is_live());
        live.flat_map(|session| session.facts.rooms.iter().map(|room| &**room)).collect()
    }

    fn in_room(&self, name: &str, room: &str, tally: &mut Tally) -> Member {
        let is_there = |session: &&Session| session.is_live() && session.facts.rooms.iter().any(|own| **own == *room);
        let sessions: Vec<&Session> = self.sessions.values().filter(is_there).collect();
        let state = sessions.iter().map(|session| session.state).min().expect("somebody is there");
        let best = sessions.iter().filter(|session| session.state == state);
        let permille = u64::from(best.map(|session| session.told.permille).max().expect("somebody is the best"));
        let mut of_it = Tally {
            ready: self.told_ready().map(|name| (name.into(), 1)).collect(),
            expected_permille: permille,
            variance_millionths: permille * (1_000 - permille),
            ..Tally::default()
        };
        of_it.ready.sort();
        of_it.users[state as usize] = 1;
        let mut counts = [0; 4];
        for session in sessions {
            counts[session.state as usize] += 1;
            of_it.sessions[session.state as usize] += 1;
        }
        tally.add(&of_it);
        Member { user: name.into(), state, sessions: counts }
    }
}
