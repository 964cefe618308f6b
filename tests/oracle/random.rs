//! Random logs: few subjects, small thresholds, and times that like to meet, so that much happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use presence::model::policy::{DURATION_MS_MAX, Limits};
use presence::model::{Claim, Confidence, Curve, Intent, Kind, Millis, Policy, Profile, Promise, Signal, Visibility};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::logs::{Line, Log, SESSIONS, What, Who, everybody};

const PROFILES: [&str; 3] = ["default", "mobile", "web"];

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
    Signal(usize, Box<Signal>, Stamp),
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

/// A policy whose times are multiples of `grain`.
fn rounded(policy: &Policy, grain: Millis) -> Policy {
    let mut policy = policy.clone();
    let up = |time: Millis| time.div_ceil(grain) * grain;
    for (_, profile) in &mut policy.profiles {
        *profile = Profile {
            idle_after: up(profile.idle_after),
            away_after: up(profile.away_after),
            stale_after: up(profile.stale_after),
            offline_after: up(profile.offline_after),
            hidden_after: up(profile.hidden_after),
            disconnect_grace: up(profile.disconnect_grace),
            leave_linger: up(profile.leave_linger),
            frozen_offline_after: up(profile.frozen_offline_after),
            tombstone: up(profile.tombstone),
            promise: profile.promise.clone(),
            ..profile.clone()
        };
    }
    policy
}

fn write(mood: Mood, scene: &Scene, steps: Vec<(Step, i64)>) -> Log {
    let Scene { start, cast, policies, ruled, grain, pace } = scene;
    let down = |time: Millis| time / grain * grain;
    let mut lines: Vec<Line> = Vec::new();
    let (mut ts, mut latest) = (*start, *start);
    let mut seq = 0;
    let mut counters = BTreeMap::<Who, (u64, u64)>::new();
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
            Step::Signal(who, mut signal, stamp) => {
                let who = cast[who % cast.len()];
                signal.input_age_ms = signal.input_age_ms.map(down);
                signal.intent_for_ms = signal.intent_for_ms.map(down);
                let counter = counters.entry(who).or_insert((3, 3));
                let stamp = match stamp {
                    Stamp::Epoch(by) if mood.stamped => Stamp::Both(by.max(0), 1),
                    _ if mood.stamped => Stamp::Both(0, 1),
                    _ => stamp,
                };
                let moved =
                    |by: (i64, i64)| (counter.0.saturating_add_signed(by.0), counter.1.saturating_add_signed(by.1));
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
                add(ts, What::Signal(who, *signal));
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

fn step(mood: Mood) -> BoxedStrategy<Step> {
    let failed = prop_oneof![3 => Just(0), 1 => 1_u32..4];
    let rare = u32::from(!mood.forward);
    prop_oneof![
        60 => (0_usize..36, signal().prop_map(Box::new), stamp())
            .prop_map(|(who, signal, stamp)| Step::Signal(who, signal, stamp)),
        16 => failed.prop_map(|failed| Step::Tick { failed }),
        8 => (1_u64..8, duration(0)).prop_map(|(count, every)| Step::Ticks { count, every: every.min(1_000) }),
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

/// From `least` on, and of a kind that likes to meet others.
fn duration(least: u64) -> BoxedStrategy<Millis> {
    prop_oneof![
        6 => select(vec![50_u64, 99, 100, 101, 150, 200, 300, 400, 500, 700, 1_000, 1_500, 2_000, 3_000]),
        2 => 1_u64..6_000,
        1 => 1_u64..100,
        2 => Just(least),
        // Far up in the wheel.
        1 => select(vec![7_000_u64, 420_000, 26_300_000, DURATION_MS_MAX / 2]),
    ]
    .boxed()
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
        weighted(0.1, names(&["audio", "video", "smell"])),
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

fn profile() -> BoxedStrategy<Profile> {
    let promise = (
        select(vec![1_000_u32, 1_333, 2_000, 3_000]),
        duration(0),
        select(vec![1_000_u64, 1_999, 3_600_000]),
        0_u32..4,
    )
        .prop_map(|(factor_permille, slack, cap, idle_beats)| Promise { factor_permille, slack, cap, idle_beats });
    let ladder = (duration(1), duration(0), duration(1), duration(0), duration(0));
    let ends = (duration(0), prop_oneof![1 => Just(0), 1 => duration(0)], duration(1), duration(0));
    let hazard = prop_oneof![Just(0_u16), 1..=500_u16].prop_map(|lost_permille| Curve::Hazard { lost_permille });
    let confidence =
        (prop_oneof![Just(Curve::HalfLife), hazard], duration(1), duration(1)).prop_map(|(model, grace, half_life)| {
            let grace = if model == Curve::HalfLife { grace } else { grace.max(1_000) };
            Confidence { model, grace, half_life, bands: vec![500] }
        });
    (ladder, ends, weighted(0.7, promise), confidence)
        .prop_map(|((idle, away, stale, offline, hidden), ends, promise, confidence)| Profile {
            idle_after: idle,
            away_after: idle + away,
            stale_after: stale,
            offline_after: stale + offline,
            hidden_after: hidden,
            disconnect_grace: ends.0,
            leave_linger: ends.1,
            frozen_offline_after: ends.2,
            tombstone: ends.3,
            promise,
            confidence,
            anti_flap: 0,
        })
        .boxed()
}

fn policy(mood: Mood) -> BoxedStrategy<Policy> {
    // Shrinks to the usual, which is both.
    let rarely = move |of: u32| (0..of).prop_map(move |which| !mood.roomy && which == of - 1);
    let small = (1_u32..4, 0_u32..4, 1_u32..6, 0_u32..4).prop_map(|(user, more, tenant, rejected_events)| Limits {
        sessions_per_user: user,
        sessions_per_tenant: tenant,
        sessions_per_partition: tenant + more,
        rejected_events,
        ..Limits::default()
    });
    let limits = (rarely(3), small).prop_map(|(narrow, small)| if narrow { small } else { Limits::default() });
    let engine =
        (select(vec![1_001_u64, 1_500, 3_000, 60_000, 500_000_000]), prop_oneof![Just(0), duration(0), Just(15_000)]);
    let profiles = (profile(), weighted(0.8, profile()), weighted(0.8, profile()), 0_usize..3);
    (profiles, engine, limits, rarely(20), prop::bool::weighted(0.2))
        .prop_map(|((first, second, third, default), (blind_after, reconnect_grace), limits, silent, few)| {
            let profiles: Vec<(Box<str>, Profile)> = (PROFILES.iter().zip([Some(first), second, third]))
                .filter_map(|(name, profile)| profile.map(|profile| (Box::from(*name), profile)))
                .collect();
            let names: &[&str] = if few { &["audio"] } else { &["audio", "screen", "video"] };
            let policy = Policy {
                default_profile: profiles[default % profiles.len()].0.clone(),
                profiles,
                blind_after,
                reconnect_grace,
                capabilities: names.iter().map(|name| Box::from(*name)).collect(),
                session_events: !silent,
                limits,
                ..Policy::default()
            };
            policy.check().expect("a valid policy");
            policy
        })
        .boxed()
}
