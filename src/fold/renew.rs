//! The way of nearly all heartbeats: a plain one, of a session of which all that it changes is when it was last seen and its
//! last input, while nothing falls due.

use super::act::Held;
use super::gateway::Excuse;
use super::partition::Partition;
use super::record::NONE;
use super::sought::Sought;
use crate::model::{Address, Beat, Millis};

impl Partition {
    /// By how much observed time moves on to an entry at `ts`, if that is all that happens by it.
    #[inline]
    pub(crate) fn calm_by(&self, ts: Millis) -> Option<Millis> {
        let passed = ts.checked_sub(self.time.hi)?;
        (ts < self.calm_until && passed <= self.blind_after).then_some(passed)
    }

    /// Takes a beat as of the observed instant `w` if that is all that it changes; whether it was. Any other goes the long way, by
    /// [`Partition::take`], which does the same with this one. Asks that nothing is due by `w`.
    // Whoever calls it has what it takes in registers; a call would write it to memory.
    #[inline(always)]
    pub(crate) fn renew(&mut self, from: (Address<'_>, &Sought), beat: Beat, held: Held, w: Millis) -> bool {
        let Some((hot, epoch, excuse)) = self.people.seen(from.0, from.1) else { return false };
        let now = w.saturating_sub(held.age);
        let counts = match (beat.epoch, beat.seq) {
            (None, None) => true,
            (Some(given), Some(seq)) => given == epoch && hot.seq().is_none_or(|known| seq > known),
            (Some(_) | None, Some(_) | None) => false,
        };
        if !hot.plain() || now < hot.seen() || !counts {
            return false;
        }
        if excuse != Excuse::pack(held.excuse) {
            return self.renew_behind_silence(from.1, beat, held, w);
        }
        if let Some(seq) = beat.seq {
            hot.set_seq(Some(seq));
        }
        hot.renew(now);
        true
    }

    /// As [`Partition::renew`], where it counts but is excused otherwise than before: so is everybody's first beat behind a silence
    /// of their gateway. What was excused would move instants that the beat sets anew, if no facts have any.
    #[cold]
    fn renew_behind_silence(&mut self, sought: &Sought, beat: Beat, held: Held, w: Millis) -> bool {
        let (at, now) = (sought.place(), w.saturating_sub(held.age));
        let by = self.excused(at, w);
        let hot = &mut self.people.hot[at];
        if hot.facts != NONE || now < hot.seen() + by {
            return false;
        }
        if let Some(seq) = beat.seq {
            hot.set_seq(Some(seq));
        }
        hot.renew(now);
        self.people.set_excuse(at, held.excuse);
        true
    }
}
