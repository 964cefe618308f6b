//! What a client may publish, it may publish with the worst intent. It harms nobody.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use presence_engine::nats::{LogIdentity, Nats, names};
use serde_json::{Value, json};

use common::client::{beat, publish, publish_with, raw_publish, signal};
use common::engine::{Engine, STILL};
use common::told::Subscriber;
use common::{TestServer, eventually, oracle, soon, streams};

const MALLORY: &str = "presence.v1.signal.main.mallory.tab";
const BOB: &str = "presence.v1.signal.main.bob.tab";

#[tokio::test]
async fn headers_of_a_client_harm_nobody() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let first = beat(&nats, "bob", "tab").await;
    beat(&nats, "mallory", "tab").await;
    streams::told_up_to(&nats, first).await;

    let headers: &[&[(&str, &str)]] = &[
        &[("Nats-Rollup", "all")],
        &[("Nats-Rollup", "sub")],
        &[("Nats-TTL", "1s")],
        &[("Nats-TTL", "never")],
        &[("Nats-Schedule", "@every 1s"), ("Nats-Schedule-Target", BOB)],
        &[("Nats-Schedule", "@at 2020-01-01T00:00:00Z"), ("Nats-Schedule-Target", BOB), ("Nats-Schedule-TTL", "1s")],
        &[("Nats-Schedule-Next", "purge"), ("Nats-Scheduler", BOB)],
        &[("Nats-Expected-Last-Sequence", "1")],
        &[("Nats-Expected-Last-Subject-Sequence", "1")],
        &[("Nats-Expected-Last-Subject-Sequence", "0"), ("Nats-Expected-Last-Subject-Sequence-Subject", BOB)],
        &[("Nats-Expected-Last-Msg-Id", "x")],
        &[("Nats-Expected-Stream", names::EVENTS)],
        &[("Nats-Batch-Id", "b"), ("Nats-Batch-Sequence", "1")],
        &[("Nats-Batch-Id", "b"), ("Nats-Batch-Sequence", "1"), ("Nats-Batch-Commit", "1")],
        &[("Nats-Fast-Batch-Id", "b"), ("Nats-Batch-Sequence", "1")],
        &[("Nats-Incr", "1")],
        &[("Nats-Marker-Reason", "MaxAge")],
        &[("KV-Operation", "PURGE")],
        &[("KV-Operation", "DEL"), ("Nats-Rollup", "sub")],
        &[("Nats-Stream", names::EVENTS), ("Nats-Sequence", "1")],
        &[("Nats-Stream-Source", "KV_presence_sessions 1 presence.v1.session.> > presence.v1.session.main.bob.tab")],
        &[("Presence-Epoch", "99"), ("ce-id", "0-0-1-0"), ("ce-type", "presence.session.v1")],
        &[("Status", "503"), ("Description", "No Responders")],
        &[("Status", "409"), ("Description", "Consumer Deleted")],
        &[("Status", "100"), ("Nats-Last-Consumer", "1"), ("Nats-Pending-Messages", "0")],
        &[("Content-Type", "text/html")],
    ];
    let before = LogIdentity::read(&nats).await.unwrap();
    for pairs in headers {
        let mut headers = HeaderMap::new();
        pairs.iter().for_each(|(name, value)| headers.append(*name, *value));
        // Taken or refused, whichever the server says; not all of them are answered.
        nats.client.publish_with_headers(MALLORY, headers, "{}".into()).await.unwrap();
    }
    // Behind all of them in the order of this connection.
    let last = signal(&nats, "bob", "tab", &json!({"state": "idle"})).await;
    streams::told_up_to(&nats, last).await;
    let log = LogIdentity::read(&nats).await.unwrap();
    assert_eq!((log.first_seq, &log.created), (before.first_seq, &before.created), "no entry has vanished");
    let entries = streams::log(&nats).await;
    assert!(entries.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "no entry has vanished");
    assert!(entries.iter().any(|entry| entry.seq == first), "bob's is there");
    assert_eq!(entries.iter().filter(|entry| entry.subject.ends_with("bob.tab")).count(), 2, "nobody spoke for bob");
    eventually("the buckets show both", async || {
        let keys: Vec<_> = streams::bucket(&nats, names::SESSIONS_BUCKET).await.into_keys().collect();
        (keys == ["main.bob.tab", "main.mallory.tab"]).then_some(())
    })
    .await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    engine.audit();
    oracle::check(&nats).await;
}

