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

    /// Whether a signal lies above what is known of (epoch, seq).
    pub(crate) fn is_next(&self, at: u32, signal: &Signal) -> bool {
        let seq = self.people.hot[at].seq();
        let Some(epoch) = self.people.epoch(at) else {
            return true;
        };
        match (signal.epoch, signal.seq) {
            (None, None) => true,
            (Some(given), None) => given >= epoch,
            (given, Some(given_seq)) => {
                let given = given.unwrap_or(0);
                given > epoch || given == epoch && seq.is_none_or(|seq| given_seq > seq)
            }
        }
    }

    /// Whether this is the third signal in a row of one lower epoch, with rising seq.
    pub(crate) fn was_set_back(&mut self, at: u32, signal: &Signal) -> bool {
        let Some(seq) = signal.seq else { return false };
        let epoch = signal.epoch.unwrap_or(0);
        if self.people.epoch(at).is_none_or(|known| epoch >= known) {
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
        count >= SET_BACK_COUNT
    }

    /// Takes over (epoch, seq) of an accepted signal.
    pub(crate) fn in_sequence(&mut self, at: u32, signal: &Signal) {
        if let Some(row) = self.people.facts_of(at).map(|facts| facts.set_back)
            && row.is_some()
        {
            self.people.facts_mut(at).set_back = None;
        }
        let known = self.people.epoch(at);
        match (signal.epoch, signal.seq) {
            (None, None) => {}
            (Some(epoch), None) => {
                if known != Some(epoch) {
                    self.people.cold[at].epoch = epoch;
                    self.people.hot[at].set_seq(None);
                }
            }
            (epoch, Some(seq)) => {
                self.people.cold[at].epoch = epoch.unwrap_or(0);
                self.people.hot[at].set_seq(Some(seq));
            }
        }
    }

    /// Whether a heartbeat brings a remembered session back.
    pub(crate) fn revives(&self, at: u32, signal: &Signal) -> bool {
        let known = (self.people.epoch(at), self.people.hot[at].seq());
        if (signal.epoch, signal.seq) == (None, None) || known == (None, None) {
            return true;
        }
        let left = self.people.facts_of(at).is_some_and(|facts| facts.leaving.is_some());
        if left { signal.epoch.unwrap_or(0) > known.0.unwrap_or(0) } else { self.is_next(at, signal) }
    }
}
