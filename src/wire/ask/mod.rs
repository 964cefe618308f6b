//! What is asked of engines, and what they answer: the payloads of `presence.v1.ask.<tenant>.<verb>`, see SERVICES.md.
//!
//! - [`Verb`]: what can be asked, each with the schemas of its question and answer.
//! - [`owned`]: what engines ask each other about the partitions that they own.
//! - `fields`: how a question is read, with an error that says what was wrong.

mod error;
mod fields;
mod history;
pub mod owned;
mod person;
mod room;
pub mod route;
mod user;
mod users;
mod verb;
pub mod wait;

pub use error::AskError;
pub use fields::Fields;
pub use history::{
    AskedOf, Cursor, HISTORY_PAGE_MAX, HistoryAnswer, HistoryQuestion, Past, Segment, UserHistory, WasHere, WhoWasHere,
};
pub use person::{Now, Person};
pub use room::{RoomAnswer, RoomQuestion};
pub use route::{RouteAnswer, RouteQuestion};
pub use user::{AbsentSession, AbsentUser, SessionAnswer, SessionQuestion, UserAnswer, UserQuestion, with_now};
pub use users::{UsersAnswer, UsersQuestion, Wanted};
pub use verb::Verb;
pub use wait::{WaitAnswer, WaitQuestion};

/// Largest question, in bytes.
pub const ASK_BYTES_MAX: usize = 64 * 1024;
/// Most users that one question names, and most of one page.
pub const USERS_MAX: usize = 256;
/// How many a page has where nothing is said.
pub const PAGE_DEFAULT: usize = 100;
/// Longest id of a question, in bytes.
pub const ID_BYTES_MAX: usize = 128;

/// Where questions go; a tenant and a verb follow.
pub const ASK: &str = "presence.v1.ask";

/// The tenant that the subject of a question names, not yet checked.
#[must_use]
pub fn tenant_in(subject: &str) -> &str {
    let rest = subject.strip_prefix(ASK).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
    rest.split('.').next().unwrap_or_default()
}
