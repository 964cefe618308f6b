//! The task that says what a session says.

use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::connection::State as Connection;
use async_nats::{Client, Request};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::Error;
use super::facts::{Facts, Place, ms};
use super::heartbeats::Said;
use super::name::chance;

/// Most signals that are not acknowledged yet.
const UNDER_WAY_MAX: usize = 4;
/// How long an acknowledgement is waited for.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);
/// Least time between two signals: what is set within it is said together.
const APART: Duration = Duration::from_millis(100);
/// Least time between two signals that tell of nothing but input.
const INPUTS_APART: Duration = Duration::from_secs(1);
/// How long to wait before something is said again that was not acknowledged; twice as long each time.
const AGAIN: Duration = Duration::from_secs(1);
/// How often to look whether there is a connection again.
const LOOK: Duration = Duration::from_millis(250);
/// After so many beats one says everything again, since the log may have been lost.
const WHOLE_EVERY: u32 = 10;
/// How long a leave may take.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// What becomes of a signal: the change that it said, whether it said everything, and whether the log has it.
struct Outcome {
    latest: u64,
    whole: Option<u64>,
    stored: Result<(), String>,
}

type UnderWay = Pin<Box<dyn Future<Output = Outcome> + Send>>;

pub(super) struct Voice {
    client: Client,
    subject: String,
    every: Duration,
    said: watch::Receiver<Said>,
    acknowledged: watch::Sender<u64>,
    place: Place,
    under_way: FuturesUnordered<UnderWay>,
    /// The latest change of which a whole beat was acknowledged; 0: everything has to be said again.
    whole: u64,
    /// Beats since the last whole one.
    beats: u32,
    /// The latest change for which an intent was taken back, so that it counts again.
    again: u64,
    /// How often in a row nothing was acknowledged.
    failures: u32,
    due: Instant,
    last: Option<Instant>,
    is_connected: bool,
}

impl Voice {
    pub(super) fn new(
        client: Client,
        subject: String,
        every: Duration,
        said: watch::Receiver<Said>,
        acknowledged: watch::Sender<u64>,
    ) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms);
        Self {
            client,
            subject,
            every,
            said,
            acknowledged,
            place: Place { epoch, seq: 0 },
            under_way: FuturesUnordered::new(),
            whole: 0,
            beats: 0,
            again: 0,
            failures: 0,
            due: Instant::now(),
            last: None,
            is_connected: true,
        }
    }

    /// Beats until nobody holds the session any more, and leaves.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let mut urgent = 0;
        loop {
            let may_say = self.is_connected && self.under_way.len() < UNDER_WAY_MAX;
            tokio::select! {
                changed = self.said.changed() => {
                    if changed.is_err() {
                        return self.leave().await;
                    }
                    let latest = self.said.borrow().urgent;
                    let apart = if latest > urgent { APART } else { INPUTS_APART };
                    urgent = latest;
                    let earliest = self.last.map_or_else(Instant::now, |last| last + apart);
                    self.due = self.due.min(earliest);
                }
                Some(outcome) = self.under_way.next() => self.learn(&outcome),
                () = sleep_until(self.due), if may_say => self.beat(),
                () = sleep(LOOK), if !self.is_connected => self.look(),
            }
        }
    }

    /// Whether there is a connection again. Then all is said anew, not by everybody at once.
    fn look(&mut self) {
        self.is_connected = self.client.connection_state() == Connection::Connected;
        if self.is_connected {
            self.whole = 0;
            self.due = Instant::now() + by_chance(self.every / 10);
        }
    }

    /// Says what there is to say, unless there is no connection: the client would keep it and send it late.
    fn beat(&mut self) {
        if self.client.connection_state() != Connection::Connected {
            self.is_connected = false;
            return;
        }
        let Said { facts, latest, whole, again, urgent: _ } = self.said.borrow().clone();
        if again > self.again {
            self.again = again;
            let place = self.next_place();
            self.say(Facts::reopen(place), 0, None);
        }
        let is_whole = self.whole < whole || self.beats >= WHOLE_EVERY;
        self.beats = if is_whole { 0 } else { self.beats + 1 };
        let (place, now) = (self.next_place(), Instant::now());
        // The longest that it can be until the next one.
        let promised = self.every + self.every / 10;
        self.say(facts.beat(place, promised, now, is_whole), latest, is_whole.then_some(whole));
        self.last = Some(now);
        self.due = now + self.every - self.every / 10 + by_chance(self.every / 5);
    }

    fn next_place(&mut self) -> Place {
        self.place.seq += 1;
        self.place
    }

    fn say(&mut self, payload: Vec<u8>, latest: u64, whole: Option<u64>) {
        let (client, subject) = (self.client.clone(), self.subject.clone());
        let signal = async move {
            let stored = stored(&client, subject, payload, ACKNOWLEDGED_WITHIN).await;
            Outcome { latest, whole, stored }
        };
        let mut signal: UnderWay = Box::pin(signal);
        // It goes out when it is asked for the first time, and those of one session have to go out in their order.
        match futures::FutureExt::now_or_never(&mut signal) {
            Some(outcome) => self.learn(&outcome),
            None => self.under_way.push(signal),
        }
    }

    fn learn(&mut self, outcome: &Outcome) {
        match outcome.stored {
            Ok(()) => {
                self.failures = 0;
                self.whole = self.whole.max(outcome.whole.unwrap_or(0));
                self.acknowledged.send_if_modified(|acknowledged| {
                    let is_news = outcome.latest > *acknowledged;
                    *acknowledged = outcome.latest.max(*acknowledged);
                    is_news
                });
            }
            Err(_) => {
                self.whole = 0;
                let wait = AGAIN.saturating_mul(1 << self.failures.min(12)).min(self.every);
                self.failures += 1;
                self.due = self.due.min(Instant::now() + wait);
            }
        }
    }

    /// Says that the session ends, until the log has it or time is over.
    async fn leave(mut self) -> Result<(), Error> {
        let until = Instant::now() + LEAVE_WITHIN;
        let mut reason = "there was no connection".to_owned();
        while Instant::now() < until {
            if self.client.connection_state() != Connection::Connected {
                sleep(LOOK).await;
                continue;
            }
            let place = self.next_place();
            let payload = self.said.borrow().facts.leave(place);
            let tried = stored(&self.client, self.subject.clone(), payload, LEAVE_WITHIN / 2);
            match timeout_at(until, tried).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(why)) => reason = why,
                Err(_) => break,
            }
            sleep(LOOK).await;
        }
        Err(Error::Unacknowledged(reason))
    }
}

/// Publishes a signal, and waits until the log has it.
async fn stored(client: &Client, subject: String, payload: Vec<u8>, within: Duration) -> Result<(), String> {
    let request = Request::new().payload(payload.into()).timeout(Some(within));
    let answer = client.send_request(subject, request).await.map_err(|error| error.to_string())?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())?;
    match answer.get("error") {
        None => Ok(()),
        Some(error) => Err(error.to_string()),
    }
}

/// Some time up to `most`.
fn by_chance(most: Duration) -> Duration {
    let most = ms(most);
    Duration::from_millis(chance() % (most + 1))
}
