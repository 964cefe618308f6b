//! What a session says of itself from its first beat on.

use std::time::Duration;

use serde_json::{Map, Value};

use super::facts::Facts;
use super::name::{all, at_most};
use super::{Error, Intent, Visibility};
use crate::model::signal::{CAPABILITIES_MAX, CONN_BYTES_MAX, META_BYTES_MAX, ROOMS_MAX};

/// How a session beats, and what it says from its first beat on.
///
/// ```
/// use std::time::Duration;
/// use presence_engine::client::Beats;
///
/// let beats = Beats::every(Duration::from_secs(20)).profile("web").can(["audio", "video"]).rooms(["lobby"]);
/// ```
#[derive(Debug, Clone)]
pub struct Beats {
    pub(super) every: Duration,
    pub(super) facts: Facts,
}

/// Shortest and longest time between two beats; with what is added by chance, it can be promised.
const EVERY_MIN: Duration = Duration::from_secs(1);
const EVERY_MAX: Duration = Duration::from_secs(3_000);

impl Default for Beats {
    /// Each 20 s.
    fn default() -> Self {
        Self::every(Duration::from_secs(20))
    }
}

impl Beats {
    /// A beat each `every`, a tenth more or less by chance; 1 s to 50 min, what is beyond is brought there.
    #[must_use]
    pub fn every(every: Duration) -> Self {
        Self { every: every.clamp(EVERY_MIN, EVERY_MAX), facts: Facts::default() }
    }

    /// By this profile of the policy.
    #[must_use]
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.facts.profile = Some(profile.into());
        self
    }

    /// The connection that it comes by, at most 64 bytes.
    #[must_use]
    pub fn conn(mut self, conn: impl Into<String>) -> Self {
        self.facts.conn = Some(conn.into());
        self
    }

    /// Whether it is in sight; visible where nothing is said.
    #[must_use]
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.facts.visibility = visibility;
        self
    }

    /// What it could do now, at most 16.
    #[must_use]
    pub fn can<S: Into<String>>(mut self, can: impl IntoIterator<Item = S>) -> Self {
        self.facts.can = Some(can.into_iter().map(Into::into).collect());
        self
    }

    /// Where it is, at most 32.
    #[must_use]
    pub fn rooms<S: Into<String>>(mut self, rooms: impl IntoIterator<Item = S>) -> Self {
        self.facts.rooms = Some(rooms.into_iter().map(Into::into).collect());
        self
    }

    /// Passed on as it is, at most 1024 bytes as JSON.
    #[must_use]
    pub fn meta(mut self, meta: Map<String, Value>) -> Self {
        self.facts.meta = Some(meta);
        self
    }

    /// What the person wants.
    #[must_use]
    pub fn intent(mut self, intent: Intent) -> Self {
        self.facts.intent = Some((intent, None));
        self
    }

    /// The limits of the contract.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Facts { can, rooms, meta, conn, .. } = &self.facts;
        can.as_deref().map_or(Ok(()), check_can)?;
        rooms.as_deref().map_or(Ok(()), check_rooms)?;
        meta.as_ref().map_or(Ok(()), check_meta)?;
        at_most("the length of conn in bytes", conn.as_ref().map_or(0, String::len), CONN_BYTES_MAX)
    }
}

pub(super) fn check_can(can: &[String]) -> Result<(), Error> {
    at_most("the number of capabilities", can.len(), CAPABILITIES_MAX)
}

pub(super) fn check_rooms(rooms: &[String]) -> Result<(), Error> {
    at_most("the number of rooms", rooms.len(), ROOMS_MAX)?;
    all("room", rooms)
}

pub(super) fn check_meta(meta: &Map<String, Value>) -> Result<(), Error> {
    let bytes = serde_json::to_vec(meta).map_err(|error| Error::Meta(error.to_string()))?;
    at_most("the length of meta in bytes", bytes.len(), META_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_engine_takes_is_refused_before_it_is_said() {
        let rooms: Vec<String> = (0..33).map(|n| format!("room-{n}")).collect();
        let refused = Beats::default().rooms(rooms).check().unwrap_err();
        assert_eq!(refused.to_string(), "the number of rooms is 33, the limit is 32");
        assert!(Beats::default().rooms([""]).check().is_err());
        assert!(Beats::default().can((0..17).map(|n| n.to_string())).check().is_err());
        let long = json!({"a": "x".repeat(1024)});
        assert!(Beats::default().meta(long.as_object().unwrap().clone()).check().is_err());
        assert!(Beats::default().rooms(["a room"]).can(["audio"]).conn("c1").check().is_ok());
    }

    #[test]
    fn what_can_not_be_promised_is_brought_where_it_can() {
        assert_eq!(Beats::every(Duration::ZERO).every, EVERY_MIN);
        assert_eq!(Beats::every(Duration::MAX).every, EVERY_MAX);
    }
}
