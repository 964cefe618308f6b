//! What another policy would have told of the stored log.

use presence_engine::nats::LogIdentity;
use serde_json::json;

use super::common::client::{beat, log_time};
use super::common::engine::{Engine, STILL, presence};
use super::common::{TestServer, eventually};
use super::{json, told};

#[tokio::test]
async fn the_stored_log_is_folded_under_another_policy_and_compared() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    // Each beat comes after more than the 10 ms of quiet that the other policy allows, by the log's own time.
    for _ in 0..5 {
        let last = beat(&nats, "alice", "tab").await;
        let after = log_time(&nats, last).await + 300;
        eventually("the log's time passes", async || {
            let end = LogIdentity::read(&nats).await.ok()?.last_seq;
            (log_time(&nats, end).await >= after).then_some(())
        })
        .await;
    }
    engine.terminate().await;

    let file = engine.config().with_file_name("jumpy.toml");
    std::fs::write(&file, STILL.replace("idle_after = \"1h\"", "idle_after = \"10ms\"")).unwrap();
    let file = file.to_str().unwrap();
    let found = json(engine.presence(&["backtest", "--config", file, "-o", "json"]));
    let change = json!({"key": "profile.default.idle_after", "old": "1h", "new": "10ms"});
    assert_eq!((&found["changes"], &found["partitions"]), (&json!([change]), &json!(8)));
    let transitions = |of: &str, from: &str, to: &str| {
        let all = found[of]["sessions"]["transitions"].as_array().unwrap();
        all.iter().find(|of| of["from"] == from && of["to"] == to).map_or(0, |of| of["count"].as_u64().unwrap())
    };
    assert_eq!((transitions("in_force", "offline", "active"), transitions("in_force", "active", "idle")), (1, 0));
    assert_eq!(transitions("other", "offline", "active"), 1);
    assert!(transitions("other", "active", "idle") >= 1, "{found}");
    let flaps = |of: &str| found[of]["sessions"]["flaps"].as_u64().unwrap();
    assert_eq!((flaps("in_force"), flaps("other")), (0, transitions("other", "idle", "active")));
    assert!(found["policies"].as_u64().unwrap() >= 1, "the engine published its own");

    let (code, out, err) = told(engine.presence(&["backtest", "--config", file]));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("\nprofile.default.idle_after  1h → 10ms\n"), "{out}");
    assert!(out.contains("\noffline → active"), "{out}");

    let own = engine.config();
    let same = json(engine.presence(&["backtest", "--config", own.to_str().unwrap(), "-o", "json"]));
    assert_eq!((&same["changes"], &same["in_force"]), (&json!([]), &same["other"]));

    let nothing = engine.presence(&["backtest", "--config", file, "--since", "0s"]);
    let (code, _, err) = told(nothing);
    assert_eq!(code, 1);
    assert!(err.contains("the log holds no entry of that time"), "{err}");
}

#[tokio::test]
async fn an_empty_log_has_nothing_to_compare() {
    let (server, _nats) = TestServer::with_topology().await;
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config/presence.toml");
    let (code, _, err) = told(presence(&server.url(), &["backtest", "--config", config]));
    assert_eq!(code, 1);
    assert!(err.contains("the log holds no entry of that time"), "{err}");
}
