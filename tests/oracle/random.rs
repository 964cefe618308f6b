//! Random logs: few subjects, small thresholds, and times that like to meet, so that much happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use presence_engine::fold::BatchItem;
use presence_engine::model::{Claim, Intent, Kind, Millis, Policy, Rejection, Signal, Visibility};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::logs::{Line, Log, SESSIONS, TENANTS, What, Who, address, everybody};
use super::policies::{duration, policy, rounded};

pub(super) const GATEWAYS: [&str; 2] = ["g", "h"];

/// Which logs to make: all that the contract allows, and with each of these less.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mood {
    /// The clock is never set back by `blind_after`, and no entry comes twice.
    pub(crate) forward: bool,
    /// No limit is small, and the sessions' events are told.
    pub(crate) roomy: bool,
    /// Every signal carries an (epoch, seq) that rises within its session.
    pub(crate) stamped: bool,
}

/// One step in the making of a log; times and counters are relative so that a log shrinks well.
#[derive(Clone, Debug)]
enum Step {
    /// By one of the log's cast.
    Signal(Spoken),
    /// Of one of two gateways, that holds each for so long.
    Batch(bool, Vec<Option<(Spoken, Millis)>>),
    /// The same gateway's life signs: how many, and how long after each other.
    Beats(bool, u64, Millis),
    /// One of the cast, several times, so long after each other, and each time by so much longer.
    Row(Vec<Spoken>, Millis, Millis),
    Rejected,
    Tick {
        failed: u32,
    },
    Ticks {
        count: u64,
        every: Millis,
    },
    Policy(usize),
    Other,
    NewLog,
    /// An entry that was seen already.
    Again,
}

/// By one of the log's cast, with its counters.
type Spoken = (usize, Box<Signal>, Stamp);

/// How a signal's (epoch, seq) lies to the latest one of its session.
#[derive(Clone, Copy, Debug)]
enum Stamp {
    Neither,
    Seq(i64),
    Epoch(i64),
    Both(i64, i64),
    /// A duplicate or reordered one; the client's counters stay.
    Old(i64, i64),
}

/// What holds for a whole log.
#[derive(Clone, Debug)]
struct Scene {
    start: Millis,
    cast: Vec<Who>,
    policies: Vec<Arc<Policy>>,
    /// Whether it begins with a policy.
    ruled: bool,
    /// All times are multiples of this, so that deadlines meet.
    grain: Millis,
    /// The longest step of time, if there is to be none back; so that there are long lives too.
    pace: Option<i64>,
}

/// Random logs.
pub(crate) fn logs(mood: Mood) -> impl Strategy<Value = Log> {
    let start = prop_oneof![4 => Just(1_000_000), 1 => 1_u64..5_000, 1 => Just(1_700_000_000_000)];
    let grain = select(vec![50_u64, 1]);
    let pace = select(vec![Some(1_000), Some(150), None, None]);
    let policies = vec(policy(mood).prop_map(Arc::new), 3);
    let scene = (start, cast(), policies, prop::bool::weighted(0.9), grain, pace);
    let scene = scene.prop_map(|(start, cast, policies, ruled, grain, pace)| {
        let policies = policies.into_iter().map(|policy| Arc::new(rounded(&policy, grain))).collect();
        Scene { start, cast, policies, ruled, grain, pace }
    });
    (scene, vec((step(mood), advance(mood)), 1..60)).prop_map(move |(scene, steps)| write(mood, &scene, steps))
}

