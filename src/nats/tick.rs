//! Ticks: acknowledged entries that move the log's time where nothing else does.
//!
//! Local clocks decide when a tick is published, never what it means.

use std::time::Duration;

use async_nats::Request;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Nats;
use crate::wire::{Tick, subject};

/// At least so often there is a tick.
pub const EVERY_MAX: Duration = Duration::from_secs(1);
/// A tick that is not acknowledged for so long is bad.
pub const ACK_MAX: Duration = Duration::from_secs(1);

/// A deadline's instant is guessed late by so much now and then: a tick that comes so much later than its turn costs the next one
/// nothing. A fifth of the least time between two ticks at most.
pub const LEEWAY: Duration = Duration::from_millis(20);

/// What became of a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The log holds it.
    Stored {
        /// Its sequence.
        seq: u64,
    },
    /// It was refused, not acknowledged in time or, without a connection, not sent; says which. The log may hold it.
    Bad(String),
}

/// Publishes ticks, one after the other.
#[derive(Debug)]
pub struct Ticker {
    nats: Nats,
    every_min: Duration,
    failed: u32,
}

impl Ticker {
    /// A ticker that publishes at most every `every_min` (`engine.tick`) on the whole.
    #[must_use]
    pub fn new(nats: &Nats, every_min: Duration) -> Self {
        Self { nats: nats.clone(), every_min, failed: 0 }
    }

    /// How many ticks were bad since the last good one.
    #[must_use]
    pub fn failed(&self) -> u32 {
        self.failed
    }

    /// Publishes one tick and waits for its acknowledgement, at most [`ACK_MAX`].
    pub async fn tick(&mut self) -> Outcome {
        let outcome = self.publish().await;
        match &outcome {
            Outcome::Stored { seq } => {
                debug!(seq, "tick");
                if self.failed > 0 {
                    info!(failed = self.failed, "the log takes ticks again");
                }
                self.failed = 0;
            }
            Outcome::Bad(why) => {
                if self.failed == 0 {
                    warn!(why, "a tick was bad, the log's time may stand still");
                }
                self.failed = self.failed.saturating_add(1);
            }
        }
        outcome
    }

    /// Publishes ticks for ever: when a deadline is due, and at least every [`EVERY_MAX`]. Dropping the future ends it.
    ///
    /// `due` is the next deadline as the caller guesses it; a sender that is gone is one without deadlines.
    pub async fn run(mut self, mut due: watch::Receiver<Option<Instant>>) {
        let mut changes = true;
        let mut turn: Option<Instant> = None;
        loop {
            let at = turn.map_or_else(Instant::now, |turn| next_tick(turn, *due.borrow_and_update(), self.every_min));
            tokio::select! {
                () = tokio::time::sleep_until(at) => {
                    let now = Instant::now();
                    turn = Some(turn.map_or(now, |turn| next_turn(turn, at, now, self.every_min)));
                    self.tick().await;
                }
                changed = due.changed(), if changes => changes = changed.is_ok(),
            }
        }
    }

    async fn publish(&self) -> Outcome {
        // A message that waits for the connection would be stored late, and would say that all was well.
        if !self.nats.is_connected() {
            return Outcome::Bad("there is no connection".into());
        }
        let request = Request::new().payload(Tick::new(self.failed).to_json().into()).timeout(Some(ACK_MAX));
        match self.nats.client.send_request(subject::TICK, request).await {
            Ok(answer) => outcome(&answer.payload),
            Err(error) => Outcome::Bad(error.to_string()),
        }
    }
}

fn outcome(answer: &[u8]) -> Outcome {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    match (&answer["error"], answer["seq"].as_u64()) {
        (Value::Null, Some(seq)) => Outcome::Stored { seq },
        (error, _) => Outcome::Bad(error["description"].as_str().unwrap_or("the answer is no acknowledgement").into()),
    }
}

/// When the next tick is published: when a deadline is due, at most [`EVERY_MAX`] after the turn of the last one and at least
/// `every_min` after that.
fn next_tick(turn: Instant, due: Option<Instant>, every_min: Duration) -> Instant {
    let latest = turn + EVERY_MAX.max(every_min);
    due.map_or(latest, |due| due.clamp(turn + every_min, latest))
}

/// The turn of a tick that was meant for `at` and came `now`: `every_min` after the one before at least. Deadlines lie on a grid:
/// if each tick had to wait for the one before, all would be as late as the latest.
fn next_turn(turn: Instant, at: Instant, now: Instant, every_min: Duration) -> Instant {
    let before = |instant: Instant, by: Duration| instant.checked_sub(by).unwrap_or(instant);
    (turn + every_min).max(before(at, LEEWAY.min(every_min / 5))).max(before(now, every_min))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(100);

    fn ms_after_last(due_ms: Option<u64>, every_min: Duration) -> u128 {
        let start = Instant::now();
        let last = start + Duration::from_secs(1);
        let due = due_ms.map(|ms| start + Duration::from_millis(ms));
        (next_tick(last, due, every_min) - last).as_millis()
    }

    #[test]
    fn ticks_come_each_second_where_nothing_is_due() {
        assert_eq!(ms_after_last(None, MIN), 1_000);
        assert_eq!(ms_after_last(Some(60_000), MIN), 1_000);
    }

    #[test]
    fn ticks_come_when_something_is_due_but_not_all_the_time() {
        assert_eq!(ms_after_last(Some(1_400), MIN), 400);
        assert_eq!(ms_after_last(Some(1_050), MIN), 100);
        assert_eq!(ms_after_last(Some(0), MIN), 100);
        assert_eq!(ms_after_last(Some(0), Duration::from_secs(2)), 2_000);
    }

    #[test]
    fn ticks_that_came_late_do_not_make_those_behind_come_late() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        // Each instant of the grid has something; the second tick comes late.
        let (mut turn, mut ticks) = (at(0), Vec::new());
        for (due, late) in [(100, 0), (200, 15), (300, 0), (415, 0), (500, 0), (600, 45), (700, 0), (800, 0)] {
            let meant = next_tick(turn, Some(at(due)), MIN);
            let now = meant + Duration::from_millis(late);
            turn = next_turn(turn, meant, now, MIN);
            ticks.push((now - start).as_millis());
        }
        assert_eq!(ticks, [100, 215, 300, 415, 500, 645, 700, 800]);
    }

    #[test]
    fn ticks_behind_a_pause_keep_their_distance() {
        let start = Instant::now();
        let (mut turn, mut ticks) = (start, Vec::new());
        let pause = start + Duration::from_secs(1);
        for _ in 0..4 {
            let meant = next_tick(turn, Some(pause), MIN);
            turn = next_turn(turn, meant, meant, MIN);
            ticks.push((meant - start).as_millis());
        }
        assert_eq!(ticks, [1_000, 1_080, 1_180, 1_280]);
    }

    #[test]
    fn an_acknowledgement_is_told_from_a_refusal() {
        assert_eq!(outcome(br#"{"stream":"PRESENCE_LOG","seq":7}"#), Outcome::Stored { seq: 7 });
        let refusal = br#"{"error":{"code":429,"err_code":10167,"description":"too many requests"},"stream":"PRESENCE_LOG","seq":0}"#;
        assert_eq!(outcome(refusal), Outcome::Bad("too many requests".into()));
        assert!(matches!(outcome(b""), Outcome::Bad(_)));
    }
}
