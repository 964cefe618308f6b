//! Life signs: what every heartbeat changes of a session, some ten bytes of each in every checkpoint. They stand in the order of
//! the sessions' numbers.

use super::super::bytes::{Reader, Writer};
use super::super::partition::Partition;
use super::super::record::TIME_MAX;
use super::CheckpointError;
use super::values::{STATES, VISIBILITIES};
use crate::model::signal::SEQ_MAX;

/// What those of a session take, most of the time.
pub(super) const BYTES: usize = 12;

// Of most sessions none of these is set, so that they take one byte.
/// Its number is not the one after the last.
const SKIPS: u64 = 1;
/// Its last input is another instant than its last life sign.
const INPUT: u64 = 1 << 1;
const NO_SEQ: u64 = 1 << 2;
const UNSURE: u64 = 1 << 3;
const REPORTED: u64 = 1 << 4;
const STATE: u32 = 5;
const VISIBILITY: u32 = 8;
const NAMED: u64 = 1 << 10;
const VOICE: u64 = 1 << 11;
const PROFILE: u32 = 12;

impl Partition {
    /// Those of sessions, each by its number, its place and whether it is sure.
    pub(super) fn write_signs(&self, out: &mut Writer, sessions: impl Iterator<Item = (u32, u32, bool)>) {
        let mut next = 0;
        for (number, at, is_sure) in sessions {
            let hot = &self.people.hot[at];
            let (seen, input, seq) = (hot.seen(), hot.input(), hot.seq());
            let flags = [
                (number != next, SKIPS),
                (input != seen, INPUT),
                (seq.is_none(), NO_SEQ),
                (!is_sure, UNSURE),
                (hot.reported(), REPORTED),
                (hot.named(), NAMED),
                (hot.is_voice(), VOICE),
            ];
            let flags = flags.into_iter().fold(0, |all, (is_set, flag)| if is_set { all | flag } else { all });
            let (state, visibility) = (hot.state() as u64, hot.visibility() as u64);
            out.number(flags | state << STATE | visibility << VISIBILITY | (hot.profile() as u64) << PROFILE);
            if number != next {
                out.number(u64::from(number - next));
            }
            out.difference(self.time.w, seen);
            if input != seen {
                out.difference(seen, input);
            }
            if let Some(seq) = seq {
                out.number(seq);
            }
            next = number + 1;
        }
    }

    /// Reads those of all sessions, which are in the order of their numbers, each with its place.
    pub(super) fn read_signs(
        &mut self,
        input: &mut Reader<'_>,
        sessions: &[(u32, u32)],
    ) -> Result<(), CheckpointError> {
        let mut next = 0;
        for (number, at) in sessions {
            let flags = input.number()?;
            let skipped = if flags & SKIPS != 0 { input.narrow()? } else { 0_u32 };
            if u64::from(next) + u64::from(skipped) != u64::from(*number) {
                return Err(CheckpointError::Impossible);
            }
            let seen = input.different(self.time.w)?;
            let active = if flags & INPUT != 0 { input.different(seen)? } else { seen };
            let seq = if flags & NO_SEQ != 0 { None } else { Some(input.number()?) };
            let (state, visibility) = (flags >> STATE & 7, flags >> VISIBILITY & 3);
            let profile = usize::try_from(flags >> PROFILE).unwrap_or(usize::MAX);
            let (Some(state), Some(visibility)) = (STATES.get(state as usize), VISIBILITIES.get(visibility as usize))
            else {
                return Err(CheckpointError::Impossible);
            };
            if seen > TIME_MAX
                || active > TIME_MAX
                || seq.is_some_and(|seq| seq > SEQ_MAX)
                || profile >= self.policy.profiles.len()
            {
                return Err(CheckpointError::Impossible);
            }
            let hot = &mut self.people.hot[*at];
            hot.set_seen(seen);
            hot.set_input(active);
            hot.set_seq(seq);
            hot.set_profile(profile);
            hot.set_state(*state);
            hot.set_visibility(*visibility);
            hot.set_reported(flags & REPORTED != 0);
            hot.set_named(flags & NAMED != 0);
            hot.set_voice(flags & VOICE != 0);
            hot.set_sure(flags & UNSURE == 0);
            next = number.checked_add(1).ok_or(CheckpointError::Impossible)?;
        }
        Ok(())
    }
}
