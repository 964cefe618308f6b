//! NATS KV with a TTL per key, on a server of its own.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::kv::{Config, Store, Watch};
use async_nats::jetstream::stream::StorageType;
use futures::StreamExt;
use tokio::time::Instant;

use crate::cli::bench::Result;
use crate::cli::bench::course::{Course, remove, until, within};
use crate::cli::bench::process::Process;
use crate::cli::bench::rig::{TOLD_MAX, process_in, server};
use crate::nats::server::EmbeddedServer;
use crate::nats::{ConnectOptions, Nats};

const BUCKET: &str = "peer";
/// The publisher runs at most so far ahead of the bucket.
const AHEAD: usize = 20_000;
/// Longer than a rate is measured.
const LONG: Duration = Duration::from_secs(3_600);
const STORED_MAX: Duration = Duration::from_secs(120);

/// A bucket on its server.
pub(super) struct Kv {
    pub(super) store: Store,
    nats: Nats,
    watching: Store,
    server: EmbeddedServer,
    folder: PathBuf,
}

impl Kv {
    pub(super) async fn start(course: &Course) -> Result<Self> {
        let (server, folder, nats) = server(course).await?;
        let config = Config {
            bucket: BUCKET.to_owned(),
            history: 1,
            storage: StorageType::File,
            // Keys that expire leave a marker for so long, which is what a watcher sees of it.
            limit_markers: Some(Duration::from_secs(60)),
            ..Config::default()
        };
        let store = nats.jetstream.create_key_value(config).await?;
        let options = ConnectOptions { url: Some(server.url().to_owned()), ..ConnectOptions::default() };
        let watching = Nats::connect(&options).await?.jetstream.get_key_value(BUCKET).await?;
        Ok(Self { store, nats, watching, server, folder })
    }

    pub(super) async fn stop(self) {
        self.nats.client.drain().await.ok();
        self.server.stop().await;
        remove(&self.folder);
    }

    pub(super) fn process(&self) -> Result<Process> {
        process_in(&self.folder)
    }

    /// What is put from now on, and what goes.
    pub(super) async fn watch(&self) -> Result<Watch> {
        Ok(self.watching.watch_all().await?)
    }

    /// Puts a key that lives for `ttl`, in whole seconds, and waits for nothing.
    pub(super) async fn put(&self, key: &str, ttl: Duration) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-TTL", format!("{}s", ttl.as_secs()));
        let subject = format!("$KV.{BUCKET}.{key}");
        Ok(self.nats.client.publish_with_headers(subject, headers, "1".into()).await?)
    }

    /// What was put is on its way to the server.
    pub(super) async fn flush(&self) -> Result<()> {
        Ok(self.nats.client.flush().await?)
    }

    /// So many heartbeats of so many sessions in turn; how many a second until the watcher has the last.
    pub(super) async fn puts(&self, sessions: usize, count: usize) -> Result<f64> {
        let mut watch = self.watch().await?;
        let start = self.last().await?;
        let last = start + count as u64;
        let watcher = tokio::spawn(async move {
            let mut heard = start;
            while heard < last {
                let what = format!("the watcher has revision {heard} of {last}");
                heard = within(&what, TOLD_MAX, watch.next()).await?.ok_or("the watch ended")??.revision;
            }
            Result::Ok(())
        });
        let begin = Instant::now();
        for number in 0..count {
            self.put(&format!("u{}", number % sessions), LONG).await?;
            if number % (AHEAD / 4) == AHEAD / 4 - 1 {
                self.flush().await?;
                let seq = start + (number as u64).saturating_sub(AHEAD as u64);
                until("the bucket stores what is put", STORED_MAX, async || {
                    Ok((self.last().await? >= seq).then_some(()))
                })
                .await?;
            }
        }
        self.flush().await?;
        watcher.await??;
        Ok(count as f64 / begin.elapsed().as_secs_f64())
    }

    async fn last(&self) -> Result<u64> {
        // Not the store's status, which is that of when it was opened.
        Ok(self.store.stream.get_info().await?.state.last_sequence)
    }
}
