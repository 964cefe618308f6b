//! The ladder: every threshold at its exact boundary, to the millisecond, purely and through a real server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::time::Duration;

use futures::future::join_all;
use presence_engine::fold::{Body, Entry, IndexKey, Partition};
use presence_engine::model::{Address, Event, EventBody, Millis, Policy, Signal, State};
use serde_json::{Value, json};

use common::client::{beat, signal};
use common::engine::{Engine, STILL};
use common::told::Subscriber;
use common::{TestServer, oracle, streams};

const SEED: [(Millis, State); 4] =
    [(15_000, State::Idle), (60_000, State::Away), (180_000, State::Stale), (240_000, State::Offline)];

// ---- the seed's ladder, purely: the log's time is the test's

/// One session under profile `seed`, whose log the test writes.
struct Log {
    partition: Partition,
    seq: u64,
    events: Vec<Event>,
}

impl Log {
    /// A log that begins at `start`, with the seed's policy in force.
    fn beginning_at(start: Millis) -> Self {
        let policy = Policy { default_profile: "seed".into(), ..Policy::default() };
        let mut log = Self { partition: Partition::new(0, &IndexKey::new(1, 2)), seq: 0, events: Vec::new() };
        log.apply(start, Body::Policy(&policy.into()));
        log.events.clear();
        log
    }

    fn apply(&mut self, ts: Millis, body: Body<'_>) {
        self.seq += 1;
        self.partition.apply(&Entry { seq: self.seq, ts, body }, &mut self.events);
    }

    fn beat(&mut self, ts: Millis) {
        let address = Address::parse("main.ada.tab").unwrap();
        self.apply(ts, Body::Signal(address, &Signal::default()));
    }

    /// Ticks every second after `from`, the last one at `until`.
    fn tick(&mut self, from: Millis, until: Millis) {
        for ts in (from + 1_000..until).step_by(1_000).chain([until]) {
            self.apply(ts, Body::Tick { failed: 0 });
        }
    }

    /// The session's transitions as (at_ms, to).
    fn told(&self) -> Vec<(Millis, State)> {
        let sessions = self.events.iter().filter_map(|event| match &event.body {
            EventBody::Session(session) => Some((event.at_ms, session.to)),
            EventBody::User(_) | EventBody::Ready(_) | EventBody::Engine(_) | EventBody::Rejected(_) => None,
        });
        sessions.collect()
    }
}

/// Starts on the grid and off it.
const STARTS: [Millis; 3] = [1_700_000_000_000, 1_700_000_000_001, 1_700_000_000_099];

#[test]
fn the_seed_is_walked_at_its_exact_boundaries() {
    for start in STARTS {
        let mut log = Log::beginning_at(start);
        log.beat(start);
        log.tick(start, start + 241_000);
        let wanted = SEED.map(|(after, state)| (start + after, state));
        assert_eq!(log.told()[0], (start, State::Active));
        assert_eq!(log.told()[1..], wanted);
    }
}

#[test]
fn a_beat_one_millisecond_before_a_boundary_stays_above_it() {
    for start in STARTS {
        for (after, state) in SEED {
            let mut log = Log::beginning_at(start);
            log.beat(start);
            log.tick(start, start + after - 1);
            log.beat(start + after - 1);
            log.apply(start + after, Body::Tick { failed: 0 });
            assert!(log.told().iter().all(|(_, told)| *told != state), "{after}: {:?}", log.told());
            assert_eq!(log.told().last().unwrap().1, State::Active);
        }
    }
}

#[test]
fn a_beat_at_a_boundary_comes_after_it() {
    for start in STARTS {
        for (after, state) in SEED {
            let mut log = Log::beginning_at(start);
            log.beat(start);
            log.tick(start, start + after - 1);
            log.beat(start + after);
            let told = log.told();
            let [.., fallen, risen] = &told[..] else { panic!("{told:?}") };
            assert_eq!(
                (*fallen, *risen),
                ((start + after, state), (start + after, State::Active)),
                "thresholds are inclusive"
            );
        }
    }
}

#[test]
fn nothing_is_told_before_its_boundary_and_all_of_it_at_the_next_step_of_the_grid() {
    for start in STARTS {
        for (after, state) in SEED {
            let mut log = Log::beginning_at(start);
            log.beat(start);
            log.tick(start, start + after - 1);
            assert_ne!(log.told().last().unwrap().1, state);
            // Whatever is noticed later is told as of its boundary.
            log.apply((start + after).next_multiple_of(100), Body::Tick { failed: 0 });
            assert_eq!(*log.told().last().unwrap(), (start + after, state));
        }
    }
}

#[test]
fn a_log_that_rests_for_less_than_blind_after_is_told_exactly_all_the_same() {
    let start = STARTS[1];
    let mut log = Log::beginning_at(start);
    log.beat(start);
    for ts in (start + 3_000..=start + 243_000).step_by(3_000) {
        log.apply(ts, Body::Tick { failed: 0 });
    }
    assert_eq!(log.told()[1..], SEED.map(|(after, state)| (start + after, state)));
}

