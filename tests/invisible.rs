//! Invisible is a projection: whoever reads all that is public finds no difference between a person who is invisible and one
//! whose sessions have all left.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::kv;
use presence_engine::nats::Nats;
use serde_json::{Value, json};

use common::client::{log_time, signal};
use common::engine::{Engine, STILL, info};
use common::told::Subscriber;
use common::{TestServer, eventually, streams};

const HIDES: &str = "ivan";
const LEAVES: &str = "lena";

/// What an engine tells anybody of itself, but for how old its checkpoints are.
fn timeless(info: Option<Value>) -> Value {
    let mut info = info.expect("the engine answers");
    for owned in info["owned"].as_array_mut().expect("it owns partitions") {
        owned["checkpoint"].take();
    }
    info
}

/// One who is watched: the log entries of what it said, with their times.
#[derive(Default)]
struct Watched {
    entries: Vec<(u64, u64)>,
}

impl Watched {
    async fn says(&mut self, nats: &Nats, name: &str, what: Value) {
        // Each in a millisecond of its own, so that a time tells what was said by then.
        if let Some((_, before)) = self.entries.last() {
            let is_over = || SystemTime::now() > UNIX_EPOCH + Duration::from_millis(before + 1);
            eventually("the log's millisecond is over", async || is_over().then_some(())).await;
        }
        let seq = signal(nats, name, "phone", &what).await;
        self.entries.push((seq, log_time(nats, seq).await));
    }

    /// A log time as what was said by then and how long ago; any other number as it is.
    fn place(&self, number: u64) -> Value {
        match self.entries.iter().rposition(|(_, at)| *at <= number) {
            Some(said) => json!(format!("entry {said} + {} ms", number - self.entries[said].1)),
            None => json!(number),
        }
    }

    fn entry(&self, seq: &Value) -> Value {
        json!(self.entries.iter().position(|(own, _)| Some(*own) == seq.as_u64()))
    }

    /// An event without whom it is about.
    fn normal(&self, event: &Value) -> Value {
        match event {
            Value::Number(number) => number.as_u64().map_or_else(|| event.clone(), |number| self.place(number)),
            Value::Array(all) => all.iter().map(|one| self.normal(one)).collect(),
            Value::Object(fields) => {
                let of_field = |(name, value): (&String, &Value)| {
                    let value = match name.as_str() {
                        "tenant" | "user" | "partition" => Value::Null,
                        // Of an id only the place within its entry is not told by the rest.
                        // What lies ahead lies ahead of the event.
                        "next" if value.is_object() => {
                            let ahead =
                                value["at_ms"].as_u64().zip(event["at_ms"].as_u64()).map(|(then, now)| then - now);
                            json!({"to": value["to"], "in_ms": ahead})
                        }
                        "until_ms" => {
                            json!(value.as_u64().zip(event["at_ms"].as_u64()).map(|(then, now)| then - now))
                        }
                        "seq" => self.entry(value),
                        "id" => json!(value.as_str().expect("an id is text").rsplit('-').next()),
                        // An incarnation is the time at which it began.
                        _ => self.normal(value),
                    };
                    (name.clone(), value)
                };
                Value::Object(fields.iter().map(of_field).collect())
            }
            Value::Null | Value::Bool(_) | Value::String(_) => event.clone(),
        }
    }

    /// All that was told of it in public, in its order.
    fn told(&self, name: &str, heard: &[(String, Value)]) -> Vec<(String, Value)> {
        let of_it =
            heard.iter().filter(|(subject, _)| is_public(subject) && subject.ends_with(&format!(".main.{name}")));
        of_it.map(|(subject, event)| (subject.replace(name, "somebody"), self.normal(event))).collect()
    }
}

/// Subjects of sessions are for operators and for the user itself.
fn is_public(subject: &str) -> bool {
    ["presence.v1.user.", "presence.v1.ready.", "presence.v1.gone.user."].iter().any(|kind| subject.starts_with(kind))
}

async fn in_the_bucket(nats: &Nats, name: &str) -> Option<(kv::Operation, Value)> {
    let users = streams::store(nats, "presence_users").await;
    let entry = users.entry(format!("main.{name}")).await.expect("the bucket answers")?;
    Some((entry.operation, serde_json::from_slice(&entry.value).unwrap_or_default()))
}

