//! What a heartbeat costs the fold, and what a session costs its memory, at a million sessions.

#![allow(missing_docs, reason = "criterion's macros make items without documentation")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use presence_engine::fold::{AHEAD, Ahead, Body, Entry, IndexKey, Partition};
use presence_engine::model::{Address, Signal, partition_of};

const PARTITIONS: u16 = 64;
const SESSIONS: usize = 1_000_000;
const SESSIONS_PER_USER: usize = 2;
const START: u64 = 1_790_000_000_000;
/// Every session beats once in this time: some twenty seconds, but no divisor of a threshold, since beats of clients don't fall
/// onto a deadline by the millisecond.
const ROUND_MS: u64 = 19_937;

/// Bytes of an address.
const ADDRESS_BYTES: usize = "main.user-0000000.tab-0".len();

/// Which partition, and who.
type Who = (usize, Address<'static>);

/// Who beats, in the order in which they beat. Their names lie in that order too, as those of messages that come in do:
/// what is measured is what the fold keeps, not what the load has to look up.
fn names() -> Vec<Who> {
    let text: &'static str = (0..SESSIONS)
        .map(beating)
        .map(|(user, tab)| format!("main.user-{user:07}.tab-{tab}"))
        .collect::<String>()
        .leak();
    let who = |at: usize| {
        let address = &text[at * ADDRESS_BYTES..(at + 1) * ADDRESS_BYTES];
        let address = Address::parse(address).expect("they are addresses");
        (partition_of("main", address.user().as_str(), PARTITIONS).into(), address)
    };
    (0..SESSIONS).map(who).collect()
}

/// The number of the user and of the session that beat at a place in the round.
fn beating(at: usize) -> (usize, usize) {
    // A stride that is coprime to their number: neighbours in time are no neighbours in memory.
    let number = at * 611_953 % SESSIONS;
    (number / SESSIONS_PER_USER, number % SESSIONS_PER_USER)
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells of its processes");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a process has resident memory");
    let kib: usize = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number of KiB");
    kib * 1024
}

struct Load {
    names: Vec<Who>,
    partitions: Vec<Partition>,
    ahead: Ahead,
    at: usize,
    signal: Signal,
}

impl Load {
    /// The next heartbeats, as the engine takes them: each session in turn, each some twenty seconds of log time apart.
    fn beat(&mut self, events: &mut Vec<presence_engine::model::Event>) {
        let begin = self.at % SESSIONS;
        let group = &self.names[begin..begin + AHEAD];
        let ahead = self.ahead.look(AHEAD, |at| Some((&self.partitions[group[at].0], group[at].1)));
        for ((partition, address), sought) in group.iter().zip(ahead) {
            self.at += 1;
            self.signal.seq = Some(self.at as u64);
            let ts = START + self.at as u64 * ROUND_MS / SESSIONS as u64;
            let entry = Entry { seq: self.at as u64, ts, body: Body::Signal(*address, &self.signal) };
            self.partitions[*partition].apply_sought(&entry, sought, events);
        }
        black_box(&events);
        events.clear();
    }
}

fn heartbeats(criterion: &mut Criterion) {
    let names = names();
    let before = resident_bytes();
    let partitions = (0..PARTITIONS).map(|number| Partition::new(number, IndexKey(3, 5))).collect();
    let mut load = Load {
        names,
        partitions,
        ahead: Ahead::default(),
        at: 0,
        signal: Signal { epoch: Some(1), ..Signal::default() },
    };
    let mut events = Vec::new();
    for _ in 0..SESSIONS / AHEAD {
        load.beat(&mut events);
    }
    let bytes = resident_bytes() - before;
    let kept: usize = load.partitions.iter().map(Partition::sessions).sum();
    println!(
        "fold: {} bytes a session with names, {kept} sessions of {} users",
        bytes / kept,
        kept / SESSIONS_PER_USER
    );

    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(AHEAD as u64));
    group.bench_function("heartbeats at 1,000,000 sessions", |bencher| {
        bencher.iter(|| load.beat(&mut events));
    });
    group.finish();
}

criterion_group!(benches, heartbeats);
criterion_main!(benches);
