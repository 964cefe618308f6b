//! The policy in force: shown, changed live, and not changed by what is refused.

use std::io::Read;
use std::process::Stdio;

use presence_engine::nats::LogIdentity;
use serde_json::json;

use super::common::TestServer;
use super::common::client::beat;
use super::common::engine::{Engine, STILL, command, presence};
use super::common::{eventually, streams};
use super::{json, told};

/// `STILL` with another threshold and one more profile.
fn livelier() -> String {
    STILL.replace("idle_after = \"1h\"", "idle_after = \"90m\"")
        + "[profile.kiosk]\nidle_after = \"2m\"\naway_after = \"1h\"\n"
}

#[tokio::test]
async fn a_policy_comes_into_force_live_and_says_what_changes() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let last = beat(&nats, "bob", "tab").await;
    streams::told_up_to(&nats, last).await;
    let file = engine.config().with_file_name("other.toml");
    std::fs::write(&file, livelier()).unwrap();
    let file = file.to_str().unwrap();

    let unchanged = json(engine.presence(&["policy", "apply", engine.config().to_str().unwrap(), "-o", "json"]));
    assert_eq!(unchanged, json!({"applied": false, "partitions": 8, "waiting": [], "changes": []}));

    let (code, out, err) = told(engine.presence(&["policy", "apply", file]));
    assert_eq!(code, 0, "{err}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines[..2],
        ["profile.default.idle_after  1h → 1h 30m", "profile.kiosk               nothing → a profile"]
    );
    assert!(lines[2].starts_with("in force in all 8 partitions by log entry "), "{out}");
    assert!(lines[3].contains("starts with another configuration publishes its own policy again"), "{out}");

    let (code, out, _) = told(engine.presence(&["policy", "apply", file]));
    assert_eq!((code, out.as_str()), (0, "nothing to change: this policy is in force in all 8 partitions\n"));

    let shown = json(engine.presence(&["policy", "show", "-o", "json"]));
    assert_eq!(shown["policy"]["profiles"]["default"]["idle_after_ms"], 90 * 60_000);
    assert_eq!((&shown["partitions"], &shown["partitions_with_another"]), (&json!(8), &json!([])));
    let (_, out, _) = told(engine.presence(&["policy", "show"]));
    assert!(out.contains("profile.kiosk.idle_after                2m\n"), "{out}");
    assert!(out.contains("in force in all 8 partitions; from log entry "), "{out}");

    // The engine's own configuration is still the first one.
    engine.terminate().await;
    engine.restart().await;
    // It publishes it when it is live already.
    eventually("its own policy is in force", async || {
        let shown = json(engine.presence(&["policy", "show", "-o", "json"]));
        (shown["policy"]["profiles"]["default"]["idle_after_ms"] == 60 * 60_000).then_some(())
    })
    .await;
    engine.audit();
}

#[tokio::test]
async fn where_no_engine_runs_it_is_said_and_what_is_refused_is_not_published() {
    let (server, nats) = TestServer::with_topology().await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (code, _, err) =
        told(presence(&server.url(), &["policy", "apply", &write("bad.toml", "[ready]\nstate = []\n")]));
    assert_eq!(code, 2, "{err}");
    assert_eq!(LogIdentity::read(&nats).await.unwrap().last_seq, 0, "nothing was published");

    let (code, out, err) = told(presence(&server.url(), &["policy", "show"]));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("from the built-in policy"), "{out}");

    let good = write("good.toml", "[profile.default]\nidle_after = \"90s\"\n");
    let (code, out, err) = told(presence(&server.url(), &["policy", "apply", &good, "--timeout", "100ms"]));
    assert_eq!(code, 1);
    assert_eq!(out, "profile.default.idle_after  1m → 1m 30s\n");
    assert!(err.contains("log entry 1, but 64 of 64 partitions did not tell within 100ms"), "{err}");
    assert!(err.contains("presence run"), "{err}");

    // An engine of another version may refuse what this one takes; it tells so.
    let mut apply = command(&server.url());
    let apply = apply.args(["policy", "apply", &good, "--timeout", "1h"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut apply = apply.stderr(Stdio::piped()).spawn().expect("the command runs");
    let refusal = json!({
        "v": 1, "kind": "rejected", "id": "0-0-2-0", "at_ms": 1, "partition": 0, "seq": 2, "reason": "policy refused: too new",
        "subject": "presence.v1.log.all.policy",
    });
    let status = eventually("the refusal is heard", async || {
        nats.client.publish("presence.v1.rejected.0", refusal.to_string().into()).await.unwrap();
        apply.try_wait().expect("it can be waited for")
    });
    assert_eq!(status.await.code(), Some(1));
    let mut err = String::new();
    apply.stderr.take().expect("a pipe").read_to_string(&mut err).unwrap();
    assert!(err.contains("refused the policy, which is log entry 2: policy refused: too new"), "{err}");
}
