//! A store that takes no checkpoints: the engine goes on, says so, and is found right by whoever comes after it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures::StreamExt;
use presence_engine::nats::{Nats, names};
use serde_json::{Value, json};

use common::client::{beat, signal};
use common::engine::Engine;
use common::{TestServer, eventually, oracle, streams};

const PARTITIONS: usize = 4;
const CONFIG: &str = r#"
[engine]
partitions = 4
lease_ttl = "1s"
checkpoint_every = "1s"
"#;

/// The `checkpoint_stale` events, by partition.
async fn stale(nats: &Nats) -> BTreeMap<u64, Vec<Value>> {
    let mut by_partition = BTreeMap::<u64, Vec<Value>>::new();
    for event in streams::events_of(nats, "presence.v1.engine.").await {
        if event["what"] == "checkpoint_stale" {
            by_partition.entry(event["partition"].as_u64().unwrap()).or_default().push(event);
        }
    }
    by_partition
}

async fn stale_times(nats: &Nats, times: usize) -> BTreeMap<u64, Vec<Value>> {
    eventually("each partition tells that it has no fresh checkpoint", async || {
        let stale = stale(nats).await;
        (stale.len() == PARTITIONS && stale.values().all(|told| told.len() >= times)).then_some(stale)
    })
    .await
}

/// Waits until each partition has a checkpoint: a message for its name, and one at least for its content.
async fn all_have_one(nats: &Nats) {
    eventually("there are checkpoints", async || {
        let objects = objects(nats).await?;
        let of: BTreeSet<_> = objects.iter().map(|name| name.split_once('/').unwrap().0).collect();
        (of.len() == PARTITIONS).then_some(())
    })
    .await;
}

/// The names of the objects in the store, such as `<partition>/<seq>`: in base 64 each has a message. `None` without a store.
async fn objects(nats: &Nats) -> Option<Vec<String>> {
    let store = nats.jetstream.get_stream(names::store_stream(names::CHECKPOINTS)).await.ok()?;
    let named = store.info_with_subjects("$O.presence_checkpoints.M.>").await.ok()?;
    let name = |subject: &str| URL_SAFE.decode(subject.rsplit('.').next().unwrap()).unwrap();
    Some(named.map(|page| String::from_utf8(name(&page.unwrap().0)).unwrap()).collect().await)
}

#[tokio::test]
async fn partitions_without_a_fresh_checkpoint_are_told_once_until_there_is_one() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), CONFIG).await;
    beat(&nats, "ada", "tab").await;
    for times in 1..=2 {
        all_have_one(&nats).await;
        nats.jetstream.delete_stream(names::store_stream(names::CHECKPOINTS)).await.unwrap();
        stale_times(&nats, times).await;
        // It goes on meanwhile, and doesn't repeat itself.
        let seq = beat(&nats, "bob", &format!("tab-{times}")).await;
        streams::told_up_to(&nats, seq).await;
        engine.must_run();
        let setup = engine.presence(&["setup", "--config", engine.config().to_str().unwrap()]);
        assert!(setup.status.success(), "{}", String::from_utf8_lossy(&setup.stderr));
    }
    all_have_one(&nats).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    for (partition, told) in stale(&nats).await {
        let ids: Vec<_> = told.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids[..2], [format!("{partition}-e1-2"), format!("{partition}-e1-3")]);
        for event in &told {
            assert!(event["from_ms"].as_u64() <= event["to_ms"].as_u64(), "{event}");
            assert_eq!(event["at_ms"], event["to_ms"]);
        }
    }
    engine.audit();
    oracle::check(&nats).await;
}

/// One partition, so that a crowd that a test can afford is more than a checkpoint holds itself.
const CROWDED: &str = r#"
[engine]
partitions = 1
lease_ttl = "1s"
checkpoint_every = "1s"
"#;
const CROWD: usize = 1_500;

async fn segments(nats: &Nats) -> Vec<String> {
    objects(nats).await.unwrap().into_iter().filter(|name| name.starts_with("0/people/")).collect()
}

async fn is_stored_behind(nats: &Nats, last: u64) {
    eventually("a checkpoint behind that is stored", async || {
        let objects = objects(nats).await.unwrap();
        let seq = |name: &String| name.strip_prefix("0/").and_then(|seq| seq.parse::<u64>().ok());
        objects.iter().filter_map(seq).any(|seq| seq > last).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_crowd_is_written_once_and_restored_with_who_has_changed_since() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), CROWDED).await;
    let mut last = 0;
    for number in 0..CROWD {
        last = beat(&nats, &format!("user-{number}"), "tab").await;
    }
    streams::told_up_to(&nats, last).await;
    eventually("a segment is stored", async || (!segments(&nats).await.is_empty()).then_some(())).await;
    for number in 0..10 {
        last = signal(&nats, &format!("user-{number}"), "tab", &json!({"meta": {"n": number}})).await;
    }
    streams::told_up_to(&nats, last).await;
    is_stored_behind(&nats, last).await;
    let before = segments(&nats).await;
    engine.kill();
    engine.restart().await;
    let said = engine.stderr();
    assert!(said.contains(&format!("sessions={CROWD}")), "everybody is restored:\n{said}");
    last = beat(&nats, "late", "tab").await;
    streams::told_up_to(&nats, last).await;
    is_stored_behind(&nats, last).await;
    assert_eq!(segments(&nats).await, before, "the next life builds on what the one before wrote");
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    engine.audit();
    oracle::check(&nats).await;
}
