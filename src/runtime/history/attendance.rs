//! Who was here at one time, of a tenant or of a room: judged by when things happened, whenever they were stored. Pure.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::model::{Millis, State, Token};
use crate::wire::ask::WasHere;
use crate::wire::{ToldEvent, plain, subject};

/// What was told of a tenant's users, up to some time.
#[derive(Debug)]
pub struct Attendance {
    at_ms: Millis,
    users_prefix: String,
    sessions_prefix: String,
    /// The room's plain name, if one is meant.
    room: Option<String>,
    first_ms: Option<Millis>,
    /// By the users' tokens.
    users: BTreeMap<Box<str>, Was>,
    /// What sessions were in the room, `Offline` where they were not in it, by the tokens of user and session.
    sessions: BTreeMap<Box<str>, BTreeMap<Box<str>, Was>>,
}

/// What a user, or a session in a room, was.
#[derive(Debug, Clone, Copy)]
struct Was {
    state: State,
    /// `None`: since before what is kept.
    since_ms: Option<Millis>,
    /// No event counts as earlier than one before it.
    last_ms: Millis,
}

impl Was {
    /// At `at_ms`, or when it was last told if that is later, it became `state`; what is later than `until_ms` is not heard.
    fn becomes(&mut self, state: State, at_ms: Millis, until_ms: Millis) {
        self.last_ms = at_ms.max(self.last_ms);
        if self.last_ms <= until_ms && self.state != state {
            (self.state, self.since_ms) = (state, Some(self.last_ms));
        }
    }
}

