//! The fold against a naive oracle and against its own invariants, over random logs.
//!
//! Every test prints the line that repeats it exactly. `PROPTEST_CASES` is how many logs the comparison with the oracle
//! sees (2,000 if it isn't set); the others see a share of that. A log that once failed is kept in
//! `proptest-regressions/` and is tried first.

mod oracle;

use std::collections::{BTreeMap, BTreeSet};

use oracle::Oracle;
use oracle::logs::{Line, Log, What, Who, address, everybody};
use oracle::random::{Mood, logs};
use oracle::witness::Witness;
use presence_engine::fold::{
    AHEAD, Ahead, CheckpointError, GRID_MS, IndexKey, ObservedTime, Partition, Passage, Snapshot, policy_of,
    segments_of,
};
use presence_engine::model::policy::DURATION_MS_MAX;
use presence_engine::model::{
    Cause, Claim, EngineWhat, Event, EventBody, Kind, Member, Millis, Policy, Profile, Rejection, Signal, State, Tally,
    Visibility,
};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm, RngSeed, TestRng, TestRunner};

const NUMBER: u16 = 7;
fn key() -> IndexKey {
    IndexKey::new(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
}

fn other_key() -> IndexKey {
    IndexKey::new(1, u64::MAX)
}

/// The least, the grid, one that no grid step meets, more than most thresholds, and more than a whole log.
const WHEEL_TICKS: [Millis; 6] = [64, 100, 150, 1_000, 9_973, 3_600_000];

const ANY: Mood = Mood { forward: false, roomy: false, stamped: false };
const FORWARD: Mood = Mood { forward: true, roomy: true, stamped: false };
const STAMPED: Mood = Mood { stamped: true, ..FORWARD };

/// Tries `property` on what `strategy` makes, `percent` of `PROPTEST_CASES` times.
fn check<S: Strategy>(
    name: &'static str,
    percent: u32,
    strategy: S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let cases =
        std::env::var("PROPTEST_CASES").map_or(2_000, |cases| cases.parse().expect("PROPTEST_CASES is a number"));
    let mut config = Config { cases: (cases * percent / 100).max(1), ..Config::default() };
    // Two thirds of the time went into ChaCha, which is slow without optimisation.
    config.rng_algorithm = RngAlgorithm::XorShift;
    config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/fold_oracle.txt")));
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), name),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    println!(
        "PROPTEST_RNG_SEED={seed} PROPTEST_CASES={cases} cargo test --test fold_oracle {name} # {} logs",
        config.cases
    );
    if let Err(error) = TestRunner::new(config).run(&strategy, property) {
        panic!("{error}");
    }
}

/// A partition that folds a log and keeps what each entry told.
struct Run {
    partition: Partition,
    told: Vec<Vec<Event>>,
}

impl Run {
    fn new() -> Self {
        Self::of(Partition::new(NUMBER, &key()))
    }

    fn of(partition: Partition) -> Self {
        Self { partition, told: Vec::new() }
    }

    fn apply(&mut self, line: &Line) -> &[Event] {
        if let What::NewLog = line.what {
            self.partition.lose_log(self.partition.generation() + 1);
        }
        let mut told = Vec::new();
        self.partition.apply(&line.entry(), &mut told);
        self.told.push(told);
        self.told.last().expect("just pushed")
    }

    fn states(&self, who: Who) -> (State, State) {
        let address = address(who);
        (self.partition.session_state(address), self.partition.user_state(address.tenant(), address.user()))
    }

    fn through(mut self, lines: &[Line]) -> Self {
        for line in lines {
            self.apply(line);
        }
        self
    }
}

