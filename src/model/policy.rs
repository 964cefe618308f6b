//! Policy: the thresholds that turn silence and quiet into states, and the limits of the fold.
//!
//! A policy is an entry of the log, so that a replay meets it at the position where it came into force.

use serde::{Deserialize, Serialize};

use super::{Confidence, Curve, Millis, State, confidence};

/// Longest threshold or grace: a year of 366 days.
pub const DURATION_MS_MAX: Millis = 366 * 24 * 3_600_000;
/// Most profiles in one policy.
pub const PROFILES_MAX: usize = 64;
/// Most capabilities in one policy.
pub const CAPABILITIES_MAX: usize = 64;

/// What holds for the sessions of one kind of client. All times in milliseconds of observed time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Quiet for so long is idle.
    pub idle_after: Millis,
    /// Quiet for so long is away.
    pub away_after: Millis,
    /// Silent for so long is stale.
    pub stale_after: Millis,
    /// Silent for so long is offline.
    pub offline_after: Millis,
    /// Out of sight for so long is away.
    pub hidden_after: Millis,
    /// Stale at the latest so long after a disconnect.
    pub disconnect_grace: Millis,
    /// A session that left is offline so long after it.
    pub leave_linger: Millis,
    /// A frozen session is offline so long after it last said so.
    pub frozen_offline_after: Millis,
    /// A session that went offline is remembered for so long.
    pub tombstone: Millis,
    /// What a declared interval between beats does; `None`: nothing.
    pub promise: Option<Promise>,
    /// How confidence falls with silence.
    pub confidence: Confidence,
    /// A session that becomes active again within so long of leaving active is given longer before it is idle; 0: never.
    pub anti_flap: Millis,
}

/// When a session makes its user ready for what it can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// In these states, in their order.
    pub states: Vec<State>,
    /// With this confidence at least, in thousandths.
    pub min_confidence: u16,
}

/// How a declared `every_ms` stretches the thresholds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// Stale after `factor_permille / 1000 × every_ms + slack`, rounded down.
    pub factor_permille: u32,
    /// See `factor_permille`.
    pub slack: Millis,
    /// No promise counts for more than this.
    pub cap: Millis,
    /// Idle after so many beats at least, until the session reports input.
    pub idle_beats: u32,
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

impl Default for Profile {
    /// The profile for newcomers: it can't flap with beats every 20 s.
    fn default() -> Self {
        Self {
            idle_after: 60 * SECOND,
            away_after: 120 * SECOND,
            stale_after: 180 * SECOND,
            offline_after: 240 * SECOND,
            hidden_after: 10 * SECOND,
            disconnect_grace: 15 * SECOND,
            leave_linger: 0,
            frozen_offline_after: 15 * MINUTE,
            tombstone: 10 * MINUTE,
            promise: Some(Promise::default()),
            confidence: Confidence::default(),
            anti_flap: 0,
        }
    }
}

impl Default for Promise {
    fn default() -> Self {
        Self { factor_permille: 2_000, slack: 35 * SECOND, cap: 60 * MINUTE, idle_beats: 3 }
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self { states: vec![State::Active, State::Idle], min_confidence: 800 }
    }
}

impl Profile {
    /// The built-in profiles, sorted by name.
    #[must_use]
    pub fn built_in() -> Vec<(Box<str>, Self)> {
        let ladder = |idle, away, stale, offline| Self {
            idle_after: idle * SECOND,
            away_after: away * SECOND,
            stale_after: stale * SECOND,
            offline_after: offline * SECOND,
            ..Self::default()
        };
        vec![
            ("default".into(), Self::default()),
            // The whole ladder in twelve seconds, to be looked at; the confidence falls as fast.
            (
                "demo".into(),
                Self {
                    confidence: Confidence { grace: 2 * SECOND, half_life: 4 * SECOND, ..Confidence::default() },
                    ..ladder(3, 6, 9, 12)
                },
            ),
            // Apps on phones: suspended within seconds of going out of sight, and behind radios that sleep and change networks.
            (
                "mobile".into(),
                Self {
                    hidden_after: 3 * SECOND,
                    disconnect_grace: 45 * SECOND,
                    frozen_offline_after: 30 * MINUTE,
                    confidence: Confidence { grace: 45 * SECOND, half_life: 2 * MINUTE, ..Confidence::default() },
                    ..ladder(60, 180, 180, 600)
                },
            ),
            // The ladder that the project began with, exactly: no promises, no bands, out of sight is away at once.
            (
                "seed".into(),
                Self {
                    hidden_after: 0,
                    promise: None,
                    confidence: Confidence { bands: Vec::new(), ..Confidence::default() },
                    ..ladder(15, 60, 180, 240)
                },
            ),
            // A hidden tab may run one timer a minute (Chrome, after five minutes out of sight): 150 s are two such beats and slack.
            (
                "web".into(),
                Self {
                    confidence: Confidence { grace: 75 * SECOND, ..Confidence::default() },
                    ..ladder(60, 300, 150, 210)
                },
            ),
        ]
    }

