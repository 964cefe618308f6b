//! An engine as a process of this very program.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::Result;
use super::course::{until, within};
use super::process::Process;

/// Longer than a start may take.
const LIVE_MAX: Duration = Duration::from_secs(600);
/// Longer than an engine may take to store what it has.
const ENDED_MAX: Duration = Duration::from_secs(300);
/// What it says when all of its partitions are live.
const LIVE: &str = " live position=";
const FENCED: &str = "took the fences";
const RESTORED: &str = " restored partition=";

/// A running engine; killed when it is dropped.
#[derive(Debug)]
pub(super) struct Engine {
    child: Child,
    pid: u32,
    said: PathBuf,
}

/// How long each part of a start took, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// From the start of the process until it has the fences of all partitions.
    pub(super) fenced: f64,
    /// Until their checkpoints are loaded.
    pub(super) loaded: f64,
    /// Until the log is read up to its end.
    pub(super) caught_up: f64,
    /// How many sessions the checkpoints held.
    pub(super) sessions: u64,
}

impl Engine {
    /// Starts one, and waits until it is live.
    pub(super) async fn start(folder: &Path, life: u32, url: &str, config: &Path) -> Result<(Self, Start)> {
        let said = folder.join(format!("engine-{life}.log"));
        let begin = SystemTime::now();
        let child = own_program()?
            .args(["run", "--server", url, "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(File::create(&said)?)
            .spawn()?;
        let pid = child.id().ok_or("an engine that was just started has a number")?;
        let mut engine = Self { child, pid, said };
        let text = until("the engine is live", LIVE_MAX, async || {
            let text = engine.text()?;
            match engine.child.try_wait()? {
                Some(status) => Err(format!("the engine ended ({status}):\n{text}").into()),
                None => Ok(text.contains(LIVE).then_some(text)),
            }
        })
        .await?;
        Ok((engine, start(&text, begin)?))
    }

    /// The process.
    pub(super) fn process(&self) -> Process {
        Process(self.pid)
    }

    /// The name that it has for this life.
    pub(super) fn owner(&self) -> Result<String> {
        let text = self.text()?;
        let owner = text.lines().find(|line| line.contains(FENCED)).and_then(|line| {
            let (_, rest) = line.split_once("owner=")?;
            rest.split_whitespace().next().map(|owner| owner.trim_matches('"').to_owned())
        });
        Ok(owner.ok_or("the engine did not say its name")?)
    }

    /// Ends it as an operator does, and waits until it has stored what it has.
    pub(super) async fn end(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or("a process has a number")?;
        kill_process(pid, Signal::TERM)?;
        let status = within("the engine ends", ENDED_MAX, self.child.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("the engine ended ({status}):\n{}", self.text()?).into()) }
    }

    /// Ends it as a power switch does.
    pub(super) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    fn text(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.said)?).into_owned())
    }
}

/// This program as a child, which ends with whoever holds it.
pub(super) fn own_program() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os() {
        // What the environment says of NATS or presence is not meant for this one.
        let text = name.to_string_lossy();
        if ["NATS_", "PRESENCE_", "RUST_LOG"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    // A Ctrl-C on the terminal is for the benchmark, which then ends what it started.
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    Ok(command)
}

fn start(said: &str, begin: SystemTime) -> Result<Start> {
    let fenced = when(said, FENCED)?.ok_or("the engine never had its fences")?;
    let live = when(said, LIVE)?.ok_or("the engine was never live")?;
    let loaded = when(said, RESTORED)?.unwrap_or(fenced);
    let sessions = said.lines().filter(|line| line.contains(RESTORED));
    let sessions = sessions.filter_map(|line| line.rsplit_once("sessions=")?.1.trim().parse::<u64>().ok()).sum();
    let between = |from: SystemTime, to: SystemTime| to.duration_since(from).unwrap_or_default().as_secs_f64();
    Ok(Start {
        fenced: between(begin, fenced),
        loaded: between(fenced, loaded),
        caught_up: between(loaded, live),
        sessions,
    })
}

/// When it last said so.
fn when(said: &str, what: &str) -> Result<Option<SystemTime>> {
    let line = said.lines().rfind(|line| line.contains(what));
    let time = line.and_then(|line| line.split_whitespace().next());
    Ok(time.map(humantime::parse_rfc3339).transpose()?)
}
