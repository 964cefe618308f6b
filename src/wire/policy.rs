//! A policy as an entry of the log, and the hash that names it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CONTRACT_VERSION, Encoding, ReadError};
use crate::model::policy::Limits;
use crate::model::{Confidence, Curve, Millis, Policy, Profile, Promise, Ready, State};

/// Largest payload of a policy in bytes: 64 profiles take some 25 KiB.
pub const POLICY_BYTES_MAX: usize = 256 * 1024;

/// What an engine publishes to `presence.v1.log.all.policy`. Unknown fields are refused, since an engine that passed over
/// one would tell other events.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Policy")]
pub(crate) struct PolicyText {
    /// Contract version.
    v: u8,
    /// The profile of sessions that name none.
    default_profile: Box<str>,
    /// Every profile by its name.
    profiles: BTreeMap<Box<str>, ProfileText>,
    /// A gap in the log above this is time that nobody watched.
    blind_after_ms: Millis,
    /// The mercy after such a gap.
    reconnect_grace_ms: Millis,
    /// The capabilities that sessions may name.
    capabilities: Vec<Box<str>>,
    /// Whether sessions' transitions are told, beside the users'.
    session_events: bool,
    /// When a session makes its user ready.
    ready: ReadyText,
    /// What changes beside states is told so long after a subject's previous event at the earliest.
    update_every_ms: Millis,
    /// An intent is kept for so long when no session of its user is there.
    intent_keep_ms: Millis,
    /// What a partition holds at the most.
    limits: LimitsText,
}

/// What holds for the sessions of one kind of client.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Profile")]
struct ProfileText {
    /// Quiet for so long is idle.
    idle_after_ms: Millis,
    /// Quiet for so long is away.
    away_after_ms: Millis,
    /// Silent for so long is stale.
    stale_after_ms: Millis,
    /// Silent for so long is offline.
    offline_after_ms: Millis,
    /// Out of sight for so long is away.
    hidden_after_ms: Millis,
    /// Stale at the latest so long after a disconnect.
    disconnect_grace_ms: Millis,
    /// A session that left is offline so long after it.
    leave_linger_ms: Millis,
    /// A frozen session is offline so long after it last said so.
    frozen_offline_after_ms: Millis,
    /// A session that went offline is remembered for so long.
    tombstone_ms: Millis,
    /// What a declared interval between beats does; `null`: nothing.
    promise: Option<PromiseText>,
    /// How confidence falls with silence.
    confidence: ConfidenceText,
    /// A session that is active again within so long of leaving active is given longer before it is idle; 0: never.
    anti_flap_ms: Millis,
}

/// How confidence falls with silence.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ConfidencePolicy")]
struct ConfidenceText {
    /// `half_life` or `hazard`.
    #[schemars(schema_with = "super::schema::curve")]
    model: CurveName,
    /// `half_life`: silence up to this takes nothing away. `hazard`: the interval in which a beat is due.
    grace_ms: Millis,
    /// `half_life`: beyond the grace it halves in this time. `hazard`: of those who are there, half depart in this time.
    half_life_ms: Millis,
    /// `hazard`: the probability, in thousandths, that a beat doesn't come although the session is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost_permille: Option<u16>,
    /// The edges whose crossing is told, in thousandths, from high to low.
    bands_permille: Vec<u16>,
}

/// The curves.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CurveName {
    /// It halves.
    HalfLife,
    /// By Bayes' rule.
    Hazard,
}

/// When a session makes its user ready for what it can do.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ReadyPolicy")]
struct ReadyText {
    /// In these states.
    #[schemars(schema_with = "super::schema::names_list::<State>")]
    states: Vec<State>,
    /// With this confidence at least, in thousandths.
    min_confidence_permille: u16,
}

