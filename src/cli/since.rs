//! Times in the past, as people write them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Millis;
use crate::nats::history::Since;

/// A duration before now, a moment, or `all`.
pub(super) fn parse(text: &str) -> Result<Since, String> {
    if text == "all" {
        return Ok(Since::All);
    }
    match time(text) {
        Some(time) if time >= UNIX_EPOCH => Ok(Since::Time(time)),
        Some(_) => Ok(Since::All),
        None => Err("write it as 1h, 7d, 2026-01-31T08:00:00Z or all".to_owned()),
    }
}

/// A duration before now, or a moment, in milliseconds since the epoch.
pub(super) fn moment(text: &str) -> Result<Millis, String> {
    time(text).map(millis).ok_or_else(|| "write it as 1h, 7d or 2026-01-31T08:00:00Z".to_owned())
}

fn time(text: &str) -> Option<SystemTime> {
    match humantime::parse_duration(text) {
        // Before all time is the beginning of it.
        Ok(ago) => Some(SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH)),
        Err(_) => humantime::parse_rfc3339_weak(text).ok(),
    }
}

/// Milliseconds since the epoch.
pub(super) fn millis(time: SystemTime) -> Millis {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_durations_moments_or_all() {
        assert_eq!(parse("all"), Ok(Since::All));
        assert_eq!(parse("1000years"), Ok(Since::All), "before all time");
        let expected = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(parse("2023-11-14T22:13:20Z"), Ok(Since::Time(expected)));
        assert!(matches!(parse("1h"), Ok(Since::Time(_))));
        assert!(parse("yesterday").is_err());
    }

    #[test]
    fn a_moment_is_one_and_never_all() {
        assert_eq!(moment("2023-11-14T22:13:20.5Z"), Ok(1_700_000_000_500));
        assert_eq!(moment("1000years"), Ok(0));
        assert!(moment("all").is_err());
    }
}
