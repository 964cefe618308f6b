//! A wall clock of a server's own, that can be set while the server runs.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::NamedTempFile;

const LAUNCHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/clock.py");

/// A clock that differs from the machine's by so much; servers are started under it. See `clock.py` for how.
pub struct Clock {
    offset: NamedTempFile,
    seconds: AtomicI64,
}

impl Clock {
    /// One that is right. `Err` says why there can be none on this machine.
    pub fn new() -> Result<Self, String> {
        let offset = NamedTempFile::new().expect("a temporary file");
        let clock = Self { offset, seconds: AtomicI64::new(0) };
        clock.set(0);
        clock.proves_itself()?;
        Ok(clock)
    }

    /// From now on the clock is so many seconds before the machine's, or behind it if they are negative.
    pub fn set(&self, seconds: i64) {
        let file = File::options().write(true).open(self.offset.path()).expect("the clock can be written");
        file.write_all_at(&(seconds * 1_000_000_000).to_le_bytes(), 0).expect("the clock can be written");
        self.seconds.store(seconds, Ordering::Relaxed);
    }

    /// How many seconds it is before the machine's.
    pub fn seconds(&self) -> i64 {
        self.seconds.load(Ordering::Relaxed)
    }

    /// What goes before a program and its arguments.
    pub fn launcher(&self) -> Vec<OsString> {
        vec!["python3".into(), LAUNCHER.into(), self.offset.path().into()]
    }

    /// Whether a system lets us do this: the smallest program is started under it.
    fn proves_itself(&self) -> Result<(), String> {
        let launcher = self.launcher();
        let tried = Command::new(&launcher[0]).args(&launcher[1..]).arg("true").stdin(Stdio::null()).output();
        match tried {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(format!("python3: {error}")),
        }
    }
}
