//! What a heartbeat costs the fold, and what a session costs its memory: a million and ten million sessions that beat in turn, one
//! by one and in a gateway's batches, and a million of which some beat far more often than others.

#![allow(missing_docs, reason = "criterion's macros make items without documentation")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use presence_engine::fold::{AHEAD, Ahead, BatchItem, Body, Entry, IndexKey, Partition};
use presence_engine::model::{Address, Beat, Event, Policy, Signal, Token, partition_of};

/// As the engine has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: u16 = 64;
const MILLION: usize = 1_000_000;
const SESSIONS_PER_USER: usize = 2;
const START: u64 = 1_790_000_000_000;
/// As many heartbeats as there are sessions come in this time: some twenty seconds, but no divisor of a threshold, since beats of
/// clients don't fall onto a deadline by the millisecond.
const ROUND_MS: u64 = 19_937;
/// Heartbeats of a gateway's batch, and for how long it held them.
const BATCH: usize = 1_000;
const HELD_MS: u64 = 40;

/// Bytes of an address.
const ADDRESS_BYTES: usize = "main.user-00000000.tab-0".len();

/// Which partition, and who.
type Who = (usize, Address<'static>);

/// Who beats, in the order in which they beat. Their names lie in that order too, as those of messages that come in do:
/// what is measured is what the fold keeps, not what the load has to look up.
fn names(order: impl Iterator<Item = usize>) -> &'static [Who] {
    let name = |number: usize| {
        let (user, tab) = (number / SESSIONS_PER_USER, number % SESSIONS_PER_USER);
        format!("main.user-{user:08}.tab-{tab}")
    };
    let mut text = String::with_capacity(order.size_hint().0 * ADDRESS_BYTES);
    order.map(name).for_each(|address| text.push_str(&address));
    side_by_side(text)
}

/// Those whose addresses a text consists of. Nothing of it is given back: memory that is used again would not be seen to be
/// taken.
fn side_by_side(text: String) -> &'static [Who] {
    let text: &'static str = text.leak();
    let who = |at: usize| {
        let address = &text[at * ADDRESS_BYTES..(at + 1) * ADDRESS_BYTES];
        let address = Address::parse(address).expect("they are addresses");
        (partition_of("main", address.user().as_str(), PARTITIONS).into(), address)
    };
    (0..text.len() / ADDRESS_BYTES).map(who).collect::<Vec<_>>().leak()
}

/// A policy under which nobody falls while it is measured.
fn patient() -> Arc<Policy> {
    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    let mut policy = Policy::default();
    for (_, profile) in &mut policy.profiles {
        for threshold in
            [&mut profile.idle_after, &mut profile.away_after, &mut profile.stale_after, &mut profile.offline_after]
        {
            *threshold += DAY_MS;
        }
        profile.confidence.bands.clear();
    }
    policy.into()
}

/// All of them, each once: a stride that is coprime to their number, so that neighbours in time are no neighbours in memory.
fn in_turn(sessions: usize) -> impl Iterator<Item = usize> {
    (0..sessions).map(move |at| at * 611_953 % sessions)
}

/// As many draws as there are sessions, by Zipf's law: the n-th is drawn 1/n as often as the first.
fn by_zipf(sessions: usize) -> impl Iterator<Item = usize> {
    let mut sums: Vec<f64> = (1..=sessions).map(|rank| 1.0 / rank as f64).collect();
    for rank in 1..sessions {
        sums[rank] += sums[rank - 1];
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..sessions).map(move |_| {
        // Marsaglia's xorshift: the same draws each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let drawn = (state >> 11) as f64 / (1_u64 << 53) as f64 * sums[sessions - 1];
        // Who beats often lies anywhere.
        sums.partition_point(|sum| *sum < drawn).min(sessions - 1) * 611_953 % sessions
    })
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells of its processes");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a process has resident memory");
    let kib: usize = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number of KiB");
    kib * 1024
}

struct Load {
    sessions: usize,
    partitions: Vec<Partition>,
    ahead: Ahead,
    at: usize,
    seq: u64,
    events: Vec<Event>,
}

impl Load {
    /// Partitions in which everybody has beaten once.
    fn of(names: &[Who]) -> Self {
        let sessions = names.len();
        let (before, key) = (resident_bytes(), IndexKey::new(3, 5));
        let mut load = Self {
            sessions,
            partitions: (0..PARTITIONS).map(|number| Partition::new(number, &key)).collect(),
            ahead: Ahead::default(),
            at: 0,
            seq: 0,
            events: Vec::new(),
        };
        for _ in 0..sessions / AHEAD {
            load.beat(names);
        }
        let kept: usize = load.partitions.iter().map(Partition::sessions).sum();
        println!(
            "fold: {} bytes a session with its names and user, {kept} sessions of {} users",
            resident_bytes().checked_sub(before).expect("it takes memory") / kept,
            kept / SESSIONS_PER_USER
        );
        load
    }