/// What no client library sends, but a socket does: the first line of the headers may carry a status, as the server's own
/// notices between deliveries do, and headers may be none at all.
#[tokio::test]
async fn header_blocks_that_look_like_the_servers_notices_or_like_nothing_stop_nobody() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let subscriber = Subscriber::on(&nats, "presence.v1.user.main.*").await;
    let blocks: &[&[u8]] = &[
        b"NATS/1.0 100 Idle Heartbeat\r\n\r\n",
        b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 99999\r\n\r\n",
        b"NATS/1.0 404 No Messages\r\n\r\n",
        b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 8192\r\nNats-Pending-Bytes: 8388608\r\n\r\n",
        b"NATS/1.0 409 Consumer Deleted\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
        b"NATS/1.0 200\r\n\r\n",
        b"NATS/1.0 999\r\n\r\n",
        b"NATS/1.0 0\r\n\r\n",
        b"NATS/1.0 abc\r\n\r\n",
        b"NATS/1.0 70000\r\n\r\n",
        b"NATS/1.0\r\nX: a carriage\rreturn\r\n\r\n",
        b"NATS/1.0\r\nno colon here\r\n\r\n",
        b"NATS/1.0\r\n: no name\r\n\r\n",
        b"NATS/1.0\r\na b: a space in the name\r\n\r\n",
        b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n",
        b"NATS/1.0\r\nX\xff: y\r\n\r\n",
        b"NATS/1.0\r\nX: y",
        b"NATS/1.0",
        b"NATS/1.0\r\nX: \0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\r\n\r\n",
        b"x",
    ];
    for (n, block) in blocks.iter().enumerate() {
        raw_publish(&server, MALLORY, block, b"{}").await;
        // It is read, and so is what comes behind it.
        let user = format!("bob{n}");
        beat(&nats, &user, "tab").await;
        subscriber
            .until(&format!("bob is told behind {}", block.escape_ascii()), |heard| {
                heard.iter().any(|told| told.subject.ends_with(&format!(".{user}"))).then_some(())
            })
            .await;
    }
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    engine.audit();
    // One is enough to be wary, and none costs a connection then.
    let lost = engine.stderr().matches("by a new consumer").count();
    assert!(lost <= 6, "the log was read anew {lost} times:\n{}", engine.stderr());
}

#[tokio::test]
async fn an_engine_starts_behind_and_before_headers_that_no_client_can_read() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    beat(&nats, "bob", "tab").await;
    engine.terminate().await;
    raw_publish(&server, MALLORY, POISON, &vec![b'x'; 1_000_000]).await;
    engine.restart().await;
    let last = signal(&nats, "bob", "tab", &json!({"state": "idle"})).await;
    raw_publish(&server, BOB, POISON, br#"{"state":"active"}"#).await;
    streams::told_up_to(&nats, last + 1).await;
    // Its position is an entry that no client can read.
    engine.kill();
    engine.restart().await;
    let last = signal(&nats, "bob", "tab", &json!({"kind": "leave"})).await;
    streams::told_up_to(&nats, last).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    let told = streams::events_of(&nats, "presence.v1.session.main.bob.tab").await;
    let told: Vec<_> = told.iter().map(|event| event["to"].as_str().unwrap()).collect();
    assert_eq!(told, ["active", "idle", "active", "offline"], "what the headers were for is taken without them");
    engine.audit();
}

