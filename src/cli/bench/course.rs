//! How a run is made: its size, how often, with which servers, and the folder that all of it lives in.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};

use super::Result;

/// A run. Its folder goes with it.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) quick: bool,
    pub(super) runs: usize,
    pub(super) nats_server: Option<PathBuf>,
    pub(super) redis_server: Option<PathBuf>,
    folder: PathBuf,
    folders: AtomicU32,
}

impl Course {
    pub(super) fn new(
        quick: bool,
        runs: usize,
        nats_server: Option<PathBuf>,
        redis_server: Option<PathBuf>,
    ) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("presence-bench-{}-{}", std::process::id(), now_ms()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{} can't be made: {error}", folder.display()))?;
        let runs = if quick { 1 } else { runs };
        Ok(Self { quick, runs, nats_server, redis_server, folder, folders: AtomicU32::new(0) })
    }

    /// The one or the other number.
    pub(super) fn of<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// A folder that nobody has yet.
    pub(super) fn new_folder(&self) -> Result<PathBuf> {
        let folder = self.folder.join(self.folders.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// The Redis to compare with, if there is one.
    pub(super) fn redis(&self) -> Option<PathBuf> {
        let in_path = || {
            let folders = std::env::var_os("PATH")?;
            std::env::split_paths(&folders).map(|folder| folder.join("redis-server")).find(|file| file.is_file())
        };
        self.redis_server.clone().or_else(in_path)
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// What can't be removed is left to whoever clears temporary files away.
pub(super) fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder).ok();
}

/// Milliseconds since the Unix epoch, as the log's timestamps are.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Waits until `condition` gives something, for at most `max`.
pub(super) async fn until<T>(
    what: &str,
    max: Duration,
    mut condition: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let until = Instant::now() + max;
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if Instant::now() > until {
            return Err(format!("waited {max:?} in vain: {what}").into());
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// What `future` gives, within `max`.
pub(super) async fn within<T>(what: &str, max: Duration, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(max, future).await.map_err(|_| format!("waited {max:?} in vain: {what}").into())
}
