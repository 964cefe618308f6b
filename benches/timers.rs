//! What keeping a deadline for each session costs, beside what one would take for it otherwise: a delay queue, another
//! hierarchical wheel whose entries are cancelled, a sorted map, a heap that is corrected when it is asked.
//!
//! `cargo bench --bench timers` measures a million, `cargo bench --bench timers -- 100000` as many as it says. All keep the same
//! deadlines and are measured in turn, in one process: the ratios count. Who the sessions are is known by number, so no name
//! is looked up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::future::poll_fn;
use hierarchical_hash_wheel_timer::wheels::Skip;
use hierarchical_hash_wheel_timer::wheels::cancellable::{CancellableTimerEntry, QuadWheelWithOverflow};
use prefetch_index::prefetch_index;
use presence_engine::fold::GRID_MS;
use presence_engine::fold::wheel::{Owner, TimingWheel};
use tokio::runtime::{Builder, Runtime};
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

/// Each session beats once in this time, and has this much from its last beat; in milliseconds.
const ROUND_MS: u64 = 20_000;
const TIMEOUT_MS: u64 = 60_000;
/// Rounds that are measured; before them come as many as it takes for deadlines to move on.
const ROUNDS: usize = 5;
const WARM_UP: usize = 4;
/// The beats between two looks at what is due.
const LOOK_EVERY: usize = 64;

/// Something that keeps deadlines.
trait Deadlines {
    fn name(&self) -> &'static str;
    /// How many times faster the wheel has to be.
    fn target(&self) -> Option<f64>;
    /// A session was heard: its deadline is `TIMEOUT_MS` later.
    fn heard(&mut self, session: u32, now_ms: u64);
    /// How many deadlines are reached by `now_ms` that were not before.
    fn reached(&mut self, now_ms: u64) -> usize;
    /// Lets the real time pass `now_ms`, for those who look at it.
    fn wait_until(&mut self, _now_ms: u64) {}
}

/// The fold's wheel: a beat is a store, and entries that moved on are placed anew when their slot is opened.
struct Wheel {
    wheel: TimingWheel,
    records: Records,
}

struct Records(Vec<u64>);

impl Owner for Records {
    fn place(&mut self, entry: u32, span: Range<u64>) -> Option<u64> {
        Some((self.0[entry as usize] + TIMEOUT_MS).div_ceil(GRID_MS).max(span.start))
    }

    fn fetch(&self, entry: u32) {
        prefetch_index(&self.0, entry as usize);
    }
}

impl Wheel {
    fn new(sessions: usize) -> Self {
        let mut wheel = TimingWheel::starting_at(0);
        for session in 0..sessions {
            wheel.push(TIMEOUT_MS.div_ceil(GRID_MS), session as u32);
        }
        Self { wheel, records: Records(vec![0; sessions]) }
    }
}

impl Deadlines for Wheel {
    fn name(&self) -> &'static str {
        "the fold's wheel"
    }

    fn target(&self) -> Option<f64> {
        None
    }

    fn heard(&mut self, session: u32, now_ms: u64) {
        self.records.0[session as usize] = now_ms;
    }

    fn reached(&mut self, now_ms: u64) -> usize {
        std::iter::from_fn(|| self.wheel.pop(now_ms / GRID_MS, &mut self.records)).count()
    }
}

/// `tokio_util::time::DelayQueue`, in a time that is a hundred times as fast, since it looks at the clock.
struct Delays {
    runtime: Runtime,
    queue: DelayQueue<u32>,
    keys: Vec<Key>,
    began: Instant,
}

const FASTER: u64 = 100;

impl Delays {
    fn new(sessions: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime starts");
        let in_it = runtime.enter();
        let mut queue = DelayQueue::with_capacity(sessions);
        let began = Instant::now();
        let at = (began + Duration::from_millis(TIMEOUT_MS / FASTER)).into();
        let keys = (0..sessions).map(|session| queue.insert_at(session as u32, at)).collect();
        drop(in_it);
        Self { runtime, queue, keys, began }
    }

    fn at(&self, now_ms: u64) -> Instant {
        self.began + Duration::from_millis(now_ms / FASTER)
    }
}

