//! A Redis of its own, which keeps nothing on disk and tells what expires.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::resp;
use crate::cli::bench::Result;
use crate::cli::bench::course::{Course, until, within};
use crate::cli::bench::process::Process;

const START_MAX: Duration = Duration::from_secs(20);
const ANSWERED_MAX: Duration = Duration::from_secs(300);
const EXPIRED: &str = "__keyevent@0__:expired";
/// So many pipelines are under way, so that neither side waits for the other.
const UNDER_WAY: usize = 16;
/// A reply to a SET.
const OK: &[u8] = b"+OK\r\n";
/// Longer than a rate is measured.
const LONG_MS: &str = "3600000";

/// A running Redis; killed when it is dropped.
#[derive(Debug)]
pub(super) struct Redis {
    child: Child,
    port: u16,
}

/// A connection.
pub(super) type Wire = BufReader<TcpStream>;

impl Redis {
    pub(super) async fn start(course: &Course, binary: &Path) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port();
        let folder = course.new_folder()?;
        let child = Command::new(binary)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--notify-keyspace-events", "Ex", "--dir"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{} can't be started: {error}", binary.display()))?;
        let redis = Self { child, port };
        until("Redis answers", START_MAX, async || Ok(redis.connect().await.ok())).await?;
        Ok(redis)
    }

    pub(super) fn process(&self) -> Process {
        // One that has ended has no memory to be asked for.
        Process(self.child.id().unwrap_or_default())
    }

    pub(super) async fn connect(&self) -> Result<Wire> {
        let mut wire = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?);
        wire.get_ref().set_nodelay(true)?;
        let mut ping = Vec::new();
        resp::command(&mut ping, &["PING"]);
        wire.write_all(&ping).await?;
        resp::line(&mut wire).await?;
        Ok(wire)
    }

    /// A connection on which each key that expires is told.
    pub(super) async fn expirations(&self) -> Result<Wire> {
        let mut wire = self.connect().await?;
        let mut subscribe = Vec::new();
        resp::command(&mut subscribe, &["SUBSCRIBE", EXPIRED]);
        wire.write_all(&subscribe).await?;
        resp::list(&mut wire).await?;
        Ok(wire)
    }

    /// Forgets everything: keys that live on would be in the way of finding those that expire.
    pub(super) async fn clear(&self) -> Result<()> {
        let mut wire = self.connect().await?;
        let mut flush = Vec::new();
        resp::command(&mut flush, &["FLUSHALL"]);
        wire.write_all(&flush).await?;
        resp::line(&mut wire).await.map(drop)
    }

    /// So many heartbeats of so many sessions in turn, `pipeline` sent together; how many a second until all are answered.
    pub(super) async fn sets(&self, sessions: usize, count: usize, pipeline: usize) -> Result<f64> {
        let mut pipelines = Vec::new();
        for from in (0..count).step_by(pipeline) {
            let mut commands = Vec::with_capacity(pipeline * 64);
            let numbers = from..count.min(from + pipeline);
            let size = numbers.len();
            for number in numbers {
                let key = format!("u{}", number % sessions);
                resp::command(&mut commands, &["SET", &key, "1", "PX", LONG_MS]);
            }
            pipelines.push((size, commands));
        }
        // As a watcher would be there.
        let _watching = self.expirations().await?;
        let (mut reader, mut writer) = self.connect().await?.into_inner().into_split();
        let free = Arc::new(Semaphore::new(UNDER_WAY));
        let sizes: Vec<usize> = pipelines.iter().map(|(size, _)| *size).collect();
        let frees = Arc::clone(&free);
        let begin = Instant::now();
        let answered = tokio::spawn(async move {
            for size in sizes {
                let mut replies = vec![0; size * OK.len()];
                reader.read_exact(&mut replies).await?;
                if replies.chunks(OK.len()).any(|reply| reply != OK) {
                    return Result::Err(format!("Redis refuses: {}", String::from_utf8_lossy(&replies)).into());
                }
                frees.add_permits(1);
            }
            Ok(())
        });
        for (_, commands) in pipelines {
            within("Redis answers", ANSWERED_MAX, free.acquire()).await??.forget();
            writer.write_all(&commands).await?;
        }
        within("Redis answers", ANSWERED_MAX, answered).await???;
        Ok(count as f64 / begin.elapsed().as_secs_f64())
    }
}
