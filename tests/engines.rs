//! Several engines share one log: who owns what, handing over, taking over; nothing lost, nothing twice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use presence_engine::nats::{LogIdentity, Nats, names};
use serde_json::{Value, json};

use common::client::{Beating, beat, signal};
use common::engine::{Engine, audit};
use common::{TestServer, eventually, oracle, streams};

/// Sixteen partitions, and sessions that fall within seconds.
const SHARED: &str = r#"
[engine]
partitions = 16
checkpoint_every = "1s"
lease_ttl = "1s"
[profile.default]
idle_after = "400ms"
away_after = "800ms"
stale_after = "1200ms"
offline_after = "1600ms"
disconnect_grace = "400ms"
tombstone = "5s"
"#;

/// How many partitions each engine owns, by its name, as the fences say.
async fn shares(nats: &Nats) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for progress in streams::progress(nats).await.into_values() {
        *shares.entry(progress.owner).or_default() += 1;
    }
    shares
}

/// Waits until the partitions are shared by so many engines, none with more than its part.
async fn shared_by(nats: &Nats, engines: usize) -> BTreeSet<String> {
    eventually("the partitions are shared", async || {
        let shares = shares(nats).await;
        let is_fair = shares.len() == engines && shares.values().all(|count| *count <= 16_usize.div_ceil(engines));
        is_fair.then(|| shares.into_keys().collect())
    })
    .await
}

/// Sessions of some users in all partitions beat; a part of them comes and goes.
async fn load(nats: &Nats, round: u64) {
    for user in 0..40 {
        if user % 4 < 2 || (user + round).is_multiple_of(3) {
            beat(nats, &format!("u{user}"), "tab").await;
        }
        if user % 4 == 3 && (user + round).is_multiple_of(5) {
            signal(nats, &format!("u{user}"), "tab", &json!({"kind": "leave"})).await;
        }
    }
}

/// Ends the engines; everything that was published is told then, exactly once and as one fold tells it.
async fn is_whole<'e>(server: &TestServer, nats: &Nats, engines: impl IntoIterator<Item = &'e mut Engine>) -> Value {
    let last = LogIdentity::read(nats).await.unwrap().last_seq;
    streams::told_up_to(nats, last).await;
    for engine in engines {
        assert_eq!(engine.terminate().await.status.code(), Some(0));
    }
    let counts = audit(&server.url());
    oracle::check(nats).await;
    counts
}

#[tokio::test]
async fn engines_that_come_and_go_share_the_partitions() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut first = Engine::start(&server.url(), SHARED).await;
    load(&nats, 0).await;
    let alone = shared_by(&nats, 1).await;
    let mut second = Engine::start(&server.url(), SHARED).await;
    let two = shared_by(&nats, 2).await;
    assert!(alone.is_subset(&two), "who was there stays");
    load(&nats, 1).await;
    let mut third = Engine::start(&server.url(), SHARED).await;
    shared_by(&nats, 3).await;
    load(&nats, 2).await;
    assert_eq!(second.terminate().await.status.code(), Some(0));
    shared_by(&nats, 2).await;
    load(&nats, 3).await;
    let counts = is_whole(&server, &nats, [&mut first, &mut third]).await;
    assert!(counts["session_events"].as_u64().unwrap() > 80, "{counts}");
    // Handing over is no gap: time went on for all, and nobody was excused.
    let blind = |stored: &&streams::Stored| {
        stored.subject.starts_with("presence.v1.engine.") && stored.json()["what"] == "blind"
    };
    let events = streams::read(&nats, names::EVENTS).await;
    assert!(!events.iter().any(|stored| blind(&stored)), "somebody was excused");
    // All leases are given back.
    let leases = streams::bucket(&nats, names::LEASES_BUCKET).await;
    assert!(leases.len() == 16 && leases.values().all(|lease| lease["engine"].is_null()), "{leases:?}");
    assert!(streams::bucket(&nats, names::MEMBERS_BUCKET).await.is_empty());
}

#[tokio::test]
async fn what_a_killed_engine_owned_is_taken_over() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut first = Engine::start(&server.url(), SHARED).await;
    let mut second = Engine::start(&server.url(), SHARED).await;
    shared_by(&nats, 2).await;
    let heart = Beating::start(&nats, vec!["steady.tab".into()], Duration::from_millis(100));
    for round in 0..3 {
        load(&nats, round).await;
        first.kill();
        load(&nats, round + 1).await;
        let one = shared_by(&nats, 1).await;
        assert_eq!(one.len(), 1);
        first.restart().await;
        shared_by(&nats, 2).await;
    }
    heart.more(5).await;
    heart.stop().await;
    is_whole(&server, &nats, [&mut first, &mut second]).await;
    let told = streams::events(&nats).await;
    let steady: Vec<_> = told.iter().filter(|stored| stored.subject == "presence.v1.user.main.steady").collect();
    let lost = steady.iter().map(|stored| stored.json()).filter(|event| event["to"] == "offline").count();
    assert!(lost <= 1, "who beats all along goes offline only when it stops: {steady:?}");
}

#[tokio::test]
async fn an_engine_that_was_stopped_finds_out_and_goes_on() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut first = Engine::start(&server.url(), SHARED).await;
    let mut second = Engine::start(&server.url(), SHARED).await;
    let both = shared_by(&nats, 2).await;
    for round in 0..2 {
        load(&nats, round).await;
        first.pause();
        load(&nats, round + 1).await;
        shared_by(&nats, 1).await;
        load(&nats, round + 2).await;
        first.resume();
        assert_eq!(shared_by(&nats, 2).await, both, "under its name of before");
    }
    is_whole(&server, &nats, [&mut first, &mut second]).await;
}

#[tokio::test]
async fn all_engines_are_restarted_one_after_the_other() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engines = Vec::new();
    for _ in 0..3 {
        engines.push(Engine::start(&server.url(), SHARED).await);
    }
    let before = shared_by(&nats, 3).await;
    for (round, engine) in (0..).zip(&mut engines) {
        load(&nats, round).await;
        assert_eq!(engine.terminate().await.status.code(), Some(0));
        load(&nats, round + 1).await;
        engine.restart().await;
        shared_by(&nats, 3).await;
    }
    assert!(shared_by(&nats, 3).await.is_disjoint(&before));
    let counts = is_whole(&server, &nats, &mut engines).await;
    assert!(counts["session_events"].as_u64().unwrap() > 80, "{counts}");
}