impl Deadlines for Delays {
    fn name(&self) -> &'static str {
        "tokio_util::time::DelayQueue"
    }

    fn target(&self) -> Option<f64> {
        Some(10.0)
    }

    fn heard(&mut self, session: u32, now_ms: u64) {
        let at = self.at(now_ms + TIMEOUT_MS).into();
        let _in_it = self.runtime.enter();
        self.queue.reset_at(&self.keys[session as usize], at);
    }

    fn reached(&mut self, now_ms: u64) -> usize {
        // While sessions beat nothing is due, and its clock, which runs on its own, must not say otherwise.
        if now_ms < TIMEOUT_MS * 1_000 {
            return 0;
        }
        let queue = &mut self.queue;
        self.runtime.block_on(async {
            let mut count = 0;
            while poll_fn(|context| queue.poll_expired(context)).await.is_some() {
                count += 1;
            }
            count
        })
    }

    fn wait_until(&mut self, now_ms: u64) {
        let at = self.at(now_ms) + Duration::from_millis(5);
        self.runtime.block_on(async { tokio::time::sleep_until(at.into()).await });
    }
}

/// `hierarchical_hash_wheel_timer`: a beat cancels an entry and inserts another.
struct Cancelled {
    wheel: QuadWheelWithOverflow<Entry>,
    now_ms: u64,
}

#[derive(Debug)]
struct Entry(u32);

impl CancellableTimerEntry for Entry {
    type Id = u32;

    fn id(&self) -> &u32 {
        &self.0
    }
}

impl Cancelled {
    fn new(sessions: usize) -> Self {
        let mut new = Self { wheel: QuadWheelWithOverflow::new(), now_ms: 0 };
        (0..sessions).for_each(|session| new.insert(session as u32, TIMEOUT_MS));
        new
    }

    fn insert(&mut self, session: u32, at_ms: u64) {
        let delay = Duration::from_millis(at_ms - self.now_ms);
        self.wheel.insert_ref_with_delay(Rc::new(Entry(session)), delay).expect("the deadline lies ahead");
    }
}

impl Deadlines for Cancelled {
    fn name(&self) -> &'static str {
        "hierarchical_hash_wheel_timer"
    }

    fn target(&self) -> Option<f64> {
        Some(5.0)
    }

    fn heard(&mut self, session: u32, now_ms: u64) {
        self.wheel.cancel(&session).expect("it was inserted");
        self.insert(session, now_ms + TIMEOUT_MS);
    }

    fn reached(&mut self, now_ms: u64) -> usize {
        let mut count = 0;
        while self.now_ms < now_ms {
            let ahead = now_ms - self.now_ms;
            match self.wheel.can_skip() {
                Skip::Millis(free) if u64::from(free) < ahead => {
                    self.wheel.skip(free);
                    self.now_ms += u64::from(free);
                }
                Skip::Millis(_) | Skip::Empty => {
                    self.wheel.skip(ahead as u32);
                    self.now_ms = now_ms;
                }
                Skip::None => {
                    count += self.wheel.tick().len();
                    self.now_ms += 1;
                }
            }
        }
        count
    }
}

/// A sorted map of deadlines.
struct Sorted {
    at: Vec<u64>,
    by_deadline: BTreeMap<u64, BTreeSet<u32>>,
}

impl Sorted {
    fn new(sessions: usize) -> Self {
        let all = (0..sessions as u32).collect();
        Self { at: vec![TIMEOUT_MS; sessions], by_deadline: BTreeMap::from([(TIMEOUT_MS, all)]) }
    }
}

impl Deadlines for Sorted {
    fn name(&self) -> &'static str {
        "BTreeMap of deadlines"
    }

    fn target(&self) -> Option<f64> {
        Some(15.0)
    }

    fn heard(&mut self, session: u32, now_ms: u64) {
        let at = std::mem::replace(&mut self.at[session as usize], now_ms + TIMEOUT_MS);
        if let Some(there) = self.by_deadline.get_mut(&at) {
            there.remove(&session);
            if there.is_empty() {
                self.by_deadline.remove(&at);
            }
        }
        self.by_deadline.entry(now_ms + TIMEOUT_MS).or_default().insert(session);
    }

    fn reached(&mut self, now_ms: u64) -> usize {
        let mut count = 0;
        while let Some(first) = self.by_deadline.first_entry().filter(|first| *first.key() <= now_ms) {
            count += first.remove().len();
        }
        count
    }
}

