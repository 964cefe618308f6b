//! What is asked of engines, and what they answer: the payloads of `presence.v1.ask.<tenant>.<verb>`, see SERVICES.md.

mod error;
mod history;

pub use error::AskError;
pub use history::{
    AskedOf, Cursor, HISTORY_PAGE_MAX, HistoryAnswer, HistoryQuestion, Past, Segment, UserHistory, WasHere, WhoWasHere,
};

/// Largest question, in bytes.
pub const ASK_BYTES_MAX: usize = 64 * 1024;
/// Most users that one question names, and most of one page.
pub const USERS_MAX: usize = 256;
/// How many a page has where nothing is said.
pub const PAGE_DEFAULT: usize = 100;
/// Longest id of a question, in bytes.
pub const ID_BYTES_MAX: usize = 128;
