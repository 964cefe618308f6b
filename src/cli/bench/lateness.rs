//! How late transitions are told: many at once, at half of the most that can be told, and beside a partition that has a storm.

mod bare;
mod falls;
mod storm;

use std::time::Duration;

use super::Result;
use super::course::Course;
use super::figures::{Part, quantile, shown};
use super::rig::{FILE, Rig, with_ladder};
pub(super) use falls::Glimpse;
use falls::{Falls, falls};

/// What is allowed beside the time that committing takes, in milliseconds.
const ALLOWED_MS: f64 = 200.0;
/// A session and its user.
const EVENTS_A_SESSION: f64 = 2.0;

pub(super) async fn measure(course: &Course, part: &mut Part) -> Result<()> {
    let sessions = course.of(100_000, 500);
    let partitions = 64;
    part.say(
        "From the exact deadline that an event tells (`at_ms`) until a subscriber has it. Sessions of a user each become idle by \
         the clock alone: each says with its one heartbeat how long ago its input was. Both events of each (session and user) are \
         counted. The bare commit rate is that of the engine's own commits, of the very events with which such sessions become idle, on such a server without \
         an engine: 900 messages each, one after the other, republished to the same subscriber and sourced into the buckets as always.",
    );
    let idle_after = Duration::from_secs(course.of(30, 4));
    let (mut at_once, mut rates, mut all_there) = (Vec::new(), Vec::new(), true);
    // In turns with the engine, which is compared with those before and behind it: the machine's speed changes. Each has a server
    // of its own.
    let mut bare = vec![bare::rate(course, sessions, partitions).await?];
    for _ in 0..course.runs {
        let mut rig = start(course, idle_after).await?;
        let Falls { late, rate, were_there } = falls(&mut rig, sessions, idle_after, Duration::ZERO).await?;
        all_there &= were_there;
        at_once.push(late);
        rates.push(rate);
        rig.stop().await?;
        bare.push(bare::rate(course, sessions, partitions).await?);
    }
    part.figure("bare commit rate", "events/s", &bare);
    let of = |part: f64| at_once.iter().map(|late| quantile(late, part)).collect::<Vec<_>>();
    let what = format!("{} sessions fall at one instant", shown(sessions as f64));
    part.figure(&format!("{what}: events told"), "/s", &rates);
    part.figure(&format!("{what}: lateness, p50"), "ms", &of(0.5));
    let events = EVENTS_A_SESSION * sessions as f64;
    part.figure(&format!("{what}: lateness, p99"), "ms", &of(0.99));
    // Of each turn by itself: what the machine was slow at, both were.
    let took = |rate: f64| events / rate * 1_000.0;
    let beside = bare.windows(2).map(|around| (took(around[0]) + took(around[1])) / 2.0);
    let beyond: Vec<f64> = of(0.99).into_iter().zip(beside).map(|(late, bare)| late - bare).collect();
    let beside = format!("beyond what {} bare events took just before and just after", shown(events));
    part.at_most(&format!("{what}: lateness, p99, {beside}"), "ms", &beyond, ALLOWED_MS, "");

    let most = quantile(&rates, 0.5);
    let whole = Duration::from_secs(course.of(10, 1));
    let half = (most / 2.0 / EVENTS_A_SESSION * whole.as_secs_f64()) as usize;
    let half = if course.quick { half.min(sessions) } else { half };
    let (mut steady, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..course.runs {
        let mut rig = start(course, idle_after).await?;
        let Falls { late, rate, were_there } = falls(&mut rig, half, idle_after, whole).await?;
        all_there &= were_there;
        steady.push(late);
        kept.push(rate);
        rig.stop().await?;
    }
    let of = |part: f64| steady.iter().map(|late| quantile(late, part)).collect::<Vec<_>>();
    let what = format!("at half of that, for {} s", whole.as_secs());
    part.figure(&format!("{what}: events told"), "/s", &kept);
    part.figure(&format!("{what}: lateness, p50"), "ms", &of(0.5));
    part.at_most(&format!("{what}: lateness, p99"), "ms", &of(0.99), ALLOWED_MS, "");
    if !all_there {
        part.say("The machine was so slow that some were told to have come when they had fallen already: the lateness is that of both.");
    }
    storm::measure(course, part, Duration::from_secs(course.of(15, 4))).await
}

/// A server and an engine under which everybody is idle so long after an input.
async fn start(course: &Course, idle_after: Duration) -> Result<Rig> {
    let ladder = format!(
        "idle_after = \"{}ms\"\naway_after = \"3h\"\nstale_after = \"4h\"\noffline_after = \"5h\"\nconfidence = {{ bands = [] }}",
        idle_after.as_millis()
    );
    let mut rig = Rig::start(course, &with_ladder(FILE, &ladder, "")).await?;
    rig.begin().await?;
    Ok(rig)
}
