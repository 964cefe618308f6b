//! A disk of its own for a server, small enough to be filled.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What a server needs in ten minutes, several times.
const SIZE_MB: usize = 512;

/// A file system in memory that is there as long as this is. Only root may mount one.
pub(crate) struct SmallDisk {
    mounted: TempDir,
}

impl SmallDisk {
    /// `Err` says why there can be none.
    pub(crate) fn mount() -> Result<Self, String> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let size = format!("size={SIZE_MB}m");
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "presence-chaos"]).arg(dir.path()).output();
        match output {
            Ok(output) if output.status.success() => Ok(Self { mounted: dir }),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(format!("mount: {error}")),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.mounted.path()
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file on the small disk");
        let zeros = vec![0; 64 * 1024];
        // It ends with the first write that the system refuses, which is what this is for.
        while filler.write_all(&zeros).is_ok() {}
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.filler()).expect("the filler can be removed");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since the server may not have ended yet.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted: umount it", self.path().display());
        }
    }
}
