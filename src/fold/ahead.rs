//! Looking ahead: the memory of several sessions is fetched at once, instead of one after the other when they are applied.

use super::partition::Partition;
use super::population::Population;
use super::sought::Sought;
use crate::model::Address;

/// So many signals are looked ahead at together.
pub const AHEAD: usize = 32;

/// What the next signals look for. It is kept from one look to the next, so that its memory is.
#[derive(Debug, Clone, Default)]
pub struct Ahead([Sought; AHEAD]);

impl Ahead {
    /// Fetches what the next `count` signals, [`AHEAD`] at most, will touch, and returns what they look for, for
    /// [`Partition::apply_sought`]. `signal` tells who each of them is from, and which partition it is for; `None` where there is
    /// none. No partition is changed, and what is found decides nothing.
    pub fn look<'p, 's>(
        &mut self,
        count: usize,
        signal: impl Fn(usize) -> Option<(&'p Partition, Address<'s>)>,
    ) -> &[Sought] {
        self.look_among(count, |at| signal(at).map(|(partition, address)| (&partition.people, address)))
    }

    /// A session is found in three steps, each of which needs what the one before has fetched: its line of the index, its hot
    /// part, its names. All signals take one before any takes the next, so that nobody waits.
    pub(crate) fn look_among<'p, 's>(
        &mut self,
        count: usize,
        signal: impl Fn(usize) -> Option<(&'p Population, Address<'s>)>,
    ) -> &[Sought] {
        let all = &mut self.0[..count.min(AHEAD)];
        let mut people = [None; AHEAD];
        for (at, (sought, people)) in all.iter_mut().zip(&mut people).enumerate() {
            if let Some((population, address)) = signal(at) {
                *people = Some(population);
                *sought = population.sought(address);
            } else {
                *sought = Sought::default();
            }
        }
        for (sought, people) in all.iter_mut().zip(&people) {
            if let Some(people) = people {
                people.glance(sought);
            }
        }
        for (sought, people) in all.iter().zip(&people) {
            if let Some(people) = people {
                people.fetch_name(sought);
            }
        }
        all
    }
}
