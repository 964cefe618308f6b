//! The consumer that does nothing: it reads the log as an engine does, counts, and is a process of its own as an engine is.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::Instant;

use super::Result;
use super::course::within;
use super::engine::own_program;
use super::rig::Rig;
use crate::cli::output;
use crate::nats::{LogIdentity, LogReader, Nats, Partitions};

/// Longer than it may take to read anything.
const READ_MAX: Duration = Duration::from_secs(600);

/// What it is to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reads {
    first: u64,
    count: u64,
}

impl Reads {
    /// Reads `FIRST:COUNT`.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split_once(':').and_then(|(first, count)| Some((first.parse().ok()?, count.parse().ok()?)));
        let (first, count) = numbers.ok_or_else(|| format!("`{text}` is not FIRST:COUNT, as 1:1000"))?;
        Ok(Self { first, count })
    }

    /// Reads, and says when it begins and how many seconds it took.
    pub(super) async fn run(self, nats: &Nats) -> Result<()> {
        let log = LogIdentity::read(nats).await?;
        output::line("reading")?;
        let begin = Instant::now();
        let mut reader = LogReader::start(nats, &log.created, Partitions::All, self.first);
        let mut read = 0;
        while read < self.count {
            read += reader.next().await?.len() as u64;
        }
        output::line(&begin.elapsed().as_secs_f64().to_string())?;
        Ok(())
    }
}

/// One that reads.
#[derive(Debug)]
pub(super) struct Nothing {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Nothing {
    /// Starts one that reads `count` entries from `first` on, and waits until it begins.
    pub(super) async fn start(rig: &Rig, first: u64, count: usize) -> Result<Self> {
        let mut child = own_program()?
            .args(["bench", "--server", rig.url(), "--reads", &format!("{first}:{count}")])
            .stdout(Stdio::piped())
            .spawn()?;
        let said = BufReader::new(child.stdout.take().ok_or("its output was asked for")?).lines();
        let mut nothing = Self { child, said };
        nothing.line().await?;
        Ok(nothing)
    }

    /// Waits until it has read everything; the seconds that it took since it began.
    pub(super) async fn done(mut self) -> Result<f64> {
        let seconds = self.line().await?.parse()?;
        self.child.wait().await?;
        Ok(seconds)
    }

    async fn line(&mut self) -> Result<String> {
        let line = within("the consumer that does nothing reads", READ_MAX, self.said.next_line()).await??;
        Ok(line.ok_or("the consumer that does nothing ended before it had read everything")?)
    }
}
