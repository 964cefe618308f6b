//! The JetStream edge: everything that talks to NATS, and nothing that decides about presence.
//!
//! - [`connect`]: where the server is and who we are → [`Nats`].
//! - [`topology`]: the streams and buckets, created, compared, mended or refused.
//! - [`log`]: the log's identity, and its reader: one consumer, no gap, no duplicate.
//! - [`tick`]: the acknowledged ticks that move the log's time where nothing else does.
//! - [`commit`]: fenced atomic commits: a pure protocol, and the lane that drives it.
//! - [`membership`]: which engines take part, and who holds which partition.
//! - [`history`]: what was told, from some moment up to the end.
//! - [`latest`]: the last stored message of each subject.
//! - [`reservations`]: who is held for which question.
//! - [`told_rooms`]: what was told of rooms, the latest and then all that comes.
//! - [`checkpoint`]: checkpoints in the Object Store.
//! - [`told`]: what the stream of events holds now.
//! - [`service`]: the micro service `presence`; [`owned`]: what engines ask each other.
//! - [`server`]: `nats-server` as a supervised child.
//!
//! Times that this module measures by the local clock decide only when something is sent again or given up, never what
//! an event says.

pub mod checkpoint;
pub mod commit;
pub mod connect;
pub mod history;
pub mod latest;
pub mod log;
pub mod membership;
pub mod names;
pub mod owned;
mod pull;
pub mod reservations;
pub mod server;
pub mod service;
pub mod tick;
pub mod told;
pub mod told_rooms;
pub mod topology;
pub mod version;

pub use checkpoint::{CheckpointError, Checkpoints};
pub use commit::{Batch, CommitError, CommitLane, Fence, OutMessage, Owner, Position, TakenOver};
pub use connect::{ConnectError, ConnectOptions, Nats};
pub use history::HistoryError;
pub use log::{LogError, LogIdentity, LogMessage, LogReader, Partitions, Standing as LogStanding};
pub use membership::{Lessee, Membership, MembershipError, View};
pub use tick::Ticker;
pub use told_rooms::{RoomReader, ToldOfRooms};
