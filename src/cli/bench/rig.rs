//! A server of a measurement's own, and the engine before it.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::Subscriber;
use futures::StreamExt;

use super::Result;
use super::course::{Course, remove, until, within};
use super::engine::{Engine, Start};
use super::process::Process;
use crate::cli::setup::parameters;
use crate::config::Config;
use crate::nats::server::{EmbeddedServer, ServerOptions};
use crate::nats::{ConnectOptions, Nats, topology};
use crate::wire::info::Info;
use crate::wire::subject;

/// The tenant of all sessions.
pub(super) const TENANT: &str = "bench";
/// Longer than anything that is told may take.
pub(super) const TOLD_MAX: Duration = Duration::from_secs(180);
const STORED_MAX: Duration = Duration::from_secs(120);

/// Where the streams are.
pub(super) const FILE: &str = "storage = \"file\"";
pub(super) const MEMORY: &str = "storage = \"memory\"";
/// Nothing is told of sessions, and of users only that they came: filling is bearable then, and a heartbeat costs the same.
pub(super) const FEW_EVENTS: &str = "[events]\nsessions = false\nupdate_every = \"1h\"";

/// A configuration in which nobody falls, with what a part adds to `[engine]` and to the rest.
pub(super) fn still(engine: &str, rest: &str) -> String {
    let ladder = "idle_after = \"2h\"\naway_after = \"3h\"\nstale_after = \"4h\"\noffline_after = \"5h\"";
    with_ladder(engine, &format!("{ladder}\nconfidence = {{ bands = [] }}"), rest)
}

/// A configuration with a profile.
pub(super) fn with_ladder(engine: &str, profile: &str, rest: &str) -> String {
    format!("[engine]\n{engine}\n[profile.default]\n{profile}\n{rest}\n")
}

/// A server, its streams, and an engine where one was begun.
#[derive(Debug)]
pub(super) struct Rig {
    engine: Option<Engine>,
    pub(super) nats: Nats,
    server: EmbeddedServer,
    folder: PathBuf,
    config: Config,
    lives: u32,
    markers: u32,
}

/// A user who was never heard of, so that its event says that everything before it was folded and told.
#[derive(Debug)]
pub(super) struct Marker {
    user: String,
    told: Subscriber,
}

/// A server without any stream.
pub(super) async fn server(course: &Course) -> Result<(EmbeddedServer, PathBuf, Nats)> {
    let folder = course.new_folder()?;
    let options = ServerOptions { binary: course.nats_server.clone(), data_dir: folder.clone(), port: 0 };
    let server = EmbeddedServer::start(options).await?;
    let nats = connect(server.url()).await?;
    Ok((server, folder, nats))
}

/// The process of a server that keeps its data there.
pub(super) fn process_in(folder: &std::path::Path) -> Result<Process> {
    Ok(Process(std::fs::read_to_string(folder.join("nats-server.pid"))?.trim().parse()?))
}

async fn connect(url: &str) -> Result<Nats> {
    Ok(Nats::connect(&ConnectOptions { url: Some(url.to_owned()), ..ConnectOptions::default() }).await?)
}

impl Rig {
    /// Starts a server with the streams of a configuration; no engine yet.
    pub(super) async fn start(course: &Course, config: &str) -> Result<Self> {
        let text = config;
        let config = Config::parse(config).map_err(|errors| format!("the benchmark's configuration: {errors:?}"))?;
        let (server, folder, nats) = server(course).await?;
        topology::setup(&nats, &parameters(&config)).await?;
        std::fs::write(folder.join("presence.toml"), text)?;
        Ok(Self { engine: None, nats, server, folder, config, lives: 0, markers: 0 })
    }

    /// Where the server listens.
    pub(super) fn url(&self) -> &str {
        self.server.url()
    }

    /// How many partitions the log has.
    pub(super) fn partitions(&self) -> u16 {
        self.config.engine.partitions
    }

    /// The server's process.
    pub(super) fn server_process(&self) -> Result<Process> {
        process_in(&self.folder)
    }

    /// The engine.
    pub(super) fn engine(&self) -> Result<&Engine> {
        Ok(self.engine.as_ref().ok_or("no engine runs")?)
    }

    /// Starts the engine, and waits until it is live.
    pub(super) async fn begin(&mut self) -> Result<Start> {
        self.lives += 1;
        let config = self.folder.join("presence.toml");
        let (engine, start) = Engine::start(&self.folder, self.lives, self.server.url(), &config).await?;
        self.engine = Some(engine);
        Ok(start)
    }

    /// Ends the engine by SIGTERM.
    pub(super) async fn end(&mut self) -> Result<()> {
        match self.engine.take() {
            Some(engine) => engine.end().await,
            None => Ok(()),
        }
    }

    /// Ends the engine by SIGKILL.
    pub(super) async fn kill(&mut self) -> Result<()> {
        match self.engine.take() {
            Some(engine) => engine.kill().await,
            None => Ok(()),
        }
    }

    /// Ends all of it, and removes what it left.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.end().await?;
        self.nats.client.drain().await.ok();
        self.server.stop().await;
        remove(&self.folder);
        Ok(())
    }

    /// Another connection to its server.
    pub(super) async fn another(&self) -> Result<Nats> {
        connect(self.server.url()).await
    }

    /// Listens for a user who was never heard of.
    pub(super) async fn marker(&mut self) -> Result<Marker> {
        self.markers += 1;
        let user = format!("marker-{}", self.markers);
        let told = self.nats.client.subscribe(subject::user(&subject::user_key(TENANT, &user))).await?;
        self.nats.client.flush().await?;
        Ok(Marker { user, told })
    }

    /// What the engine tells of itself.
    pub(super) async fn info(&self) -> Result<Info> {
        let subject = subject::info_of(&self.engine()?.owner()?);
        let answer = self.nats.client.request(subject, "".into()).await?;
        Ok(Info::from_json(&answer.payload)?)
    }
}

impl Marker {
    /// It beats, and is told: so is everything that was published before over the same connection.
    pub(super) async fn passes(mut self, rig: &Rig) -> Result<()> {
        let subject = subject::signal(TENANT, &self.user, "tab")?;
        rig.nats.client.publish(subject, "{}".into()).await?;
        within("the last heartbeat is told", TOLD_MAX, self.told.next()).await?.ok_or("the subscription ended")?;
        Ok(())
    }
}

/// Waits until the log has its entry `seq`.
pub(super) async fn reaches(nats: &Nats, seq: u64) -> Result<()> {
    let what = format!("the log has entry {seq}: the server may have dropped signals");
    until(&what, STORED_MAX, async || Ok((crate::nats::LogIdentity::read(nats).await?.last_seq >= seq).then_some(())))
        .await
}
