//! Where an event stands in its partition, and the ids that say so.

/// An event's position in its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Grows each time the log was lost.
    pub generation: u32,
    /// The log entry that caused it.
    pub seq: u64,
    /// Its place among that entry's events.
    pub k: u32,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.generation, self.seq, self.k)
    }
}

/// The two forms of ids.
pub(super) enum Id {
    /// `<partition>-<generation>-<seq>-<k>`
    Fold(Position),
    /// `<partition>-e<epoch>-<n>`
    Runtime,
}

impl Id {
    /// The id, if it belongs to this partition and log sequence.
    pub(super) fn parse(id: &str, partition: u16, seq: u64) -> Option<Self> {
        let mut parts = id.split('-');
        if parts.next()?.parse() != Ok(partition) {
            return None;
        }
        let second = parts.next()?;
        let parsed = if let Some(epoch) = second.strip_prefix('e') {
            let _: u64 = epoch.parse().ok()?;
            let _: u64 = parts.next()?.parse().ok()?;
            Self::Runtime
        } else {
            let generation = second.parse().ok()?;
            if parts.next()?.parse() != Ok(seq) {
                return None;
            }
            Self::Fold(Position { generation, seq, k: parts.next()?.parse().ok()? })
        };
        parts.next().is_none().then_some(parsed)
    }
}
