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
    /// Nanoseconds to add to the machine's clock, and the instant at which it stands still instead, if it is not 0.
    setting: NamedTempFile,
    seconds: AtomicI64,
}

impl Clock {
    /// One that is right. `Err` says why there can be none on this machine.
    pub fn new() -> Result<Self, String> {
        let setting = NamedTempFile::new().expect("a temporary file");
        let clock = Self { setting, seconds: AtomicI64::new(0) };
        clock.set(0);
        clock.proves_itself()?;
        Ok(clock)
    }

    /// From now on the clock is so many seconds before the machine's, or behind it if they are negative.
    pub fn set(&self, seconds: i64) {
        self.write(0, seconds * 1_000_000_000);
        self.write(1, 0);
        self.seconds.store(seconds, Ordering::Relaxed);
    }

    /// From now on the clock shows this time in milliseconds since 1970, and doesn't go on.
    pub fn stand_at(&self, ms: u64) {
        self.write(1, i64::try_from(ms * 1_000_000).expect("before 2262"));
    }

    fn write(&self, word: u64, value: i64) {
        let file = File::options().write(true).open(self.setting.path()).expect("the clock can be written");
        file.write_all_at(&value.to_le_bytes(), 8 * word).expect("the clock can be written");
    }

    /// How many seconds it is before the machine's.
    pub fn seconds(&self) -> i64 {
        self.seconds.load(Ordering::Relaxed)
    }

    /// What goes before a program and its arguments.
    pub fn launcher(&self) -> Vec<OsString> {
        vec!["python3".into(), LAUNCHER.into(), self.setting.path().into()]
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
