//! Every change is told once: to plain subscribers, in the history, in the buckets; over kills, shutdowns and rivals.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::kv::Operation;
use bytes::Bytes;
use futures::StreamExt;
use presence_engine::fold::FOLD_VERSION;
use presence_engine::model::{State, partition_of};
use presence_engine::nats::{Batch, Checkpoints, CommitLane, LogIdentity, Nats, OutMessage, Owner, Position, names};
use serde_json::{Value, json};

use common::client::{beat, signal};
use common::engine::{Engine, STILL};
use common::oracle::{self, Oracle};
use common::told::Subscriber;
use common::{TestServer, eventually, soon, streams};

/// Everything happens within a second, so that sessions flap. Four partitions share eight hundred milliseconds of it.
const FLAPPING: &str = r#"
[engine]
partitions = 8
checkpoint_every = "1s"
lease_ttl = "200ms"
[limits]
batch_messages = 10
[profile.default]
idle_after = "300ms"
away_after = "600ms"
stale_after = "900ms"
offline_after = "1200ms"
hidden_after = "150ms"
disconnect_grace = "200ms"
frozen_offline_after = "1s"
tombstone = "2s"
[profile.calm]
idle_after = "1h"
away_after = "2h"
stale_after = "3h"
offline_after = "4h"
disconnect_grace = "1h"
"#;

#[tokio::test]
async fn a_plain_subscriber_hears_what_was_committed_and_nothing_else() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    engine.terminate().await;
    // Somebody takes the fences, and loses them to the engine without noticing.
    let log = LogIdentity::read(&nats).await.unwrap();
    let mut zombie = CommitLane::new(&nats, Owner::unique(&nats), &log.created, FOLD_VERSION);
    let numbers: Vec<_> = (0..8).collect();
    assert!(zombie.take_fences(&numbers).await.unwrap().iter().all(|fence| fence.epoch == 2));
    engine.restart().await;

    let subscriber = Subscriber::to_all(&nats).await;
    beat(&nats, "ada", "tab").await;
    let ghost = partition_of("main", "ghost", 8);
    let lost = zombie.commit(batch(ghost, "main.ghost.tab")).await.unwrap();
    assert_eq!(lost.iter().map(|lost| (lost.partition, lost.epoch)).collect::<Vec<_>>(), [(ghost, 3)]);
    abandon(&nats, "main.abandoned.tab").await;
    signal(&nats, "ada", "tab", &json!({"kind": "leave"})).await;
    subscriber.until_state("presence.v1.user.main.ada", "offline").await;
    // Of its own partition the engine tells something behind the zombie's batch, so the fence there was never disturbed.
    beat(&nats, "ghost", "real").await;
    subscriber.events_of("presence.v1.user.main.ghost", 1).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));

    let heard: Vec<_> = subscriber.events().into_iter().map(|told| told.subject).collect();
    let session = |key: &str| format!("presence.v1.session.main.{key}");
    let user = |key: &str| format!("presence.v1.user.main.{key}");
    let wanted =
        [session("ada.tab"), user("ada"), session("ada.tab"), user("ada"), session("ghost.real"), user("ghost")];
    assert_eq!(
        heard.iter().filter(|subject| !subject.contains(".engine.")).collect::<Vec<_>>(),
        wanted.iter().collect::<Vec<_>>()
    );
    let everything = subscriber.heard();
    assert!(everything.iter().all(|told| !told.subject.contains("ghost.tab") && !told.subject.contains("abandoned")));
    assert!(
        streams::read(&nats, names::EVENTS).await.iter().all(|stored| stored.header("Presence-Epoch") != Some("2")
            || stored.subject.starts_with("presence.v1.progress."))
    );
    engine.audit();
    oracle::check(&nats).await;
}

