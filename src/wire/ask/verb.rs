//! The verbs: what can be asked.

use serde_json::Value;

use super::{
    ASK, HistoryAnswer, HistoryQuestion, RoomAnswer, RoomQuestion, RouteAnswer, RouteQuestion, SessionAnswer,
    SessionQuestion, UserAnswer, UserQuestion, UsersAnswer, UsersQuestion, WaitAnswer, WaitQuestion,
};
use crate::wire::name::named;
use crate::wire::{Named, schema};

/// What can be asked.
///
/// ```
/// use presence_engine::wire::ask::Verb;
/// assert_eq!(Verb::User.subject("main"), "presence.v1.ask.main.user");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// A session's latest event, and how it is now.
    Session,
    /// A user's latest event, and how it is now.
    User,
    /// Some users, or a page of who is here.
    Users,
    /// How many are in a room, and who.
    Room,
    /// When that many are ready.
    Wait,
    /// Whom to ask, best first.
    Route,
    /// What was over time.
    History,
}

named! {
    Verb { Session = "session", User = "user", Users = "users", Room = "room", Wait = "wait", Route = "route",
        History = "history"
    }
}

impl Verb {
    /// The subject to ask a tenant's engines on; the tenant is a token, or `*` for a filter.
    #[must_use]
    pub fn subject(self, tenant: &str) -> String {
        format!("{ASK}.{tenant}.{}", self.name())
    }

    /// The JSON Schemas of its question and of its answer.
    #[must_use]
    pub fn schemas(self) -> [Value; 2] {
        match self {
            Self::Session => [schema::asked::<SessionQuestion>(), schema::answered::<SessionAnswer<'_>>()],
            Self::User => [schema::asked::<UserQuestion>(), schema::answered::<UserAnswer<'_>>()],
            Self::Users => [schema::asked::<UsersQuestion>(), schema::answered::<UsersAnswer>()],
            Self::Room => [schema::asked::<RoomQuestion>(), schema::answered::<RoomAnswer>()],
            Self::Wait => [schema::asked::<WaitQuestion>(), schema::answered::<WaitAnswer>()],
            Self::Route => [schema::asked::<RouteQuestion>(), schema::answered::<RouteAnswer>()],
            Self::History => [schema::asked::<HistoryQuestion>(), schema::answered::<HistoryAnswer>()],
        }
    }

    /// The files of `schemas/` that hold them.
    #[must_use]
    pub fn files(self) -> [&'static str; 2] {
        match self {
            Self::Session => ["ask-session.schema.json", "answer-session.schema.json"],
            Self::User => ["ask-user.schema.json", "answer-user.schema.json"],
            Self::Users => ["ask-users.schema.json", "answer-users.schema.json"],
            Self::Room => ["ask-room.schema.json", "answer-room.schema.json"],
            Self::Wait => ["ask-wait.schema.json", "answer-wait.schema.json"],
            Self::Route => ["ask-route.schema.json", "answer-route.schema.json"],
            Self::History => ["ask-history.schema.json", "answer-history.schema.json"],
        }
    }
}
