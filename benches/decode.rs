//! What the engine spends on reading signals, before the fold sees them: single heartbeats, and gateways' batches.

#![allow(missing_docs, reason = "criterion's macros make items without documentation")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use presence_engine::model::{Signal, Visibility, partition_of};
use presence_engine::wire::batch::{self, HeldSignal};
use presence_engine::wire::{Encoding, LogMessage, signal};

/// As the engine has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: u16 = 64;
const BATCH: usize = 1_000;

/// What a session says with its number.
type Says = fn(usize) -> Signal;

/// A heartbeat as most clients send it.
fn typical(seq: usize) -> Signal {
    Signal { epoch: Some(1_790_000_000_000), seq: Some(seq as u64), ..Signal::default() }
}

/// One that says everything.
fn whole(seq: usize) -> Signal {
    Signal {
        every_ms: Some(20_000),
        visibility: Some(Visibility::Visible),
        can: Some(["audio".into(), "video".into()].into()),
        rooms: Some(["lobby".into(), "room-7".into()].into()),
        meta: Some(r#"{"app":"editor","version":3}"#.into()),
        ..typical(seq)
    }
}

fn read(subject: &str, payload: &[u8]) {
    let read = LogMessage { seq: 1, ts: 1, subject, payload, content_type: None }.read(PARTITIONS);
    black_box(read.entry());
}

fn batches(criterion: &mut Criterion) {
    let users: Vec<_> = (0..)
        .map(|n| format!("user-{n:07}"))
        .filter(|user| partition_of("main", user, PARTITIONS) == 0)
        .take(BATCH)
        .collect();
    let held = |says: Says| -> Vec<_> {
        let held = |(seq, user): (usize, &String)| {
            let (user, session, age_ms) = (user.clone(), "tab-1".to_owned(), 20 + seq as u64 % 30);
            HeldSignal { user, session, signal: says(seq), age_ms }
        };
        users.iter().enumerate().map(held).collect()
    };
    let mut group = criterion.benchmark_group("a batch of 1,000");
    group.throughput(Throughput::Elements(BATCH as u64));
    let cases: [(&str, Says, Encoding); 4] = [
        ("MessagePack, heartbeats", typical, Encoding::MessagePack),
        ("MessagePack, plain heartbeats", |_| Signal::default(), Encoding::MessagePack),
        ("MessagePack, heartbeats that say everything", whole, Encoding::MessagePack),
        ("JSON, heartbeats", typical, Encoding::Json),
    ];
    for (name, says, encoding) in cases {
        let payload = batch::encode(&held(says), encoding);
        group.bench_function(name, |bencher| {
            bencher.iter(|| read("presence.v1.log.0.batch.main.gateway-1", black_box(&payload)));
        });
    }
    group.finish();
}

fn singles(criterion: &mut Criterion) {
    let partition = partition_of("main", "user-0000001", PARTITIONS);
    let subject = format!("presence.v1.log.{partition}.signal.main.user-0000001.tab-1");
    let mut group = criterion.benchmark_group("one signal");
    group.throughput(Throughput::Elements(1));
    for (name, payload) in [
        ("empty", Vec::new()),
        ("{}", b"{}".to_vec()),
        ("JSON, a heartbeat", signal::encode(&typical(77), Encoding::Json)),
        ("MessagePack, a heartbeat", signal::encode(&typical(77), Encoding::MessagePack)),
        ("JSON, one that says everything", signal::encode(&whole(77), Encoding::Json)),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| read(black_box(&subject), black_box(&payload))));
    }
    group.finish();
}

criterion_group!(benches, batches, singles);
criterion_main!(benches);
