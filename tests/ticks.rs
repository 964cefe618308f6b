//! The log takes ticks and nobody says so: what lies between is excused, since signals may fare no better.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::BTreeSet;

use common::client::beat;
use common::engine::{Engine, audit};
use common::{TestServer, Wire, eventually, oracle, streams};

const CONFIG: &str = r#"
[engine]
partitions = 4
lease_ttl = "1s"
checkpoint_every = "1s"
blind_after = "1m"
"#;

#[tokio::test]
async fn time_between_ticks_that_nobody_acknowledged_is_told_and_excused() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let wire = Wire::to(&server).await;
    let mut engine = Engine::start(&wire.url(), CONFIG).await;
    let seq = beat(&nats, "ada", "tab").await;
    streams::told_up_to(&nats, seq).await;
    wire.deafen();
    eventually("a tick says that the one before it failed", async || {
        let log = streams::log(&nats).await;
        let has_failed = |entry: &streams::Stored| {
            entry.subject.ends_with(".all.tick") && entry.json()["failed"].as_u64().is_some_and(|failed| failed > 0)
        };
        log.iter().any(has_failed).then_some(())
    })
    .await;
    wire.cut();
    let told = eventually("each partition tells that ticks failed", async || {
        let told = streams::events_of(&nats, "presence.v1.engine.").await;
        let failed: Vec<_> = told.into_iter().filter(|event| event["what"] == "ticks_failed").collect();
        let partitions: BTreeSet<_> = failed.iter().map(|event| event["partition"].as_u64().unwrap()).collect();
        (partitions.len() == 4).then_some(failed)
    })
    .await;
    for event in &told {
        assert!(event["from_ms"].as_u64() < event["to_ms"].as_u64(), "{event}");
        assert_eq!(event["at_ms"], event["to_ms"], "{event}");
    }
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    audit(&server.url());
    oracle::check(&nats).await;
}
