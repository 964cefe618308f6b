//! Policy: the thresholds that turn silence and quiet into states, and the limits of the fold.
//!
//! A policy is an entry of the log, so that a replay meets it at the position where it came into force.

use serde::{Deserialize, Serialize};

use super::{Millis, Profile, State, confidence};

/// Longest threshold or grace: a year of 366 days.
pub const DURATION_MS_MAX: Millis = 366 * 24 * 3_600_000;
/// Most profiles in one policy.
pub const PROFILES_MAX: usize = 64;
/// Most capabilities in one policy.
pub const CAPABILITIES_MAX: usize = 64;

/// When a session makes its user ready for what it can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// In these states, in their order.
    pub states: Vec<State>,
    /// With this confidence at least, in thousandths.
    pub min_confidence: u16,
}

/// The whole policy: what the fold must know to turn one log into the same events anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The profile of sessions that name none.
    pub default_profile: Box<str>,
    /// Every profile with its name, sorted by name.
    pub profiles: Vec<(Box<str>, Profile)>,
    /// A gap in the log above this is time that nobody watched.
    pub blind_after: Millis,
    /// The mercy after such a gap.
    pub reconnect_grace: Millis,
    /// The capabilities that sessions may name.
    pub capabilities: Vec<Box<str>>,
    /// Whether sessions' transitions are told, beside the users'.
    pub session_events: bool,
    /// When a session makes its user ready.
    pub ready: Ready,
    /// What changes beside states is told so long after a subject's previous event at the earliest.
    pub update_every: Millis,
    /// An intent is kept for so long when no session of its user is there.
    pub intent_keep: Millis,
    /// The fold's limits.
    pub limits: Limits,
}

/// What the fold holds at the most. Reaching a limit rejects the signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Sessions of one partition, remembered ones included.
    pub sessions_per_partition: u32,
    /// Sessions of one tenant within one partition, remembered ones included.
    pub sessions_per_tenant: u32,
    /// Sessions of one user, remembered ones included.
    pub sessions_per_user: u32,
    /// `rejected` events per partition and second of the log.
    pub rejected_events: u32,
    /// Gateways that one partition knows.
    pub gateways: u32,
    /// The longest age of a signal in a gateway's batch that is believed, in milliseconds.
    pub batch_age: Millis,
}

/// Why a policy can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyError {
    /// A time is outside of its range: its name, value and range in milliseconds.
    Range {
        /// The key, as `profile.web.idle_after`.
        key: String,
        /// The value.
        value: u64,
        /// The least that is allowed.
        min: u64,
        /// The most that is allowed.
        max: u64,
    },
    /// A threshold lies above the one that must not come before it.
    Order {
        /// The profile.
        profile: Box<str>,
        /// The key of the one that comes first.
        first: &'static str,
        /// Its value in milliseconds.
        first_ms: Millis,
        /// The key of the one that comes after.
        then: &'static str,
        /// Its value in milliseconds.
        then_ms: Millis,
    },
    /// The default profile is not among the profiles.
    NoDefault(Box<str>),
    /// More profiles than [`PROFILES_MAX`].
    TooManyProfiles(usize),
    /// A name is used twice, or is not in order.
    Names(Box<str>),
    /// Nobody can be ready while offline.
    ReadyOffline,
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Range { key, value, min, max } => {
                write!(f, "{key} is {value}, allowed are {min} to {max} (times in milliseconds)")
            }
            Self::Order { profile, first, first_ms, then, then_ms } => write!(
                f,
                "profile.{profile}: {first} ({first_ms} ms) is above {then} ({then_ms} ms); make {then} at least as long"
            ),
            Self::NoDefault(name) => write!(
                f,
                "the default profile \"{name}\" is not defined; add [profile.{name}] or name another in engine.profile"
            ),
            Self::TooManyProfiles(count) => {
                write!(f, "{count} profiles are above the limit of {PROFILES_MAX}")
            }
            Self::ReadyOffline => {
                write!(f, "ready.states has \"offline\", where nobody is ready; allowed are active, idle, away, stale")
            }
            Self::Names(name) => write!(f, "the name \"{name}\" is empty, stands twice or is not in order"),
        }
    }
}