/// I11 within a partition: what it counts is a recount of everybody, and what it says has changed is what has.
fn same_rooms(run: &mut Run, oracle: &Oracle, known: &mut Rooms) -> Result<(), TestCaseError> {
    for part in run.partition.take_changed_rooms(usize::MAX) {
        let key = (part.tenant.into(), part.room.into());
        let members = part.members.expect("they are asked for");
        if part.tally.is_empty() {
            known.remove(&key)
        } else {
            known.insert(key, (part.tally, members))
        };
    }
    prop_assert_eq!(&*known, &oracle.rooms());
    let parts = run.partition.room_parts(usize::MAX);
    let parts =
        parts.map(|part| ((part.tenant.into(), part.room.into()), (part.tally, part.members.unwrap_or_default())));
    prop_assert_eq!(&*known, &parts.collect::<Rooms>());
    Ok(())
}

type Rooms = BTreeMap<(String, String), (Tally, Vec<Member>)>;

fn oracle_apply(oracle: &mut Oracle, line: &Line) -> Vec<Event> {
    if let What::NewLog = line.what {
        oracle.lose_log();
    }
    oracle.apply(&line.entry())
}

/// The first event in which two differ.
fn difference(told: &[Event], expected: &[Event]) -> String {
    let at = (0..).find(|at| told.get(*at) != expected.get(*at)).expect("they differ");
    format!("event {at} is     {:?}\nand should be  {:?}", told.get(at), expected.get(at))
}

/// That two runs told the same of each entry and ended the same.
fn same(run: &Run, expected: &Run, from: usize) -> Result<(), TestCaseError> {
    for (place, told) in run.told.iter().enumerate() {
        let expected = &expected.told[from + place];
        prop_assert!(told == expected, "at the entry in place {}\n{}", from + place, difference(told, expected));
    }
    prop_assert_eq!(run.partition.checkpoint(), expected.partition.checkpoint(), "the checkpoints at the end differ");
    let rooms = |run: &Run| {
        let parts = run.partition.room_parts(usize::MAX);
        parts.map(|part| (part.tenant, part.room, part.tally, part.members)).collect::<Vec<_>>()
    };
    prop_assert_eq!(rooms(run), rooms(expected), "the rooms at the end differ");
    Ok(())
}

#[test]
fn fold_tells_what_the_oracle_tells() {
    check("fold_tells_what_the_oracle_tells", 100, logs(ANY), |log| {
        let (mut run, mut oracle, mut rooms) = (Run::new(), Oracle::new(NUMBER), Rooms::new());
        for line in &log.0 {
            let told = run.apply(line);
            let expected = oracle_apply(&mut oracle, line);
            prop_assert!(told == expected, "at {} ({:?})\n{}", line.seq, oracle.clock(), difference(told, &expected));
            same_rooms(&mut run, &oracle, &mut rooms)?;
        }
        for who in everybody() {
            prop_assert_eq!(run.states(who), oracle.states(who), "states of {:?}", who);
        }
        prop_assert_eq!(run.partition.sessions(), oracle.sessions());
        Ok(())
    });
}

// ── I6 and I13: what must change nothing ──

#[test]
fn a_cut_into_checkpoint_and_suffix_changes_nothing() {
    let cuts = proptest::collection::vec((any::<Index>(), 0..WHEEL_TICKS.len()), 1..4);
    check("a_cut_into_checkpoint_and_suffix_changes_nothing", 25, (logs(ANY), cuts), |(log, cuts)| {
        let uncut = Run::new().through(&log.0);
        for (cut, tick) in cuts {
            let cut = cut.index(log.0.len() + 1);
            let bytes = Run::new().through(&log.0[..cut]).partition.checkpoint();
            let restored =
                Partition::restore_from(&bytes, &[] as &[&[u8]], &other_key(), WHEEL_TICKS[tick]).expect("it restores");
            prop_assert_eq!(restored.checkpoint(), bytes, "restoring at {} changed the bytes", cut);
            same(&Run::of(restored).through(&log.0[cut..]), &uncut, cut)?;
        }
        Ok(())
    });
}

