//! Rooms, told by real engines: sums over partitions, who is there, across crashes and owners.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use futures::StreamExt;
use presence_engine::model::{Millis, RoomPart, State, Tally};
use presence_engine::nats::{Nats, RoomReader, ToldOfRooms, names};
use presence_engine::wire::{event, subject};
use serde_json::{Value, json};
use tokio::time::Instant;

use common::client::{Beating, signal};
use common::engine::{Engine, STILL, audit};
use common::rooms::{at_rest, events_of, users};
use common::{TestServer, eventually, soon, streams};

const FEW: u64 = 64;

/// Nothing falls by itself, and rooms are told ten times a second.
fn config() -> String {
    format!("{STILL}\n[rooms]\nevery = \"100ms\"\n")
}

/// A user of `main` says where it is.
async fn enter(nats: &Nats, user: &str, rooms: &[&str]) {
    signal(nats, user, "tab", &json!({"rooms": rooms, "can": ["audio"]})).await;
}

async fn leave(nats: &Nats, user: &str) {
    signal(nats, user, "tab", &json!({"kind": "leave"})).await;
}

fn user(n: u64) -> String {
    format!("u{n}")
}

/// Users in all partitions come, go and move; a part of them has two sessions.
async fn load(nats: &Nats, round: u64) {
    for n in 0..40 {
        match (n + round) % 5 {
            0 => leave(nats, &user(n)).await,
            1 => enter(nats, &user(n), &["lobby"]).await,
            2 => enter(nats, &user(n), &["lobby", "stage"]).await,
            3 => enter(nats, &user(n), &[&format!("cell{}", n % 7), "stage"]).await,
            _ => {
                signal(nats, &user(n), "phone", &json!({"rooms": ["lobby"], "state": "away"})).await;
            }
        }
    }
}

/// Waits until the fences are shared by so many engines.
async fn shared_by(nats: &Nats, engines: usize) {
    eventually("the partitions are shared", async || {
        let mut owners: Vec<_> = streams::progress(nats).await.into_values().map(|progress| progress.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        (owners.len() == engines).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_room_over_several_partitions_is_told_as_one_and_leaves_the_bucket_when_it_is_empty() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), &config()).await;
    for n in 0..20 {
        enter(&nats, &user(n), &["lobby"]).await;
    }
    signal(&nats, "u3", "phone", &json!({"rooms": ["lobby"], "state": "away"})).await;
    let rooms = at_rest(&nats, FEW).await;
    let lobby = &rooms.sums["main.lobby"];
    assert_eq!((lobby.users, lobby.sessions), ([20, 0, 0, 0], [20, 0, 1, 0]));
    assert_eq!(lobby.ready, [("audio".into(), 20)]);
    assert_eq!((rooms.members.len(), rooms.parts.len()), (20, 8), "in all partitions");

    for n in 0..20 {
        match n % 2 {
            0 => leave(&nats, &user(n)).await,
            _ => enter(&nats, &user(n), &["stage"]).await,
        }
    }
    leave(&nats, "u3").await;
    signal(&nats, "u3", "phone", &json!({"kind": "leave"})).await;
    let rooms = at_rest(&nats, FEW).await;
    assert_eq!(rooms.sums.keys().collect::<Vec<_>>(), ["main.stage"]);
    let told = events_of(&nats, "lobby").await;
    let (first, last) = (&told[0].1, &told.last().unwrap().1);
    assert_eq!((&first["cause"], &first["ordinal"]), (&json!("joined"), &json!(1)));
    assert_eq!((&last["cause"], users(last)), (&json!("left"), 0));
    assert!(told.iter().all(|(_, event)| event["incarnation"] == first["incarnation"]));
    // What nobody contributes to any more goes away by itself.
    let stored = streams::read(&nats, names::EVENTS).await;
    let partials: Vec<_> = stored.iter().filter(|stored| stored.subject.contains(".partial.")).collect();
    assert!(partials.iter().any(|partial| partial.subject.ends_with(".lobby")));
    for partial in partials {
        let ttl = (users(&partial.json()) == 0).then_some("5m");
        assert_eq!((partial.header("Nats-TTL"), partial.header("Nats-Rollup")), (ttl, Some("sub")));
    }

    enter(&nats, "ada", &["lobby"]).await;
    at_rest(&nats, FEW).await;
    let again = events_of(&nats, "lobby").await.last().unwrap().1.clone();
    assert!(again["incarnation"].as_u64() > first["incarnation"].as_u64() && again["ordinal"] == 1);
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    let counts = engine.audit();
    assert!(counts["room_events"].as_u64() >= Some(4) && counts["member_events"].as_u64() >= Some(50), "{counts}");
}

#[tokio::test]
async fn more_users_than_64_stop_member_events_and_leaving_brings_them_back() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let engine = Engine::start(&server.url(), &config()).await;
    let members = async || {
        let stored = streams::read(&nats, names::EVENTS).await;
        stored.iter().filter(|stored| stored.subject.starts_with("presence.v1.member.main.hall.")).count()
    };
    for n in 0..70 {
        enter(&nats, &user(n), &["hall"]).await;
    }
    let rooms = at_rest(&nats, FEW).await;
    assert_eq!((rooms.sums["main.hall"].users(), rooms.members.len()), (70, 0));
    let before = members().await;
    assert!(before <= 64, "{before}");
    for n in 30..36 {
        signal(&nats, &user(n), "tab", &json!({"state": "away"})).await;
    }
    at_rest(&nats, FEW).await;
    assert_eq!(members().await, before, "nothing is told of whom in a crowd");
    for n in 0..10 {
        leave(&nats, &user(n)).await;
    }
    let rooms = at_rest(&nats, FEW).await;
    let away = rooms.members.values().filter(|(state, _)| *state == State::Away).count();
    assert_eq!((rooms.members.len(), away), (60, 6));
    engine.audit();
}

