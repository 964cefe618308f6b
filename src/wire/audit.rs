//! Proving that what was told is whole: every check that a reader of PRESENCE_EVENTS can make without the log.

mod breach;
mod position;
mod standing;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::ToldEvent;
use super::name::Named;
use crate::model::{Cause, Millis};

pub use breach::{Breach, Fault};
use position::Id;
pub use position::Position;
pub use standing::Standing;

/// Reads told events in the order in which they are stored, and finds the first one that breaks a promise:
///
/// - ordinals are contiguous from 1, and `from` is the previous `to`, per subject and incarnation; states begin and end
///   with offline, readiness with nothing;
/// - `at_ms` never decreases in an incarnation, and incarnations grow;
/// - positions (generation, seq, k) grow per partition, so that no event is told twice or out of order;
/// - the epoch never decreases per partition: nothing of a former owner is told after the fence of the next one.
///
/// It remembers every subject and nothing else that grows.
#[derive(Debug, Clone, Default)]
pub struct Auditor {
    cut: bool,
    chains: HashMap<Box<str>, Chain>,
    partitions: BTreeMap<u16, Partition>,
    /// Ids of what runtimes told: a few for each change of owner.
    runtime_ids: HashSet<Box<str>>,
    counts: Counts,
}

/// How much was found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Sessions' events.
    pub session_events: u64,
    /// Users' events.
    pub user_events: u64,
    /// Changes of what users are ready for.
    pub ready_events: u64,
    /// Rooms' events.
    pub room_events: u64,
    /// Events of users in rooms.
    pub member_events: u64,
    /// What engines told about themselves.
    pub engine_events: u64,
    /// Refused signals.
    pub rejected_events: u64,
    /// Events of kinds that this version doesn't know: only their epochs were checked.
    pub other_events: u64,
    /// Subjects of sessions, users, their readiness, rooms and users in rooms.
    pub subjects: u64,
    /// Their incarnations.
    pub incarnations: u64,
    /// Partitions.
    pub partitions: u64,
}

/// Where an event was stored: what the stream says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its subject.
    pub subject: &'a str,
    /// Its header `Presence-Epoch`, if it has one that is a number.
    pub epoch: Option<u64>,
    /// Its sequence in the stream.
    pub stream_seq: u64,
}

/// What was told last of a subject.
#[derive(Debug, Clone)]
struct Chain {
    incarnation: u64,
    ordinal: u32,
    to: Standing,
    at_ms: Millis,
    stream_seq: u64,
}

/// What was told last of a partition.
#[derive(Debug, Clone, Copy, Default)]
struct Partition {
    epoch: Option<(u64, u64)>,
    position: Option<(Position, u64)>,
}

/// What an event says about its subject's chain.
struct Link {
    incarnation: u64,
    ordinal: u32,
    from: Standing,
    to: Standing,
    at_ms: Millis,
}

impl Link {
    /// What it leaves for the next one.
    fn told_at(self, place: Place<'_>) -> Chain {
        let Self { incarnation, ordinal, from: _, to, at_ms } = self;
        Chain { incarnation, ordinal, to, at_ms, stream_seq: place.stream_seq }
    }
}

impl Auditor {
    /// An auditor that has seen nothing. `cut`: the stream's limits may have taken its oldest events, so that the first
    /// one of a subject may be any.
    #[must_use]
    pub fn new(cut: bool) -> Self {
        Self { cut, ..Self::default() }
    }

    /// How much was found whole so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { subjects: self.chains.len() as u64, partitions: self.partitions.len() as u64, ..self.counts }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// The first [`Breach`] it shows. The auditor has not taken the event then, and is of no more use.
    pub fn observe(&mut self, told: &ToldEvent, place: Place<'_>) -> Result<(), Breach> {
        match told {
            ToldEvent::Session(of) => {
                self.told_in(of.partition, of.seq, &of.id, place)?;
                let (incarnation, ordinal, at_ms) = (of.incarnation, of.ordinal, of.at_ms);
                self.link(Link { incarnation, ordinal, from: of.from.into(), to: of.to.into(), at_ms }, place)?;
                self.counts.session_events += 1;
            }
            ToldEvent::User(of) => {
                self.told_in(of.partition, of.seq, &of.id, place)?;
                let (incarnation, ordinal, at_ms) = (of.incarnation, of.ordinal, of.at_ms);
                self.link(Link { incarnation, ordinal, from: of.from.into(), to: of.to.into(), at_ms }, place)?;
                self.counts.user_events += 1;
            }
            ToldEvent::Ready(of) => {
                self.told_in(of.partition, of.seq, &of.id, place)?;
                let (incarnation, ordinal, at_ms) = (of.incarnation, of.ordinal, of.at_ms);
                let (from, to) = (Standing::ready(&of.from), Standing::ready(&of.to));
                self.link(Link { incarnation, ordinal, from, to, at_ms }, place)?;
                self.counts.ready_events += 1;
            }
            ToldEvent::Room(of) => {
                self.told_beside(of.partition, of.seq, &of.id, place)?;
                let (incarnation, ordinal, at_ms) = (of.incarnation, of.ordinal, of.at_ms);
                let is_used = <[u64; 4]>::from(of.users) != [0; 4];
                // A room's event has no `from`, but for its cause.
                let (from, to) = (Standing::Room(of.cause != Cause::Joined.name()), Standing::Room(is_used));
                self.link(Link { incarnation, ordinal, from, to, at_ms }, place)?;
                self.counts.room_events += 1;
            }
            ToldEvent::Member(of) => {
                self.told_beside(of.partition, of.seq, &of.id, place)?;
                let (incarnation, ordinal, at_ms) = (of.incarnation, of.ordinal, of.at_ms);
                self.link(Link { incarnation, ordinal, from: of.from.into(), to: of.to.into(), at_ms }, place)?;
                self.counts.member_events += 1;
            }
            ToldEvent::Engine(of) => {
                self.told_in(of.partition, of.seq, &of.id, place)?;
                self.counts.engine_events += 1;
            }
            ToldEvent::Rejected(of) => {
                self.told_in(of.partition, of.seq, &of.id, place)?;
                self.counts.rejected_events += 1;
            }
            ToldEvent::Other { .. } => {
                if place.epoch.is_none() {
                    return Err(Breach { fault: Fault::NoEpoch, before: None, at: place.stream_seq });
                }
                self.counts.other_events += 1;
            }
        }
        Ok(())
    }

