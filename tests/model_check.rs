//! An exhaustive check of who may commit what: within bounds, every order in which things can happen.
//!
//! Owners take each other's partitions, die, linger as zombies and come back; what they send is late, lost, overtaken or sent
//! again, and so are the answers. The rules of a commit are the engine's own, [`CommitProtocol`]; what lies around them
//! (lane, outbox, checkpoints, the server) is modelled after it. Where `tests/simulation.rs` drives more of the engine and
//! picks its way at random, this drives less and goes every way.
//!
//! [`CommitProtocol`]: presence_engine::nats::commit::protocol::CommitProtocol
//!
//! **Bounds.** Two partitions; a log of two entries, of which each tells one or two events a partition; batches of two or
//! three events; at most one takeover, one crash and two mishaps (see [`Bounds`]), not all of them at once, and the
//! lives that this takes, four at the most:
//!
//! | | takeovers | crashes | mishaps | | unique states |
//! |---|---|---|---|---|---|
//! | rivals and a crash | 1 | 1 | 1 | | 252 271 |
//! | lost and late messages | 1 | 0 | 2 | batches of two events | 214 130 |
//! | checkpoints | 1 | 1 | 0 | checkpoints are stored | 163 946 |
//! | a deposed leader | 1 | 0 | 2 | it answers with what was | 82 192 |
//!
//! **What is left out, since it can't be told apart.** A pause is an owner that does nothing while others do. A message that
//! is lost is one that never arrives. What an owner does on its own it does at once. What is sure to be refused, with nobody
//! to hear of it, is forgotten. An owner has one commit under way here: where it has two, they have no partition in common, and each
//! goes by the rules as if it were alone. There are no loops: with each step a budget gets smaller, or a count grows. So every way
//! ends, and where nothing is left to do or to come everything has to be told.
//!
//! The second half breaks a rule at a time and has the checker find it, so that the first half is known to look.

#[path = "model_check/facts.rs"]
mod facts;
#[path = "model_check/log.rs"]
mod log;
#[path = "model_check/owner.rs"]
mod owner;
#[path = "model_check/stream.rs"]
mod stream;
#[path = "model_check/work.rs"]
mod work;
#[path = "model_check/world.rs"]
mod world;

use stateright::{Checker, HasDiscoveries, Model};
use world::{Bounds, Mutation, World};

const BOUNDS: Bounds =
    Bounds { batch_events: 3, takeovers: 1, crashes: 0, mishaps: 0, checkpoints: false, deposed: false };

/// Goes every way. Fewer states than `states_min` would mean that the model has become another one.
#[track_caller]
fn holds(bounds: Bounds, states_min: usize) {
    let world = World { bounds, mutation: Mutation::Nothing };
    let checker = world.checker().threads(2).spawn_bfs().join();
    let states = checker.unique_state_count();
    eprintln!("{states} states, at most {} steps: {bounds:?}", checker.max_depth());
    checker.assert_properties();
    assert!(states >= states_min, "{states} states are less than {states_min}: what can't happen any more?");
}

/// Goes every way, a step further each time, until `fact` is found not to hold: so the shortest way there is told.
#[track_caller]
fn breaks(bounds: Bounds, mutation: Mutation, fact: &'static str) {
    let path = (1..STEPS_MAX).find_map(|steps| {
        let checker = World { bounds, mutation }.checker().target_max_depth(steps);
        checker.finish_when(HasDiscoveries::AnyOf([fact].into())).spawn_bfs().join().discovery(fact)
    });
    let path = path.unwrap_or_else(|| panic!("{mutation:?} is not found within {bounds:?}: {fact}"));
    eprintln!("{mutation:?} breaks \"{fact}\": {:?}", path.into_actions());
}

/// No way to a rule that is broken on purpose is longer.
const STEPS_MAX: usize = 32;

#[test]
fn rivals_and_a_crash_change_nothing_that_is_told() {
    holds(Bounds { crashes: 1, mishaps: 1, ..BOUNDS }, 250_000);
}

#[test]
fn lost_late_and_repeated_messages_change_nothing_that_is_told() {
    holds(Bounds { batch_events: 2, mishaps: 2, ..BOUNDS }, 210_000);
}

#[test]
fn no_checkpoint_is_ahead_of_the_progress() {
    holds(Bounds { crashes: 1, checkpoints: true, ..BOUNDS }, 160_000);
}

#[test]
fn answers_of_a_deposed_leader_change_nothing_that_is_told() {
    holds(Bounds { mishaps: 2, deposed: true, ..BOUNDS }, 80_000);
}

#[test]
fn without_expectations_a_zombie_tells_on() {
    breaks(BOUNDS, Mutation::NoExpectations, facts::I8);
    breaks(BOUNDS, Mutation::NoExpectations, facts::EXACTLY_ONCE);
    breaks(BOUNDS, Mutation::NoExpectations, facts::PROGRESS);
}

/// No event is told twice even then, since the rest carries the same expectation; but if all of it had landed, its owner is
/// refused by its own commit, and gives up what it has.
#[test]
fn who_sends_the_rest_without_asking_takes_itself_for_a_rival() {
    breaks(Bounds { mishaps: 1, ..BOUNDS }, Mutation::RestUnread, facts::RIVALS);
}

#[test]
fn a_commit_that_grows_between_its_attempts_loses_events() {
    let bounds = Bounds { takeovers: 0, mishaps: 1, ..BOUNDS };
    breaks(bounds, Mutation::ContentGrows, facts::CONFIRMED);
    breaks(bounds, Mutation::ContentGrows, facts::EXACTLY_ONCE);
    breaks(bounds, Mutation::ContentGrows, facts::AT_REST);
}

#[test]
fn a_checkpoint_that_is_stored_before_its_commit_is_ahead_of_the_progress() {
    breaks(Bounds { takeovers: 0, checkpoints: true, ..BOUNDS }, Mutation::EarlyCheckpoint, facts::I7);
}

#[test]
fn a_second_try_behind_what_is_there_now_tells_events_twice() {
    breaks(Bounds { takeovers: 0, mishaps: 1, ..BOUNDS }, Mutation::FreshExpectation, facts::EXACTLY_ONCE);
    breaks(Bounds { mishaps: 1, ..BOUNDS }, Mutation::FreshExpectation, facts::I8);
}