fn write(mood: Mood, scene: &Scene, steps: Vec<(Step, i64)>) -> Log {
    let Scene { start, cast, policies, ruled, grain, pace } = scene;
    let mut voice = Voices { mood, cast, grain: *grain, counters: BTreeMap::new() };
    let mut lines: Vec<Line> = Vec::new();
    let (mut ts, mut latest) = (*start, *start);
    let mut seq = 0;
    let mut add = |ts: Millis, what| {
        // The sequence may leap, since other partitions' entries are in between.
        seq = if matches!(what, What::NewLog) { 1 } else { seq + 1 + 6 * u64::from(ts.is_multiple_of(5)) };
        lines.push(Line { seq, ts, what });
    };
    add(ts, if *ruled { What::Policy(policies[0].clone()) } else { What::Tick { failed: 0 } });
    let mut again = Vec::new();
    for (step, advance) in steps {
        let advance = pace.map_or(advance, |pace| advance.clamp(0, pace));
        ts = ts.saturating_add_signed(advance / *grain as i64 * *grain as i64).max(1);
        latest = latest.max(ts);
        if mood.forward {
            ts = ts.max(latest.saturating_sub(900));
        }
        match step {
            Step::Signal(spoken) => {
                let (who, signal) = voice.say(spoken);
                add(ts, What::Signal(who, signal));
            }
            Step::Row(row, mut every, more) => {
                for spoken in row {
                    let (who, signal) = voice.say(spoken);
                    add(ts, What::Signal(who, signal));
                    ts += every / grain * grain;
                    every += more;
                }
            }
            Step::Batch(second, items) => {
                let item = |item: Option<(Spoken, Millis)>| match item {
                    Some((spoken, age)) => {
                        let (who, signal) = voice.say(spoken);
                        BatchItem::Signal(address(who), signal.into(), age / grain * grain)
                    }
                    None => BatchItem::Rejected(Rejection::Payload("item 3: torn".into())),
                };
                add(ts, What::Batch(TENANTS[0], GATEWAYS[usize::from(second)], items.into_iter().map(item).collect()));
            }
            Step::Beats(second, count, every) => {
                for _ in 0..count {
                    ts += every / grain * grain;
                    add(ts, What::Batch(TENANTS[0], GATEWAYS[usize::from(second)], Vec::new()));
                }
            }
            Step::Rejected => add(ts, What::Rejected),
            Step::Tick { failed } => add(ts, What::Tick { failed }),
            Step::Ticks { count, every } => {
                for _ in 0..count {
                    ts += every;
                    add(ts, What::Tick { failed: 0 });
                }
            }
            Step::Policy(which) => add(ts, What::Policy(policies[which].clone())),
            Step::Other => add(ts, What::Other),
            Step::NewLog => add(ts, What::NewLog),
            Step::Again => again.push(ts),
        }
    }
    for (place, ts) in again.into_iter().enumerate() {
        let place = place * 5 % lines.len();
        let old = Line { ts, ..lines[place].clone() };
        lines.insert((place + 2).min(lines.len()), old);
    }
    Log(lines)
}

/// Gives the signals their counters.
struct Voices<'a> {
    mood: Mood,
    cast: &'a [Who],
    grain: Millis,
    counters: BTreeMap<Who, (u64, u64)>,
}

impl Voices<'_> {
    fn say(&mut self, (who, mut signal, stamp): Spoken) -> (Who, Signal) {
        let down = |time: Millis| time / self.grain * self.grain;
        let who = self.cast[who % self.cast.len()];
        signal.input_age_ms = signal.input_age_ms.map(down);
        signal.intent_for_ms = signal.intent_for_ms.map(down);
        let counter = self.counters.entry(who).or_insert((3, 3));
        let stamp = match stamp {
            Stamp::Epoch(by) if self.mood.stamped => Stamp::Both(by.max(0), 1),
            _ if self.mood.stamped => Stamp::Both(0, 1),
            _ => stamp,
        };
        let moved = |by: (i64, i64)| (counter.0.saturating_add_signed(by.0), counter.1.saturating_add_signed(by.1));
        let (epoch, seq) = match stamp {
            Stamp::Neither => (None, None),
            Stamp::Seq(by) => (None, Some(moved((0, by)).1)),
            Stamp::Epoch(by) => (Some(moved((by, 0)).0), None),
            Stamp::Both(epoch, seq) | Stamp::Old(epoch, seq) => {
                let (epoch, seq) = moved((epoch, seq));
                (Some(epoch), Some(seq))
            }
        };
        if !matches!(stamp, Stamp::Old(..)) {
            *counter = (epoch.unwrap_or(counter.0), seq.unwrap_or(counter.1));
        }
        (signal.epoch, signal.seq) = (epoch, seq);
        (who, *signal)
    }
}

fn step(mood: Mood) -> BoxedStrategy<Step> {
    let failed = prop_oneof![3 => Just(0), 1 => 1_u32..4];
    let rare = u32::from(!mood.forward);
    let spoken = || (0_usize..36, signal().prop_map(Box::new), stamp());
    let plain = vec(stamp(), 2..8).prop_map(|stamps| {
        let beat = |stamp| (0, Box::new(Signal::default()), stamp);
        stamps.into_iter().map(beat).collect::<Vec<Spoken>>()
    });
    let row =
        (plain, 0_usize..36).prop_map(|(row, who)| row.into_iter().map(|spoken| (who, spoken.1, spoken.2)).collect());
    let age = prop_oneof![4 => Just(0), 4 => duration(0), 1 => Just(1 << 40)];
    let item = weighted(0.95, (spoken(), age));
    let gateway = prop_oneof![
        7 => (any::<bool>(), vec(item, 0..4)).prop_map(|(second, items)| Step::Batch(second, items)),
        2 => (any::<bool>(), 1_u64..5, duration(0))
            .prop_map(|(second, count, every)| Step::Beats(second, count, every.min(1_000))),
    ];
    let ticks = prop_oneof![
        // Longer than a gateway's silence excuses.
        1 => (60_u64..80).prop_map(|count| Step::Ticks { count, every: 1_000 }),
        8 => (1_u64..8, duration(0)).prop_map(|(count, every)| Step::Ticks { count, every: every.min(1_000) }),
    ];
    prop_oneof![
        60 => spoken().prop_map(Step::Signal),
        18 => gateway,
        5 => (row, duration(1), select(vec![0, 50, 100]))
            .prop_map(|(row, every, more)| Step::Row(row, every.min(1_000), more)),
        16 => failed.prop_map(|failed| Step::Tick { failed }),
        9 => ticks,
        2 => (0_usize..3).prop_map(Step::Policy),
        2 => Just(Step::Rejected),
        2 => Just(Step::Other),
        1 => Just(Step::NewLog),
        rare => Just(Step::Again),
    ]
    .boxed()
}

