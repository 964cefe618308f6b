//! The log of the model, and what its fold tells: the same for whoever folds it.

/// Partitions of the log.
pub(crate) const PARTITIONS: u16 = 2;

/// How many events each entry tells, for each partition.
pub(crate) const LOG: [[u8; PARTITIONS as usize]; 2] = [[1, 2], [2, 1]];

/// A position in the log: all events of the entries before `entry`, and the first `k` of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) entry: u8,
    pub(crate) k: u8,
}

/// An event: the `k`-th of an entry, counted from 1, which is also the position behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Event {
    pub(crate) partition: u16,
    pub(crate) place: Place,
}

impl Place {
    pub(crate) const NOTHING: Self = Self { entry: 0, k: 0 };

    /// The position behind everything that an entry tells for a partition.
    pub(crate) fn behind(entry: u8, partition: u16) -> Self {
        let k = usize::from(entry).checked_sub(1).map_or(0, |at| LOG[at][usize::from(partition)]);
        Self { entry, k }
    }

    /// The position behind the whole log.
    pub(crate) fn end(partition: u16) -> Self {
        Self::behind(LOG.len() as u8, partition)
    }

    /// Whether it lies between two entries: there a fold has a state that can be kept.
    pub(crate) fn is_between_entries(self, partition: u16) -> bool {
        self == Self::behind(self.entry, partition)
    }
}

/// What an undisturbed fold tells of all partitions, in the order in which it is put into the outbox.
pub(crate) fn told() -> impl Iterator<Item = Event> {
    (1..).zip(LOG).flat_map(|(entry, counts)| {
        (0..).zip(counts).flat_map(move |(partition, count)| {
            (1..=count).map(move |k| Event { partition, place: Place { entry, k } })
        })
    })
}

/// The same of one partition.
pub(crate) fn told_of(partition: u16) -> impl Iterator<Item = Place> {
    told().filter(move |event| event.partition == partition).map(|event| event.place)
}
