//! Every subject of the contract: built here, taken apart here.

mod told;

use std::fmt::Display;

use crate::model::id::at_dot;
use crate::model::id::escape;
use crate::model::{Address, AddressError, Token, TokenError, partition_of};

pub use told::EventSubject;

/// Where clients publish signals; tenant, user and session follow.
pub const SIGNAL: &str = "presence.v1.signal";
/// The subjects of all signals, as the log's stream takes them.
pub const SIGNALS: &str = "presence.v1.signal.*.*.*";
/// Where the log keeps its entries; a partition, or `all`, follows.
pub const LOG: &str = "presence.v1.log";
/// The subjects of all log entries.
pub const LOG_ENTRIES: &str = "presence.v1.log.>";
/// Where engines publish ticks.
pub const TICK: &str = "presence.v1.log.all.tick";
/// Where policies come into force.
pub const POLICY: &str = "presence.v1.log.all.policy";
/// What an engine is asked about itself.
pub const INFO: &str = "presence.v1.info";

/// The subject on which the engine of this name answers what [`INFO`] does.
#[must_use]
pub fn info_of(engine: &str) -> String {
    format!("{INFO}.{engine}")
}

/// The subjects of what partitions contribute to rooms.
pub const PARTIALS: &str = "presence.v1.partial.>";
/// The subjects of all rooms' events.
pub const ROOMS: &str = "presence.v1.room.>";
/// The subjects of all events of users in rooms.
pub const MEMBERS: &str = "presence.v1.member.>";

/// What an event's subject begins with, as it is stored and told.
pub const TOLD_PREFIX: &str = "presence.v1.";
/// What it begins with as it is published: here nobody listens but the stream.
pub const COMMIT_PREFIX: &str = "presence.commit.v1.";

/// Which of the names that a person gave is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {source}")]
pub struct NameError {
    /// `tenant`, `user`, `session` or `room`.
    pub what: &'static str,
    /// Why not.
    pub source: TokenError,
}

/// The token of a plain name.
///
/// # Errors
/// A [`NameError`] that says which name it is.
pub fn token(what: &'static str, plain: &str) -> Result<String, NameError> {
    escape(plain).map_err(|source| NameError { what, source })
}

/// The subject to publish a session's signals to, from plain names.
///
/// ```
/// use presence_engine::wire::subject::signal;
/// assert_eq!(signal("main", "carol@x", "phone").unwrap(), "presence.v1.signal.main.carol=40x.phone");
/// assert_eq!(signal("main", "", "phone").unwrap_err().to_string(), "user: a name must not be empty");
/// ```
///
/// # Errors
/// A [`NameError`] if a name is empty or too long.
pub fn signal(tenant: &str, user: &str, session: &str) -> Result<String, NameError> {
    let (tenant, user, session) = (token("tenant", tenant)?, token("user", user)?, token("session", session)?);
    Ok(format!("{SIGNAL}.{}", session_key(&tenant, &user, &session)))
}

/// The subject that the log stores a session's signals under, from tokens.
#[must_use]
pub fn log_signal(partition: u16, tenant: &str, user: &str, session: &str) -> String {
    format!("{LOG}.{partition}.signal.{tenant}.{user}.{session}")
}

/// The subject that a gateway publishes its batches for one partition to, from tokens.
#[must_use]
pub fn log_batch(partition: impl Display, tenant: &str, gateway: &str) -> String {
    format!("{LOG}.{partition}.batch.{tenant}.{gateway}")
}

/// A session's key in the bucket `presence_sessions`, from tokens.
#[must_use]
pub fn session_key(tenant: &str, user: &str, session: &str) -> String {
    format!("{tenant}.{user}.{session}")
}

/// A user's key in the bucket `presence_users`, from tokens.
#[must_use]
pub fn user_key(tenant: &str, user: &str) -> String {
    format!("{tenant}.{user}")
}

/// The subject of a session's events; `key` is its [`session_key`]. With `*` as tokens it is a filter.
#[must_use]
pub fn session(key: &str) -> String {
    told("session", key)
}

/// The subject of a user's events; `key` is its [`user_key`].
#[must_use]
pub fn user(key: &str) -> String {
    told("user", key)
}

/// The subject of the changes of what a user is ready for; `key` is its [`user_key`].
#[must_use]
pub fn ready(key: &str) -> String {
    told("ready", key)
}

/// A room's key in the bucket `presence_rooms`, from tokens.
#[must_use]
pub fn room_key(tenant: &str, room: &str) -> String {
    format!("{tenant}.{room}")
}

/// The subject of a room's events; `key` is its [`room_key`].
#[must_use]
pub fn room(key: &str) -> String {
    told("room", key)
}

/// The subject of a user's events in a room; `key` is the room's [`room_key`].
#[must_use]
pub fn member(key: &str, user: &str) -> String {
    told("member", format_args!("{key}.{user}"))
}

/// The subject of what a partition contributes to a room; `key` is its [`room_key`].
#[must_use]
pub fn partial(partition: impl Display, key: &str) -> String {
    told("partial", format_args!("{partition}.{key}"))
}

/// The subject by which an engine of this name finds out how far it has read: what is stored before its mark, it has read when
/// the mark comes.
#[must_use]
pub fn mark(engine: &str) -> String {
    told("mark", engine)
}

/// The subject that takes a room's key out of its bucket.
#[must_use]
pub fn gone_room(key: &str) -> String {
    told("gone.room", key)
}

/// The subject of what the engine tells about itself in one partition.
#[must_use]
pub fn engine(partition: u16) -> String {
    told("engine", partition)
}

/// The subject of one partition's refused signals.
#[must_use]
pub fn rejected(partition: u16) -> String {
    told("rejected", partition)
}

