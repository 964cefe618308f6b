//! Whether one partition makes others wait: everybody of one falls at one instant while somebody in each of others changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tokio::time::{MissedTickBehavior, interval};

use super::ALLOWED_MS;
use super::falls::Glimpse;
use crate::cli::bench::Result;
use crate::cli::bench::course::{Course, now_ms, until};
use crate::cli::bench::crowd::Prepared;
use crate::cli::bench::figures::{Part, quantile, shown};
use crate::cli::bench::load::flood;
use crate::cli::bench::rig::{Rig, TENANT, TOLD_MAX};
use crate::model::partition_of;
use crate::wire::subject;

/// Each witness changes so often.
const EVERY: Duration = Duration::from_millis(50);
/// The partition of the storm, and how many others have a witness.
const STORMY: u16 = 0;
const WITNESSES: u16 = 16;
const WITNESS: &str = "witness";

/// A subscriber's notes: when each change happened, and when it was heard.
type Notes = Arc<std::sync::Mutex<Vec<(u64, u64)>>>;

pub(super) async fn measure(course: &Course, part: &mut Part, idle_after: Duration) -> Result<()> {
    let sessions = course.of(20_000, 200);
    let (mut calm, mut storm, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..course.runs {
        let mut rig = super::start(course, idle_after).await?;
        let (in_calm, in_storm, of_storm) = one(&mut rig, sessions, idle_after).await?;
        calm.push(in_calm);
        storm.push(in_storm);
        own.push(of_storm);
        rig.stop().await?;
    }
    let what = format!("{} sessions of one partition fall at one instant", shown(sessions as f64));
    part.figure(&format!("{what}: lateness there, p99"), "ms", &own);
    part.figure(&format!("{what}: lateness in {WITNESSES} others before, p99"), "ms", &calm);
    part.at_most(&format!("{what}: lateness in {WITNESSES} others meanwhile, p99"), "ms", &storm, ALLOWED_MS, "");
    Ok(())
}

/// The p99 of the others' lateness before and during the storm, and that of the storm's own.
async fn one(rig: &mut Rig, sessions: usize, idle_after: Duration) -> Result<(f64, f64, f64)> {
    let (witnessed, fallen) = (Notes::default(), Notes::default());
    let listening = rig.another().await?;
    let mut tasks = Vec::new();
    for (tenant, notes, is_wanted) in [(WITNESS, &witnessed, None), (TENANT, &fallen, Some("idle"))] {
        let mut told = listening.client.subscribe(format!("presence.v1.session.{tenant}.>")).await?;
        let notes = Arc::clone(notes);
        tasks.push(tokio::spawn(async move {
            while let Some(message) = told.next().await {
                let now = now_ms();
                if let Ok(Glimpse { to, at_ms }) = serde_json::from_slice(&message.payload)
                    && is_wanted.is_none_or(|wanted| to == wanted)
                    && let Ok(mut notes) = notes.lock()
                {
                    notes.push((at_ms, now));
                }
            }
        }));
    }
    listening.client.flush().await?;
    let input_ms = now_ms();
    let fall_ms = input_ms + u64::try_from(idle_after.as_millis())?;
    let mut names = (0..).map(|number: u32| format!("storm-{number}"));
    let partitions = rig.partitions();
    let mut messages = Vec::with_capacity(sessions);
    while messages.len() < sessions {
        let name = names.next().ok_or("numbers do not end")?;
        if partition_of(TENANT, &name, partitions) == STORMY {
            messages.push((
                subject::signal(TENANT, &name, "tab")?.into(),
                format!(r#"{{"input_age_ms":{}}}"#, now_ms() - input_ms).into(),
            ));
        }
    }
    let heartbeats = messages.len();
    flood(&rig.nats, Prepared { messages, heartbeats }).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let witnesses = tokio::spawn(witness(rig.another().await?, partitions, Arc::clone(&stop)));
    until("everybody of the stormy partition has fallen", TOLD_MAX, async || {
        let fallen = fallen.lock().map_err(|_| "a listener failed")?.len();
        Ok((fallen >= sessions).then_some(()))
    })
    .await?;
    let end_ms = now_ms();
    // What happened until now is heard soon.
    tokio::time::sleep(EVERY * 10).await;
    stop.store(true, Ordering::Relaxed);
    witnesses.await??;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    let notes = |notes: &Notes| notes.lock().map(|notes| notes.clone()).map_err(|_| "a listener failed");
    let (witnessed, fallen) = (notes(&witnessed)?, notes(&fallen)?);
    let p99 = |from: u64, to: u64| {
        let late = witnessed
            .iter()
            .filter(|(at, _)| (from..to).contains(at))
            .map(|(at, heard)| heard.saturating_sub(*at) as f64);
        quantile(&late.collect::<Vec<_>>(), 0.99)
    };
    let own: Vec<_> = fallen.iter().map(|(at, heard)| heard.saturating_sub(*at) as f64).collect();
    // In the calm everybody has been told to have joined.
    let calm_from = fall_ms.saturating_sub(u64::try_from(idle_after.as_millis())? / 3);
    Ok((p99(calm_from, fall_ms), p99(fall_ms, end_ms), quantile(&own, 0.99)))
}

/// Somebody in each of the other partitions is active and idle in turns, until it is enough.
async fn witness(nats: crate::nats::Nats, partitions: u16, stop: Arc<AtomicBool>) -> Result<()> {
    let mut subjects: BTreeMap<u16, String> = BTreeMap::new();
    for number in 0.. {
        let name = format!("w{number}");
        let partition = partition_of(WITNESS, &name, partitions);
        if partition != STORMY && !subjects.contains_key(&partition) {
            subjects.insert(partition, subject::signal(WITNESS, &name, "tab")?);
        }
        if subjects.len() == usize::from(WITNESSES.min(partitions - 1)) {
            break;
        }
    }
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        number += 1;
        let state = if number % 2 == 0 { "idle" } else { "active" };
        for subject in subjects.values() {
            let payload = format!(r#"{{"epoch":1,"seq":{number},"state":"{state}"}}"#);
            nats.client.publish(subject.clone(), payload.into()).await?;
        }
    }
    Ok(())
}
