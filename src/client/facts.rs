//! What a session says of itself, and the signals that say it.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{Intent, Visibility};
use crate::model::Kind;

/// What a session says of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) visibility: Visibility,
    pub(super) profile: Option<String>,
    pub(super) conn: Option<String>,
    pub(super) can: Option<Vec<String>>,
    pub(super) rooms: Option<Vec<String>>,
    pub(super) meta: Option<Map<String, Value>>,
    /// What the person wants, and until when.
    pub(super) intent: Option<(Intent, Option<Instant>)>,
    /// The last input that was reported.
    pub(super) input: Option<Instant>,
}

/// Where a signal stands among those of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The session's start, in milliseconds since the Unix epoch.
    pub(super) epoch: u64,
    /// The signal's number.
    pub(super) seq: u64,
}

/// A signal's payload.
#[derive(Serialize)]
struct Payload<'a> {
    kind: Kind,
    epoch: u64,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    every_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<Visibility>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<Intent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    intent_for_ms: Option<u64>,
}

impl<'a> Payload<'a> {
    fn of(kind: Kind, place: Place) -> Self {
        let Place { epoch, seq } = place;
        Self {
            kind,
            epoch,
            seq,
            every_ms: None,
            visibility: None,
            input_age_ms: None,
            profile: None,
            conn: None,
            can: None,
            rooms: None,
            meta: None,
            intent: None,
            intent_for_ms: None,
        }
    }
}

impl Facts {
    /// A heartbeat: with all that is known, or with what each beat has to say.
    pub(super) fn beat(&self, place: Place, every: Duration, now: Instant, whole: bool) -> Vec<u8> {
        let mut beat = Payload::of(Kind::Heartbeat, place);
        // A beat that says nothing of sight would thaw who is frozen.
        beat.visibility = Some(self.visibility);
        beat.input_age_ms = self.input.map(|input| ms(now.saturating_duration_since(input)));
        beat.conn = self.conn.as_deref();
        if whole {
            beat.every_ms = Some(ms(every));
            beat.profile = self.profile.as_deref();
            beat.can = self.can.as_deref();
            beat.rooms = self.rooms.as_deref();
            beat.meta = self.meta.as_ref();
            if let Some((intent, until)) = self.intent.filter(|(_, until)| until.is_none_or(|until| until > now)) {
                beat.intent = Some(intent);
                beat.intent_for_ms = until.map(|until| ms(until.duration_since(now)));
            }
        }
        json(&beat)
    }

    /// The end of the session.
    pub(super) fn leave(&self, place: Place) -> Vec<u8> {
        json(&Payload { conn: self.conn.as_deref(), ..Payload::of(Kind::Leave, place) })
    }

    /// Takes the intent back, so that saying it again counts.
    pub(super) fn reopen(place: Place) -> Vec<u8> {
        json(&Payload { intent: Some(Intent::Open), ..Payload::of(Kind::Update, place) })
    }
}

fn json(payload: &Payload<'_>) -> Vec<u8> {
    serde_json::to_vec(payload).expect("texts and numbers are JSON")
}

pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { epoch: 7, seq: 2 };

    fn text(payload: Vec<u8>) -> String {
        String::from_utf8(payload).unwrap()
    }

    #[test]
    fn every_beat_says_its_place_and_whether_it_is_in_sight() {
        let facts = Facts { can: Some(vec!["audio".into()]), ..Facts::default() };
        let now = Instant::now();
        let beat = text(facts.beat(PLACE, Duration::from_secs(22), now, false));
        assert_eq!(beat, r#"{"kind":"heartbeat","epoch":7,"seq":2,"visibility":"visible"}"#);
        let whole = text(facts.beat(PLACE, Duration::from_secs(22), now, true));
        assert_eq!(
            whole,
            r#"{"kind":"heartbeat","epoch":7,"seq":2,"every_ms":22000,"visibility":"visible","can":["audio"]}"#
        );
    }

    #[test]
    fn an_intent_that_has_ended_is_not_said_again() {
        let now = Instant::now();
        let facts = Facts { intent: Some((Intent::Busy, Some(now + Duration::from_secs(5)))), ..Facts::default() };
        let said_after = |secs| text(facts.beat(PLACE, Duration::from_secs(22), now + Duration::from_secs(secs), true));
        assert!(said_after(2).ends_with(r#""intent":"busy","intent_for_ms":3000}"#));
        assert!(!said_after(5).contains("intent"));
    }

    #[test]
    fn input_is_told_by_its_age() {
        let now = Instant::now();
        let facts = Facts { input: Some(now), visibility: Visibility::Hidden, ..Facts::default() };
        let beat = text(facts.beat(PLACE, Duration::from_secs(22), now + Duration::from_secs(3), false));
        assert_eq!(beat, r#"{"kind":"heartbeat","epoch":7,"seq":2,"visibility":"hidden","input_age_ms":3000}"#);
    }
}
