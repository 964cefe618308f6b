//! Checkpoints, and starting an engine that has many sessions.

use std::time::{Duration, Instant};

use super::Result;
use super::course::{Course, until};
use super::crowd::Crowd;
use super::engine::Start;
use super::figures::{Part, quantile, shown};
use super::pairs::fill;
use super::rig::{FEW_EVENTS, FILE, Rig, TENANT, still};
use crate::fold::{Body, Entry, IndexKey, Partition, Snapshot};
use crate::model::{Address, Signal, partition_of};
use crate::runtime::fleet::SEGMENT_BYTES;

const PER_USER: usize = 2;
const PARTITIONS: u16 = 64;
/// Any time that a log may have.
const START_MS: u64 = 1_790_000_000_000;
/// For how long a million sessions may keep the fold from folding, in milliseconds.
const PAUSES_MS: f64 = 300.0;
/// How long loading their checkpoints may take, in seconds.
const LOADED_S: f64 = 1.0;
/// Longer than it may take to store a checkpoint of each partition.
const STORED_MAX: Duration = Duration::from_secs(120);

pub(super) async fn measure(course: &Course, part: &mut Part) -> Result<()> {
    let sessions = course.of(1_000_000, 4_000);
    part.say(
        "A checkpoint is written partition by partition, each while the loop folds nothing: here of the fold alone, in this process, \
         once everybody anew and once the life signs of those who have only beaten since. Restoring is from the start of the engine's process until it is live, after a \
         SIGTERM and after `kill -9`; after the latter the leases of the dead (`lease_ttl`, 3 s) have to pass first.",
    );
    pauses(course, part, sessions)?;
    let mut rig = Rig::start(course, &still(&format!("{FILE}\ncheckpoint_every = \"10s\""), FEW_EVENTS)).await?;
    rig.begin().await?;
    let mut crowd = Crowd::new(sessions, PER_USER, rig.partitions());
    fill(&mut rig, &mut crowd).await?;
    for how in ["SIGTERM", "kill -9"] {
        let mut starts = Vec::new();
        for _ in 0..course.runs {
            if how == "SIGTERM" {
                rig.end().await?;
            } else {
                until("every partition has a checkpoint of this life", STORED_MAX, async || {
                    let stored = rig.info().await?.owned.iter().all(|owned| owned.checkpoint.is_some());
                    Ok(stored.then_some(()))
                })
                .await?;
                rig.kill().await?;
            }
            starts.push(rig.begin().await?);
        }
        let of = |of: fn(&Start) -> f64| starts.iter().map(of).collect::<Vec<_>>();
        let what = |what: &str| format!("{} sessions restored after {how}: {what}", shown(starts[0].sessions as f64));
        part.figure(&what("until it has the fences"), "s", &of(|start| start.fenced));
        part.at_most(&what("loading checkpoints"), "s", &of(|start| start.loaded), LOADED_S, "");
        part.figure(&what("reading the log to its end"), "s", &of(|start| start.caught_up));
    }
    rig.stop().await
}

/// How long writing a checkpoint of each partition takes, and how large they are.
fn pauses(course: &Course, part: &mut Part, sessions: usize) -> Result<()> {
    let key = IndexKey::new(3, 5);
    let mut partitions: Vec<_> = (0..PARTITIONS).map(|number| Partition::new(number, &key)).collect();
    let (mut events, signal) = (Vec::new(), Signal { epoch: Some(1), seq: Some(1), ..Signal::default() });
    for number in 0..sessions {
        let user = format!("u{}", number / PER_USER);
        let address = format!("{TENANT}.{user}.s{}", number % PER_USER);
        let address = Address::parse(&address)?;
        let at = usize::from(partition_of(TENANT, &user, PARTITIONS));
        let body = Body::of(address, &signal);
        partitions[at].apply(&Entry { seq: number as u64 + 1, ts: START_MS + number as u64 / 100, body }, &mut events);
        events.clear();
    }
    for (what, is_first) in [("everybody, as before the first one", true), ("who has only beaten since", false)] {
        let (mut longest, mut whole, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..course.runs {
            let (mut times, mut size) = (Vec::new(), 0);
            for partition in &mut partitions {
                if is_first {
                    partition.forget_segments();
                }
                let begin = Instant::now();
                let Snapshot { bytes, segment, .. } = partition.snapshot(SEGMENT_BYTES);
                times.push(begin.elapsed().as_secs_f64() * 1_000.0);
                size += bytes.len() + segment.map_or(0, |segment| segment.bytes.len());
            }
            longest.push(quantile(&times, 1.0));
            whole.push(times.iter().sum());
            bytes.push(size as f64 / sessions as f64);
        }
        let of = format!("checkpoints of {} sessions in {PARTITIONS} partitions, {what}", shown(sessions as f64));
        part.figure(&format!("{of}: pause of the fold, longest"), "ms", &longest);
        if is_first {
            part.figure(&format!("{of}: all pauses"), "ms", &whole);
        } else {
            part.at_most(&format!("{of}: all pauses"), "ms", &whole, PAUSES_MS, "");
        }
        part.figure(&format!("{of}: size, each session"), "bytes", &bytes);
    }
    Ok(())
}
