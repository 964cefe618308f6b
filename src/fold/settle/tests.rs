//! I4 and what the wheel is asked by: after every entry, whatever was said, everybody's deadline is found in time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngAlgorithm;

use super::USER;
use crate::fold::record::UNARMED;
use crate::fold::{Body, Entry, GRID_MS, IndexKey, Partition};
use crate::model::policy::DURATION_MS_MAX;
use crate::model::session::NEVER;
use crate::model::{Address, Claim, Intent, Kind, Millis, Policy, Profile, Promise, Signal, Visibility};

/// How many wheel entries there are of each, dead ones included.
type Counts = BTreeMap<u32, usize>;

const NO_SEGMENTS: &[&[u8]] = &[];
fn key() -> IndexKey {
    IndexKey::new(1, 2)
}

const USERS: [&str; 3] = ["alice", "bob", "carol"];
const SESSIONS: [&str; 3] = ["desk", "phone", "tab"];
const PROFILES: [&str; 2] = ["default", "other"];

/// One entry of a log, or what happens to a partition in between.
#[derive(Debug, Clone)]
enum Step {
    Signal(&'static str, &'static str, Box<Signal>),
    Tick(u32),
    Policy(Arc<Policy>),
    /// It is restored from its checkpoint, so that its wheel is filled at once.
    Restore,
}

fn duration(least: Millis) -> BoxedStrategy<Millis> {
    prop_oneof![
        6 => select(vec![1_u64, 50, 99, 100, 101, 300, 700, 1_500, 3_000, 6_400, 9_973]),
        3 => select(vec![60_000_u64, 420_000, 26_300_000, DURATION_MS_MAX / 2]),
        1 => Just(least),
    ]
    .boxed()
}

/// In so many of ten cases.
fn sometimes<S: Strategy>(of_ten: u32, strategy: S) -> impl Strategy<Value = Option<S::Value>>
where
    S::Value: Clone,
{
    prop_oneof![10 - of_ten => Just(None), of_ten => strategy.prop_map(Some)]
}

fn profile(tombstone: BoxedStrategy<Millis>) -> impl Strategy<Value = Profile> {
    let promise =
        (select(vec![1_000_u32, 2_500]), duration(0), 0_u32..4).prop_map(|(factor_permille, slack, idle_beats)| {
            Promise { factor_permille, slack, cap: 3_600_000, idle_beats }
        });
    let ladder = (duration(1), duration(0), duration(1), duration(0), duration(0));
    let ends = (duration(0), duration(0), duration(1), tombstone);
    (ladder, ends, sometimes(7, promise)).prop_map(|((idle, away, stale, offline, hidden), ends, promise)| Profile {
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
        ..Profile::default()
    })
}

fn policy(tombstone: BoxedStrategy<Millis>) -> impl Strategy<Value = Arc<Policy>> {
    let blind_after = select(vec![1_001_u64, 3_000, 500_000_000]);
    let profiles = (profile(tombstone.clone()), sometimes(8, profile(tombstone)));
    (profiles, blind_after, select(vec![0_u64, 15_000])).prop_map(|((first, second), blind_after, reconnect_grace)| {
        let profiles = PROFILES.iter().zip([Some(first), second]);
        let policy = Policy {
            default_profile: PROFILES[0].into(),
            profiles: profiles.filter_map(|(name, profile)| Some((Box::from(*name), profile?))).collect(),
            blind_after,
            reconnect_grace,
            capabilities: Vec::new(),
            ..Policy::default()
        };
        policy.check().expect("a valid policy");
        Arc::new(policy)
    })
}