#[tokio::test]
async fn nobody_can_tell_an_invisible_person_from_one_who_left() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let engine = Engine::start(&server.url(), &format!("{STILL}[events]\nupdate_every = \"0s\"\n")).await;
    let subscriber = Subscriber::to_all(&nats).await;
    let (mut ivan, mut lena) = (Watched::default(), Watched::default());
    for (name, watched) in [(HIDES, &mut ivan), (LEAVES, &mut lena)] {
        watched.says(&nats, name, json!({"epoch": 1, "seq": 1, "can": ["audio", "video"]})).await;
        watched.says(&nats, name, json!({"epoch": 1, "seq": 2, "can": ["audio"], "input_age_ms": 0})).await;
    }
    let before = timeless(info(&nats.client).await);
    ivan.says(&nats, HIDES, json!({"epoch": 1, "seq": 3, "intent": "invisible", "meta": {"mood": "quiet"}})).await;
    lena.says(&nats, LEAVES, json!({"kind": "leave", "epoch": 1, "seq": 3})).await;
    subscriber.events_of("presence.v1.gone.user.main.ivan", 1).await;
    subscriber.events_of("presence.v1.gone.user.main.lena", 1).await;
    // What the one does meanwhile is its own; the other says something too that changes nothing.
    ivan.says(&nats, HIDES, json!({"epoch": 1, "seq": 4, "visibility": "hidden", "can": ["video"]})).await;
    lena.says(&nats, LEAVES, json!({"epoch": 1, "seq": 2})).await;
    ivan.says(
        &nats,
        HIDES,
        json!({"epoch": 1, "seq": 5, "visibility": "visible", "can": ["audio"], "input_age_ms": 0}),
    )
    .await;
    lena.says(&nats, LEAVES, json!({"kind": "update", "epoch": 1, "seq": 4, "can": []})).await;
    eventually("the engine has read it", async || {
        let folded = subscriber.events().iter().filter(|told| told.subject.contains(".session.main.ivan.")).count();
        (folded >= 5).then_some(())
    })
    .await;
    let gone = eventually("the bucket holds neither", async || {
        let (ivan, lena) = (in_the_bucket(&nats, HIDES).await, in_the_bucket(&nats, LEAVES).await);
        let is_gone = |entry: &Option<(kv::Operation, Value)>| {
            entry.as_ref().is_none_or(|(operation, _)| *operation == kv::Operation::Delete)
        };
        (is_gone(&ivan) && is_gone(&lena)).then_some((ivan, lena))
    })
    .await;
    assert_eq!(gone.0, gone.1);
    assert_eq!(timeless(info(&nats.client).await), before);

    ivan.says(&nats, HIDES, json!({"epoch": 1, "seq": 6, "intent": "open", "can": ["audio"], "input_age_ms": 0})).await;
    lena.says(&nats, LEAVES, json!({"epoch": 2, "seq": 1, "can": ["audio"], "input_age_ms": 0})).await;
    subscriber.events_of("presence.v1.ready.main.ivan", 4).await;
    subscriber.events_of("presence.v1.ready.main.lena", 4).await;
    for (name, watched) in [(HIDES, &ivan), (LEAVES, &lena)] {
        eventually("the bucket holds both again", async || {
            in_the_bucket(&nats, name).await.filter(|(operation, _)| *operation == kv::Operation::Put)
        })
        .await;
        assert_eq!(watched.entries.len(), 6);
    }
    let buckets = (in_the_bucket(&nats, HIDES).await.unwrap().1, in_the_bucket(&nats, LEAVES).await.unwrap().1);
    assert_eq!(ivan.normal(&buckets.0), lena.normal(&buckets.1));

    let live: Vec<_> = subscriber.heard().into_iter().map(|told| (told.subject, told.event)).collect();
    let stored: Vec<_> = (streams::read(&nats, "PRESENCE_EVENTS").await.into_iter())
        .map(|event| {
            (
                event.subject.replace("presence.commit.v1.", "presence.v1."),
                serde_json::from_slice(&event.payload).unwrap_or_default(),
            )
        })
        .collect();
    for heard in [&live, &stored] {
        let (of_ivan, of_lena) = (ivan.told(HIDES, heard), lena.told(LEAVES, heard));
        for (of_ivan, of_lena) in of_ivan.iter().zip(&of_lena) {
            assert_eq!(of_ivan, of_lena);
        }
        assert_eq!(of_ivan.len(), of_lena.len());
        let kinds = of_ivan.iter().fold(BTreeMap::<&str, usize>::new(), |mut kinds, (subject, _)| {
            *kinds.entry(subject.as_str()).or_default() += 1;
            kinds
        });
        let of_kind =
            |kind: &str| kinds.get(format!("presence.v1.{kind}.main.somebody").as_str()).copied().unwrap_or(0);
        assert_eq!((of_kind("user"), of_kind("ready"), of_kind("gone.user")), (3, 4, 1), "{of_ivan:?}");
    }
    engine.audit();
}