impl std::error::Error for PolicyError {}

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;

impl Default for Ready {
    fn default() -> Self {
        Self { states: vec![State::Active, State::Idle], min_confidence: 800 }
    }
}

pub(super) fn in_range(key: impl FnOnce() -> String, value: u64, min: u64, max: u64) -> Result<(), PolicyError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(PolicyError::Range { key: key(), value, min, max }) }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_per_partition: 1_000_000,
            sessions_per_tenant: 500_000,
            sessions_per_user: 64,
            rejected_events: 100,
            gateways: 1_000,
            batch_age: 30 * SECOND,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            default_profile: "default".into(),
            profiles: Profile::built_in(),
            blind_after: 3 * SECOND,
            reconnect_grace: 15 * SECOND,
            capabilities: ["audio", "screen", "video"].map(Into::into).into(),
            session_events: true,
            ready: Ready::default(),
            update_every: SECOND,
            intent_keep: 30 * 24 * 60 * MINUTE,
            limits: Limits::default(),
        }
    }
}

impl Policy {
    /// Checks every range and order.
    ///
    /// # Errors
    /// The first [`PolicyError`] found.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.profiles.len() > PROFILES_MAX {
            return Err(PolicyError::TooManyProfiles(self.profiles.len()));
        }
        let mut before = "";
        for (name, profile) in &self.profiles {
            if &**name <= before {
                return Err(PolicyError::Names(name.clone()));
            }
            before = name;
            profile.check(name)?;
        }
        if self.profile_index(&self.default_profile).is_none() {
            return Err(PolicyError::NoDefault(self.default_profile.clone()));
        }
        let range = |key: &str, value, min, max| in_range(|| key.to_owned(), value, min, max);
        range("engine.blind_after", self.blind_after, 1_001, DURATION_MS_MAX)?;
        range("engine.reconnect_grace", self.reconnect_grace, 0, DURATION_MS_MAX)?;
        let limits = &self.limits;
        let sessions = u64::from(limits.sessions_per_partition);
        range("limits.sessions_per_partition", sessions, 1, 1 << 25)?;
        range("limits.sessions_per_tenant", u64::from(limits.sessions_per_tenant), 1, sessions)?;
        range("limits.sessions_per_user", u64::from(limits.sessions_per_user), 1, 255)?;
        range("limits.rejected_events", u64::from(limits.rejected_events), 0, 100_000)?;
        range("limits.gateways", u64::from(limits.gateways), 0, 60_000)?;
        range("limits.batch_age", limits.batch_age, 0, 3_600_000)?;
        range("events.update_every", self.update_every, 0, DURATION_MS_MAX)?;
        range("engine.intent_keep", self.intent_keep, 0, DURATION_MS_MAX)?;
        range("ready.min_confidence", u64::from(self.ready.min_confidence), 1, u64::from(confidence::CERTAIN))?;
        range("capabilities.names (their number)", self.capabilities.len() as u64, 0, CAPABILITIES_MAX as u64)?;
        if self.ready.states.contains(&State::Offline) {
            return Err(PolicyError::ReadyOffline);
        }
        Ok(())
    }

    /// The place of a profile in [`Policy::profiles`].
    #[must_use]
    pub fn profile_index(&self, name: &str) -> Option<usize> {
        self.profiles.binary_search_by(|(other, _)| (**other).cmp(name)).ok()
    }

    /// The place of the default profile.
    ///
    /// # Panics
    /// If the policy was not checked.
    #[must_use]
    pub fn default_index(&self) -> usize {
        self.profile_index(&self.default_profile).expect("a checked policy has its default profile")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_is_valid() {
        Policy::default().check().unwrap();
    }

    #[test]
    fn an_order_that_no_session_could_walk_is_refused() {
        let mut policy = Policy::default();
        policy.profiles[0].1.away_after = 1;
        let error = policy.check().unwrap_err().to_string();
        assert!(error.contains("profile.default: idle_after (60000 ms) is above away_after (1 ms)"), "{error}");
    }
}
