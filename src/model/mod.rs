//! What presence is. Pure: no clock, no I/O, no floating point, no randomness.

pub mod confidence;
pub mod event;
pub mod id;
pub mod policy;
mod profile;
pub mod ready;
pub mod room;
pub mod session;
pub mod signal;
pub mod state;

pub use confidence::{Confidence, Curve};
pub use event::{
    Certainty, EngineEvent, EngineWhat, Event, EventBody, NextState, ReadyEvent, RejectedEvent, Rejection,
    SessionEvent, UserEvent,
};
pub use id::{Address, AddressError, Token, TokenError};
pub use policy::{Policy, PolicyError, Ready};
pub use profile::{Profile, Promise};
pub use ready::{Candidate, Lack, Order, Readiness, Want};
pub use room::{Member, RoomPart, Tally};
pub use signal::{Beat, Claim, Intent, Kind, Said, Signal, Visibility};
pub use state::{Cause, State, Transport};

/// Most partitions of a log: each has a message in the commit that fences it, and a batch has at most 1,000.
pub const PARTITIONS_MAX: u16 = 512;

/// Milliseconds since the Unix epoch in the log's time, or in a partition's observed time; the name of the field says which.
pub type Millis = u64;

/// The partition that a user's log belongs to: FNV-1a (32 bits) over tenant token then user token, modulo `partitions`.
///
/// This is what `{{partition(n,1,2)}}` of a NATS subject transform computes.
///
/// ```
/// assert_eq!(presence_engine::model::partition_of("acme", "alice", 8), 1);
/// assert_eq!(presence_engine::model::partition_of("acme", "bob", 8), 6);
/// ```
#[must_use]
pub fn partition_of(tenant: &str, user: &str, partitions: u16) -> u16 {
    Partitioning::of(tenant, partitions).partition_of(user)
}

/// The partitions of one tenant's users: [`partition_of`] for many of them.
#[derive(Debug, Clone, Copy)]
pub struct Partitioning {
    hash: u32,
    partitions: u32,
}

impl Partitioning {
    /// That of a tenant's token in a log with so many partitions.
    #[must_use]
    pub fn of(tenant: &str, partitions: u16) -> Self {
        Self { hash: fnv_1a(0x811c_9dc5, tenant), partitions: partitions.into() }
    }

    /// The partition of a user's token.
    #[must_use]
    pub fn partition_of(self, user: &str) -> u16 {
        (fnv_1a(self.hash, user) % self.partitions) as u16
    }
}

fn fnv_1a(hash: u32, text: &str) -> u32 {
    text.bytes().fold(hash, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
