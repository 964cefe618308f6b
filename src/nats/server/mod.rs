//! `nats-server` as a supervised child, for `presence up`.
//!
//! The child has its own process group, so that a Ctrl-C on the terminal ends the engine first and the server after its
//! last commit. Its data directory is locked by this process; a server that an earlier life left behind (this process
//! was killed) is stopped before a new one is started.

mod files;
mod find;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info, warn};

use files::DataDir;
pub use find::Binary;

use super::version::OLDEST;

/// How to run it.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The binary; `None`: see [`Binary::find`].
    pub binary: Option<PathBuf>,
    /// Where it keeps its data, configuration and log.
    pub data_dir: PathBuf,
    /// The port on 127.0.0.1; 0: any that is free.
    pub port: u16,
}

/// Why it does not run. Nothing of it runs then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// There is none, or none that is new enough; holds what is wrong with those that are there.
    #[error("no nats-server {OLDEST} or newer was found{}: `make tools` fetches it into .tools/, or name yours with --nats-server", listed(.0))]
    NotFound(Vec<String>),
    /// Somebody else has the port.
    #[error(
        "port {0} of 127.0.0.1 is taken: use the NATS that is there with `presence run`, or another port with --port"
    )]
    PortTaken(u16),
    /// Another process of ours has the data directory.
    #[error("another `presence up` uses the data directory {}: stop it, or name another with --data", .0.display())]
    DataDirTaken(PathBuf),
    /// The data directory can't be used.
    #[error("the data directory {} can't be used ({cause}): name another with --data", dir.display())]
    DataDir {
        /// The directory.
        dir: PathBuf,
        /// Why.
        cause: String,
    },
    /// It was started and does not run.
    #[error("nats-server {what}; its log, {}, ends with{tail}", log.display())]
    Failed {
        /// What it did.
        what: String,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
}

fn listed(refused: &[String]) -> String {
    if refused.is_empty() { String::new() } else { format!(" ({})", refused.join(", ")) }
}

/// How long it may take to answer; a large store is read before.
const START_MAX: Duration = Duration::from_secs(120);
/// How long it may take to end before it is killed.
const STOP_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// A server that ends sooner than this has crashed quickly.
const QUICK: Duration = Duration::from_secs(10);
/// After so many quick crashes in a row it is given up.
const QUICK_CRASHES_MAX: u32 = 5;
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A running server, started again when it crashes. Dropping it stops it too, but does not wait for that.
#[derive(Debug)]
pub struct EmbeddedServer {
    url: String,
    binary: Binary,
    log: PathBuf,
    stop: watch::Sender<bool>,
    failed: watch::Receiver<Option<ServerError>>,
    task: JoinHandle<()>,
}

impl EmbeddedServer {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn start(options: ServerOptions) -> Result<Self, ServerError> {
        let binary = Binary::find(options.binary.as_deref()).await?;
        let data = DataDir::open(&options.data_dir)?;
        if let Some(pid) = data.orphan() {
            stop_orphan(pid).await;
        }
        let port = free_port(options.port)?;
        data.write_config(port)?;
        let log = data.log();
        let server = Server { binary: binary.clone(), data, port };
        let mut child = server.spawn()?;
        server.answers(&mut child).await?;
        let url = format!("nats://127.0.0.1:{port}");
        info!(url, version = %binary.version, log = %log.display(), "nats-server runs");
        let (stop, stopping) = watch::channel(false);
        let (fail, failed) = watch::channel(None);
        let task = tokio::spawn(server.supervise(child, stopping, fail));
        Ok(Self { url, binary, log, stop, failed, task })
    }

    /// Where it listens, `nats://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What runs.
    #[must_use]
    pub fn binary(&self) -> &Binary {
        &self.binary
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> &std::path::Path {
        &self.log
    }

    /// Waits until it is given up, since it crashes again and again; for ever if it doesn't. Cancel-safe.
    pub async fn failed(&mut self) -> ServerError {
        loop {
            if let Some(error) = self.failed.borrow_and_update().clone() {
                return error;
            }
            if self.failed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops it, and waits until it has ended.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            error!(%error, "the task that supervises nats-server failed");
        }
    }
}

/// What is needed to start it, any number of times.
struct Server {
    binary: Binary,
    data: DataDir,
    port: u16,
}

impl Server {
    fn spawn(&self) -> Result<Child, ServerError> {
        let start = || {
            let log = self.data.open_log()?;
            Command::new(&self.binary.path)
                .arg("--config")
                .arg(self.data.config())
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
        };
        start().map_err(|error| self.failed(format!("can't be started: {error}")))
    }

