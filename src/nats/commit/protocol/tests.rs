use std::collections::BTreeMap;

use super::*;

fn known(seq: u64, commit: &str) -> Known {
    Known { seq, commit: commit.into() }
}

fn found(seq: u64, commit: &str, owner: &str, epoch: u64) -> Outcome {
    Outcome::Progress(Some(Found { seq, commit: commit.into(), owner: owner.into(), epoch }))
}

fn part(partition: u16, expected: Option<Known>) -> Part {
    Part { partition, epoch: 2, expected }
}

/// Commit `a.7` of owner `a`, epoch 2: three events, progress of partitions 0 (left at 10) and 5 (left at 11).
fn start() -> CommitProtocol {
    let parts = vec![part(0, Some(known(10, "a.6"))), part(5, Some(known(11, "a.6")))];
    let (protocol, step) = CommitProtocol::start("a", "a.7", parts, 5);
    assert_eq!(step, publish(1));
    protocol
}

fn publish(attempt: u32) -> Step {
    Step::Publish { batch_id: format!("a.7.{attempt}") }
}

fn read(partition: u16) -> Step {
    Step::ReadProgress { partition }
}

fn refused(code: u64) -> Outcome {
    Outcome::Refused { code, description: "no".into() }
}

#[track_caller]
fn waits(step: &Step) {
    assert!(matches!(step, Step::Wait { .. }), "{step:?}");
}

#[test]
fn an_acknowledgement_gives_the_next_expectations() {
    let step = start().next(Outcome::Acked { last_seq: 25, count: 5 });
    assert_eq!(step, Step::Done(vec![known(24, "a.7"), known(25, "a.7")]));
}

#[test]
fn an_unknown_outcome_that_landed_is_found_by_our_commit() {
    let mut protocol = start();
    assert_eq!(protocol.next(Outcome::Unknown), read(0));
    assert_eq!(protocol.next(found(24, "a.7", "a", 2)), Step::Done(vec![known(24, "a.7"), known(25, "a.7")]));
}

#[test]
fn an_unknown_outcome_that_did_not_land_is_sent_again_under_another_batch_id() {
    for outcome in
        [Outcome::Unknown, refused(10_164), refused(10_176), refused(10_210), Outcome::Acked { last_seq: 9, count: 1 }]
    {
        let mut protocol = start();
        assert_eq!(protocol.next(outcome), read(0));
        waits(&protocol.next(found(10, "a.6", "a", 2)));
        assert_eq!(protocol.next(Outcome::Waited), publish(2));
    }
}

#[test]
fn a_failed_reading_is_repeated_before_anything_is_sent() {
    let mut protocol = start();
    protocol.next(Outcome::Unknown);
    waits(&protocol.next(Outcome::ReadFailed));
    assert_eq!(protocol.next(Outcome::Waited), read(0));
}

#[test]
fn a_stale_expectation_is_looked_for_in_every_partition() {
    let mut protocol = start();
    assert_eq!(protocol.next(refused(10_071)), read(0));
    assert_eq!(protocol.next(found(10, "a.6", "a", 2)), read(5));
    let loss = Loss::TakenOver { partition: 5, owner: "b".into(), epoch: 3 };
    assert_eq!(protocol.next(found(30, "b.0", "b", 3)), Step::Lost(loss));
}

#[test]
fn a_stale_expectation_may_be_our_own_earlier_attempt() {
    let mut protocol = start();
    protocol.next(Outcome::Unknown);
    protocol.next(found(10, "a.6", "a", 2));
    assert_eq!(protocol.next(Outcome::Waited), publish(2));
    assert_eq!(protocol.next(refused(10_071)), read(0));
    assert!(matches!(protocol.next(found(24, "a.7", "a", 2)), Step::Done(_)));
}

#[test]
fn a_refusal_without_a_stale_partition_is_tried_again() {
    let mut protocol = start();
    protocol.next(refused(10_071));
    protocol.next(found(10, "a.6", "a", 2));
    waits(&protocol.next(found(11, "a.6", "a", 2)));
    assert_eq!(protocol.next(Outcome::Waited), publish(2));
}

#[test]
fn a_vanished_progress_is_lost_but_not_to_a_zombie() {
    let mut protocol = start();
    protocol.next(refused(10_071));
    for _ in 1..SUSPICIONS_MAX {
        waits(&protocol.next(Outcome::Progress(None)));
        assert_eq!(protocol.next(Outcome::Waited), read(0));
    }
    assert_eq!(protocol.next(Outcome::Progress(None)), Step::Lost(Loss::Vanished { partition: 0 }));
}