/// The subject that takes a session's key out of its bucket.
#[must_use]
pub fn gone_session(key: &str) -> String {
    told("gone.session", key)
}

/// The subject that takes a user's key out of its bucket.
#[must_use]
pub fn gone_user(key: &str) -> String {
    told("gone.user", key)
}

/// The subject of a partition's progress: the fence.
#[must_use]
pub fn progress(partition: u16) -> String {
    told("progress", partition)
}

fn told(kind: &str, rest: impl Display) -> String {
    format!("{TOLD_PREFIX}{kind}.{rest}")
}

/// Where a message is published that is to be told as `told`.
///
/// # Panics
/// If `told` is no subject that events are told under.
#[must_use]
pub fn commit(told: &str) -> String {
    let rest = told.strip_prefix(TOLD_PREFIX).expect("events are told under presence.v1");
    format!("{COMMIT_PREFIX}{rest}")
}

impl LogSubject<'_> {
    /// Whom an entry under this subject concerns.
    #[must_use]
    pub fn route(&self) -> Route {
        match self {
            Self::Signal(partition, _) | Self::Batch(partition, ..) | Self::Refused(partition, _) => {
                Route::Partition(*partition)
            }
            // One that can't be read is told by the first partition.
            Self::Tick | Self::Policy => Route::All,
            Self::Other(route) => *route,
        }
    }
}

/// Who has to be told of a log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// One partition.
    Partition(u16),
    /// Every partition.
    All,
    /// No partition: the subject is not one of this log's.
    Nobody,
}

impl Route {
    /// Whether `partition` has to be told.
    #[must_use]
    pub fn reaches(self, partition: u16) -> bool {
        match self {
            Self::Partition(only) => only == partition,
            Self::All => true,
            Self::Nobody => false,
        }
    }
}

/// What the subject of a log entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSubject<'a> {
    /// A session's signal, in the partition of its user.
    Signal(u16, Address<'a>),
    /// A batch of a gateway's: the partition, the tenant and the gateway.
    Batch(u16, Token<'a>, Token<'a>),
    /// It can't be taken; says which partition tells of it, and why.
    Refused(u16, String),
    /// A tick.
    Tick,
    /// A policy.
    Policy,
    /// Something that this version doesn't know; only its time and position count.
    Other(Route),
}

impl<'a> LogSubject<'a> {
    /// Takes apart the subject of an entry of a log with so many partitions.
    ///
    /// The partition in a signal's subject has to be that of its tenant and user: the server computes it, so another one
    /// was published past the server's transform.
    #[must_use]
    pub fn parse(subject: &'a str, partitions: u16) -> Self {
        let Some(rest) = subject.strip_prefix(LOG).and_then(|rest| rest.strip_prefix('.')) else {
            return Self::Other(Route::Nobody);
        };
        let Some((place, rest)) = at_dot(rest) else {
            return Self::Other(Route::Nobody);
        };
        if place == "all" {
            return match rest {
                "tick" => Self::Tick,
                "policy" => Self::Policy,
                _ => Self::Other(Route::All),
            };
        }
        let Some(partition) = decimal(place).filter(|partition| *partition < partitions) else {
            return match at_dot(rest) {
                // A gateway that computes partitions of another log would lose all that it holds without a word.
                Some(("batch", _)) => Self::Refused(0, no_partition(place, partitions)),
                Some(_) | None => Self::Other(Route::Nobody),
            };
        };
        match at_dot(rest) {
            Some(("signal", names)) => Self::signal(partition, names, partitions),
            Some(("batch", names)) => match gateway(names) {
                Ok((tenant, gateway)) => Self::Batch(partition, tenant, gateway),
                Err(why) => Self::Refused(partition, why),
            },
            Some(_) | None => Self::Other(Route::Partition(partition)),
        }
    }

    fn signal(partition: u16, names: &'a str, partitions: u16) -> Self {
        match address(names) {
            Ok(address) => {
                let own = partition_of(address.tenant().as_str(), address.user().as_str(), partitions);
                if own == partition {
                    Self::Signal(partition, address)
                } else {
                    Self::Refused(partition, format!("the user's partition is {own}, the subject says {partition}"))
                }
            }
            Err(why) => Self::Refused(partition, why),
        }
    }
}

/// The number that `text` spells as the server would: decimal, no sign, no leading zeros.
fn decimal(text: &str) -> Option<u16> {
    let sound = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if sound { text.parse().ok() } else { None }
}

/// The address in `<tenant>.<user>.<session>`, or why it is none.
fn address(names: &str) -> Result<Address<'_>, String> {
    Address::parse(names).map_err(|error| match error {
        AddressError::Names(count) => format!("{count} names follow `signal`, tenant, user and session have to"),
        AddressError::Token(what, source) => NameError { what, source }.to_string(),
    })
}

/// Tenant and gateway in `<tenant>.<gateway>`, or why they are none.
fn gateway(names: &str) -> Result<(Token<'_>, Token<'_>), String> {
    let mut parts = names.split('.');
    let (Some(tenant), Some(gateway), None) = (parts.next(), parts.next(), parts.next()) else {
        let count = names.split('.').count();
        return Err(format!("{count} names follow `batch`, tenant and gateway have to"));
    };
    Ok((named("tenant", tenant)?, named("gateway", gateway)?))
}

fn named<'a>(what: &'static str, name: &'a str) -> Result<Token<'a>, String> {
    Token::parse(name).map_err(|source| NameError { what, source }.to_string())
}

fn no_partition(place: &str, partitions: u16) -> String {
    // What stands there is a client's own text, and may be long.
    let place = if place.len() <= 5 { place } else { "something long" };
    let last = partitions - 1;
    format!("`{place}` is no partition: this log has 0 to {last}, {INFO} tells how many")
}

#[cfg(test)]
mod tests;