/// How a declared `every_ms` stretches the thresholds: stale after factor × `every_ms` + slack.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Promise")]
struct PromiseText {
    /// The factor in thousandths.
    factor_permille: u32,
    /// The slack.
    slack_ms: Millis,
    /// No promise counts for more than this.
    cap_ms: Millis,
    /// Idle after so many beats at least, until the session reports input.
    idle_beats: u32,
}

/// What a partition holds at the most.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Limits")]
struct LimitsText {
    /// Sessions of one partition, remembered ones included.
    sessions_per_partition: u32,
    /// Sessions of one tenant within one partition, remembered ones included.
    sessions_per_tenant: u32,
    /// Sessions of one user, remembered ones included.
    sessions_per_user: u32,
    /// `rejected` events per partition and second of the log.
    rejected_events: u32,
    /// Gateways that one partition knows.
    gateways: u32,
    /// The longest age of a signal in a gateway's batch that is believed.
    batch_age_ms: Millis,
}

/// The payload of a policy entry: JSON with sorted profiles, so equal policies are equal bytes.
#[must_use]
pub fn encode(policy: &Policy) -> Vec<u8> {
    Encoding::Json.write(&PolicyText::from(policy))
}

/// Reads and checks the payload of a policy entry.
///
/// # Errors
/// A [`ReadError`] that says what is wrong with it; then the policy in force stays.
pub fn decode(payload: &[u8]) -> Result<Policy, ReadError> {
    if payload.len() > POLICY_BYTES_MAX {
        return Err(ReadError::TooLarge { size: payload.len(), limit: POLICY_BYTES_MAX });
    }
    /// Read first, so that a policy of another version is told as such.
    #[derive(Deserialize)]
    struct Versioned {
        v: u64,
    }
    let Versioned { v: found } = serde_json::from_slice(payload).map_err(ReadError::Json)?;
    if found != u64::from(CONTRACT_VERSION) {
        return Err(ReadError::Version { found, known: CONTRACT_VERSION });
    }
    let text: PolicyText = serde_json::from_slice(payload).map_err(ReadError::Json)?;
    let policy = Policy::from(text);
    policy.check()?;
    Ok(policy)
}

