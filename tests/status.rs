//! `presence status`: one look at all engines and partitions, from beside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use common::client::beat;
use common::engine::{Engine, presence};
use common::{TestServer, eventually, streams};

const CONFIG: &str = r#"
[engine]
partitions = 16
checkpoint_every = "1s"
lease_ttl = "1s"
blind_after = "1100ms"
"#;

/// The exit code, what it shows, and what it says is missing.
fn status(url: &str) -> (Option<i32>, Value, String) {
    let output = presence(url, &["status", "-o", "json"]);
    let shown = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), shown, String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn whole_with(url: &str, engines: usize) -> Value {
    eventually("all is owned and live", async || {
        let (code, shown, _) = status(url);
        let live = shown["engines"].as_array()?.iter().filter(|engine| engine["state"] == "live").count();
        (code == Some(0) && live == engines).then_some(shown)
    })
    .await
}

fn owners(shown: &Value) -> Vec<Option<&str>> {
    shown["partitions"].as_array().unwrap().iter().map(|of| of["owner"].as_str()).collect()
}

#[tokio::test]
async fn engines_partitions_and_what_is_behind_them_are_shown() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engines = Vec::new();
    for _ in 0..3 {
        engines.push(Engine::start(&server.url(), CONFIG).await);
    }
    let seq = beat(&nats, "ada", "tab").await;
    streams::told_up_to(&nats, seq).await;
    let shown = eventually("each partition has a checkpoint", async || {
        let shown = whole_with(&server.url(), 3).await;
        let all = shown["partitions"].as_array()?.iter().all(|of| of["checkpoint_seq"].as_u64() >= Some(seq));
        all.then_some(shown)
    })
    .await;
    let engines_shown = shown["engines"].as_array().unwrap();
    assert_eq!(engines_shown.iter().map(|engine| engine["owned"].as_u64().unwrap()).sum::<u64>(), 16, "{shown}");
    let pids: BTreeSet<_> = engines_shown.iter().map(|engine| engine["pid"].as_u64().unwrap()).collect();
    assert_eq!(pids, engines.iter().map(|engine| u64::from(engine.pid())).collect());
    assert_eq!(owners(&shown).into_iter().collect::<BTreeSet<_>>().len(), 3, "{shown}");
    for of in shown["partitions"].as_array().unwrap() {
        assert_eq!(of["owner"], of["lease"], "{of}");
        assert!(of["epoch"].as_u64() >= Some(1) && of["told_seq"].as_u64() >= Some(seq), "{of}");
        assert!(of["checkpoint_age_ms"].is_u64() && of["lag"].is_u64(), "{of}");
    }
    let text = presence(&server.url(), &["status", "--partitions"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.starts_with("3 engines share 16 partitions; the log ends at entry "), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains(" live ")).count(), 3, "{text}");

    // One is stopped: it doesn't answer, and until the others have its partitions nobody does for them.
    let stopped = engines[1].pid();
    engines[1].pause();
    let silent = eventually("its silence is seen", async || {
        let (_, shown, _) = status(&server.url());
        let of = shown["engines"].as_array()?.iter().find(|engine| engine["pid"] == stopped)?.clone();
        (of["state"] == "silent").then_some(shown)
    })
    .await;
    assert_eq!(silent["engines"].as_array().unwrap().len(), 3);
    whole_with(&server.url(), 2).await;
    engines[1].resume();
    whole_with(&server.url(), 3).await;
}

#[tokio::test]
async fn what_nobody_owns_and_what_nobody_watched_is_said() {
    let mut server = TestServer::start().await;
    let nats = server.connect().await;
    let (code, _, said) = status(&server.url());
    assert_eq!(code, Some(1));
    assert!(said.contains("nothing was set up here yet"), "{said}");

    let mut engine = Engine::start(&server.url(), CONFIG).await;
    let seq = beat(&nats, "ada", "tab").await;
    streams::told_up_to(&nats, seq).await;
    let quiet = whole_with(&server.url(), 1).await;
    let blind = |shown: &Value| -> Vec<Value> {
        let unseen = shown["unseen"].as_array().unwrap().iter();
        unseen.filter(|unseen| unseen["what"] == "blind").cloned().collect()
    };
    let before = blind(&quiet).len();
    // Away for longer than blind_after.
    server.kill();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    server.restart().await;
    let shown = eventually("the gap is told", async || {
        let shown = whole_with(&server.url(), 1).await;
        (blind(&shown).len() > before).then_some(shown)
    })
    .await;
    let gap = blind(&shown).pop().unwrap();
    assert!(gap["to_ms"].as_u64().unwrap() - gap["from_ms"].as_u64().unwrap() > 1_100, "{gap}");

    engine.kill();
    let (code, shown, said) = status(&server.url());
    assert_eq!(code, Some(1));
    assert!(owners(&shown).iter().all(Option::is_none), "{shown}");
    assert!(said.contains("no engine answers for partitions 0-15"), "{said}");
    assert_eq!(shown["engines"][0]["state"], "silent", "it has not been missed yet: {shown}");
}