#[tokio::test]
async fn headers_that_no_client_can_read_lose_nothing_while_servers_and_engines_are_killed() {
    let mut server = TestServer::start().await;
    let nats = server.connect().await;
    let config = STILL.replace("idle_after = \"1h\"", "idle_after = \"100ms\"");
    let mut engine = Engine::start(&server.url(), &config).await;
    for round in 0..60 {
        for user in 0..20 {
            let payload = if (round + user) % 3 == 0 { r#"{"kind":"leave"}"# } else { "" };
            nats.client.publish(format!("presence.v1.signal.main.u{user}.tab"), payload.into()).await.unwrap();
        }
        let user = round % 20;
        raw_publish(&server, &format!("presence.v1.signal.main.u{user}.tab"), POISON, br#"{"state":"away"}"#).await;
        nats.client.flush().await.unwrap();
        match round {
            15 | 35 => {
                engine.kill();
                engine.respawn();
            }
            25 | 45 => {
                // What a server has taken and not stored yet dies with it, and nobody was promised anything.
                eventually("the round is stored", async || (damaged(&nats).await == round + 1).then_some(())).await;
                server.kill();
                server.restart().await;
                eventually("the client is connected again", async || nats.client.flush().await.ok()).await;
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    engine.live().await;
    let last = LogIdentity::read(&nats).await.unwrap().last_seq;
    streams::told_up_to(&nats, last).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    engine.audit();
    assert_eq!(damaged(&nats).await, 60, "all of them are there");
    oracle::check_by(&streams::log_without_headers(&nats).await, &nats).await;
}

/// How many entries of the log came with headers that no client can read.
async fn damaged(nats: &Nats) -> usize {
    let log = streams::log_without_headers(nats).await;
    log.iter().filter(|entry| &*entry.payload == br#"{"state":"away"}"#).count()
}

#[tokio::test]
async fn a_question_with_headers_that_no_client_can_read_ends_nothing_but_its_own_connection() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    for subject in ["presence.v1.info", "$SRV.PING", "$SRV.INFO.presence"] {
        for block in [POISON, b"NATS/1.0\r\nno colon here\r\n\r\n"] {
            raw_publish(&server, subject, block, b"").await;
            let last = beat(&nats, "bob", "tab").await;
            streams::told_up_to(&nats, last).await;
            engine.live().await;
        }
    }
    assert!(!engine.stderr().contains("the log can't be read"), "{}", engine.stderr());
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    oracle::check(&nats).await;
}

/// Headers over which async-nats' connection panics.
const POISON: &[u8] = b"NATS/1.0\r\nX: a carriage\rreturn\r\n\r\n";

#[tokio::test]
async fn somebody_elses_message_ids_silence_nobody() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let id = |id: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        headers
    };
    // She repeats each of bob's ids, before and after he uses it.
    for n in 0..30 {
        publish_with(&nats, BOB, id(&format!("bob-{n}")), format!(r#"{{"seq":{n}}}"#)).await;
        publish_with(&nats, MALLORY, id(&format!("bob-{n}")), "").await;
    }
    publish_with(&nats, MALLORY, id("bob-30"), "").await;
    // What she has guessed is his again when the log's window is over.
    let taken = eventually("bob's signal is taken", async || {
        let answer =
            nats.client.request_with_headers(BOB, id("bob-30"), r#"{"seq":30,"state":"idle"}"#.into()).await.ok()?;
        let answer: Value = serde_json::from_slice(&answer.payload).ok()?;
        (answer["duplicate"] != true).then(|| answer["seq"].as_u64().expect("a sequence"))
    })
    .await;
    streams::told_up_to(&nats, taken).await;
    engine.terminate().await;
    let log = streams::log(&nats).await;
    assert_eq!(
        log.iter().filter(|entry| entry.subject.ends_with("bob.tab")).count(),
        31,
        "all of bob's are in the log"
    );
    let told = streams::events_of(&nats, "presence.v1.session.main.bob.tab").await;
    assert_eq!(told.iter().map(|event| &event["to"]).collect::<Vec<_>>(), ["active", "idle"]);
    oracle::check(&nats).await;
}

#[tokio::test]
async fn payloads_that_explode_are_refused_at_their_own_size() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let subscriber = Subscriber::to_all(&nats).await;
    beat(&nats, "bob", "tab").await;
    let nested = |open: &str, n: usize| format!(r#"{{"x":{}"#, open.repeat(n)).into_bytes();
    let closed = |field: &str, n: usize| format!(r#"{{"{field}":{}1{}}}"#, "[".repeat(n), "]".repeat(n)).into_bytes();
    let after = |head: &[u8], tail: &[u8]| [head, tail].concat();
    let meta_key = b"\x81\xa4meta";
    let bombs: Vec<(&str, Vec<u8>)> = vec![
        ("lists in lists that never end", nested("[", 8_000)),
        ("objects in objects that never end", nested(r#"{"x":"#, 1_600)),
        ("lists in lists, whole", closed("x", 4_000)),
        ("meta of lists in lists", closed("meta", 4_000)),
        ("rooms of lists in lists", closed("rooms", 4_000)),
        ("a state of lists in lists", closed("state", 4_000)),
        (
            "meta of objects in objects",
            format!(r#"{{"meta":{}{{}}{}}}"#, r#"{"a":"#.repeat(1_300), "}".repeat(1_300)).into_bytes(),
        ),
        ("a number of 8,000 digits", format!(r#"{{"seq":{}}}"#, "9".repeat(8_000)).into_bytes()),
        ("an exponent of 8,000 digits", format!(r#"{{"seq":1e{}}}"#, "9".repeat(8_000)).into_bytes()),
        ("a number far below one", br#"{"input_age_ms":1e-99999999999}"#.to_vec()),
        ("half a surrogate", br#"{"conn":"\ud800"}"#.to_vec()),
        ("a zero byte", b"{\"conn\":\"\\u0000\",\"meta\":{\"\\u0000\":\"\\r\\n\"}}".to_vec()),
        ("line breaks for headers", br#"{"profile":"a\r\nNats-Rollup: all","conn":"\r\n\r\nX: y"}"#.to_vec()),
        ("no UTF-8", b"{\"conn\":\"\xff\xfe\"}".to_vec()),
        ("a thousand fields of one name", format!("{{{}\"a\":1}}", r#""seq":1,"#.repeat(900)).into_bytes()),
        ("a map of four billion", b"\xdf\xff\xff\xff\xff".to_vec()),
        ("a map of four billion that begins", after(b"\xdf\xff\xff\xff\xff", b"\xa3seq\x01")),
        ("a list of four billion rooms", after(b"\x81\xa5rooms", b"\xdd\xff\xff\xff\xff\xa1a")),
        ("a list of four billion capabilities", after(b"\x81\xa3can", b"\xdd\xff\xff\xff\xff")),
        ("a text of four billion bytes", after(b"\x81\xa4conn", b"\xdb\xff\xff\xff\xffabc")),
        ("bytes of four billion", after(b"\x81\xa4conn", b"\xc6\xff\xff\xff\xff")),
        ("an extension of four billion", after(b"\x81\xa4conn", b"\xc9\xff\xff\xff\xff\x01")),
        ("meta of four billion keys", after(meta_key, b"\xdf\xff\xff\xff\xff")),
        ("meta of lists in lists, as MessagePack", after(meta_key, &[0x91; 8_000])),
        ("meta of maps in maps, as MessagePack", after(meta_key, &b"\x81\xa1a".repeat(2_600))),
        ("a key of maps in maps", after(b"\x81", &[0x81; 8_000])),
        ("an unknown field of lists in lists", after(b"\x81\xa1x", &[0x91; 8_000])),
        ("a NaN", after(b"\x81\xa3seq", b"\xcb\x7f\xf8\0\0\0\0\0\0")),
        ("a payload of a megabyte", vec![b'{'; 1_000_000]),
    ];
    for (_, bomb) in &bombs {
        publish(&nats, MALLORY, bomb.clone()).await;
    }
    signal(&nats, "bob", "tab", &json!({"kind": "leave"})).await;
    subscriber.until_state("presence.v1.user.main.bob", "offline").await;
    let peak = engine.peak_memory_kb();
    assert!(peak < 400_000, "the engine needed {peak} kB");
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    let rejected = streams::events_of(&nats, "presence.v1.rejected.").await;
    assert!(
        rejected.iter().all(|event| event["reason"].as_str().is_some_and(|reason| reason.len() < 400)),
        "{rejected:?}"
    );
    assert!(rejected.len() >= 15, "{} of them were refused", rejected.len());
    engine.audit();
    oracle::check(&nats).await;
}

#[tokio::test]
async fn ten_thousand_bad_signals_are_told_up_to_the_limit_and_disturb_nobody() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), &format!("{STILL}[limits]\nrejected_events = 20\n")).await;
    let subscriber = Subscriber::to_all(&nats).await;
    beat(&nats, "bob", "tab").await;
    for n in 0..10_000 {
        nats.client.publish(MALLORY, "{".into()).await.unwrap();
        if n % 1_000 == 500 {
            // Bob comes and goes in between.
            let state = if n % 2_000 == 500 { "idle" } else { "active" };
            nats.client.publish(BOB, format!(r#"{{"state":"{state}"}}"#).into()).await.unwrap();
        }
    }
    let last = signal(&nats, "bob", "tab", &json!({"kind": "leave"})).await;
    subscriber.until_state("presence.v1.user.main.bob", "offline").await;
    streams::told_up_to(&nats, last).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));

    let told = subscriber.of("presence.v1.session.main.bob.tab");
    assert_eq!(told.len(), 12, "all of bob's were told: {told:?}");
    // Of each second of the log, as many as came, and 20 at the most.
    let mut came = BTreeMap::<u64, usize>::new();
    for entry in streams::log(&nats).await.iter().filter(|entry| entry.subject.ends_with("mallory.tab")) {
        *came.entry(entry.ts_ms / 1_000).or_default() += 1;
    }
    let mut refused = BTreeMap::<u64, usize>::new();
    for event in streams::events_of(&nats, "presence.v1.rejected.").await {
        *refused.entry(event["at_ms"].as_u64().unwrap() / 1_000).or_default() += 1;
    }
    assert_eq!(came.values().sum::<usize>(), 10_000);
    assert_eq!(refused, came.into_iter().map(|(second, n)| (second, n.min(20))).collect());
    engine.audit();
    oracle::check(&nats).await;
}

#[tokio::test]
async fn who_opens_too_many_sessions_is_refused_and_nobody_else() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let limits = "[limits]\nsessions_per_user = 5\nsessions_per_tenant = 8\n";
    let mut engine =
        Engine::start(&server.url(), &format!("{}{limits}", STILL.replace("partitions = 8", "partitions = 1"))).await;
    for n in 0..20 {
        beat(&nats, "mallory", &format!("s{n}")).await;
    }
    beat(&nats, "bob", "tab").await;
    for n in 0..20 {
        publish(&nats, &format!("presence.v1.signal.other.u{n}.tab"), "").await;
    }
    // Nobody is refused who is there.
    let last = signal(&nats, "mallory", "s0", &json!({"state": "idle"})).await;
    streams::told_up_to(&nats, last).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    let reasons = streams::events_of(&nats, "presence.v1.rejected.").await;
    let of = |limit: &str| reasons.iter().filter(|event| event["reason"] == format!("limit reached: {limit}")).count();
    assert_eq!((of("limits.sessions_per_user is 5"), of("limits.sessions_per_tenant is 8")), (15, 12), "{reasons:?}");
    assert_eq!(streams::events_of(&nats, "presence.v1.session.main.mallory.").await.len(), 6);
    assert_eq!(streams::events_of(&nats, "presence.v1.session.main.bob.").await.len(), 1);
    assert_eq!(streams::events_of(&nats, "presence.v1.session.other.").await.len(), 8);
    oracle::check(&nats).await;
}

#[tokio::test]
async fn entries_that_only_engines_should_write_break_nothing() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let subscriber = Subscriber::to_all(&nats).await;
    beat(&nats, "bob", "tab").await;
    let forged: &[(&str, &[u8])] = &[
        ("presence.v1.log.all.tick", b""),
        ("presence.v1.log.all.tick", b"\xff\xff"),
        ("presence.v1.log.all.tick", br#"{"v":1,"failed":4294967295}"#),
        ("presence.v1.log.all.tick", br#"{"v":9,"failed":-1}"#),
        ("presence.v1.log.all.policy", b""),
        ("presence.v1.log.all.policy", br#"{"v":1}"#),
        ("presence.v1.log.all.policy", br#"{"v":2}"#),
        ("presence.v1.log.all.", b"x"),
        ("presence.v1.log.all.tick.tick", b"x"),
        ("presence.v1.log.-1.signal.a.b.c", b"x"),
        ("presence.v1.log.99999999999999999999.signal.a.b.c", b"x"),
        ("presence.v1.log.00.signal.a.b.c", b"x"),
        ("presence.v1.log.x", b"x"),
        ("presence.v1.log.0.signal.a.b.c.d", b"x"),
        ("presence.v1.log.0.signal.=.b.c", b"x"),
    ];
    for (subject, payload) in forged {
        // Some are no subjects at all, and the server says so by saying nothing.
        nats.client.publish(*subject, payload.to_vec().into()).await.ok();
    }
    signal(&nats, "bob", "tab", &json!({"kind": "leave"})).await;
    subscriber.until_state("presence.v1.user.main.bob", "offline").await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    engine.audit();
    oracle::check(&nats).await;
}

/// A client that beats is heard in the middle of what another one sends, and goes on being what it is.
#[tokio::test]
async fn a_flood_of_plain_heartbeats_delays_nobody_for_ever() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    flood(&nats, 30_000).await;
    let last = signal(&nats, "bob", "tab", &json!({"state": "idle"})).await;
    streams::told_up_to(&nats, last).await;
    assert_eq!(streams::events_of(&nats, "presence.v1.session.main.bob.tab").await.len(), 1);
    assert_eq!(
        streams::events_of(&nats, "presence.v1.session.main.mallory.tab").await.len(),
        1,
        "a heartbeat of many is no event"
    );
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    oracle::check(&nats).await;
}

async fn flood(nats: &Nats, n: usize) {
    for _ in 0..n {
        nats.client.publish(MALLORY, "".into()).await.unwrap();
    }
    soon("the server has taken the flood", nats.client.flush()).await.unwrap();
}