#[tokio::test]
async fn who_takes_over_from_a_killed_engine_tells_rooms_on() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut first = Engine::start(&server.url(), &config()).await;
    let mut second = Engine::start(&server.url(), &config()).await;
    shared_by(&nats, 2).await;
    let heart = Beating::start(&nats, vec!["steady.tab".into()], Duration::from_millis(100));
    for round in 0..4 {
        load(&nats, round).await;
        let victim = if round % 2 == 0 { &mut first } else { &mut second };
        victim.kill();
        load(&nats, round + 1).await;
        shared_by(&nats, 1).await;
        let _silence = heart.silence().await;
        at_rest(&nats, FEW).await;
        victim.restart().await;
        shared_by(&nats, 2).await;
    }
    heart.stop().await;
    at_rest(&nats, FEW).await;
    audit(&server.url());
}

/// The consumers by which engines read what was told of rooms, those of partials or the others.
async fn room_consumers(nats: &Nats, of_partials: bool) -> Vec<String> {
    let stream = nats.jetstream.get_stream(names::EVENTS).await.unwrap();
    let found: Vec<_> = stream.consumers().map(Result::unwrap).collect().await;
    let is_wanted = |of: &async_nats::jetstream::consumer::Info| {
        let is_of_rooms = of.config.description.as_deref() == Some("presence: reads what was told of rooms");
        is_of_rooms && of.config.filter_subjects.iter().any(|filter| filter == subject::PARTIALS) == of_partials
    };
    found.into_iter().filter(is_wanted).map(|of| of.name).collect()
}

