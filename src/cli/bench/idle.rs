//! What sessions cost that only beat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::future::try_join_all;
use futures::stream::select_all;
use tokio::time::Instant;

use super::Result;
use super::course::Course;
use super::crowd::{Crowd, Prepared};
use super::figures::{Part, shown};
use super::load::pace;
use super::pairs::fill_singly;
use super::process::Process;
use super::rig::{FEW_EVENTS, FILE, Rig, TENANT, still};

/// Each session beats once in this.
const EVERY: Duration = Duration::from_secs(15);
const PER_USER: usize = 2;

pub(super) async fn measure(course: &Course, part: &mut Part) -> Result<()> {
    let sessions = course.of(1_000_000, 2_000);
    let mut rig = Rig::start(course, &still(FILE, FEW_EVENTS)).await?;
    rig.begin().await?;
    let mut crowd = Crowd::new(sessions, PER_USER, rig.partitions());
    fill_singly(&mut rig, &mut crowd).await?;
    part.say(&format!(
        "{} sessions that beat every {} s and change nothing, kept to that pace for a bounded window; shares of one core each.",
        shown(sessions as f64),
        EVERY.as_secs()
    ));
    let watching = rig.another().await?;
    let subjects = ["session", "user", "ready"].map(|kind| format!("presence.v1.{kind}.{TENANT}.>"));
    let mut told = select_all(try_join_all(subjects.map(|subject| watching.client.subscribe(subject))).await?);
    watching.client.flush().await?;
    let heard = Arc::new(AtomicU64::new(0));
    let hears = Arc::clone(&heard);
    let watcher = tokio::spawn(async move {
        while told.next().await.is_some() {
            hears.fetch_add(1, Ordering::Relaxed);
        }
    });
    let quiet = Duration::from_secs(course.of(10, 1));
    window(part, &mut rig, &heard, "nobody beats", async |_| {
        tokio::time::sleep(quiet).await;
        Ok(0)
    })
    .await?;
    for (how, whole, is_single) in [("single heartbeats", course.of(60, 2), true), ("batches", course.of(30, 2), false)]
    {
        let whole = Duration::from_secs(whole);
        let count = (sessions as f64 * whole.as_secs_f64() / EVERY.as_secs_f64()) as usize;
        window(part, &mut rig, &heard, how, async |rig: &Rig| {
            let (mut sent, mut published) = (0, 0);
            // What a gateway sends at once is as much as it has, up to a batch of each partition.
            let next = |due: usize| -> Result<Prepared> {
                let next = if is_single { crowd.singles(due)? } else { whole_batches(&mut crowd, &mut sent, due) };
                published += next.messages.len();
                Ok(next)
            };
            pace(&rig.nats, whole, count, next).await?;
            Ok(published)
        })
        .await?;
    }
    watcher.abort();
    let memory = rig.engine()?.process().memory()?;
    part.figure("memory of the engine, each session", "bytes", &[memory / sessions as f64]);
    rig.stop().await
}

/// Whole batches of what is due, and what is left over next time.
fn whole_batches(crowd: &mut Crowd, owed: &mut usize, due: usize) -> Prepared {
    *owed += due;
    let size = crowd.batch_size();
    let now = *owed / size * size;
    let prepared = crowd.batches(now);
    *owed = owed.saturating_sub(prepared.heartbeats);
    prepared
}

/// What processes take while `load` goes on, which tells how many messages it published.
async fn window(
    part: &mut Part,
    rig: &mut Rig,
    heard: &AtomicU64,
    how: &str,
    load: impl AsyncFnOnce(&Rig) -> Result<usize>,
) -> Result<()> {
    let marker = rig.marker().await?;
    let processes = [
        ("engine", rig.engine()?.process()),
        ("server", rig.server_process()?),
        ("publisher and watcher", Process::own()),
    ];
    let mut before = Vec::new();
    for (_, process) in processes {
        before.push(process.cpu()?);
    }
    let (begin, heard_before) = (Instant::now(), heard.load(Ordering::Relaxed));
    let published = load(rig).await?;
    let told = heard.load(Ordering::Relaxed) - heard_before;
    // Where the server is behind, what it has still to do is the cost of this window.
    marker.passes(rig).await?;
    let seconds = begin.elapsed().as_secs_f64();
    for ((name, process), before) in processes.into_iter().zip(before) {
        let share = (process.cpu()?.saturating_sub(before)).as_secs_f64() / seconds * 100.0;
        part.figure(&format!("{how}: processor, {name}"), "% of a core", &[share]);
    }
    part.figure(&format!("{how}: messages published"), "/s", &[published as f64 / seconds]);
    part.figure(&format!("{how}: messages told to who watches everybody"), "/s", &[told as f64 / seconds]);
    Ok(())
}
