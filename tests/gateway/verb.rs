//! `presence gateway` as a process.

use std::fs::File;
use std::io::Write;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::common::TestServer;
use super::common::engine::{Engine, STILL, command};
use super::common::eventually;
use super::common::told::Subscriber;
use super::items;

struct Running {
    dir: TempDir,
    child: Child,
}

impl Running {
    fn start(server: &TestServer, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let stderr = File::create(dir.path().join("stderr")).expect("a log file");
        let stdout = File::create(dir.path().join("stdout")).expect("a file");
        let mut command = command(&server.url());
        let child = command.arg("gateway").args(args).stdin(Stdio::piped()).stdout(stdout).stderr(stderr).spawn();
        Self { dir, child: child.expect("the gateway starts") }
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    /// Its last line on standard output.
    fn counts(&self) -> Value {
        let out = std::fs::read_to_string(self.dir.path().join("stdout")).expect("it was made");
        serde_json::from_str(out.lines().last().expect("it tells what it has done")).expect("a line of JSON")
    }

    fn write(&mut self, text: &str) {
        self.child.stdin.as_mut().expect("it is open").write_all(text.as_bytes()).expect("the gateway reads");
    }

    fn close_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    async fn says(&self, what: &str) {
        eventually(&format!("the gateway says: {what}"), async || self.stderr().contains(what).then_some(())).await;
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the gateway runs");
    }

    async fn ended(&mut self) -> ExitStatus {
        eventually("the gateway ends", async || self.child.try_wait().expect("it can be waited for")).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("the gateway:\n{}", self.stderr());
        }
    }
}

#[tokio::test]
async fn lines_become_sessions_and_a_bad_one_is_told_with_its_number() {
    let server = TestServer::start().await;
    let engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let told = Subscriber::on(&nats, "presence.v1.session.>").await;
    let mut gateway = Running::start(&server, &["--stdin", "--name", "edge", "-o", "json"]);
    gateway.write("{\"u\":\"ada\",\"s\":\"tab\",\"can\":[\"audio\"]}\n\nhello\n{\"u\":\"bob\"}\n");
    gateway.write(&format!("{{\"u\":\"{}\"}}\n", "x".repeat(100_000)));
    gateway.write("{\"u\":\"carol\",\"s\":\"phone\",\"t\":\"acme\"}\n{\"u\":\"dave\",\"s\":\"tab\"}");
    told.until_state("presence.v1.session.main.ada.tab", "active").await;
    told.until_state("presence.v1.session.acme.carol.phone", "active").await;
    gateway.close_stdin();
    let status = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{}", gateway.stderr());
    told.until_state("presence.v1.session.main.dave.tab", "active").await;
    let stderr = gateway.stderr();
    assert!(stderr.contains("line 3 is left out: it is no JSON object"), "{stderr}");
    let counts = gateway.counts();
    assert_eq!(
        (&counts["taken"], &counts["stored"], &counts["refused"]),
        (&3.into(), &3.into(), &3.into()),
        "{counts}"
    );
    engine.audit();
}

#[tokio::test]
async fn gateways_of_a_queue_group_share_a_subject_and_publish_what_they_hold_at_sigterm() {
    let server = TestServer::start().await;
    let engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let told = Subscriber::on(&nats, "presence.v1.session.>").await;
    let args = ["--subject", "feed.*.*.*", "--queue", "edge", "--every", "1s", "-o", "json"];
    let mut gateways = [Running::start(&server, &args), Running::start(&server, &args)];
    for gateway in &gateways {
        gateway.says("taking signals from feed").await;
    }
    for n in 0..200 {
        let subject = format!("feed.{}.user-{n}.tab", if n % 2 == 0 { "main" } else { "acme" });
        nats.client.publish(subject, r#"{"u":"eve"}"#.into()).await.expect("it can be sent");
    }
    nats.client.publish("feed.main.a@b.tab", "".into()).await.expect("it can be sent");
    nats.client.flush().await.expect("the server answers");
    told.until("all sessions", |heard| (heard.len() >= 200).then_some(())).await;
    let mut stored = 0;
    for gateway in &mut gateways {
        gateway.terminate();
        let status = gateway.ended().await;
        assert_eq!(status.code(), Some(0), "{}", gateway.stderr());
        stored += gateway.counts()["stored"].as_u64().expect("a count");
    }
    assert_eq!(stored, 200);
    let items = items(&nats).await;
    assert_eq!(items.len(), 200, "each once");
    assert!(items.iter().all(|(_, item)| item["u"] != "eve"), "nobody speaks for somebody else");
    let refused =
        gateways.iter().filter(|gateway| gateway.stderr().contains("a message on feed.main.a@b.tab is left out"));
    assert_eq!(refused.count(), 1);
    engine.audit();
}

#[tokio::test]
async fn with_one_tenant_the_subject_names_none() {
    let server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let told = Subscriber::on(&nats, "presence.v1.session.>").await;
    let gateway = Running::start(&server, &["--subject", "feed.>", "--one-tenant", "-t", "acme"]);
    gateway.says("taking signals from feed").await;
    nats.client.publish("feed.ada.tab", "".into()).await.expect("it can be sent");
    told.until_state("presence.v1.session.acme.ada.tab", "active").await;
}