#[tokio::test]
async fn rooms_go_on_where_one_of_their_two_consumers_is_deleted() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), &config()).await;
    let heart = Beating::start(&nats, vec!["steady.tab".into()], Duration::from_millis(100));
    for (round, of_partials) in [(0, true), (1, false)] {
        load(&nats, round).await;
        let [name] = &room_consumers(&nats, of_partials).await[..] else { panic!("an engine has one of each") };
        nats.jetstream.delete_consumer_from_stream(name, names::EVENTS).await.unwrap();
        load(&nats, round + 1).await;
        eventually("there is another one", async || {
            let names = room_consumers(&nats, of_partials).await;
            (names.len() == 1 && names[0] != *name).then_some(())
        })
        .await;
        let _silence = heart.silence().await;
        at_rest(&nats, FEW).await;
    }
    heart.stop().await;
    engine.must_run();
    engine.audit();
}

#[tokio::test]
async fn engines_that_come_and_go_hand_rooms_over() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut first = Engine::start(&server.url(), &config()).await;
    load(&nats, 0).await;
    let mut second = Engine::start(&server.url(), &config()).await;
    for round in 1..4 {
        load(&nats, round).await;
        shared_by(&nats, 2).await;
        let leaver = if round % 2 == 0 { &mut first } else { &mut second };
        leaver.signal_to_end();
        load(&nats, round + 1).await;
        assert_eq!(leaver.ended().await.status.code(), Some(0));
        shared_by(&nats, 1).await;
        at_rest(&nats, FEW).await;
        leaver.restart().await;
    }
    at_rest(&nats, FEW).await;
    audit(&server.url());
}

#[tokio::test]
async fn counts_that_are_missing_or_wrong_in_the_stream_are_told_again_by_the_next_owner() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), &config()).await;
    load(&nats, 1).await;
    let rooms = at_rest(&nats, FEW).await;
    engine.kill();
    // Some are gone, one counts too many, and one is of a room that nobody is in.
    let events = nats.jetstream.get_stream(names::EVENTS).await.unwrap();
    events.purge().filter("presence.v1.partial.*.main.stage").await.unwrap();
    tell_partial(&nats, 3, &part("cellar", 5)).await;
    let lobby = rooms.parts.keys().find(|(_, key)| key == "main.lobby").unwrap();
    tell_partial(&nats, lobby.0, &part("lobby", 900)).await;
    engine.restart().await;
    assert_eq!(at_rest(&nats, FEW).await, rooms);
    engine.audit();
}

/// A count of users that the fold never counted.
fn part(room: &str, users: u64) -> RoomPart {
    let mut tally = Tally::default();
    tally.sessions[0] = users;
    tally.users[0] = users;
    RoomPart { tenant: "main".into(), room: room.into(), at_ms: 1, seq: 1, tally, members: None }
}

/// As an owner tells it, but for the fence.
async fn tell_partial(nats: &Nats, partition: u16, part: &RoomPart) {
    let message = event::partial(partition, part);
    let mut headers = HeaderMap::new();
    message.headers.iter().for_each(|(name, value)| headers.insert(*name, value.as_str()));
    let subject = subject::commit(&message.subject);
    let sent = nats.jetstream.publish_with_headers(subject, headers, message.payload).await.unwrap();
    soon("the stream takes it", sent.into_future()).await.unwrap();
}

#[tokio::test]
async fn counts_that_would_age_out_of_the_stream_are_told_again() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let retention = "lease_ttl = \"200ms\"\nevent_retention = \"1m\"";
    let engine = Engine::start(&server.url(), &config().replace("lease_ttl = \"200ms\"", retention)).await;
    enter(&nats, "ada", &["lobby"]).await;
    at_rest(&nats, FEW).await;
    let stored_ms = async || -> Millis {
        let stored = streams::read(&nats, names::EVENTS).await;
        stored
            .iter()
            .find(|stored| stored.subject.ends_with(".main.lobby") && stored.subject.contains(".partial."))
            .unwrap()
            .ts_ms
    };
    let before = stored_ms().await;
    let after = eventually("it is told again", async || Some(stored_ms().await).filter(|at| *at > before)).await;
    assert!(after - before >= 15_000, "not before a quarter of the retention: {}", after - before);
    assert_eq!(events_of(&nats, "lobby").await.len(), 1, "nothing has changed");
    engine.audit();
}