/// What a checkpoint that builds on those before restores is what the whole one does, whatever was written when, and whether it
/// was stored or not.
#[test]
fn a_checkpoint_with_segments_is_all_of_it() {
    let what = (logs(ANY), 0_usize..400, proptest::collection::vec(0..4_usize, 1..60));
    check("a_checkpoint_with_segments_is_all_of_it", 100, what, |(log, segment_bytes, then)| {
        let (mut run, mut stored) = (Run::new(), BTreeMap::new());
        for (line, then) in log.0.iter().zip(then.into_iter().cycle()) {
            run.apply(line);
            if then == 0 {
                continue;
            }
            let Snapshot { bytes, segment, segments } = run.partition.snapshot(segment_bytes);
            if then == 1 {
                run.partition.forget_segments();
                continue;
            }
            stored.extend(segment.map(|segment| (segment.name, segment.bytes)));
            prop_assert_eq!(&segments_of(&bytes), &Ok(segments.clone()));
            prop_assert!(policy_of(&bytes).is_ok_and(|policy| policy == **run.partition.policy()));
            let given: Vec<_> = segments.iter().rev().map(|name| &stored[name]).collect();
            let restored = Partition::restore_from(&bytes, &given, &other_key(), GRID_MS).expect("it restores");
            prop_assert_eq!(restored.checkpoint(), run.partition.checkpoint(), "at {}", line.seq);
            if let Some(first) = segments.first() {
                let mut given: Vec<_> = segments.iter().map(|name| stored[name].clone()).collect();
                let is_it = |segment: &Vec<u8>| *segment == stored[first];
                given.iter_mut().filter(|segment| is_it(segment)).for_each(|damaged| damaged[20] ^= 1);
                let error = Partition::restore_from(&bytes, &given, &other_key(), GRID_MS).unwrap_err();
                prop_assert_eq!(error, CheckpointError::NoSegment(*first));
            }
            if then == 3 {
                // Whoever takes over builds on what there is.
                run.partition = restored;
            }
        }
        Ok(())
    });
}

#[test]
fn a_restore_after_every_entry_changes_nothing() {
    check("a_restore_after_every_entry_changes_nothing", 25, logs(ANY), |log| {
        let (mut uncut, mut torn) = (Run::new(), Run::new());
        for (place, line) in log.0.iter().enumerate() {
            uncut.apply(line);
            torn.apply(line);
            let bytes = torn.partition.checkpoint();
            let key = if place % 2 == 0 { &other_key() } else { &key() };
            torn.partition = Partition::restore(&bytes, key).expect("it restores");
        }
        same(&torn, &uncut, 0)
    });
}

#[test]
fn looking_ahead_changes_nothing() {
    check("looking_ahead_changes_nothing", 10, logs(ANY), |log| {
        let (mut run, mut ahead) = (Run::new(), Ahead::default());
        for lines in log.0.chunks(AHEAD) {
            let who = lines.iter().map(|line| if let What::Signal(who, _) = line.what { who } else { ("x", "y", "z") });
            let who: Vec<_> = who.map(address).collect();
            let ahead = ahead.look(who.len(), |at| Some((&run.partition, who[at])));
            for (line, sought) in lines.iter().zip(ahead) {
                if let What::NewLog = line.what {
                    run.partition.lose_log(run.partition.generation() + 1);
                }
                let mut told = Vec::new();
                run.partition.apply_sought(&line.entry(), sought, &mut told);
                run.told.push(told);
            }
        }
        same(&run, &Run::new().through(&log.0), 0)
    });
}

#[test]
fn wheel_geometry_changes_nothing() {
    check("wheel_geometry_changes_nothing", 25, logs(ANY), |log| {
        let usual = Run::new().through(&log.0);
        for tick in WHEEL_TICKS {
            same(&Run::of(Partition::with_wheel_tick(NUMBER, &other_key(), tick)).through(&log.0), &usual, 0)?;
        }
        Ok(())
    });
}

// ── I12: duplicates ──

/// Tenant, user, session; empty where there is none.
type Subject<'a> = (&'a str, &'a str, &'a str);

