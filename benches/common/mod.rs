//! What the benchmarks on real servers share: many signals in, the log read by a consumer that does nothing, and statistics.

#![allow(clippy::allow_attributes, dead_code, reason = "each benchmark uses its own part of this")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use presence_engine::nats::{LogIdentity, LogReader, Nats, Partitions};

/// The publisher runs at most so far ahead of the log: beyond, the server drops what it can't store in time.
const AHEAD: u64 = 20_000;
/// What the log has not stored after so long it has lost.
const STORED_MAX: Duration = Duration::from_secs(60);

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Publishes `count` signals, each as (subject, payload), as fast as the log stores them; the last of them may be on their way.
pub async fn flood(nats: &Nats, count: usize, signal: impl Fn(usize) -> (String, String)) -> Result<()> {
    let start = LogIdentity::read(nats).await?.last_seq;
    for number in 0..count {
        let (subject, payload) = signal(number);
        nats.client.publish(subject, payload.into()).await?;
        if number % 5_000 == 4_999 {
            nats.client.flush().await?;
            reaches(nats, (start + number as u64).saturating_sub(AHEAD)).await?;
        }
    }
    Ok(nats.client.flush().await?)
}

/// Waits until the log has its entry `seq`.
pub async fn reaches(nats: &Nats, seq: u64) -> Result<()> {
    let until = Instant::now() + STORED_MAX;
    while LogIdentity::read(nats).await?.last_seq < seq {
        if Instant::now() > until {
            return Err(
                format!("the log did not reach entry {seq} in {STORED_MAX:?}: the server dropped signals").into()
            );
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Reads `count` entries of the log from `first` on, and does nothing with them.
pub async fn read_log(nats: &Nats, first: u64, count: usize) -> Result<()> {
    let log = LogIdentity::read(nats).await?;
    let mut reader = LogReader::start(nats, &log.created, Partitions::All, first);
    let mut read = 0;
    while read < count {
        read += reader.next().await?.len();
    }
    Ok(())
}

/// Milliseconds since the Unix epoch, as the log's timestamps are.
pub fn now_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// The value below which the given part of all lies, from 0 to 1: of few values, 0.99 is the greatest.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() as f64 * part) as usize).min(values.len() - 1)]
}
