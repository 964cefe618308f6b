//! What can go wrong for a client, and what to do about it.

use crate::model::TokenError;

/// Why something could not be said, asked or followed. But for [`Error::Unacknowledged`], nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that can't be one. Choose another.
    #[error("the {what} {name:?} can't be used: {source}")]
    Name {
        /// What it should name: `tenant`, `user`, `session`, `room`, `gateway`.
        what: &'static str,
        /// The name.
        name: String,
        /// Why not.
        source: TokenError,
    },
    /// Something is larger or more than its limit. Say less.
    #[error("{what} is {size}, the limit is {limit}")]
    Limit {
        /// What.
        what: &'static str,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// `meta` is no JSON object. Give it one, such as `json!({"app": "editor"})`.
    #[error("meta has to be a JSON object, and is {0}")]
    Meta(String),
    /// The payload of a signal is none. Give it a JSON object, a MessagePack map, or nothing.
    #[error("the signal can't be taken: {0}; its payload is a JSON object, a MessagePack map, or empty")]
    Signal(String),
    /// The engine doesn't take the question: the text says what is wrong with it. Ask otherwise.
    #[error("`{verb}` was refused: {reason}")]
    Refused {
        /// What was asked.
        verb: &'static str,
        /// `Nats-Service-Error-Code`, as in HTTP.
        code: u16,
        /// What the engine said.
        reason: String,
    },
    /// Nobody was ever heard of under this tenant. Check its name, and that heartbeats are published under it.
    #[error(
        "nobody was ever heard of under the tenant {tenant:?}; check its name, and that signals are published under it"
    )]
    UnknownTenant {
        /// The tenant.
        tenant: String,
    },
    /// A limit of the tenant is reached. Ask again when other questions have been answered.
    #[error("`{verb}`: {reason}")]
    Busy {
        /// What was asked.
        verb: &'static str,
        /// What the engine said: the limit and its value.
        reason: String,
    },
    /// No engine gave an answer until the deadline. Ask again; where that doesn't help, look at `presence status`.
    #[error(
        "`{verb}` was not answered within {within_ms} ms: {reason}; is an engine running (`presence status`), and may this user \
         publish to presence.v1.ask and the stream's API?"
    )]
    Unanswered {
        /// What was asked.
        verb: &'static str,
        /// How long.
        within_ms: u64,
        /// What happened last.
        reason: String,
    },
    /// An answer or event that can't be read. Take a client that is as new as the engine; events have to be told as JSON.
    #[error("{what} can't be read: {reason}; is the client as new as the engine, and is events.encoding \"json\"?")]
    Unreadable {
        /// What.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The log has not acknowledged the signal; it may have it all the same. Say it again, or let silence tell.
    #[error("the log has not acknowledged the signal: {0}; say it again, or leave it to the session's silence")]
    Unacknowledged(String),
    /// The stream of events is not there. Start an engine, or check the server and account.
    #[error("the stream {stream} can't be followed: {reason}; has an engine been started on this server and account?")]
    NoStream {
        /// Its name.
        stream: &'static str,
        /// What the server said.
        reason: String,
    },
    /// Events behind the position are not kept any longer. Follow anew, with a snapshot.
    #[error("events behind sequence {seq} may be gone, those from {first} on are kept; follow anew with a snapshot")]
    Gone {
        /// The position.
        seq: u64,
        /// The first event that is kept.
        first: u64,
    },
    /// The position belongs to another stream, which was there before, or to an end that was lost. Follow anew, with a snapshot.
    #[error("the position {seq} is none of this stream, which ends at {last}; follow anew with a snapshot")]
    Replaced {
        /// The position.
        seq: u64,
        /// Where the stream ends.
        last: u64,
    },
    /// A text that is no position. Take what `Resume` wrote.
    #[error("{0:?} is no position; take the text that a Resume gave")]
    Resume(String),
}
