//! A gateway: what holds many connections publishes their signals together.

mod batch;
mod carrier;
mod item;
mod lane;
mod pack;

use std::time::Duration;

use async_nats::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::carrier::Carrier;
use self::item::Item;
use super::name::{chance, token};
use super::{Error, facts::ms};

/// Most signals of one batch, and largest batch in bytes: what the engine takes.
const SIGNALS_MAX: usize = 10_000;
const BYTES_MAX: usize = 1024 * 1024;
/// Smallest limit of a batch in bytes: any one signal has to fit.
const BYTES_MIN: usize = 16 * 1024;
/// Longest that a signal waits for others.
const EVERY_MAX: Duration = Duration::from_secs(1);
/// Most signals that can be held.
const HELD_MAX: usize = 10_000_000;
/// Signals on their way to the task that carries them; who brings more waits.
const BROUGHT_MAX: usize = 8_192;
/// How long [`Gateway::close`] tries to publish what is held.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// How a gateway gathers signals into batches.
///
/// ```
/// use std::time::Duration;
/// use presence_engine::client::Gathering;
///
/// let gathering = Gathering::named("edge-1").signals_max(500).every(Duration::from_millis(20));
/// ```
#[derive(Debug, Clone)]
pub struct Gathering {
    name: String,
    signals_max: usize,
    bytes_max: usize,
    every: Duration,
    held_max: usize,
}

impl Default for Gathering {
    /// As [`Gathering::named`], with a name by chance.
    fn default() -> Self {
        Self::named(format!("gateway-{:016x}", chance()))
    }
}

impl Gathering {
    /// By this name, which has to be one process's alone in its tenants: the engine tells by it who fell silent. One that is kept over
    /// restarts makes a quick restart no silence.
    ///
    /// A batch goes out with 1,000 signals, 256 KiB, or 50 ms after its first signal; 100,000 signals are held.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        let every = Duration::from_millis(50);
        Self { name: name.into(), signals_max: 1_000, bytes_max: 256 * 1024, every, held_max: 100_000 }
    }

    /// Most signals of a batch, 1 to 10,000; what is beyond is brought there, as with the other limits.
    #[must_use]
    pub fn signals_max(mut self, signals: usize) -> Self {
        self.signals_max = signals.clamp(1, SIGNALS_MAX);
        self
    }

    /// Largest batch in bytes, 16 KiB to 1 MiB. It is never larger than the server's `max_payload`.
    #[must_use]
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes.clamp(BYTES_MIN, BYTES_MAX);
        self
    }

    /// How long a signal waits for others, at most 1 s.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.min(EVERY_MAX);
        self
    }

    /// Most signals that are held while they can't be published, 1 to 10 million.
    #[must_use]
    pub fn held_max(mut self, signals: usize) -> Self {
        self.held_max = signals.clamp(1, HELD_MAX);
        self
    }
}

/// What a gateway has done since it was started, in signals unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GatewayCounts {
    /// Taken by [`Gateway::hold`].
    pub taken: u64,
    /// Acknowledged by the log.
    pub stored: u64,
    /// Dropped while more had to be held than [`Gathering::held_max`].
    pub dropped: u64,
    /// Held now, those under way included.
    pub held: u64,
    /// Batches that the log acknowledged, empty ones included.
    pub batches: u64,
    /// Batches that had to be sent again.
    pub again: u64,
    /// Batches that another process published under this gateway's name: give each a name of its own.
    pub foreign: u64,
    /// The log's partitions; 0 until an engine has told.
    pub partitions: u16,
}

/// A gateway: it takes signals of many connections, and publishes them together, by partition.
///
/// Signals of a session are published in their order, all of them, each with its age, which goes on growing until the log has it.
/// A batch that was refused or not acknowledged is sent again, and is stored once: it names the batch before it
/// (`Nats-Expected-Last-Subject-Sequence`), so signals without (`epoch`, `seq`) may come this way too. At most one batch of a tenant's
/// partition is under way, and 64 in all.
///
/// While the server is away, at most [`Gathering::held_max`] signals are held: beyond it those go first that are followed by a newer one
/// of their session, then the oldest. What only they said, as `can` or `rooms`, is lost with them until it is said again.
///
/// Where a partition's sessions are silent, it publishes an empty batch each second: a gateway's life sign. Where the gateway dies, the
/// engine excuses its sessions for a minute, since the silence is not theirs.
///
/// Dropping it publishes what it holds, as far as the runtime goes on; [`close`](Self::close) waits for it.
///
/// ```no_run
/// use presence_engine::client::{Gateway, Gathering};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = async_nats::connect("nats://127.0.0.1:4222").await?;
/// let gateway = Gateway::start(client, Gathering::named("edge-1"))?;
/// // For each message that comes over a socket: a signal's payload as a client would publish it, JSON or MessagePack.
/// gateway.hold("main", "ada", "tab-1", br#"{"epoch":1790000000000,"seq":1,"can":["audio"]}"#).await?;
/// gateway.hold("main", "bob", "phone", b"").await?;
/// gateway.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Gateway {
    brought: mpsc::Sender<Item>,
    counts: watch::Receiver<GatewayCounts>,
    trouble: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

impl Gateway {
    /// Starts one. Until an engine has told how many partitions the log has, it holds what it takes.
    ///
    /// # Errors
    /// [`Error::Name`] if the gateway can't have that name.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(client: Client, gathering: Gathering) -> Result<Self, Error> {
        let name = token("gateway", &gathering.name)?;
        let (brought, brings) = mpsc::channel(BROUGHT_MAX);
        let (tell, counts) = watch::channel(GatewayCounts::default());
        let (complain, trouble) = watch::channel(None);
        let task = tokio::spawn(Carrier::new(client, name, gathering, brings, tell, complain).run());
        Ok(Self { brought, counts, trouble, task })
    }

    /// Takes a signal of a session's: plain names, and the payload that a client would publish, JSON or MessagePack, or nothing.
    /// `u`, `s` and `age_ms` in it are ignored: nobody speaks for somebody else. Waits a moment if many are brought at once.
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::Signal`] for a payload that is none, [`Error::Limit`] for one that is larger than 8 KiB: nothing was
    /// taken. [`Error::Unacknowledged`] if the runtime ends.
    pub async fn hold(&self, tenant: &str, user: &str, session: &str, payload: &[u8]) -> Result<(), Error> {
        let item = Item::read(tenant, user, session, payload)?;
        let ended = |_| Error::Unacknowledged("the gateway has ended with its runtime".to_owned());
        self.brought.send(item).await.map_err(ended)
    }

    /// What it has done so far, within the last moments.
    #[must_use]
    pub fn counts(&self) -> GatewayCounts {
        *self.counts.borrow()
    }

    /// Why the latest batch was not stored; `None` where it was.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Publishes what it holds, for ten seconds at most, and ends.
    ///
    /// # Errors
    /// [`Error::Unacknowledged`] says how many signals the log has not acknowledged.
    pub async fn close(self) -> Result<GatewayCounts, Error> {
        let Self { brought, counts, trouble, task } = self;
        drop(brought);
        task.await.map_err(|error| Error::Unacknowledged(error.to_string()))?;
        let counts = *counts.borrow();
        match counts.held {
            0 => Ok(counts),
            held => {
                let (within, why) = (ms(CLOSE_WITHIN), trouble.borrow().clone());
                let why = why.unwrap_or_else(|| "there was no connection, or no engine told the partitions".to_owned());
                Err(Error::Unacknowledged(format!("{held} signals were still held after {within} ms ({why})")))
            }
        }
    }
}