impl Attendance {
    /// Of whom is here at `at_ms`, or in that room; names are tokens.
    #[must_use]
    pub fn new(tenant: Token<'_>, at_ms: Millis, room: Option<Token<'_>>) -> Self {
        let prefix = subject::user_key(tenant.as_str(), "");
        Self {
            at_ms,
            users_prefix: subject::user(&prefix),
            sessions_prefix: subject::session(&prefix),
            room: room.map(|room| plain(room.as_str()).into_owned()),
            first_ms: None,
            users: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    /// The subjects whose events are to be taken.
    #[must_use]
    pub fn filters(&self) -> Vec<String> {
        let users = format!("{}*", self.users_prefix);
        let sessions = self.room.as_ref().map(|_| format!("{}*.*", self.sessions_prefix));
        [users].into_iter().chain(sessions).collect()
    }

    /// Takes what is stored under `subject`, in the order of the stream. What is of another tenant, or can't be read, changes
    /// nothing.
    pub fn observe(&mut self, subject: &str, payload: &[u8]) {
        let user = subject.strip_prefix(&self.users_prefix);
        let session = subject.strip_prefix(&self.sessions_prefix).filter(|_| self.room.is_some());
        if user.is_none() && session.is_none() {
            return;
        }
        match (user, session.and_then(|key| key.split_once('.')), ToldEvent::read(payload)) {
            (Some(user), _, Ok(ToldEvent::User(of))) if Token::parse(user).is_ok() => {
                self.first_ms = Some(self.first_ms.map_or(of.at_ms, |first| first.min(of.at_ms)));
                self.observe_user(user, (of.from, of.to), of.at_ms);
            }
            (_, Some((user, session)), Ok(ToldEvent::Session(of))) => {
                let is_there =
                    of.to != State::Offline && of.rooms.iter().any(|room| Some(&**room) == self.room.as_deref());
                let state = if is_there { of.to } else { State::Offline };
                self.observe_session((user, session), state, (of.at_ms, of.ordinal));
            }
            _ => {}
        }
    }

    fn observe_user(&mut self, user: &str, (from, to): (State, State), at_ms: Millis) {
        let until_ms = self.at_ms;
        match self.users.get_mut(user) {
            Some(was) => was.becomes(to, at_ms, until_ms),
            None => {
                let since_ms = Some(at_ms).filter(|_| from != to);
                // What comes first after that time says what was before it.
                let was = if at_ms <= until_ms { (to, since_ms) } else { (from, None) };
                self.users.insert(user.into(), Was { state: was.0, since_ms: was.1, last_ms: at_ms });
            }
        }
    }

    /// `state` is that in the room: `Offline` where it is not in it.
    fn observe_session(&mut self, (user, session): (&str, &str), state: State, (at_ms, ordinal): (Millis, u32)) {
        let until_ms = self.at_ms;
        if let Some(was) = self.sessions.get_mut(user).and_then(|sessions| sessions.get_mut(session)) {
            was.becomes(state, at_ms, until_ms);
        } else if at_ms <= until_ms {
            // Whether it was in the room before, its first event tells only if it is its very first.
            let since_ms = Some(at_ms).filter(|_| ordinal == 1);
            let was = Was { state, since_ms, last_ms: at_ms };
            self.sessions.entry(user.into()).or_default().insert(session.into(), was);
        }
    }

    /// When the oldest user event of the tenant happened that was read.
    #[must_use]
    pub fn first_ms(&self) -> Option<Millis> {
        self.first_ms.filter(|first| *first <= self.at_ms)
    }

    /// The first `limit` of those who were here, by their tokens, behind the token `after`; and the last of them if there are
    /// more.
    #[must_use]
    pub fn page(&self, after: Option<&str>, limit: usize) -> (Vec<WasHere>, Option<String>) {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut here = self.users.range::<str, _>((behind, Bound::Unbounded)).filter_map(|(user, was)| {
            let was = self.was_here(user, *was)?;
            Some(WasHere { user: plain(user).into_owned(), state: was.state, since_ms: was.since_ms })
        });
        let users: Vec<_> = here.by_ref().take(limit).collect();
        let last = users.last().map(|last| last.user.clone());
        (users, last.filter(|_| here.next().is_some()))
    }

    /// What a user was, if it was here, or in the room. Who was told offline is nowhere: it may be invisible.
    fn was_here(&self, user: &str, was: Was) -> Option<Was> {
        if was.state == State::Offline {
            return None;
        }
        if self.room.is_none() {
            return Some(was);
        }
        let there = self.sessions.get(user)?.values().filter(|was| was.state != State::Offline);
        there.copied().min_by_key(|was| (was.state, was.since_ms))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(text: &str) -> Token<'_> {
        Token::parse(text).unwrap()
    }

    fn user(of: &mut Attendance, tenant: &str, name: &str, at_ms: Millis, from: &str, to: &str) {
        let event = json!({
            "v": 1, "kind": "user", "id": "0-0-1-0", "incarnation": 1, "ordinal": 2, "cause": "quiet", "at_ms": at_ms,
            "partition": 0, "seq": 1, "tenant": tenant, "user": name, "from": from, "to": to,
            "sessions": {"active": 0, "idle": 0, "away": 0, "stale": 0}, "intent": "open", "intent_until_ms": null,
            "ready": [], "last_seen_ms": 1, "last_input_ms": 1, "confidence": null, "next": null,
        });
        let name = crate::model::id::escape(name).unwrap();
        of.observe(&format!("presence.v1.user.{tenant}.{name}"), event.to_string().as_bytes());
    }

    fn session(of: &mut Attendance, name: (&str, &str), at_ms: Millis, ordinal: u32, to: &str, rooms: &[&str]) {
        let event = json!({
            "v": 1, "kind": "session", "id": "0-0-1-0", "incarnation": 1, "ordinal": ordinal, "cause": "quiet",
            "at_ms": at_ms, "partition": 0, "seq": 1, "tenant": "main", "user": name.0, "session": name.1,
            "from": "offline", "to": to, "last_seen_ms": 1, "last_input_ms": 1, "transport": "open",
            "visibility": "visible", "can": [], "rooms": rooms, "meta": null, "profile": "default", "every_ms": 0,
            "epoch": null, "seq_client": null, "conn": null, "confidence": null, "next": null,
        });
        of.observe(&format!("presence.v1.session.main.{}.{}", name.0, name.1), event.to_string().as_bytes());
    }

    fn here(of: &Attendance) -> Vec<(String, &'static str, Option<Millis>)> {
        let (users, after) = of.page(None, 100);
        assert_eq!(after, None);
        users.into_iter().map(|was| (was.user, was.state.as_str(), was.since_ms)).collect()
    }

    #[test]
    fn it_counts_when_things_happened_and_not_when_they_were_stored() {
        let mut of = Attendance::new(token("main"), 20, None);
        user(&mut of, "main", "ada", 10, "offline", "active");
        user(&mut of, "other", "eve", 10, "offline", "active");
        user(&mut of, "main", "bob@x", 11, "offline", "active");
        user(&mut of, "main", "bob@x", 12, "active", "active");
        user(&mut of, "main", "ada", 21, "active", "idle");
        user(&mut of, "main", "bob@x", 20, "active", "stale");
        user(&mut of, "main", "carol", 25, "idle", "offline");
        user(&mut of, "main", "carol", 26, "offline", "active");
        user(&mut of, "main", "dan", 5, "active", "offline");
        user(&mut of, "main", "late", 22, "offline", "active");
        user(&mut of, "main", "late", 23, "active", "idle");
        of.observe("presence.v1.user.main.new", br#"{"v":2,"kind":"user"}"#);
        let expected =
            [("ada".into(), "active", Some(10)), ("bob@x".into(), "stale", Some(20)), ("carol".into(), "idle", None)];
        assert_eq!((here(&of), of.first_ms()), (expected.to_vec(), Some(5)));
    }

    #[test]
    fn in_a_room_is_who_had_a_session_there_and_was_told_to_be_here() {
        let mut of = Attendance::new(token("main"), 20, Some(token("the=20lobby")));
        for name in ["ada", "bob", "eve", "ivan"] {
            user(&mut of, "main", name, 10, "offline", "active");
        }
        session(&mut of, ("ada", "tab"), 10, 1, "active", &["hall"]);
        session(&mut of, ("ada", "tab"), 12, 2, "active", &["hall", "the lobby"]);
        session(&mut of, ("ada", "phone"), 11, 1, "idle", &["the lobby"]);
        session(&mut of, ("bob", "tab"), 10, 1, "active", &["the lobby"]);
        session(&mut of, ("bob", "tab"), 19, 2, "active", &[]);
        session(&mut of, ("eve", "tab"), 10, 7, "active", &["the lobby"]);
        session(&mut of, ("eve", "tab"), 21, 8, "offline", &["the lobby"]);
        session(&mut of, ("ivan", "tab"), 10, 1, "active", &["the lobby"]);
        user(&mut of, "main", "ivan", 15, "active", "offline");
        assert_eq!(here(&of), [("ada".into(), "active", Some(12)), ("eve".into(), "active", None)]);
    }

    #[test]
    fn pages_are_by_the_users_tokens() {
        let mut of = Attendance::new(token("main"), 20, None);
        for name in ["d", "b", "c", "a@", "e"] {
            user(&mut of, "main", name, 10, "offline", if name == "c" { "offline" } else { "active" });
        }
        let page = |after, limit| {
            let (users, after) = of.page(after, limit);
            (users.into_iter().map(|was| was.user).collect::<Vec<_>>().join(" "), after)
        };
        assert_eq!(page(None, 2), ("a@ b".into(), Some("b".into())));
        assert_eq!(page(Some("b"), 2), ("d e".into(), None));
        assert_eq!(page(Some("a=40"), 1), ("b".into(), Some("b".into())));
        assert_eq!(page(Some("e"), 1), (String::new(), None));
    }
}
