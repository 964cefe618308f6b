//! A real nats-server for each test, and a wire to it that can be cut.

#![allow(
    clippy::allow_attributes,
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this, so none of these is so in all of them"
)]

pub mod ask;
pub mod client;
pub mod clock;
pub mod engine;
pub mod oracle;
pub mod port;
pub mod rooms;
pub mod streams;
pub mod told;

use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::Clock;
use port::Port;
use presence_engine::nats::topology::{self, Parameters};
use presence_engine::nats::{ConnectOptions, Nats};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Longer than anything that works may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something; fails with `what` when patience ends.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < until, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What `future` gives; fails with `what` when patience ends.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = tokio::time::timeout(PATIENCE, future).await else { panic!("waited {PATIENCE:?} in vain: {what}") };
    value
}

/// What not every machine allows. Where it does not, that is told and nothing is tried, but not in CI, which has to.
pub fn if_to_be_had<T>(what: &str, tried: Result<T, String>) -> Option<T> {
    match tried {
        Ok(value) => Some(value),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{what} can't be had here, and CI has to have it: {why}");
            eprintln!("skipped, since {what} can't be had here: {why}");
            None
        }
    }
}

/// The binary: `NATS_SERVER`, or what `scripts/tools` has fetched.
pub fn binary() -> PathBuf {
    let fetched = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/bin/nats-server"));
    let binary = std::env::var_os("NATS_SERVER").map_or(fetched, PathBuf::from);
    assert!(binary.is_file(), "{} is missing: `make tools` fetches it", binary.display());
    binary
}

/// A nats-server of this test alone, with JetStream, on a port that is its own while it is down, too.
pub struct TestServer {
    dir: TempDir,
    port: Port,
    making: Making,
    child: Child,
}

/// How a server is started, beside its port.
struct Making {
    options: Vec<String>,
    /// The program and arguments that go before those of the server.
    launcher: Vec<OsString>,
}

impl TestServer {
    /// Starts one and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with options of the command line and waits until it answers.
    pub async fn start_with(options: &[&str]) -> Self {
        Self::start_under(None, options).await
    }

    /// Starts one by a clock that can be set and waits until it answers.
    pub async fn start_under(clock: Option<&Clock>, options: &[&str]) -> Self {
        log_to_the_test();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let making = Making {
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            launcher: clock.map(Clock::launcher).unwrap_or_default(),
        };
        let port = Port::take();
        let child = Self::spawn(&dir, &port, &making);
        let mut server = Self { dir, port, making, child };
        server.answers().await;
        server
    }

    /// Starts one with all streams and buckets.
    pub async fn with_topology() -> (Self, Nats) {
        let server = Self::start().await;
        let nats = server.connect().await;
        topology::setup(&nats, &Parameters::default()).await.expect("an empty server takes the topology");
        (server, nats)
    }

    fn spawn(dir: &TempDir, port: &Port, making: &Making) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(dir.path().join("log")).expect("a log file");
        let mut words = making.launcher.iter().cloned().chain([binary().into()]);
        Command::new(words.next().expect("the server at least"))
            .args(words)
            .args(["--addr", "127.0.0.1", "--port", &port.number().to_string(), "--jetstream", "--store_dir"])
            .arg(dir.path())
            .args(&making.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("nats-server starts")
    }

    async fn answers(&mut self) {
        let (port, child) = (self.port(), &mut self.child);
        eventually("the server answers", async || {
            let ended = child.try_wait().expect("the server can be waited for");
            assert!(ended.is_none(), "the server ended by itself: {ended:?}");
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            let mut start = [0; 5];
            stream.read_exact(&mut start).await.ok()?;
            (start == *b"INFO ").then_some(())
        })
        .await;
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port())
    }

    /// A connection of its own.
    pub async fn connect(&self) -> Nats {
        connect(&self.url()).await
    }

    /// Ends it as a power switch does, but for what the kernel still writes.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("the server ends");
    }

    /// Starts it again with the same store on the same port.
    pub async fn restart(&mut self) {
        self.child = Self::spawn(&self.dir, &self.port, &self.making);
        self.answers().await;
    }

    /// Stops it without ending it; its connections stay.
    pub fn pause(&self) {
        kill_process(self.pid(), Signal::STOP).expect("the server runs");
    }

    pub fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).expect("the server runs");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let warnings = log.lines().filter(|line| !line.contains("[INF]")).collect::<Vec<_>>().join("\n");
            eprintln!("the server's log but for information:\n{warnings}");
        }
    }
}

