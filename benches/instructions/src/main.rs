//! Heartbeats of sessions that are known, for callgrind to count: `instructions single` one by one, `instructions batch` as a
//! gateway holds them. Everything before, in which they join, is not counted.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "the fold is here by itself, its users are not")]

#[path = "../../../src/fold/mod.rs"]
pub mod fold;
#[path = "../../../src/model/mod.rs"]
pub mod model;

use std::hint::black_box;

use fold::{AHEAD, Ahead, BatchItem, Body, Entry, IndexKey, Partition};
use model::{Address, Beat, Event, Signal, Token, partition_of};

const PARTITIONS: u16 = 8;
/// Of a user each two.
const SESSIONS: usize = 32_768;
const ROUNDS: usize = 4;
const START: u64 = 1_790_000_000_000;
/// Every session beats once in this time.
const ROUND_MS: u64 = 19_937;
/// Heartbeats of a batch.
const BATCH: usize = 1_024;

type Who = (usize, Address<'static>);

struct Load {
    names: Vec<Who>,
    partitions: Vec<Partition>,
    ahead: Ahead,
    seq: u64,
    events: Vec<Event>,
}

impl Load {
    fn new() -> Self {
        // Neighbours in time are no neighbours in memory.
        let order = (0..SESSIONS).map(|at| at * 12_289 % SESSIONS);
        let text: Vec<String> = order.map(|number| format!("main.user-{:07}.tab-{}", number / 2, number % 2)).collect();
        let who = |text: String| {
            let address = Address::parse(text.leak()).expect("they are addresses");
            (partition_of("main", address.user().as_str(), PARTITIONS).into(), address)
        };
        let key = IndexKey::new(3, 5);
        Self {
            names: text.into_iter().map(who).collect(),
            partitions: (0..PARTITIONS).map(|number| Partition::new(number, &key)).collect(),
            ahead: Ahead::default(),
            seq: 0,
            events: Vec::new(),
        }
    }

    fn signal(&self) -> Signal {
        Signal { epoch: Some(1), seq: Some(self.seq), ..Signal::default() }
    }

    fn ts(&self, number: usize, round: usize) -> u64 {
        START + round as u64 * ROUND_MS + number as u64 * ROUND_MS / SESSIONS as u64
    }

    fn single(&mut self, round: usize) {
        for begin in (0..SESSIONS).step_by(AHEAD) {
            let group = &self.names[begin..begin + AHEAD];
            let ts = self.ts(begin, round);
            let ahead = self.ahead.look(AHEAD, |at| Some((&self.partitions[group[at].0], group[at].1)));
            for ((partition, address), sought) in group.iter().zip(ahead) {
                self.seq += 1;
                let beat = Beat { epoch: Some(1), seq: Some(self.seq) };
                let entry = Entry { seq: self.seq, ts, body: Body::Beat(*address, beat) };
                self.partitions[*partition].apply_sought(&entry, sought, &mut self.events);
            }
            black_box(&self.events);
            self.events.clear();
        }
    }

    /// The batches of a round, made before they are counted.
    fn batches(&mut self, round: usize) -> Vec<(usize, u64, Vec<BatchItem<'static>>)> {
        let mut batches = Vec::new();
        for partition in 0..usize::from(PARTITIONS) {
            let own: Vec<Who> = self.names.iter().filter(|(own, _)| *own == partition).copied().collect();
            for (number, group) in own.chunks(BATCH).enumerate() {
                self.seq += 1;
                let item = |(_, address): &Who| BatchItem::Signal(*address, self.signal().into(), 40);
                let ts = self.ts(number * BATCH * usize::from(PARTITIONS), round);
                batches.push((partition, ts, group.iter().map(item).collect()));
            }
        }
        batches.sort_by_key(|(_, ts, _)| *ts);
        batches
    }

    fn batch(&mut self, batches: &[(usize, u64, Vec<BatchItem<'static>>)]) {
        let token = |text| Token::parse(text).expect("a token");
        for (partition, ts, items) in batches {
            self.seq += 1;
            let body = Body::Batch { tenant: token("main"), gateway: token("gateway"), items };
            self.partitions[*partition].apply(&Entry { seq: self.seq, ts: *ts, body }, &mut self.events);
            black_box(&self.events);
            self.events.clear();
        }
    }
}

#[inline(never)]
fn counted_singles(load: &mut Load, round: usize) {
    load.single(round);
}

#[inline(never)]
fn counted_batches(load: &mut Load, batches: &[(usize, u64, Vec<BatchItem<'static>>)]) {
    load.batch(batches);
}

fn main() {
    let mut load = Load::new();
    let is_batch = match std::env::args().nth(1).as_deref() {
        Some("single") => false,
        Some("batch") => true,
        _ => {
            eprintln!("say `single` or `batch`");
            std::process::exit(2);
        }
    };
    for round in 0..=ROUNDS {
        match (is_batch, round) {
            (false, 0) => load.single(0),
            (false, _) => counted_singles(&mut load, round),
            (true, _) => {
                let batches = load.batches(round);
                if round == 0 { load.batch(&batches) } else { counted_batches(&mut load, &batches) }
            }
        }
    }
    let there: usize = load.partitions.iter().map(Partition::sessions).sum();
    assert_eq!(there, SESSIONS, "everybody is there");
    println!("{}", SESSIONS * ROUNDS);
}
