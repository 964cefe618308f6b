//! The commit lane of a simulated owner: does what `nats::commit::CommitLane` does with the same protocol, one step of one of its
//! commits at a time.

use std::collections::BTreeMap;

use presence_engine::fold::FOLD_VERSION;
use presence_engine::nats::commit::StoredProgress;
use presence_engine::nats::commit::protocol::{CommitProtocol, Found, Known, Loss, Outcome, Part, Step};
use presence_engine::nats::{Batch, Fence, OutMessage, Position};
use presence_engine::wire::{Progress, subject};

use crate::events::{self, Events, Published};
use crate::faults::Faults;
use crate::logs::Log;
use crate::random::Random;

#[derive(Debug)]
pub(crate) struct Lane {
    number: u32,
    owner: String,
    log_created: String,
    commits: u64,
    held: BTreeMap<u16, (u64, Known)>,
    /// Commits under way, with the fences of their partitions.
    work: Vec<Work>,
}

/// A commit under way.
#[derive(Debug)]
struct Work {
    commit: String,
    protocol: CommitProtocol,
    doing: Doing,
    messages: Vec<Published>,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Doing {
    /// This is to be done next.
    Next(Step),
    /// A batch is out.
    Flying(u64),
    /// The leader has answered, and the answer is on its way.
    Answered(Outcome),
}

/// What became of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything of these partitions is committed.
    Done(Vec<u16>),
    Lost(Loss),
    Refused(u64),
}

impl Lane {
    pub(crate) fn new(number: u32, log_created: &str) -> Self {
        let (owner, log_created) = (format!("owner{number}"), log_created.to_owned());
        Self { number, owner, log_created, commits: 0, held: BTreeMap::new(), work: Vec::new() }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.work.is_empty()
    }