    /// Waits until it answers, or has ended.
    async fn answers(&self, child: &mut Child) -> Result<(), ServerError> {
        let until = Instant::now() + START_MAX;
        while !greets(self.port).await {
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Err(self.ended(status)),
                Err(error) => return Err(self.failed(format!("can't be watched: {error}"))),
            }
            if Instant::now() > until {
                let secs = START_MAX.as_secs();
                terminate(child).await;
                return Err(self.failed(format!("did not answer within {secs} s")));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn supervise(
        self,
        mut child: Child,
        mut stopping: watch::Receiver<bool>,
        fail: watch::Sender<Option<ServerError>>,
    ) {
        let mut quick_crashes = 0;
        let mut started = Instant::now();
        loop {
            tokio::select! {
                status = child.wait() => {
                    quick_crashes = if started.elapsed() < QUICK { quick_crashes + 1 } else { 1 };
                    let ended = match status {
                        Ok(status) => self.ended(status),
                        Err(error) => self.failed(format!("can't be watched: {error}")),
                    };
                    if quick_crashes >= QUICK_CRASHES_MAX {
                        error!(error = %ended, "nats-server is given up after {QUICK_CRASHES_MAX} quick crashes");
                        fail.send_replace(Some(ended));
                        return;
                    }
                    warn!(error = %ended, "nats-server crashed, starting it again");
                }
                () = wanted(&mut stopping) => {
                    terminate(&mut child).await;
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff(quick_crashes)) => {}
                () = wanted(&mut stopping) => return,
            }
            started = Instant::now();
            match self.spawn() {
                Ok(new) => child = new,
                Err(error) => {
                    fail.send_replace(Some(error));
                    return;
                }
            }
        }
    }

    fn ended(&self, status: ExitStatus) -> ServerError {
        let tail = self.data.log_tail();
        let last = tail.lines().last().unwrap_or_default();
        if last.contains("address already in use") {
            return ServerError::PortTaken(self.port);
        }
        ServerError::Failed { what: format!("ended ({status})"), log: self.data.log(), tail }
    }

    fn failed(&self, what: String) -> ServerError {
        ServerError::Failed { what, log: self.data.log(), tail: self.data.log_tail() }
    }
}

/// Waits until it is to stop; whoever is gone wants that too.
async fn wanted(stopping: &mut watch::Receiver<bool>) {
    stopping.wait_for(|stop| *stop).await.ok();
}

/// 0.1, 0.2, 0.4 … s after quick crashes.
fn backoff(quick_crashes: u32) -> Duration {
    (Duration::from_millis(50) * 2_u32.pow(quick_crashes.min(8))).min(BACKOFF_MAX)
}

/// The port, if nobody listens there.
fn free_port(port: u16) -> Result<u16, ServerError> {
    let taken = |_| ServerError::PortTaken(port);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(taken)?;
    listener.local_addr().map(|address| address.port()).map_err(taken)
}

/// Whether a NATS server with JetStream greets us there.
async fn greets(port: u16) -> bool {
    let greeting = async {
        let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        std::io::Result::Ok(line.starts_with("INFO ") && line.contains("\"jetstream\":true"))
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), greeting).await, Ok(Ok(true)))
}

/// Asks it to end, waits, and kills it if it doesn't.
async fn terminate(child: &mut Child) {
    if let Some(pid) = child.id().and_then(pid) {
        kill_process(pid, Signal::TERM).ok();
    }
    if tokio::time::timeout(STOP_MAX, child.wait()).await.is_err() {
        warn!("nats-server does not end within {} s, killing it", STOP_MAX.as_secs());
        child.kill().await.ok();
    }
}

/// Ends a server that is not our child.
async fn stop_orphan(raw: i32) {
    let Some(pid) = Pid::from_raw(raw) else { return };
    info!(pid = raw, "stopping the nats-server that an earlier `presence up` left behind");
    for (signal, patience) in [(Signal::TERM, STOP_MAX), (Signal::KILL, Duration::from_secs(5))] {
        kill_process(pid, signal).ok();
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if test_kill_process(pid).is_err() || is_zombie(raw) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }
    warn!(pid = raw, "the nats-server that was left behind does not end");
}

/// Ended, but whoever is its parent now has not noticed yet.
fn is_zombie(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_the_option_that_helps() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let message = free_port(port).unwrap_err().to_string();
        assert!(message.contains(&port.to_string()) && message.contains("--port"), "{message}");
    }

    #[test]
    fn what_was_found_and_refused_is_named() {
        let message = ServerError::NotFound(vec!["/usr/bin/nats-server is 2.9.10".into()]).to_string();
        assert!(
            message.contains("2.9.10") && message.contains("2.15.1") && message.contains("make tools"),
            "{message}"
        );
    }

    #[test]
    fn restarts_wait_longer_after_each_quick_crash() {
        assert_eq!(backoff(1), Duration::from_millis(100));
        assert_eq!(backoff(3), Duration::from_millis(400));
        assert_eq!(backoff(100), BACKOFF_MAX);
    }
}
