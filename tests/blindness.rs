//! Time that nobody watched does not pass: the server is killed, the engine is killed, both are, the log is lost or cut.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::stream::Config;
use presence_engine::nats::{LogIdentity, Nats, names};
use serde_json::{Value, json};

use common::client::{Beating, beat, log_time, signal};
use common::engine::{Engine, presence};
use common::{TestServer, eventually, oracle, streams};

/// Three seconds from the last beat to offline. Clients beat ten times a second, so nobody falls by the machine's fault: when
/// it stalls for longer than `blind_after`, nobody watched.
const QUICK: &str = r#"
[engine]
lease_ttl = "200ms"
partitions = 8
checkpoint_every = "1s"
blind_after = "1500ms"
reconnect_grace = "2s"
[profile.default]
idle_after = "1s"
away_after = "1500ms"
stale_after = "2s"
offline_after = "3s"
"#;
/// As long as all of [`QUICK`]'s thresholds, and more.
const LONGER: Duration = Duration::from_millis(3_600);
const BEAT: Duration = Duration::from_millis(100);
const PARTITIONS: usize = 8;

/// Users with a session each, enough that every partition has some.
fn crowd() -> Vec<String> {
    (0..40).map(|n| format!("u{n}.tab")).collect()
}

#[tokio::test]
async fn a_killed_server_makes_nobody_offline_while_the_engine_lives() {
    let mut server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), QUICK).await;
    let beating = Beating::start(&server.connect().await, crowd(), BEAT);
    beating.more(10).await;
    for _ in 0..2 {
        server.kill();
        tokio::time::sleep(LONGER).await;
        server.restart().await;
        goes_on(&nats, &mut engine).await;
    }
    let restarted = streams::read(&nats, names::EVENTS).await.last().map(|stored| stored.seq);
    watch(&nats, Duration::from_secs(2)).await;
    engine.must_run();
    engine.terminate().await;
    nobody_fell(&nats).await;
    assert_eq!(told_by_engines(&nats, "blind").await.len(), 2 * PARTITIONS, "each gap is told by each partition");
    assert!(restarted.is_some());
    engine.audit();
    oracle::check(&nats).await;
    beating.stop().await;
}

#[tokio::test]
async fn an_engine_that_was_down_for_long_finds_those_who_beat_where_they_were_and_the_dead_at_their_deadline() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), QUICK).await;
    let beating = Beating::start(&server.connect().await, crowd(), BEAT);
    beating.more(10).await;
    // Of a user who beats elsewhere, so that her partition's log has no gap.
    let dead = beat(&nats, "u7", "dead").await;
    streams::told_up_to(&nats, dead).await;
    engine.kill();
    let down = last_entry(&nats).await;
    watch(&nats, LONGER).await;
    engine.restart().await;
    let up = last_entry(&nats).await;
    assert!(
        log_time(&nats, up).await - log_time(&nats, down).await > 3_000,
        "it was down for longer than every threshold"
    );
    watch(&nats, Duration::from_secs(2)).await;
    engine.terminate().await;
    nobody_fell(&nats).await;
    assert_eq!(told_by_engines(&nats, "blind").await, Vec::<Value>::new(), "the log took entries all the time");
    let told = streams::events_of(&nats, "presence.v1.session.main.u7.dead").await;
    assert_eq!(
        silences(&told),
        [(0, "active"), (1_000, "idle"), (1_500, "away"), (2_000, "stale"), (3_000, "offline")]
    );
    engine.audit();
    oracle::check(&nats).await;
    beating.stop().await;
}

#[tokio::test]
async fn nobody_goes_offline_when_engine_and_server_were_down_and_the_dead_are_found_afterwards() {
    let mut server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), QUICK).await;
    let beating = Beating::start(&server.connect().await, crowd(), BEAT);
    beating.more(10).await;
    let dead = beat(&nats, "u7", "dead").await;
    streams::told_up_to(&nats, dead).await;
    engine.kill();
    server.kill();
    tokio::time::sleep(LONGER).await;
    server.restart().await;
    engine.restart().await;
    eventually("the dead session is found", async || {
        let told = streams::events_of(&nats, "presence.v1.session.main.u7.dead").await;
        (told.last()?["to"] == "offline").then_some(())
    })
    .await;
    engine.terminate().await;
    nobody_fell(&nats).await;
    let blind = told_by_engines(&nats, "blind").await;
    let partitions: BTreeSet<_> = blind.iter().map(|event| event["partition"].as_u64().unwrap()).collect();
    assert_eq!(partitions.len(), PARTITIONS, "every partition says that nobody watched");
    assert!(blind.iter().all(|event| time(event, "to_ms") - time(event, "from_ms") > 1_500));
    // Only what was watched counts: her silence is exactly her thresholds, however long the night was.
    let told = streams::events_of(&nats, "presence.v1.session.main.u7.dead").await;
    assert_eq!(
        silences(&told),
        [(0, "active"), (1_000, "idle"), (1_500, "away"), (2_000, "stale"), (3_000, "offline")]
    );
    engine.audit();
    oracle::check(&nats).await;
    beating.stop().await;
}