/// What was told of each subject, without the positions, and without when an intent ends and what comes next: those are told
/// with the mercy of the moment they are told at.
fn by_subject(told: &[Vec<Event>]) -> BTreeMap<Subject<'_>, Vec<(Millis, EventBody)>> {
    let mut subjects = BTreeMap::<Subject<'_>, Vec<_>>::new();
    for event in told.iter().flatten() {
        let mut body = event.body.clone();
        let subject = match &event.body {
            EventBody::Session(event) => (&*event.tenant, &*event.user, &*event.session),
            EventBody::User(event) => (&*event.tenant, &*event.user, ""),
            EventBody::Ready(event) => (&*event.tenant, &*event.user, "ready"),
            EventBody::Engine(_) | EventBody::Rejected(_) => ("", "", ""),
        };
        match &mut body {
            EventBody::User(event) => (event.intent_until_ms, event.next) = (None, None),
            EventBody::Session(event) => event.next = None,
            EventBody::Ready(event) => event.until_ms = None,
            EventBody::Engine(_) | EventBody::Rejected(_) => {}
        }
        subjects.entry(subject).or_default().push((event.at_ms, body));
    }
    subjects
}

#[test]
fn duplicate_and_reordered_signals_change_nothing() {
    let doubles = proptest::collection::vec((any::<Index>(), any::<Index>(), any::<Index>()), 1..20);
    check("duplicate_and_reordered_signals_change_nothing", 25, (logs(STAMPED), doubles), |(log, doubles)| {
        // A session that is forgotten is begun anew by any heartbeat; so nobody is.
        let mut log = log.under(|policy| {
            policy.intent_keep = DURATION_MS_MAX;
            policy.profiles.iter_mut().for_each(|(_, profile)| profile.tombstone = DURATION_MS_MAX);
        });
        let end = log.0.iter().map(|line| line.ts).max().expect("a log has an entry");
        let tick = |seconds: u64| Line { seq: 0, ts: end + 1_000 * seconds, what: What::Tick { failed: 0 } };
        log.0.extend((1..40).map(tick));
        let log = log.renumbered();
        let mut more = log.clone();
        for (at, of, body) in doubles {
            // The last tick stays the last, so that both logs end settled to the same step of the grid.
            let at = 1 + at.index(more.0.len() - 1);
            let Some(old) = old_signal(&more.0[..at], of, body) else {
                continue;
            };
            let ts = more.0[at - 1].ts;
            more.0.insert(at, Line { ts, seq: 0, what: old });
        }
        let (once, twice) = (Run::new().through(&log.0), Run::new().through(&more.renumbered().0));
        prop_assert_eq!(by_subject(&twice.told), by_subject(&once.told));
        for who in everybody() {
            prop_assert_eq!(twice.states(who), once.states(who), "states of {:?}", who);
        }
        Ok(())
    });
}

/// A signal with the (epoch, seq) of one of these that is of its session's latest epoch, and with other facts.
fn old_signal(lines: &[Line], of: Index, body: Index) -> Option<What> {
    let signals: Vec<_> = lines.iter().flat_map(|line| line.what.signals()).collect();
    if signals.is_empty() {
        return None;
    }
    let (of, old) = &signals[of.index(signals.len())];
    let who = everybody().find(|who| address(*who) == *of).expect("one of them");
    let latest = &signals.iter().rfind(|(other, _)| other == of).expect("there is one at least").1;
    let (_, facts) = &signals[body.index(signals.len())];
    let Signal { kind, epoch, seq, conn, .. } = Signal::clone(old);
    // What leaves no voice leaves no (epoch, seq) either.
    let intent = facts.intent.filter(|_| kind != Kind::Update || old.intent.is_some());
    (epoch == latest.epoch)
        .then(|| What::Signal(who, Signal { kind, epoch, seq, conn, intent, ..Signal::clone(facts) }))
}

// ── who is heard in time ──

