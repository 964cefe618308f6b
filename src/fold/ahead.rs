//! Looking ahead: the memory of several sessions is fetched at once, instead of one after the other when they are applied.

use super::partition::Partition;
use super::population::Sought;
use crate::model::Address;

/// So many signals are looked ahead at together.
pub const AHEAD: usize = 32;

/// What one step asks for has come when so many others have asked for theirs.
const DISTANCE: usize = 8;

/// Fetches what the next `count` signals, [`AHEAD`] at most, will touch, and returns what they look for, for
/// [`Partition::apply_sought`]. `signal` tells who each of them is from, and which partition it is for. It changes nothing, and
/// what it finds decides nothing.
///
/// A session is found in three steps, each of which needs what the one before has fetched: its line of the index, its hot
/// part, its names. Each signal is a step behind the one before it, so that nobody waits.
pub fn look_ahead<'p, 's>(count: usize, signal: impl Fn(usize) -> (&'p Partition, Address<'s>)) -> [Sought; AHEAD] {
    let mut all = [Sought::default(); AHEAD];
    let count = count.min(AHEAD);
    for at in 0..count + 2 * DISTANCE {
        if at < count {
            let (partition, address) = signal(at);
            partition.people.seek(address, &mut all[at]);
        }
        if (DISTANCE..count + DISTANCE).contains(&at) {
            let at = at - DISTANCE;
            signal(at).0.people.glance(&mut all[at]);
        }
        if at >= 2 * DISTANCE {
            let at = at - 2 * DISTANCE;
            signal(at).0.people.fetch_name(&all[at]);
        }
    }
    all
}