/// What names a policy: FNV-1a (64 bits, offset 0xcbf29ce484222325, prime 0x100000001b3) over the bytes of [`encode`], as
/// sixteen lower-case hexadecimal digits.
///
/// It tells policies of one log apart, which the engine itself has written; it is no protection against forgery.
///
/// ```
/// use presence_engine::{model::Policy, wire::policy::hash};
/// assert_eq!(hash(&Policy::default()), hash(&Policy::default()));
/// assert_ne!(hash(&Policy::default()), hash(&Policy { session_events: false, ..Policy::default() }));
/// ```
#[must_use]
pub fn hash(policy: &Policy) -> String {
    format!("{:016x}", fnv1a(&encode(policy)))
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl From<&Policy> for PolicyText {
    fn from(policy: &Policy) -> Self {
        let profiles = policy.profiles.iter().map(|(name, profile)| (name.clone(), profile.into()));
        Self {
            v: CONTRACT_VERSION,
            default_profile: policy.default_profile.clone(),
            profiles: profiles.collect(),
            blind_after_ms: policy.blind_after,
            reconnect_grace_ms: policy.reconnect_grace,
            capabilities: policy.capabilities.clone(),
            session_events: policy.session_events,
            ready: ReadyText {
                states: policy.ready.states.clone(),
                min_confidence_permille: policy.ready.min_confidence,
            },
            update_every_ms: policy.update_every,
            intent_keep_ms: policy.intent_keep,
            limits: (&policy.limits).into(),
        }
    }
}

impl From<PolicyText> for Policy {
    fn from(text: PolicyText) -> Self {
        Self {
            default_profile: text.default_profile,
            profiles: text.profiles.into_iter().map(|(name, profile)| (name, profile.into())).collect(),
            blind_after: text.blind_after_ms,
            reconnect_grace: text.reconnect_grace_ms,
            capabilities: text.capabilities,
            session_events: text.session_events,
            ready: Ready { states: text.ready.states, min_confidence: text.ready.min_confidence_permille },
            update_every: text.update_every_ms,
            intent_keep: text.intent_keep_ms,
            limits: text.limits.into(),
        }
    }
}

impl From<&Profile> for ProfileText {
    fn from(profile: &Profile) -> Self {
        Self {
            idle_after_ms: profile.idle_after,
            away_after_ms: profile.away_after,
            stale_after_ms: profile.stale_after,
            offline_after_ms: profile.offline_after,
            hidden_after_ms: profile.hidden_after,
            disconnect_grace_ms: profile.disconnect_grace,
            leave_linger_ms: profile.leave_linger,
            frozen_offline_after_ms: profile.frozen_offline_after,
            tombstone_ms: profile.tombstone,
            promise: profile.promise.as_ref().map(Into::into),
            confidence: (&profile.confidence).into(),
            anti_flap_ms: profile.anti_flap,
        }
    }
}

impl From<ProfileText> for Profile {
    fn from(text: ProfileText) -> Self {
        Self {
            idle_after: text.idle_after_ms,
            away_after: text.away_after_ms,
            stale_after: text.stale_after_ms,
            offline_after: text.offline_after_ms,
            hidden_after: text.hidden_after_ms,
            disconnect_grace: text.disconnect_grace_ms,
            leave_linger: text.leave_linger_ms,
            frozen_offline_after: text.frozen_offline_after_ms,
            tombstone: text.tombstone_ms,
            promise: text.promise.map(Into::into),
            confidence: text.confidence.into(),
            anti_flap: text.anti_flap_ms,
        }
    }
}

impl From<&Confidence> for ConfidenceText {
    fn from(confidence: &Confidence) -> Self {
        let (model, lost_permille) = match confidence.model {
            Curve::HalfLife => (CurveName::HalfLife, None),
            Curve::Hazard { lost_permille } => (CurveName::Hazard, Some(lost_permille)),
        };
        Self {
            model,
            grace_ms: confidence.grace,
            half_life_ms: confidence.half_life,
            lost_permille,
            bands_permille: confidence.bands.clone(),
        }
    }
}

impl From<ConfidenceText> for Confidence {
    fn from(text: ConfidenceText) -> Self {
        let model = match text.model {
            CurveName::HalfLife => Curve::HalfLife,
            CurveName::Hazard => Curve::Hazard { lost_permille: text.lost_permille.unwrap_or_default() },
        };
        Self { model, grace: text.grace_ms, half_life: text.half_life_ms, bands: text.bands_permille }
    }
}

impl From<&Promise> for PromiseText {
    fn from(promise: &Promise) -> Self {
        Self {
            factor_permille: promise.factor_permille,
            slack_ms: promise.slack,
            cap_ms: promise.cap,
            idle_beats: promise.idle_beats,
        }
    }
}

impl From<PromiseText> for Promise {
    fn from(text: PromiseText) -> Self {
        Self {
            factor_permille: text.factor_permille,
            slack: text.slack_ms,
            cap: text.cap_ms,
            idle_beats: text.idle_beats,
        }
    }
}

impl From<&Limits> for LimitsText {
    fn from(limits: &Limits) -> Self {
        Self {
            sessions_per_partition: limits.sessions_per_partition,
            sessions_per_tenant: limits.sessions_per_tenant,
            sessions_per_user: limits.sessions_per_user,
            rejected_events: limits.rejected_events,
            gateways: limits.gateways,
            batch_age_ms: limits.batch_age,
        }
    }
}

impl From<LimitsText> for Limits {
    fn from(text: LimitsText) -> Self {
        Self {
            sessions_per_partition: text.sessions_per_partition,
            sessions_per_tenant: text.sessions_per_tenant,
            sessions_per_user: text.sessions_per_user,
            rejected_events: text.rejected_events,
            gateways: text.gateways,
            batch_age: text.batch_age_ms,
        }
    }
}

#[cfg(test)]
mod tests;