    /// The silence that takes no confidence away: the profile's, or what a promise of `every_ms` (0: none) makes longer.
    #[must_use]
    pub fn confidence_grace(&self, every_ms: u32) -> Millis {
        match (&self.promise, every_ms) {
            (Some(promise), 1..) => self.confidence.grace.max(Millis::from(every_ms).min(promise.cap) + promise.slack),
            (Some(_) | None, _) => self.confidence.grace,
        }
    }

    fn check(&self, name: &str) -> Result<(), PolicyError> {
        let times = [
            ("idle_after", self.idle_after, 1),
            ("away_after", self.away_after, 1),
            ("stale_after", self.stale_after, 1),
            ("offline_after", self.offline_after, 1),
            ("hidden_after", self.hidden_after, 0),
            ("disconnect_grace", self.disconnect_grace, 0),
            ("leave_linger", self.leave_linger, 0),
            ("frozen_offline_after", self.frozen_offline_after, 1),
            ("tombstone", self.tombstone, 0),
        ];
        for (key, value, min) in times {
            in_range(|| format!("profile.{name}.{key}"), value, min, DURATION_MS_MAX)?;
        }
        if let Some(promise) = &self.promise {
            let key = |key: &str| format!("profile.{name}.promise.{key}");
            in_range(|| key("factor"), u64::from(promise.factor_permille), 1_000, 1_000_000)?;
            in_range(|| key("slack"), promise.slack, 0, DURATION_MS_MAX)?;
            in_range(|| key("cap"), promise.cap, 1_000, 3_600_000)?;
            in_range(|| key("idle_beats"), u64::from(promise.idle_beats), 0, 1_000)?;
        }
        in_range(|| format!("profile.{name}.anti_flap"), self.anti_flap, 0, DURATION_MS_MAX)?;
        self.check_confidence(name)?;
        let order = |first: &'static str, first_ms, then: &'static str, then_ms| {
            if first_ms > then_ms {
                Err(PolicyError::Order { profile: name.into(), first, first_ms, then, then_ms })
            } else {
                Ok(())
            }
        };
        order("idle_after", self.idle_after, "away_after", self.away_after)?;
        order("stale_after", self.stale_after, "offline_after", self.offline_after)
    }

    fn check_confidence(&self, name: &str) -> Result<(), PolicyError> {
        let key = |key: &str| format!("profile.{name}.confidence.{key}");
        let Confidence { model, grace, half_life, bands } = &self.confidence;
        let grace_min = match model {
            Curve::HalfLife => 0,
            Curve::Hazard { lost_permille } => {
                in_range(|| key("lost"), u64::from(*lost_permille), 0, 500)?;
                1_000
            }
        };
        in_range(|| key("grace"), *grace, grace_min, DURATION_MS_MAX)?;
        in_range(|| key("half_life"), *half_life, 1, DURATION_MS_MAX)?;
        in_range(|| key("bands (their number)"), bands.len() as u64, 0, confidence::BANDS_MAX as u64)?;
        let mut above = confidence::CERTAIN;
        for edge in bands {
            in_range(|| key("bands"), u64::from(*edge), 1, u64::from(above))?;
            above = edge - 1;
        }
        Ok(())
    }
}

fn in_range(key: impl FnOnce() -> String, value: u64, min: u64, max: u64) -> Result<(), PolicyError> {
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
