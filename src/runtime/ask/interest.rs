//! Who is woken when something about a user or a room is committed.
//!
//! It costs by what is committed and who wants to know it, not by how many want to know anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::nats::Batch;
use crate::wire::EventSubject;

/// What somebody wants to be woken for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    rooms: usize,
    all: BTreeMap<u64, Arc<Notify>>,
    by_what: HashMap<About, BTreeMap<u64, Arc<Notify>>>,
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

/// Those who are woken once what is under way is committed.
#[derive(Debug, Default)]
pub(crate) struct Woken(Vec<Arc<Notify>>);

impl Interests {
    /// Wants to be woken for each of these.
    pub(crate) fn register(&self, about: Vec<About>) -> Interest {
        let wake = Arc::new(Notify::new());
        let mut known = self.lock();
        let number = known.next;
        known.next += 1;
        known.all.insert(number, Arc::clone(&wake));
        for what in &about {
            known.rooms += usize::from(matches!(what, About::Room(_)));
            known.by_what.entry(what.clone()).or_default().insert(number, Arc::clone(&wake));
        }
        drop(known);
        Interest { of: self.clone(), number, about, wake }
    }

    /// Who is to be woken by a commit. `rooms_of` tells the rooms that a user is in, from tenant and user token.
    pub(crate) fn concerned(&self, batch: &Batch, rooms_of: impl Fn(&str, &str) -> Vec<Box<str>>) -> Woken {
        let known = self.lock();
        let mut woken = Woken::default();
        if known.by_what.is_empty() {
            return woken;
        }
        let mut wake =
            |what: About| woken.0.extend(known.by_what.get(&what).into_iter().flat_map(BTreeMap::values).cloned());
        for message in &batch.messages {
            let user = match EventSubject::parse(&message.subject) {
                EventSubject::User(user) | EventSubject::Ready(user) => user,
                EventSubject::Session(session) => session.rsplit_once('.').map_or(session, |(user, _)| user),
                EventSubject::Room(room) | EventSubject::Partial(_, room) => {
                    wake(About::Room(room.into()));
                    continue;
                }
                EventSubject::Member(member) => {
                    wake(About::Room(member.rsplit_once('.').map_or(member, |(room, _)| room).into()));
                    continue;
                }
                EventSubject::Engine(_)
                | EventSubject::Rejected(_)
                | EventSubject::GoneSession(_)
                | EventSubject::GoneUser(_)
                | EventSubject::GoneRoom(_)
                | EventSubject::Progress(_)
                | EventSubject::Other => continue,
            };
            wake(About::User(user.into()));
            if known.rooms > 0
                && let Some((tenant, user)) = user.split_once('.')
            {
                rooms_of(tenant, user).iter().for_each(|room| wake(About::Room(format!("{tenant}.{room}").into())));
            }
        }
        woken
    }

    /// Everybody: a partition has gone elsewhere, and whoever waits for somebody of it has to ask there.
    pub(crate) fn everybody(&self) -> Woken {
        Woken(self.lock().all.values().cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Every change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Woken {
    /// Wakes them.
    pub(crate) fn wake(self) {
        self.0.iter().for_each(|wake| wake.notify_one());
    }
}

impl Interest {
    /// Waits until it is woken, at once where it was since the last time. Cancel-safe.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut known = self.of.lock();
        known.all.remove(&self.number);
        for what in &self.about {
            let is_last = known.by_what.get_mut(what).is_some_and(|all| {
                all.remove(&self.number);
                all.is_empty()
            });
            if is_last {
                known.by_what.remove(what);
            }
            known.rooms -= usize::from(matches!(what, About::Room(_)));
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
        interests
            .concerned(&batch(subjects), |_, user| if user == "ada" { vec!["lobby".into()] } else { vec![] })
            .wake();
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
        interests.everybody().wake();
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
    fn who_is_gone_leaves_nothing() {
        let interests = Interests::default();
        let what = || vec![About::User("main.ada".into()), About::Room("main.lobby".into())];
        let (one, other) = (interests.register(what()), interests.register(what()));
        drop(one);
        commit(&interests, &["presence.v1.user.main.ada"]);
        assert!(is_woken(&other));
        drop(other);
        let known = interests.lock();
        assert!(known.by_what.is_empty() && known.all.is_empty() && known.rooms == 0);
    }
}
