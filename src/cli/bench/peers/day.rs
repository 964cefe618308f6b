//! How many messages a watcher gets in an hour of ordinary behaviour, in which a second stands for a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use super::kv::Kv;
use super::redis::Redis;
use super::resp;
use crate::cli::bench::Result;
use crate::cli::bench::course::Course;
use crate::cli::bench::figures::{Part, shown};
use crate::cli::bench::rig::{FILE, Rig, TENANT, with_ladder};
use crate::wire::subject;

/// A beat in each 15 s of the hour.
const BEAT: Duration = Duration::from_millis(250);
/// Silent for a quarter of the hour, once.
const AWAY_BEATS: u64 = 60;
/// Whole seconds are what KV knows: the minute after the last beat that a key lives.
const TTL: Duration = Duration::from_secs(1);
/// The default ladder, sixty times as fast.
const LADDER: &str = "idle_after = \"1s\"\naway_after = \"2s\"\nstale_after = \"3s\"\noffline_after = \"4s\"\n\
    confidence = { grace = \"500ms\", half_life = \"1s\" }";

/// What came to a watcher.
type Count = Arc<AtomicU64>;

pub(super) async fn measure(course: &Course, part: &mut Part, redis: Option<&Redis>) -> Result<()> {
    let (sessions, beats) = (course.of(500, 20), course.of(240, 48));
    let away = AWAY_BEATS.min(beats / 2);
    part.say(&format!(
        "Messages to a watcher: {} sessions for {} min, a second for each: a beat in each 15 s, and once in that time, each at \
         another, {} min of silence. Every design has the same beats at the same time. The engine's watcher gets the default \
         ladder of users (idle, away, stale, offline and back, with `fading`), sixty times as fast; KV's gets every put and \
         every expiry; Redis tells expiries only, and not that somebody came.",
        shown(sessions as f64),
        beats / 4,
        away / 4
    ));
    let mut rig = Rig::start(course, &with_ladder(FILE, LADDER, "")).await?;
    rig.begin().await?;
    let kv = Kv::start(course).await?;
    let listening = rig.another().await?;
    let users = listening.client.subscribe(format!("presence.v1.user.{TENANT}.>")).await?;
    let sessions_told = listening.client.subscribe(format!("presence.v1.session.{TENANT}.>")).await?;
    listening.client.flush().await?;
    let mut watchers = vec![
        count("engine, who watches users", users.map(drop)),
        count("engine, who watches sessions", sessions_told.map(drop)),
        count("KV", kv.watch().await?.map(drop)),
    ];
    let mut wire = None;
    if let Some(redis) = redis {
        redis.clear().await?;
        let mut expired = redis.expirations().await?;
        let heard = Count::default();
        let hears = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while resp::list(&mut expired).await.is_ok() {
                hears.fetch_add(1, Ordering::Relaxed);
            }
        });
        watchers.push(("Redis", heard, task));
        wire = Some(redis.connect().await?);
    }
    let mut ticks = tokio::time::interval(BEAT);
    for beat in 0..beats {
        ticks.tick().await;
        let mut commands = Vec::new();
        let mut count = 0;
        for number in 0..sessions {
            // Everybody leaves at another time, and is back before the end.
            let leaves = 1 + number * 7 % (beats - away);
            if (leaves..leaves + away).contains(&beat) {
                continue;
            }
            let name = format!("day-{number}");
            rig.nats.client.publish(subject::signal(TENANT, &name, "tab")?, "{}".into()).await?;
            kv.put(&name, TTL).await?;
            resp::command(&mut commands, &["SET", &name, "1", "PX", &TTL.as_millis().to_string()]);
            count += 1;
        }
        rig.nats.client.flush().await?;
        kv.flush().await?;
        if let Some(wire) = &mut wire {
            wire.write_all(&commands).await?;
            for _ in 0..count {
                resp::line(wire).await?;
            }
        }
    }
    // Counted before those of the end expire.
    tokio::time::sleep(BEAT).await;
    for (name, heard, task) in watchers {
        task.abort();
        let each = heard.load(Ordering::Relaxed) as f64 / sessions as f64;
        part.figure(&format!("messages to a watcher, each session in {} min: {name}", beats / 4), "messages", &[each]);
    }
    rig.stop().await?;
    kv.stop().await;
    Ok(())
}

/// Counts what comes.
fn count(
    name: &'static str,
    mut messages: impl futures::Stream<Item = ()> + Send + Unpin + 'static,
) -> (&'static str, Count, JoinHandle<()>) {
    let heard = Count::default();
    let hears = Arc::clone(&heard);
    let task = tokio::spawn(async move {
        while messages.next().await.is_some() {
            hears.fetch_add(1, Ordering::Relaxed);
        }
    });
    (name, heard, task)
}
