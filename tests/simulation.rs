//! A deterministic simulation of fold, outbox and commit protocol.
//!
//! Owners live, crash at every step, linger as zombies, and take over from each other, over a stream that loses, delays and
//! refuses. No clock, no socket, no task: a seed decides everything, so a failing run is told with the line that runs it
//! again. `PRESENCE_SIM_SEED` runs one seed and tells its story; `PRESENCE_SIM_RUNS` says how many random runs there are
//! (default 300).
//!
//! The engine's own parts are driven: `Partition`, `Fleet`, `Outbox`, `CommitProtocol`, `Evidence`. What is async around
//! them is followed step by step in `simulation/owner.rs`, `lane.rs` and `store.rs`.

#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/events.rs"]
mod events;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/lane.rs"]
mod lane;
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
use logs::World;
use run::{Blow, Fate, Plan, Run, Seen};

/// Random runs of each test.
fn runs() -> u64 {
    std::env::var("PRESENCE_SIM_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(300)
}

fn the_seed() -> Option<u64> {
    std::env::var("PRESENCE_SIM_SEED").ok().and_then(|seed| seed.parse().ok())
}

/// The seeds from `first` on, or the one that was asked for.
fn seeds(first: u64, count: u64) -> Vec<u64> {
    the_seed().map_or_else(|| (first..first + count).collect(), |seed| vec![seed])
}

/// Runs `plan` by `run`; if that fails, tells how to see it again.
fn told<T>(plan: Plan, run: impl FnOnce(Plan) -> T) -> T {
    let plan = Plan { tells: the_seed().is_some() && plan.blow.is_none(), ..plan };
    catch_unwind(AssertUnwindSafe(|| run(plan))).unwrap_or_else(|panic| {
        eprintln!("seed {}, blow {:?}: see it again with PRESENCE_SIM_SEED={}", plan.seed, plan.blow, plan.seed);
        resume_unwind(panic)
    })
}

/// A run over a whole log, held against the undisturbed fold.
fn exactly_once(plan: Plan) -> Seen {
    let story = World::story(plan.seed, plan.entries);
    let truth = truth::of(&story, 100);
    let mut run = Run::new(plan, story);
    let owner = run.to_the_end();
    checks::told_exactly(&run.nats, &owner, &truth);
    checks::checkpoints_are_true(&run.nats, &truth);
    checks::audit(&run.nats.events);
    checks::no_entry_is_told_twice(&run.nats);
    run.seen
}

/// A run over a log that loses what it had: what is told cannot be what an undisturbed fold tells, but each entry is told
/// once.
fn once_at_most(plan: Plan) -> Seen {
    let mut run = Run::new(plan, World::story(plan.seed, plan.entries));
    run.to_the_end();
    checks::audit(&run.nats.events);
    checks::no_entry_is_told_twice(&run.nats);
    run.seen
}

#[test]
fn a_log_that_was_cut_or_replaced_is_told_once_at_most() {
    for seed in seeds(1, runs()) {
        let fate = Fate { crash: 8, rival: 3, log_cut: 4, log_loses_end: 4, log_replaced: 2, ..Fate::default() };
        let plan = Plan { seed, entries: 120, faults: Faults::many(), fate, blow: None, tells: false };
        told(plan, once_at_most);
    }
}

#[test]
fn crashes_and_rivals_at_random_change_no_event() {
    for seed in seeds(1, runs()) {
        let fate = Fate { crash: 8, rival: 5, shutdown: 3, ..Fate::default() };
        let plan = Plan { seed, entries: 120, faults: Faults::many(), fate, blow: None, tells: false };
        told(plan, exactly_once);
    }
}
