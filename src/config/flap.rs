//! What a valid configuration makes flap: profiles under which a session that keeps its promise goes down and up again.

use std::fmt;
use std::time::Duration;

use humantime::format_duration;

use super::Config;
use crate::model::signal::EVERY_MS_MIN;
use crate::model::{Millis, Profile, Promise};

/// A plain beat is the session's only input, so idle comes between two of them unless it waits for so many.
const IDLE_BEATS: u32 = 3;
/// One beat may be lost: stale has to come after so many.
const STALE_BEATS: u64 = 2;

/// Something that is allowed, and will be regretted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The key, as `profile.web.promise.idle_beats`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What it should be.
    pub limit: String,
    /// What happens.
    pub effect: String,
    /// What to do.
    pub mend: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, limit, effect, mend } = self;
        write!(f, "{key} is {value}, it should be {limit}: {effect}; {mend}")
    }
}

impl Config {
    /// What of it makes states flap, profile by profile. Profiles without promise are not judged: nobody knows their beats.
    ///
    /// ```
    /// use presence_engine::config::Config;
    /// assert_eq!(Config::default().warnings(), []);
    /// let config = Config::parse("[profile.web]\npromise = { idle_beats = 1 }").unwrap();
    /// assert_eq!(config.warnings()[0].key, "profile.web.promise.idle_beats");
    /// ```
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let of = |(name, profile): &(Box<str>, Profile)| {
            let promise = profile.promise.as_ref()?;
            Some([idle(name, profile, promise), stale(name, promise)].into_iter().flatten().collect::<Vec<_>>())
        };
        self.policy.profiles.iter().filter_map(of).flatten().collect()
    }
}

/// Idle after max(`idle_after`, `idle_beats` × `every_ms`): that is less than three beats of some promise up to `cap` exactly if
/// it is of `cap` itself.
fn idle(name: &str, profile: &Profile, promise: &Promise) -> Option<Warning> {
    let beats = Millis::from(IDLE_BEATS);
    if promise.idle_beats >= IDLE_BEATS || profile.idle_after >= beats * promise.cap {
        return None;
    }
    let from = (profile.idle_after / beats + 1).max(EVERY_MS_MIN.into());
    let cap = profile.idle_after / beats;
    let cap = (cap >= EVERY_MS_MIN.into()).then(|| format!(", or promise.cap to at most {}", duration(cap)));
    Some(Warning {
        key: format!("profile.{name}.promise.idle_beats"),
        value: promise.idle_beats.to_string(),
        limit: format!("at least {IDLE_BEATS}"),
        effect: format!(
            "who promises a beat every {} or more, and gives no other input, goes idle before a third beat is missed, and comes back with the next",
            duration(from)
        ),
        mend: format!("set it to {IDLE_BEATS}{}", cap.unwrap_or_default()),
    })
}

/// Stale after `factor` × `every_ms` + `slack`, and at that very instant: that is no more than two beats of some promise up to
/// `cap` exactly if it is of `cap` itself.
fn stale(name: &str, promise: &Promise) -> Option<Warning> {
    let after = |every: Millis| every * Millis::from(promise.factor_permille) / 1_000 + promise.slack;
    if after(promise.cap) > STALE_BEATS * promise.cap {
        return None;
    }
    let short = 1_000 * STALE_BEATS - Millis::from(promise.factor_permille);
    // The product rounds down, so a millisecond of slack may be lost.
    let from = (1_000 * promise.slack.saturating_sub(1)).checked_div(short).map_or(0, |below| below + 1);
    let from = from.max(EVERY_MS_MIN.into());
    let (key, value, limit) = if short > 0 {
        ("factor", (f64::from(promise.factor_permille) / 1_000.0).to_string(), "at least 2 with a slack")
    } else {
        ("slack", duration(promise.slack), "above 0s where the factor is 2")
    };
    let cap = (from > EVERY_MS_MIN.into()).then(|| format!(", or promise.cap below {}", duration(from)));
    Some(Warning {
        key: format!("profile.{name}.promise.{key}"),
        value,
        limit: limit.to_owned(),
        effect: format!(
            "who promises a beat every {} or more goes stale as soon as one is lost, and comes back with the next",
            duration(from)
        ),
        mend: format!("set promise.factor to 2.0 and promise.slack to some seconds{}", cap.unwrap_or_default()),
    })
}

