//! What can be asked.

use std::time::Duration;

use serde::Serialize;

use super::facts::ms;
use super::name::{all, at_most, chance, token};
use super::{Error, Order, State};

/// Most users that one question names, and most of one page.
pub(super) const USERS_MAX: usize = 256;
/// Longest id of a question, in bytes.
const ID_BYTES_MAX: usize = 128;

/// Of whom a question is: users by name, or the members of a room.
#[derive(Debug, Clone, Serialize)]
enum Of {
    #[serde(rename = "users")]
    Users(Vec<String>),
    #[serde(rename = "candidates")]
    Candidates(Vec<String>),
    #[serde(rename = "room")]
    Room(String),
}

impl Of {
    fn check(&self) -> Result<(), Error> {
        match self {
            Self::Users(users) | Self::Candidates(users) => {
                at_most("the number of users", users.len(), USERS_MAX)?;
                all("user", users)
            }
            Self::Room(room) => token("room", room).map(drop),
        }
    }
}

/// A page of who is here.
///
/// ```
/// use presence_engine::client::{Page, State};
/// let page = Page::default().states([State::Active]).limit(50).after("bob");
/// ```
#[derive(Debug, Clone, Default, Serialize)]
pub struct Page {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) users: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    states: Option<Vec<State>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

impl Page {
    /// These and nobody else, 256 at most, each with its entry.
    #[must_use]
    pub fn of<S: Into<String>>(users: impl IntoIterator<Item = S>) -> Self {
        Self { users: Some(users.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    /// Who is in one of these states; where nothing is said, all but offline.
    #[must_use]
    pub fn states(mut self, states: impl IntoIterator<Item = State>) -> Self {
        self.states = Some(states.into_iter().collect());
        self
    }

    /// Behind this user: [`UsersPage::after`](super::UsersPage::after) of the page before.
    #[must_use]
    pub fn after(mut self, user: impl Into<String>) -> Self {
        self.after = Some(user.into());
        self
    }

    /// So many at most, 1 to 256; 100 where nothing is said.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit.clamp(1, USERS_MAX));
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let users = self.users.as_deref().unwrap_or_default();
        at_most("the number of users", users.len(), USERS_MAX)?;
        all("user", users.iter().chain(&self.after))
    }
}

/// Until so many of them are ready.
///
/// ```
/// use std::time::Duration;
/// use presence_engine::client::Wait;
///
/// let both = Wait::users(["ada", "bob"]).ready_for("audio").hold(Duration::from_millis(500));
/// let somebody = Wait::room("support").need(1);
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct Wait {
    id: String,
    #[serde(flatten)]
    of: Of,
    #[serde(skip_serializing_if = "Option::is_none")]
    need: Option<u32>,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    capability: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_confidence_permille: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_ms: Option<u64>,
    timeout_ms: u64,
}

impl Wait {
    /// For these users, 1 to 256; for all of them where [`need`](Self::need) says nothing else.
    #[must_use]
    pub fn users<S: Into<String>>(users: impl IntoIterator<Item = S>) -> Self {
        Self::of(Of::Users(users.into_iter().map(Into::into).collect()))
    }

    /// For members of a room; for one where [`need`](Self::need) says nothing else.
    #[must_use]
    pub fn room(room: impl Into<String>) -> Self {
        Self::of(Of::Room(room.into()))
    }

    fn of(of: Of) -> Self {
        let (capability, min_confidence_permille, need, hold_ms) = (None, None, None, None);
        Self { id: new_id(), of, need, capability, min_confidence_permille, hold_ms, timeout_ms: 0 }
    }

    /// By this id, at most 128 bytes; one by chance where nothing is said.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// So many of them.
    #[must_use]
    pub fn need(mut self, need: u32) -> Self {
        self.need = Some(need);
        self
    }

    /// For this capability; any ready state, connected, intent open, where nothing is said.
    #[must_use]
    pub fn ready_for(mut self, capability: impl Into<String>) -> Self {
        self.capability = Some(capability.into());
        self
    }

    /// As sure as this at least, in thousandths; `ready.min_confidence` where nothing is said.
    #[must_use]
    pub fn min_confidence_permille(mut self, permille: u16) -> Self {
        self.min_confidence_permille = Some(permille);
        self
    }

    /// They have to have been ready for so long, at most a minute.
    #[must_use]
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold_ms = Some(ms(hold));
        self
    }

    /// The same question, with a time after which the engine is to answer in any case.
    pub(super) fn answered_within(&self, time: Duration) -> Self {
        Self { timeout_ms: ms(time), ..self.clone() }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        check_id(&self.id)?;
        self.of.check()
    }
}

/// Who is best to turn to.
///
/// ```
/// use std::time::Duration;
/// use presence_engine::client::{Order, Route};
///
/// let agent = Route::room("support").ready_for("audio").order(Order::LongestIdle).reserve(Duration::from_secs(15));
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct Route {
    pub(super) id: String,
    #[serde(flatten)]
    of: Of,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    capability: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_confidence_permille: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    order: Order,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve_ms: Option<u64>,
}

impl Route {
    /// Of these users, 1 to 256.
    #[must_use]
    pub fn candidates<S: Into<String>>(users: impl IntoIterator<Item = S>) -> Self {
        Self::of(Of::Candidates(users.into_iter().map(Into::into).collect()))
    }

