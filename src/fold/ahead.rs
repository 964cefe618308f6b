//! Looking ahead: the memory of several sessions is fetched at once, instead of one after the other when they are applied.

use super::partition::Partition;
use super::sought::Sought;
use crate::model::Address;

/// So many signals are looked ahead at together.
pub const AHEAD: usize = 32;

/// What one step asks for has come when so many others have asked for theirs.
const DISTANCE: usize = 8;

/// What the next signals look for. It is kept from one look to the next, so that its memory is.
#[derive(Debug, Clone, Default)]
pub struct Ahead([Sought; AHEAD]);

impl Ahead {
    /// Fetches what the next `count` signals, [`AHEAD`] at most, will touch, and returns what they look for, for
    /// [`Partition::apply_sought`]. `signal` tells who each of them is from, and which partition it is for. No partition is
    /// changed, and what is found decides nothing.
    ///
    /// A session is found in three steps, each of which needs what the one before has fetched: its line of the index, its hot
    /// part, its names. Each signal is a step behind the one before it, so that nobody waits.
    pub fn look<'p, 's>(&mut self, count: usize, signal: impl Fn(usize) -> (&'p Partition, Address<'s>)) -> &[Sought] {
        let all = &mut self.0[..count.min(AHEAD)];
        for at in 0..all.len() + 2 * DISTANCE {
            if let Some(sought) = all.get_mut(at) {
                let (partition, address) = signal(at);
                partition.people.seek(address, sought);
            }
            if let Some(at) = at.checked_sub(DISTANCE)
                && let Some(sought) = all.get_mut(at)
            {
                signal(at).0.people.glance(sought);
            }
            if let Some(at) = at.checked_sub(2 * DISTANCE)
                && let Some(sought) = all.get(at)
            {
                signal(at).0.people.fetch_name(sought);
            }
        }
        all
    }
}
