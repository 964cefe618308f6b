//! Who is woken when something about a user or a room is committed.
//!
//! It costs by what is committed and who wants to know it, not by how many want to know anything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::nats::Batch;
use crate::wire::EventSubject;

/// What somebody wants to be woken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum About {
    /// A user: `<tenant>.<user>`, tokens.
    User(Box<str>),
    /// A room and who is in it: `<tenant>.<room>`, tokens.
    Room(Box<str>),
}

/// Everybody who wants to be woken by this engine. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interests(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    next: u64,
    users: HashMap<Box<str>, Subject>,
    rooms: HashMap<Box<str>, Subject>,
}

/// A user or a room for which somebody wants to be woken.
#[derive(Debug)]
struct Subject {
    /// When they were woken last; before that, when the first of them wanted to be.
    woken_at: Instant,
    who: BTreeMap<u64, Arc<Notify>>,
}

/// One who wants to be woken, until it is dropped.
///
/// Who registers first and asks then misses nothing: what the answer does not have yet is committed afterwards.
#[derive(Debug)]
pub(crate) struct Interest {
    of: Interests,
    number: u64,
    about: Vec<About>,
    wake: Arc<Notify>,
}

/// What of all that somebody wants to be woken for is under way: users, and rooms.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    users: HashSet<Box<str>>,
    rooms: HashSet<Box<str>>,
}

impl Interests {
    /// Wants to be woken for each of these.
    pub(crate) fn register(&self, about: Vec<About>) -> Interest {
        let (wake, now) = (Arc::new(Notify::new()), Instant::now());
        let mut known = self.lock();
        let number = known.next;
        known.next += 1;
        for what in &about {
            let (subjects, key) = known.of(what);
            let subject = subjects.entry(key.into()).or_insert_with(|| Subject { woken_at: now, who: BTreeMap::new() });
            subject.who.insert(number, Arc::clone(&wake));
        }
        drop(known);
        Interest { of: self.clone(), number, about, wake }
    }

    /// For whom somebody is to be woken by a commit. `each_room_of` tells the rooms that a user is in, from tenant and user token,
    /// each as `<tenant>.<room>`.
    pub(crate) fn concerned(&self, batch: &Batch, each_room_of: impl Fn(&str, &str, &mut dyn FnMut(&str))) -> Woken {
        let known = self.lock();
        let mut woken = Woken::default();
        if known.users.is_empty() && known.rooms.is_empty() {
            return woken;
        }
        // A commit has many messages of the same.
        let note = |of: &HashMap<Box<str>, Subject>, noted: &mut HashSet<Box<str>>, key: &str| {
            if of.contains_key(key) && !noted.contains(key) {
                noted.insert(key.into());
            }
        };
        for message in &batch.messages {
            let user = match EventSubject::parse(&message.subject) {
                EventSubject::User(user) | EventSubject::Ready(user) => user,
                EventSubject::Session(session) => session.rsplit_once('.').map_or(session, |(user, _)| user),
                EventSubject::Room(room) | EventSubject::Partial(_, room) => {
                    note(&known.rooms, &mut woken.rooms, room);
                    continue;
                }
                EventSubject::Member(member) => {
                    let room = member.rsplit_once('.').map_or(member, |(room, _)| room);
                    note(&known.rooms, &mut woken.rooms, room);
                    continue;
                }
                EventSubject::Engine(_)
                | EventSubject::Rejected(_)
                | EventSubject::GoneSession(_)
                | EventSubject::GoneUser(_)
                | EventSubject::GoneRoom(_)
                | EventSubject::Progress(_)
                | EventSubject::Mark(_)
                | EventSubject::Other => continue,
            };
            note(&known.users, &mut woken.users, user);
            if !known.rooms.is_empty()
                && let Some((tenant, user)) = user.split_once('.')
            {
                each_room_of(tenant, user, &mut |room| note(&known.rooms, &mut woken.rooms, room));
            }
        }
        woken
    }

    /// Wakes whoever wants to be for these.
    pub(crate) fn wake(&self, woken: Woken) {
        let (now, mut known) = (Instant::now(), self.lock());
        let Known { users, rooms, .. } = &mut *known;
        for (of, keys) in [(users, woken.users), (rooms, woken.rooms)] {
            for key in keys {
                if let Some(subject) = of.get_mut(&key) {
                    subject.wake(now);
                }
            }
        }
    }

    /// Wakes everybody: a partition has gone elsewhere, and whoever waits for somebody of it has to ask there.
    pub(crate) fn wake_everybody(&self) {
        let (now, mut known) = (Instant::now(), self.lock());
        let Known { users, rooms, .. } = &mut *known;
        users.values_mut().chain(rooms.values_mut()).for_each(|subject| subject.wake(now));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Every change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn of<'a>(&mut self, what: &'a About) -> (&mut HashMap<Box<str>, Subject>, &'a str) {
        match what {
            About::User(user) => (&mut self.users, user),
            About::Room(room) => (&mut self.rooms, room),
        }
    }
}