fn signal() -> impl Strategy<Value = Signal> {
    let kind = prop_oneof![
        12 => Just(Kind::Heartbeat), 3 => Just(Kind::Update), 2 => Just(Kind::Disconnect), 2 => Just(Kind::Leave)
    ];
    let said = (
        sometimes(2, select(vec![Claim::Active, Claim::Idle, Claim::Away])),
        sometimes(2, duration(0)),
        sometimes(3, select(vec![Visibility::Visible, Visibility::Hidden, Visibility::Frozen])),
        sometimes(3, select(vec![0, 1_000, 1_500, 5_000, 60_000, 3_600_000])),
        sometimes(2, select(&PROFILES[..]).prop_map(Box::from)),
        sometimes(3, select(vec![Intent::Open, Intent::Busy, Intent::Dnd])),
        sometimes(8, duration(0)),
    );
    (kind, said).prop_map(|(kind, (state, input_age_ms, visibility, every_ms, profile, intent, intent_for_ms))| {
        Signal { kind, state, input_age_ms, visibility, every_ms, profile, intent, intent_for_ms, ..Signal::default() }
    })
}

/// Steps, each with the time since the one before. In half of the logs nobody is ever forgotten.
fn logs() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let tombstone = prop_oneof![Just(duration(0)), Just(Just(DURATION_MS_MAX).boxed())];
    tombstone.prop_flat_map(|tombstone| {
        let advance = prop_oneof![
            3 => Just(0),
            8 => select(vec![1_i64, 49, 50, 99, 100, 101, 200, 300, 700, 1_000, 1_001, 3_000]),
            2 => 1_i64..7_000,
            1 => select(vec![20_000_i64, 60_000, 420_000, 26_300_000, 400_000_000]),
            1 => select(vec![-50_i64, -900, -3_000, -30_000]),
        ];
        let step = prop_oneof![
            30 => (select(&USERS[..]), select(&SESSIONS[..]), signal().prop_map(Box::new))
                .prop_map(|(user, session, signal)| Step::Signal(user, session, signal)),
            10 => prop_oneof![4 => Just(0), 1 => 1_u32..4].prop_map(Step::Tick),
            2 => policy(tombstone).prop_map(Step::Policy),
            1 => Just(Step::Restore),
        ];
        vec((advance, step), 1..80)
    })
}

/// Applies a step at the log time `ts`.
fn apply(partition: &mut Partition, ts: Millis, step: &Step) {
    let address;
    let body = match step {
        Step::Signal(user, session, signal) => {
            address = format!("main.{user}.{session}");
            Body::of(Address::parse(&address).expect("an address"), signal)
        }
        Step::Tick(failed) => Body::Tick { failed: *failed },
        Step::Policy(policy) => Body::Policy(policy),
        Step::Restore => {
            let (bytes, wheel_tick) = (partition.checkpoint(), partition.wheel_tick);
            *partition = Partition::restore_from(&bytes, NO_SEGMENTS, &key(), wheel_tick).expect("it restores");
            return;
        }
    };
    partition.apply(&Entry { seq: partition.position() + 1, ts, body }, &mut Vec::new());
}

/// Everybody whom the wheel has to look at: who, the entry, where its record says that it lies, and its next deadline.
fn waiting(partition: &Partition) -> Vec<(String, u32, u64, Millis)> {
    let people = &partition.people;
    let mut all = Vec::new();
    for user in people.users_in_order() {
        for at in people.sessions_in_order(user) {
            let who = format!("{}/{}", people.user_name(user), people.session_name(at));
            all.push((who, at, people.hot[at].wake(), partition.deadline(at)));
        }
        let intent = format!("the intent of {}", people.user_name(user));
        all.push((intent, user | USER, people.person_wake(user), partition.own_deadline(user)));
    }
    all
}