#[test]
fn one_old_answer_of_a_deposed_leader_loses_nothing() {
    let mut protocol = start();
    protocol.next(Outcome::Unknown);
    waits(&protocol.next(found(7, "a.5", "a", 2)));
    assert_eq!(protocol.next(Outcome::Waited), read(0));
    waits(&protocol.next(found(10, "a.6", "a", 2)));
    assert_eq!(protocol.next(Outcome::Waited), publish(2));
}

#[test]
fn a_fence_that_its_owner_was_quicker_than_is_lost_at_once() {
    let (mut protocol, _) = CommitProtocol::start("b", "b.1", vec![part(3, Some(known(10, "a.6")))], 1);
    assert_eq!(protocol.next(refused(10_071)), read(3));
    let loss = Loss::TakenOver { partition: 3, owner: "a".into(), epoch: 1 };
    assert_eq!(protocol.next(found(14, "a.7", "a", 1)), Step::Lost(loss));
}

#[test]
fn the_same_sequence_in_a_stream_made_anew_is_not_ours() {
    let mut protocol = start();
    protocol.next(Outcome::Unknown);
    let loss = Loss::TakenOver { partition: 0, owner: "b".into(), epoch: 2 };
    assert_eq!(protocol.next(found(10, "b.1", "b", 2)), Step::Lost(loss));
}

#[test]
fn what_the_server_never_takes_ends_the_commit_unless_it_had_landed() {
    let mut protocol = start();
    assert_eq!(protocol.next(refused(10_199)), read(0));
    let step = protocol.next(found(10, "a.6", "a", 2));
    assert_eq!(step, Step::Refused { code: 10_199, description: "no".into() });
}

#[test]
fn a_first_fence_expects_nothing() {
    let (mut protocol, _) = CommitProtocol::start("a", "a.0", vec![part(3, None)], 1);
    protocol.next(Outcome::Unknown);
    waits(&protocol.next(Outcome::Progress(None)));
    protocol.next(Outcome::Waited);
    assert_eq!(protocol.next(Outcome::Acked { last_seq: 1, count: 1 }), Step::Done(vec![known(1, "a.0")]));
}

/// A stream that takes batches as the server does, and an adversary between it and its two rival owners.
struct World {
    seq: u64,
    progress: BTreeMap<u16, Found>,
    /// What a deposed leader still believes.
    old: BTreeMap<u16, Found>,
    old_answers: u32,
    /// (owner, epoch, event) as they were stored.
    stored: Vec<(Box<str>, u64, u64)>,
    /// Batches that are still under way.
    limbo: Vec<Attempt>,
    random: u64,
}

#[derive(Clone)]
struct Attempt {
    owner: Box<str>,
    commit: Box<str>,
    parts: Vec<Part>,
    event: Option<u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let (progress, old) = (BTreeMap::new(), BTreeMap::new());
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { seq: 0, progress, old, old_answers: 0, stored: Vec::new(), limbo: Vec::new(), random }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 100 < percent
    }

    fn land(&mut self, attempt: &Attempt) -> Outcome {
        let current = |part: &Part| self.progress.get(&part.partition).map_or(0, |found| found.seq);
        let expected = |part: &Part| part.expected.as_ref().map_or(0, |known| known.seq);
        if attempt.parts.iter().any(|part| current(part) != expected(part)) {
            return refused(10_071);
        }
        self.old = self.progress.clone();
        let count = attempt.parts.len() as u64 + u64::from(attempt.event.is_some());
        if let Some(event) = attempt.event {
            self.seq += 1;
            self.stored.push((attempt.owner.clone(), attempt.parts[0].epoch, event));
        }
        for part in &attempt.parts {
            self.seq += 1;
            let (commit, owner) = (attempt.commit.clone(), attempt.owner.clone());
            self.progress.insert(part.partition, Found { seq: self.seq, commit, owner, epoch: part.epoch });
        }
        Outcome::Acked { last_seq: self.seq, count }
    }

    /// Some of what is under way arrives.
    fn arrive(&mut self) {
        let mut rest = Vec::new();
        for attempt in std::mem::take(&mut self.limbo) {
            if self.chance(20) {
                self.land(&attempt);
            } else if self.chance(90) {
                rest.push(attempt);
            }
        }
        self.limbo = rest;
    }

    fn publish(&mut self, attempt: &Attempt) -> Outcome {
        self.arrive();
        if self.chance(40) {
            return self.land(attempt);
        }
        if self.chance(30) {
            self.land(attempt);
            return Outcome::Unknown;
        }
        if self.chance(50) {
            self.limbo.push(attempt.clone());
            return Outcome::Unknown;
        }
        if self.chance(50) { refused(10_176) } else { Outcome::Unknown }
    }

    fn read(&mut self, partition: u16) -> Outcome {
        self.arrive();
        if self.chance(15) {
            return Outcome::ReadFailed;
        }
        if self.old_answers + 1 < SUSPICIONS_MAX && self.chance(10) {
            self.old_answers += 1;
            return Outcome::Progress(self.old.get(&partition).cloned());
        }
        self.old_answers = 0;
        Outcome::Progress(self.progress.get(&partition).cloned())
    }

    fn run(&mut self, attempt: &Attempt) -> Step {
        let count = attempt.parts.len() as u64 + u64::from(attempt.event.is_some());
        let (mut protocol, mut step) =
            CommitProtocol::start(&attempt.owner, &attempt.commit, attempt.parts.clone(), count);
        loop {
            let outcome = match step {
                Step::Publish { .. } => self.publish(attempt),
                Step::ReadProgress { partition } => self.read(partition),
                Step::Wait { .. } => Outcome::Waited,
                Step::Done(_) | Step::Lost(_) | Step::Refused { .. } => return step,
            };
            step = protocol.next(outcome);
        }
    }
}

