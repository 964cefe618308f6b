//! Who is here, and then every transition.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::Stream;
use serde::Deserialize;

use super::filter::{Asks, Change, Filter};
use super::reader::{Reader, Start, Stored};
use super::{Error, Page, Presence, Resume, Somebody};

/// Who is here, and then every transition, without a gap and each once.
///
/// After a snapshot comes [`Change::Complete`], then what `PRESENCE_EVENTS` holds from before the snapshot was taken on: so the first
/// transitions may be some that the snapshot knows, unless the engine tells (incarnation, ordinal) with it. Then it goes on
/// for good, over reconnections and restarts of servers and engines; what it can't go on over is an error, and the last item.
///
/// [`resume`](Self::resume) is the position behind what it has yielded, to go on by [`Presence::watch_from`] after a restart.
///
/// ```no_run
/// use futures::StreamExt;
/// use presence_engine::client::{Change, Filter, Presence};
///
/// # async fn example(presence: Presence) -> Result<(), Box<dyn std::error::Error>> {
/// let mut watch = presence.watch(Filter::users()).await?;
/// while let Some(change) = watch.next().await {
///     match change? {
///         Change::Here(user) => println!("{} is {}", user.user, user.state.as_str()),
///         Change::Complete => println!("that is everybody"),
///         Change::User(event) => println!("{} is {} by now: {}", event.user, event.to.as_str(), event.cause),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Watch {
    changes: Pin<Box<dyn Stream<Item = Result<Change, Error>> + Send>>,
    resume: Arc<Mutex<Resume>>,
}

/// What the stream is made of.
struct Following {
    presence: Presence,
    filter: Filter,
    /// What is still to be told of the snapshot.
    here: VecDeque<Change>,
    /// The page of the snapshot that is to be asked for.
    page: Option<Page>,
    /// Whether [`Change::Complete`] is still to be told.
    is_incomplete: bool,
    /// Of whom the snapshot told which (incarnation, ordinal), until something newer is told.
    known: BTreeMap<String, (u64, u32)>,
    reader: Reader,
    resume: Arc<Mutex<Resume>>,
    has_failed: bool,
}

impl Watch {
    pub(super) async fn with_snapshot(presence: Presence, filter: Filter) -> Result<Self, Error> {
        filter.check()?;
        let (page, mut here) = match filter.asks() {
            Asks::Everybody => (Page::default().limit(super::question::USERS_MAX), VecDeque::new()),
            Asks::Users(user) => (Page::of([user]), VecDeque::new()),
            Asks::Room(_) => (Page::default().limit(1), VecDeque::new()),
        };
        let first = presence.users(&page).await?;
        let start = Start::Behind(first.follow_from.saturating_sub(1));
        let reader =
            Reader::open(presence.ask(), filter.subject(presence.ask()), start, presence.patience_of()).await?;
        let mut next = first.after.map(|after| page.after(after));
        let mut known = BTreeMap::new();
        if let Asks::Room(room) = filter.asks() {
            // The users' page told only from where to follow.
            next = None;
            here.push_back(Change::Density(presence.room(room).await?));
        } else {
            take(first.users, &mut here, &mut known);
        }
        Ok(Self::of(Following {
            page: next,
            here,
            is_incomplete: true,
            known,
            resume: Arc::new(Mutex::new(reader.position())),
            presence,
            filter,
            reader,
            has_failed: false,
        }))
    }

    pub(super) async fn from_now(presence: Presence, filter: Filter) -> Result<Self, Error> {
        Self::started(presence, filter, Start::Now).await
    }

    pub(super) async fn resumed(presence: Presence, filter: Filter, resume: Resume) -> Result<Self, Error> {
        Self::started(presence, filter, Start::Resumed(resume)).await
    }

    async fn started(presence: Presence, filter: Filter, start: Start) -> Result<Self, Error> {
        filter.check()?;
        let reader =
            Reader::open(presence.ask(), filter.subject(presence.ask()), start, presence.patience_of()).await?;
        let resume = Arc::new(Mutex::new(reader.position()));
        let (here, page, known) = (VecDeque::new(), None, BTreeMap::new());
        let (is_incomplete, has_failed) = (false, false);
        Ok(Self::of(Following { presence, filter, here, page, is_incomplete, known, reader, resume, has_failed }))
    }

    fn of(following: Following) -> Self {
        let resume = following.resume.clone();
        let changes = futures::stream::unfold(following, |mut following| async move {
            if following.has_failed {
                return None;
            }
            let change = following.next().await;
            following.has_failed = change.is_err();
            Some((change, following))
        });
        Self { changes: Box::pin(changes), resume }
    }

    /// The position behind what was yielded; also behind what there was not, so that it stays young where nothing happens. While
    /// [`Change::Complete`] has not come yet, it is that from which the snapshot is followed.
    #[must_use]
    pub fn resume(&self) -> Resume {
        *self.resume.lock().expect("nobody panics while holding it")
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("resume", &self.resume()).finish_non_exhaustive()
    }
}

impl Stream for Watch {
    type Item = Result<Change, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.changes.as_mut().poll_next(cx)
    }
}

impl Following {
    async fn next(&mut self) -> Result<Change, Error> {
        loop {
            if let Some(change) = self.here.pop_front() {
                return Ok(change);
            }
            if let Some(page) = self.page.take() {
                let next = self.presence.users(&page).await?;
                self.page = next.after.map(|after| page.after(after));
                take(next.users, &mut self.here, &mut self.known);
                continue;
            }
            if std::mem::take(&mut self.is_incomplete) {
                return Ok(Change::Complete);
            }
            let Some(stored) = self.reader.next(&self.resume).await? else { continue };
            let change = self.filter.read(&stored.subject, &stored.payload);
            let is_news = self.is_news(&stored);
            // Behind it only now: what can't be read is not passed over.
            let change = change?;
            *self.resume.lock().expect("nobody panics while holding it") = self.reader.position();
            if is_news {
                return Ok(change);
            }
        }
    }

    /// Whether the snapshot didn't know it yet.
    fn is_news(&mut self, stored: &Stored) -> bool {
        #[derive(Deserialize)]
        struct Ordinal {
            user: String,
            incarnation: u64,
            ordinal: u32,
        }
        if self.known.is_empty() || !self.filter.is_of_users() {
            return true;
        }
        let Ok(of) = serde_json::from_slice::<Ordinal>(&stored.payload) else { return true };
        match self.known.get(&of.user) {
            Some(known) if *known >= (of.incarnation, of.ordinal) => false,
            Some(_) => {
                self.known.remove(&of.user);
                true
            }
            None => true,
        }
    }
}

fn take(users: Vec<Somebody>, here: &mut VecDeque<Change>, known: &mut BTreeMap<String, (u64, u32)>) {
    for user in users {
        if let (Some(incarnation), Some(ordinal)) = (user.incarnation, user.ordinal) {
            known.insert(user.user.clone(), (incarnation, ordinal));
        }
        here.push_back(Change::Here(user));
    }
}
