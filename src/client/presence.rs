//! Who is here: questions to the engines of one tenant.

use std::time::Duration;

use async_nats::Client;
use serde_json::json;
use tokio::time::Instant;

use super::answer::{HistoryPage, Latest, RoomNow, Status, ThenPage, UsersPage, Waited};
use super::ask::{Again, Ask};
use super::facts::ms;
use super::name::token;
use super::reservation::{Answer, Routed};
use super::{Error, Filter, History, Page, Resume, Route, Wait, Watch};

/// Who is here: what engines answer about one tenant.
///
/// Names are plain text. Where no engine can answer now (silence, nobody there, a partition that changes its owner), the question is
/// asked again by itself, for ten seconds unless [`patience`](Self::patience) says otherwise.
///
/// ```no_run
/// use presence_engine::client::{Page, Presence, State};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let presence = Presence::of(async_nats::connect("nats://127.0.0.1:4222").await?, "main")?;
/// let ada = presence.get("ada").await?;
/// println!("ada is {}, {} in 1000", ada.now.state.as_str(), ada.now.confidence_permille);
/// for user in presence.users(&Page::default().states([State::Active])).await?.users {
///     println!("{} is here", user.user);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Presence {
    ask: Ask,
    patience: Duration,
}

/// How long a question is asked again.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest that an engine is to wait before it answers `pending`: so long, and a little, until it is noticed that it has died.
const TURN_MAX: Duration = Duration::from_secs(5);
/// How much longer than it should an answer may take.
const SLACK: Duration = Duration::from_secs(2);

impl Presence {
    /// That of a tenant.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn of(client: Client, tenant: &str) -> Result<Self, Error> {
        let token = token("tenant", tenant)?;
        Ok(Self { ask: Ask { client, tenant: tenant.to_owned(), token }, patience: PATIENCE })
    }

    /// How long questions are asked again while no engine can answer.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// A user as it is now. One who is not there is offline, whether it left, is invisible or was never heard of.
    ///
    /// # Errors
    /// Any [`Error`] of a question.
    pub async fn get(&self, user: &str) -> Result<Latest, Error> {
        token("user", user)?;
        self.ask.answer("user", &json!({ "user": user }), self.patience).await
    }

    /// A session as it is now, of an invisible user too.
    ///
    /// # Errors
    /// Any [`Error`] of a question.
    pub async fn session(&self, user: &str, session: &str) -> Result<Latest, Error> {
        token("user", user)?;
        token("session", session)?;
        self.ask.answer("session", &json!({ "user": user, "session": session }), self.patience).await
    }

    /// A page of who is here, or some by name.
    ///
    /// # Errors
    /// Any [`Error`] of a question.
    pub async fn users(&self, page: &Page) -> Result<UsersPage, Error> {
        page.check()?;
        self.ask.answer("users", page, self.patience).await
    }

    /// How many are in a room, and how sure that is.
    ///
    /// # Errors
    /// Any [`Error`] of a question.
    pub async fn room(&self, room: &str) -> Result<RoomNow, Error> {
        token("room", room)?;
        self.ask.answer("room", &json!({ "room": room }), self.patience).await
    }

    /// The same, and a page of who: behind `after` of the page before.
    ///
    /// # Errors
    /// Any [`Error`] of a question.
    pub async fn members(&self, room: &str, after: Option<&str>) -> Result<RoomNow, Error> {
        token("room", room)?;
        let mut question = json!({ "room": room, "members": true });
        if let Some(after) = after {
            question["after"] = after.into();
        }
        self.ask.answer("room", &question, self.patience).await
    }

    /// Waits until so many are ready, for `within` at most; `pending` with who is missing, and why, if they are not by then.
    ///
    /// It is asked again by itself, with the same id, when an engine has waited as long as it does, and while none can answer:
    /// since when somebody has been ready is known by the owner and not by the question, so nothing is missed between.
    ///
    /// # Errors
    /// Any [`Error`] of a question; [`Error::Unanswered`] if no engine answered to the end.
    pub async fn wait(&self, wait: &Wait, within: Duration) -> Result<Waited, Error> {
        wait.check()?;
        let until = Instant::now() + within;
        let (mut again, mut latest, mut reason) = (Again::default(), None, "silence".to_owned());
        loop {
            let turn = until.saturating_duration_since(Instant::now()).min(TURN_MAX);
            let wait = wait.answered_within(turn);
            match self.ask.turn::<_, Waited>("wait", &wait, turn + SLACK).await? {
                Ok(waited) => {
                    match waited.status {
                        Status::Ready => return Ok(waited),
                        Status::Pending => latest = Some(waited),
                    }
                    if Instant::now() < until {
                        continue;
                    }
                }
                Err(why) => {
                    reason = why;
                    if again.wait(until).await {
                        continue;
                    }
                }
            }
            return latest.ok_or(Error::Unanswered { verb: "wait", within_ms: ms(within), reason });
        }
    }

    /// Those who are best to turn to, best first; with [`Route::reserve`] the first is held, and
    /// [`Routed::reservation`] releases it when it is dropped.
    ///
    /// # Errors
    /// Any [`Error`] of a question.
    pub async fn route(&self, route: &Route) -> Result<Routed, Error> {
        route.check()?;
        let answer: Answer = self.ask.answer("route", route, self.patience).await?;
        Ok(answer.routed(&self.ask, route))
    }

    /// A page of what a user was: segments without a gap.
    ///
    /// # Errors
    /// Any [`Error`] of a question.
    pub async fn history(&self, history: &History) -> Result<HistoryPage, Error> {
        history.check()?;
        self.ask.answer("history", history, self.patience).await
    }

    /// A page of who was here at a log time, or in a room: behind `after` of the page before.
    ///
    /// # Errors
    /// Any [`Error`] of a question.
    pub async fn history_at(&self, at_ms: u64, room: Option<&str>, after: Option<&str>) -> Result<ThenPage, Error> {
        let mut question = json!({ "at_ms": at_ms });
        if let Some(room) = room {
            token("room", room)?;
            question["room"] = room.into();
        }
        if let Some(after) = after {
            question["after"] = after.into();
        }
        self.ask.answer("history", &question, self.patience).await
    }

    /// Who is here, then every transition: see [`Watch`].
    ///
    /// # Errors
    /// Any [`Error`] of a question; [`Error::NoStream`].
    pub async fn watch(&self, filter: Filter) -> Result<Watch, Error> {
        Watch::with_snapshot(self.clone(), filter).await
    }

    /// Every transition from now on, without asking who is here.
    ///
    /// # Errors
    /// [`Error::NoStream`], [`Error::Name`].
    pub async fn watch_from_now(&self, filter: Filter) -> Result<Watch, Error> {
        Watch::from_now(self.clone(), filter).await
    }

    /// Every transition behind the one that `resume` was taken at.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::Replaced`]: follow anew by [`watch`](Self::watch); [`Error::NoStream`], [`Error::Name`].
    pub async fn watch_from(&self, filter: Filter, resume: Resume) -> Result<Watch, Error> {
        Watch::resumed(self.clone(), filter, resume).await
    }

    pub(super) fn ask(&self) -> &Ask {
        &self.ask
    }

    pub(super) fn patience_of(&self) -> Duration {
        self.patience
    }
}
