//! The JetStream edge against a real nats-server.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::consumer::AckPolicy;
use async_nats::jetstream::{consumer, kv};
use async_nats::{HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use presence_engine::fold::{Body, Entry, IndexKey, Partition, Segment};
use presence_engine::model::{Address, PARTITIONS_MAX, Signal};
use presence_engine::nats::commit::{BATCH_MESSAGES_MAX, read_progress};
use presence_engine::nats::latest::{bucket_values, latest_events};
use presence_engine::nats::log::entry_ts_ms;
use presence_engine::nats::server::{EmbeddedServer, ServerError, ServerOptions};
use presence_engine::nats::service::Service;
use presence_engine::nats::tick::{LEEWAY, Outcome};
use presence_engine::nats::topology::{self, Parameters, Remedy, TopologyError};
use presence_engine::nats::{
    Batch, Checkpoints, CommitError, CommitLane, ConnectError, ConnectOptions, LogError, LogIdentity, LogMessage,
    LogReader, Nats, OutMessage, Owner, Partitions, Position, TakenOver, Ticker, names,
};
use presence_engine::wire::{Info, subject};
use serde_json::{Value, json};
use tokio::sync::watch;

use common::{TestServer, Wire, connect, eventually, soon};

const SECOND: Duration = Duration::from_secs(1);

// ---- topology

#[tokio::test]
async fn setup_twice_changes_nothing_the_second_time() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let parameters = Parameters::default();
    assert_eq!(topology::partitions(&nats).await.unwrap(), None);
    let created = topology::setup(&nats, &parameters).await.unwrap();
    assert_eq!(created.len(), 9, "{created:?}");
    assert!(created.iter().all(|difference| difference.remedy == Remedy::Create));
    assert_eq!(topology::plan(&nats, &parameters).await.unwrap(), []);
    assert_eq!(topology::setup(&nats, &parameters).await.unwrap(), []);
    assert_eq!(topology::partitions(&nats).await.unwrap(), Some(64));
}

#[tokio::test]
async fn a_changed_partition_count_is_refused_and_nothing_is_changed() {
    let (_server, nats) = TestServer::with_topology().await;
    let changed = Parameters { partitions: 8, log_retention: 60 * SECOND, ..Parameters::default() };
    let error = topology::setup(&nats, &changed).await.unwrap_err();
    assert!(error.to_string().contains("engine.partitions = 64"), "{error}");
    assert!(matches!(error, TopologyError::Refused(refused) if refused.len() == 1));
    assert_eq!(topology::plan(&nats, &Parameters::default()).await.unwrap(), []);
}

#[tokio::test]
async fn limits_are_updated_and_what_endangers_the_log_is_mended_or_refused() {
    let (_server, nats) = TestServer::with_topology().await;
    let longer = Parameters { log_retention: 3_600 * SECOND, event_bytes_max: Some(1 << 30), ..Parameters::default() };
    let done = topology::setup(&nats, &longer).await.unwrap();
    assert_eq!(done.iter().map(|difference| difference.field).collect::<Vec<_>>(), ["max_age", "max_bytes"]);
    assert_eq!(topology::setup(&nats, &longer).await.unwrap(), []);

    update_stream(&nats, names::LOG, json!({"republish": {"src": ">", "dest": "leak.>"}, "metadata": {"team": "ops"}}))
        .await;
    let mended = topology::setup(&nats, &longer).await.unwrap();
    assert_eq!(mended.iter().map(|difference| difference.field).collect::<Vec<_>>(), ["republish"]);
    let config = stream_config(&nats, names::LOG).await;
    assert_eq!(config["metadata"]["team"], "ops", "what is the operator's stays");

    update_stream(&nats, names::LOG, json!({"allow_msg_ttl": true})).await;
    let error = topology::setup(&nats, &longer).await.unwrap_err();
    assert!(error.to_string().contains("allow_msg_ttl"), "{error}");
}

