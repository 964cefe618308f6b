//! How late it is told that somebody is gone, who stopped beating at a known instant.

use std::time::Duration;

use async_nats::jetstream::kv::Operation;
use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use super::kv::Kv;
use super::redis::Redis;
use super::resp;
use crate::cli::bench::Result;
use crate::cli::bench::course::{Course, now_ms, within};
use crate::cli::bench::figures::{Part, quantile, shown};
use crate::cli::bench::lateness::Glimpse;
use crate::cli::bench::rig::{FILE, Rig, TENANT, TOLD_MAX, with_ladder};
use crate::wire::subject;

/// How often those who are due beat.
const PACE: Duration = Duration::from_millis(10);

/// Who beats, once each: evenly over as long as it takes until they are taken for gone.
#[derive(Debug, Clone, Copy)]
struct Plan {
    sessions: usize,
    ttl: Duration,
}

/// When each beat, and when each was heard to be gone, by number.
type Times = Vec<u64>;

pub(super) async fn measure(course: &Course, part: &mut Part, redis: Option<&Redis>, of_better: f64) -> Result<()> {
    let plan = Plan { sessions: course.of(40_000, 200), ttl: Duration::from_secs(course.of(20, 1)) };
    let Plan { sessions, ttl } = plan;
    part.say(&format!(
        "Lateness of \"gone\": {} sessions beat once each, evenly over {} s, and are silent then; `offline_after`, the key's TTL and PX \
         are {} s. From the last beat and the TTL until a subscriber hears of it, each in a time of its own.",
        shown(sessions as f64),
        ttl.as_secs(),
        ttl.as_secs()
    ));
    let engine = of_engine(course, plan).await?;
    let kv = of_kv(course, plan).await?;
    let mut all = vec![("engine", engine), ("KV", kv)];
    if let Some(redis) = redis {
        all.push(("Redis", of_redis(redis, plan).await?));
    }
    for (name, late) in &all {
        let of = |part: f64| [quantile(late, part)];
        part.figure(&format!("lateness of \"gone\", {name}: p50"), "ms", &of(0.5));
        part.figure(&format!("lateness of \"gone\", {name}: p99"), "ms", &of(0.99));
        part.figure(&format!("lateness of \"gone\", {name}: longest"), "ms", &of(1.0));
    }
    let p99: Vec<_> = all.iter().map(|(_, late)| quantile(late, 0.99)).collect();
    if let [engine, others @ ..] = &p99[..] {
        let better = others.iter().copied().fold(f64::INFINITY, f64::min).max(1.0);
        part.at_most(
            "lateness of \"gone\": p99 of the engine beside the better other",
            "",
            &[engine / better],
            of_better,
            "",
        );
    }
    Ok(())
}

async fn of_engine(course: &Course, plan: Plan) -> Result<Vec<f64>> {
    let ms = plan.ttl.as_millis();
    // There and gone, as with the others: nothing between.
    let steps = ["idle_after", "away_after", "stale_after", "offline_after"].map(|step| format!("{step} = \"{ms}ms\""));
    let ladder = format!("{}\nconfidence = {{ bands = [] }}", steps.join("\n"));
    let mut rig = Rig::start(course, &with_ladder(FILE, &ladder, "")).await?;
    rig.begin().await?;
    let listening = rig.another().await?;
    let mut told = listening.client.subscribe(format!("presence.v1.session.{TENANT}.>")).await?;
    listening.client.flush().await?;
    let heard: JoinHandle<Result<Times>> = tokio::spawn(async move {
        let mut heard = Hearing::of(plan);
        while !heard.is_done() {
            let message =
                within("all sessions go offline", TOLD_MAX, told.next()).await?.ok_or("the subscription ended")?;
            let Glimpse { to, at_ms: _ } = serde_json::from_slice(&message.payload)?;
            if to == "offline" {
                heard.hear(message.subject.split('.').nth(4).unwrap_or_default());
            }
        }
        Ok(heard.times)
    });
    let nats = &rig.nats;
    let beaten = beats(plan, async |numbers| {
        for number in numbers {
            nats.client.publish(subject::signal(TENANT, &name(number), "tab")?, "{}".into()).await?;
        }
        Ok(nats.client.flush().await?)
    })
    .await?;
    let late = lateness(plan, &beaten, &heard.await??);
    rig.stop().await?;
    Ok(late)
}

