//! What is asked of engines, and what they answer: the payloads of `presence.v1.ask.<tenant>.<verb>`, see SERVICES.md.

mod checked;
mod error;
pub mod route;
pub mod wait;

pub use error::AskError;

/// Largest question, in bytes.
pub const ASK_BYTES_MAX: usize = 64 * 1024;
/// Most users that one question names, and most of one page.
pub const USERS_MAX: usize = 256;
/// How many a page has where nothing is said.
pub const PAGE_DEFAULT: usize = 100;
/// Longest id of a question, in bytes.
pub const ID_BYTES_MAX: usize = 128;
