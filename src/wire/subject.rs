//! Every subject of the contract: built here, taken apart here.

use std::fmt::Display;

use crate::model::id::escape;
use crate::model::{Address, Token, TokenError, partition_of};

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
/// use presence::wire::subject::signal;
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
    /// It names a partition, and can't be taken; says why.
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
        let Some((place, rest)) = rest.split_once('.') else {
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
            return Self::Other(Route::Nobody);
        };
        match rest.split_once('.') {
            Some(("signal", names)) => Self::signal(partition, names, partitions),
            Some(("batch", _)) => Self::Refused(partition, "this version takes no gateway batches".to_owned()),
            Some(_) | None => Self::Other(Route::Partition(partition)),
        }
    }

    fn signal(partition: u16, names: &'a str, partitions: u16) -> Self {
        match address(names) {
            Ok(address) => {
                let own = partition_of(address.tenant.as_str(), address.user.as_str(), partitions);
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
    let mut parts = names.split('.');
    let (Some(tenant), Some(user), Some(session), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        let count = names.split('.').count();
        return Err(format!("{count} names follow `signal`, tenant, user and session have to"));
    };
    let token = |what, name| Token::parse(name).map_err(|source| NameError { what, source }.to_string());
    Ok(Address { tenant: token("tenant", tenant)?, user: token("user", user)?, session: token("session", session)? })
}

/// What the subject of a message in PRESENCE_EVENTS says, in its told form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSubject<'a> {
    /// A session's event; holds its key.
    Session(&'a str),
    /// A user's event; holds its key.
    User(&'a str),
    /// A change of what a user is ready for; holds the user's key.
    Ready(&'a str),
    /// What the engine told of itself in a partition.
    Engine(u16),
    /// A refused signal in a partition.
    Rejected(u16),
    /// A session's key leaves its bucket.
    GoneSession(&'a str),
    /// A user's key leaves its bucket.
    GoneUser(&'a str),
    /// A partition's progress.
    Progress(u16),
    /// Something that this version doesn't know.
    Other,
}

impl<'a> EventSubject<'a> {
    /// Takes apart a told subject.
    ///
    /// ```
    /// use presence::wire::EventSubject;
    /// assert_eq!(EventSubject::parse("presence.v1.session.main.alice.tab"), EventSubject::Session("main.alice.tab"));
    /// assert_eq!(EventSubject::parse("presence.v1.room.main.lobby"), EventSubject::Other);
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
            ("gone", Some(("session", key)), _) if keyed(key, 3) => Self::GoneSession(key),
            ("gone", Some(("user", key)), _) if keyed(key, 2) => Self::GoneUser(key),
            ("engine", None, Some(partition)) => Self::Engine(partition),
            ("rejected", None, Some(partition)) => Self::Rejected(partition),
            ("progress", None, Some(partition)) => Self::Progress(partition),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(subject: &str) -> String {
        match LogSubject::parse(subject, 64) {
            LogSubject::Refused(_, why) => why,
            other => panic!("{subject} is {other:?}"),
        }
    }

    #[test]
    fn a_signal_is_taken_in_the_partition_of_its_user_only() {
        let own = partition_of("acme", "carol=40x", 64);
        let subject = log_signal(own, "acme", "carol=40x", "tab");
        let LogSubject::Signal(partition, address) = LogSubject::parse(&subject, 64) else { panic!("{subject}") };
        assert_eq!((partition, address.user.as_str(), address.session.as_str()), (own, "carol=40x", "tab"));

        let other = (own + 1) % 64;
        let why = refused(&log_signal(other, "acme", "carol=40x", "tab"));
        assert_eq!(why, format!("the user's partition is {own}, the subject says {other}"));
    }

    #[test]
    fn bad_names_are_refused_with_the_name_and_the_place() {
        assert!(refused("presence.v1.log.3.signal.acme.al=61ice.tab").starts_with("user: the escape at byte 2"));
        assert!(refused("presence.v1.log.3.signal.a@b.alice.tab").starts_with("tenant: the byte at 1"));
        assert_eq!(
            refused("presence.v1.log.3.signal.acme.alice"),
            "2 names follow `signal`, tenant, user and session have to"
        );
        assert_eq!(
            refused("presence.v1.log.3.signal.acme.alice.tab.more"),
            "4 names follow `signal`, tenant, user and session have to"
        );
        assert_eq!(refused("presence.v1.log.3.batch.acme.gw1"), "this version takes no gateway batches");
    }

    #[test]
    fn entries_reach_whom_their_subject_names() {
        let parse = |subject| LogSubject::parse(subject, 64);
        assert_eq!(parse(TICK), LogSubject::Tick);
        assert_eq!(parse(POLICY), LogSubject::Policy);
        assert_eq!(parse("presence.v1.log.all.news"), LogSubject::Other(Route::All));
        assert_eq!(parse("presence.v1.log.63.news.x"), LogSubject::Other(Route::Partition(63)));
        for nobody in [
            "presence.v1.log.64.signal.acme.alice.tab",
            "presence.v1.log.03.signal.acme.alice.tab",
            "presence.v1.log.+3.signal.acme.alice.tab",
            "presence.v1.log.70000.signal.acme.alice.tab",
            "presence.v1.log..signal.acme.alice.tab",
            "presence.v1.log.3",
            "presence.v1.logs.3.signal.acme.alice.tab",
            "presence.v1.signal.acme.alice.tab",
            "",
        ] {
            assert_eq!(parse(nobody), LogSubject::Other(Route::Nobody), "{nobody}");
        }
        assert!(Route::All.reaches(7) && Route::Partition(7).reaches(7));
        assert!(!Route::Partition(7).reaches(8) && !Route::Nobody.reaches(7));
    }

    #[test]
    fn what_is_committed_is_told_under_the_stored_subject() {
        let key = session_key("acme", "carol=40x", "tab");
        assert_eq!(commit(&session(&key)), "presence.commit.v1.session.acme.carol=40x.tab");
        assert_eq!(session(&key), "presence.v1.session.acme.carol=40x.tab");
        assert_eq!(EventSubject::parse(&session(&key)), EventSubject::Session(&key));
        assert_eq!(EventSubject::parse(&gone_session(&key)), EventSubject::GoneSession(&key));
        assert_eq!(EventSubject::parse(&user("a.b")), EventSubject::User("a.b"));
        assert_eq!(EventSubject::parse(&ready("a.b")), EventSubject::Ready("a.b"));
        assert_eq!(EventSubject::parse(&gone_user("a.b")), EventSubject::GoneUser("a.b"));
        assert_eq!(EventSubject::parse(&engine(7)), EventSubject::Engine(7));
        assert_eq!(EventSubject::parse(&rejected(7)), EventSubject::Rejected(7));
        assert_eq!(EventSubject::parse(&progress(7)), EventSubject::Progress(7));
        assert_eq!(EventSubject::parse(&commit(&session(&key))), EventSubject::Other);
        assert_eq!(EventSubject::parse("presence.v1.session.acme.alice"), EventSubject::Other);
        assert_eq!(EventSubject::parse("presence.v1.engine.7.8"), EventSubject::Other);
    }

    proptest! {
        #[test]
        fn no_subject_makes_it_panic(subject in ".{0,80}", tail in "(all|[0-9]{1,6})\\.(signal|batch|tick)(\\.[A-Za-z=0-9@]{0,6}){0,5}") {
            let _ = LogSubject::parse(&subject, 64);
            let _ = LogSubject::parse(&format!("{LOG}.{tail}"), 64);
            let _ = EventSubject::parse(&subject);
            let _ = EventSubject::parse(&format!("presence.v1.{tail}"));
        }

        #[test]
        fn every_plain_name_makes_a_subject_that_parses_back(tenant in ".{1,12}", user in ".{1,12}", session in ".{1,12}") {
            let subject = signal(&tenant, &user, &session).unwrap();
            let names = subject.strip_prefix("presence.v1.signal.").unwrap();
            let parsed = address(names).unwrap();
            prop_assert_eq!(crate::model::id::unescape(parsed.user), user);
            let stored = log_signal(partition_of(parsed.tenant.as_str(), parsed.user.as_str(), 64), parsed.tenant.as_str(), parsed.user.as_str(), parsed.session.as_str());
            prop_assert!(matches!(LogSubject::parse(&stored, 64), LogSubject::Signal(_, found) if found == parsed));
        }
    }
}
