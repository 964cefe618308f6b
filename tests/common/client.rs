//! Clients of presence, as anybody could write them: they publish, and know nothing else of the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use presence_engine::nats::Nats;
use presence_engine::nats::log::entry_ts_ms;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use super::{TestServer, eventually, soon};

/// Publishes to a subject that the log takes, and returns the sequence under which the log has it.
pub async fn publish(nats: &Nats, subject: &str, payload: impl Into<Bytes>) -> u64 {
    publish_with(nats, subject, HeaderMap::new(), payload).await
}

/// As [`publish`], with headers.
pub async fn publish_with(nats: &Nats, subject: &str, headers: HeaderMap, payload: impl Into<Bytes>) -> u64 {
    let (subject, payload) = (subject.to_owned(), payload.into());
    let ack = nats.jetstream.publish_with_headers(subject, headers, payload).await.expect("it can be sent");
    soon("the log takes it", ack.into_future()).await.expect("the log takes it").sequence
}

/// Publishes a signal of `main`'s as JSON.
pub async fn signal(nats: &Nats, user: &str, session: &str, signal: &Value) -> u64 {
    publish(nats, &format!("presence.v1.signal.main.{user}.{session}"), signal.to_string()).await
}

/// Publishes the plainest heartbeat there is.
pub async fn beat(nats: &Nats, user: &str, session: &str) -> u64 {
    publish(nats, &format!("presence.v1.signal.main.{user}.{session}"), "").await
}

/// The log's time of one of its entries.
pub async fn log_time(nats: &Nats, seq: u64) -> u64 {
    eventually("the log tells an entry's time", async || entry_ts_ms(nats, seq).await.ok().flatten()).await
}

/// A publish with any bytes as its headers; waits until the server has taken it.
pub async fn raw_publish(server: &TestServer, subject: &str, headers: &[u8], payload: &[u8]) {
    let mut socket = TcpStream::connect(("127.0.0.1", server.port())).await.expect("the server listens");
    let connect =
        br#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"lang":"raw","version":"0"}"#;
    let (all, length) = (headers.len() + payload.len(), headers.len());
    let publish = format!("HPUB {subject} {length} {all}\r\n");
    let sent = [&connect[..], b"\r\n", publish.as_bytes(), headers, payload, b"\r\nPING\r\n"].concat();
    socket.write_all(&sent).await.expect("the server reads");
    let mut answer = Vec::new();
    while !answer.windows(6).any(|bytes| bytes == b"PONG\r\n") {
        let n = soon("the server answers", socket.read_buf(&mut answer)).await.expect("the server speaks");
        assert!(n > 0, "the server refused it: {}", answer.escape_ascii());
    }
}

/// Sessions that go on beating until they are told to stop.
pub struct Beating {
    stop: Arc<AtomicBool>,
    /// Held by whoever wants silence, and by the sessions while they beat.
    voice: Arc<Mutex<()>>,
    beats: Arc<AtomicU64>,
    nats: Nats,
    task: Option<JoinHandle<()>>,
}

impl Beating {
    /// Each of `sessions` (`<user>.<session>` of `main`) beats every `every`, unacknowledged, by (epoch, seq).
    pub fn start(nats: &Nats, sessions: Vec<String>, every: Duration) -> Self {
        let (stop, voice, beats) =
            (Arc::<AtomicBool>::default(), Arc::<Mutex<()>>::default(), Arc::<AtomicU64>::default());
        let (own, stopped, counted, voices) = (nats.clone(), stop.clone(), beats.clone(), voice.clone());
        let task = tokio::spawn(async move {
            let mut interval = tokio::time::interval(every);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut seq = 0;
            while !stopped.load(Ordering::Relaxed) {
                interval.tick().await;
                let _voice = voices.lock().await;
                seq += 1;
                for session in &sessions {
                    let payload = format!(r#"{{"epoch":1,"seq":{seq}}}"#);
                    // While there is no connection it waits in the client, or is lost, as anybody's would.
                    own.client.publish(format!("presence.v1.signal.main.{session}"), payload.into()).await.ok();
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, voice, beats, nats: nats.clone(), task: Some(task) }
    }

    /// How often all have beaten.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// Waits until all have beaten `n` times more.
    pub async fn more(&self, n: u64) {
        let until = self.beats() + n;
        eventually("the sessions beat", async || (self.beats() >= until).then_some(())).await;
    }

    /// Nobody beats while this is held, and the log has what was beaten before.
    pub async fn silence(&self) -> MutexGuard<'_, ()> {
        let silence = self.voice.lock().await;
        // Behind all beats on their connection. The log takes entries of any kind, and they say nothing but the time.
        publish(&self.nats, "presence.v1.log.all.silence", "").await;
        silence
    }

    /// Stops beating; nothing is under way afterwards but what the client holds.
    pub async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.take() {
            task.await.expect("the sessions beat until they are stopped");
        }
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
