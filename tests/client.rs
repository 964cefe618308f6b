//! The Rust client: sessions that beat by themselves and transitions that are followed, with the real engine; questions, with
//! a stand-in that answers as SERVICES.md says.

#[path = "client/asked.rs"]
mod asked;
#[path = "client/asks.rs"]
mod asks;
mod common;
#[path = "client/followed.rs"]
mod followed;

use std::time::Duration;

use common::engine::{Engine, STILL};
use common::streams::{events_of, log};
use common::told::Subscriber;
use common::{TestServer, Wire, eventually, soon};
use presence_engine::client::{Beats, Heartbeats, Intent, Visibility};
use presence_engine::nats::Nats;
use serde_json::{Value, json};

const EVERY: Duration = Duration::from_secs(1);

fn start(nats: &Nats, user: &str, beats: Beats) -> Heartbeats {
    Heartbeats::start(nats.client.clone(), "main", user, "tab", beats).expect("names and facts are sound")
}

async fn acknowledged(session: &Heartbeats) {
    soon("the log has what was said", session.acknowledged()).await.expect("the session goes on");
}

/// What the log has of a user's session `tab`, in its order.
async fn said(nats: &Nats, user: &str) -> Vec<Value> {
    let end = format!(".signal.main.{user}.tab");
    log(nats).await.iter().filter(|entry| entry.subject.ends_with(&end)).map(common::streams::Stored::json).collect()
}

async fn until_said(nats: &Nats, user: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{user} has said {count} signals"), async || {
        let said = said(nats, user).await;
        (said.len() >= count).then_some(said)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_active_from_its_first_beat_away_out_of_sight_and_offline_when_it_leaves() {
    let server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), &STILL.replace("30m", "0s")).await;
    let nats = server.connect().await;
    let told = Subscriber::on(&nats, "presence.v1.session.main.>").await;
    let subject = "presence.v1.session.main.a=40b.tab";
    let session = start(&nats, "a@b", Beats::every(EVERY));
    told.until_state(subject, "active").await;
    session.set_visibility(Visibility::Hidden);
    told.until_state(subject, "away").await;
    session.set_visibility(Visibility::Visible);
    told.until_state(subject, "active").await;
    session.leave().await.expect("the log has the leave");
    let events = told.until_state(subject, "offline").await;
    let causes: Vec<_> = events.iter().map(|event| event["cause"].as_str().expect("a cause")).collect();
    assert_eq!(causes, ["joined", "hidden", "visible", "left"]);
    assert_eq!(events[0]["every_ms"], 1_100, "a tenth more than the interval is promised");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_dropped_leaves() {
    let server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let told = Subscriber::on(&nats, "presence.v1.session.main.>").await;
    let session = start(&nats, "ada", Beats::every(EVERY));
    acknowledged(&session).await;
    drop(session);
    let events = told.until_state("presence.v1.session.main.ada.tab", "offline").await;
    assert_eq!(events.last().expect("it was told")["cause"], "left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_together_is_said_together_and_at_once() {
    let server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    // Nothing but what is set makes it speak while the test runs.
    let session = start(&nats, "ada", Beats::every(Duration::from_secs(3_000)));
    acknowledged(&session).await;
    session.set_can(["audio", "video"]).expect("two are few");
    session.set_rooms(["the lobby"]).expect("it can be a room");
    session.set_meta(json!({"app": "editor"}).as_object().expect("an object").clone()).expect("it is small");
    session.set_intent(Intent::Busy, None);
    for _ in 0..50 {
        session.input();
    }
    acknowledged(&session).await;
    let said = said(&nats, "ada").await;
    assert!((2..=3).contains(&said.len()), "one beat, and what was set in one more, or two: {said:?}");
    let last = said.last().expect("it has spoken");
    assert_eq!(last["can"], json!(["audio", "video"]));
    assert_eq!(last["rooms"], json!(["the lobby"]));
    assert_eq!(last["meta"], json!({"app": "editor"}));
    assert_eq!(last["intent"], "busy");
    assert!(last["input_age_ms"].is_u64());
    eventually("the user is told to be busy", async || {
        let events = events_of(&nats, "presence.v1.user.main.ada").await;
        events.last().is_some_and(|event| event["intent"] == "busy").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_that_is_said_again_with_a_time_counts_again() {
    let server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let session = start(&nats, "ada", Beats::every(EVERY));
    let untils = async |count: usize| {
        eventually("the user is told to be busy until then", async || {
            let events = events_of(&nats, "presence.v1.user.main.ada").await;
            let untils: Vec<_> = events.iter().filter_map(|event| event["intent_until_ms"].as_u64()).collect();
            let distinct: std::collections::BTreeSet<_> = untils.into_iter().collect();
            (distinct.len() >= count).then_some(distinct)
        })
        .await
    };
    session.set_intent(Intent::Busy, Some(Duration::from_secs(600)));
    let first = untils(1).await;
    session.set_intent(Intent::Busy, Some(Duration::from_secs(3_600)));
    let both = untils(2).await;
    let longer = both.last().expect("two") - first.first().expect("one");
    assert!(longer > 2_900_000, "the later time holds: {longer} ms more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_over_a_restart_of_the_server_and_its_seq_grows() {
    let mut server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let nats = server.connect().await;
    let session = start(&nats, "ada", Beats::every(EVERY));
    let before = until_said(&nats, "ada", 2).await.len();
    server.kill();
    server.restart().await;
    acknowledged(&session).await;
    let said = until_said(&nats, "ada", before + 2).await;
    let seqs: Vec<_> = said.iter().map(|signal| signal["seq"].as_u64().expect("every signal says it")).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
    let epochs: std::collections::BTreeSet<_> = said.iter().map(|signal| signal["epoch"].as_u64()).collect();
    assert_eq!(epochs.len(), 1, "one session, one start");
    eventually("nobody was told offline", async || {
        let events = events_of(&nats, "presence.v1.session.main.ada").await;
        assert!(events.iter().all(|event| event["to"] != "offline"), "{events:?}");
        (!events.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_cut_brings_no_flood_of_old_beats() {
    let (server, nats) = TestServer::with_topology().await;
    let wire = Wire::to(&server).await;
    let behind_wire = common::connect(&wire.url()).await;
    let cut = start(&behind_wire, "cut", Beats::every(EVERY).rooms(["lobby"]));
    let _whole = start(&nats, "whole", Beats::every(EVERY));
    acknowledged(&cut).await;
    wire.take_down();
    let before = until_said(&nats, "cut", 1).await.len();
    let so_far = until_said(&nats, "whole", 1).await.len();
    until_said(&nats, "whole", so_far + 8).await;
    let meanwhile = said(&nats, "cut").await.len();
    assert!(meanwhile <= before + 1, "nothing comes through a wire that is cut");
    cut.set_can(["audio"]).expect("one is few");
    wire.mend();
    acknowledged(&cut).await;
    let said = said(&nats, "cut").await;
    assert!(said.len() - meanwhile < 5, "eight beats were due, four could be under way at most: {said:?}");
    let last = said.last().expect("it has spoken");
    assert_eq!((&last["can"], &last["rooms"]), (&json!(["audio"]), &json!(["lobby"])), "everything is said again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_log_is_told_that_its_leave_is_not_stored() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let session = start(&nats, "ada", Beats::every(EVERY));
    let error = soon("it gives up", session.leave()).await.expect_err("there is no stream");
    assert!(error.to_string().contains("has not acknowledged"), "{error}");
}