#[tokio::test]
async fn buckets_hold_the_latest_event_of_whoever_is_there() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let sessions = streams::store(&nats, names::SESSIONS_BUCKET).await;
    let mut watch = sessions.watch_all().await.unwrap();
    signal(&nats, "ada", "tab", &json!({"meta": {"a": 1}})).await;
    beat(&nats, "ada", "phone").await;
    signal(&nats, "ada", "tab", &json!({"state": "idle"})).await;
    beat(&nats, "bob", "tab").await;

    let idle = |bucket: &BTreeMap<String, Value>| bucket.len() == 3 && bucket["main.ada.tab"]["to"] == "idle";
    let bucket = eventually("the sessions are in the bucket", async || {
        Some(streams::bucket(&nats, names::SESSIONS_BUCKET).await).filter(idle)
    })
    .await;
    assert_eq!(bucket.keys().collect::<Vec<_>>(), ["main.ada.phone", "main.ada.tab", "main.bob.tab"]);
    assert_eq!(bucket, latest(&nats, "presence.v1.session.").await, "byte for byte what was told last");
    let users = eventually("the users are in the bucket", async || {
        Some(streams::bucket(&nats, names::USERS_BUCKET).await).filter(|bucket| bucket.len() == 2)
    })
    .await;
    assert_eq!(users, latest(&nats, "presence.v1.user.").await);

    // Nobody writes it but the engine, by what it tells.
    let put = tokio::time::timeout(Duration::from_secs(10), sessions.put("main.ada.tab", "mine".into())).await;
    assert!(!matches!(put, Ok(Ok(_))), "a put was taken");

    for session in ["tab", "phone"] {
        signal(&nats, "ada", session, &json!({"kind": "leave"})).await;
    }
    eventually("who left is out of the buckets", async || {
        let gone =
            sessions.get("main.ada.tab").await.ok()?.is_none() && sessions.get("main.ada.phone").await.ok()?.is_none();
        let users = streams::bucket(&nats, names::USERS_BUCKET).await;
        (gone && users.keys().eq(["main.bob"])).then_some(())
    })
    .await;
    // A watcher gets what is the latest when it looks, so it may miss what was in between, but not the end, nor the order.
    let mut watched = BTreeMap::<String, Vec<(Operation, u64)>>::new();
    while watched.values().flatten().filter(|(operation, _)| *operation == Operation::Delete).count() < 2 {
        let entry = soon("the watcher hears", watch.next()).await.unwrap().unwrap();
        let event: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
        watched.entry(entry.key).or_default().push((entry.operation, event["ordinal"].as_u64().unwrap_or(u64::MAX)));
    }
    assert!(watched.values().all(|of| of.is_sorted_by(|a, b| a.1 < b.1)), "{watched:?}");
    let last = |key: &str| watched[key].last().map(|(operation, _)| *operation);
    assert_eq!(last("main.ada.tab"), Some(Operation::Delete));
    assert_eq!(last("main.ada.phone"), Some(Operation::Delete));
    assert_eq!(last("main.bob.tab"), Some(Operation::Put));
}

#[tokio::test]
async fn the_history_is_what_a_plain_subscriber_heard() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), FLAPPING).await;
    let subscriber = Subscriber::to_all(&server.connect().await).await;
    let mut flock = Flock::new(200, 11);
    for _ in 0..30 {
        flock.step(&nats).await;
    }
    flock.settle(&nats).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));

    let stored = streams::events(&nats).await;
    let key = |headers: &HeaderMap| headers.get("ce-id").map(ToString::to_string).unwrap_or_default();
    let mut stored: Vec<_> =
        stored.into_iter().map(|event| (event.subject, key(&event.headers), event.payload)).collect();
    let last = stored.last().cloned().expect("something was told");
    subscriber
        .until("the last event", |heard| heard.iter().any(|told| key(&told.headers) == last.1).then_some(()))
        .await;
    let heard = subscriber.events();
    let heard: Vec<_> = heard.into_iter().map(|told| (told.subject, key(&told.headers), told.payload)).collect();
    assert!(heard.len() > 1_000, "{} events are hardly a test", heard.len());
    // The subscriber came after the engine was live, so it has not heard of the policy.
    stored.retain(|(subject, ..)| !subject.contains(".engine."));
    let heard: Vec<_> = heard.into_iter().filter(|(subject, ..)| !subject.contains(".engine.")).collect();
    let different = stored.iter().zip(&heard).position(|(stored, heard)| stored != heard);
    assert_eq!(different.map(|at| (&stored[at], &heard[at])), None);
    assert_eq!(stored.len(), heard.len());
    let replay = engine.presence(&["replay", "--since", "all", "--sessions", "--ready", "-o", "json"]);
    assert!(replay.status.success());
    let replayed: Vec<Value> =
        String::from_utf8(replay.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let replayed: Vec<_> = replayed.iter().map(|event| event["id"].clone()).collect();
    let transitions: Vec<_> =
        stored.iter().filter(|(subject, ..)| !subject.contains(".rejected.")).map(|(_, id, _)| json!(id)).collect();
    let different = (0..transitions.len().max(replayed.len())).find(|at| replayed.get(*at) != transitions.get(*at));
    let said = String::from_utf8_lossy(&replay.stderr);
    assert_eq!(different.map(|at| (transitions.get(at), replayed.get(at))), None, "{said}");
    oracle::check(&nats).await;
}