/// A heap that is corrected when it is asked: a beat is a store.
struct Heap {
    seen: Vec<u64>,
    heap: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Heap {
    fn new(sessions: usize) -> Self {
        let heap = (0..sessions).map(|session| Reverse((TIMEOUT_MS, session as u32))).collect();
        Self { seen: vec![0; sessions], heap }
    }
}

impl Deadlines for Heap {
    fn name(&self) -> &'static str {
        "lazy BinaryHeap"
    }

    fn target(&self) -> Option<f64> {
        Some(2.0)
    }

    fn heard(&mut self, session: u32, now_ms: u64) {
        self.seen[session as usize] = now_ms;
    }

    fn reached(&mut self, now_ms: u64) -> usize {
        let mut count = 0;
        while let Some(mut first) = self.heap.peek_mut().filter(|first| first.0.0 <= now_ms) {
            let at = self.seen[first.0.1 as usize] + TIMEOUT_MS;
            if at > now_ms {
                first.0.0 = at;
            } else {
                std::collections::binary_heap::PeekMut::pop(first);
                count += 1;
            }
        }
        count
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let sessions: usize = match &words[..] {
        [] => 1_000_000,
        [count] => count.parse().expect("how many sessions is a number"),
        more => panic!("{more:?} is more than a number of sessions"),
    };
    let mut all: Vec<Box<dyn Deadlines>> = vec![
        Box::new(Wheel::new(sessions)),
        Box::new(Delays::new(sessions)),
        Box::new(Cancelled::new(sessions)),
        Box::new(Sorted::new(sessions)),
        Box::new(Heap::new(sessions)),
    ];
    // A stride that is coprime to their number: neighbours in time are no neighbours in memory.
    let order: Vec<u32> = (0..sessions).map(|at| (at * 611_953 % sessions) as u32).collect();
    let mut beats = vec![Vec::new(); all.len()];
    for round in 0..WARM_UP + ROUNDS {
        for (own, beats) in all.iter_mut().zip(&mut beats) {
            let began = Instant::now();
            for (at, session) in order.iter().enumerate() {
                let now_ms = round as u64 * ROUND_MS + at as u64 * ROUND_MS / sessions as u64;
                own.heard(*session, now_ms);
                if at % LOOK_EVERY == 0 {
                    assert_eq!(own.reached(now_ms), 0, "nobody is late for {}", own.name());
                }
            }
            if round >= WARM_UP {
                beats.push(began.elapsed().as_nanos() as f64 / sessions as f64);
            }
        }
    }
    let end_ms = (WARM_UP + ROUNDS) as u64 * ROUND_MS + TIMEOUT_MS * 1_000;
    println!(
        "{sessions} sessions that beat every 20 s, deadlines after 60 s; nanoseconds, medians of {ROUNDS} rounds in turn"
    );
    let mut wheels = None;
    for (own, beats) in all.iter_mut().zip(&mut beats) {
        own.wait_until((WARM_UP + ROUNDS) as u64 * ROUND_MS + TIMEOUT_MS);
        let began = Instant::now();
        assert_eq!(own.reached(end_ms), sessions, "everybody's deadline comes for {}", own.name());
        let expiry = began.elapsed().as_nanos() as f64 / sessions as f64;
        beats.sort_by(f64::total_cmp);
        let beat = beats[beats.len() / 2];
        let (of_beat, of_expiry) = *wheels.get_or_insert((beat, expiry));
        let (times, target) = (beat / of_beat, own.target());
        let verdict = target.map_or(String::new(), |target| {
            format!("   target {target}, {}", if times >= target { "met" } else { "missed" })
        });
        println!(
            "  {:<30} beat {beat:>7.1} ({times:>5.1} times)   expiry of all at once, each {expiry:>7.1} ({:>5.1} times){verdict}",
            own.name(),
            expiry / of_expiry,
        );
    }
}