/// What the engine logs is shown with the test that fails.
pub fn log_to_the_test() {
    let filter = tracing_subscriber::EnvFilter::new("info,presence_engine=debug");
    tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init().ok();
}

pub async fn connect(url: &str) -> Nats {
    let options = ConnectOptions { url: Some(url.into()), ..ConnectOptions::default() };
    Nats::connect(&options).await.expect("the server lets us in")
}

/// Three servers that are one cluster.
pub struct TestCluster {
    pub nodes: Vec<TestServer>,
    /// Those of the routes between them.
    pub ports: Vec<Port>,
}

impl TestCluster {
    pub async fn start() -> Self {
        let ports: Vec<_> = (0..3).map(|_| Port::take()).collect();
        let routes: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{}", port.number())).collect();
        let all = routes.join(",");
        let nodes = routes.iter().enumerate().map(async |(i, route)| {
            let name = format!("n{i}");
            let options = ["--server_name", &name, "--cluster_name", "test", "--cluster", route, "--routes", &all];
            TestServer::start_with(&options).await
        });
        Self { nodes: futures::future::join_all(nodes).await, ports }
    }

    pub fn url(&self) -> String {
        self.nodes.iter().map(TestServer::url).collect::<Vec<_>>().join(",")
    }

    /// The node that leads a stream; waits until one does.
    pub async fn leader(&self, nats: &Nats, stream: &str) -> usize {
        eventually("the stream has a leader", || async {
            let info = nats.jetstream.get_stream(stream).await.ok()?.cached_info().cluster.clone()?;
            info.leader?.strip_prefix('n')?.parse().ok()
        })
        .await
    }
}

/// A wire to a server that swallows what the server says, and that can be cut.
pub struct Wire {
    port: u16,
    state: Arc<watch::Sender<WireState>>,
}

/// Connections are numbered as they are made.
#[derive(Clone, Copy, Default)]
struct WireState {
    made: u64,
    /// Those below hear nothing.
    deaf: u64,
    /// Those below are cut.
    cut: u64,
    /// Nothing gets through at all.
    down: bool,
}

impl Wire {
    pub async fn to(server: &TestServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let target = server.port();
        let state = Arc::new(watch::Sender::new(WireState::default()));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = shared.borrow().made;
                shared.send_modify(|state| state.made += 1);
                tokio::spawn(carry(client, target, number, shared.subscribe()));
            }
        });
        Self { port, state }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// From now on the client hears nothing over the connections there are, while the server goes on hearing it.
    pub fn deafen(&self) {
        self.state.send_modify(|state| state.deaf = state.made);
    }

    /// Cuts every connection, and new ones too until [`Wire::mend`].
    pub fn take_down(&self) {
        self.state.send_modify(|state| (state.cut, state.down) = (state.made, true));
    }

    /// New connections are whole again.
    pub fn mend(&self) {
        self.state.send_modify(|state| (state.cut, state.down) = (state.made, false));
    }

    /// Cuts every connection; new ones are whole.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cut = state.made);
    }
}

async fn carry(client: TcpStream, target: u16, number: u64, mut state: watch::Receiver<WireState>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let (mut client_in, mut client_out) = client.into_split();
    let (mut server_in, mut server_out) = server.into_split();
    let deaf = state.clone();
    let up = async move { tokio::io::copy(&mut client_in, &mut server_out).await.ok() };
    let down = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = server_in.read(&mut buffer).await {
            let is_deaf = number < deaf.borrow().deaf;
            if !is_deaf && client_out.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = up => {}
        () = down => {}
        _ = state.wait_for(|state| number < state.cut || state.down) => {}
    }
}