/// `log` with beats of one more session, the rarest of which it can be said that they came within `within` of observed
/// time; nobody beats while the log takes nothing.
fn with_beats(log: &Log, who: Who, within: Millis) -> Log {
    let mut lines = Vec::new();
    let mut blind_after = Policy::default().blind_after;
    let (mut hi, mut since) = (log.0[0].ts, 0);
    let beat = |ts| Line { seq: 0, ts, what: What::Signal(who, Signal::default()) };
    lines.push(beat(hi));
    for line in &log.0 {
        let step = line.ts.saturating_sub(hi);
        if step <= blind_after {
            while since + line.ts.saturating_sub(hi) >= within {
                hi += within - 1 - since;
                lines.push(beat(hi));
                since = 0;
            }
            since += line.ts.saturating_sub(hi);
        }
        hi = if line.ts > hi || hi - line.ts >= blind_after { line.ts } else { hi };
        if let What::Policy(policy) = &line.what {
            blind_after = policy.blind_after;
        }
        lines.push(line.clone());
    }
    Log(lines).renumbered()
}

#[test]
fn nobody_who_is_heard_in_time_is_told_stale_or_offline() {
    let mood = Mood { forward: false, ..FORWARD };
    check("nobody_who_is_heard_in_time_is_told_stale_or_offline", 25, (logs(mood), 40_u64..400), |(log, within)| {
        let log = log.under(|policy| {
            policy.blind_after = policy.blind_after.min(10_000);
            for (_, profile) in &mut policy.profiles {
                profile.stale_after = profile.stale_after.max(within);
                profile.offline_after = profile.offline_after.max(within);
            }
        });
        let log = with_beats(&log, ("a", "heard", "s"), within);
        let run = Run::new().through(&log.0);
        for event in run.told.iter().flatten() {
            let to = match &event.body {
                EventBody::Session(event) if &*event.user == "heard" => event.to,
                EventBody::User(event) if &*event.user == "heard" => event.to,
                _ => continue,
            };
            prop_assert!(to < State::Stale, "{:?} in\n{:?}", event, log);
        }
        Ok(())
    });
}

// ── I1, I2, I5, I9, I10: what holds of the events themselves ──

#[test]
fn events_keep_their_invariants() {
    check("events_keep_their_invariants", 25, logs(FORWARD), |log| {
        let (mut run, mut oracle, mut witness) = (Run::new(), Oracle::new(NUMBER), Witness::default());
        for line in &log.0 {
            let before = oracle.clock();
            oracle_apply(&mut oracle, line);
            let told = run.apply(line).to_vec();
            witness.see(line, run.partition.log_time(), &told, true)?;
            let (Some(before), Some(after)) = (before, oracle.clock()) else {
                continue;
            };
            prop_assert_eq!(run.partition.log_time(), after.hi);
            // I9: nothing happens in log time that did not count.
            let excused = before.hi..after.hi - (after.w - before.w);
            let mut inside = told.iter().filter(|event| event.at_ms > excused.start && excused.contains(&event.at_ms));
            prop_assert_eq!(inside.next(), None, "{:?} is excused", excused);
        }
        Ok(())
    });
}

#[test]
fn events_keep_their_invariants_when_clocks_are_set_back() {
    let mood = Mood { forward: false, ..FORWARD };
    check("events_keep_their_invariants_when_clocks_are_set_back", 25, logs(mood), |log| {
        // A subject that is forgotten begins anew, and its told time with it; so nobody is.
        let log =
            log.under(|policy| policy.profiles.iter_mut().for_each(|(_, profile)| profile.tombstone = DURATION_MS_MAX));
        let (mut run, mut witness) = (Run::new(), Witness::default());
        for line in &log.0 {
            let told = run.apply(line).to_vec();
            witness.see(line, run.partition.log_time(), &told, false)?;
        }
        Ok(())
    });
}

