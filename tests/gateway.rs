//! Gateways with a real server and engine: what they take arrives once, in its order and with its age, whatever happens between.

mod common;
#[path = "gateway/verb.rs"]
mod verb;

use std::time::{Duration, Instant};

use common::engine::{Engine, STILL};
use common::streams::log;
use common::told::Subscriber;
use common::{TestServer, Wire, connect, eventually, soon};
use presence_engine::client::{Error, Gateway, GatewayCounts, Gathering};
use presence_engine::model::partition_of;
use presence_engine::nats::Nats;
use serde_json::{Value, json};

/// A gateway that lets nobody wait.
fn start(nats: &Nats, name: &str) -> Gateway {
    start_with(nats, Gathering::named(name).every(Duration::ZERO))
}

fn start_with(nats: &Nats, gathering: Gathering) -> Gateway {
    Gateway::start(nats.client.clone(), gathering).expect("it can have this name")
}

async fn hold(gateway: &Gateway, user: &str, payload: impl AsRef<[u8]>) {
    soon("it is taken", gateway.hold("main", user, "tab", payload.as_ref())).await.expect("it is a signal");
}

async fn close(gateway: Gateway) -> GatewayCounts {
    soon("what is held is published", gateway.close()).await.expect("the log has it")
}

async fn until_stored(gateway: &Gateway, count: u64) {
    eventually(&format!("{count} signals are stored: {:?}", gateway.counts()), async || {
        (gateway.counts().stored >= count).then_some(())
    })
    .await;
}

/// The items of all batches in the log, in its order, each with its tenant.
async fn items(nats: &Nats) -> Vec<(String, Value)> {
    let log = log(nats).await;
    let batches = log.iter().filter(|entry| entry.subject.contains(".batch."));
    let items = batches.flat_map(|entry| {
        let tenant = entry.subject.split('.').nth(5).expect("a batch names its tenant").to_owned();
        let batch: Value = rmp_serde::from_slice(&entry.payload).expect("gateways write MessagePack");
        let items = batch["signals"].as_array().expect("a batch has signals").clone();
        items.into_iter().map(move |item| (tenant.clone(), item))
    });
    items.collect()
}