fn advance(mood: Mood) -> impl Strategy<Value = i64> {
    let back = u32::from(!mood.forward);
    prop_oneof![
        4 => Just(0),
        3 => 1_i64..20,
        12 => select(vec![49_i64, 50, 51, 99, 100, 101, 150, 200, 250, 300, 400, 500, 700, 999, 1_000]),
        5 => 1_i64..3_000,
        2 => select(vec![1_000_i64, 1_001, 1_002, 3_000, 3_001, 20_000, 200_000, 5_000_000, 400_000_000]),
        1 => 1_000_i64..100_000,
        1 => -500_i64..0,
        back => -30_000_i64..-900,
        back => select(vec![-1_000_i64, -1_001, -1_002, -3_000]),
    ]
}

/// Who has something to say in a log: few, so that much happens to each, or all.
fn cast() -> impl Strategy<Value = Vec<Who>> {
    let all: Vec<Who> = everybody().collect();
    let of_one_user = subsequence(all[..SESSIONS.len()].to_vec(), 1..=SESSIONS.len());
    let few = subsequence(all.clone(), 1..5);
    prop_oneof![3 => of_one_user, 2 => few, 1 => Just(all)]
}

fn stamp() -> impl Strategy<Value = Stamp> {
    prop_oneof![
        8 => Just(Stamp::Neither),
        2 => (-1_i64..3).prop_map(Stamp::Seq),
        2 => (-1_i64..2).prop_map(Stamp::Epoch),
        8 => Just(Stamp::Both(0, 1)),
        2 => (-1_i64..2, -2_i64..3).prop_map(|(epoch, seq)| Stamp::Both(epoch, seq)),
        2 => (-2_i64..1, -3_i64..2).prop_map(|(epoch, seq)| Stamp::Old(epoch, seq)),
    ]
}

fn signal() -> BoxedStrategy<Signal> {
    let kind = prop_oneof![
        14 => Just(Kind::Heartbeat), 3 => Just(Kind::Update), 2 => Just(Kind::Disconnect), 2 => Just(Kind::Leave)
    ];
    let names = |of: &'static [&'static str]| vec(select(of).prop_map(Box::from), 0..3).prop_map(Vec::into_boxed_slice);
    let age = prop_oneof![
        2 => Just(0), 4 => duration(0), 4 => select(vec![1_u64, 50, 100]), 1 => Just(1 << 53), 1 => Just(u64::MAX)
    ];
    let length = prop_oneof![8 => duration(0), 1 => Just(1 << 53), 1 => Just(u64::MAX)];
    let life = (
        weighted(0.2, select(vec![Claim::Active, Claim::Idle, Claim::Away])),
        weighted(0.2, age),
        weighted(0.2, select(vec![Visibility::Visible, Visibility::Hidden, Visibility::Frozen])),
        weighted(0.1, select(vec![0, 1_000, 1_500, 2_000, 5_000, 3_600_000])),
        weighted(0.1, select(&["default", "mobile", "web", "nobody"][..]).prop_map(Box::from)),
    );
    let facts = (
        weighted(0.2, select(&["k", "l"][..]).prop_map(Box::from)),
        weighted(0.2, select(vec![Intent::Open, Intent::Busy, Intent::Dnd, Intent::Invisible])),
        weighted(0.5, length),
        weighted(0.2, names(&["audio", "video", "audio", "screen", "smell"])),
        weighted(0.1, names(&["hall", "attic"])),
        weighted(0.1, select(&["{}", r#"{"a":1}"#, r#"{"b":[]}"#][..]).prop_map(Box::from)),
    );
    (kind, prop::bool::weighted(0.3), life, facts)
        .prop_map(|(kind, plain, life, facts)| {
            if plain {
                return Signal { kind, ..Signal::default() };
            }
            let (state, input_age_ms, visibility, every_ms, profile) = life;
            let (conn, intent, intent_for_ms, can, rooms, meta) = facts;
            Signal {
                kind,
                conn,
                state,
                input_age_ms,
                visibility,
                every_ms,
                epoch: None,
                seq: None,
                intent,
                intent_for_ms,
                can,
                rooms,
                profile,
                meta,
            }
        })
        .boxed()
}
