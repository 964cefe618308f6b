//! The engine under test: the real binary, as a process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use async_nats::Client;
use presence_engine::nats::Nats;
use presence_engine::wire::subject;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{connect, eventually};

/// A configuration in which nothing falls by itself: what a test is about it puts after this, or replaces.
pub const STILL: &str = r#"
[engine]
partitions = 8
checkpoint_every = "1s"
lease_ttl = "200ms"
[profile.default]
idle_after = "1h"
away_after = "2h"
stale_after = "3h"
offline_after = "4h"
hidden_after = "30m"
disconnect_grace = "1h"
"#;

/// `presence run` as a process of its own.
pub struct Engine {
    dir: TempDir,
    url: String,
    /// A connection of the test's own, to ask the engine.
    nats: Nats,
    process: Process,
    /// How often it was started.
    lives: u32,
    /// Whether what it said outlives the test, so that it need not be shown with it.
    is_kept: bool,
}

struct Process {
    child: Child,
    stderr: PathBuf,
}

/// How an engine ended.
#[derive(Debug)]
pub struct End {
    pub status: ExitStatus,
    pub stderr: String,
}

impl Engine {
    /// Starts one and waits until every partition is live.
    pub async fn start(url: &str, config: &str) -> Self {
        let mut engine = Self::spawn(url, config).await;
        engine.live().await;
        engine
    }

    /// Starts one.
    pub async fn spawn(url: &str, config: &str) -> Self {
        Self::spawn_by(tempfile::tempdir().expect("a temporary directory"), false, url, config).await
    }

    /// Starts one whose configuration and logs stay where they are, in `folder`.
    pub async fn spawn_in(folder: &Path, url: &str, config: &str) -> Self {
        let mut dir = tempfile::Builder::new();
        let dir = dir.prefix("engine-").disable_cleanup(true).tempdir_in(folder).expect("a directory in the folder");
        Self::spawn_by(dir, true, url, config).await
    }

    async fn spawn_by(dir: TempDir, is_kept: bool, url: &str, config: &str) -> Self {
        std::fs::write(dir.path().join("presence.toml"), config).expect("the configuration can be written");
        let nats = connect(url).await;
        let process = Process::spawn(dir.path(), url, 1);
        Self { dir, url: url.into(), nats, process, lives: 1, is_kept }
    }

    /// Starts it again, with the same configuration, and waits until it is live.
    pub async fn restart(&mut self) {
        self.respawn();
        self.live().await;
    }

    /// Starts it again.
    pub fn respawn(&mut self) {
        assert!(self.has_ended(), "one at a time");
        self.lives += 1;
        self.process = Process::spawn(self.dir.path(), &self.url, self.lives);
    }

    /// Where its configuration is.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("presence.toml")
    }

    /// Another configuration for the next life.
    pub fn configure(&self, config: &str) {
        std::fs::write(self.dir.path().join("presence.toml"), config).expect("the configuration can be written");
    }

    /// Waits until `presence.v1.info` answers for this life, and not with 503.
    pub async fn live(&mut self) -> Value {
        eventually("the engine is live", async || {
            self.must_run();
            let info = info(&self.nats.client).await?;
            self.is_of_this_life(&info).then_some(info)
        })
        .await
    }

    /// Whether the owner that the service tells is the one that this process says that it is.
    fn is_of_this_life(&self, info: &Value) -> bool {
        let owner = info["owner"].as_str().expect("info tells the owner");
        self.stderr().contains(owner)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Ends it as a power switch does.
    pub fn kill(&mut self) {
        self.process.child.kill().expect("the engine runs");
        self.process.child.wait().expect("the engine ends");
    }

    /// Stops it where it is, as a machine that is suspended does.
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.process.child), Signal::STOP).expect("the engine runs");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.process.child), Signal::CONT).expect("the engine runs");
    }

    /// Asks it to end by SIGTERM and waits until it has.
    pub async fn terminate(&mut self) -> End {
        self.signal_to_end();
        self.ended().await
    }

    /// Asks it to end by SIGTERM.
    pub fn signal_to_end(&mut self) {
        self.must_run();
        kill_process(Pid::from_child(&self.process.child), Signal::TERM).expect("the engine runs");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> End {
        let status = eventually("the engine ends", async || {
            self.process.child.try_wait().expect("the engine can be waited for")
        });
        let status = status.await;
        End { status, stderr: self.stderr() }
    }

    pub fn has_ended(&mut self) -> bool {
        self.has_ended_with().is_some()
    }

    /// How it has ended, if it has.
    pub fn has_ended_with(&mut self) -> Option<ExitStatus> {
        self.process.child.try_wait().expect("the engine can be waited for")
    }

    /// Fails with what the engine said if it has ended.
    pub fn must_run(&mut self) {
        if let Some(status) = self.process.child.try_wait().expect("the engine can be waited for") {
            panic!("the engine ended with {status}:\n{}", self.stderr());
        }
    }

    /// What it has said in this life.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.process.stderr).unwrap_or_default()
    }

    /// The most memory that its process ever had, in kB.
    pub fn peak_memory_kb(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).expect("the engine runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Runs another verb of the command line against the same server.
    pub fn presence(&self, args: &[&str]) -> Output {
        presence(&self.url, args)
    }

    /// `presence audit` finds the history whole; returns its counts.
    pub fn audit(&self) -> Value {
        audit(&self.url)
    }
}

impl Process {
    fn spawn(dir: &Path, url: &str, life: u32) -> Self {
        let stderr = dir.join(format!("stderr-{life}"));
        let child = command(url)
            .args(["run", "--config"])
            .arg(dir.join("presence.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&stderr).expect("a log file"))
            .spawn()
            .expect("the engine starts");
        Self { child, stderr }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.process.child.kill().ok();
        self.process.child.wait().ok();
        if std::thread::panicking() && !self.is_kept {
            for life in 1..=self.lives {
                let said = std::fs::read_to_string(self.dir.path().join(format!("stderr-{life}")));
                eprintln!("the engine's life {life}:\n{}", said.unwrap_or_default());
            }
        }
    }
}

/// The binary: `PRESENCE_BIN`, or what cargo has built with these tests.
fn binary() -> PathBuf {
    std::env::var_os("PRESENCE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_presence").into(), PathBuf::from)
}

/// The command line without anything that the environment could say.
pub fn command(url: &str) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if ["NATS_", "PRESENCE_", "RUST_LOG"].iter().any(|prefix| told.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command.env("RUST_LOG", "info,async_nats=error").env("NO_COLOR", "1").args(["--server", url]);
    command
}

/// Runs a verb of the command line and waits for it.
pub fn presence(url: &str, args: &[&str]) -> Output {
    command(url).args(args).stdin(Stdio::null()).output().expect("the command runs")
}

/// `presence audit` finds the history whole; returns its counts.
pub fn audit(url: &str) -> Value {
    let output = presence(url, &["audit", "-o", "json"]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "the audit found a breach: {out}{err}");
    serde_json::from_str::<Value>(&out).expect("the audit tells JSON")["counts"].clone()
}

/// What `presence.v1.info` answers; nothing while nobody answers, or 503.
pub async fn info(client: &Client) -> Option<Value> {
    let answer = client.request(subject::INFO, "".into()).await.ok()?;
    let refused = answer.headers.is_some_and(|headers| headers.get("Nats-Service-Error-Code").is_some());
    (!refused).then(|| serde_json::from_slice(&answer.payload).expect("info is JSON"))
}