    /// Takes a partition's next progress: a fence or a commit.
    ///
    /// # Errors
    /// [`Fault::Epoch`] and [`Fault::NoEpoch`].
    pub fn observe_progress(&mut self, partition: u16, place: Place<'_>) -> Result<(), Breach> {
        let breach = |fault, before| Err(Breach { fault, before, at: place.stream_seq });
        let Some(epoch) = place.epoch else {
            return breach(Fault::NoEpoch, None);
        };
        let last = &mut self.partitions.entry(partition).or_default().epoch;
        match *last {
            Some((before, at)) if epoch < before => breach(Fault::Epoch { found: epoch, before }, Some(at)),
            Some(_) | None => {
                *last = Some((epoch, place.stream_seq));
                Ok(())
            }
        }
    }

    /// Checks the event's place in its partition.
    fn told_in(&mut self, partition: u16, seq: u64, id: &str, place: Place<'_>) -> Result<(), Breach> {
        self.observe_progress(partition, place)?;
        let breach = |fault, before| Err(Breach { fault, before, at: place.stream_seq });
        match Id::parse(id, partition, seq) {
            Some(Id::Fold(position)) => {
                let last = &mut self.partitions.entry(partition).or_default().position;
                match *last {
                    Some((before, at)) if position == before => {
                        return breach(Fault::Duplicate { id: id.to_owned() }, Some(at));
                    }
                    Some((before, at)) if position < before => {
                        return breach(Fault::Position { found: position, before }, Some(at));
                    }
                    Some(_) | None => *last = Some((position, place.stream_seq)),
                }
            }
            Some(Id::Runtime) => {
                if !self.runtime_ids.insert(id.into()) {
                    return breach(Fault::Duplicate { id: id.to_owned() }, None);
                }
            }
            None => {
                return breach(Fault::Id { id: id.to_owned(), partition, seq }, None);
            }
        }
        Ok(())
    }

    /// Checks the place of an event that is told beside the fold; its chain shows whether it stands twice.
    fn told_beside(&mut self, partition: u16, seq: u64, id: &str, place: Place<'_>) -> Result<(), Breach> {
        self.observe_progress(partition, place)?;
        match Id::parse(id, partition, seq) {
            Some(Id::Runtime) => Ok(()),
            Some(Id::Fold(_)) | None => {
                let fault = Fault::Id { id: id.to_owned(), partition, seq };
                Err(Breach { fault, before: None, at: place.stream_seq })
            }
        }
    }

    /// Checks the event's place in its subject's chain.
    fn link(&mut self, link: Link, place: Place<'_>) -> Result<(), Breach> {
        let (fault, before) = match self.chains.entry(place.subject.into()) {
            Entry::Occupied(mut last) => match follows(last.get(), &link) {
                Ok(()) => {
                    self.counts.incarnations += u64::from(last.get().incarnation != link.incarnation);
                    last.insert(link.told_at(place));
                    return Ok(());
                }
                Err(fault) => (fault, Some(last.get().stream_seq)),
            },
            Entry::Vacant(first) => match begins(&link) {
                Err(fault) if !self.cut => (fault, None),
                Ok(()) | Err(_) => {
                    self.counts.incarnations += 1;
                    first.insert(link.told_at(place));
                    return Ok(());
                }
            },
        };
        Err(Breach { fault, before, at: place.stream_seq })
    }
}

/// Whether an incarnation can begin with this.
fn begins(link: &Link) -> Result<(), Fault> {
    if link.ordinal != 1 {
        return Err(Fault::Ordinal { found: link.ordinal, wanted: 1 });
    }
    if !link.from.is_nothing() {
        return Err(Fault::Chain { found: link.from.clone(), wanted: link.from.nothing() });
    }
    Ok(())
}

/// Whether this can follow what was told last.
fn follows(last: &Chain, link: &Link) -> Result<(), Fault> {
    if link.incarnation < last.incarnation {
        return Err(Fault::Incarnation { found: link.incarnation, before: last.incarnation });
    }
    if link.incarnation > last.incarnation {
        if !last.to.is_nothing() {
            let (found, before) = (link.incarnation, last.incarnation);
            return Err(Fault::Alive { found, before, standing: last.to.clone() });
        }
        return begins(link);
    }
    if link.ordinal != last.ordinal + 1 {
        return Err(Fault::Ordinal { found: link.ordinal, wanted: last.ordinal + 1 });
    }
    if link.from != last.to {
        return Err(Fault::Chain { found: link.from.clone(), wanted: last.to.clone() });
    }
    if link.at_ms < last.at_ms {
        return Err(Fault::Time { found: link.at_ms, before: last.at_ms });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
