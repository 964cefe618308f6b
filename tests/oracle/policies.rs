//! Random policies.

use presence_engine::model::policy::{DURATION_MS_MAX, Limits};
use presence_engine::model::{Confidence, Curve, Millis, Policy, Profile, Promise, Ready, State};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::random::Mood;

const PROFILES: [&str; 3] = ["default", "mobile", "web"];

/// A policy whose times are multiples of `grain`.
pub(super) fn rounded(policy: &Policy, grain: Millis) -> Policy {
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
            anti_flap: up(profile.anti_flap),
            promise: profile.promise.clone(),
            ..profile.clone()
        };
    }
    policy.update_every = up(policy.update_every);
    policy.intent_keep = up(policy.intent_keep);
    policy.limits.batch_age = up(policy.limits.batch_age);
    policy
}

/// From `least` on, and of a kind that likes to meet others.
pub(super) fn duration(least: u64) -> BoxedStrategy<Millis> {
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
    let bands = prop_oneof![
        3 => subsequence(vec![1_000_u16, 900, 800, 500, 250, 50, 1], 0..4),
        1 => Just(vec![500]),
    ];
    let confidence = (prop_oneof![3 => Just(Curve::HalfLife), 1 => hazard], duration(0), duration(1), bands).prop_map(
        |(model, grace, half_life, bands)| {
            let grace = if model == Curve::HalfLife { grace } else { grace.max(1_000) };
            Confidence { model, grace, half_life, bands }
        },
    );
    let anti_flap = prop_oneof![1 => Just(0), 1 => duration(0)];
    // One that stays long enough to come back often.
    let flappy = weighted(0.2, select(vec![50_u64, 100]));
    let usual = (ladder, ends, weighted(0.7, promise), confidence, anti_flap).prop_map(
        |((idle, away, stale, offline, hidden), ends, promise, confidence, anti_flap)| Profile {
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
            anti_flap,
        },
    );
    (usual, flappy)
        .prop_map(|(usual, flappy)| match flappy {
            Some(anti_flap) => {
                let (stale_after, offline_after) = (10_000, 20_000);
                Profile { idle_after: 100, away_after: 3_000, stale_after, offline_after, anti_flap, ..usual }
            }
            None => usual,
        })
        .boxed()
}

pub(super) fn policy(mood: Mood) -> BoxedStrategy<Policy> {
    // Shrinks to the usual, which is both.
    let rarely = move |of: u32| (0..of).prop_map(move |which| !mood.roomy && which == of - 1);
    let small = (1_u32..4, 0_u32..4, 1_u32..6, 0_u32..4).prop_map(|(user, more, tenant, rejected_events)| Limits {
        sessions_per_user: user,
        sessions_per_tenant: tenant,
        sessions_per_partition: tenant + more,
        rejected_events,
        ..Limits::default()
    });
    let gateways = (prop_oneof![3 => Just(1_000), 1 => 0_u32..2], prop_oneof![Just(30_000), duration(0)]);
    let limits = (rarely(3), small, gateways).prop_map(|(narrow, small, (gateways, batch_age))| {
        let limits = if narrow { small } else { Limits::default() };
        Limits { gateways, batch_age: batch_age.min(3_600_000), ..limits }
    });
    let states = subsequence(State::ALL[..4].to_vec(), 0..=4);
    let ready = (prop_oneof![1 => states, 2 => Just(Ready::default().states)], select(vec![1_u16, 300, 800, 1_000]))
        .prop_map(|(states, min_confidence)| Ready { states, min_confidence });
    let times = (select(vec![0_u64, 300, 1_000]), prop_oneof![3 => Just(2_592_000_000), 1 => duration(0)]);
    let engine =
        (select(vec![1_001_u64, 1_500, 3_000, 60_000, 500_000_000]), prop_oneof![Just(0), duration(0), Just(15_000)]);
    let profiles = (profile(), weighted(0.8, profile()), weighted(0.8, profile()), 0_usize..3);
    (profiles, engine, limits, rarely(20), (prop::bool::weighted(0.2), ready, times))
        .prop_map(|((first, second, third, default), (blind_after, reconnect_grace), limits, silent, rest)| {
            let (few, ready, (update_every, intent_keep)) = rest;
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
                ready,
                update_every,
                intent_keep,
                limits,
            };
            policy.check().expect("a valid policy");
            policy
        })
        .boxed()
}
