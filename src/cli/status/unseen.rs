//! What engines told of what they did not see, one interval for all partitions that told the same.

use std::collections::BTreeSet;

use serde::Serialize;

/// An interval of the log's time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Unseen {
    /// What kind of event told it: `blind`, `clock`, `log_lost`, …
    pub(super) what: String,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    /// In how many partitions.
    pub(super) partitions: usize,
}

/// Who owns a partition and which policy is in force is no blindness.
const SEEN: [&str; 2] = ["owner", "policy"];

/// Events (what, partition, from, to) as intervals: those of one kind that overlap are one. Oldest first.
pub(super) fn merged(mut told: Vec<(String, u16, u64, u64)>) -> Vec<Unseen> {
    told.retain(|(what, ..)| !SEEN.contains(&what.as_str()));
    // A clock that was set back goes from later to earlier.
    for (.., from, to) in &mut told {
        (*from, *to) = ((*from).min(*to), (*from).max(*to));
    }
    told.sort_by(|a, b| (&a.0, a.2).cmp(&(&b.0, b.2)));
    let mut merged = Vec::<(Unseen, BTreeSet<u16>)>::new();
    for (what, partition, from_ms, to_ms) in told {
        match merged.last_mut() {
            Some((unseen, partitions)) if unseen.what == what && from_ms <= unseen.to_ms => {
                unseen.to_ms = unseen.to_ms.max(to_ms);
                partitions.insert(partition);
            }
            _ => merged.push((Unseen { what, from_ms, to_ms, partitions: 0 }, BTreeSet::from([partition]))),
        }
    }
    let mut merged: Vec<_> =
        merged.into_iter().map(|(unseen, partitions)| Unseen { partitions: partitions.len(), ..unseen }).collect();
    merged.sort_by(|a, b| (a.from_ms, &a.what).cmp(&(b.from_ms, &b.what)));
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: &[(&str, u16, u64, u64)]) -> Vec<(String, u64, u64, usize)> {
        let events = events.iter().map(|(what, partition, from, to)| ((*what).to_owned(), *partition, *from, *to));
        let merged = merged(events.collect());
        merged.into_iter().map(|of| (of.what, of.from_ms, of.to_ms, of.partitions)).collect()
    }

    #[test]
    fn one_gap_of_many_partitions_is_one_interval() {
        let gap = [("blind", 0, 1_000, 9_000), ("blind", 1, 1_200, 9_000), ("blind", 2, 900, 9_100)];
        assert_eq!(told(&gap), [("blind".to_owned(), 900, 9_100, 3)]);
    }

    #[test]
    fn other_gaps_and_other_kinds_stand_apart_in_their_order() {
        let events = [
            ("blind", 0, 20_000, 25_000),
            ("log_lost", 0, 3_000, 3_000),
            ("blind", 0, 1_000, 9_000),
            ("owner", 0, 1_000, 1_000),
            ("policy", 0, 1_000, 1_000),
        ];
        let expected = [("blind", 1_000, 9_000), ("log_lost", 3_000, 3_000), ("blind", 20_000, 25_000)];
        assert_eq!(told(&events), expected.map(|(what, from, to)| (what.to_owned(), from, to, 1)));
    }

    #[test]
    fn a_clock_that_was_set_back_is_an_interval_too() {
        assert_eq!(told(&[("clock", 4, 9_000, 2_000)]), [("clock".to_owned(), 2_000, 9_000, 1)]);
    }
}
