//! Bytes ↔ model: subjects, payloads, headers, schemas. Knows the contract, and neither sockets nor clocks.
//!
//! In: [`entry`] turns a message of the log into an entry of the fold, by way of [`subject`], [`signal`], [`batch`], [`Tick`]
//! and [`policy`]. Out: [`event`] turns an event into the messages to commit, whose payloads are those of [`told`], which
//! readers use as well. [`schema`] describes all of them from the same types.

pub mod ask;
mod asyncapi;
pub mod audit;
pub mod batch;
pub mod encoding;
pub mod entry;
pub mod event;
pub mod info;
mod lease;
pub mod meta;
mod name;
pub mod policy;
mod progress;
mod recall;
pub mod schema;
pub mod signal;
pub mod subject;
mod tick;
pub mod told;

pub use ask::AskError;
pub use encoding::{Encoding, ReadError};
pub use entry::{LogEntry, LogMessage};
pub use event::{Message, RuntimeEvent, RuntimeWhat};
pub use info::{Info, Owned};
pub use lease::{Lease, Member};
pub use name::Named;
pub use progress::Progress;
pub use signal::{Decoded, Ignored};
pub use subject::{EventSubject, LogSubject, NameError, Route};
pub use tick::Tick;
pub use told::ToldEvent;

/// The version of the contract, additions included, as `presence.v1.info` tells it.
pub const CONTRACT: &str = "1.0";

/// The version of the contract that payloads name.
pub const CONTRACT_VERSION: u8 = 1;

/// The plain name of a token, which is borrowed where nothing is escaped.
///
/// # Panics
/// If it is no token; names inside the engine are.
#[must_use]
pub(crate) fn plain(token: &str) -> std::borrow::Cow<'_, str> {
    if token.contains('=') {
        crate::model::id::unescape(crate::model::Token::parse(token).expect("names inside the engine are tokens"))
            .into()
    } else {
        token.into()
    }
}