/// One of the rivals: what it believes to own.
struct Rival {
    owner: Box<str>,
    epoch: u64,
    known: Option<Vec<Known>>,
    commits: u64,
}

const PARTITIONS: [u16; 3] = [0, 7, 9];

impl Rival {
    fn new(owner: &str) -> Self {
        Self { owner: owner.into(), epoch: 0, known: None, commits: 0 }
    }

    fn attempt(&mut self, expected: Vec<Option<Known>>, event: Option<u64>) -> Attempt {
        self.commits += 1;
        let parts = PARTITIONS.into_iter().zip(expected);
        let parts = parts.map(|(partition, expected)| Part { partition, epoch: self.epoch, expected }).collect();
        Attempt { owner: self.owner.clone(), commit: format!("{}.{}", self.owner, self.commits).into(), parts, event }
    }

    fn take_fence(&mut self, world: &mut World) {
        loop {
            let found: Vec<_> = PARTITIONS.into_iter().map(|p| world.progress.get(&p).cloned()).collect();
            self.epoch = found.iter().flatten().map(|found| found.epoch).max().unwrap_or(0) + 1;
            let known = found.into_iter().map(|found| found.map(|f| Known { seq: f.seq, commit: f.commit })).collect();
            let attempt = self.attempt(known, None);
            match world.run(&attempt) {
                Step::Done(known) => {
                    self.known = Some(known);
                    return;
                }
                Step::Lost(_) => {}
                step => panic!("{step:?}"),
            }
        }
    }

    /// Commits one event; whether it was told.
    fn commit(&mut self, world: &mut World, event: u64) -> bool {
        let Some(known) = self.known.clone() else {
            return false;
        };
        let attempt = self.attempt(known.into_iter().map(Some).collect(), Some(event));
        match world.run(&attempt) {
            Step::Done(known) => {
                self.known = Some(known);
                true
            }
            Step::Lost(Loss::TakenOver { .. }) => {
                self.known = None;
                false
            }
            step => panic!("{step:?}"),
        }
    }
}

/// Two owners take the fence from each other and commit, over a stream that loses acknowledgements, delays batches
/// past their retries and answers with old readings.
#[test]
fn rivals_tell_each_event_once_and_nothing_below_the_newest_fence() {
    for seed in 1..=2_000 {
        let mut world = World::new(seed);
        let mut rivals = [Rival::new("a"), Rival::new("b")];
        let (mut told, mut event) = (Vec::new(), 0);
        for _ in 0..12 {
            let turn = usize::from(world.chance(50));
            rivals[turn].take_fence(&mut world);
            for _ in 0..4 {
                // The zombie may try too.
                let who = if world.chance(25) { 1 - turn } else { turn };
                event += 1;
                if rivals[who].commit(&mut world, event) {
                    told.push(event);
                }
            }
        }
        let stored: Vec<_> = world.stored.iter().map(|(_, _, event)| *event).collect();
        let in_order = stored.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(in_order, "seed {seed}: doubled or out of order: {stored:?}");
        assert!(told.iter().all(|event| stored.contains(event)), "seed {seed}: told {told:?}, stored {stored:?}");
        let epochs: Vec<_> = world.stored.iter().map(|(_, epoch, _)| *epoch).collect();
        assert!(epochs.is_sorted(), "seed {seed}: an older epoch was stored after a newer one: {epochs:?}");
    }
}
