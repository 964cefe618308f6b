//! Values that checkpoints are made of, read and checked.

use super::super::bytes::Reader;
use super::super::record::{Person, Shown, Stamp, TIME_MAX};
use super::CheckpointError;
use crate::model::{Intent, Millis, State, Token, Visibility};

/// By their numbers.
pub(super) const STATES: [State; 5] = State::ALL;
pub(super) const VISIBILITIES: [Visibility; 3] = [Visibility::Visible, Visibility::Hidden, Visibility::Frozen];

pub(super) fn read_shown(input: &mut Reader<'_>) -> Result<Shown, CheckpointError> {
    Ok(Shown {
        closed: input.flag()?,
        visibility: read_visibility(input)?,
        can: input.texts()?,
        rooms: input.texts()?,
        meta: input.maybe_text()?,
    })
}

pub(super) fn read_person(input: &mut Reader<'_>) -> Result<Person, CheckpointError> {
    let (intent, until, kept) = (read_intent(input.number()?)?, input.maybe_number()?, read_time(input)?);
    let told = (read_intent(input.number()?)?, input.maybe_number()?);
    if until.into_iter().chain(told.1).any(|until| until > 2 * TIME_MAX) {
        return Err(CheckpointError::Impossible);
    }
    let mut ready = Vec::new();
    for _ in 0..input.number()? {
        ready.push((input.text()?.into(), input.number()?));
    }
    Ok(Person { intent, until, kept, told, ready, ready_ordinal: input.narrow()?, ..Person::default() })
}

/// An observed instant.
pub(super) fn read_time(input: &mut Reader<'_>) -> Result<Millis, CheckpointError> {
    let time = input.number()?;
    if time > TIME_MAX { Err(CheckpointError::Impossible) } else { Ok(time) }
}

pub(super) fn read_token<'a>(input: &mut Reader<'a>) -> Result<Token<'a>, CheckpointError> {
    Token::parse(input.text()?).map_err(|_| CheckpointError::Impossible)
}

pub(super) fn read_stamp(input: &mut Reader<'_>) -> Result<Stamp, CheckpointError> {
    let number = input.number()?;
    if number > Stamp::MAX { Err(CheckpointError::Impossible) } else { Ok(number.into()) }
}

pub(super) fn read_state(input: &mut Reader<'_>) -> Result<State, CheckpointError> {
    STATES.get(input.narrow::<usize>()?).copied().ok_or(CheckpointError::Impossible)
}

pub(super) fn read_visibility(input: &mut Reader<'_>) -> Result<Visibility, CheckpointError> {
    VISIBILITIES.get(input.narrow::<usize>()?).copied().ok_or(CheckpointError::Impossible)
}

pub(super) fn read_intent(number: u64) -> Result<Intent, CheckpointError> {
    let all = [Intent::Open, Intent::Busy, Intent::Dnd, Intent::Invisible];
    usize::try_from(number).ok().and_then(|at| all.get(at).copied()).ok_or(CheckpointError::Impossible)
}
