//! Where engines are asked: questions to the loop, to the owners of partitions, and who wants to be woken.
//!
//! ```text
//! presence.v1.ask.<tenant>.<verb> ─▶ serve ─▶ verb ─▶ Desk ─┬─▶ loop      own partitions
//!                                                           └─▶ presence.v1.owned.<engine>.fold ─▶ owned ─▶ its Desk
//! ```
//!
//! - [`Desk`]: asks partitions wherever they are, again where their owner changes.
//! - `question`: what the loop answers.
//! - `interest`: who is woken when something about a user or a room is committed.
//! - `look`: what the loop says is said once to all who ask the same at the same time; `lasting`: for how long it has been so.
//! - `serve`: questions of clients, each in a task of its own; a verb is a file of `verb`.
//! - `watch`: what an owner would answer, once that is another than what is known; `waits`: how many wait.
//! - `owned`: questions of other engines.

mod desk;
mod interest;
mod lasting;
mod look;
mod owned;
mod question;
mod serve;
mod split;
mod verb;
mod waits;
mod watch;

pub(crate) use desk::Desk;
pub(crate) use interest::{Interests, Woken};
pub(crate) use lasting::Lasting;
pub(crate) use look::Looks;
pub(crate) use owned::Owned;
pub(crate) use question::Asked;
pub(crate) use serve::Serving;
pub(crate) use waits::Waits;

/// Most questions on their way to the loop; beyond it who asks waits.
pub(crate) const ASKED_MAX: usize = 1_024;
/// Most questions about the past that are read for at a time.
pub(crate) const HISTORIES_MAX: usize = 4;
