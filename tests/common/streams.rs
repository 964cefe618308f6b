//! What the streams and buckets hold.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::kv;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use presence_engine::nats::{LogIdentity, Nats, names};
use presence_engine::wire::Progress;
use serde_json::{Value, json};

use super::{eventually, soon};

/// A stored message.
#[derive(Debug, Clone)]
pub struct Stored {
    pub seq: u64,
    pub ts_ms: u64,
    pub subject: String,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

impl Stored {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(async_nats::HeaderValue::as_str)
    }

    /// The payload as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or_else(|error| panic!("{}: {error}", self.subject))
    }
}

/// Everything that a stream holds, in its order.
pub async fn read(nats: &Nats, name: &str) -> Vec<Stored> {
    eventually(&format!("{name} is read"), async || try_read(nats, name).await).await
}

/// The same; nothing where the server can't be asked, as while a cluster elects its leaders.
async fn try_read(nats: &Nats, name: &str) -> Option<Vec<Stored>> {
    let stream = nats.jetstream.get_stream(name).await.ok()?;
    let config = pull::Config { ack_policy: AckPolicy::None, memory_storage: true, ..pull::Config::default() };
    let consumer = stream.create_consumer(config).await.ok()?;
    let mut left = consumer.cached_info().num_pending;
    let mut stored = Vec::new();
    while left > 0 {
        let before = stored.len();
        let mut batch = consumer.fetch().max_messages(2_000).messages().await.ok()?;
        while let Some(message) = soon("a stored message comes", batch.next()).await {
            let message = message.ok()?;
            let info = message.info().expect("a stored message says where it is");
            left = info.pending;
            stored.push(Stored {
                seq: info.stream_sequence,
                ts_ms: u64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).expect("after 1970"),
                subject: message.subject.to_string(),
                headers: message.headers.clone().unwrap_or_default(),
                payload: message.payload.clone(),
            });
        }
        if stored.len() == before {
            // What was to come was rolled up meanwhile.
            break;
        }
    }
    Some(stored)
}

/// The log.
pub async fn log(nats: &Nats) -> Vec<Stored> {
    read(nats, names::LOG).await
}

/// Whether log time was observed time throughout: then a deadline is told as the signal's time and the threshold, to the
/// millisecond. A tick that failed on a busy machine excuses time, and what falls due falls later.
pub fn is_calm(log: &[Stored]) -> bool {
    log.windows(2).all(|pair| pair[1].ts_ms.saturating_sub(pair[0].ts_ms) <= 3_000)
        && log.iter().filter(|entry| entry.subject.ends_with(".tick")).all(|tick| tick.json()["failed"] == 0)
}

/// The log, entry by entry and without headers: some are such that no client could read them.
pub async fn log_without_headers(nats: &Nats) -> Vec<Stored> {
    let log = LogIdentity::read(nats).await.expect("the log is there");
    let seqs: Vec<_> = (log.first_seq..=log.last_seq).collect();
    let mut stored = Vec::new();
    for seqs in seqs.chunks(500) {
        stored.extend(join_all(seqs.iter().map(|seq| entry(nats, *seq))).await);
    }
    stored
}

async fn entry(nats: &Nats, seq: u64) -> Stored {
    let subject = format!("STREAM.MSG.GET.{}", names::LOG);
    let answer: Value = nats.jetstream.request(subject, &json!({"seq": seq})).await.expect("the server answers");
    let message = &answer["message"];
    let text = |field: &str| message[field].as_str().unwrap_or_default();
    let time = humantime::parse_rfc3339(text("time")).unwrap_or_else(|error| panic!("{answer}: {error}"));
    let since = time.duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Stored {
        seq,
        ts_ms: u64::try_from(since.as_millis()).expect("some centuries"),
        subject: text("subject").to_owned(),
        headers: HeaderMap::new(),
        payload: STANDARD.decode(text("data")).expect("base64").into(),
    }
}

/// What is stored of events: no progress, and no deletions for the buckets.
pub async fn events(nats: &Nats) -> Vec<Stored> {
    let mut stored = read(nats, names::EVENTS).await;
    stored.retain(|stored| is_event(&stored.subject));
    stored
}

/// The stored events of the subjects that begin so.
pub async fn events_of(nats: &Nats, prefix: &str) -> Vec<Value> {
    let of = events(nats).await;
    of.iter().filter(|stored| stored.subject.starts_with(prefix)).map(Stored::json).collect()
}

pub fn is_event(subject: &str) -> bool {
    ["session", "user", "ready", "engine", "rejected"].iter().any(|kind| {
        subject
            .strip_prefix("presence.v1.")
            .and_then(|rest| rest.strip_prefix(kind))
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// Each partition's progress.
pub async fn progress(nats: &Nats) -> BTreeMap<u16, Progress> {
    let stored = read(nats, names::EVENTS).await;
    let progress = stored.iter().filter_map(|stored| {
        let partition = stored.subject.strip_prefix("presence.v1.progress.")?.parse().ok()?;
        Some((partition, Progress::from_json(&stored.payload).expect("a progress can be read")))
    });
    progress.collect()
}

/// Waits until every partition has told all that the log says up to `seq`.
pub async fn told_up_to(nats: &Nats, seq: u64) {
    eventually(&format!("everything up to log entry {seq} is told"), async || {
        let progress = progress(nats).await;
        (!progress.is_empty() && progress.values().all(|progress| progress.input_seq >= seq)).then_some(())
    })
    .await;
}

/// The bucket as a client of the key-value store sees it: the JSON of each key that is there.
pub async fn bucket(nats: &Nats, name: &str) -> BTreeMap<String, Value> {
    let store = store(nats, name).await;
    let mut values = BTreeMap::new();
    let mut keys = store.keys().await.expect("the keys can be listed");
    while let Some(key) = soon("a key comes", keys.next()).await {
        let key = key.expect("a key can be read");
        if let Some(value) = store.get(key.as_str()).await.expect("a value can be read") {
            values.insert(key, serde_json::from_slice(&value).expect("a value is JSON"));
        }
    }
    values
}

pub async fn store(nats: &Nats, name: &str) -> kv::Store {
    nats.jetstream.get_key_value(name).await.expect("the bucket is there")
}
