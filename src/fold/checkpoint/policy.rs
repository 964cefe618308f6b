//! The policy's part of a checkpoint.

use super::super::bytes::{Malformed, Reader, Writer};
use super::CheckpointError;
use super::values::read_state;
use crate::model::policy::{Limits, Ready};
use crate::model::{Confidence, Curve, Policy, Profile, Promise};

pub(super) fn write(out: &mut Writer, policy: &Policy) {
    out.text(&policy.default_profile);
    out.number(policy.profiles.len() as u64);
    for (name, profile) in &policy.profiles {
        out.text(name);
        for number in [
            profile.idle_after,
            profile.away_after,
            profile.stale_after,
            profile.offline_after,
            profile.hidden_after,
            profile.disconnect_grace,
            profile.leave_linger,
            profile.frozen_offline_after,
            profile.tombstone,
        ] {
            out.number(number);
        }
        out.number(u64::from(profile.promise.is_some()));
        if let Some(promise) = &profile.promise {
            for number in [promise.factor_permille.into(), promise.slack, promise.cap, promise.idle_beats.into()] {
                out.number(number);
            }
        }
        write_confidence(out, &profile.confidence);
        out.number(profile.anti_flap);
    }
    out.number(policy.blind_after);
    out.number(policy.reconnect_grace);
    out.texts(&policy.capabilities);
    out.number(u64::from(policy.session_events));
    out.number(policy.ready.states.len() as u64);
    policy.ready.states.iter().for_each(|state| out.number(*state as u64));
    for number in [u64::from(policy.ready.min_confidence), policy.update_every, policy.intent_keep] {
        out.number(number);
    }
    let limits = &policy.limits;
    for number in
        [limits.sessions_per_partition, limits.sessions_per_tenant, limits.sessions_per_user, limits.rejected_events]
    {
        out.number(number.into());
    }
    out.number(limits.gateways.into());
    out.number(limits.batch_age);
}

pub(super) fn read(input: &mut Reader<'_>) -> Result<Policy, CheckpointError> {
    let default_profile = input.text()?.into();
    let profiles = (0..input.number()?).map(|_| read_profile(input)).collect::<Result<_, Malformed>>()?;
    let policy = Policy {
        default_profile,
        profiles,
        blind_after: input.number()?,
        reconnect_grace: input.number()?,
        capabilities: input.texts()?.into(),
        session_events: input.flag()?,
        ready: Ready {
            states: (0..input.number()?).map(|_| read_state(input)).collect::<Result<_, _>>()?,
            min_confidence: input.narrow()?,
        },
        update_every: input.number()?,
        intent_keep: input.number()?,
        limits: Limits {
            sessions_per_partition: input.narrow()?,
            sessions_per_tenant: input.narrow()?,
            sessions_per_user: input.narrow()?,
            rejected_events: input.narrow()?,
            gateways: input.narrow()?,
            batch_age: input.number()?,
        },
    };
    policy.check().map_err(|_| CheckpointError::Impossible)?;
    Ok(policy)
}

fn write_confidence(out: &mut Writer, confidence: &Confidence) {
    let Confidence { model, grace, half_life, bands } = confidence;
    out.maybe_number(match model {
        Curve::HalfLife => None,
        Curve::Hazard { lost_permille } => Some(u64::from(*lost_permille)),
    });
    [*grace, *half_life, bands.len() as u64].into_iter().for_each(|number| out.number(number));
    bands.iter().for_each(|edge| out.number(u64::from(*edge)));
}

fn read_confidence(input: &mut Reader<'_>) -> Result<Confidence, Malformed> {
    let model = match input.maybe_number()? {
        None => Curve::HalfLife,
        Some(lost) => Curve::Hazard { lost_permille: u16::try_from(lost).map_err(|_| Malformed)? },
    };
    let (grace, half_life) = (input.number()?, input.number()?);
    let bands = (0..input.number()?).map(|_| input.narrow()).collect::<Result<_, Malformed>>()?;
    Ok(Confidence { model, grace, half_life, bands })
}

fn read_profile(input: &mut Reader<'_>) -> Result<(Box<str>, Profile), Malformed> {
    let name = input.text()?.into();
    let profile = Profile {
        idle_after: input.number()?,
        away_after: input.number()?,
        stale_after: input.number()?,
        offline_after: input.number()?,
        hidden_after: input.number()?,
        disconnect_grace: input.number()?,
        leave_linger: input.number()?,
        frozen_offline_after: input.number()?,
        tombstone: input.number()?,
        promise: if input.flag()? {
            Some(Promise {
                factor_permille: input.narrow()?,
                slack: input.number()?,
                cap: input.number()?,
                idle_beats: input.narrow()?,
            })
        } else {
            None
        },
        confidence: read_confidence(input)?,
        anti_flap: input.number()?,
    };
    Ok((name, profile))
}
