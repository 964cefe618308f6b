//! What the engine costs beside a consumer that does nothing, and how late transitions are told: on a real nats-server
//! (`.tools/bin/nats-server`) of its own, both sides of each comparison in one run.
//!
//! `cargo bench --bench end_to_end`; the publisher, the server and the reader share the machine.

mod common;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::StreamExt;
use presence_engine::config::Config;
use presence_engine::nats::server::{EmbeddedServer, ServerOptions};
use presence_engine::nats::{ConnectOptions, LogIdentity, Nats, topology};
use presence_engine::wire::ToldEvent;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use common::{Result, flood, now_ms, quantile, read_log};

const SESSIONS: usize = 20_000;
const HEARTBEATS: usize = 200_000;
const ROUNDS: usize = 5;
const EXPIRING: usize = 10_000;

#[tokio::main]
async fn main() -> Result<()> {
    // A server each: the sessions of one measurement would expire in the midst of the other.
    let (server, bench, _data) = Bench::start().await?;
    bench.throughput().await?;
    server.stop().await;
    let (server, bench, _data) = Bench::start().await?;
    bench.lateness().await?;
    server.stop().await;
    Ok(())
}

struct Bench {
    url: String,
}

struct Engine {
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::result::Result<(), presence_engine::runtime::RuntimeError>>,
}

impl Engine {
    async fn stop(self) -> Result<()> {
        drop(self.stop);
        Ok(self.task.await??)
    }
}

impl Bench {
    async fn start() -> Result<(EmbeddedServer, Self, tempfile::TempDir)> {
        let data = tempfile::tempdir()?;
        let binary = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tools/bin/nats-server");
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let options = ServerOptions { binary: Some(binary), data_dir: data.path().into(), port };
        let server = EmbeddedServer::start(options).await?;
        let bench = Self { url: server.url().to_owned() };
        topology::setup(&bench.connect().await?, &topology::Parameters::default()).await?;
        Ok((server, bench, data))
    }

    async fn connect(&self) -> Result<Nats> {
        Ok(Nats::connect(&ConnectOptions { url: Some(self.url.clone()), ..ConnectOptions::default() }).await?)
    }

    async fn engine(&self, config: Config) -> Result<Engine> {
        let nats = self.connect().await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell_live, live) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            presence_engine::runtime::run(&nats, &config, stopped, || drop(tell_live)).await
        });
        let _ = live.await;
        Ok(Engine { stop, task })
    }

    /// Publishes heartbeats of all sessions in turn, as fast as the log stores them.
    async fn publish(&self, heartbeats: usize, epoch: u64) -> Result<()> {
        let nats = self.connect().await?;
        let heartbeat = |number| {
            let subject = format!("presence.v1.signal.bench.user-{}.tab", number % SESSIONS);
            (subject, format!(r#"{{"epoch":{epoch},"seq":{number}}}"#))
        };
        flood(&nats, heartbeats, heartbeat).await
    }

    /// Heartbeats per second, read by a consumer that only counts.
    async fn counted(&self, epoch: u64) -> Result<f64> {
        let nats = self.connect().await?;
        let first = LogIdentity::read(&nats).await?.last_seq + 1;
        let begin = Instant::now();
        tokio::try_join!(self.publish(HEARTBEATS, epoch), read_log(&nats, first, HEARTBEATS))?;
        Ok(HEARTBEATS as f64 / begin.elapsed().as_secs_f64())
    }

    /// Heartbeats per second through the engine: the last one is of a session that is new, and its event ends the time.
    async fn folded(&self, epoch: u64) -> Result<f64> {
        let mut config = Config::default();
        config.use_profile("default")?;
        let engine = self.engine(config).await?;
        let nats = self.connect().await?;
        let mut told = nats.client.subscribe(format!("presence.v1.session.bench.last.e{epoch}")).await?;
        nats.client.flush().await?;
        let begin = Instant::now();
        self.publish(HEARTBEATS, epoch).await?;
        nats.client.publish(format!("presence.v1.signal.bench.last.e{epoch}"), "{}".into()).await?;
        told.next().await.ok_or("the subscription ended")?;
        let rate = HEARTBEATS as f64 / begin.elapsed().as_secs_f64();
        engine.stop().await?;
        Ok(rate)
    }

    async fn throughput(&self) -> Result<()> {
        // Everybody joins before it is measured.
        self.folded(1).await?;
        let (mut nothing, mut engine, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS as u64 {
            let counted = self.counted(2 + 2 * round).await?;
            let folded = self.folded(3 + 2 * round).await?;
            nothing.push(counted);
            engine.push(folded);
            ratios.push(folded / counted);
        }
        println!(
            "heartbeats per second, {SESSIONS} sessions: {:.0} by a consumer that does nothing, {:.0} through the engine, \
             ratio {:.2} (medians of {ROUNDS} pairs)",
            quantile(&mut nothing, 0.5),
            quantile(&mut engine, 0.5),
            quantile(&mut ratios, 0.5)
        );
        Ok(())
    }

    /// How late transitions are told when many sessions expire together.
    async fn lateness(&self) -> Result<()> {
        let mut config = Config::default();
        config.use_profile("demo")?;
        let engine = self.engine(config).await?;
        let nats = self.connect().await?;
        let mut told = nats.client.subscribe("presence.v1.session.late.>").await?;
        nats.client.flush().await?;
        for number in 0..EXPIRING {
            nats.client.publish(format!("presence.v1.signal.late.user-{number}.tab"), "{}".into()).await?;
        }
        nats.client.flush().await?;
        let mut late = Vec::new();
        let (mut first, mut last) = (u64::MAX, 0);
        while late.len() < EXPIRING {
            let message =
                tokio::time::timeout(Duration::from_secs(60), told.next()).await?.ok_or("the subscription ended")?;
            let now = now_ms()?;
            if let ToldEvent::Session(event) = ToldEvent::read(&message.payload)?
                && event.cause == "quiet"
                && event.ordinal == 2
            {
                late.push((now - event.at_ms) as f64);
                (first, last) = (first.min(now), last.max(now));
            }
        }
        let rate = 2.0 * EXPIRING as f64 / ((last - first).max(1) as f64 / 1_000.0);
        println!(
            "lateness of {EXPIRING} sessions that expire together: p50 {:.0} ms, p99 {:.0} ms; {rate:.0} events committed and \
             told per second, so the target is 200 ms + {:.0} ms",
            quantile(&mut late, 0.5),
            quantile(&mut late, 0.99),
            2.0 * EXPIRING as f64 / rate * 1_000.0
        );
        engine.stop().await
    }
}