#[tokio::test]
async fn what_the_server_refuses_is_told_with_what_to_do() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let three = Parameters { replicas: 3, ..Parameters::default() };
    let error = topology::setup(&nats, &three).await.unwrap_err();
    assert!(error.to_string().contains("engine.replicas"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://me:secret@127.0.0.1:{}", listener.local_addr().unwrap().port());
    drop(listener);
    let options = ConnectOptions { url: Some(url), ..ConnectOptions::default() };
    let error = Nats::connect(&options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_know_us_is_told_from_one_that_is_not_there() {
    let server = TestServer::start_with(&["--user", "me", "--pass", "secret"]).await;
    let with = |password: &str| ConnectOptions {
        url: Some(server.url()),
        user: Some("me".into()),
        password: Some(password.into()),
        ..ConnectOptions::default()
    };
    assert!(Nats::connect(&with("secret")).await.unwrap().is_connected());
    let error = Nats::connect(&with("guessed")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Denied { .. }), "{error}");
}

#[tokio::test]
async fn the_server_that_the_tests_run_on_will_do() {
    let server = TestServer::start().await;
    server.connect().await.check_server().unwrap();
}

// ---- commits

#[tokio::test]
async fn a_batch_lands_whole_and_is_told_under_its_stored_subjects() {
    let (server, nats) = TestServer::with_topology().await;
    let mut heard = subscribe(&server, "presence.v1.>").await;
    let mut lane = lane(&nats);
    let fences = lane.take_fences(&[3, 5]).await.unwrap();
    assert!(fences.iter().all(|fence| fence.epoch == 1 && fence.found.is_none()));
    lane.commit(batch(&[(3, "a"), (5, "b"), (3, "c")], 7)).await.unwrap();

    let told = hear(&mut heard, 7).await;
    let subjects = told.iter().map(|(subject, _)| subject.as_str()).collect::<Vec<_>>();
    let expected =
        ["progress.3", "progress.5", "session.t.u.a", "session.t.u.b", "session.t.u.c", "progress.3", "progress.5"];
    assert_eq!(subjects, expected.map(|name| format!("presence.v1.{name}")));
    for (_, headers) in &told {
        assert_eq!(headers.get("Presence-Epoch").unwrap().as_str(), "1");
    }
    assert_eq!(told[2].1.get("ce-id").unwrap().as_str(), "a");
    let stored = read_progress(&nats, 5).await.unwrap().unwrap();
    assert_eq!((stored.seq, stored.progress.input_seq, stored.progress.epoch), (7, 7, 1));
    assert_eq!(stored.progress.log_created, LOG_CREATED);
}

#[tokio::test]
async fn a_zombies_batch_is_refused_and_never_seen() {
    let (server, nats) = TestServer::with_topology().await;
    let mut zombie = lane(&nats);
    zombie.take_fences(&[0, 1]).await.unwrap();
    zombie.commit(batch(&[(0, "alive")], 1)).await.unwrap();

    let mut heard = subscribe(&server, "presence.v1.session.>").await;
    let other = server.connect().await;
    let mut owner = lane(&other);
    let fences = owner.take_fences(&[0, 1]).await.unwrap();
    assert_eq!(fences[0].epoch, 2);
    let found = fences[0].found.clone().unwrap();
    assert_eq!((found.epoch, found.input_seq), (1, 1), "what was told is found");

    let lost = zombie.commit(batch(&[(0, "dead"), (1, "dead-too")], 2)).await.unwrap();
    let by = read_progress(&nats, 0).await.unwrap().unwrap().progress.owner;
    let of = |partition| TakenOver { partition, owner: by.clone(), epoch: 2 };
    assert_eq!(lost, [of(0), of(1)]);
    assert_eq!((zombie.epoch(0), zombie.epoch(1)), (None, None));
    owner.commit(batch(&[(0, "new")], 2)).await.unwrap();
    let told = hear(&mut heard, 1).await;
    assert_eq!(told[0].0, "presence.v1.session.t.u.new");
    assert!(heard.next().now_or_never().is_none(), "nothing else was told");
    assert_eq!(stored_sessions(&nats).await, ["alive", "new"]);
}

#[tokio::test]
async fn of_two_commits_under_way_each_loses_only_what_is_its_own() {
    let (_server, nats) = TestServer::with_topology().await;
    let (mut zombie, mut owner) = (lane(&nats), lane(&nats));
    zombie.take_fences(&[0, 1, 2]).await.unwrap();
    owner.take_fences(&[2]).await.unwrap();
    let one = zombie.begin(batch(&[(0, "x")], 1));
    let other = zombie.begin(batch(&[(1, "y"), (2, "z")], 1));
    assert_eq!((zombie.epoch(0), zombie.epoch(1)), (None, None), "the commits have the fences");
    let (other, one) = tokio::join!(other.run(), one.run());
    assert_eq!(zombie.end(other.unwrap()).iter().map(|lost| lost.partition).collect::<Vec<_>>(), [2]);
    assert_eq!(zombie.end(one.unwrap()), []);
    let mut stored = stored_sessions(&nats).await;
    stored.sort();
    assert_eq!(stored, ["x", "y"]);
    assert_eq!(zombie.commit(batch(&[(0, "x2"), (1, "y2")], 2)).await.unwrap(), []);
}

#[tokio::test]
#[should_panic(expected = "once at a time")]
async fn what_one_commit_has_no_other_takes() {
    let (_server, nats) = TestServer::with_topology().await;
    let mut lane = lane(&nats);
    lane.take_fences(&[0, 1]).await.unwrap();
    let _under_way = lane.begin(batch(&[(0, "x"), (1, "y")], 1));
    let _refused = lane.begin(batch(&[(1, "z")], 1));
}

#[tokio::test]
async fn what_a_zombie_owns_still_is_committed_without_what_it_lost() {
    let (_server, nats) = TestServer::with_topology().await;
    let (mut zombie, mut owner) = (lane(&nats), lane(&nats));
    zombie.take_fences(&[0, 1, 2]).await.unwrap();
    owner.take_fences(&[2]).await.unwrap();
    let lost = zombie.commit(batch(&[(0, "x"), (1, "y"), (2, "z")], 1)).await.unwrap();
    assert_eq!(lost.iter().map(|lost| (lost.partition, lost.epoch)).collect::<Vec<_>>(), [(2, 2)]);
    assert_eq!(stored_sessions(&nats).await, ["x", "y"]);
    assert_eq!(zombie.commit(batch(&[(0, "x2"), (1, "y2")], 2)).await.unwrap(), []);
    owner.commit(batch(&[(2, "z")], 1)).await.unwrap();
    assert_eq!(stored_sessions(&nats).await, ["x", "y", "x2", "y2", "z"]);
}

#[tokio::test]
async fn a_lost_acknowledgement_tells_nothing_twice() {
    let (server, nats) = TestServer::with_topology().await;
    let wire = Wire::to(&server).await;
    let mut lane = lane(&connect(&wire.url()).await);
    lane.take_fences(&[0]).await.unwrap();
    for round in 1..=3_u64 {
        let name = format!("s{round}");
        wire.deafen();
        let committed = lane.commit(batch(&[(0, &name)], round));
        let cut = async {
            eventually("the batch is stored", || async {
                let progress = read_progress(&nats, 0).await.ok()??.progress;
                (progress.input_seq == round).then_some(())
            })
            .await;
            wire.cut();
        };
        let (committed, ()) = soon("the lane finds out", async { tokio::join!(committed, cut) }).await;
        committed.unwrap();
    }
    assert_eq!(stored_sessions(&nats).await, ["s1", "s2", "s3"]);
}

#[tokio::test]
async fn commits_go_on_over_a_killed_and_a_stopped_server() {
    let (mut server, nats) = TestServer::with_topology().await;
    let mut lane = lane(&nats);
    lane.take_fences(&[0, 1]).await.unwrap();
    let (progress, mut committed) = watch::channel(0);
    let work = tokio::spawn(async move {
        for n in 1..=300_u64 {
            let name = format!("s{n}");
            lane.commit(batch(&[(0, &name), (1, &name)], n)).await.unwrap();
            progress.send_replace(n);
        }
    });
    committed.wait_for(|n| *n > 50).await.unwrap();
    server.kill();
    server.restart().await;
    committed.wait_for(|n| *n > 150).await.unwrap();
    server.pause();
    tokio::time::sleep(3 * SECOND).await; // longer than an acknowledgement is waited for
    server.resume();
    soon("all is committed", work).await.unwrap();
    let expected: Vec<_> = (1..=300).flat_map(|n| [format!("s{n}"), format!("s{n}")]).collect();
    assert_eq!(stored_sessions(&nats).await, expected);
}

#[tokio::test]
async fn lanes_that_own_different_partitions_do_not_disturb_each_other() {
    let (_server, nats) = TestServer::with_topology().await;
    let lanes = (0..4_u16).map(|p| {
        let nats = nats.clone();
        async move {
            let mut lane = lane(&nats);
            lane.take_fences(&[2 * p, 2 * p + 1]).await.unwrap();
            for n in 1..=50 {
                let name = format!("p{p}-{n}");
                lane.commit(batch(&[(2 * p, &name), (2 * p + 1, &name)], n)).await.unwrap();
            }
        }
    });
    futures::future::join_all(lanes).await;
    assert_eq!(stored_sessions(&nats).await.len(), 400);
}

#[tokio::test]
async fn of_engines_that_take_the_same_fences_at_once_one_remains() {
    let (server, nats) = TestServer::with_topology().await;
    let partitions: Vec<u16> = (0..64).collect();
    let rivals = (0..4).map(|_| async {
        let mut lane = lane(&server.connect().await);
        lane.take_fences(&partitions).await.unwrap();
        lane
    });
    let lanes = futures::future::join_all(rivals).await;
    let mut remaining = 0;
    for mut lane in lanes {
        match lane.commit(batch(&[(63, "x")], 1)).await {
            Ok(lost) if lost.is_empty() => remaining += 1,
            Ok(lost) => assert_eq!(lost.len(), 1),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(remaining, 1);
    assert_eq!(read_progress(&nats, 0).await.unwrap().unwrap().progress.epoch, 4);
}

#[tokio::test]
async fn the_largest_batch_and_all_fences_at_once_are_within_the_limits() {
    let (_server, nats) = TestServer::with_topology().await;
    let mut lane = lane(&nats);
    let partitions: Vec<u16> = (0..PARTITIONS_MAX).collect();
    assert_eq!(lane.take_fences(&partitions).await.unwrap().len(), 512);
    let name = "s".repeat(100);
    let events: Vec<_> = (0..BATCH_MESSAGES_MAX - 1).map(|_| (0, name.as_str())).collect();
    let mut full = batch(&events, 1);
    for message in &mut full.messages {
        message.payload = Bytes::from(vec![b'x'; 32 * 1024]);
    }
    lane.commit(full).await.unwrap();
    lane.commit(batch(&[(511, "after")], 2)).await.unwrap();
    assert_eq!(stored_sessions(&nats).await.len(), BATCH_MESSAGES_MAX);
}

#[tokio::test]
async fn a_deleted_progress_is_told_from_a_takeover() {
    let (_server, nats) = TestServer::with_topology().await;
    let mut lane = lane(&nats);
    lane.take_fences(&[4]).await.unwrap();
    let events = nats.jetstream.get_stream(names::EVENTS).await.unwrap();
    events.purge().filter(subject::progress(4)).await.unwrap();
    let error = lane.commit(batch(&[(4, "x")], 1)).await.unwrap_err();
    assert_eq!(error, CommitError::ProgressVanished { partition: 4 });
}

#[tokio::test]
async fn what_the_server_never_takes_is_refused_with_its_words() {
    let (_server, nats) = TestServer::with_topology().await;
    let mut lane = lane(&nats);
    lane.take_fences(&[0]).await.unwrap();
    let mut huge = batch(&[(0, "x")], 1);
    huge.messages[0].payload = Bytes::from(vec![0; 2 << 20]);
    let error = lane.commit(huge).await.unwrap_err();
    assert!(matches!(error, CommitError::Refused { .. }), "{error}");
    assert_eq!(stored_sessions(&nats).await, Vec::<String>::new());
}

// ---- buckets

#[tokio::test]
async fn buckets_mirror_the_latest_event_and_forget_who_is_gone() {
    let (_server, nats) = TestServer::with_topology().await;
    let mut lane = lane(&nats);
    lane.take_fences(&[0]).await.unwrap();
    let sessions = nats.jetstream.get_key_value(names::SESSIONS_BUCKET).await.unwrap();
    let users = nats.jetstream.get_key_value(names::USERS_BUCKET).await.unwrap();

    let mut first = batch(&[(0, "tab"), (0, "phone")], 1);
    first.messages.push(message(0, "presence.v1.user.t.u", b"user"));
    lane.commit(first).await.unwrap();
    let value = |store: kv::Store, key: &'static str| async move { store.get(key).await.ok().flatten() };
    eventually("the session is there", || value(sessions.clone(), "t.u.tab")).await;
    let user = eventually("the user is there", || value(users.clone(), "t.u")).await;
    assert_eq!(user, "user");
    let keys: Vec<_> = sessions.keys().await.unwrap().map(Result::unwrap).collect().await;
    assert_eq!(keys, ["t.u.tab", "t.u.phone"]);

    let mut gone = batch(&[(0, "tab")], 2);
    let mut deletion = message(0, "presence.v1.gone.session.t.u.tab", b"");
    deletion.headers = vec![("KV-Operation", "DEL".into()), ("Nats-TTL", "1s".into())];
    gone.messages.push(deletion);
    lane.commit(gone).await.unwrap();
    eventually("the key is deleted", || async { sessions.get("t.u.tab").await.ok()?.is_none().then_some(()) }).await;
    eventually("the deletion itself is forgotten", || async {
        let mut values = bucket_values(&nats, names::SESSIONS_BUCKET).await.ok()?;
        let left = values.next().await.ok()??;
        (left.len() == 1 && !left[0].deleted && left[0].subject.ends_with(".phone")).then_some(())
    })
    .await;
    assert_eq!(stored_sessions(&nats).await, ["tab", "phone", "tab"], "history keeps its events");
}

#[tokio::test]
async fn nobody_writes_a_bucket() {
    let (_server, nats) = TestServer::with_topology().await;
    let sessions = nats.jetstream.get_key_value(names::SESSIONS_BUCKET).await.unwrap();
    assert!(sessions.put("t.u.s", "forged".into()).await.is_err());
    assert!(sessions.get("t.u.s").await.unwrap().is_none());
}

#[tokio::test]
async fn the_latest_events_are_one_for_each_subject() {
    let (_server, nats) = TestServer::with_topology().await;
    assert!(latest_events(&nats, "presence.v1.session.>").await.unwrap().next().await.unwrap().is_none());
    let mut lane = lane(&nats);
    lane.take_fences(&[0]).await.unwrap();
    for n in 1..=20 {
        let names: Vec<_> = (0..900).map(|i| format!("s{}", (i + n) % 10_000)).collect();
        let events: Vec<_> = names.iter().map(|name| (0, name.as_str())).collect();
        lane.commit(batch(&events, n)).await.unwrap();
    }
    let mut latest = latest_events(&nats, "presence.v1.session.>").await.unwrap();
    let mut seqs = BTreeMap::new();
    while let Some(chunk) = latest.next().await.unwrap() {
        for stored in chunk {
            assert_eq!(seqs.insert(stored.subject.to_string(), stored.seq), None);
            assert!(!stored.deleted && stored.ts_ms > 0);
        }
    }
    assert_eq!(seqs.len(), 919, "s1 to s919");
}

// ---- the log

#[tokio::test]
async fn headers_on_ones_own_signal_harm_nobody() {
    let (_server, nats) = TestServer::with_topology().await;
    let victim = "presence.v1.signal.acme.bob.tab";
    let own = "presence.v1.signal.acme.mallory.tab";
    request(&nats, victim, HeaderMap::new()).await;
    let refused = [
        ("Nats-Rollup", "all"),
        ("Nats-Rollup", "sub"),
        ("Nats-TTL", "1s"),
        ("Nats-Schedule", "@every 1s"),
        ("Nats-Incr", "1"),
        ("Nats-Batch-Id", "b"),
        ("Nats-Expected-Last-Sequence", "77"),
        ("Nats-Expected-Stream", "OTHER"),
    ];
    for (name, value) in refused {
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        headers.insert("Nats-Schedule-Target", victim);
        headers.insert("Nats-Batch-Sequence", "1");
        headers.insert("Nats-Batch-Commit", "1");
        let answer = request(&nats, own, headers).await;
        assert!(answer.get("error").is_some(), "{name}: {answer}");
    }
    let mut id = HeaderMap::new();
    id.insert("Nats-Msg-Id", "the id that bob uses");
    request(&nats, own, id.clone()).await;
    eventually("bob's signal with the same id is taken when the window has passed", || async {
        let answer = request(&nats, victim, id.clone()).await;
        (answer["duplicate"] != true).then_some(())
    })
    .await;
    let log = LogIdentity::read(&nats).await.unwrap();
    assert_eq!((log.first_seq, log.last_seq), (1, 3));
    let mut reader = LogReader::start(&nats, &log.created, Partitions::All, 1);
    let entries = read(&mut reader, 3).await;
    let own = presence_engine::model::partition_of("acme", "mallory", 64);
    let bob = presence_engine::model::partition_of("acme", "bob", 64);
    let subjects: Vec<_> = entries.iter().map(|entry| entry.subject.to_string()).collect();
    let expected = [(bob, "bob"), (own, "mallory"), (bob, "bob")];
    assert_eq!(subjects, expected.map(|(p, user)| format!("presence.v1.log.{p}.signal.acme.{user}.tab")));
}

#[tokio::test]
async fn entries_come_as_they_are_stored() {
    let (_server, nats) = TestServer::with_topology().await;
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", "application/msgpack");
    let subject = "presence.v1.log.7.batch.acme.gateway";
    nats.jetstream.publish_with_headers(subject, headers, "body".into()).await.unwrap().await.unwrap();
    let log = LogIdentity::read(&nats).await.unwrap();
    let entry = read(&mut LogReader::start(&nats, &log.created, Partitions::Some([7].into()), 0), 1).await.remove(0);
    assert_eq!((entry.seq, &*entry.subject, &*entry.payload), (1, subject, &b"body"[..]));
    assert_eq!(entry.content_type.as_deref(), Some("application/msgpack"));
    assert_eq!(entry_ts_ms(&nats, 1).await.unwrap(), Some(entry.ts_ms));
    assert_eq!(entry_ts_ms(&nats, 2).await.unwrap(), None);
}

#[tokio::test]
async fn a_reader_of_some_partitions_gets_theirs_and_what_is_for_all() {
    let (_server, nats) = TestServer::with_topology().await;
    let names =
        ["1.signal.t.u.s", "2.signal.t.u.s", "all.tick", "3.signal.t.u.s", "11.signal.t.u.s", "x.y", "all.policy"];
    for name in names {
        nats.jetstream.publish(format!("presence.v1.log.{name}"), "".into()).await.unwrap().await.unwrap();
    }
    let log = LogIdentity::read(&nats).await.unwrap();
    let mut reader = LogReader::start(&nats, &log.created, Partitions::Some([1, 3].into()), 1);
    let seqs: Vec<_> = read(&mut reader, 4).await.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [1, 3, 4, 7]);
}

#[tokio::test]
async fn the_reader_goes_on_over_kills_cuts_and_deleted_consumers() {
    let (mut server, nats) = TestServer::with_topology().await;
    let wire = Wire::to(&server).await;
    let read_by = connect(&wire.url()).await;
    let log = LogIdentity::read(&nats).await.unwrap();
    let mut reader = LogReader::start(&read_by, &log.created, Partitions::All, 1);
    let mut next = 1;
    for round in 0..4 {
        let last = publish(&nats, 30_000).await;
        // In the middle of it, with much on its way.
        read_to(&mut reader, &mut next, last - 29_000).await;
        match round {
            0 => {
                server.kill();
                server.restart().await;
            }
            1 => wire.cut(),
            2 => delete_consumers(&nats).await,
            _ => {
                server.pause();
                tokio::time::sleep(SECOND).await;
                server.resume();
            }
        }
        read_to(&mut reader, &mut next, last).await;
        // And at its end, where it waits.
        match round {
            0 => {
                server.kill();
                server.restart().await;
            }
            1 => wire.cut(),
            _ => delete_consumers(&nats).await,
        }
        let last = publish(&nats, 10).await;
        read_to(&mut reader, &mut next, last).await;
        assert_eq!(next, last + 1);
    }
}

#[tokio::test]
async fn a_slow_engine_loses_nothing() {
    let (_server, nats) = TestServer::with_topology().await;
    let log = LogIdentity::read(&nats).await.unwrap();
    let mut reader = LogReader::start(&nats, &log.created, Partitions::All, 1);
    // More than is read ahead.
    publish(&nats, 60_000).await;
    let mut next = 1;
    read_to(&mut reader, &mut next, 60_000).await;
}

#[tokio::test]
async fn a_log_made_anew_is_noticed() {
    let (_server, nats) = TestServer::with_topology().await;
    let log = LogIdentity::read(&nats).await.unwrap();
    let mut reader = LogReader::start(&nats, &log.created, Partitions::All, 1);
    publish(&nats, 5).await;
    read_to(&mut reader, &mut 1, 5).await;
    nats.jetstream.delete_stream(names::LOG).await.unwrap();
    assert_eq!(LogIdentity::read(&nats).await.unwrap_err(), LogError::Missing);
    topology::setup(&nats, &Parameters::default()).await.unwrap();
    for _ in 0..2 {
        let error = soon("the reader notices", reader.next()).await.unwrap_err();
        assert!(matches!(error, LogError::Replaced(_)), "{error}");
    }
}

#[tokio::test]
async fn entries_that_went_unread_are_noticed() {
    let (_server, nats) = TestServer::with_topology().await;
    publish(&nats, 20).await;
    let log = LogIdentity::read(&nats).await.unwrap();
    let bytes = Parameters { log_bytes_max: Some(1_000), ..Parameters::default() };
    topology::setup(&nats, &bytes).await.unwrap();
    let first_seq = LogIdentity::read(&nats).await.unwrap().first_seq;
    assert!(first_seq > 5);
    let mut reader = LogReader::start(&nats, &log.created, Partitions::All, 5);
    let error = soon("the reader notices", reader.next()).await.unwrap_err();
    assert_eq!(error, LogError::Cut { next_seq: 5, first_seq });
    let mut whatever = LogReader::start(&nats, &log.created, Partitions::All, 0);
    assert_eq!(soon("the first comes", whatever.next()).await.unwrap()[0].seq, first_seq);
}

#[tokio::test]
async fn a_position_beyond_the_end_is_another_log() {
    let (_server, nats) = TestServer::with_topology().await;
    publish(&nats, 3).await;
    let log = LogIdentity::read(&nats).await.unwrap();
    let mut at_end = LogReader::start(&nats, &log.created, Partitions::All, 4);
    let mut beyond = LogReader::start(&nats, &log.created, Partitions::All, 5);
    let error = soon("the reader notices", beyond.next()).await.unwrap_err();
    assert!(matches!(error, LogError::Replaced(_)), "{error}");
    publish(&nats, 1).await;
    assert_eq!(soon("the next comes", at_end.next()).await.unwrap()[0].seq, 4);
}

// ---- ticks

#[tokio::test]
async fn bad_ticks_are_counted_into_the_next_one() {
    let (server, nats) = TestServer::with_topology().await;
    let mut ticker = Ticker::new(&nats, Duration::from_millis(100));
    assert_eq!(ticker.tick().await, Outcome::Stored { seq: 1 });
    nats.jetstream.delete_stream(names::LOG).await.unwrap();
    for n in 1..=2 {
        assert!(matches!(ticker.tick().await, Outcome::Bad(_)));
        assert_eq!(ticker.failed(), n);
    }
    topology::setup(&nats, &Parameters::default()).await.unwrap();
    assert_eq!(ticker.tick().await, Outcome::Stored { seq: 1 });
    assert_eq!(ticker.failed(), 0);
    let log = nats.jetstream.get_stream(names::LOG).await.unwrap();
    assert_eq!(log.get_raw_message(1).await.unwrap().payload, r#"{"v":1,"failed":2}"#);
    drop(server);
}

#[tokio::test]
async fn ticks_follow_the_deadlines() {
    let (_server, nats) = TestServer::with_topology().await;
    let log = LogIdentity::read(&nats).await.unwrap();
    let mut reader = LogReader::start(&nats, &log.created, Partitions::All, 1);
    let (due, deadlines) = watch::channel(None);
    let ticker = tokio::spawn(Ticker::new(&nats, Duration::from_millis(100)).run(deadlines));
    let ticks = read(&mut reader, 2).await;
    let apart = ticks[1].ts_ms - ticks[0].ts_ms;
    assert!(apart >= 990, "nothing was due, and yet they were {apart} ms apart");
    due.send_replace(Some(tokio::time::Instant::now()));
    let ticks = read(&mut reader, 3).await;
    let apart = ticks[2].ts_ms - ticks[0].ts_ms;
    // The server truncates to milliseconds.
    let least = 200 - LEEWAY.as_millis() as u64 - 1;
    assert!(apart >= least, "at most every 100 ms, and yet three came in {apart} ms");
    drop(due);
    read(&mut reader, 1).await;
    ticker.abort();
}

// ---- checkpoints

#[tokio::test]
async fn the_newest_two_checkpoints_are_kept_and_found_again() {
    let (_server, nats) = TestServer::with_topology().await;
    let mut checkpoints = Checkpoints::open(&nats, Duration::ZERO).await.unwrap();
    let large = Bytes::from((0..1_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    for seq in [10, 20, 30] {
        checkpoints.put(7, seq, large.clone(), &[]).await.unwrap();
        checkpoints.put(8, seq * 2, Bytes::new(), &[]).await.unwrap();
    }
    for checkpoints in [&checkpoints, &Checkpoints::open(&nats, Duration::ZERO).await.unwrap()] {
        assert_eq!(checkpoints.positions(7).collect::<Vec<_>>(), [20, 30]);
        assert_eq!(checkpoints.newest(7, u64::MAX).await.unwrap(), Some((30, large.clone())));
        assert_eq!(checkpoints.newest(7, 29).await.unwrap().unwrap().0, 20);
        assert_eq!(checkpoints.newest(7, 19).await.unwrap(), None);
        assert_eq!(checkpoints.newest(8, 60).await.unwrap(), Some((60, Bytes::new())));
        assert_eq!(checkpoints.newest(9, 60).await.unwrap(), None);
    }
    // Of a log that was made anew: what is beyond belongs to the one before.
    checkpoints.put(7, 5, large, &[]).await.unwrap();
    assert_eq!(checkpoints.positions(7).collect::<Vec<_>>(), [5]);
    let stream = nats.jetstream.get_stream(names::store_stream(names::CHECKPOINTS)).await.unwrap();
    let metas = stream.info_with_subjects("$O.presence_checkpoints.M.>").await.unwrap();
    assert_eq!(metas.count().await, 3, "nothing of deleted ones remains");
}

/// A segment of somebody called so.
fn segment(name: &str) -> Segment {
    let mut partition = Partition::new(7, &IndexKey::new(1, 2));
    let (address, signal) = (format!("acme.{name}.tab"), Signal::default());
    let body = Body::Signal(Address::parse(&address).unwrap(), &signal);
    partition.apply(&Entry { seq: 1, ts: 1_000_000, body }, &mut Vec::new());
    partition.snapshot(0).segment.unwrap()
}

#[tokio::test]
async fn a_segment_is_kept_while_a_checkpoint_needs_it() {
    let (_server, nats) = TestServer::with_topology().await;
    let mut checkpoints = Checkpoints::open(&nats, Duration::ZERO).await.unwrap();
    let [a, b, c] = ["ada", "bob", "cem"].map(segment);
    let error = checkpoints.put(7, 10, "x".into(), &[a.name]).await.unwrap_err().to_string();
    assert!(error.contains(&format!("its segment {} is not stored", a.name)), "{error}");
    let there = async |checkpoints: &Checkpoints| {
        let mut there = Vec::new();
        for segment in [&a, &b, &c] {
            let stored = checkpoints.segment(7, segment.name).await.unwrap();
            assert!(stored.as_ref().is_none_or(|stored| **stored == segment.bytes));
            there.push(stored.is_some());
        }
        there
    };
    checkpoints.put_segment(7, &a).await.unwrap();
    checkpoints.put(7, 10, "x".into(), &[a.name]).await.unwrap();
    checkpoints.put_segment(7, &b).await.unwrap();
    checkpoints.put(7, 20, "x".into(), &[a.name, b.name]).await.unwrap();
    checkpoints.put_segment(7, &c).await.unwrap();
    checkpoints.put(7, 30, "x".into(), &[c.name]).await.unwrap();
    assert_eq!(there(&checkpoints).await, [true; 3]);
    // Whoever comes next does not know what the others need, until it has stored two itself.
    let mut next = Checkpoints::open(&nats, Duration::ZERO).await.unwrap();
    next.put(7, 40, "x".into(), &[c.name]).await.unwrap();
    assert_eq!(there(&next).await, [true; 3]);
    next.put(7, 50, "x".into(), &[c.name]).await.unwrap();
    assert_eq!(there(&next).await, [false, false, true]);
    assert_eq!(there(&Checkpoints::open(&nats, Duration::ZERO).await.unwrap()).await, [false, false, true]);
    assert_eq!(next.positions(7).collect::<Vec<_>>(), [40, 50]);
    // What is cleared away under it by somebody who was stopped and goes on, it does not build on.
    let mut inherits = Checkpoints::open(&nats, Duration::ZERO).await.unwrap();
    next.put_segment(7, &a).await.unwrap();
    next.put(7, 60, "x".into(), &[a.name]).await.unwrap();
    next.put(7, 70, "x".into(), &[a.name]).await.unwrap();
    let error = inherits.put(7, 80, "x".into(), &[c.name]).await.unwrap_err().to_string();
    assert!(error.contains(&format!("its segment {} is gone", c.name)), "{error}");
    assert_eq!(Checkpoints::open(&nats, Duration::ZERO).await.unwrap().positions(7).collect::<Vec<_>>(), [60, 70]);
}

#[tokio::test]
async fn a_damaged_checkpoint_is_passed_over() {
    let (_server, nats) = TestServer::with_topology().await;
    let mut checkpoints = Checkpoints::open(&nats, Duration::ZERO).await.unwrap();
    checkpoints.put(0, 1, "good".into(), &[]).await.unwrap();
    for damage in ["purged", "overwritten"] {
        checkpoints.put(0, 2, "bad".into(), &[]).await.unwrap();
        let store = nats.jetstream.get_object_store(names::CHECKPOINTS).await.unwrap();
        let chunks = format!("$O.presence_checkpoints.C.{}", store.info("0/2").await.unwrap().nuid);
        let stream = nats.jetstream.get_stream(names::store_stream(names::CHECKPOINTS)).await.unwrap();
        stream.purge().filter(&chunks).await.unwrap();
        if damage == "overwritten" {
            nats.jetstream.publish(chunks, "BAD".into()).await.unwrap().await.unwrap();
        }
        assert_eq!(checkpoints.newest(0, 9).await.unwrap(), Some((1, "good".into())), "{damage}");
    }
}

#[tokio::test]
async fn what_an_aborted_checkpoint_left_behind_is_collected() {
    let (_server, nats) = TestServer::with_topology().await;
    let mut checkpoints = Checkpoints::open(&nats, Duration::ZERO).await.unwrap();
    checkpoints.put(0, 1, "whole".into(), &[]).await.unwrap();
    let orphan = "$O.presence_checkpoints.C.orphan";
    nats.jetstream.publish(orphan, "half".into()).await.unwrap().await.unwrap();
    checkpoints.put(1, 1, "later".into(), &[]).await.unwrap();
    let chunks = || async {
        let stream = nats.jetstream.get_stream(names::store_stream(names::CHECKPOINTS)).await.unwrap();
        stream.info_with_subjects("$O.presence_checkpoints.C.>").await.unwrap().count().await
    };
    Checkpoints::open(&nats, 3_600 * SECOND).await.unwrap();
    assert_eq!(chunks().await, 3, "it may still be under way");
    let checkpoints = Checkpoints::open(&nats, Duration::ZERO).await.unwrap();
    assert_eq!(chunks().await, 2);
    assert_eq!(checkpoints.newest(0, 1).await.unwrap(), Some((1, "whole".into())));
}

// ---- the service

#[tokio::test]
async fn info_is_503_until_the_engine_is_live() {
    let (server, nats) = TestServer::with_topology().await;
    let (live, info) = watch::channel(None);
    let (questions, _asked) = tokio::sync::mpsc::channel(1);
    let _service = Service::start(&nats, "0.1.0", info, questions, 1).await.unwrap();
    let client = server.connect().await.client;
    let of_me = |is_live| Info {
        contract: "1.0".into(),
        version: "0.1.0".into(),
        partitions: 64,
        fold_version: 1,
        owner: "me".into(),
        server: "2.15.1".into(),
        live: is_live,
        members: vec!["me".into()],
        owned: Vec::new(),
        waiting: 0,
        log_seq: None,
    };
    let code = |answer: &Message| {
        answer.headers.as_ref().and_then(|headers| Some(headers.get("Nats-Service-Error-Code")?.to_string()))
    };
    let ask = async |subject: &str| client.request(subject.to_owned(), "".into()).await.unwrap();
    for told in [None, Some(of_me(false))] {
        live.send_replace(told);
        assert_eq!(code(&ask(subject::INFO).await).as_deref(), Some("503"));
    }
    // Who asks for it by its name is answered nevertheless, and nobody is for another.
    let restoring: Value = serde_json::from_slice(&ask("presence.v1.info.me").await.payload).unwrap();
    assert_eq!((&restoring["live"], &restoring["owner"]), (&json!(false), &json!("me")));
    live.send_replace(Some(of_me(true)));
    let answer = client.request(subject::INFO, "".into()).await.unwrap();
    assert_eq!(code(&answer), None);
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!((&answer["contract"], &answer["partitions"]), (&json!("1.0"), &json!(64)));
    let ping = client.request("$SRV.PING.presence", "".into()).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&ping.payload).unwrap()["name"], "presence");
}

// ---- the embedded server

fn embedded(data_dir: &std::path::Path, port: u16) -> ServerOptions {
    ServerOptions { binary: Some(common::binary()), data_dir: data_dir.into(), port }
}

fn embedded_pid(data_dir: &std::path::Path) -> i32 {
    std::fs::read_to_string(data_dir.join("nats-server.pid")).unwrap().trim().parse().unwrap()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn the_embedded_server_is_started_again_after_a_crash_and_keeps_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("with \"quotes\" and spaces");
    let server = EmbeddedServer::start(embedded(&data, 0)).await.unwrap();
    let nats = connect(server.url()).await;
    topology::setup(&nats, &Parameters::default()).await.unwrap();
    publish(&nats, 3).await;
    let first = embedded_pid(&data);
    kill(first);
    eventually("another one runs", || async { (embedded_pid(&data) != first).then_some(()) }).await;
    let log = eventually("the log is there", || async { LogIdentity::read(&nats).await.ok() }).await;
    assert_eq!(log.last_seq, 3);
    let second = embedded_pid(&data);
    server.stop().await;
    assert!(!std::path::Path::new(&format!("/proc/{second}")).exists(), "it has ended");
    let again = EmbeddedServer::start(embedded(&data, 0)).await.unwrap();
    assert_eq!(LogIdentity::read(&connect(again.url()).await).await.unwrap(), log);
    again.stop().await;
}

#[tokio::test]
async fn a_server_that_crashes_again_and_again_is_given_up_with_the_end_of_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = EmbeddedServer::start(embedded(dir.path(), 0)).await.unwrap();
    // From now on it can't start.
    std::fs::write(dir.path().join("nats-server.conf"), "no_such_key: 1\n").unwrap();
    kill(embedded_pid(dir.path()));
    let error = soon("it is given up", server.failed()).await;
    assert!(matches!(&error, ServerError::Failed { tail, .. } if tail.contains("no_such_key")), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn a_taken_port_and_a_taken_directory_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(embedded(dir.path(), 0)).await.unwrap();
    let port: u16 = server.url().rsplit(':').next().unwrap().parse().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let error = EmbeddedServer::start(embedded(elsewhere.path(), port)).await.unwrap_err();
    assert_eq!(error, ServerError::PortTaken(port));
    let error = EmbeddedServer::start(embedded(dir.path(), 0)).await.unwrap_err();
    assert!(matches!(error, ServerError::DataDirTaken(_)), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_was_left_behind_is_stopped_first() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().canonicalize().unwrap();
    EmbeddedServer::start(embedded(&data, 0)).await.unwrap().stop().await;
    // As an earlier life had started it; its port is free only once it has ended.
    let config = data.join("nats-server.conf");
    let mut orphan = std::process::Command::new(common::binary()).arg("--config").arg(&config).spawn().unwrap();
    let pid = i32::try_from(orphan.id()).unwrap();
    eventually("the orphan has written its id", || async { (embedded_pid(&data) == pid).then_some(()) }).await;
    let listen = std::fs::read_to_string(&config).unwrap();
    let port = listen.split("127.0.0.1:").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    let server = EmbeddedServer::start(embedded(&data, port)).await.unwrap();
    assert!(orphan.try_wait().unwrap().is_some(), "the orphan has ended");
    server.stop().await;
}

#[tokio::test]
async fn a_missing_binary_is_named_with_what_to_do() {
    let options = ServerOptions { binary: Some("/nowhere/nats-server".into()), ..embedded("/nowhere".as_ref(), 0) };
    let error = EmbeddedServer::start(options).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/nats-server"), "{error}");
    assert!(error.to_string().contains("--nats-server"), "{error}");
}

// ---- helpers

const LOG_CREATED: &str = "2026-01-01T00:00:00Z";

fn lane(nats: &Nats) -> CommitLane {
    CommitLane::new(nats, Owner::unique(nats), LOG_CREATED, 1)
}

fn message(partition: u16, subject: &str, payload: &'static [u8]) -> OutMessage {
    OutMessage { partition, subject: subject.into(), headers: Vec::new(), payload: Bytes::from_static(payload) }
}

/// Session events of (partition, session), and the progress of each partition at `input_seq`.
fn batch(events: &[(u16, &str)], input_seq: u64) -> Batch {
    let messages = events.iter().map(|(partition, session)| OutMessage {
        headers: vec![("ce-id", (*session).into())],
        ..message(*partition, &format!("presence.v1.session.t.u.{session}"), b"{}")
    });
    let mut partitions: Vec<_> = events.iter().map(|(partition, _)| *partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let position = Position { input_seq, input_ts: 1, k: 1, policy_hash: "h".into(), generation: 0 };
    let progress = partitions.into_iter().map(|partition| (partition, position.clone())).collect();
    Batch { messages: messages.collect(), progress }
}

async fn subscribe(server: &TestServer, subject: &'static str) -> Subscriber {
    let client = server.connect().await.client;
    let subscriber = client.subscribe(subject).await.unwrap();
    client.flush().await.unwrap();
    subscriber
}

async fn hear(subscriber: &mut Subscriber, n: usize) -> Vec<(String, HeaderMap)> {
    let mut heard = Vec::new();
    while heard.len() < n {
        let message = soon("something is told", subscriber.next()).await.unwrap();
        heard.push((message.subject.to_string(), message.headers.unwrap_or_default()));
    }
    heard
}

/// The sessions of all stored session events, in their order.
async fn stored_sessions(nats: &Nats) -> Vec<String> {
    let stream = nats.jetstream.get_stream(names::EVENTS).await.unwrap();
    let config = consumer::pull::Config {
        ack_policy: AckPolicy::None,
        filter_subject: "presence.v1.session.>".into(),
        ..Default::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    let n = consumer.cached_info().num_pending;
    let messages = consumer.fetch().max_messages(usize::try_from(n).unwrap().max(1)).messages().await.unwrap();
    let stored: Vec<_> = messages.map(|message| message.unwrap().subject.to_string()).collect().await;
    assert_eq!(stored.len() as u64, n);
    stored.into_iter().map(|subject| subject.rsplit('.').next().unwrap().to_owned()).collect()
}

async fn request(nats: &Nats, subject: &'static str, headers: HeaderMap) -> Value {
    let answer = nats.client.request_with_headers(subject, headers, "".into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// Publishes `n` signals, waits until the log has them all, and gives the last sequence.
async fn publish(nats: &Nats, n: u64) -> u64 {
    let last = LogIdentity::read(nats).await.unwrap().last_seq;
    // The server drops silently what does not fit into its queue.
    for slice in (0..n).collect::<Vec<_>>().chunks(10_000) {
        for i in slice {
            let subject = format!("presence.v1.signal.acme.user{}.tab", i % 100);
            nats.client.publish(subject, "".into()).await.unwrap();
        }
        let stored = last + slice.last().unwrap() + 1;
        eventually("the log has all signals", || async {
            (LogIdentity::read(nats).await.ok()?.last_seq == stored).then_some(())
        })
        .await;
    }
    last + n
}

async fn read(reader: &mut LogReader, n: usize) -> Vec<LogMessage> {
    let mut entries = Vec::new();
    while entries.len() < n {
        entries.extend(soon("an entry comes", reader.next()).await.unwrap());
    }
    entries
}

/// Reads up to the sequence `last`, at least; what comes is always the next sequence.
async fn read_to(reader: &mut LogReader, next: &mut u64, last: u64) {
    while *next <= last {
        let chunk = soon("an entry comes", reader.next()).await.unwrap();
        assert!(!chunk.is_empty() && chunk.len() <= LogReader::CHUNK_MAX);
        for entry in chunk {
            assert_eq!(entry.seq, *next);
            *next += 1;
        }
    }
}

async fn delete_consumers(nats: &Nats) {
    let stream = nats.jetstream.get_stream(names::LOG).await.unwrap();
    let consumers: Vec<_> = stream.consumer_names().map(Result::unwrap).collect().await;
    for name in consumers {
        stream.delete_consumer(&name).await.unwrap();
    }
}

async fn stream_config(nats: &Nats, stream: &str) -> Value {
    let info: Value = nats.jetstream.request(format!("STREAM.INFO.{stream}"), &json!({})).await.unwrap();
    info["config"].clone()
}

async fn update_stream(nats: &Nats, stream: &str, fields: Value) {
    let mut config = stream_config(nats, stream).await;
    for (name, value) in fields.as_object().unwrap() {
        config[name] = value.clone();
    }
    let answer: Value = nats.jetstream.request(format!("STREAM.UPDATE.{stream}"), &config).await.unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
}