#[tokio::test]
async fn kills_in_the_middle_of_two_thousand_flapping_sessions_change_nothing() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), FLAPPING).await;
    let mut flock = Flock::new(2_000, 7);
    for kill_at in [12, 25, 26, 40] {
        while flock.steps < kill_at {
            flock.step(&nats).await;
        }
        engine.must_run();
        engine.kill();
        // Clients go on while it is down.
        flock.step(&nats).await;
        engine.respawn();
    }
    flock.settle(&nats).await;
    engine.live().await;
    let last = LogIdentity::read(&nats).await.unwrap().last_seq;
    streams::told_up_to(&nats, last).await;
    let end = engine.terminate().await;
    assert_eq!(end.status.code(), Some(0), "{}", end.stderr);

    let counts = engine.audit();
    assert!(counts["session_events"].as_u64().unwrap() > 4_000, "{counts}");
    let oracle = oracle::check(&nats).await;
    assert!(is_shown(&nats, &flock, &oracle).await > 200, "hardly anybody is there in the end");
}

#[tokio::test]
async fn kills_of_the_server_in_the_middle_of_flapping_sessions_change_nothing() {
    let mut server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), FLAPPING).await;
    let mut flock = Flock::new(500, 3);
    for kill_at in [10, 20, 22] {
        while flock.steps < kill_at {
            flock.step(&nats).await;
        }
        engine.must_run();
        server.kill();
        server.restart().await;
        eventually("the client is connected again", async || nats.client.flush().await.ok()).await;
    }
    for _ in 0..10 {
        flock.step(&nats).await;
    }
    flock.settle(&nats).await;
    let last = LogIdentity::read(&nats).await.unwrap().last_seq;
    streams::told_up_to(&nats, last).await;
    let end = engine.terminate().await;
    assert_eq!(end.status.code(), Some(0), "{}", end.stderr);
    engine.audit();
    let oracle = oracle::check(&nats).await;
    assert!(is_shown(&nats, &flock, &oracle).await > 50, "hardly anybody is there in the end");
}

#[tokio::test]
async fn an_edited_configuration_comes_into_force_at_its_entry_and_not_before() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), FLAPPING).await;
    let mut flock = Flock::new(200, 13);
    for edited in [
        FLAPPING.replace("idle_after = \"300ms\"", "idle_after = \"120ms\""),
        FLAPPING.replace("1200ms", "5s"),
        FLAPPING.into(),
    ] {
        for _ in 0..10 {
            flock.step(&nats).await;
        }
        // What was not told yet when it was killed is told by the policy that was in force then.
        engine.kill();
        flock.step(&nats).await;
        engine.configure(&edited);
        engine.restart().await;
    }
    flock.settle(&nats).await;
    let last = LogIdentity::read(&nats).await.unwrap().last_seq;
    streams::told_up_to(&nats, last).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    let policies = streams::events_of(&nats, "presence.v1.engine.")
        .await
        .into_iter()
        .filter(|event| event["what"] == "policy")
        .count();
    assert_eq!(policies, 4 * 8, "the first one and three edited ones, in each partition");
    engine.audit();
    let oracle = oracle::check(&nats).await;
    is_shown(&nats, &flock, &oracle).await;
}

