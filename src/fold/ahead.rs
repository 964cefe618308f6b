//! Looking ahead: the memory of several sessions is fetched at once, instead of one after the other when they are applied.

use super::partition::Partition;
use super::population::Sought;
use crate::model::Address;

/// So many signals are looked ahead at together.
pub const AHEAD: usize = 32;

/// What one step asks for has come when so many others have asked for theirs.
const DISTANCE: usize = 8;

/// Fetches what the next signals, [`AHEAD`] at most, will touch, and returns what they look for, for
/// [`Partition::apply_sought`]. It changes nothing, and what it finds decides nothing.
///
/// A session is found in three steps, each of which needs what the one before has fetched: its line of the index, its hot
/// part, its names. Each signal is a step behind the one before it, so that nobody waits.
pub fn look_ahead(signals: &[(&Partition, Address<'_>)]) -> [Sought; AHEAD] {
    let mut all = [Sought::default(); AHEAD];
    for at in 0..signals.len().min(AHEAD) + 2 * DISTANCE {
        if let Some((partition, address)) = signals.get(at)
            && let Some(sought) = all.get_mut(at)
        {
            partition.people.seek(*address, sought);
        }
        if let Some(at) = at.checked_sub(DISTANCE)
            && let Some(((partition, _), sought)) = signals.get(at).zip(all.get_mut(at))
        {
            partition.people.glance(sought);
        }
        if let Some(at) = at.checked_sub(2 * DISTANCE)
            && let Some(((partition, _), sought)) = signals.get(at).zip(all.get(at))
        {
            partition.people.fetch_name(sought);
        }
    }
    all
}