    /// Another policy comes into force.
    fn rule(&mut self, policy: &Arc<Policy>) {
        let ts = self.ts();
        self.seq += 1;
        for partition in &mut self.partitions {
            partition.apply(&Entry { seq: self.seq, ts, body: Body::Policy(policy) }, &mut self.events);
        }
        self.hear();
    }

    /// Takes what was told.
    fn hear(&mut self) {
        black_box(&self.events);
        self.events.clear();
    }

    fn ts(&self) -> u64 {
        START + self.at as u64 * ROUND_MS / self.sessions as u64
    }

    /// The next heartbeats of `names`, as the engine takes them.
    fn beat(&mut self, names: &[Who]) {
        // Batches before it may have ended anywhere.
        let begin = self.at / AHEAD % (names.len() / AHEAD) * AHEAD;
        let group = &names[begin..begin + AHEAD];
        let ts = self.ts();
        let ahead = self.ahead.look(AHEAD, |at| Some((&self.partitions[group[at].0], group[at].1)));
        for ((partition, address), sought) in group.iter().zip(ahead) {
            self.seq += 1;
            let beat = Beat { epoch: Some(1), seq: Some(self.seq) };
            let entry = Entry { seq: self.seq, ts, body: Body::Beat(*address, beat) };
            self.partitions[*partition].apply_sought(&entry, sought, &mut self.events);
        }
        self.at += AHEAD;
        self.hear();
    }

    /// A batch of a gateway's, as it is read from a message.
    fn batch<'n>(&mut self, names: impl Iterator<Item = &'n Who>) -> Vec<BatchItem<'n>> {
        self.at += BATCH;
        let item = |(_, address): &'n Who| {
            self.seq += 1;
            let signal = Signal { epoch: Some(1), seq: Some(self.seq), ..Signal::default() };
            BatchItem::Signal(*address, signal.into(), HELD_MS)
        };
        names.take(BATCH).map(item).collect()
    }

    fn take(&mut self, partition: usize, items: &[BatchItem<'_>]) {
        let token = |text| Token::parse(text).expect("a token");
        self.seq += 1;
        let body = Body::Batch { tenant: token("main"), gateway: token("gateway"), items };
        let entry = Entry { seq: self.seq, ts: self.ts(), body };
        self.partitions[partition].apply(&entry, &mut self.events);
        self.hear();
    }
}

fn heartbeats(criterion: &mut Criterion) {
    for sessions in [MILLION, 10 * MILLION] {
        let names = names(in_turn(sessions));
        let mut load = Load::of(names);
        one_by_one(criterion, &mut load, names, &format!("at {sessions} sessions"));
        batches(criterion, &mut load, names);
        if sessions == MILLION {
            zipf(criterion, &mut load);
        }
        // Not given back, so that what the next one takes is new.
        std::mem::forget(load);
    }
}

fn one_by_one(criterion: &mut Criterion, load: &mut Load, names: &[Who], what: &str) {
    let mut group = criterion.benchmark_group("fold");
    group.sample_size(50).throughput(Throughput::Elements(AHEAD as u64));
    group.bench_function(format!("{AHEAD} heartbeats {what}"), |bencher| bencher.iter(|| load.beat(names)));
    group.finish();
}

/// While nobody falls: otherwise most that is done would be to tell of those who never beat.
fn zipf(criterion: &mut Criterion, load: &mut Load) {
    let drawn = names(by_zipf(MILLION));
    load.rule(&patient());
    one_by_one(criterion, load, drawn, &format!("at {MILLION} sessions, by Zipf's law"));
}

fn batches(criterion: &mut Criterion, load: &mut Load, names: &[Who]) {
    let mut group = criterion.benchmark_group("fold");
    group.sample_size(50).throughput(Throughput::Elements(BATCH as u64));
    // As they lie in a message, and with room for as many again as there are on the average: it need not grow.
    let room = 2 * names.len() / usize::from(PARTITIONS) * ADDRESS_BYTES;
    let mut texts: Vec<_> = (0..PARTITIONS).map(|_| String::with_capacity(room)).collect();
    names.iter().for_each(|(partition, address)| texts[*partition].push_str(address.as_str()));
    let by_partition: Vec<_> = texts.into_iter().map(side_by_side).collect();
    let mut turn = 0;
    group.bench_function(format!("a batch of {BATCH} heartbeats at {} sessions", names.len()), |bencher| {
        // Only the fold is timed, not the making of what it takes.
        bencher.iter_custom(|batches| {
            let mut spent = Duration::ZERO;
            for _ in 0..batches {
                // Each partition in turn, and each of its sessions.
                let (partition, batch) = (turn % by_partition.len(), turn / by_partition.len());
                let (before, behind) = by_partition[partition].split_at(batch * BATCH % by_partition[partition].len());
                let items = load.batch(behind.iter().chain(before));
                turn += 1;
                let began = Instant::now();
                load.take(partition, &items);
                spent += began.elapsed();
            }
            spent
        });
    });
    group.finish();
}

criterion_group!(benches, heartbeats);
criterion_main!(benches);