#[test]
fn observed_time_never_runs_back_nor_ahead_of_the_log() {
    let steps = proptest::collection::vec((-9_000_i64..9_000, 0_u32..2), 1..60);
    check(
        "observed_time_never_runs_back_nor_ahead_of_the_log",
        25,
        (steps, 1_001_u64..5_000),
        |(steps, blind_after)| {
            let policy = Policy { blind_after, ..Policy::default() };
            let mut hi = 1_000_000;
            let mut time = ObservedTime::starting_at(hi);
            let far = 1 << 41;
            for (step, failed) in steps {
                let ts = hi.saturating_add_signed(step);
                if failed > 0 && time.passage(ts, &policy) != Passage::Blind {
                    time.excuse_failed_ticks(ts, &policy);
                }
                let (passage, before, hold) =
                    (time.passage(ts, &policy), time.told(far), time.expected(far) - time.told(far));
                time.advance(ts, &policy);
                // The difference between log time and observed time grows by what did not count.
                let excused = time.told(far) as i64 - before as i64;
                let expected = match passage {
                    Passage::Watched | Passage::Still => 0,
                    Passage::Held => step.min(hold as i64),
                    Passage::Blind | Passage::SetBack => step,
                };
                prop_assert_eq!(excused, expected, "{:?} by {}", passage, step);
                let moves = !matches!(passage, Passage::Still);
                hi = if moves { ts } else { hi };
            }
            Ok(())
        },
    );
}

// ── when to look again ──

#[test]
fn nothing_is_told_before_next_due() {
    check("nothing_is_told_before_next_due", 25, logs(FORWARD), |log| {
        let (mut run, mut oracle) = (Run::new(), Oracle::new(NUMBER));
        for line in &log.0 {
            let before = oracle.clock();
            oracle_apply(&mut oracle, line);
            let due = run.partition.next_due();
            let is_due = |event: &Event| match &event.body {
                EventBody::Engine(of) => of.what == EngineWhat::GatewaySilent,
                _ => true,
            };
            let told = run.apply(line).iter().any(is_due);
            let time_alone = matches!(line.what, What::Tick { .. } | What::Other);
            // Where mercy or a gap comes in between, everything due is told at once, on no grid.
            let plain = before.zip(oracle.clock()).is_some_and(|(a, b)| a.hold == 0 && b.hi - a.hi == b.w - a.w);
            if time_alone && plain {
                let (now, next) = (run.partition.log_time(), run.partition.next_due());
                prop_assert!(!told || due.is_some_and(|due| due <= now), "{} told, due was {:?}", line.seq, due);
                prop_assert!(next.is_none_or(|next| next > now), "still due at {:?}", next);
            }
        }
        Ok(())
    });
}

// ── the logs themselves ──

/// The same logs every time: what they reach is what the properties above are worth.
#[test]
fn random_logs_reach_every_transition_cause_and_limit() {
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &[7; 16]);
    let (mut runner, strategy) = (TestRunner::new_with_rng(Config::default(), rng), logs(ANY));
    let mut reached = BTreeSet::new();
    for _ in 0..1_500 {
        let log = strategy.new_tree(&mut runner).expect("no log is refused").current();
        for event in Run::new().through(&log.0).told.iter().flatten() {
            match &event.body {
                EventBody::Session(event) => {
                    reached.insert(format!("session {:?}", event.cause));
                    reached.insert(format!("session {:?} {:?}", event.from, event.to));
                }
                EventBody::User(event) => {
                    reached.insert(format!("user {:?}", event.cause));
                    reached.insert(format!("user {:?} {:?}", event.from, event.to));
                }
                EventBody::Ready(_) => {}
                EventBody::Engine(event) => {
                    reached.insert(format!("{:?}", event.what));
                }
                EventBody::Rejected(event) => {
                    if let Rejection::Limit { limit, .. } = event.reason {
                        reached.insert(limit.to_owned());
                    }
                }
            }
        }
    }
    let causes = ["Joined", "Input", "Visible", "Resumed", "Claimed", "Hidden", "Frozen", "Quiet", "Silent"];
    let causes = causes.into_iter().chain(["Disconnected", "Left", "Intent", "Policy"]);
    // Only a person has an intent.
    let mut wanted: Vec<String> = (causes
        .flat_map(|cause| ["session", "user"].map(|whose| format!("{whose} {cause}"))))
    .filter(|cause| cause != "session Intent")
    .collect();
    for whose in ["session", "user"] {
        for (from, to) in State::ALL.into_iter().flat_map(|from| State::ALL.map(|to| (from, to))) {
            // Who joins was heard just now; a session's event is a transition, a user's may be of its intent alone.
            let never = (from, to) == (State::Offline, State::Stale) || from == to;
            wanted.extend((!never).then(|| format!("{whose} {from:?} {to:?}")));
        }
    }
    wanted.extend(["Blind", "Clock", "Policy"].map(str::to_owned));
    wanted.extend(["user", "tenant", "partition"].map(|whose| format!("limits.sessions_per_{whose}")));
    let missed: Vec<&String> = wanted.iter().filter(|what| !reached.contains(*what)).collect();
    assert!(missed.is_empty(), "no log reaches {missed:?}");
}

