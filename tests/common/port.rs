//! Ports that are one test's as long as it lives.

use std::fs::File;
use std::net::TcpListener;
use std::ops::Range;

/// Below those that Linux, macOS and Docker choose from when they are asked for any port.
const PORTS: Range<u16> = 20_000..30_000;

/// A port of the loopback that no other test takes, also while whoever listens on it is down: a server that was killed keeps
/// its port, and those who connect to it again never come to a server of another test.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Its lock ends with this process at the latest.
    _lock: File,
}

impl Port {
    /// Takes one, another one for each call.
    pub fn take() -> Self {
        let folder = std::env::temp_dir().join("presence-test-ports");
        std::fs::create_dir_all(&folder).expect("a folder for the locks");
        // Tests that begin together look at different ones first.
        let first = u16::try_from(std::process::id() * 37 % 10_000).expect("it is below 10,000");
        let mut candidates = PORTS.cycle().skip(first.into()).take(PORTS.len());
        let taken = candidates.find_map(|number| {
            let lock = File::options().create(true).append(true).open(folder.join(number.to_string()));
            let lock = lock.expect("the lock of a port can be opened: do others own the folder?");
            let is_free = lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok();
            is_free.then_some(Self { number, _lock: lock })
        });
        taken.unwrap_or_else(|| panic!("none of the ports {PORTS:?} is free"))
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}
