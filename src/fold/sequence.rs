//! Which signals count: their connection, their epoch and their counter against what is known of the session.

use super::partition::Partition;
use super::record::SetBack;
use crate::model::{Kind, Signal};

/// So many signals of a lower epoch in a row are a device whose clock was set back.
const SET_BACK_COUNT: u8 = 3;

impl Partition {
    /// A late disconnect or leave of a connection that isn't the session's latest.
    pub(crate) fn is_of_another_connection(&self, at: u32, signal: &Signal) -> bool {
        if !matches!(signal.kind, Kind::Disconnect | Kind::Leave) {
            return false;
        }
        let latest = self.people.facts_of(at).and_then(|facts| facts.conn.as_ref());
        latest.zip(signal.conn.as_ref()).is_some_and(|(latest, given)| latest != given)
    }

    /// Whether this is the third signal in a row of one lower epoch, with rising seq.
    pub(crate) fn was_set_back(&mut self, at: u32, known: Sequence, signal: &Signal) -> bool {
        let Some(seq) = signal.seq else { return false };
        let epoch = signal.epoch.unwrap_or(0);
        if known.epoch.is_none_or(|known| epoch >= known) {
            return false;
        }
        let row = &mut self.people.facts_mut(at).set_back;
        let count = match row {
            // A duplicate of one in the row, or one that comes late, changes nothing.
            Some(last) if last.epoch == epoch && seq <= last.seq => return false,
            Some(last) if last.epoch == epoch => last.count + 1,
            _ => 1,
        };
        *row = Some(SetBack { epoch, seq, count });
        self.people.hot[at].set_plain(false);
        count >= SET_BACK_COUNT
    }

    /// Takes over (epoch, seq) of an accepted signal.
    #[inline]
    pub(crate) fn in_sequence(&mut self, at: u32, known: Sequence, signal: &Signal) {
        if let Some(row) = self.people.facts_of(at).map(|facts| facts.set_back)
            && row.is_some()
        {
            self.people.facts_mut(at).set_back = None;
        }
        let next = known.then(signal);
        if next.epoch != known.epoch {
            self.people.set_epoch(at, next.epoch);
        }
        if next.seq != known.seq {
            self.people.hot[at].set_seq(next.seq);
        }
    }

    /// Whether a heartbeat brings a remembered session back.
    pub(crate) fn revives(&self, at: u32, signal: &Signal) -> bool {
        let known = self.people.sequence(at);
        if (signal.epoch, signal.seq) == (None, None) || known == Sequence::default() {
            return true;
        }
        let left = self.people.facts_of(at).is_some_and(|facts| facts.leaving.is_some());
        if left { signal.epoch.unwrap_or(0) > known.epoch.unwrap_or(0) } else { known.precedes(signal) }
    }
}

/// What is known of a session's (epoch, seq).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sequence {
    pub(crate) epoch: Option<u64>,
    pub(crate) seq: Option<u64>,
}

impl Sequence {
    /// Whether a signal lies above it.
    #[inline]
    pub(crate) fn precedes(self, signal: &Signal) -> bool {
        let Some(epoch) = self.epoch else {
            return true;
        };
        match (signal.epoch, signal.seq) {
            (None, None) => true,
            (Some(given), None) => given >= epoch,
            (given, Some(given_seq)) => {
                let given = given.unwrap_or(0);
                given > epoch || given == epoch && self.seq.is_none_or(|seq| given_seq > seq)
            }
        }
    }

    /// What is known behind an accepted signal.
    #[inline]
    fn then(self, signal: &Signal) -> Self {
        match (signal.epoch, signal.seq) {
            (None, None) => self,
            (Some(epoch), None) if self.epoch == Some(epoch) => self,
            (Some(epoch), None) => Self { epoch: Some(epoch), seq: None },
            (epoch, Some(seq)) => Self { epoch: Some(epoch.unwrap_or(0)), seq: Some(seq) },
        }
    }
}