#[test]
fn recurring_gaps_excuse_a_ghost_for_a_bounded_time_only() {
    // The gap buys 15 s of grace each time, and 10 s are watched between two: were grace for nothing, the ghost would live for ever.
    let start = STARTS[0];
    let mut log = Log::beginning_at(start);
    log.beat(start);
    let mut ts = start;
    let mut rounds = 0;
    while log.told().last().unwrap().1 != State::Offline {
        rounds += 1;
        assert!(rounds < 40, "the ghost is still {:?} after {rounds} gaps", log.told().last());
        log.tick(ts, ts + 10_000);
        ts += 20_000;
        log.apply(ts, Body::Tick { failed: 0 });
    }
    // 240 s have to be observed at 10 s a round; the start's 300 s of credit and a tenth of what is watched excuse 30 s and some.
    assert!(rounds >= 25, "{rounds} gaps were hardly excused");
}

// ---- through a real server: the log's time is the server's

/// Thresholds on no grid.
const ODD: &str = r#"
[profile.odd]
idle_after = "157ms"
away_after = "411ms"
stale_after = "733ms"
offline_after = "1009ms"
"#;

#[tokio::test]
async fn sessions_that_start_at_odd_times_walk_an_odd_ladder_to_the_millisecond() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), &format!("{STILL}{ODD}")).await;
    let subscriber = Subscriber::to_all(&nats).await;
    join_all((0..60).map(async |n: u64| {
        tokio::time::sleep(Duration::from_millis(n * 37)).await;
        signal(&nats, &format!("u{n}"), "tab", &json!({"profile": "odd"})).await;
    }))
    .await;
    for n in 0..60 {
        let told = subscriber.until_state(&format!("presence.v1.session.main.u{n}.tab"), "offline").await;
        assert_eq!(silences(&told), [(0, "active"), (157, "idle"), (411, "away"), (733, "stale"), (1_009, "offline")]);
        let told = subscriber.until_state(&format!("presence.v1.user.main.u{n}"), "offline").await;
        assert_eq!(silences(&told), [(0, "active"), (157, "idle"), (411, "away"), (733, "stale"), (1_009, "offline")]);
    }
    engine.terminate().await;
    oracle::check(&nats).await;
    engine.audit();
}

#[tokio::test]
async fn who_beats_in_time_never_falls() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), &format!("{STILL}{ODD}")).await;
    let subscriber = Subscriber::to_all(&nats).await;
    for _ in 0..40 {
        signal(&nats, "ada", "tab", &json!({"profile": "odd", "input_age_ms": 0})).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    let told = subscriber.until_state("presence.v1.session.main.ada.tab", "offline").await;
    // On a busy machine she may have beaten too late, so the log is the judge: she was idle after each gap of 157 ms, and never otherwise.
    engine.terminate().await;
    let log = streams::log(&nats).await;
    let beats: Vec<_> =
        log.iter().filter(|entry| entry.subject.ends_with("ada.tab")).map(|entry| entry.ts_ms).collect();
    let late = beats.windows(2).filter(|pair| pair[1] - pair[0] >= 157).count();
    let idle = told.iter().filter(|event| event["to"] == "idle").count();
    assert!(idle == late + 1 || !streams::is_calm(&log), "idle {idle} times by {late} late beats");
    oracle::check(&nats).await;
}

#[tokio::test]
async fn the_seeds_quiet_rungs_are_exact_on_a_real_server() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let _engine = Engine::start(&server.url(), &STILL.replace("[engine]", "[engine]\nprofile = \"seed\"")).await;
    let subscriber = Subscriber::to_all(&nats).await;
    // The last input lies almost a rung ago, so that nobody has to wait for it.
    for (user, age, state, rung) in [("ida", 14_200_u64, "idle", 15_000), ("avi", 59_200, "away", 60_000)] {
        signal(&nats, user, "tab", &json!({"input_age_ms": age})).await;
        let told = subscriber.until_state(&format!("presence.v1.session.main.{user}.tab"), state).await;
        let [before, after] = &told[..] else { panic!("{told:?}") };
        assert_eq!(time(after, "at_ms") - time(after, "last_input_ms"), rung);
        assert_eq!(time(before, "last_input_ms"), time(before, "at_ms") - age);
        assert_eq!(
            (&after["cause"], time(after, "at_ms") - time(after, "last_seen_ms")),
            (&json!("quiet"), rung - age)
        );
    }
}

#[tokio::test]
async fn the_seeds_ladder_is_walked_on_a_real_server() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), "[engine]\nprofile = \"seed\"\n").await;
    let subject = "presence.v1.session.main.ada.tab";
    beat(&nats, "ada", "tab").await;
    let until = tokio::time::Instant::now() + Duration::from_secs(400);
    let told = loop {
        let told = streams::events_of(&nats, subject).await;
        if told.last().is_some_and(|last| last["to"] == "offline") {
            break told;
        }
        assert!(tokio::time::Instant::now() < until, "{told:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    assert_eq!(
        silences(&told),
        [(0, "active"), (15_000, "idle"), (60_000, "away"), (180_000, "stale"), (240_000, "offline")]
    );
    engine.terminate().await;
    oracle::check(&nats).await;
}

/// Each event as (the silence before it, the state it tells).
fn silences(told: &[Value]) -> Vec<(u64, &str)> {
    told.iter()
        .map(|event| (time(event, "at_ms") - time(event, "last_seen_ms"), event["to"].as_str().expect("a state")))
        .collect()
}

fn time(event: &Value, field: &str) -> u64 {
    event[field].as_u64().unwrap_or_else(|| panic!("{field} of {event}"))
}
