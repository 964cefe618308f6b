//! What happened, and when: told as it happens, and once more with the verdict that fails.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use tempfile::TempDir;

pub(crate) struct Story {
    seed: u64,
    began: Instant,
    lines: Mutex<Vec<String>>,
    /// Kept if the test fails.
    folder: Option<TempDir>,
}

impl Story {
    pub(crate) fn begin(seed: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("presence-chaos-").tempdir().expect("a temporary directory");
        let story = Self { seed, began: Instant::now(), lines: Mutex::default(), folder: Some(folder) };
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        story.say(format!("{now}: CHAOS_SEED={seed}, engines' logs are in {}", story.folder().display()));
        story
    }

    /// Where engines keep their logs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().expect("it is there until the end").path()
    }

    pub(crate) fn say(&self, what: impl AsRef<str>) {
        let line = format!("{:8.2} s  {}", self.began.elapsed().as_secs_f64(), what.as_ref());
        eprintln!("{line}");
        self.lines.lock().expect("nobody panics here").push(line);
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let folder = self.folder.take().map(TempDir::keep).unwrap_or_default();
        let lines = self.lines.get_mut().expect("nobody panics here").join("\n");
        eprintln!(
            "\nfailed: CHAOS_SEED={} chooses the same nemeses again; engines' logs stay in {}\n{lines}",
            self.seed,
            folder.display()
        );
    }
}

/// A number of the environment's, or the one that holds without it.
pub(crate) fn told_by(name: &str, otherwise: u64) -> u64 {
    let Ok(told) = std::env::var(name) else { return otherwise };
    told.parse().unwrap_or_else(|error| panic!("{name}={told} is no number ({error}): give one, or none"))
}
