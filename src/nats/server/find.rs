//! Where the `nats-server` binary is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::ServerError;
use crate::nats::version::{OLDEST, Version};

/// Where tools are that need no installation, beside the sources or the executable.
const TOOLS: &str = ".tools/bin/nats-server";
const VERSION_MAX: Duration = Duration::from_secs(10);

/// A binary that is new enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Where it is.
    pub path: PathBuf,
    /// What it says it is.
    pub version: Version,
}

impl Binary {
    /// Finds one: `explicit` if given, else the first in `PATH` that is new enough, else `.tools/bin/nats-server` in the
    /// current directory, beside this executable or above it.
    ///
    /// # Errors
    /// [`ServerError::NotFound`], with every place that was looked at.
    pub async fn find(explicit: Option<&Path>) -> Result<Self, ServerError> {
        let candidates = match explicit {
            Some(path) => vec![path.to_owned()],
            None => {
                let exe = std::env::current_exe().ok();
                let cwd = std::env::current_dir().ok();
                candidates(std::env::var_os("PATH").as_deref(), cwd.as_deref(), exe.as_deref())
            }
        };
        let mut refused = Vec::new();
        for path in candidates.into_iter().filter(|path| explicit.is_some() || path.is_file()) {
            match version(&path).await {
                Ok(version) if version >= OLDEST => return Ok(Self { path, version }),
                Ok(version) => refused.push(format!("{} is {version}", path.display())),
                Err(cause) => refused.push(format!("{} does not tell its version ({cause})", path.display())),
            }
        }
        Err(ServerError::NotFound(refused))
    }
}

/// Where a binary may be, in the order of preference.
fn candidates(path: Option<&OsStr>, cwd: Option<&Path>, exe: Option<&Path>) -> Vec<PathBuf> {
    let in_path = path.map(std::env::split_paths).into_iter().flatten().map(|dir| dir.join("nats-server"));
    let above_exe = exe.into_iter().flat_map(Path::ancestors).skip(1);
    let mut candidates: Vec<_> = in_path.chain(cwd.into_iter().chain(above_exe).map(|dir| dir.join(TOOLS))).collect();
    candidates.dedup();
    candidates
}

async fn version(binary: &Path) -> Result<Version, String> {
    let output = Command::new(binary).arg("--version").kill_on_drop(true).output();
    let output = tokio::time::timeout(VERSION_MAX, output).await.map_err(|_| "no answer".to_owned())?;
    let output = output.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).ok_or_else(|| format!("it says `{}`", text.trim()))
}

/// Reads `nats-server: v2.15.1`.
fn parse(text: &str) -> Option<Version> {
    Version::parse(text.trim().strip_prefix("nats-server:")?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_comes_first_then_the_current_directory_then_those_above_the_executable() {
        let found = candidates(
            Some(OsStr::new("/bin:/usr/bin")),
            Some(Path::new("/srv")),
            Some(Path::new("/srv/target/release/presence")),
        );
        let expected = [
            "/bin/nats-server",
            "/usr/bin/nats-server",
            "/srv/.tools/bin/nats-server",
            "/srv/target/release/.tools/bin/nats-server",
            "/srv/target/.tools/bin/nats-server",
            "/srv/.tools/bin/nats-server",
            "/.tools/bin/nats-server",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn the_version_is_read_from_what_the_server_says() {
        assert_eq!(parse("nats-server: v2.15.1\n"), Some(OLDEST));
        assert_eq!(parse("bash: nats-server: not found"), None);
    }
}
