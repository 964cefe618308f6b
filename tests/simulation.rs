//! A deterministic simulation of fold, outbox and commit protocol.
//!
//! Owners live, crash after every step, linger as zombies, and take over from each other, over streams that lose, delay and
//! refuse. No clock, no socket, no task: a seed decides everything. Whatever happens, the stream has to hold what one
//! undisturbed fold of the whole log tells, each event once and in order.
//!
//! The engine's own parts are driven: `Partition`, `Fleet`, `Outbox`, `CommitProtocol`, `Evidence`. What is async around
//! them is followed step by step in `simulation/owner.rs`, `live.rs`, `lane.rs` and `store.rs`.
//!
//! `PRESENCE_SIM_SEED` runs one seed of each test and tells its story, with `PRESENCE_SIM_STEP` the one that strikes after
//! that step; `PRESENCE_SIM_RUNS` says how many random runs each test makes.

#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/events.rs"]
mod events;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/lane.rs"]
mod lane;
#[path = "simulation/live.rs"]
mod live;
#[path = "simulation/logs.rs"]
mod logs;
#[path = "simulation/owner.rs"]
mod owner;
#[path = "simulation/random.rs"]
mod random;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/store.rs"]
mod store;
#[path = "simulation/truth.rs"]
mod truth;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use faults::Faults;
use logs::{Said, World};
use presence_engine::fold::{IndexKey, Partition};
use presence_engine::model::EventBody;
use run::{Blow, Fate, Plan, Run, Seen};
use store::StoreFaults;
use truth::Truth;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn runs(default: u64) -> u64 {
    number("PRESENCE_SIM_RUNS").unwrap_or(default)
}

/// The seeds of a test, or the one that was asked for.
fn seeds(default: u64) -> Vec<u64> {
    number("PRESENCE_SIM_SEED").map_or_else(|| (1..=runs(default)).collect(), |seed| vec![seed])
}

/// Runs `plan` by `run`; if that fails, tells how to see it again.
fn told<T>(plan: Plan, run: impl FnOnce(Plan) -> T) -> T {
    let is_asked_for = number("PRESENCE_SIM_STEP") == plan.blow.map(|(step, _)| step);
    let plan = Plan { tells: number("PRESENCE_SIM_SEED").is_some() && is_asked_for, ..plan };
    catch_unwind(AssertUnwindSafe(|| run(plan))).unwrap_or_else(|panic| {
        let step = plan.blow.map_or_else(String::new, |(step, blow)| format!(" PRESENCE_SIM_STEP={step} ({blow:?})"));
        eprintln!("see it again with PRESENCE_SIM_SEED={}{step} and --nocapture", plan.seed);
        resume_unwind(panic)
    })
}

/// A run over a whole log, held against the undisturbed fold.
fn exactly_once(plan: Plan, story: &[Said], truth: &[Truth]) -> Seen {
    let mut run = Run::new(plan, story.to_vec());
    let owner = run.play();
    checks::told_exactly(&run.nats, &owner, truth);
    checks::rooms_are_told(&run.nats, &owner);
    checks::checkpoints_are_true(&run.nats, truth);
    checks::audit(&run.nats.events);
    checks::no_entry_is_told_twice(&run.nats);
    run.seen
}

/// Many runs of many lives each.
fn at_random(default: u64, faults: Faults, fate: Fate) -> Seen {
    let mut seen = Seen::default();
    for seed in seeds(default) {
        let story = World::story(seed, 100);
        let plan = Plan { seed, faults, fate, blow: None, tells: false };
        seen += told(plan, |plan| exactly_once(plan, &story, &truth::of(&story, 100)));
    }
    eprintln!("{seen:?}");
    seen
}

/// The same run over and over, each time with a blow after another step.
fn after_every_step(default: u64, faults: Faults, blow: Blow) -> Seen {
    let mut seen = Seen::default();
    for seed in seeds(default) {
        let story = World::story(seed, 40);
        let truth = truth::of(&story, 100);
        let plan = Plan { seed, faults, fate: Fate::default(), blow: None, tells: false };
        let undisturbed = told(plan, |plan| exactly_once(plan, &story, &truth));
        for step in 1..=undisturbed.steps {
            let plan = Plan { blow: Some((step, blow)), ..plan };
            seen += told(plan, |plan| exactly_once(plan, &story, &truth));
        }
    }
    eprintln!("{seen:?}");
    assert!(
        seen.side_by_side > 0 || number("PRESENCE_SIM_SEED").is_some(),
        "two commits were never under way: {seen:?}"
    );
    seen
}

#[test]
fn crashes_rivals_and_shutdowns_at_random_change_no_event() {
    let fate = Fate { crash: 8, rival: 5, shutdown: 3, ..Fate::default() };
    let seen = at_random(150, Faults::many(), fate);
    if number("PRESENCE_SIM_SEED").is_none() {
        let Seen { crashes, drained, fenced_out, refused, orphans_landed, orphans_refused, side_by_side, .. } = seen;
        for count in [crashes, drained, fenced_out, refused, orphans_landed, orphans_refused, side_by_side] {
            assert!(count > 0, "not all was seen that this is about: {seen:?}");
        }
    }
}

#[test]
fn a_crash_after_any_step_changes_no_event() {
    after_every_step(2, Faults::many(), Blow::Crash);
}

#[test]
fn a_rival_after_any_step_changes_no_event() {
    after_every_step(2, Faults::many(), Blow::Rival);
}