    /// How many commits are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.work.len()
    }

    /// Takes the fences over the progress that was found.
    pub(crate) fn take_fences(&mut self, found: Vec<Option<StoredProgress>>) -> Vec<Fence> {
        assert!(self.work.is_empty(), "fences are taken while nothing else is under way");
        let commit = self.next_commit();
        let (mut fences, mut parts, mut progress) = (Vec::new(), Vec::new(), Vec::new());
        for (partition, found) in (0..).zip(found) {
            let epoch = found.as_ref().map_or(0, |found| found.progress.epoch) + 1;
            let known =
                |found: &StoredProgress| Known { seq: found.seq, commit: found.progress.commit.as_str().into() };
            parts.push(Part { partition, epoch, expected: found.as_ref().map(known) });
            let start = Position { input_seq: 0, input_ts: 0, k: 0, policy_hash: String::new(), generation: 0 };
            let (owner, commit) = (self.owner.clone(), commit.clone());
            progress.push(match &found {
                Some(found) => Progress { owner, epoch, commit, ..found.progress.clone() },
                None => self.progress(epoch, &commit, start),
            });
            fences.push(Fence { partition, epoch, found: found.map(|found| found.progress) });
        }
        self.start(commit, Vec::new(), parts, progress);
        fences
    }

    pub(crate) fn commit(&mut self, batch: Batch) {
        let commit = self.next_commit();
        let (mut parts, mut progress) = (Vec::new(), Vec::new());
        for (partition, position) in batch.progress {
            let (epoch, known) = self.held.remove(&partition).expect("a fence that no other commit has");
            parts.push(Part { partition, epoch, expected: Some(known) });
            progress.push(self.progress(epoch, &commit, position));
        }
        self.start(commit, batch.messages, parts, progress);
    }

    fn next_commit(&mut self) -> String {
        self.commits += 1;
        format!("{}.{}", self.owner, self.commits)
    }

    fn progress(&self, epoch: u64, commit: &str, position: Position) -> Progress {
        Progress {
            v: 1,
            owner: self.owner.clone(),
            epoch,
            commit: commit.to_owned(),
            log_created: self.log_created.clone(),
            input_seq: position.input_seq,
            input_ts: position.input_ts,
            k: position.k,
            generation: position.generation,
            fold_version: FOLD_VERSION,
            policy_hash: position.policy_hash,
        }
    }

    fn start(&mut self, commit: String, told: Vec<OutMessage>, parts: Vec<Part>, progress: Vec<Progress>) {
        let epoch_of = |partition| parts.iter().find(|part| part.partition == partition).map(|part| part.epoch);
        let mut messages: Vec<Published> = Vec::new();
        for OutMessage { partition, subject, mut headers, payload } in told {
            let epoch = epoch_of(partition).expect("every partition of a batch has its progress in it");
            headers.push(("Presence-Epoch", epoch.to_string()));
            messages.push(Published { owner: self.number, partition, subject, headers, payload });
        }
        for (part, progress) in parts.iter().zip(&progress) {
            let expected = part.expected.as_ref().map_or(0, |known| known.seq);
            let headers = vec![
                ("Presence-Epoch", part.epoch.to_string()),
                ("Nats-Rollup", "sub".to_owned()),
                ("Nats-Expected-Last-Subject-Sequence", expected.to_string()),
            ];
            let (partition, subject) = (part.partition, subject::progress(part.partition));
            let (owner, payload) = (self.number, progress.to_json().into());
            messages.push(Published { owner, partition, subject, headers, payload });
        }
        let count = messages.len() as u64;
        let (protocol, step) = CommitProtocol::start(&self.owner, &commit, parts.clone(), count);
        self.work.push(Work { commit, protocol, doing: Doing::Next(step), messages, parts });
    }

    /// The next step of a commit under way. Returns its end when it has come.
    pub(crate) fn step(
        &mut self,
        events: &mut Events,
        log: &Log,
        faults: &Faults,
        random: &mut Random,
    ) -> Option<Ended> {
        let at = random.below(self.work.len() as u64) as usize;
        let mut work = self.work.swap_remove(at);
        work.doing = match work.doing {
            Doing::Next(Step::Publish { batch_id }) => {
                let (commit, messages) = (work.commit.clone(), work.messages.clone());
                Doing::Flying(events.publish(events::Batch { id: batch_id, commit, messages }))
            }
            Doing::Next(Step::ReadProgress { partition }) => Doing::Answered(read(events, partition, faults, random)),
            Doing::Next(Step::Wait { .. }) => Doing::Next(work.protocol.next(Outcome::Waited)),
            Doing::Next(Step::Done(known)) => {
                for (part, known) in work.parts.iter().zip(known) {
                    self.held.insert(part.partition, (part.epoch, known));
                }
                return Some(Ended::Done(work.parts.iter().map(|part| part.partition).collect()));
            }
            Doing::Next(Step::Lost(loss)) => return Some(Ended::Lost(loss)),
            Doing::Next(Step::Refused { code, .. }) => return Some(Ended::Refused(code)),
            Doing::Answered(outcome) => Doing::Next(work.protocol.next(outcome)),
            Doing::Flying(flight) => match fly(flight, events, log, faults, random) {
                Some(outcome) => Doing::Next(work.protocol.next(outcome)),
                None => Doing::Flying(flight),
            },
        };
        self.work.push(work);
        None
    }
}

/// What an owner hears of its batch, if it hears anything yet.
fn fly(flight: u64, events: &mut Events, log: &Log, faults: &Faults, random: &mut Random) -> Option<Outcome> {
    if let Some(answer) = events.answer(flight) {
        let lost = random.chance(faults.answer_lost);
        return Some(if lost { Outcome::Unknown } else { answer });
    }
    if !events.is_flying(flight) || random.chance(faults.impatient) {
        // What it does not wait for any longer may still land.
        return Some(Outcome::Unknown);
    }
    if random.chance(faults.refused) {
        let codes: &[u64] = &[10_164, 10_176, 10_210, 10_077, 10_071];
        let code = if random.chance(faults.fatal) { 10_174 } else { random.pick(codes) };
        events.refuse(flight, code);
    } else if random.chance(faults.request_lost) {
        events.lose(flight);
    } else if !random.chance(faults.late) {
        events.land(flight, log);
    }
    None
}

/// What is answered when the leader is asked for a progress.
fn read(events: &mut Events, partition: u16, faults: &Faults, random: &mut Random) -> Outcome {
    if random.chance(faults.read_failed) {
        return Outcome::ReadFailed;
    }
    let found = events.answer_progress(partition, faults.read_stale, random);
    Outcome::Progress(found.map(Found::from))
}

impl Lane {
    /// Where its commit is, in a few words.
    pub(crate) fn story(&self) -> String {
        let tell = |work: &Work| format!("{} of {} messages, {:?}", work.commit, work.messages.len(), work.doing);
        self.work.iter().map(tell).collect::<Vec<_>>().join("; ")
    }
}