#[tokio::test]
async fn a_ghost_is_found_in_bounded_time_though_gaps_recur() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine =
        Engine::start(&server.url(), &QUICK.replace("reconnect_grace = \"2s\"", "reconnect_grace = \"1s\"")).await;
    let beating = Beating::start(&server.connect().await, crowd(), BEAT);
    let seq = beat(&nats, "u7", "dead").await;
    streams::told_up_to(&nats, seq).await;
    let ghost = "presence.v1.session.main.u7.dead";
    let mut gaps = 0;
    while streams::events_of(&nats, ghost).await.last().is_none_or(|last| last["to"] != "offline") {
        gaps += 1;
        // Each round watches 2 s, of which the gap's grace takes 1 s at most, so that 3 s of silence take three rounds. On a
        // machine so busy that ticks fail, these excuse time too: 30 s by the credit of the start, and a tenth of what is
        // watched. Then it takes twenty.
        assert!(gaps <= 20, "the ghost lives after {gaps} gaps");
        server.pause();
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.resume();
        watch(&nats, Duration::from_secs(2)).await;
        streams::told_up_to(&nats, last_entry(&nats).await).await;
    }
    engine.terminate().await;
    nobody_fell(&nats).await;
    assert!(gaps >= 2 && !told_by_engines(&nats, "blind").await.is_empty(), "{gaps} gaps");
    assert_eq!(silences(&streams::events_of(&nats, ghost).await).last(), Some(&(3_000, "offline")));
    engine.audit();
    oracle::check(&nats).await;
    beating.stop().await;
}

// ---- the log itself is gone

/// How the engine went down before the log went.
#[derive(Clone, Copy, PartialEq)]
enum Down {
    /// By SIGTERM: with a checkpoint of all that it had told.
    Drained,
    /// By SIGKILL: it has to be rebuilt from what was told.
    Killed,
}

/// What became of the log in the meantime.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    /// Another one is there.
    Replaced,
    /// Entries that nobody had read are gone.
    Cut,
}

#[tokio::test]
async fn a_lost_log_after_a_shutdown_makes_nobody_offline() {
    lose(Down::Drained, Loss::Replaced).await;
}

#[tokio::test]
async fn a_lost_log_after_a_kill_makes_nobody_offline() {
    lose(Down::Killed, Loss::Replaced).await;
}

#[tokio::test]
async fn a_cut_log_after_a_shutdown_makes_nobody_offline() {
    lose(Down::Drained, Loss::Cut).await;
}

#[tokio::test]
async fn a_cut_log_after_a_kill_makes_nobody_offline() {
    lose(Down::Killed, Loss::Cut).await;
}