#[test]
fn a_shutdown_after_any_step_changes_no_event_and_leaves_checkpoints_at_the_progress() {
    let faults = Faults { store: StoreFaults::default(), ..Faults::many() };
    after_every_step(2, faults, Blow::Shutdown);
}

/// SIGTERM before anything new has come, wherever the life before has ended; then the newest checkpoints are lost.
#[test]
fn a_life_that_reads_nothing_leaves_everything_as_it_was() {
    for seed in seeds(2) {
        let story = World::story(seed, 40);
        let truth = truth::of(&story, 100);
        let (faults, fate) = (Faults::none(), Fate::default());
        let plan = Plan { seed, faults, fate, blow: None, tells: false };
        for cut in 1..story.len() {
            told(plan, |plan| {
                let mut run = Run::new(plan, story[..cut].to_vec());
                let owner = run.play();
                run.drain(owner);
                let position = |run: &Run, partition| {
                    let progress = &run.nats.events.progress(partition).expect("it was fenced").progress;
                    (
                        progress.generation,
                        progress.input_seq,
                        progress.input_ts,
                        progress.k,
                        progress.policy_hash.clone(),
                    )
                };
                let before: Vec<_> = (0..logs::PARTITIONS).map(|partition| position(&run, partition)).collect();
                run.start_and_drain();
                run.start_and_drain();
                let after: Vec<_> = (0..logs::PARTITIONS).map(|partition| position(&run, partition)).collect();
                assert_eq!(before, after, "cut behind {cut}");
                for (partition, (_, seq, ..)) in (0..).zip(after) {
                    run.nats.store.checkpoints.remove(&(partition, seq));
                }
                let owner = run.and_then(story[cut..].to_vec());
                checks::told_exactly(&run.nats, &owner, &truth);
            });
        }
    }
}

#[test]
fn a_stream_of_events_that_lost_its_end_is_told_anew() {
    // One owner at a time: see `Events::outlives_nothing`.
    let fate = Fate { crash: 8, events_lose_end: 8, ..Fate::default() };
    at_random(150, Faults::many(), fate);
}

/// What is told of a log that lost something cannot be what an undisturbed fold tells, but it is told once, and whole for
/// those who read it.
#[test]
fn a_log_that_was_cut_or_replaced_is_told_once_at_most() {
    for seed in seeds(400) {
        let fate = Fate { crash: 8, rival: 3, log_cut: 4, log_loses_end: 4, log_replaced: 2, ..Fate::default() };
        let story = World::story(seed, 100);
        let plan = Plan { seed, faults: Faults::many(), fate, blow: None, tells: false };
        told(plan, |plan| {
            let mut run = Run::new(plan, story);
            let owner = run.play();
            checks::rooms_are_told(&run.nats, &owner);
            checks::audit(&run.nats.events);
            checks::no_entry_is_told_twice(&run.nats);
        });
    }
}

#[test]
fn every_cut_into_checkpoint_and_suffix_gives_the_same_events_and_state() {
    for seed in seeds(4) {
        let story = World::story(seed, 80);
        for (number, truth) in (0..).zip(truth::of(&story, 100)) {
            for (at, (seq, state)) in truth.states.iter().enumerate() {
                // Another key and another wheel: neither may show.
                let (key, wheel_tick) = (IndexKey::new(at as u64, 7), [64, 100, 1_000][at % 3]);
                let partition =
                    Partition::restore_from(state, &[] as &[&[u8]], &key, wheel_tick).expect("a checkpoint");
                let suffix = truth::fold(number, partition, &story[*seq as usize..], seq + 1);
                let events = truth.events.iter().filter(|event| event.seq > *seq);
                assert!(events.eq(&suffix.events), "I6: seed {seed}, partition {number}, cut behind {seq}");
                let states = truth.states.range(seq + 1..);
                assert!(states.eq(suffix.states.iter()), "I6: seed {seed}, partition {number}, cut behind {seq}");
            }
        }
    }
}

#[test]
fn duplicates_and_reordered_signals_change_nothing() {
    for seed in seeds(30) {
        let (with_echoes, without) = World::echoes(seed, 100);
        let (with_echoes, without) = (truth::of(&with_echoes, 100), truth::of(&without, 100));
        for (with_echoes, without) in with_echoes.iter().zip(&without) {
            // An echo is an entry all the same: what falls due may be noticed by it, and so be told before what another user
            // does, under another position and with more of the mercy still to come.
            let told = |truth: &Truth| {
                let mut told: Vec<_> =
                    truth.events.iter().map(|event| (event.at_ms, without_next(event.body.clone()))).collect();
                told.sort_by_key(|(_, body)| whose(body));
                told
            };
            assert!(told(with_echoes) == told(without), "I12: seed {seed}");
            assert_eq!(with_echoes.states.last_key_value(), without.states.last_key_value(), "I12: seed {seed}");
        }
    }
}

/// The event without what is expected next, which is told with the mercy of the moment.
fn without_next(mut body: EventBody) -> EventBody {
    match &mut body {
        EventBody::Session(event) => event.next = None,
        EventBody::User(event) => event.next = None,
        EventBody::Ready(_) | EventBody::Engine(_) | EventBody::Rejected(_) => {}
    }
    body
}

fn whose(body: &EventBody) -> Option<[Box<str>; 2]> {
    match body {
        EventBody::Session(event) => Some([event.tenant.clone(), event.user.clone()]),
        EventBody::User(event) => Some([event.tenant.clone(), event.user.clone()]),
        EventBody::Ready(event) => Some([event.tenant.clone(), event.user.clone()]),
        EventBody::Engine(_) | EventBody::Rejected(_) => None,
    }
}
