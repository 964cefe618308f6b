//! The fold against a naive oracle and against its own invariants, over random logs.
//!
//! Every test prints the line that repeats it exactly. `PROPTEST_CASES` is how many logs the first property sees; the
//! others see a share of that. A log that once failed is kept in `proptest-regressions/` and tried first.

mod oracle;

use oracle::Oracle;
use oracle::logs::{Log, Mood, logs};
use presence::fold::{IndexKey, Partition};
use presence::model::Event;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestRunner};

const KEY: IndexKey = IndexKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
const NUMBER: u16 = 7;

/// Tries `property` on random logs, `share` percent of `PROPTEST_CASES` (2,000 if that isn't set).
fn check(name: &'static str, share: u32, mood: Mood, property: impl Fn(Log) -> Result<(), TestCaseError>) {
    let mut config = Config::default();
    let cases = std::env::var("PROPTEST_CASES").map_or(2_000, |cases| cases.parse().expect("PROPTEST_CASES is a number"));
    config.cases = (cases * share / 100).max(1);
    config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/fold_oracle.txt")));
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(rand_seed());
    }
    let RngSeed::Fixed(seed) = config.rng_seed else { unreachable!("just fixed") };
    println!("PROPTEST_RNG_SEED={seed} PROPTEST_CASES={cases} cargo test --test fold_oracle {name}  # {} logs", config.cases);
    if let Err(error) = TestRunner::new(config).run(&logs(mood), property) {
        panic!("{error}");
    }
}

fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

fn partition() -> Partition {
    Partition::new(NUMBER, KEY)
}

#[test]
fn fold_tells_what_the_oracle_tells() {
    check("fold_tells_what_the_oracle_tells", 100, Mood::default(), |log| {
        let (mut partition, mut oracle) = (partition(), Oracle::new(NUMBER));
        for line in &log.0 {
            let mut told: Vec<Event> = Vec::new();
            partition.apply(&line.entry(), &mut told);
            let expected = oracle.apply(&line.entry());
            prop_assert!(told == expected, "at entry {} ({:?})\n{}", line.seq, oracle.clock, difference(&told, &expected));
        }
        Ok(())
    });
}

/// The first event in which two differ.
fn difference(told: &[Event], expected: &[Event]) -> String {
    let at = (0..).find(|at| told.get(*at) != expected.get(*at)).expect("they differ");
    format!("event {at} is      {:?}\nand should be  {:?}", told.get(at), expected.get(at))
}