async fn lose(down: Down, loss: Loss) {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), QUICK).await;
    let beating = Beating::start(&server.connect().await, crowd(), BEAT);
    // Longer than every threshold since they joined, the last thing that was told of most of them.
    beating.more(10).await;
    watch(&nats, LONGER).await;
    signal(&nats, "ida", "tab", &json!({"state": "idle"})).await;
    let dead = beat(&nats, "u7", "dead").await;
    streams::told_up_to(&nats, dead).await;
    let before = streams::events(&nats).await.len();
    match down {
        Down::Drained => assert_eq!(engine.terminate().await.status.code(), Some(0)),
        Down::Killed => engine.kill(),
    }
    match loss {
        Loss::Replaced => nats.jetstream.delete_stream(names::LOG).await.map(drop).unwrap(),
        Loss::Cut => {
            // Longer than `blind_after`: a loss that is shorter than that ages those whose beats were lost by as much.
            watch(&nats, Duration::from_secs(2)).await;
            cut(&nats).await;
        }
    }
    engine.restart().await;
    eventually("the dead are found", async || {
        let dead = streams::events_of(&nats, "presence.v1.session.main.u7.dead").await;
        let ida = streams::events_of(&nats, "presence.v1.session.main.ida.tab").await;
        (dead.last()?["to"] == "offline" && ida.last()?["to"] == "offline").then_some(())
    })
    .await;
    // Those who went on go on in the same incarnation, by the next ordinal.
    let seq = signal(&nats, "u3", "tab", &json!({"epoch": 2, "state": "away"})).await;
    streams::told_up_to(&nats, seq).await;
    let end = engine.terminate().await;
    assert_eq!(end.status.code(), Some(0), "{}", end.stderr);
    nobody_fell_but(&nats, &["u3"]).await;
    let told = streams::events_of(&nats, "presence.v1.session.main.u3.tab").await;
    let away = told.iter().find(|event| event["to"] == "away").expect("she is away");
    assert_eq!(away["incarnation"], told[0]["incarnation"]);
    assert!(away["ordinal"].as_u64() > told[0]["ordinal"].as_u64(), "{away}");
    // Each partition says it, and says it once; the history before is as it was.
    let lost = told_by_engines(&nats, "log_lost").await;
    let partitions: BTreeSet<_> = lost.iter().map(|event| event["partition"].as_u64().unwrap()).collect();
    assert_eq!((lost.len(), partitions.len()), (PARTITIONS, PARTITIONS), "{lost:?}");
    assert!(streams::events(&nats).await.len() > before);
    engine.audit();

    // It goes on from there as after any shutdown.
    engine.restart().await;
    let seq = beat(&nats, "u3", "tab").await;
    streams::told_up_to(&nats, seq).await;
    engine.kill();
    engine.restart().await;
    let seq = beat(&nats, "u3", "tab").await;
    streams::told_up_to(&nats, seq).await;
    engine.terminate().await;
    assert_eq!(told_by_engines(&nats, "log_lost").await.len(), PARTITIONS, "it was not lost again");
    engine.audit();
    beating.stop().await;
}

#[tokio::test]
async fn a_log_that_is_replaced_under_a_running_engine_makes_nobody_offline() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), QUICK).await;
    let beating = Beating::start(&server.connect().await, crowd(), BEAT);
    beating.more(10).await;
    let seq = beat(&nats, "u7", "dead").await;
    streams::told_up_to(&nats, seq).await;
    nats.jetstream.delete_stream(names::LOG).await.unwrap();
    let config = engine.config();
    let setup = presence(&server.url(), &["setup", "--config", config.to_str().unwrap()]);
    assert!(setup.status.success(), "{}", String::from_utf8_lossy(&setup.stderr));
    eventually("the dead session is found", async || {
        let told = streams::events_of(&nats, "presence.v1.session.main.u7.dead").await;
        (told.last()?["to"] == "offline").then_some(())
    })
    .await;
    engine.must_run();
    engine.terminate().await;
    nobody_fell(&nats).await;
    assert_eq!(told_by_engines(&nats, "log_lost").await.len(), PARTITIONS);
    engine.audit();
    beating.stop().await;
}

#[tokio::test]
async fn an_engine_whose_log_is_deleted_says_so_and_ends_and_the_next_one_makes_another() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), QUICK).await;
    let beating = Beating::start(&server.connect().await, crowd(), BEAT);
    beating.more(10).await;
    streams::told_up_to(&nats, last_entry(&nats).await).await;
    nats.jetstream.delete_stream(names::LOG).await.unwrap();
    let end = engine.ended().await;
    assert_eq!(end.status.code(), Some(1), "{}", end.stderr);
    let message = end.stderr.lines().last().unwrap();
    assert!(message.starts_with("presence: ") && message.contains("presence setup"), "{message}");
    engine.restart().await;
    watch(&nats, LONGER).await;
    streams::told_up_to(&nats, last_entry(&nats).await).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    nobody_fell(&nats).await;
    assert_eq!(told_by_engines(&nats, "log_lost").await.len(), PARTITIONS);
    engine.audit();
    beating.stop().await;
}