/// I4: each session, and each intent that ends, has a live entry in the wheel, not behind its deadline's step, and has one
/// more than `before` at most (a user's own: two). Two of its entries may be live only where a dead one lay already: by what the record says they
/// can't be told apart, and fire once.
fn everybody_is_found(partition: &Partition, before: &Counts) -> Result<Counts, TestCaseError> {
    let entries: Vec<(Range<u64>, u32)> = partition.wheel.entries().collect();
    let mut counts = Counts::new();
    for (_, entry) in &entries {
        *counts.entry(*entry).or_default() += 1;
    }
    for (entry, count) in &counts {
        let before = before.get(entry).copied().unwrap_or(0);
        // A user's own deadline may come forward twice: when its last session goes, and by what is said then.
        let more = if entry & USER == 0 { 1 } else { 2 };
        prop_assert!(
            *count <= before + more,
            "entry {} was there {} times and is {}: {:?}",
            entry,
            before,
            count,
            entries
        );
    }
    let now = partition.wheel.now();
    for (who, entry, wake, deadline) in waiting(partition) {
        let is_live = |(steps, other): &(Range<u64>, u32)| *other == entry && steps.contains(&wake);
        // The entry of an intent that has no end may still be there.
        let idle = deadline == NEVER && wake == UNARMED;
        prop_assert!(idle || entries.iter().any(is_live), "{} is not at {}: {:?}", who, wake, entries);
        if deadline != NEVER {
            let last = partition.step_of(deadline).max(now);
            prop_assert!(wake <= last, "{} is at {}, to be looked at by {}, the wheel at {}", who, wake, last, now);
        }
    }
    Ok(counts)
}

/// I3, and that no time before `quiet_until` hides a deadline: neither from the grid nor, where nobody is known to wait, from
/// a signal of the user between two of its instants.
fn nothing_due_is_hidden(partition: &Partition) -> Result<(), TestCaseError> {
    for (who, _, _, deadline) in waiting(partition).into_iter().filter(|one| one.3 != NEVER) {
        let (quiet, w) = (partition.quiet_until, partition.time.w);
        // A signal may bring about a deadline that is now; time has to pass before it falls.
        prop_assert!(deadline > partition.grid() || deadline == w, "{} was due at {}, it is {}", who, deadline, w);
        let looked_at = deadline.next_multiple_of(GRID_MS);
        prop_assert!(quiet <= looked_at, "{} is due at {}, quiet until {}", who, deadline, quiet);
        let known = partition.somebody_may_be_due() || quiet <= deadline;
        prop_assert!(known, "{} is due at {}, quiet until {} and nobody waits", who, deadline, quiet);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { rng_algorithm: RngAlgorithm::XorShift, ..ProptestConfig::default() })]

    #[test]
    fn everybody_has_a_wheel_entry_by_its_deadline_and_nothing_due_is_hidden(
        start in select(vec![1_000_u64, 1_000_000, 1_700_000_000_000]),
        wheel_tick in select(vec![64_u64, 100, 1_000, 60_000]),
        log in logs(),
    ) {
        let mut partition = Partition::with_wheel_tick(7, &key(), wheel_tick);
        let (mut ts, mut counts) = (start, Counts::new());
        for (place, (advance, step)) in log.iter().enumerate() {
            ts = ts.saturating_add_signed(*advance).max(1);
            apply(&mut partition, ts, step);
            if let Step::Restore = step {
                counts.clear();
            }
            let found = everybody_is_found(&partition, &counts);
            let held = found.and_then(|found| nothing_due_is_hidden(&partition).map(|()| found));
            let after = |error| TestCaseError::fail(format!("after step {place}, {step:?} at {ts}: {error}"));
            counts = held.map_err(after)?;
        }
    }
}

#[test]
fn who_changes_an_intent_or_a_promise_often_does_not_fill_the_wheel() {
    let mut partition = Partition::new(7, &key());
    for turn in 0..1_000 {
        let open = turn % 2 == 1;
        let signal = Signal {
            intent: Some(if open { Intent::Open } else { Intent::Busy }),
            intent_for_ms: (!open).then_some(DURATION_MS_MAX - u64::from(turn)),
            every_ms: Some(3_600_000 - 100 * turn),
            ..Signal::default()
        };
        apply(&mut partition, 1_000_000, &Step::Signal("alice", "desk", Box::new(signal)));
    }
    let entries: Vec<_> = partition.wheel.entries().collect();
    assert!(entries.len() < 12, "{entries:?}");
}
