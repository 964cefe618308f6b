//! How sure it is that somebody is still there, between the events.

use serde::Deserialize;

use super::{Next, SessionEvent, UserEvent};
use crate::model::{Confidence, Curve, Millis, State};

/// A confidence as events tell it: the value at the event's `at_ms`, and the curve by which it falls.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Certainty {
    /// The value, in thousandths.
    pub permille: u16,
    /// The curve, such as `half_life`; there may be newer ones.
    pub model: String,
    /// Its grace, a promise included.
    pub grace_ms: Option<Millis>,
    /// Its half life.
    pub half_life_ms: Option<Millis>,
    /// `hazard`: the probability that a beat is lost, in thousandths.
    pub lost_permille: Option<u16>,
}

impl Certainty {
    /// The curve and its grace, if this client knows it.
    fn curve(&self) -> Option<(Confidence, Millis)> {
        let model = match (self.model.as_str(), self.lost_permille) {
            ("half_life", _) => Curve::HalfLife,
            ("hazard", Some(lost_permille)) => Curve::Hazard { lost_permille },
            _ => return None,
        };
        let (grace, half_life) = (self.grace_ms?, self.half_life_ms.filter(|time| *time > 0)?);
        Some((Confidence { model, grace, half_life, bands: Vec::new() }, grace))
    }
}

/// Of whom a confidence can be told: what [`confidence_now`] takes.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    certainty: Option<&'a Certainty>,
    state: State,
    at_ms: Millis,
    /// The silence at `at_ms`, where the event tells it.
    silence_ms: Option<Millis>,
    next: Option<Next>,
}

impl<'a> From<&'a SessionEvent> for Heard<'a> {
    fn from(of: &'a SessionEvent) -> Self {
        let silence_ms = Some(of.at_ms.saturating_sub(of.last_seen_ms));
        Self { certainty: of.confidence.as_ref(), state: of.to, at_ms: of.at_ms, silence_ms, next: of.next }
    }
}

impl<'a> From<&'a UserEvent> for Heard<'a> {
    fn from(of: &'a UserEvent) -> Self {
        // The confidence is the best session's, the last life sign that of any.
        let silence_ms = (of.sessions.all() <= 1).then(|| of.at_ms.saturating_sub(of.last_seen_ms));
        Self { certainty: of.confidence.as_ref(), state: of.to, at_ms: of.at_ms, silence_ms, next: of.next }
    }
}

/// How sure it is at `now_ms` that the session, or the user, of an event is still there, in thousandths; `None` if the event tells
/// no curve that this client knows.
///
/// Heartbeats tell no event, so it is a lower bound: *as if nothing had been heard since*. What the engine knows now is
/// answered by [`Presence::get`](super::Presence::get). Before `at_ms` it is the value at `at_ms`. By the integer formula of
/// [`Confidence::permille`], rounded down, so it is what the engine itself would say.
///
/// ```
/// use presence_engine::client::{SessionEvent, confidence_now};
///
/// let event: SessionEvent = serde_json::from_str(r#"{
///     "id": "1-0-7-0", "incarnation": 1000, "ordinal": 1, "cause": "joined", "at_ms": 1000, "user": "ada", "session": "tab",
///     "from": "offline", "to": "active", "last_seen_ms": 1000, "last_input_ms": 1000, "transport": "open",
///     "visibility": "visible", "can": [], "rooms": [], "meta": {}, "epoch": 1, "seq_client": 1,
///     "confidence": {"permille": 1000, "model": "half_life", "grace_ms": 2000, "half_life_ms": 4000},
///     "next": {"to": "idle", "at_ms": 4000}}"#)?;
/// assert_eq!(confidence_now(&event, 3_000), Some(1_000));
/// assert_eq!(confidence_now(&event, 7_000), Some(500), "a grace of two seconds, and a half life of four");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn confidence_now<'a>(event: impl Into<Heard<'a>>, now_ms: Millis) -> Option<u16> {
    let heard = event.into();
    let has_ended = heard.next.is_some_and(|next| next.to == State::Offline && next.at_ms <= now_ms);
    if heard.state == State::Offline || has_ended {
        return Some(0);
    }
    let certainty = heard.certainty?;
    let (confidence, grace) = certainty.curve()?;
    let since = now_ms.saturating_sub(heard.at_ms);
    // Where the event doesn't tell the silence, it is the longest that has this value.
    let silence = match (heard.silence_ms, certainty.permille) {
        (Some(silence), _) => silence,
        (None, 0) => return Some(0),
        (None, permille) => confidence.below_at(permille.min(1_000), grace).saturating_sub(1),
    };
    Some(confidence.permille(silence.saturating_add(since), grace).min(certainty.permille))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(sessions: u32, permille: u16, last_seen_ms: Millis) -> UserEvent {
        serde_json::from_value(json!({
            "id": "1-0-7-0", "incarnation": 1, "ordinal": 2, "cause": "updated", "at_ms": 10_000, "user": "ada",
            "from": "active", "to": "active", "sessions": {"active": sessions, "idle": 0, "away": 0, "stale": 0},
            "intent": "open", "intent_until_ms": null, "ready": [], "last_seen_ms": last_seen_ms, "last_input_ms": 9_000,
            "confidence": {"permille": permille, "model": "half_life", "grace_ms": 2_000, "half_life_ms": 4_000},
            "next": {"to": "offline", "at_ms": 30_000},
        }))
        .unwrap()
    }

    #[test]
    fn of_one_session_it_is_exactly_that_of_the_silence() {
        assert_eq!(confidence_now(&user(1, 1_000, 9_000), 11_000), Some(1_000));
        assert_eq!(confidence_now(&user(1, 1_000, 9_000), 15_000), Some(500));
    }

    #[test]
    fn of_several_sessions_it_is_never_more_than_the_best_ones() {
        // Another session was heard this very moment; the best one may have been silent for the whole grace.
        let event = user(2, 1_000, 10_000);
        assert_eq!(confidence_now(&event, 10_000), Some(1_000));
        assert!(confidence_now(&event, 14_000).unwrap() <= 500);
    }

    #[test]
    fn at_the_latest_it_ends_with_the_session() {
        assert_eq!(confidence_now(&user(1, 1_000, 9_000), 30_000), Some(0));
    }

    #[test]
    fn before_the_event_it_is_what_the_event_tells() {
        assert_eq!(confidence_now(&user(1, 700, 5_000), 0), confidence_now(&user(1, 700, 5_000), 10_000));
    }
}
