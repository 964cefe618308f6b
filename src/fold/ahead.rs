//! Looking ahead: the memory of several sessions is fetched at once, instead of one after the other when they are applied.

use std::hint::black_box;

use super::names::Name;
use super::partition::Partition;
use super::population::Sought;
use crate::model::Address;

/// So many signals are looked ahead at together: about as many as a processor fetches at once.
pub const AHEAD: usize = 16;

/// Fetches what the next signals, [`AHEAD`] at most, will touch, and returns what they look for, for
/// [`Partition::apply_sought`]. It changes nothing, and what it finds decides nothing.
pub fn look_ahead(signals: &[(&Partition, Address<'_>)]) -> [Sought; AHEAD] {
    let mut all = [Sought::default(); AHEAD];
    for (sought, (partition, address)) in all.iter_mut().zip(signals) {
        *sought = partition.people.sought(*address);
    }
    // Loops of their own, each short, so that the fetches of all are under way before the first is waited for.
    let mut touched = 0;
    for (sought, (partition, _)) in all.iter().zip(signals) {
        touched ^= partition.people.touch_index(sought);
    }
    for (sought, (partition, _)) in all.iter_mut().zip(signals) {
        partition.people.glance(sought);
    }
    let mut names = [Name::default(); AHEAD];
    for ((name, sought), (partition, _)) in names.iter_mut().zip(&all).zip(signals) {
        *name = partition.people.touch(sought);
    }
    for (name, (partition, _)) in names.iter().zip(signals) {
        touched ^= partition.people.touch_name(*name);
    }
    black_box(touched);
    all
}
