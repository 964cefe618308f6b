//! The version of nats-server, and the oldest that will do.

use std::fmt;

/// The server that everything was tried on. Older ones have other atomic batches, or none.
pub const OLDEST: Version = Version { major: 2, minor: 15, patch: 1 };

/// A version of nats-server, without what stands behind a `-`.
///
/// ```
/// use presence_engine::nats::version::{OLDEST, Version};
/// assert!(Version::parse("v2.16.0-RC.1").unwrap() > OLDEST);
/// assert!(Version::parse("2.9.10").unwrap() < OLDEST);
/// assert_eq!(Version::parse("main"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 2 in 2.15.1.
    pub major: u32,
    /// 15 in 2.15.1.
    pub minor: u32,
    /// 1 in 2.15.1.
    pub patch: u32,
}

impl Version {
    /// Reads `2.15.1`, `v2.15.1` or `2.15.1-anything`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut numbers = text.split(['-', '+']).next()?.split('.').map(|number| number.parse().ok());
        let (major, minor, patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(Self { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