#[tokio::test]
async fn what_was_told_before_a_rebuild_is_not_told_again_after_it() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), QUICK).await;
    let beating = Beating::start(&server.connect().await, crowd(), BEAT);
    beating.more(10).await;
    let first = beat(&nats, "ada", "tab").await;
    signal(&nats, "ada", "tab", &json!({"kind": "leave"})).await;
    let last = signal(&nats, "ada", "tab", &json!({"every_ms": 3_600_000})).await;
    streams::told_up_to(&nats, last).await;
    engine.kill();
    // The log is cut before these signals, and no checkpoint is left.
    let silence = beating.silence().await;
    keep_from(&nats, first).await;
    drop(silence);
    let checkpoints = names::store_stream(names::CHECKPOINTS);
    nats.jetstream.get_stream(&checkpoints).await.unwrap().purge().await.unwrap();
    engine.restart().await;
    watch(&nats, Duration::from_secs(1)).await;
    streams::told_up_to(&nats, last_entry(&nats).await).await;
    engine.terminate().await;
    let told = streams::events_of(&nats, "presence.v1.session.main.ada.tab").await;
    let told: Vec<_> =
        told.iter().map(|event| (event["from"].as_str().unwrap(), event["to"].as_str().unwrap())).collect();
    assert_eq!(told, [("offline", "active"), ("active", "offline"), ("offline", "active")]);
    nobody_fell(&nats).await;
    engine.audit();
    beating.stop().await;
}

// ---- helpers

/// The sequence of the log's last entry. A log that was just made has none until somebody beats or the engine ticks.
async fn last_entry(nats: &Nats) -> u64 {
    let has_entries = |log: &LogIdentity| log.last_seq > 0;
    eventually("the log has an entry", async || LogIdentity::read(nats).await.ok().filter(has_entries)).await.last_seq
}

/// Waits until the log has gone on for so long by its own time.
async fn watch(nats: &Nats, time: Duration) {
    let since = log_time(nats, last_entry(nats).await).await;
    let until = since + u64::try_from(time.as_millis()).unwrap();
    eventually("the log goes on", async || (log_time(nats, last_entry(nats).await).await >= until).then_some(())).await;
}

/// Waits until the engine has told everything that the log holds now.
async fn goes_on(nats: &Nats, engine: &mut Engine) {
    let last = last_entry(nats).await;
    streams::told_up_to(nats, last).await;
    engine.must_run();
}

/// Of those who beat nobody was ever told to be anything but active.
async fn nobody_fell(nats: &Nats) {
    nobody_fell_but(nats, &[]).await;
}

async fn nobody_fell_but(nats: &Nats, but: &[&str]) {
    let events = streams::events(nats).await;
    for user in (0..40).map(|n| format!("u{n}")).filter(|user| !but.contains(&user.as_str())) {
        let subject = format!("presence.v1.session.main.{user}.tab");
        let of = events.iter().filter(|event| event.subject == subject);
        let told: Vec<_> = of.map(|event| event.json()["to"].as_str().unwrap().to_owned()).collect();
        // Idle is no fault of the engine's: a client's beats may come late after an outage, when its grace is over.
        let fell = told.iter().any(|state| state == "stale" || state == "offline");
        assert!(!fell && told.first().is_some_and(|state| state == "active"), "{user}: {told:?}");
    }
}

async fn told_by_engines(nats: &Nats, what: &str) -> Vec<Value> {
    let mut told = streams::events_of(nats, "presence.v1.engine.").await;
    told.retain(|event| event["what"] == what);
    told
}

/// The log loses all entries but its last, as a retention that is too short does to it.
async fn cut(nats: &Nats) {
    limit(nats, 1).await;
}

/// The log loses all entries before `seq`.
async fn keep_from(nats: &Nats, seq: u64) {
    let last = last_entry(nats).await;
    limit(nats, i64::try_from(last - seq + 1).unwrap()).await;
    let log = LogIdentity::read(nats).await.unwrap();
    assert!((2..=seq).contains(&log.first_seq), "{log:?}");
}

async fn limit(nats: &Nats, max_messages: i64) {
    let mut stream = nats.jetstream.get_stream(names::LOG).await.unwrap();
    let config = stream.info().await.unwrap().config.clone();
    nats.jetstream.update_stream(Config { max_messages, ..config.clone() }).await.unwrap();
    nats.jetstream.update_stream(config).await.unwrap();
}

fn silences(told: &[Value]) -> Vec<(u64, &str)> {
    told.iter()
        .map(|event| (time(event, "at_ms") - time(event, "last_seen_ms"), event["to"].as_str().unwrap()))
        .collect()
}

fn time(event: &Value, field: &str) -> u64 {
    event[field].as_u64().unwrap_or_else(|| panic!("{field} of {event}"))
}
