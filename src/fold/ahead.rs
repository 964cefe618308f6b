//! Looking ahead: the memory of several sessions is fetched at once, instead of one after the other when they are applied.

use std::hint::black_box;

use super::names::Name;
use super::partition::Partition;
use super::population::SessionHash;
use crate::model::Address;

/// So many signals are looked ahead at together: about as many as a processor fetches at once.
pub const AHEAD: usize = 16;

/// Fetches what the next signals, [`AHEAD`] at most, will touch, and returns their hashes for
/// [`Partition::apply_hashed`]. It changes nothing, and what it finds decides nothing.
pub fn look_ahead(signals: &[(&Partition, Address<'_>)]) -> [SessionHash; AHEAD] {
    let mut hashes = [SessionHash::default(); AHEAD];
    for (hash, (partition, address)) in hashes.iter_mut().zip(signals) {
        *hash = partition.people.session_hash(*address);
    }
    // Loops of their own, each short, so that the fetches of all are under way before the first is waited for.
    let mut touched = 0;
    for (hash, (partition, _)) in hashes.iter().zip(signals) {
        touched ^= partition.people.touch_index(*hash);
    }
    for (hash, (partition, _)) in hashes.iter_mut().zip(signals) {
        partition.people.glance(hash);
    }
    let mut names = [Name::default(); AHEAD];
    for ((name, hash), (partition, _)) in names.iter_mut().zip(&hashes).zip(signals) {
        let epoch;
        (*name, epoch) = partition.people.touch(*hash);
        touched ^= epoch;
    }
    for (name, (partition, _)) in names.iter().zip(signals) {
        touched ^= u64::from(partition.people.touch_name(*name));
    }
    black_box(touched);
    hashes
}
