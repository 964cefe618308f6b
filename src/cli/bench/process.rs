//! What a process takes, and what the machine is, as Linux tells it in /proc.

use std::time::Duration;

use super::Result;

/// Linux tells processor time in hundredths of a second, on every machine that this runs on.
const TICK: Duration = Duration::from_millis(10);

/// A process, by its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process(pub(super) u32);

impl Process {
    /// This one.
    pub(super) fn own() -> Self {
        Self(std::process::id())
    }

    /// The processor time that it took so far, of all its threads.
    pub(super) fn cpu(self) -> Result<Duration> {
        let stat = self.read("stat")?;
        // The name, in parentheses, may hold anything.
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let mut ticks = rest.split(' ').skip(11).map(|field| field.parse::<u32>().ok());
        match (ticks.next().flatten(), ticks.next().flatten()) {
            (Some(user), Some(system)) => Ok(TICK * (user + system)),
            _ => Err(format!("/proc/{}/stat does not tell processor times", self.0).into()),
        }
    }

    /// The memory that it has, in bytes: what is resident of its own, without files that are mapped.
    pub(super) fn memory(self) -> Result<f64> {
        kib_of(&self.read("status")?, "RssAnon:")
    }

    fn read(self, what: &str) -> Result<String> {
        let file = format!("/proc/{}/{what}", self.0);
        std::fs::read_to_string(&file).map_err(|error| format!("{file} can't be read: {error}").into())
    }
}

/// The bytes that a line of a file in /proc tells in KiB.
fn kib_of(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find(|line| line.starts_with(name));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<f64>().ok());
    Ok(kib.ok_or_else(|| format!("/proc does not tell `{name}`"))? * 1_024.0)
}

/// How busy the machine was in the last minutes.
pub(super) fn load_average() -> String {
    let told = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    told.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Processors, memory and kernel, for people.
pub(super) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let text = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let cpuinfo = text("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let gib = kib_of(&text("/proc/meminfo"), "MemTotal:").unwrap_or_default() / f64::from(1 << 30);
    format!("{cores} cores ({model}), {gib:.0} GiB, Linux {}", text("/proc/sys/kernel/osrelease").trim())
}
