//! What users are ready for: told, followed, replayed and proven.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use async_nats::HeaderMap;
use presence_engine::nats::Nats;
use serde_json::json;

use super::common::TestServer;
use super::common::client::publish_with;
use super::common::engine::{audit, command, presence};
use super::told;

/// Commits a change of what alice is ready for, as an engine of epoch 1 does.
async fn tell(nats: &Nats, seq: u64, ordinal: u32, from: &[&str], to: &[&str]) {
    let since: std::collections::BTreeMap<_, _> = to.iter().map(|name| (*name, 1_000 * seq)).collect();
    let event = json!({
        "v": 1, "kind": "ready", "id": format!("3-0-{seq}-0"), "incarnation": 1_000, "ordinal": ordinal, "cause": "joined",
        "at_ms": 1_000 * seq, "partition": 3, "seq": seq, "tenant": "main", "user": "alice", "from": from, "to": to,
        "since_ms": since, "until_ms": null,
    });
    let mut headers = HeaderMap::new();
    headers.insert("Presence-Epoch", "1");
    publish_with(nats, "presence.commit.v1.ready.main.alice", headers, event.to_string()).await;
}

#[tokio::test]
async fn readiness_is_watched_replayed_and_proven() {
    let (server, nats) = TestServer::with_topology().await;
    tell(&nats, 1, 1, &[], &["audio"]).await;

    let mut watch = command(&server.url());
    let watch = watch.args(["watch", "alice", "--ready", "-o", "json"]).stdout(Stdio::piped()).stdin(Stdio::null());
    let mut watch = watch.spawn().expect("the command runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    let (tell_line, mut line) = tokio::sync::mpsc::channel(1);
    let reader = std::thread::spawn(move || tell_line.blocking_send(lines.next().expect("a line").expect("text")));
    // The watcher hears only what is told once it listens: it is told until it has heard.
    let mut ordinal = 1;
    let heard = loop {
        ordinal += 1;
        let (from, to): (&[&str], &[&str]) =
            if ordinal % 2 == 0 { (&["audio"], &["audio", "video"]) } else { (&["audio", "video"], &["audio"]) };
        tell(&nats, u64::from(ordinal), ordinal, from, to).await;
        if let Ok(line) = line.try_recv() {
            break line;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    watch.kill().expect("it runs");
    watch.wait().expect("it ends");
    reader.join().expect("the reader ends").expect("the line is taken");
    let heard: serde_json::Value = serde_json::from_str(&heard).expect("a line of JSON");
    assert_eq!((&heard["kind"], &heard["user"]), (&json!("ready"), &json!("alice")));

    let (code, out, err) = told(presence(&server.url(), &["replay", "--since", "all", "--user", "alice", "--ready"]));
    assert_eq!(code, 0, "{err}");
    assert!(
        out.starts_with("1970-01-01T00:00:01.000Z  ready     alice                 nothing → audio    joined\n"),
        "{out}"
    );
    assert!(out.contains("audio → audio+video"), "{out}");
    let (_, out, _) = told(presence(&server.url(), &["replay", "--since", "all"]));
    assert_eq!(out, "", "only who asks for readiness is told of it");

    assert_eq!(audit(&server.url())["ready_events"], ordinal);
    tell(&nats, 100, ordinal + 2, &["audio"], &[]).await;
    let (code, out, _) = told(presence(&server.url(), &["audit"]));
    assert_eq!(code, 1);
    assert!(out.contains(&format!("ordinal {} where {} is due", ordinal + 2, ordinal + 1)), "{out}");
}