// ── logs that once failed, or that chance doesn't meet ──

const SOMEBODY: Who = ("a", "b", "s");

/// The entries of a log, each with its time in milliseconds after the start.
fn story(entries: Vec<(Millis, What)>) -> Log {
    Log(entries.into_iter().map(|(after, what)| Line { seq: 0, ts: 1_000_000 + after, what }).collect()).renumbered()
}

fn heard(signal: Signal) -> What {
    What::Signal(SOMEBODY, signal)
}

fn ruled(change: impl Fn(&mut Profile)) -> What {
    let mut policy = Policy::default();
    policy.profiles.iter_mut().for_each(|(_, profile)| change(profile));
    What::Policy(policy.into())
}

#[test]
fn an_update_that_hides_its_session_is_told_as_hidden_whatever_it_claims() {
    let (state, visibility) = (Some(Claim::Active), Some(Visibility::Hidden));
    let run = Run::new().through(
        &story(vec![
            (0, ruled(|profile| profile.hidden_after = 0)),
            (0, heard(Signal::default())),
            (0, heard(Signal { kind: Kind::Update, state, visibility, ..Signal::default() })),
        ])
        .0,
    );
    let EventBody::Session(event) = &run.told[2][0].body else { panic!("{:?}", run.told) };
    assert_eq!((event.to, event.cause), (State::Away, Cause::Hidden));
}

#[test]
fn a_device_that_was_set_back_is_believed_though_every_signal_comes_twice() {
    let at = |epoch, seq| heard(Signal { epoch: Some(epoch), seq: Some(seq), ..Signal::default() });
    let run = Run::new()
        .through(&story([at(9, 1), at(2, 3), at(2, 3), at(2, 4), at(2, 4), at(2, 5)].map(|what| (0, what)).into()).0);
    assert_eq!(run.partition.dropped(), 4, "the third of epoch 2 is taken");
}

#[test]
fn a_policy_that_shortens_tombstones_forgets_who_is_due_at_once() {
    let log = story(vec![
        (0, heard(Signal::default())),
        (0, heard(Signal { kind: Kind::Leave, ..Signal::default() })),
        (101, ruled(|profile| profile.tombstone = 99)),
    ]);
    for tick in WHEEL_TICKS {
        let run = Run::of(Partition::with_wheel_tick(NUMBER, &key(), tick)).through(&log.0);
        assert_eq!(run.partition.sessions(), 0, "with a wheel of {tick} ms");
    }
}

#[test]
fn a_reported_input_moves_the_last_one_by_a_second_at_least() {
    let reported = |age| heard(Signal { input_age_ms: Some(age), ..Signal::default() });
    for (after, moved) in [(999, 0), (1_000, 1_000)] {
        let leave = heard(Signal { kind: Kind::Leave, ..Signal::default() });
        let run = Run::new().through(&story(vec![(0, reported(0)), (after + 1, reported(1)), (after + 1, leave)]).0);
        let EventBody::Session(event) = &run.told[2][0].body else { panic!("{:?}", run.told) };
        assert_eq!(event.last_input_ms, 1_000_000 + moved);
    }
}