/// Waits until the buckets show what the oracle says, and nothing else; returns how many sessions that are.
async fn is_shown(nats: &Nats, flock: &Flock, oracle: &Oracle) -> usize {
    let (sessions, users) = flock.present(|user, session| match session {
        Some(session) => oracle.session(user, session),
        None => oracle.user(user),
    });
    let count = sessions.len();
    for (bucket, wanted) in [(names::SESSIONS_BUCKET, sessions), (names::USERS_BUCKET, users)] {
        eventually(&format!("{bucket} shows what the oracle says"), async || {
            let values = streams::bucket(nats, bucket).await.into_iter();
            let states = values.map(|(key, event)| (key, event["to"].as_str().unwrap().to_owned()));
            // A value that says so is to be taken as absent.
            let there: BTreeMap<_, _> = states.filter(|(_, state)| state != "offline").collect();
            (there == wanted).then_some(())
        })
        .await;
    }
    count
}

#[tokio::test]
async fn after_a_sigterm_nothing_is_replayed_and_nothing_is_told_twice() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), FLAPPING).await;
    let mut flock = Flock::new(100, 5);
    for _ in 0..15 {
        flock.step(&nats).await;
    }
    let end = engine.terminate().await;
    assert_eq!(end.status.code(), Some(0), "{}", end.stderr);
    let progress = streams::progress(&nats).await;
    let stored = streams::events(&nats).await;
    let checkpoints = Checkpoints::open(&nats, Duration::from_secs(600)).await.unwrap();
    for (partition, progress) in &progress {
        assert_eq!(
            checkpoints.positions(*partition).last(),
            Some(progress.input_seq),
            "partition {partition} is not drained"
        );
    }

    engine.restart().await;
    let said = engine.stderr();
    for (partition, progress) in &progress {
        let restored = format!("restored partition={partition} seq={} ", progress.input_seq);
        assert!(said.contains(&restored), "`{restored}` is missing in\n{said}");
    }
    let last = signal(&nats, "late", "tab", &json!({"profile": "calm"})).await;
    streams::told_up_to(&nats, last).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    let now = streams::events(&nats).await;
    let ids = |events: &[streams::Stored]| {
        events.iter().map(|event| event.header("ce-id").unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (before, now) = (ids(&stored), ids(&now));
    assert_eq!(now[..before.len()], before[..], "what was told stays as it was");
    let first_new = progress.values().map(|progress| progress.input_seq).min().unwrap();
    // The next owner says that it owns; that is the runtime's word, no entry caused it.
    for id in now[before.len()..].iter().filter(|id| !id.contains("-e")) {
        let seq: u64 = id.split('-').nth(2).unwrap().parse().unwrap();
        assert!(seq > first_new, "{id} was told again");
    }
    engine.audit();
    oracle::check(&nats).await;
}

#[tokio::test]
async fn a_second_sigterm_ends_an_engine_that_waits_for_its_server() {
    let mut server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let last = beat(&nats, "ada", "tab").await;
    streams::told_up_to(&nats, last).await;
    server.kill();
    engine.signal_to_end();
    eventually("it drains", async || engine.stderr().contains("draining").then_some(())).await;
    assert!(!engine.has_ended(), "it waits for its server");
    let end = engine.terminate().await;
    assert_eq!(end.status.code(), Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("presence: interrupted twice"), "{}", end.stderr);
    server.restart().await;
    engine.restart().await;
    let last = signal(&nats, "ada", "tab", &json!({"kind": "leave"})).await;
    streams::told_up_to(&nats, last).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    engine.audit();
    oracle::check(&nats).await;
}

// ---- helpers

/// A batch that tells something nobody derived.
fn batch(partition: u16, key: &str) -> Batch {
    let message = OutMessage {
        partition,
        subject: format!("presence.v1.session.{key}"),
        headers: vec![("ce-id", "forged".into())],
        payload: Bytes::from_static(b"{}"),
    };
    let position = Position { input_seq: 99, input_ts: 1, k: 1, policy_hash: "h".into(), generation: 0 };
    Batch { messages: vec![message], progress: vec![(partition, position)] }
}

/// A batch whose end never comes.
async fn abandon(nats: &Nats, key: &str) {
    for sequence in ["1", "2"] {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", "abandoned");
        headers.insert("Nats-Batch-Sequence", sequence);
        nats.client
            .publish_with_headers(format!("presence.commit.v1.session.{key}"), headers, "{}".into())
            .await
            .unwrap();
    }
    nats.client.flush().await.unwrap();
}

/// The latest stored event of each key that is not offline.
async fn latest(nats: &Nats, prefix: &str) -> BTreeMap<String, Value> {
    let mut latest = BTreeMap::new();
    for stored in streams::events(nats).await {
        if let Some(key) = stored.subject.strip_prefix(prefix) {
            latest.insert(key.to_owned(), stored.json());
        }
    }
    latest.retain(|_, event| event["to"] != "offline");
    latest
}

/// Many sessions, two to a user, that behave as badly as clients may.
struct Flock {
    sessions: u64,
    steps: u64,
    random: u64,
    /// What each session has counted up to.
    seqs: Vec<u64>,
}

impl Flock {
    fn new(sessions: u64, seed: u64) -> Self {
        Self {
            sessions,
            steps: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            seqs: vec![0; sessions as usize],
        }
    }

    /// xorshift64.
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn name(n: u64) -> (String, String) {
        (format!("u{}", n / 2), format!("s{}", n % 2))
    }

    /// Some hundred milliseconds of a seventh of the sessions, published as clients do: without waiting for anybody.
    async fn step(&mut self, nats: &Nats) {
        self.steps += 1;
        for _ in 0..self.sessions / 7 {
            let n = self.random(self.sessions);
            let payload = self.signal(n);
            let (user, session) = Self::name(n);
            nats.client.publish(format!("presence.v1.signal.main.{user}.{session}"), payload.into()).await.unwrap();
        }
        nats.client.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(80)).await;
    }

    fn signal(&mut self, n: u64) -> String {
        let seq = self.seqs[n as usize] + 1;
        self.seqs[n as usize] = seq;
        let numbered = |rest: &str| format!(r#"{{"epoch":1,"seq":{seq}{rest}}}"#);
        match self.random(20) {
            0 => numbered(r#","kind":"leave""#),
            1 => numbered(r#","kind":"disconnect","conn":"c""#),
            2 => numbered(r#","visibility":"hidden""#),
            3 => numbered(r#","visibility":"frozen""#),
            4 => numbered(r#","state":"away""#),
            5 => numbered(r#","input_age_ms":0,"intent":"busy","intent_for_ms":400"#),
            6 => numbered(r#","kind":"update","intent":"dnd","can":["audio"]"#),
            7 => format!(r#"{{"epoch":1,"seq":{}}}"#, seq.saturating_sub(2)),
            8 => format!(r#"{{"epoch":{},"seq":{seq}}}"#, 2 + self.steps),
            9 => "{".into(),
            10 => String::new(),
            _ => numbered(r#","visibility":"visible""#),
        }
    }

    /// The last signals: some stay, in different states, some have left, the others are silent from now on.
    async fn settle(&mut self, nats: &Nats) {
        for n in 0..self.sessions {
            let (user, session) = Self::name(n);
            let last = match n % 7 {
                0 => json!({"epoch": 1_000, "profile": "calm", "input_age_ms": 0, "visibility": "visible"}),
                1 => json!({"epoch": 1_000, "profile": "calm", "input_age_ms": 3_600_000, "visibility": "visible"}),
                2 => json!({"epoch": 1_000, "profile": "calm", "state": "away"}),
                3 => json!({"epoch": 1_000, "kind": "leave"}),
                _ => continue,
            };
            signal(nats, &user, &session, &last).await;
        }
    }

    /// The keys that are there with their states: of sessions, and of users.
    fn present(
        &self,
        state: impl Fn(&str, Option<&str>) -> State,
    ) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let (mut sessions, mut users) = (BTreeMap::new(), BTreeMap::new());
        for n in 0..self.sessions {
            let (user, session) = Self::name(n);
            sessions.insert(format!("main.{user}.{session}"), state(&user, Some(&session)));
            users.insert(format!("main.{user}"), state(&user, None));
        }
        let there = |states: BTreeMap<String, State>| {
            states
                .into_iter()
                .filter(|(_, state)| *state != State::Offline)
                .map(|(key, state)| (key, state.as_str().to_owned()))
                .collect()
        };
        (there(sessions), there(users))
    }
}
