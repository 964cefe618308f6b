//! The gateways' part of a checkpoint.

use super::super::bytes::{Reader, Writer};
use super::super::gateway::{Excuse, Gateway};
use super::super::partition::Partition;
use super::super::record::TIME_MAX;
use super::CheckpointError;
use super::values::read_token;

impl Partition {
    pub(super) fn write_gateways(&self, out: &mut Writer) {
        out.number(self.gateways.next.into());
        out.number(self.gateways.known.len() as u64);
        for (number, Gateway { tenant, name, latest, from, silence, lasting, is_told }) in &self.gateways.known {
            out.number((*number).into());
            out.text(tenant);
            out.text(name);
            [*latest, *from, *silence, *lasting, u64::from(*is_told)].into_iter().for_each(|number| out.number(number));
        }
    }

    pub(super) fn read_gateways(&mut self, input: &mut Reader<'_>) -> Result<(), CheckpointError> {
        self.gateways.next = input.narrow()?;
        if self.gateways.next > Excuse::GATEWAYS_MAX {
            return Err(CheckpointError::Impossible);
        }
        for _ in 0..input.number()? {
            let (number, gateway) = read_gateway(input)?;
            if number >= self.gateways.next {
                return Err(CheckpointError::Impossible);
            }
            self.gateways.insert(number, gateway);
        }
        Ok(())
    }
}

/// Passes over all of it.
pub(super) fn skip(input: &mut Reader<'_>) -> Result<(), CheckpointError> {
    input.number()?;
    (0..input.number()?).try_for_each(|_| read_gateway(input).map(drop))
}

fn read_gateway(input: &mut Reader<'_>) -> Result<(u32, Gateway), CheckpointError> {
    let number = input.narrow()?;
    let (tenant, name) = (read_token(input)?.as_str().into(), read_token(input)?.as_str().into());
    let [latest, from, silence, lasting] = [input.number()?, input.number()?, input.number()?, input.number()?];
    if [latest, from, silence, lasting].iter().any(|time| *time > 2 * TIME_MAX) {
        return Err(CheckpointError::Impossible);
    }
    Ok((number, Gateway { tenant, name, latest, from, silence, lasting, is_told: input.flag()? }))
}
