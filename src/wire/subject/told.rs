//! What the subjects of PRESENCE_EVENTS say.

use super::{TOLD_PREFIX, decimal};
use crate::model::Token;

/// What the subject of a message in PRESENCE_EVENTS says, in its told form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSubject<'a> {
    /// A session's event; holds its key.
    Session(&'a str),
    /// A user's event; holds its key.
    User(&'a str),
    /// A change of what a user is ready for; holds the user's key.
    Ready(&'a str),
    /// A room's event; holds its key.
    Room(&'a str),
    /// The event of a user in a room; holds tenant, room and user.
    Member(&'a str),
    /// What a partition contributes to a room; holds the room's key.
    Partial(u16, &'a str),
    /// What the engine told of itself in a partition.
    Engine(u16),
    /// A refused signal in a partition.
    Rejected(u16),
    /// A session's key leaves its bucket.
    GoneSession(&'a str),
    /// A user's key leaves its bucket.
    GoneUser(&'a str),
    /// A room's key leaves its bucket.
    GoneRoom(&'a str),
    /// A partition's progress.
    Progress(u16),
    /// How far an engine has read; holds its name.
    Mark(&'a str),
    /// Something that this version doesn't know.
    Other,
}

impl<'a> EventSubject<'a> {
    /// Takes apart a told subject.
    ///
    /// ```
    /// use presence_engine::wire::EventSubject;
    /// assert_eq!(EventSubject::parse("presence.v1.session.main.alice.tab"), EventSubject::Session("main.alice.tab"));
    /// assert_eq!(EventSubject::parse("presence.v1.weather.main.lobby"), EventSubject::Other);
    /// ```
    #[must_use]
    pub fn parse(subject: &'a str) -> Self {
        let told = subject.strip_prefix(TOLD_PREFIX);
        let Some((kind, rest)) = told.and_then(|rest| rest.split_once('.')) else {
            return Self::Other;
        };
        let keyed = |key: &str, names: usize| {
            let tokens = key.split('.').all(|name| Token::parse(name).is_ok());
            tokens && key.split('.').count() == names
        };
        match (kind, rest.split_once('.'), decimal(rest)) {
            ("session", Some(_), _) if keyed(rest, 3) => Self::Session(rest),
            ("user", Some(_), _) if keyed(rest, 2) => Self::User(rest),
            ("ready", Some(_), _) if keyed(rest, 2) => Self::Ready(rest),
            ("room", Some(_), _) if keyed(rest, 2) => Self::Room(rest),
            ("member", Some(_), _) if keyed(rest, 3) => Self::Member(rest),
            ("partial", Some((partition, key)), _) if keyed(key, 2) => {
                decimal(partition).map_or(Self::Other, |partition| Self::Partial(partition, key))
            }
            ("gone", Some(("room", key)), _) if keyed(key, 2) => Self::GoneRoom(key),
            ("gone", Some(("session", key)), _) if keyed(key, 3) => Self::GoneSession(key),
            ("gone", Some(("user", key)), _) if keyed(key, 2) => Self::GoneUser(key),
            ("engine", None, Some(partition)) => Self::Engine(partition),
            ("rejected", None, Some(partition)) => Self::Rejected(partition),
            ("progress", None, Some(partition)) => Self::Progress(partition),
            ("mark", None, _) => Self::Mark(rest),
            _ => Self::Other,
        }
    }
}
