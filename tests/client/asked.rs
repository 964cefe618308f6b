//! Questions to the real engine.

use std::time::Duration;

use futures::StreamExt;
use presence_engine::client::{
    Beats, Change, Error, Filter, Heartbeats, History, Intent, Page, Presence, Route, State, Visibility, Wait,
};
use presence_engine::nats::Nats;

use crate::common::engine::{Engine, STILL};
use crate::common::{PATIENCE, TestServer, eventually, soon};

async fn here(nats: &Nats, user: &str, beats: Beats) -> Heartbeats {
    let session = Heartbeats::start(nats.client.clone(), "main", user, "tab", beats).expect("names are sound");
    soon("the log has it", session.acknowledged()).await.expect("the session goes on");
    session
}

fn presence(nats: &Nats) -> Presence {
    Presence::of(nats.client.clone(), "main").expect("it can be a tenant").patience(PATIENCE)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_here_is_answered_and_then_followed() {
    let server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let presence = presence(&nats);
    assert_eq!(presence.get("a@b").await.unwrap_err(), Error::UnknownTenant { tenant: "main".into() });

    let beats = || Beats::default().can(["audio"]).rooms(["the lobby"]);
    let ada = here(&nats, "a@b", beats()).await;
    let _bob = here(&nats, "bob", beats()).await;
    let both = Wait::users(["a@b", "bob"]).ready_for("audio");
    assert!(presence.wait(&both, PATIENCE).await.unwrap().is_ready());

    let found = presence.get("a@b").await.unwrap();
    assert_eq!(
        (found.now.state, found.now.confidence_permille, found.intent),
        (State::Active, 1_000, Some(Intent::Open))
    );
    assert_eq!(presence.session("a@b", "tab").await.unwrap().now.state, State::Active);
    assert_eq!(presence.get("nobody").await.unwrap().now.state, State::Offline);
    let room = presence.members("the lobby", None).await.unwrap();
    assert_eq!((room.density.users.active, room.density.ready["audio"], room.members.len()), (2, 2, 2));
    // The answers so far follow from the log; history is what was committed.
    let of_bob =
        async || Some(presence.history(&History::of("bob")).await.unwrap()).filter(|of| !of.segments.is_empty());
    let history = eventually("it is told that he is here", of_bob).await;
    let latest = history.segments.last().expect("he is here");
    assert_eq!((latest.state, latest.cause.as_deref(), latest.observed), (Some(State::Active), Some("joined"), true));
    let then = presence.history_at(history.as_of_ms, None, None).await.unwrap();
    assert_eq!(then.users.iter().map(|user| user.state).collect::<Vec<_>>(), [State::Active, State::Active]);
    let named = presence.users(&Page::of(["nobody", "bob"])).await.unwrap();
    assert_eq!(named.users.iter().map(|user| user.state).collect::<Vec<_>>(), [State::Offline, State::Active]);

    let mut watch = presence.watch(Filter::users()).await.unwrap();
    let mut seen = Vec::new();
    loop {
        match soon("it comes", watch.next()).await.unwrap().unwrap() {
            Change::Here(user) => seen.push(user.user),
            Change::Complete => break,
            other => panic!("the snapshot comes first: {other:?}"),
        }
    }
    seen.sort();
    assert_eq!(seen, ["a@b", "bob"]);
    ada.leave().await.unwrap();
    loop {
        if let Change::User(event) = soon("it comes", watch.next()).await.unwrap().unwrap()
            && event.to == State::Offline
        {
            assert_eq!((event.user.as_str(), event.cause.as_str()), ("a@b", "left"));
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_goes_on_over_the_engines_death_and_says_who_is_missing() {
    let server = TestServer::start().await;
    let mut engine = Engine::start(&server.url(), &STILL.replace("30m", "0s")).await;
    let nats = server.connect().await;
    let presence = presence(&nats);
    let ada = here(&nats, "ada", Beats::default().can(["audio"]).visibility(Visibility::Hidden)).await;
    let wait = Wait::users(["ada"]).ready_for("audio");
    eventually("she is seen out of sight", async || {
        let pending = presence.wait(&wait, Duration::from_millis(50)).await.ok()?;
        assert!(!pending.is_ready());
        (pending.missing[0].why == "state").then_some(())
    })
    .await;

    let (waiting, asked) = (presence.clone(), wait.clone());
    let waiting = tokio::spawn(async move { waiting.wait(&asked, PATIENCE).await });
    engine.kill();
    engine.restart().await;
    ada.set_visibility(Visibility::Visible);
    assert!(soon("she is ready", waiting).await.unwrap().unwrap().is_ready());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_route_at_once_get_two_people_until_one_is_released() {
    let server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let presence = presence(&nats);
    let beats = || Beats::default().can(["audio"]).rooms(["support"]);
    let _agents = (here(&nats, "ada", beats()).await, here(&nats, "bob", beats()).await);
    let both = Wait::room("support").need(2).ready_for("audio");
    assert!(presence.wait(&both, PATIENCE).await.unwrap().is_ready());

    let route = |id: &str| Route::room("support").ready_for("audio").id(id).reserve(Duration::from_secs(30));
    let (first, second) = (route("first"), route("second"));
    let (first, second) = tokio::join!(presence.route(&first), presence.route(&second));
    let (first, second) = (first.unwrap().reservation.unwrap(), second.unwrap().reservation.unwrap());
    assert_ne!(first.user(), second.user());
    assert!(presence.route(&route("third")).await.unwrap().reservation.is_none(), "both are held");
    let free = first.user().to_owned();
    first.release().await.unwrap();
    let third = presence.route(&route("third")).await.unwrap().reservation.expect("one is free");
    assert_eq!(third.user(), free);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_is_free_again_when_the_reservation_is_dropped_and_not_when_it_is_kept() {
    let server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let presence = presence(&nats);
    let _ada = here(&nats, "ada", Beats::default().can(["audio"]).rooms(["support"])).await;
    let one = Wait::room("support").ready_for("audio");
    assert!(presence.wait(&one, PATIENCE).await.unwrap().is_ready());
    let route = |id: &str| Route::room("support").id(id).reserve(Duration::from_secs(30));
    let first = presence.route(&route("first")).await.unwrap().reservation.expect("she is free");
    assert!(presence.route(&route("second")).await.unwrap().reservation.is_none());
    drop(first);
    let second = eventually("she is free again", async || {
        presence.route(&route("second")).await.expect("it is answered").reservation
    })
    .await;
    second.keep();
    assert!(presence.route(&route("third")).await.unwrap().reservation.is_none(), "for as long as it lasts");
    let again = presence.route(&route("second")).await.unwrap().reservation.expect("it holds her still");
    assert_eq!(again.user(), "ada");
    again.release().await.unwrap();
    assert!(presence.route(&route("third")).await.unwrap().reservation.is_some());
}
