//! Values that checkpoints are made of, read and checked.

use super::super::bytes::Reader;
use super::super::record::{Person, Shown, Stamp};
use super::CheckpointError;
use crate::model::{Intent, State, Token, Visibility};

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
    let (intent, until, kept) = (read_intent(input.number()?)?, input.maybe_number()?, input.number()?);
    let told = (read_intent(input.number()?)?, input.maybe_number()?);
    let mut ready = Vec::new();
    for _ in 0..input.number()? {
        ready.push((input.text()?.into(), input.number()?));
    }
    Ok(Person { intent, until, kept, told, ready, ready_ordinal: input.narrow()?, ..Person::default() })
}

pub(super) fn read_token<'a>(input: &mut Reader<'a>) -> Result<Token<'a>, CheckpointError> {
    Token::parse(input.text()?).map_err(|_| CheckpointError::Impossible)
}

pub(super) fn read_stamp(input: &mut Reader<'_>) -> Result<Stamp, CheckpointError> {
    let number = input.number()?;
    if number > Stamp::MAX { Err(CheckpointError::Impossible) } else { Ok(number.into()) }
}

pub(super) fn read_state(input: &mut Reader<'_>) -> Result<State, CheckpointError> {
    State::ALL.get(input.narrow::<usize>()?).copied().ok_or(CheckpointError::Impossible)
}

pub(super) fn read_visibility(input: &mut Reader<'_>) -> Result<Visibility, CheckpointError> {
    let all = [Visibility::Visible, Visibility::Hidden, Visibility::Frozen];
    all.get(input.narrow::<usize>()?).copied().ok_or(CheckpointError::Impossible)
}

pub(super) fn read_intent(number: u64) -> Result<Intent, CheckpointError> {
    let all = [Intent::Open, Intent::Busy, Intent::Dnd, Intent::Invisible];
    usize::try_from(number).ok().and_then(|at| all.get(at).copied()).ok_or(CheckpointError::Impossible)
}