async fn of_kv(course: &Course, plan: Plan) -> Result<Vec<f64>> {
    let kv = Kv::start(course).await?;
    let mut watch = kv.watch().await?;
    let heard: JoinHandle<Result<Times>> = tokio::spawn(async move {
        let mut heard = Hearing::of(plan);
        while !heard.is_done() {
            let entry = within("all keys expire", TOLD_MAX, watch.next()).await?.ok_or("the watch ended")??;
            if entry.operation != Operation::Put {
                heard.hear(&entry.key);
            }
        }
        Ok(heard.times)
    });
    let beaten = beats(plan, async |numbers| {
        for number in numbers {
            kv.put(&name(number), plan.ttl).await?;
        }
        kv.flush().await
    })
    .await?;
    let late = lateness(plan, &beaten, &heard.await??);
    kv.stop().await;
    Ok(late)
}

async fn of_redis(redis: &Redis, plan: Plan) -> Result<Vec<f64>> {
    redis.clear().await?;
    let mut expired = redis.expirations().await?;
    let heard: JoinHandle<Result<Times>> = tokio::spawn(async move {
        let mut heard = Hearing::of(plan);
        while !heard.is_done() {
            let told = within("all keys expire", TOLD_MAX, resp::list(&mut expired)).await??;
            heard.hear(told.last().map_or("", String::as_str));
        }
        Ok(heard.times)
    });
    let mut wire = redis.connect().await?;
    let px = plan.ttl.as_millis().to_string();
    let beaten = beats(plan, async |numbers| {
        let (mut commands, count) = (Vec::new(), numbers.len());
        for number in numbers {
            resp::command(&mut commands, &["SET", &name(number), "1", "PX", &px]);
        }
        wire.write_all(&commands).await?;
        for _ in 0..count {
            resp::line(&mut wire).await?;
        }
        Ok(())
    })
    .await?;
    Ok(lateness(plan, &beaten, &heard.await??))
}

fn name(number: usize) -> String {
    format!("gone-{number}")
}

/// When each was heard to be gone for the first time.
struct Hearing {
    times: Times,
    missing: usize,
}

impl Hearing {
    fn of(plan: Plan) -> Self {
        Self { times: vec![0; plan.sessions], missing: plan.sessions }
    }

    fn is_done(&self) -> bool {
        self.missing == 0
    }

    fn hear(&mut self, name: &str) {
        let number = name.strip_prefix("gone-").and_then(|number| number.parse::<usize>().ok());
        if let Some(time) = number.and_then(|number| self.times.get_mut(number))
            && *time == 0
        {
            *time = now_ms();
            self.missing -= 1;
        }
    }
}

/// Lets everybody beat as planned, by `beat`, and says when each did.
async fn beats(plan: Plan, mut beat: impl AsyncFnMut(std::ops::Range<usize>) -> Result<()>) -> Result<Times> {
    let (mut times, begin) = (Vec::with_capacity(plan.sessions), tokio::time::Instant::now());
    let mut ticks = tokio::time::interval(PACE);
    while times.len() < plan.sessions {
        ticks.tick().await;
        let due = plan.sessions as f64 * (begin.elapsed().as_secs_f64() / plan.ttl.as_secs_f64()).min(1.0);
        let numbers = times.len()..due as usize;
        times.extend(numbers.clone().map(|_| now_ms()));
        beat(numbers).await?;
    }
    Ok(times)
}

fn lateness(plan: Plan, beaten: &[u64], heard: &[u64]) -> Vec<f64> {
    let ttl = u64::try_from(plan.ttl.as_millis()).unwrap_or(u64::MAX);
    beaten.iter().zip(heard).map(|(beaten, heard)| heard.saturating_sub(beaten + ttl) as f64).collect()
}
