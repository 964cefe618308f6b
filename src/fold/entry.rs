//! What the log tells a partition: one entry at a time, in the log's order.

use std::sync::Arc;

use crate::model::{Address, Beat, Millis, Policy, Rejection, Said, Signal, Token};

/// One entry of the log.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Its sequence in the log's stream; grows with every entry.
    pub seq: u64,
    /// Its timestamp in the log, truncated to milliseconds.
    pub ts: Millis,
    /// What it says.
    pub body: Body<'a>,
}

/// What an entry says.
// With a discriminant of a whole word a signal is moved by words, as it was written, and not waited for.
#[derive(Debug, Clone)]
#[repr(u64)]
pub enum Body<'a> {
    /// A heartbeat of one session that says nothing more, as nearly all are.
    Beat(Address<'a>, Beat),
    /// Any signal of one session.
    Signal(Address<'a>, &'a Signal),
    /// Something that could not be taken as a signal.
    Rejected {
        /// The subject it was stored under.
        subject: &'a str,
        /// Why.
        reason: Rejection,
    },
    /// What a gateway held: signals in their order. One without signals is the gateway's own life sign.
    Batch {
        /// The gateway's tenant.
        tenant: Token<'a>,
        /// The gateway.
        gateway: Token<'a>,
        /// Its items.
        items: &'a [BatchItem<'a>],
    },
    /// Time passed, and the log took entries.
    Tick {
        /// How many ticks of this publisher failed directly before this one.
        failed: u32,
    },
    /// A checked policy comes into force.
    Policy(&'a Arc<Policy>),
    /// Only the time and the position count.
    Other,
}

impl<'a> Body<'a> {
    /// A signal of one session, in the shortest way to say so: another one tells the same.
    #[must_use]
    pub fn of(address: Address<'a>, signal: &'a Signal) -> Self {
        signal.plain().map_or(Self::Signal(address, signal), |beat| Self::Beat(address, beat))
    }

    /// The session that it is from.
    #[inline]
    #[must_use]
    pub fn address(&self) -> Option<Address<'a>> {
        match self {
            Self::Beat(address, _) | Self::Signal(address, _) => Some(*address),
            Self::Rejected { .. } | Self::Batch { .. } | Self::Tick { .. } | Self::Policy(_) | Self::Other => None,
        }
    }
}

/// One item of a gateway's batch.
#[derive(Debug, Clone)]
pub enum BatchItem<'a> {
    /// A signal, and for how long the gateway held it, in milliseconds.
    Signal(Address<'a>, Said, Millis),
    /// Something that could not be taken as a signal of this partition; says what, with its place in the batch.
    Rejected(Rejection),
}
