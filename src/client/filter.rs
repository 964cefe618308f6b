//! What is followed, and what is told of it.

use serde::de::DeserializeOwned;

use super::Error;
use super::answer::{RoomNow, Somebody};
use super::ask::Ask;
use super::event::{MemberEvent, ReadyEvent, RoomEvent, SessionEvent, UserEvent};
use super::name::token;

/// What is followed.
///
/// ```
/// use presence_engine::client::Filter;
/// let (everybody, ada, tab) = (Filter::users(), Filter::user("ada"), Filter::session("ada", "tab-1"));
/// let (calls, room) = (Filter::ready_of("ada"), Filter::room("lobby"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    kind: Kind,
    /// Plain names behind the tenant; what is missing at the end is anybody's.
    names: Vec<(&'static str, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Session,
    Ready,
    Room,
    Member,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// Somebody of the snapshot.
    Here(Somebody),
    /// The room of the snapshot.
    Density(RoomNow),
    /// The snapshot is complete; from here on come transitions.
    Complete,
    /// A user's transition.
    User(Box<UserEvent>),
    /// A session's transition.
    Session(Box<SessionEvent>),
    /// What a user is ready for is something else.
    Ready(Box<ReadyEvent>),
    /// How many are in a room is something else.
    Room(Box<RoomEvent>),
    /// Somebody came into a room, left it, or is there otherwise.
    Member(Box<MemberEvent>),
}

/// What a snapshot asks for.
pub(super) enum Asks<'a> {
    Everybody,
    Users(&'a str),
    Room(&'a str),
}

impl Filter {
    fn of<const N: usize>(kind: Kind, names: [(&'static str, String); N]) -> Self {
        Self { kind, names: names.into() }
    }

    /// Every user.
    #[must_use]
    pub fn users() -> Self {
        Self::of(Kind::User, [])
    }

    /// This user.
    #[must_use]
    pub fn user(user: impl Into<String>) -> Self {
        Self::of(Kind::User, [("user", user.into())])
    }

    /// Every session; the snapshot is of users.
    #[must_use]
    pub fn sessions() -> Self {
        Self::of(Kind::Session, [])
    }

    /// This user's sessions; the snapshot is of the user.
    #[must_use]
    pub fn sessions_of(user: impl Into<String>) -> Self {
        Self::of(Kind::Session, [("user", user.into())])
    }

    /// This session; the snapshot is of the user.
    #[must_use]
    pub fn session(user: impl Into<String>, session: impl Into<String>) -> Self {
        Self::of(Kind::Session, [("user", user.into()), ("session", session.into())])
    }

    /// What users are ready for.
    #[must_use]
    pub fn ready() -> Self {
        Self::of(Kind::Ready, [])
    }

    /// What this user is ready for.
    #[must_use]
    pub fn ready_of(user: impl Into<String>) -> Self {
        Self::of(Kind::Ready, [("user", user.into())])
    }

    /// How many are in this room.
    #[must_use]
    pub fn room(room: impl Into<String>) -> Self {
        Self::of(Kind::Room, [("room", room.into())])
    }

    /// Who comes into this room and leaves it, while it has no more users than `rooms.member_events`; the snapshot is of the room.
    #[must_use]
    pub fn members(room: impl Into<String>) -> Self {
        Self::of(Kind::Member, [("room", room.into())])
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.names.iter().try_for_each(|(what, name)| token(what, name).map(drop))
    }

    pub(super) fn asks(&self) -> Asks<'_> {
        match (self.kind, self.names.first()) {
            (Kind::Room | Kind::Member, Some((_, room))) => Asks::Room(room),
            (Kind::User | Kind::Session | Kind::Ready, Some((_, user))) => Asks::Users(user),
            (Kind::User | Kind::Session | Kind::Ready | Kind::Room | Kind::Member, None) => Asks::Everybody,
        }
    }

    /// Whether it tells transitions of users, whose ordinals a snapshot may know.
    pub(super) fn is_of_users(&self) -> bool {
        self.kind == Kind::User
    }

    pub(super) fn subject(&self, ask: &Ask) -> String {
        let kind = match self.kind {
            Kind::User => "user",
            Kind::Session => "session",
            Kind::Ready => "ready",
            Kind::Room => "room",
            Kind::Member => "member",
        };
        let mut subject = format!("presence.v1.{kind}.{}", ask.token);
        for (_, name) in &self.names {
            subject.push('.');
            // They were checked before.
            subject.push_str(&crate::model::id::escape(name).unwrap_or_default());
        }
        let all = match (self.kind, self.names.len()) {
            (Kind::User | Kind::Ready | Kind::Room, 1) | (Kind::Session | Kind::Member, 2) => "",
            (Kind::User | Kind::Session | Kind::Ready | Kind::Room | Kind::Member, _) => ".>",
        };
        subject.push_str(all);
        subject
    }

    pub(super) fn read(&self, subject: &str, payload: &[u8]) -> Result<Change, Error> {
        match self.kind {
            Kind::User => read(subject, payload).map(Change::User),
            Kind::Session => read(subject, payload).map(Change::Session),
            Kind::Ready => read(subject, payload).map(Change::Ready),
            Kind::Room => read(subject, payload).map(Change::Room),
            Kind::Member => read(subject, payload).map(Change::Member),
        }
    }
}

fn read<T: DeserializeOwned>(subject: &str, payload: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(payload)
        .map_err(|error| Error::Unreadable { what: format!("an event of {subject}"), reason: error.to_string() })
}
