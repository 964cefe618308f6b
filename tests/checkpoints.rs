//! A store that takes no checkpoints: the engine goes on, says so, and is found right by whoever comes after it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures::StreamExt;
use presence_engine::nats::{Nats, names};
use serde_json::Value;

use common::client::beat;
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
        let store = nats.jetstream.get_stream(names::store_stream(names::CHECKPOINTS)).await.ok()?;
        let named = store.info_with_subjects("$O.presence_checkpoints.M.>").await.ok()?;
        let named: Vec<_> = named.map(|page| page.unwrap().0).collect().await;
        let of: BTreeSet<_> = named.iter().map(|subject| partition(subject)).collect();
        (of.len() == PARTITIONS).then_some(())
    })
    .await;
}

/// The partition in a checkpoint's name, `<partition>/<seq>` in base 64.
fn partition(subject: &str) -> String {
    let name = URL_SAFE.decode(subject.rsplit('.').next().unwrap()).unwrap();
    String::from_utf8(name).unwrap().split_once('/').unwrap().0.to_owned()
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
