//! A session that beats by itself.

use std::time::Duration;

use async_nats::Client;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::beats::{Beats, check_can, check_meta, check_rooms};
use super::facts::Facts;
use super::name::token;
use super::voice::Voice;
use super::{Error, Intent, Visibility};

/// A session that beats by itself until it leaves.
///
/// It beats each [`Beats::every`], a tenth more or less by chance, and promises so; each signal carries (`epoch`, `seq`), so that
/// duplicates and late ones change nothing. What is set is said at once; what is set within a tenth of a second is said together.
/// All acknowledgements are heard, none is waited for: at most four signals are under way. What the log has not acknowledged
/// is said again. While there is no connection nothing is said, and the first beat behind it says everything: no flood of old ones.
///
/// Dropping it says `leave` too, as far as the runtime that it was started on goes on for so long; where that ends first, or there is
/// no connection, the session's silence tells it later. [`leave`](Self::leave) waits for the log.
///
/// ```no_run
/// use presence_engine::client::{Beats, Heartbeats, Visibility};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = async_nats::connect("nats://127.0.0.1:4222").await?;
/// let session = Heartbeats::start(client, "main", "ada", "tab-1", Beats::default().can(["audio"]))?;
/// session.set_visibility(Visibility::Hidden);
/// session.acknowledged().await?;
/// session.leave().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Heartbeats {
    said: watch::Sender<Said>,
    acknowledged: watch::Receiver<u64>,
    task: JoinHandle<Result<(), Error>>,
}

/// What was said so far. Each change has a number.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) facts: Facts,
    /// The latest change.
    pub(super) latest: u64,
    /// The latest change that only a whole beat says.
    pub(super) whole: u64,
    /// The latest change by which an intent is said that was said before.
    pub(super) again: u64,
    /// The latest change that is more than input.
    pub(super) urgent: u64,
}

impl Heartbeats {
    /// Starts a session and beats at once.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Limit`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(client: Client, tenant: &str, user: &str, session: &str, beats: Beats) -> Result<Self, Error> {
        let (tenant, user) = (token("tenant", tenant)?, token("user", user)?);
        let subject = format!("presence.v1.signal.{tenant}.{user}.{}", token("session", session)?);
        beats.check()?;
        let (said, hears) = watch::channel(Said { facts: beats.facts, latest: 1, whole: 1, again: 0, urgent: 1 });
        let (tell, acknowledged) = watch::channel(0);
        let task = tokio::spawn(Voice::new(client, subject, beats.every, hears, tell).run());
        Ok(Self { said, acknowledged, task })
    }

    /// Whether it is in sight, hidden, or about to be suspended.
    pub fn set_visibility(&self, visibility: Visibility) {
        self.change(false, |said| said.facts.visibility = visibility);
    }

    /// The person did something just now. From the first call on each beat tells the age of the latest input; before, each beat of
    /// a session in sight counts as input. It may be called as often as there is input: it is said once a second at most.
    pub fn input(&self) {
        self.said.send_modify(|said| {
            said.latest += 1;
            said.facts.input = Some(Instant::now());
        });
    }

    /// What the session could do now, at most 16; replaces what was said.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub fn set_can<S: Into<String>>(&self, can: impl IntoIterator<Item = S>) -> Result<(), Error> {
        let can: Vec<String> = can.into_iter().map(Into::into).collect();
        check_can(&can)?;
        self.change(true, |said| said.facts.can = Some(can));
        Ok(())
    }

    /// Where the session is, at most 32; replaces what was said.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::Name`].
    pub fn set_rooms<S: Into<String>>(&self, rooms: impl IntoIterator<Item = S>) -> Result<(), Error> {
        let rooms: Vec<String> = rooms.into_iter().map(Into::into).collect();
        check_rooms(&rooms)?;
        self.change(true, |said| said.facts.rooms = Some(rooms));
        Ok(())
    }

    /// What is passed on as it is, at most 1024 bytes as JSON; replaces what was said.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub fn set_meta(&self, meta: Map<String, Value>) -> Result<(), Error> {
        check_meta(&meta)?;
        self.change(true, |said| said.facts.meta = Some(meta));
        Ok(())
    }

    /// What the person wants, and for how long, after which it is open by itself; `None`: until it is said otherwise. Saying again
    /// what had a time lets that begin anew, and so is `open` for a moment.
    pub fn set_intent(&self, intent: Intent, time: Option<Duration>) {
        self.change(true, |said| {
            let had_time = said.facts.intent.is_some_and(|(before, until)| before == intent && until.is_some());
            if had_time {
                said.again = said.latest;
            }
            said.facts.intent = Some((intent, time.map(|time| Instant::now() + time)));
        });
    }

    fn change(&self, whole: bool, change: impl FnOnce(&mut Said)) {
        self.said.send_modify(|said| {
            said.latest += 1;
            said.urgent = said.latest;
            if whole {
                said.whole = said.latest;
            }
            change(said);
        });
    }

    /// Waits until the log has all that was set before, which without a connection is for ever: bound it by a timeout of your own.
    ///
    /// # Errors
    /// [`Error::Unacknowledged`] if the runtime ends.
    pub async fn acknowledged(&self) -> Result<(), Error> {
        let latest = self.said.borrow().latest;
        let ended = |_| Error::Unacknowledged("the session has ended with its runtime".to_owned());
        self.acknowledged.clone().wait_for(|acknowledged| *acknowledged >= latest).await.map(drop).map_err(ended)
    }

    /// Ends the session, and waits up to some seconds until the log has it.
    ///
    /// # Errors
    /// [`Error::Unacknowledged`]: then its silence tells it later.
    pub async fn leave(self) -> Result<(), Error> {
        let Self { said, acknowledged: _, task } = self;
        drop(said);
        task.await.unwrap_or_else(|error| Err(Error::Unacknowledged(error.to_string())))
    }
}
