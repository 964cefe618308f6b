//! An engine that comes late, to a log that is long: it reads no faster than it can tell, and needs no more memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::BTreeSet;
use std::future::IntoFuture;

use futures::future::join_all;
use presence_engine::nats::Nats;
use serde_json::json;

use common::client::signal;
use common::engine::{Engine, STILL, audit, presence};
use common::{TestServer, eventually, oracle, soon, streams};

const CONFIG: &str = r#"
[engine]
partitions = 4
lease_ttl = "1s"
[limits]
pending_events = 1000
"#;
const USERS: usize = 100;
/// So many are published before the first has to be acknowledged.
const AHEAD: usize = 250;

/// Publishes signals of [`USERS`] users in turn, and returns the sequence of the last.
async fn publish(nats: &Nats, count: usize, payload: impl Fn(usize) -> String) -> u64 {
    let mut last = 0;
    for first in (0..count).step_by(AHEAD) {
        let mut acks = Vec::new();
        for n in first..count.min(first + AHEAD) {
            let subject = format!("presence.v1.signal.main.u{}.tab", n % USERS);
            acks.push(nats.jetstream.publish(subject, payload(n).into()).await.unwrap().into_future());
        }
        for ack in soon("the log takes it", join_all(acks)).await {
            last = ack.unwrap().sequence;
        }
    }
    last
}

async fn server() -> (TestServer, Nats) {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("presence.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let setup = presence(&server.url(), &["setup", "--config", config.to_str().unwrap()]);
    assert!(setup.status.success(), "{}", String::from_utf8_lossy(&setup.stderr));
    (server, nats)
}

/// What the process of an engine that has nothing to do needs, in kB.
async fn memory_of_an_idle_engine() -> u64 {
    let (server, _nats) = server().await;
    Engine::start(&server.url(), CONFIG).await.peak_memory_kb()
}

#[tokio::test]
async fn a_backlog_of_hundreds_of_megabytes_is_read_in_a_fraction_of_that() {
    let idle = memory_of_an_idle_engine().await;
    let (server, nats) = server().await;
    // Nobody knows the field, so nothing of it stays.
    let pad = "x".repeat(7_000);
    let last = publish(&nats, 60_000, |n| format!(r#"{{"epoch":1,"seq":{},"pad":"{pad}"}}"#, n + 1)).await;
    let mut engine = Engine::start(&server.url(), CONFIG).await;
    let leave = signal(&nats, "u0", "tab", &json!({"kind": "leave", "epoch": 2})).await;
    assert!(leave > last);
    streams::told_up_to(&nats, leave).await;
    let needed = engine.peak_memory_kb() - idle;
    assert!(
        needed < 100_000,
        "{needed} kB were needed for a backlog of 420,000 kB, beside the {idle} of an idle engine"
    );
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    engine.audit();
}

#[tokio::test]
async fn what_is_derived_faster_than_it_is_committed_waits_in_the_log() {
    let idle = memory_of_an_idle_engine().await;
    let (server, nats) = server().await;
    let meta = "x".repeat(900);
    let sight = |n: usize| if (n / USERS).is_multiple_of(2) { "active" } else { "away" };
    let toggle = |n: usize| json!({"epoch": 1, "seq": n + 1, "state": sight(n), "meta": {"app": meta}}).to_string();
    let last = publish(&nats, 30_000, toggle).await;
    let mut engine = Engine::start(&server.url(), CONFIG).await;
    let leave = signal(&nats, "u0", "tab", &json!({"kind": "leave", "epoch": 2})).await;
    assert!(leave > last);
    streams::told_up_to(&nats, leave).await;
    let needed = engine.peak_memory_kb() - idle;
    assert!(needed < 100_000, "{needed} kB were needed, beside the {idle} of an idle engine");
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    let told = streams::events_of(&nats, "presence.v1.session.").await;
    assert!(told.len() > 30_000, "each signal changes the state: {} are told", told.len());
    engine.audit();
    oracle::check(&nats).await;
}

/// The engines that own partitions, as the fences say.
async fn owners(nats: &Nats) -> BTreeSet<String> {
    streams::progress(nats).await.into_values().map(|progress| progress.owner).collect()
}

#[tokio::test]
async fn what_is_handed_over_in_the_midst_of_a_replay_finds_its_next_owner() {
    // Nothing falls, and no checkpoint is due: behind a restart nothing is committed.
    let config = STILL
        .replace("\"200ms\"", "\"1s\"")
        .replace("checkpoint_every = \"1s\"", "checkpoint_every = \"1h\"\nlog_retention = \"5h\"");
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut first = Engine::start(&server.url(), &config).await;
    publish(&nats, 200_000, |n| format!(r#"{{"epoch":1,"seq":{}}}"#, n + 1)).await;
    // What is told behind them has all of them read again.
    let last = publish(&nats, USERS, |_| r#"{"epoch":2,"rooms":["lobby"]}"#.into()).await;
    streams::told_up_to(&nats, last - USERS as u64).await;
    let before = owners(&nats).await;
    first.kill();
    first.respawn();
    eventually("it has its fences again", async || owners(&nats).await.is_disjoint(&before).then_some(())).await;
    let mut second = Engine::spawn(&server.url(), &config).await;
    eventually("both own partitions", async || (owners(&nats).await.len() == 2).then_some(())).await;
    second.live().await;
    for engine in [&mut first, &mut second] {
        assert_eq!(engine.terminate().await.status.code(), Some(0));
    }
    audit(&server.url());
}
