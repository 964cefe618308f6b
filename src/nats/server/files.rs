//! What is in the data directory: the server's configuration, its log, its process id, and the lock that says whose it is.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::ServerError;

/// The data directory of one server.
#[derive(Debug)]
pub(super) struct DataDir {
    dir: PathBuf,
    /// Held for as long as this process lives, and no longer.
    _lock: File,
}

/// The end of the log that is shown.
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 12;

impl DataDir {
    /// Creates it if need be and makes it ours.
    pub(super) fn open(dir: &Path) -> Result<Self, ServerError> {
        let failed = |error: std::io::Error| ServerError::DataDir { dir: dir.to_owned(), cause: error.to_string() };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let dir = dir.canonicalize().map_err(failed)?;
        if dir.to_str().is_none() {
            return Err(ServerError::DataDir { dir, cause: "its name is not UTF-8".into() });
        }
        let lock = File::create(dir.join("presence.lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ServerError::DataDirTaken(dir)),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("nats-server.conf")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("nats-server.log")
    }

    fn pid(&self) -> PathBuf {
        self.dir.join("nats-server.pid")
    }

    /// Writes the server's configuration.
    pub(super) fn write_config(&self, port: u16) -> Result<(), ServerError> {
        let text = format!(
            "# Written by `presence up` at each start.\n\
             server_name: presence\n\
             listen: \"127.0.0.1:{port}\"\n\
             pid_file: {pid}\n\
             log_file: {log}\n\
             logfile_size_limit: 16MB\n\
             logfile_max_num: 3\n\
             jetstream {{\n    \
                 store_dir: {store}\n    \
                 # A signal that nobody acknowledges is dropped silently when the stream's queue is full.\n    \
                 max_buffered_msgs: 1000000\n    \
                 max_buffered_size: 1GB\n\
             }}\n",
            pid = quoted(&self.pid()),
            log = quoted(&self.log()),
            store = quoted(&self.dir),
        );
        std::fs::write(self.config(), text)
            .map_err(|error| ServerError::DataDir { dir: self.dir.clone(), cause: error.to_string() })
    }

    /// What the server says where it has no log yet, or dies.
    pub(super) fn open_log(&self) -> std::io::Result<File> {
        File::options().create(true).append(true).open(self.log())
    }

    /// The last lines of the log.
    pub(super) fn log_tail(&self) -> String {
        let mut end = String::new();
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(self.log())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let text = read().map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
        let lines: Vec<_> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
            end.push_str("\n  ");
            end.push_str(line);
        }
        end
    }

    /// The server that an earlier life of ours left behind: it runs, and with our configuration.
    pub(super) fn orphan(&self) -> Option<i32> {
        let pid: i32 = std::fs::read_to_string(self.pid()).ok()?.trim().parse().ok()?;
        let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let config = self.config();
        let ours = config.to_str()?.as_bytes();
        cmdline.split(|byte| *byte == 0).any(|argument| argument == ours).then_some(pid)
    }
}

/// A text as the server's configuration takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_str().expect("the data directory's name was checked to be UTF-8");
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(ServerError::DataDirTaken(_))));
        drop(first);
        assert!(DataDir::open(dir.path()).is_ok());
    }

    #[test]
    fn a_process_that_only_has_the_number_of_our_server_is_no_orphan() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!(data.orphan(), None);
        std::fs::write(data.pid(), std::process::id().to_string()).unwrap();
        assert_eq!(data.orphan(), None);
    }

    #[test]
    fn paths_are_quoted_for_the_server() {
        assert_eq!(quoted(Path::new(r#"/a b/"c"\"#)), r#""/a b/\"c\"\\""#);
    }
}
