//! Why a state is what it is: derived beside the engine, with the evidence.

use presence_engine::nats::topology::{self, Parameters};
use presence_engine::nats::{Nats, names};
use serde_json::{Value, json};

use super::common::client::{beat, signal};
use super::common::engine::{Engine, STILL};
use super::common::told::Subscriber;
use super::common::{TestServer, eventually, streams};
use super::{json, told};

const USER: &str = "presence.v1.user.main.alice";

fn quick() -> String {
    STILL.replace("idle_after = \"1h\"", "idle_after = \"1s\"")
}

fn explain(engine: &Engine, user: &str) -> Value {
    json(engine.presence(&["explain", user, "-o", "json"]))
}

#[tokio::test]
async fn a_state_is_explained_by_its_signals_deadlines_and_transitions() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let engine = Engine::start(&server.url(), &quick()).await;
    let subscriber = Subscriber::to_all(&nats).await;
    let entry = signal(&nats, "alice", "tab=201", &json!({"epoch": 7, "seq": 1, "state": "active"})).await;
    subscriber.until_state(USER, "active").await;
    subscriber.until_state(USER, "idle").await;

    let told_json = explain(&engine, "alice");
    let standing = &told_json["standing"];
    assert_eq!((&standing["state"], &standing["best"]), (&json!("idle"), &json!("tab 1")));
    let tab = &standing["sessions"][0];
    assert_eq!((&tab["session"], &tab["state"], &tab["epoch"]), (&json!("tab 1"), &json!("idle"), &json!(7)));
    assert!(tab["why"].as_str().unwrap().starts_with("no input for "), "{tab}");
    assert!(tab["why"].as_str().unwrap().ends_with(", which is 1s or more"), "{tab}");
    assert_eq!(tab["thresholds"]["idle_after_ms"], 1_000);
    assert_eq!(tab["thresholds"]["offline_after_ms"], 4 * 3_600_000);
    let last = &tab["last_signal"];
    assert_eq!((&last["entry"], &last["said"]), (&json!(entry), &json!("heartbeat, state active, epoch 7, seq 1")));
    let ms = |value: &Value| value.as_u64().unwrap();
    assert_eq!(
        ms(&tab["last_seen_ms"]),
        ms(&last["at_ms"]) + ms(&tab["excused_ms"]),
        "told times leave out what is excused"
    );
    let way: Vec<_> =
        tab["deadlines"].as_array().unwrap().iter().map(|of| (&of["to"], of["in_ms"].is_null())).collect();
    let idle = json!("idle");
    assert_eq!(way[0], (&idle, true));
    assert!(way[1..].iter().all(|(_, come)| !come), "{tab}");

    let transitions = told_json["transitions"].as_array().unwrap();
    let evidence: Vec<_> = transitions
        .iter()
        .map(|of| (of["event"]["kind"].as_str().unwrap(), of["event"]["to"].as_str().unwrap(), &of["evidence"]["what"]))
        .collect();
    let (beat, tick) = (json!("tab 1: heartbeat, state active, epoch 7, seq 1"), json!("time passed: a tick"));
    let expected =
        [("session", "active", &beat), ("user", "active", &beat), ("session", "idle", &tick), ("user", "idle", &tick)];
    assert_eq!(evidence, expected);
    assert_eq!(transitions[0]["evidence"]["entry"], entry);

    let (code, out, err) = told(engine.presence(&["explain", "alice", "--last", "1"]));
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("alice is idle: the state of its best session, tab 1\n"), "{out}");
    assert!(out.contains("\ntab 1  idle: no input for "), "{out}");
    assert_eq!(out.matches("by log entry").count(), 1, "{out}");

    let (code, out, _) = told(engine.presence(&["explain", "nobody"]));
    assert_eq!(code, 0);
    assert!(out.starts_with("nobody is offline: nothing is kept of it\n"), "{out}");
    assert!(out.ends_with("\nno transition is stored\n"), "{out}");
}

#[tokio::test]
async fn it_is_derived_from_a_checkpoint_and_the_log_behind_it() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    beat(&nats, "alice", "laptop").await;
    engine.terminate().await;
    // Nothing moves the log's time now, so what passes is watched by nobody.
    let (code, out, err) = told(engine.presence(&["explain", "alice"]));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(" from the checkpoint at "), "{out}");
    assert!(out.starts_with("alice is active: "), "{out}");

    engine.restart().await;
    let last = beat(&nats, "alice", "phone").await;
    streams::told_up_to(&nats, last).await;
    let told = explain(&engine, "alice");
    let names: Vec<_> = told["standing"]["sessions"].as_array().unwrap().iter().map(|of| &of["session"]).collect();
    assert_eq!(names, ["laptop", "phone"]);
    assert_eq!(told["standing"]["best"], "phone", "its input is the later one");
}

/// Deletes every checkpoint.
async fn forget(nats: &Nats) {
    let store = names::store_stream(names::CHECKPOINTS);
    nats.jetstream.get_stream(store).await.unwrap().purge().await.unwrap();
}

#[tokio::test]
async fn where_neither_checkpoint_nor_log_reaches_it_is_said() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let last = beat(&nats, "alice", "laptop").await;
    streams::told_up_to(&nats, last).await;
    engine.terminate().await;

    forget(&nats).await;
    let told_json = explain(&engine, "alice");
    assert_eq!(told_json["derived"]["checkpoint"], Value::Null, "the log alone reaches");
    assert_eq!(told_json["standing"]["state"], "active");

    nats.jetstream.delete_stream(names::LOG).await.unwrap();
    let parameters = Parameters { partitions: 8, ..Parameters::default() };
    eventually("there is a log", async || topology::setup(&nats, &parameters).await.ok()).await;
    let (code, out, err) = told(engine.presence(&["explain", "alice"]));
    assert_eq!(code, 0, "{err}");
    assert!(
        out.starts_with(
            "what is kept of alice can't be derived\nthere is no checkpoint of it, and the log is not the one"
        ),
        "{out}"
    );
    assert!(out.contains("offline → active   joined"), "what was told is still there: {out}");
    assert!(out.contains("no longer in the log"), "{out}");
}