fn duration(ms: Millis) -> String {
    format_duration(Duration::from_millis(ms)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::session::Life;
    use crate::model::{State, Visibility};

    fn warnings(promise: &str) -> Vec<Warning> {
        Config::parse(&format!("[profile.web]\npromise = {promise}")).unwrap().warnings()
    }

    fn keys(promise: &str) -> Vec<String> {
        let key = |warning: Warning| warning.key.strip_prefix("profile.web.promise.").unwrap().to_owned();
        warnings(promise).into_iter().map(key).collect()
    }

    #[test]
    fn what_is_shipped_flaps_nowhere() {
        assert_eq!(Config::parse(include_str!("../../config/presence.toml")).unwrap().warnings(), []);
    }

    #[test]
    fn a_profile_without_promise_is_not_judged() {
        assert_eq!(warnings("false"), []);
    }

    #[test]
    fn the_limits_are_exact() {
        // web is idle after 60 s.
        assert_eq!(keys("{ idle_beats = 2, cap = \"20s\" }"), Vec::<String>::new());
        assert_eq!(keys("{ idle_beats = 2, cap = \"20001ms\" }"), ["idle_beats"]);
        assert_eq!(keys("{ idle_beats = 3 }"), Vec::<String>::new());
        // 1.5 × 70 s + 35 s = 2 × 70 s, and products round down.
        assert_eq!(keys("{ factor = 1.5, cap = \"69998ms\" }"), Vec::<String>::new());
        assert_eq!(keys("{ factor = 1.5, cap = \"69999ms\" }"), ["factor"]);
        assert_eq!(keys("{ slack = \"0s\" }"), ["slack"]);
        assert_eq!(keys("{ slack = \"1ms\" }"), Vec::<String>::new());
        assert_eq!(keys("{ slack = \"0s\", factor = 2.001 }"), Vec::<String>::new());
        assert_eq!(keys("{ slack = \"0s\", factor = 1.0, idle_beats = 0 }"), ["idle_beats", "factor"]);
    }

    #[test]
    fn a_warning_says_what_where_and_what_to_do() {
        let told: Vec<_> = warnings("{ factor = 1.5, idle_beats = 2 }").iter().map(ToString::to_string).collect();
        let idle = "profile.web.promise.idle_beats is 2, it should be at least 3: who promises a beat every 20s 1ms or more, \
                    and gives no other input, goes idle before a third beat is missed, and comes back with the next; set it to 3, or promise.cap to at most 20s";
        let stale = "profile.web.promise.factor is 1.5, it should be at least 2 with a slack: who promises a beat every 1m 9s 999ms or \
                     more goes stale as soon as one is lost, and comes back with the next; set promise.factor to 2.0 and \
                     promise.slack to some seconds, or promise.cap below 1m 9s 999ms";
        assert_eq!(told, [idle, stale]);
    }

    /// The lowest state of a session that promised `every_ms` and whose latest beat is so many intervals ago.
    fn state_after(profile: &Profile, every_ms: u32, beats: u64) -> State {
        let at = 1_000_000_000;
        let life = Life {
            seen: at,
            input: at,
            visibility: Visibility::Visible,
            out_of_sight: None,
            frozen: 0,
            closed: None,
            leaving: None,
            every_ms,
            reported: false,
            stretched: (0, 0),
        };
        life.deadlines(profile).state_at(at + beats * u64::from(every_ms)).0
    }

    #[test]
    fn a_profile_that_is_not_warned_of_survives_one_lost_beat_and_any_other_does_not() {
        let promises = [1_000_u32, 1_500, 1_999, 2_000, 2_500]
            .into_iter()
            .flat_map(|factor| [0, 1, 5_000, 35_000].map(|slack| (factor, slack)))
            .flat_map(|(factor, slack)| [1_000, 9_999, 70_000, 3_600_000].map(|cap| (factor, slack, cap)));
        for (factor_permille, slack, cap) in promises {
            let promise = Promise { factor_permille, slack, cap, idle_beats: 3 };
            let profile = Profile { promise: Some(promise.clone()), ..Profile::default() };
            let every = [1_000, cap / 2, cap - 1, cap].into_iter().filter(|every| (1_000..=cap).contains(every));
            let flaps = every.into_iter().any(|every| state_after(&profile, every as u32, 2) >= State::Stale);
            assert_eq!(stale("x", &promise).is_some(), flaps, "{promise:?}");
        }
    }
}
