//! Transitions that are followed, with the real engine.

use std::time::Duration;

use futures::StreamExt;
use presence_engine::client::{Change, Error, Filter, Presence, Resume, State, Watch};
use presence_engine::nats::{Nats, names};
use serde_json::Value;

use crate::common::client::{beat, signal};
use crate::common::engine::{Engine, STILL};
use crate::common::streams::{Stored, events_of, read};
use crate::common::{TestServer, eventually, soon};

type Place = (String, u64, u32);

/// The next transitions of users.
async fn next(watch: &mut Watch, count: usize) -> Vec<Place> {
    let mut places = Vec::new();
    while places.len() < count {
        let change = soon("a transition comes", watch.next()).await.expect("it never ends").expect("it can be read");
        match change {
            Change::User(event) => places.push((event.user.clone(), event.incarnation, event.ordinal)),
            other => panic!("nothing else is followed: {other:?}"),
        }
    }
    places
}

fn place(event: &Value) -> Place {
    let ordinal = event["ordinal"].as_u64().expect("a number");
    (
        event["user"].as_str().expect("a name").to_owned(),
        event["incarnation"].as_u64().expect("a number"),
        u32::try_from(ordinal).expect("a small number"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_followed_over_restarts_of_all_is_every_transition_once() {
    let mut server = TestServer::start().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let presence = Presence::of(nats.client.clone(), "main").expect("it can be a tenant");
    let mut watch = presence.watch_from_now(Filter::users()).await.expect("the stream is there");
    let mut followed = Vec::new();

    for user in ["ada", "bob", "carol"] {
        beat(&nats, user, "tab").await;
    }
    followed.extend(next(&mut watch, 2).await);

    // The follower ends, and another goes on where it stood. Meanwhile the engine is another, too.
    let resume = watch.resume().to_string();
    drop(watch);
    engine.kill();
    signal(&nats, "ada", "tab", &serde_json::json!({"kind": "leave"})).await;
    engine.restart().await;
    let resume: Resume = resume.parse().expect("it is what was written");
    let mut watch = presence.watch_from(Filter::users(), resume).await.expect("it is all there");
    followed.extend(next(&mut watch, 2).await);

    // The server restarts while it is followed.
    server.kill();
    server.restart().await;
    engine.live().await;
    eventually("a heartbeat is taken again", async || {
        let taken = nats.jetstream.publish("presence.v1.signal.main.dave.tab", "".into()).await.ok()?;
        taken.await.ok()
    })
    .await;
    signal(&nats, "bob", "tab", &serde_json::json!({"kind": "leave"})).await;
    followed.extend(next(&mut watch, 2).await);

    let told: Vec<_> = events_of(&nats, "presence.v1.user.main.").await.iter().map(place).collect();
    assert_eq!(followed, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_gives_what_it_names_and_nothing_else() {
    let server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let presence = Presence::of(nats.client.clone(), "main").expect("it can be a tenant");
    let follow = async |filter| presence.watch_from_now(filter).await.expect("the stream is there");
    let mut user = follow(Filter::user("a@b")).await;
    let mut sessions = follow(Filter::sessions_of("a@b")).await;
    let mut session = follow(Filter::session("a@b", "tab")).await;
    let mut ready = follow(Filter::ready_of("a@b")).await;
    for (name, session) in [("bob", "tab"), ("a=40b", "phone"), ("a=40b", "tab")] {
        signal(&nats, name, session, &serde_json::json!({"can": ["audio"]})).await;
    }
    let next = async |watch: &mut Watch| soon("it comes", watch.next()).await.expect("no end").expect("no error");
    assert!(matches!(next(&mut user).await, Change::User(event) if event.user == "a@b"));
    assert!(matches!(next(&mut sessions).await, Change::Session(event) if event.session == "phone"));
    assert!(matches!(next(&mut sessions).await, Change::Session(event) if event.session == "tab"));
    assert!(matches!(next(&mut session).await, Change::Session(event) if event.session == "tab"));
    assert!(matches!(next(&mut ready).await, Change::Ready(event) if event.to == ["audio"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_another_stream_or_behind_its_end_is_refused() {
    let (_server, nats) = TestServer::with_topology().await;
    let presence = Presence::of(nats.client.clone(), "main").expect("it can be a tenant");
    let here = presence.watch_from_now(Filter::users()).await.expect("the stream is there").resume();
    let [seq, at, made] = here.to_string().split('.').map(|n| n.parse().expect("a number")).collect::<Vec<u64>>()[..]
    else {
        panic!("{here} has three numbers")
    };
    for foreign in [format!("{seq}.{at}.{}", made + 1), format!("{}.{at}.{made}", seq + 1)] {
        let foreign = foreign.parse().expect("it looks like one");
        let refused = presence.watch_from(Filter::users(), foreign).await.expect_err("it is none of this stream");
        assert!(matches!(refused, Error::Replaced { .. }), "{refused}");
    }
    assert!(presence.watch_from(Filter::users(), here).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_stream_that_is_said() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let presence = Presence::of(nats.client.clone(), "main").expect("it can be a tenant");
    let presence = presence.patience(std::time::Duration::from_millis(200));
    let error = soon("it gives up", presence.watch_from_now(Filter::users())).await.expect_err("there is none");
    assert!(matches!(error, Error::NoStream { .. }), "{error}");
}

/// What was told under this subject.
async fn told_of_rooms(nats: &Nats, subject: &str) -> Vec<Value> {
    let stored = read(nats, names::EVENTS).await;
    stored.iter().filter(|stored| stored.subject == subject).map(Stored::json).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_and_its_members_are_followed_from_who_is_there() {
    let server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), &format!("{STILL}[rooms]\nevery = \"100ms\"\n")).await;
    let nats = server.connect().await;
    let presence = Presence::of(nats.client.clone(), "main").expect("it can be a tenant");
    let enter = async |user: &str, room: &str| {
        signal(&nats, user, "tab", &serde_json::json!({ "rooms": [room] })).await;
    };
    enter("a=40b", "the lobby").await;
    eventually("she is told to be there", async || {
        let told = told_of_rooms(&nats, "presence.v1.member.main.the=20lobby.a=40b").await;
        (!told.is_empty()).then_some(())
    })
    .await;
    let mut room = presence.watch(Filter::room("the lobby")).await.expect("the stream is there");
    let mut members = presence.watch(Filter::members("the lobby")).await.expect("the stream is there");
    let next = async |watch: &mut Watch| soon("it comes", watch.next()).await.expect("no end").expect("no error");
    for watch in [&mut room, &mut members] {
        let mut active = None;
        loop {
            match next(watch).await {
                Change::Density(now) => active = Some(now.density.users.active),
                Change::Here(user) => assert_eq!(user.user, "a@b"),
                Change::Complete => break,
                other => panic!("the snapshot comes first: {other:?}"),
            }
        }
        assert!(active.is_none_or(|active| active == 1), "{active:?}");
    }
    // A room's counts are told together, so it is waited for each of them.
    let mut ordinal = 0;
    let mut counted = async |count: u32| {
        loop {
            let Change::Room(event) = next(&mut room).await else { panic!("nothing else is followed") };
            assert!(event.room == "the lobby" && event.ordinal > ordinal, "{event:?}");
            ordinal = event.ordinal;
            if event.density.users.active == count {
                return;
            }
        }
    };
    enter("carol", "elsewhere").await;
    enter("bob", "the lobby").await;
    counted(2).await;
    signal(&nats, "a=40b", "tab", &serde_json::json!({"kind": "leave"})).await;
    counted(1).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match next(&mut members).await {
            Change::Member(event) if event.from == State::Offline && event.user == "bob" => seen.push("bob came"),
            Change::Member(event) if event.to == State::Offline => seen.push("she left"),
            Change::Member(event) => assert_eq!(event.user, "a@b", "whom the snapshot had"),
            other => panic!("nothing else is followed: {other:?}"),
        }
    }
    assert_eq!(seen, ["bob came", "she left"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_behind_which_events_have_aged_out_is_gone() {
    let (_server, nats) = TestServer::with_topology().await;
    let presence = Presence::of(nats.client.clone(), "main").expect("it can be a tenant");
    let tell = async || {
        let sent = nats.jetstream.publish("presence.commit.v1.user.main.ada", "{}".into()).await.expect("it is sent");
        sent.await.expect("it is stored");
    };
    tell().await;
    let here = presence.watch_from_now(Filter::users()).await.expect("the stream is there").resume();
    tell().await;
    tell().await;
    let stream = nats.jetstream.get_stream(names::EVENTS).await.expect("it is there");
    let mut config = stream.cached_info().config.clone();
    (config.max_age, config.duplicate_window) = (Duration::from_secs(1), Duration::from_millis(100));
    nats.jetstream.update_stream(&config).await.expect("it may keep less");
    let first = eventually("it is refused", async || match presence.watch_from(Filter::users(), here).await {
        Err(Error::Gone { first, .. }) => Some(first),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    })
    .await;
    assert!(first > 2, "{first}");
}