/// The `seq` of a user's items in the log.
async fn seqs(nats: &Nats, user: &str) -> Vec<u64> {
    let items = items(nats).await;
    items.iter().filter(|(_, item)| item["u"] == user).map(|(_, item)| item["seq"].as_u64().expect("a seq")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_of_several_tenants_and_encodings_make_sessions() {
    let server = TestServer::start().await;
    let engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let told = Subscriber::on(&nats, "presence.v1.session.>").await;
    let gateway = start(&nats, "edge 1");
    let said = json!({"seq": 1, "state": "active", "rooms": ["the lobby"], "meta": {"app": "editor"}});
    hold(&gateway, "a@b", said.to_string()).await;
    hold(&gateway, "bob", rmp_serde::to_vec_named(&said).expect("it is MessagePack")).await;
    hold(&gateway, "carol", "").await;
    gateway.hold("other tenant", "ada", "tab", b"{}").await.expect("it is a signal");
    for subject in ["main.a=40b.tab", "main.bob.tab"] {
        let event = told.events_of(&format!("presence.v1.session.{subject}"), 1).await.remove(0);
        assert_eq!((&event["rooms"], &event["meta"]), (&said["rooms"], &said["meta"]), "{event}");
    }
    for subject in ["main.carol.tab", "other=20tenant.ada.tab"] {
        told.until_state(&format!("presence.v1.session.{subject}"), "active").await;
    }
    hold(&gateway, "bob", r#"{"kind":"leave"}"#).await;
    told.until_state("presence.v1.session.main.bob.tab", "offline").await;
    let counts = close(gateway).await;
    assert_eq!((counts.taken, counts.stored, counts.held, counts.dropped, counts.partitions), (5, 5, 0, 0, 8));
    engine.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_as_old_as_it_is() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let told = Subscriber::on(&nats, "presence.v1.session.>").await;
    let gateway = start(&nats, "edge");
    let before = Instant::now();
    hold(&gateway, "ada", "").await;
    let held = Instant::now();
    // There is no log yet, and nobody who knows its partitions.
    let engine = Engine::start(&server.url(), STILL).await;
    let least = held.elapsed();
    let event = told.events_of("presence.v1.session.main.ada.tab", 1).await.remove(0);
    let most = before.elapsed();
    let age = event["at_ms"].as_u64().expect("a time") - event["last_seen_ms"].as_u64().expect("a time");
    let age = Duration::from_millis(age);
    // The engine is live a moment before its log is known to the test.
    assert!(
        age <= most && age + Duration::from_secs(1) >= least.min(Duration::from_secs(30)),
        "{age:?} of {least:?} to {most:?}"
    );
    close(gateway).await;
    engine.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_heard_and_did_not_acknowledge_is_stored_once_and_in_order() {
    let server = TestServer::start().await;
    let engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let wire = Wire::to(&server).await;
    let wired = connect(&wire.url()).await;
    let gateway = start(&wired, "edge");
    let said = async |seqs: std::ops::Range<u64>| {
        for seq in seqs {
            hold(&gateway, "ada", json!({"seq": seq}).to_string()).await;
        }
    };
    said(1..6).await;
    until_stored(&gateway, 5).await;
    wire.deafen();
    said(6..11).await;
    // The log has some of them, and the gateway can't know.
    eventually("the server hears it", async || (seqs(&nats, "ada").await.len() > 5).then_some(())).await;
    said(11..21).await;
    wire.cut();
    until_stored(&gateway, 20).await;
    wire.take_down();
    said(21..31).await;
    wire.mend();
    until_stored(&gateway, 30).await;
    assert_eq!(seqs(&nats, "ada").await, (1..31).collect::<Vec<_>>());
    let counts = close(gateway).await;
    assert!(counts.again > 0 && counts.foreign == 0, "{counts:?}");
    engine.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_away_gets_what_was_held_and_the_newest_of_each_session_is_kept() {
    let mut server = TestServer::start().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let gathering = Gathering::named("edge").every(Duration::ZERO).held_max(100);
    let gateway = start_with(&nats, gathering);
    hold(&gateway, "ada", json!({"seq": 1}).to_string()).await;
    until_stored(&gateway, 1).await;
    server.kill();
    for seq in 2..152 {
        hold(&gateway, "ada", json!({"seq": seq}).to_string()).await;
    }
    hold(&gateway, "bob", json!({"seq": 1}).to_string()).await;
    let dropped = eventually("some are dropped", async || {
        let counts = gateway.counts();
        (counts.taken == 152 && counts.dropped > 0).then_some(counts.dropped)
    })
    .await;
    assert!(gateway.counts().held <= 100);
    server.restart().await;
    until_stored(&gateway, 152 - dropped).await;
    let ada = seqs(&nats, "ada").await;
    assert_eq!((ada.first(), ada.last()), (Some(&1), Some(&151)));
    assert!(ada.is_sorted() && seqs(&nats, "bob").await == [1], "{ada:?}");
    close(gateway).await;
    engine.terminate().await;
}

#[tokio::test]
async fn however_many_sessions_there_are_no_more_is_held_than_the_limit() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    // Nobody tells the partitions, so nothing can be published.
    let gateway = start_with(&nats, Gathering::named("edge").held_max(100));
    for n in 0..1_000 {
        hold(&gateway, &format!("user-{n}"), "").await;
    }
    eventually("it has looked at all of them", async || (gateway.counts().taken == 1_000).then_some(())).await;
    let counts = gateway.counts();
    assert!(counts.held <= 100 && counts.held + counts.dropped == 1_000, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_says_that_it_lives_and_its_death_is_told_and_excuses_its_sessions() {
    let server = TestServer::start().await;
    let engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let told = Subscriber::to_all(&nats).await;
    let gateway = start(&nats, "edge");
    hold(&gateway, "ada", "").await;
    let partition = partition_of("main", "ada", 8);
    let batches = format!("presence.v1.log.{partition}.batch.main.edge");
    eventually("three life signs", async || {
        let count = log(&nats).await.iter().filter(|entry| entry.subject == batches).count();
        (count >= 5).then_some(())
    })
    .await;
    let silent = |told: &Subscriber| told.events().iter().filter(|told| told.event["what"] == "gateway_silent").count();
    assert_eq!(silent(&told), 0, "it lives");
    close(gateway).await;
    let told = told.until("its silence is told", |heard| {
        heard.iter().find(|told| told.event["what"] == "gateway_silent").map(|told| told.event.clone())
    });
    assert_eq!(told.await["partition"], partition);
    eventually("its sessions are excused", async || {
        let output = engine.presence(&["explain", "ada", "-o", "json"]);
        let explained: Value = serde_json::from_slice(&output.stdout).ok()?;
        (explained["standing"]["sessions"][0]["gateway_excused_ms"].as_u64()? > 0).then_some(())
    })
    .await;
    engine.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_of_one_name_lose_nothing_and_are_told() {
    let server = TestServer::start().await;
    let engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let (one, other) = (start(&nats, "edge"), start(&nats, "edge"));
    for seq in 1..51 {
        hold(&one, "ada", json!({"seq": seq}).to_string()).await;
        hold(&other, "ada", json!({"seq": 100 + seq}).to_string()).await;
    }
    let (one, other) = (close(one).await, close(other).await);
    assert_eq!((one.stored, other.stored), (50, 50));
    assert!(one.foreign + other.foreign > 0, "{one:?} {other:?}");
    let seqs = seqs(&nats, "ada").await;
    assert_eq!(seqs.len(), 100);
    assert!(seqs.iter().filter(|seq| **seq <= 100).is_sorted() && seqs.iter().filter(|seq| **seq > 100).is_sorted());
    engine.audit();
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_and_an_end_without_a_server_says_what_was_held() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let named = Gateway::start(nats.client.clone(), Gathering::named(""));
    assert!(matches!(named, Err(Error::Name { what: "gateway", .. })), "{named:?}");
    let gateway = start(&nats, "edge");
    let refused = gateway.hold("main", "ada", "tab", b"hello").await.expect_err("it is no signal").to_string();
    assert!(refused.contains("neither a JSON object nor one whole MessagePack map"), "{refused}");
    hold(&gateway, "ada", "").await;
    // No engine, so nobody tells the partitions.
    let held = soon("it gives up", gateway.close()).await.expect_err("nobody has it").to_string();
    assert!(held.contains("1 signals were still held"), "{held}");
}