#[tokio::test]
async fn rooms_are_told_no_more_often_than_they_may() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let engine = Engine::start(&server.url(), &config().replace("100ms", "700ms")).await;
    let mut n = 0;
    eventually("a room is told five times", async || {
        for _ in 0..10 {
            n += 1;
            enter(&nats, &user(n % 30), if n / 30 % 2 == 0 { &["lobby"] } else { &[] }).await;
        }
        (events_of(&nats, "lobby").await.len() >= 5).then_some(())
    })
    .await;
    at_rest(&nats, FEW).await;
    let told = events_of(&nats, "lobby").await;
    for pair in told.windows(2) {
        // The stream's clock is not the engine's, but of the same machine.
        assert!(pair[1].0 - pair[0].0 >= 690, "{pair:?}");
        assert!(pair[0].1["at_ms"].as_u64() <= pair[1].1["at_ms"].as_u64());
    }
    engine.audit();
}

#[tokio::test]
async fn counts_that_change_while_they_are_read_are_all_read() {
    const COUNT: u64 = 20_000;
    let (_server, nats) = TestServer::with_topology().await;
    let tell_all = async |users: u64| {
        for n in 0..COUNT {
            let message = event::partial(1, &part(&format!("r{n}"), users));
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Rollup", "sub");
            nats.client
                .publish_with_headers(subject::commit(&message.subject), headers, message.payload)
                .await
                .unwrap();
        }
        tell_partial(&nats, 1, &part("last", users)).await;
    };
    tell_all(1).await;
    let mut reader = RoomReader::start(&nats, "reader");
    assert_eq!(soon("it begins", reader.next()).await, [ToldOfRooms::Anew]);
    let (mut found, mut marked) = (BTreeMap::new(), false);
    let mut take = |chunk: Vec<ToldOfRooms>| {
        for told in chunk {
            match told {
                ToldOfRooms::Part { key, part, .. } => drop(found.insert(key, part.tally.users())),
                ToldOfRooms::Marked(number) => (marked, _) = (true, assert_eq!(number, 1)),
                told => panic!("{told:?}"),
            }
        }
        marked && found.len() as u64 == COUNT + 1 && found.values().all(|users| *users == 2)
    };
    // While the reader waits for us, most of what it has to read is replaced.
    take(soon("it reads", reader.next()).await);
    tell_all(2).await;
    let since = Instant::now();
    soon("all are read", async { while !take(reader.next().await) {} }).await;
    eprintln!("all are read {:?} later", since.elapsed());
    assert_eq!(reader.mark(), 2);
    assert_eq!(soon("it has read all", reader.next()).await, [ToldOfRooms::Marked(2)]);
}

#[tokio::test]
async fn plain_subscribers_hear_rooms_and_their_members() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let _engine = Engine::start(&server.url(), &config()).await;
    let subscriber = common::told::Subscriber::to_all(&nats).await;
    signal(&nats, "carol=40x", "tab", &json!({"rooms": ["The Lobby"]})).await;
    let room: Value = subscriber.events_of("presence.v1.room.main.The=20Lobby", 1).await.remove(0);
    let member = subscriber.events_of("presence.v1.member.main.The=20Lobby.carol=40x", 1).await.remove(0);
    assert_eq!((&room["room"], &room["kind"], users(&room)), (&json!("The Lobby"), &json!("room"), 1));
    assert_eq!(
        (&member["user"], &member["from"], &member["to"]),
        (&json!("carol@x"), &json!("offline"), &json!("active"))
    );
    let told = subscriber.heard().into_iter().find(|told| told.subject.contains(".member.")).unwrap();
    assert_eq!(told.headers.get("ce-type").unwrap().as_str(), "presence.member.v1");
    assert_eq!(told.headers.get("ce-subject").unwrap().as_str(), "main.The=20Lobby.carol=40x");
}
