//! Beside what one would build otherwise: NATS KV with a TTL per key and a watcher, Redis with PX and expiry notifications.

mod day;
mod gone;
mod kv;
mod redis;
mod resp;

use super::Result;
use super::course::Course;
use super::crowd::Crowd;
use super::figures::{Part, quantile, ratios, shown};
use super::load::through;
use super::rig::{FEW_EVENTS, FILE, Rig, still};
use kv::Kv;
use redis::Redis;

/// What the engine should be, of what the other is.
const SINGLE_OF_KV: f64 = 1.3;
const BATCHED_OF_KV: f64 = 20.0;
const BATCHED_OF_REDIS: f64 = 4.0;
const LATENESS_OF_BETTER: f64 = 0.2;
/// How many commands are sent together: as benchmarks of Redis often do, and as many as a batch has.
const PIPELINES: [usize; 2] = [64, super::crowd::BATCH];

pub(super) async fn measure(course: &Course, part: &mut Part) -> Result<()> {
    let Some(redis) = course.redis() else {
        part.say(
            "Redis was not compared with: no redis-server was found. Debian has it as the package redis-server (apt-get install \
             redis-server); or name one with --redis-server.",
        );
        return beside(course, part, None).await;
    };
    beside(course, part, Some(Redis::start(course, &redis).await?)).await
}

async fn beside(course: &Course, part: &mut Part, redis: Option<Redis>) -> Result<()> {
    let sessions = course.of(100_000, 2_000);
    part.say(&format!(
        "{} sessions, one a user; a heartbeat is a signal, a put with `Nats-TTL` that nobody waits for (with async-nats' `watch_all` \
         beside), or a SET with PX. Streams are in files, Redis keeps nothing on disk. A run measures all of them in turns, each \
         until the last heartbeat has arrived: at the watcher, at who follows the engine, as the last reply. Ratios are those of each run.",
        shown(sessions as f64)
    ));
    rates(course, part, redis.as_ref(), sessions).await?;
    gone::measure(course, part, redis.as_ref(), LATENESS_OF_BETTER).await?;
    day::measure(course, part, redis.as_ref()).await
}

/// Heartbeats per second, and memory for each session.
async fn rates(course: &Course, part: &mut Part, redis: Option<&Redis>, sessions: usize) -> Result<()> {
    let mut rig = Rig::start(course, &still(FILE, FEW_EVENTS)).await?;
    rig.begin().await?;
    let (engine, server) = (rig.engine()?.process(), rig.server_process()?);
    let before = engine.memory()? + server.memory()?;
    let mut crowd = Crowd::new(sessions, 1, rig.partitions());
    let joins = crowd.singles(sessions)?;
    through(&mut rig, joins).await?;
    let each = |bytes: f64| [(bytes / sessions as f64).max(0.0)];
    let engine_memory = engine.memory()? + server.memory()? - before;

    let kv = Kv::start(course).await?;
    let before = kv.process()?.memory()?;
    kv.puts(sessions, sessions).await?;
    let kv_memory = kv.process()?.memory()? - before;
    let mut redis_memory = None;
    if let Some(redis) = redis {
        let before = redis.process().memory()?;
        redis.sets(sessions, sessions, PIPELINES[1]).await?;
        redis_memory = Some(redis.process().memory()? - before);
    }

    let (singles, batched, puts) =
        (course.of(300_000, 10_000), course.of(3_000_000, 40_000), course.of(200_000, 10_000));
    let sets = course.of(1_000_000, 20_000);
    let (mut single, mut batches, mut of_kv) = (Vec::new(), Vec::new(), Vec::new());
    let mut of_redis = PIPELINES.map(|_| Vec::new());
    for _ in 0..course.runs {
        let load = crowd.singles(singles)?;
        single.push(through(&mut rig, load).await?.rate);
        of_kv.push(kv.puts(sessions, puts).await?);
        let load = crowd.batches(batched);
        batches.push(through(&mut rig, load).await?.rate);
        if let Some(redis) = redis {
            for (rates, pipeline) in of_redis.iter_mut().zip(PIPELINES) {
                rates.push(redis.sets(sessions, sets, pipeline).await?);
            }
        }
    }
    rig.stop().await?;
    kv.stop().await;

    let unit = "heartbeats/s";
    part.figure("engine, single heartbeats", unit, &single);
    part.figure("engine, gateways' batches", unit, &batches);
    part.figure("NATS KV with a TTL per key and a watcher", unit, &of_kv);
    part.at_least("engine, single, beside KV", "", &ratios(&single, &of_kv), SINGLE_OF_KV);
    part.at_least("engine, batched, beside KV", "", &ratios(&batches, &of_kv), BATCHED_OF_KV);
    if redis.is_some() {
        for (rates, pipeline) in of_redis.iter().zip(PIPELINES) {
            part.figure(&format!("Redis, {pipeline} SETs pipelined"), unit, rates);
        }
        let best = of_redis.iter().max_by(|one, other| quantile(one, 0.5).total_cmp(&quantile(other, 0.5)));
        let best = best.map_or(&[][..], Vec::as_slice);
        part.at_least("engine, batched, beside the faster Redis", "", &ratios(&batches, best), BATCHED_OF_REDIS);
    }
    part.figure("memory for each session: engine and its server", "bytes", &each(engine_memory));
    part.figure("memory for each session: KV's server", "bytes", &each(kv_memory));
    if let Some(memory) = redis_memory {
        part.figure("memory for each session: Redis", "bytes", &each(memory));
    }
    Ok(())
}