    /// Of the members of a room.
    #[must_use]
    pub fn room(room: impl Into<String>) -> Self {
        Self::of(Of::Room(room.into()))
    }

    fn of(of: Of) -> Self {
        let (capability, min_confidence_permille, limit, reserve_ms) = (None, None, None, None);
        Self { id: new_id(), of, capability, min_confidence_permille, limit, order: Order::Best, reserve_ms }
    }

    /// By this id, at most 128 bytes, whose reservation it is; one by chance where nothing is said.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// For this capability; any ready state, connected, intent open, where nothing is said.
    #[must_use]
    pub fn ready_for(mut self, capability: impl Into<String>) -> Self {
        self.capability = Some(capability.into());
        self
    }

    /// As sure as this at least, in thousandths; `ready.min_confidence` where nothing is said.
    #[must_use]
    pub fn min_confidence_permille(mut self, permille: u16) -> Self {
        self.min_confidence_permille = Some(permille);
        self
    }

    /// So many at most, 1 to 64; 8 where nothing is said.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// In this order; [`Order::Best`] where nothing is said.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Holds the first of them for so long, at most 30 s, so that nobody else turns to the same person.
    #[must_use]
    pub fn reserve(mut self, time: Duration) -> Self {
        self.reserve_ms = Some(ms(time));
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        check_id(&self.id)?;
        self.of.check()
    }
}

/// What a user was.
///
/// ```
/// use presence_engine::client::History;
/// let page = History::of("ada").from_ms(1_700_000_000_000).limit(100);
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct History {
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

impl History {
    /// Of this user, all that is kept.
    #[must_use]
    pub fn of(user: impl Into<String>) -> Self {
        Self { user: user.into(), from_ms: None, to_ms: None, after: None, limit: None }
    }

    /// From this log time on.
    #[must_use]
    pub fn from_ms(mut self, from_ms: u64) -> Self {
        self.from_ms = Some(from_ms);
        self
    }

    /// Up to this log time; now where nothing is said.
    #[must_use]
    pub fn to_ms(mut self, to_ms: u64) -> Self {
        self.to_ms = Some(to_ms);
        self
    }

    /// Behind the page before: its `after`.
    #[must_use]
    pub fn after(mut self, after: impl Into<String>) -> Self {
        self.after = Some(after.into());
        self
    }

    /// So many segments at most, 1 to 1000.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        token("user", &self.user).map(drop)
    }
}

fn new_id() -> String {
    format!("{:016x}{:016x}", chance(), chance())
}

fn check_id(id: &str) -> Result<(), Error> {
    at_most("the length of the id in bytes", id.len(), ID_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn questions_are_written_as_the_contract_says() {
        let wait = Wait::users(["ada", "bob"]).id("call-7").need(2).ready_for("audio").hold(Duration::from_millis(500));
        let wait = wait.min_confidence_permille(800).answered_within(Duration::from_secs(20));
        let expected = json!({"id": "call-7", "users": ["ada", "bob"], "for": "audio", "need": 2,
            "min_confidence_permille": 800, "hold_ms": 500, "timeout_ms": 20_000});
        assert_eq!(to_value(wait).unwrap(), expected);

        let route = Route::room("support").id("call-7").ready_for("audio").limit(3).order(Order::LongestIdle);
        let expected = json!({"id": "call-7", "room": "support", "for": "audio", "limit": 3, "order": "longest_idle",
            "reserve_ms": 15_000});
        assert_eq!(to_value(route.reserve(Duration::from_secs(15))).unwrap(), expected);

        let page = Page::default().states([State::Active, State::Idle]).after("bob").limit(100);
        assert_eq!(to_value(page).unwrap(), json!({"states": ["active", "idle"], "after": "bob", "limit": 100}));
        assert_eq!(to_value(Page::of(["ada"])).unwrap(), json!({"users": ["ada"]}));
        assert_eq!(to_value(History::of("ada").from_ms(5)).unwrap(), json!({"user": "ada", "from_ms": 5}));
    }

    #[test]
    fn what_no_engine_takes_is_refused_before_it_is_asked() {
        assert!(Wait::users((0..257).map(|n| n.to_string())).check().is_err());
        assert!(Wait::users([""]).check().is_err());
        assert!(Route::room("").check().is_err());
        assert!(Route::room("a").id("x".repeat(129)).check().is_err());
        assert!(Page::of([""]).check().is_err());
    }

    #[test]
    fn each_question_has_an_id_of_its_own() {
        assert_ne!(Wait::room("a").id, Wait::room("a").id);
    }
}
