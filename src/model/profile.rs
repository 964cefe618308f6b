//! Profiles: what holds for the sessions of one kind of client, and those that are built in.

use serde::{Deserialize, Serialize};

use super::policy::{DURATION_MS_MAX, PolicyError, in_range};
use super::{Confidence, Curve, Millis, confidence};

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;

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

    pub(super) fn check(&self, name: &str) -> Result<(), PolicyError> {
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
