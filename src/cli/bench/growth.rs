//! What a heartbeat costs the engine by the number of sessions, of partitions, of sessions of a user, and of users of a room.

use std::time::Duration;

use super::Result;
use super::course::Course;
use super::crowd::Crowd;
use super::figures::{Part, shown};
use super::load::through;
use super::pairs::fill;
use super::plot::{Line, Plot};
use super::rig::{FEW_EVENTS, FILE, Rig, still};

/// Those who beat where all others are quiet.
const BUSY: usize = 10_000;
/// Of the quiet, whose cost is looked for, over any number of them.
const SLACK: f64 = 1.5;

/// One measurement.
struct Point {
    /// What a heartbeat costs where everybody beats, in nanoseconds of the engine's processor time.
    all: f64,
    /// And where [`BUSY`] of them do, and the others are quiet.
    busy: f64,
    /// What the engine takes of a core where nobody beats.
    quiet: f64,
    /// The engine's memory in bytes, each session.
    memory: f64,
}

/// What is varied.
#[derive(Clone, Copy)]
struct Shape {
    sessions: usize,
    per_user: usize,
    partitions: u16,
    room: Option<usize>,
}

pub(super) async fn measure(course: &Course, part: &mut Part) -> Result<()> {
    part.say(
        "Processor time of the engine for each heartbeat, read from /proc, with batches of 1,000 (fewer where a partition has \
         fewer sessions, which makes each dearer), from a file. Beside it the same where 10,000 sessions beat and all others are \
         quiet, and what the engine takes where nobody beats. Ten sessions a user where nothing else is said.",
    );
    let base = Shape { sessions: course.of(100_000, 2_000), per_user: 10, partitions: 64, room: None };
    let sessions = course.of([10_000, 100_000, 1_000_000, 10_000_000].as_slice(), [500, 2_000].as_slice());
    let points = series(course, sessions, |sessions| Shape { sessions, ..base }).await?;
    let across = |name: &str, title: &str, across: &str| (name.to_owned(), title.to_owned(), across.to_owned());
    tell(part, across("growth-sessions", "A heartbeat, by sessions", "sessions"), &points, true);
    let quiet: Vec<_> = points.iter().map(|(_, point)| point.busy).collect();
    if let (Some(first), Some(last)) = (quiet.first(), quiet.last()) {
        let grown = last / first.max(1.0);
        let what = format!("{} sessions beat: cost beside the most quiet ones and beside none", shown(BUSY as f64));
        part.at_most(&what, "", &[grown], SLACK, "does not grow, but for noise");
    }
    let partitions = course.of([1, 8, 64, 512].as_slice(), [1].as_slice());
    let points =
        series(course, partitions, |count| Shape { partitions: u16::try_from(count).unwrap_or(1), ..base }).await?;
    tell(part, across("growth-partitions", "A heartbeat, by partitions", "partitions"), &points, false);
    let per_user = course.of([1, 4, 16, 64].as_slice(), [8].as_slice());
    let points = series(course, per_user, |per_user| Shape { per_user, ..base }).await?;
    tell(part, across("growth-user", "A heartbeat, by sessions of its user", "sessions of a user"), &points, false);
    let rooms = course.of([10, 1_000, 100_000].as_slice(), [10].as_slice());
    let points = series(course, rooms, |users| Shape { room: Some(users), per_user: 1, ..base }).await?;
    tell(part, across("growth-room", "A heartbeat, by users of its room", "users of a room"), &points, false);
    Ok(())
}

async fn series(course: &Course, values: &[usize], shape: impl Fn(usize) -> Shape) -> Result<Vec<(usize, Point)>> {
    let mut points = Vec::new();
    for value in values {
        points.push((*value, point(course, shape(*value)).await?));
    }
    Ok(points)
}

async fn point(course: &Course, shape: Shape) -> Result<Point> {
    let Shape { sessions, per_user, partitions, room } = shape;
    let limits = "[limits]\nsessions_per_partition = 12000000\nsessions_per_tenant = 12000000";
    let engine = format!("{FILE}\npartitions = {partitions}\ncheckpoint_every = \"1h\"\nlog_retention = \"4h\"");
    let mut rig = Rig::start(course, &still(&engine, &format!("{FEW_EVENTS}\n{limits}"))).await?;
    rig.begin().await?;
    let engine = rig.engine()?.process();
    let empty = engine.memory()?;
    let mut crowd = Crowd::new(sessions, per_user, partitions);
    if let Some(users) = room {
        crowd = crowd.in_rooms(users);
    }
    fill(&mut rig, &mut crowd).await?;
    let memory = (engine.memory()? - empty).max(0.0) / sessions as f64;
    let heartbeats = course.of(2_000_000, 5_000);
    let all = through(&mut rig, crowd.batches(heartbeats)).await?.engine_us * 1_000.0;
    // The first of them, whose beats go on where those of the crowd would.
    let mut few = crowd.first(BUSY.min(sessions), partitions);
    let busy = through(&mut rig, few.batches(heartbeats)).await?.engine_us * 1_000.0;
    let whole = Duration::from_secs(course.of(3, 1));
    let before = engine.cpu()?;
    tokio::time::sleep(whole).await;
    let quiet = (engine.cpu()?.saturating_sub(before)).as_secs_f64() / whole.as_secs_f64() * 100.0;
    // Nobody takes up what it would store at its end.
    rig.kill().await?;
    rig.stop().await?;
    Ok(Point { all, busy, quiet, memory })
}

fn tell(part: &mut Part, (name, title, across): (String, String, String), points: &[(usize, Point)], whole: bool) {
    for (value, point) in points {
        let Point { all, busy, quiet, memory } = point;
        let of = format!("{} {across}", shown(*value as f64));
        part.figure(&format!("{of}: a heartbeat where all beat"), "ns", &[*all]);
        if whole {
            part.figure(
                &format!("{of}: a heartbeat of {} where the others are quiet", shown(BUSY as f64)),
                "ns",
                &[*busy],
            );
            part.figure(&format!("{of}: the engine where nobody beats"), "% of a core", &[*quiet]);
            part.figure(&format!("{of}: memory of the engine, each session"), "bytes", &[*memory]);
        }
    }
    let line = |name: &str, of: fn(&Point) -> f64| Line {
        name: name.to_owned(),
        points: points.iter().map(|(value, point)| (*value as f64, of(point))).collect(),
    };
    let mut lines = vec![line("all beat", |point| point.all)];
    if whole {
        lines.push(line("10,000 beat, the others are quiet", |point| point.busy));
        let plot = Plot {
            name: format!("{name}-memory"),
            title: "Memory of the engine".to_owned(),
            across: across.clone(),
            up: "bytes a session".to_owned(),
            lines: vec![line("bytes a session", |point| point.memory)],
        };
        part.plots.push(plot);
    }
    part.plots.push(Plot { name, title, across, up: "ns of the engine's processor time".to_owned(), lines });
}
