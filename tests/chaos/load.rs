//! The clients: sessions that publish until they are acknowledged, always with epoch and seq.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Request;
use presence_engine::nats::Nats;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::random::Random;
use crate::common::{connect, soon};

/// Users with eight sessions each. Half of them have sessions that never cease to beat.
const USERS: usize = 40;
const SESSIONS: usize = 8;
const CONNECTIONS: usize = 6;
/// Of a steady session, well within every threshold.
const BEAT: Duration = Duration::from_millis(700);
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(1);
/// A connection on which nothing is acknowledged for so long is made anew, maybe to another server.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// A signal that the log took, by what the server said.
pub(crate) struct Acknowledged {
    pub(crate) seq: u64,
    pub(crate) subject: String,
    pub(crate) payload: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Habit {
    /// Beats all along.
    Steady,
    /// Beats, pauses, is hidden, comes back, repeats itself.
    Flaps,
    /// Leaves, and returns in another epoch.
    Leaves,
}

pub(crate) struct Load {
    stop: watch::Sender<bool>,
    sessions: Vec<JoinHandle<Vec<Acknowledged>>>,
    lines: Vec<Line>,
    /// They see to it that no connection stays dead.
    watches: Vec<JoinHandle<()>>,
}

/// A connection that many sessions share, and how much was acknowledged on it.
#[derive(Clone)]
struct Line {
    nats: Nats,
    acknowledged: Arc<AtomicU64>,
}

struct Client {
    line: Line,
    habit: Habit,
    subject: String,
    random: Random,
    epoch: u64,
    seq: u64,
    taken: Vec<Acknowledged>,
}

/// Whether the session under a signal's or event's subject beats all along.
pub(crate) fn is_steady(subject: &str) -> bool {
    subject.rsplit('.').next().is_some_and(|session| session.starts_with("steady"))
}

impl Load {
    /// Everybody begins.
    pub(crate) async fn start(url: &str, random: &mut Random) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut lines = Vec::new();
        for _ in 0..CONNECTIONS {
            lines.push(Line { nats: connect(url).await, acknowledged: Arc::default() });
        }
        let watches = lines.iter().map(|line| tokio::spawn(line.clone().watch())).collect();
        let mut sessions = Vec::new();
        for n in 0..USERS * SESSIONS {
            let (user, session) = (n / SESSIONS, n % SESSIONS);
            let (habit, name) = match (user % 2, session) {
                (0, 0..4) => (Habit::Steady, "steady"),
                (1, 0..4) => (Habit::Leaves, "leaves"),
                _ => (Habit::Flaps, "flaps"),
            };
            let client = Client {
                line: lines[n % CONNECTIONS].clone(),
                habit,
                subject: format!("presence.v1.signal.main.u{user}.{name}{session}"),
                random: Random::new(random.next()),
                epoch: 1,
                seq: 0,
                taken: Vec::new(),
            };
            sessions.push(tokio::spawn(client.live(stopped.clone())));
        }
        Self { stop, sessions, lines, watches }
    }

    /// How many signals the log has taken.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.lines.iter().map(|line| line.acknowledged.load(Ordering::Relaxed)).sum()
    }

    /// Everybody falls silent, once what they said last is acknowledged.
    pub(crate) async fn stop(self) -> Vec<Acknowledged> {
        self.stop.send_replace(true);
        let mut all = Vec::new();
        for session in self.sessions {
            all.extend(soon("what was said last is acknowledged", session).await.expect("a client lives"));
        }
        for watch in self.watches {
            watch.abort();
        }
        all
    }
}

impl Line {
    async fn watch(self) {
        let mut before = 0;
        loop {
            sleep(SILENCE_MAX).await;
            let now = self.acknowledged.load(Ordering::Relaxed);
            if now == before {
                // Where that fails, the client is gone with its test.
                self.nats.client.force_reconnect().await.ok();
            }
            before = now;
        }
    }

    /// The sequence under which the log has it, if it says so in time.
    async fn publish(&self, subject: &str, payload: &str) -> Option<u64> {
        let request = Request::new().payload(payload.to_owned().into()).timeout(Some(ACKNOWLEDGED_WITHIN));
        // While there is no connection, even sending may take its time.
        let sent = timeout(ACKNOWLEDGED_WITHIN * 2, self.nats.client.send_request(subject.to_owned(), request));
        let answer: Value = serde_json::from_slice(&sent.await.ok()?.ok()?.payload).ok()?;
        let seq = answer["seq"].as_u64().filter(|_| answer["error"].is_null())?;
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        Some(seq)
    }
}

impl Client {
    async fn live(mut self, mut stopped: watch::Receiver<bool>) -> Vec<Acknowledged> {
        // Not all at once.
        let mut pause = Duration::from_millis(self.random.below(700));
        while timeout(pause, stopped.wait_for(|stopped| *stopped)).await.is_err() {
            let signal = self.signal();
            self.say(&signal).await;
            pause = self.pause();
        }
        self.taken
    }

    fn signal(&mut self) -> Value {
        self.seq += 1;
        let mut signal = json!({"epoch": self.epoch, "seq": self.seq});
        let more = match self.habit {
            Habit::Steady => json!({"input_age_ms": 0}),
            Habit::Flaps => match self.random.below(8) {
                0 => json!({"visibility": "hidden"}),
                1 => json!({"visibility": "frozen"}),
                2 => json!({"state": "away"}),
                3 => json!({"kind": "disconnect", "conn": "c"}),
                4 => json!({"kind": "update", "intent": "busy", "intent_for_ms": 900, "can": ["audio"]}),
                _ => json!({"visibility": "visible", "input_age_ms": 0, "conn": "c"}),
            },
            Habit::Leaves => match self.random.below(4) {
                0 => json!({"kind": "leave"}),
                _ => json!({"input_age_ms": 0}),
            },
        };
        for (field, value) in more.as_object().expect("it is one") {
            signal[field] = value.clone();
        }
        if signal["kind"] == "leave" {
            (self.epoch, self.seq) = (self.epoch + 1, 0);
        }
        signal
    }

    /// How long until it says something again. Those who flap are silent for longer than any threshold now and then.
    fn pause(&mut self) -> Duration {
        Duration::from_millis(match self.habit {
            Habit::Steady => return BEAT,
            _ if self.random.chance(150) => self.random.between(6_000, 15_000),
            _ => self.random.between(300, 3_000),
        })
    }

    /// Publishes until it is acknowledged; what is stored twice changes nothing.
    async fn say(&mut self, signal: &Value) {
        let payload = signal.to_string();
        loop {
            if let Some(seq) = self.line.publish(&self.subject, &payload).await {
                self.taken.push(Acknowledged { seq, subject: self.subject.clone(), payload });
                return;
            }
            sleep(Duration::from_millis(self.random.between(50, 200))).await;
        }
    }
}