impl Subject {
    fn wake(&mut self, now: Instant) {
        self.woken_at = now;
        self.who.values().for_each(|wake| wake.notify_one());
    }
}

impl Interest {
    /// Waits until it is woken, at once where it was since the last time. Cancel-safe.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// When anybody was woken last for one of these, as far back as somebody has wanted to be for each of them without a break. What
    /// was seen later had all that was committed before.
    pub(crate) fn woken_at(&self) -> Instant {
        let mut known = self.of.lock();
        let woken_at = |what: &About| {
            let (subjects, key) = known.of(what);
            subjects.get(key).map(|subject| subject.woken_at)
        };
        self.about.iter().filter_map(woken_at).max().unwrap_or_else(Instant::now)
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut known = self.of.lock();
        for what in &self.about {
            let (subjects, key) = known.of(what);
            let is_last = subjects.get_mut(key).is_some_and(|subject| {
                subject.who.remove(&self.number);
                subject.who.is_empty()
            });
            if is_last {
                subjects.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::FutureExt;

    use super::*;
    use crate::nats::OutMessage;

    fn batch(subjects: &[&str]) -> Batch {
        let message = |subject: &&str| OutMessage {
            partition: 0,
            subject: (*subject).to_owned(),
            headers: Vec::new(),
            payload: Bytes::new(),
        };
        Batch { messages: subjects.iter().map(message).collect(), progress: Vec::new() }
    }

    fn is_woken(interest: &Interest) -> bool {
        interest.woken().now_or_never().is_some()
    }

    fn commit(interests: &Interests, subjects: &[&str]) {
        let each_room_of = |tenant: &str, user: &str, each: &mut dyn FnMut(&str)| {
            if user == "ada" {
                each(&format!("{tenant}.lobby"));
            }
        };
        interests.wake(interests.concerned(&batch(subjects), each_room_of));
    }

    #[test]
    fn only_those_are_woken_whom_a_commit_concerns() {
        let interests = Interests::default();
        let ada = interests.register(vec![About::User("main.ada".into()), About::User("main.carol".into())]);
        let bob = interests.register(vec![About::User("main.bob".into())]);
        let lobby = interests.register(vec![About::Room("main.lobby".into())]);
        commit(&interests, &["presence.v1.session.main.ada.tab", "presence.v1.progress.0"]);
        assert_eq!([&ada, &bob, &lobby].map(is_woken), [true, false, true]);
        commit(&interests, &["presence.v1.ready.main.bob", "presence.v1.user.other.ada"]);
        assert_eq!([&ada, &bob, &lobby].map(is_woken), [false, true, false]);
        commit(&interests, &["presence.v1.member.main.lobby.zoe"]);
        assert_eq!([&ada, &bob, &lobby].map(is_woken), [false, false, true]);
        interests.wake_everybody();
        assert_eq!([&ada, &bob, &lobby].map(is_woken), [true; 3]);
    }

    #[test]
    fn who_is_woken_before_it_waits_does_not_wait() {
        let interests = Interests::default();
        let ada = interests.register(vec![About::User("main.ada".into())]);
        commit(&interests, &["presence.v1.user.main.ada"]);
        commit(&interests, &["presence.v1.user.main.ada"]);
        assert!(is_woken(&ada) && !is_woken(&ada));
    }

    #[test]
    fn a_commit_of_much_about_one_room_wakes_it_once_and_tells_when() {
        let interests = Interests::default();
        let first = interests.register(vec![About::Room("main.lobby".into())]);
        let wanted_at = first.woken_at();
        let other = interests.register(vec![About::Room("main.lobby".into())]);
        assert_eq!(other.woken_at(), wanted_at, "since then nothing was missed");
        let much = ["presence.v1.session.main.ada.tab"; 100];
        let woken = interests.concerned(&batch(&much), |_, _, each| each("main.lobby"));
        assert_eq!((woken.users.len(), woken.rooms.len()), (0, 1));
        interests.wake(woken);
        assert_eq!([&first, &other].map(is_woken), [true; 2]);
        assert!(other.woken_at() >= wanted_at);
    }

    #[test]
    fn who_is_gone_leaves_nothing() {
        let interests = Interests::default();
        let what = || vec![About::User("main.ada".into()), About::Room("main.lobby".into())];
        let (one, other) = (interests.register(what()), interests.register(what()));
        drop(one);
        commit(&interests, &["presence.v1.user.main.ada"]);
        assert!(is_woken(&other));
        drop(other);
        let known = interests.lock();
        assert!(known.users.is_empty() && known.rooms.is_empty());
    }
}
