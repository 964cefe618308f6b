//! The oracle by itself, over random logs.

use std::collections::BTreeSet;

use presence_engine::fold::BatchItem;
use presence_engine::model::{Cause, EventBody, Millis, State};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::Oracle;
use super::logs::{Log, What};
use super::random::{Mood, logs};
use super::witness::Witness;

pub(super) fn each_log(count: u32, seed: u8, mood: Mood, mut see: impl FnMut(Log)) {
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &[seed; 16]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = logs(mood);
    for _ in 0..count {
        see(strategy.new_tree(&mut runner).expect("no log is refused").current());
    }
}

/// From one instant at which something may happen to the next, nothing does: who looks at each millisecond sees no more.
#[test]
fn looking_at_every_millisecond_tells_the_same() {
    const LONGEST: Millis = 10_000;
    let mut compared = 0;
    each_log(150, 3, Mood::default(), |log| {
        let (mut oracle, mut plodding) = (Oracle::new(7), Oracle::plodding(7));
        let start = log.0[0].ts;
        for line in &log.0 {
            if let What::NewLog = line.what {
                oracle.lose_log();
                plodding.lose_log();
            }
            let told = oracle.apply(&line.entry());
            if oracle.sky.now().w > start + LONGEST {
                break;
            }
            assert_eq!(told, plodding.apply(&line.entry()), "at {} of {log:?}", line.seq);
            compared += told.len();
        }
    });
    assert!(compared > 1_500, "only {compared} events");
}

/// The judge of the fold is judged by what holds of any events.
#[test]
fn the_oracles_events_keep_their_invariants() {
    for forward in [true, false] {
        each_log(1_000, 11, Mood { forward, roomy: true, stamped: false }, |log| {
            // A subject that is forgotten begins anew, and its told time with it; so nobody is.
            let log = if forward {
                log
            } else {
                log.under(|policy| {
                    policy.profiles.iter_mut().for_each(|(_, profile)| profile.tombstone = 1 << 30);
                })
            };
            let (mut oracle, mut witness) = (Oracle::new(7), Witness::default());
            for line in &log.0 {
                if let What::NewLog = line.what {
                    oracle.lose_log();
                }
                let told = oracle.apply(&line.entry());
                let seen = witness.see(line, oracle.sky.now().hi, &told, forward);
                seen.unwrap_or_else(|error| panic!("at {} of {log:?}\n{error}", line.seq));
            }
        });
    }
}

/// What the random logs reach is what the comparison with the fold is worth.
#[test]
fn random_logs_reach_what_the_model_tells() {
    let mut reached = BTreeSet::new();
    each_log(1_500, 7, Mood::default(), |log| {
        let mut oracle = Oracle::new(7);
        for line in &log.0 {
            if let What::NewLog = line.what {
                oracle.lose_log();
            }
            let told = oracle.apply(&line.entry());
            reach(&mut reached, &line.what, &oracle);
            for (place, event) in told.iter().enumerate() {
                if event.k as usize != place {
                    reached.insert("a place left out".to_owned());
                }
                match &event.body {
                    EventBody::Session(of) => reached.insert(format!("session {:?} in {:?}", of.cause, of.to)),
                    EventBody::User(of) => reached.insert(format!("user {:?} in {:?}", of.cause, of.to)),
                    EventBody::Ready(of) => {
                        let way = if of.to.len() < of.from.len() { "less" } else { "more" };
                        reached.insert(format!("ready {way} {:?}", of.cause))
                    }
                    EventBody::Engine(_) | EventBody::Rejected(_) => false,
                };
            }
        }
    });
    let mut wanted = Vec::new();
    let quiet = [Cause::Updated, Cause::Fading, Cause::Refreshed, Cause::Policy];
    for (cause, state) in quiet.iter().flat_map(|cause| State::ALL[..4].iter().map(move |state| (cause, state))) {
        wanted.extend(["session", "user"].map(|whose| format!("{whose} {cause:?} in {state:?}")));
    }
    let less = [Cause::Fading, Cause::Quiet, Cause::Hidden, Cause::Intent, Cause::Left, Cause::Updated, Cause::Policy];
    let more = [Cause::Joined, Cause::Refreshed, Cause::Input, Cause::Intent, Cause::Updated, Cause::Policy];
    wanted.extend(less.map(|cause| format!("ready less {cause:?}")));
    wanted.extend(more.map(|cause| format!("ready more {cause:?}")));
    let known = ["a place left out", "voice", "intent alone", "level 1", "level 3", "excused", "excused wholly"];
    wanted.extend(known.map(str::to_owned));
    wanted.extend(["invisible with sessions", "unknown gateway", "item before life sign"].map(str::to_owned));
    let missed: Vec<&String> = wanted.iter().filter(|what| !reached.contains(*what)).collect();
    assert!(missed.is_empty(), "no log reaches {missed:?}");
}

/// What shows in no event by itself.
fn reach(reached: &mut BTreeSet<String>, what: &What, oracle: &Oracle) {
    let w = oracle.sky.now().w;
    let mut add = |holds: bool, what: &str| holds.then(|| reached.insert(what.to_owned()));
    for user in oracle.users.values() {
        add(user.sessions.is_empty(), "intent alone");
        add(user.is_here() && user.told.state == State::Offline, "invisible with sessions");
        for session in user.sessions.values() {
            add(session.voice, "voice");
            add(session.level == 1, "level 1");
            add(session.level == 3, "level 3");
            let excused = oracle.sky.excused(session, w);
            add(session.is_live() && excused > 0, "excused");
            add(session.is_live() && excused == super::gateway::EXCUSE_MAX, "excused wholly");
        }
    }
    let What::Batch(.., items) = what else { return };
    for item in items {
        let BatchItem::Signal(who, ..) = item else { continue };
        let user = oracle.users.get(&(who.tenant().as_str().to_owned(), who.user().as_str().to_owned()));
        let session = user.and_then(|user| user.sessions.get(who.session().as_str()));
        if let Some(session) = session.filter(|session| session.is_live()) {
            add(session.excuse.is_none(), "unknown gateway");
            add(session.input < session.seen && session.seen < w, "item before life sign");
        }
    }
}
