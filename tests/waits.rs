//! `wait` and `route`: nobody is rung who can't answer, and no one twice at a time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use presence_engine::model::partition_of;
use presence_engine::nats::{LogIdentity, Nats};
use serde_json::{Value, json};

use common::ask::{Answer, ask, names, until};
use common::client::{Beating, signal};
use common::engine::{Engine, STILL, info};
use common::{TestServer, eventually, soon};

async fn one_engine(more: &str) -> (TestServer, Nats, Engine) {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let engine = Engine::start(&server.url(), &format!("{STILL}{more}")).await;
    (server, nats, engine)
}

/// A question that waits, in the background.
fn begin(nats: &Nats, question: Value) -> tokio::task::JoinHandle<Answer> {
    let nats = nats.clone();
    tokio::spawn(async move { ask(&nats, "wait", &question).await })
}

async fn able(nats: &Nats, user: &str) {
    signal(nats, user, "tab", &json!({"can": ["audio"], "rooms": ["desk"]})).await;
}

/// Waits until so many questions wait in all engines.
async fn as_many_wait(nats: &Nats, count: u64) {
    eventually("they wait", async || {
        let mut sum = 0;
        for engine in info(&nats.client).await?["members"].as_array().unwrap() {
            let subject = presence_engine::wire::subject::info_of(engine.as_str().unwrap());
            let info = nats.client.request(subject, "".into()).await.ok()?;
            sum += serde_json::from_slice::<Value>(&info.payload).unwrap()["waiting"].as_u64().unwrap();
        }
        (sum == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_is_ready_is_told_at_once_and_who_is_not_with_what_it_lacks() {
    let (_server, nats, _engine) = one_engine("").await;
    able(&nats, "ada").await;
    signal(&nats, "bob", "tab", &json!({"can": ["audio"], "intent": "dnd"})).await;
    signal(&nats, "carol", "tab", &json!({"can": ["audio"], "intent": "invisible"})).await;
    signal(&nats, "dave", "tab", &json!({})).await;
    let one = json!({"id": "1", "users": ["ada"], "for": "audio"});
    let answer = until(&nats, "wait", &one, |of| of["status"] == "ready").await;
    assert_eq!((names(&answer, "ready"), &answer["short"]), (vec!["ada".to_owned()], &json!(0)));
    assert!(answer["ready"][0]["since_ms"].as_u64() <= answer["as_of_ms"].as_u64(), "{answer}");
    let all = json!({"id": "2", "users": ["ada", "bob", "carol", "dave", "eve"], "for": "audio", "timeout_ms": 50});
    let lacks = |of: &Value| {
        let missing = of["missing"].as_array().unwrap().iter();
        missing.map(|of| of["why"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let answer = until(&nats, "wait", &all, |of| lacks(of)[2] == "incapable").await;
    assert_eq!((&answer["status"], &answer["short"]), (&json!("pending"), &json!(4)));
    assert_eq!(lacks(&answer), ["intent", "offline", "incapable", "offline"]);
    assert_eq!(names(&answer, "missing"), ["bob", "carol", "dave", "eve"]);
    let any = ask(&nats, "wait", &json!({"id": "3", "users": ["ada", "dave"], "timeout_ms": 0})).await.unwrap();
    assert_eq!(any["status"], "ready", "without `for` any ready state will do");
    let strict = json!({"id": "4", "users": ["ada"], "for": "audio", "min_confidence_permille": 1000});
    assert_eq!(ask(&nats, "wait", &strict).await.unwrap()["status"], "ready");
}

#[tokio::test]
async fn a_call_waits_until_the_hidden_tab_is_seen_again() {
    let (_server, nats, _engine) = one_engine("[profile.web]\nhidden_after = \"0s\"\n").await;
    let hidden = json!({"can": ["audio"], "profile": "web", "visibility": "hidden"});
    signal(&nats, "callee", "tab", &hidden).await;
    let question = json!({"id": "call", "users": ["callee"], "for": "audio", "timeout_ms": 25000});
    let away = json!({"id": "call", "users": ["callee"], "for": "audio", "timeout_ms": 0});
    until(&nats, "wait", &away, |of| of["missing"][0]["why"] == "state").await;
    let waiting = begin(&nats, question);
    as_many_wait(&nats, 1).await;
    signal(&nats, "callee", "tab", &json!({"visibility": "visible"})).await;
    let answer = soon("the call goes through", waiting).await.unwrap().unwrap();
    assert_eq!((&answer["status"], names(&answer, "ready")), (&json!("ready"), vec!["callee".to_owned()]));
}

#[tokio::test]
async fn those_of_several_engines_are_waited_for_together_and_an_owner_that_dies_is_replaced() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut first = Engine::start(&server.url(), STILL).await;
    let mut second = Engine::start(&server.url(), STILL).await;
    // One in each partition, so that both engines own some.
    let users: Vec<String> = (0..8)
        .map(|partition| {
            (0..).map(|n| format!("u{n}")).find(|user| partition_of("main", user, 8) == partition).unwrap()
        })
        .collect();
    for user in &users[1..] {
        able(&nats, user).await;
    }
    let question =
        |id: u64, timeout: u64| json!({"id": id.to_string(), "users": users, "for": "audio", "timeout_ms": timeout});
    until(&nats, "wait", &question(0, 0), |of| of["short"] == 1).await;
    let waiting: Vec<_> = (1..=8).map(|id| begin(&nats, question(id, 25_000))).collect();
    as_many_wait(&nats, 8).await;
    able(&nats, &users[0]).await;
    for answer in join_all(waiting).await {
        let answer = answer.unwrap().unwrap();
        assert_eq!((&answer["status"], names(&answer, "ready").len()), (&json!("ready"), 8), "{answer}");
    }

    signal(&nats, &users[0], "tab", &json!({"kind": "leave"})).await;
    until(&nats, "wait", &question(9, 0), |of| of["short"] == 1).await;
    second.kill();
    // Whoever asked the dead one hears nothing, and asks again; here a question is asked until one is answered.
    let late = question(10, 20_000);
    let waiting = until(&nats, "wait", &late, |of| of["status"] == "ready");
    let (answer, ()) = futures::join!(soon("the others have taken over", waiting), able(&nats, &users[0]));
    assert_eq!(names(&answer, "ready").len(), 8);
    first.must_run();
}

#[tokio::test]
async fn a_flicker_does_not_ring() {
    let (_server, nats, _engine) = one_engine("").await;
    able(&nats, "ada").await;
    let question = json!({"id": "x", "users": ["ada"], "for": "audio", "hold_ms": 600, "timeout_ms": 25000});
    let now = json!({"id": "x", "users": ["ada"], "for": "audio", "hold_ms": 60000, "timeout_ms": 0});
    let holding = until(&nats, "wait", &now, |of| of["missing"][0]["why"] == "holding").await;
    let waiting = begin(&nats, question);
    signal(&nats, "ada", "tab", &json!({"kind": "disconnect"})).await;
    until(&nats, "wait", &now, |of| of["missing"][0]["why"] == "closed").await;
    able(&nats, "ada").await;
    let answer = soon("it lasts", waiting).await.unwrap().unwrap();
    let since = answer["ready"][0]["since_ms"].as_u64().unwrap();
    assert_eq!(answer["status"], "ready");
    assert!(since > holding["as_of_ms"].as_u64().unwrap(), "readiness began anew: {answer}");
}

#[tokio::test]
async fn a_hold_that_is_longer_than_beats_are_apart_is_reached_whatever_is_asked_for() {
    let (_server, nats, _engine) = one_engine("").await;
    let heart = Beating::start(&nats, vec!["ada.tab".into()], Duration::from_millis(100));
    heart.more(1).await;
    for sure in [json!(1000), Value::Null] {
        let question =
            json!({"id": "x", "users": ["ada"], "min_confidence_permille": sure, "hold_ms": 1500, "timeout_ms": 25000});
        let answer = ask(&nats, "wait", &question).await.unwrap();
        assert_eq!((&answer["status"], names(&answer, "ready")), (&json!("ready"), vec!["ada".to_owned()]), "{answer}");
    }
    heart.stop().await;
}

#[tokio::test]
async fn ten_thousand_wait_in_one_engine_and_all_are_answered_by_one_signal() {
    const WAITS: usize = 10_000;
    let (server, nats, _engine) = one_engine("").await;
    signal(&nats, "star", "tab", &json!({})).await;
    let question = json!({"id": "x", "users": ["star"], "for": "audio", "timeout_ms": 25000});
    until(&nats, "wait", &json!({"id": "x", "users": ["star"], "timeout_ms": 0}), |of| of["status"] == "ready").await;
    let asking = server.connect().await;
    let mut answers = asking.client.subscribe("answers").await.unwrap();
    for _ in 0..WAITS {
        let sent =
            asking.client.publish_with_reply("presence.v1.ask.main.wait", "answers", question.to_string().into());
        sent.await.unwrap();
    }
    as_many_wait(&nats, WAITS as u64).await;
    signal(&nats, "star", "tab", &json!({"can": ["audio"]})).await;
    for _ in 0..WAITS {
        let answer = soon("an answer", answers.next()).await.unwrap();
        let answer = common::ask::read(&answer).unwrap();
        assert_eq!(answer["status"], "ready");
    }
}

/// How much processor time a process has taken so far.
fn cpu_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = [fields[11], fields[12]].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    ticks * 10
}

#[tokio::test]
async fn two_thousand_wait_for_one_room_and_all_are_answered_by_one_signal() {
    const WAITS: usize = 2_000;
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let engine = Engine::start(&server.url(), &STILL.replace("partitions = 8", "partitions = 64")).await;
    for user in 0..100 {
        signal(&nats, &format!("u{user}"), "tab", &json!({"rooms": ["desk"]})).await;
    }
    let room = |need: u64, timeout: u64| json!({"id": "x", "room": "desk", "for": "audio", "need": need, "timeout_ms": timeout});
    until(&nats, "room", &json!({"room": "desk"}), |of| of["users"]["active"] == 100).await;
    let asking = server.connect().await;
    let mut answers = asking.client.subscribe("answers").await.unwrap();
    for _ in 0..WAITS {
        let question = room(1, 25_000).to_string();
        asking.client.publish_with_reply("presence.v1.ask.main.wait", "answers", question.into()).await.unwrap();
    }
    let asked = cpu_ms(engine.pid());
    as_many_wait(&nats, WAITS as u64).await;
    let began = (cpu_ms(engine.pid()), LogIdentity::read(&nats).await.unwrap().last_seq);
    // Ticks are all that comes.
    eventually("a while passes", async || {
        (LogIdentity::read(&nats).await.unwrap().last_seq >= began.1 + 4).then_some(())
    })
    .await;
    let waiting = (cpu_ms(engine.pid()), std::time::Instant::now());
    // Changes that make nobody ready: each concerns everybody who waits.
    for user in 0..20 {
        signal(&nats, &format!("u{user}"), "tab", &json!({"visibility": "hidden"})).await;
        signal(&nats, &format!("u{user}"), "tab", &json!({"can": ["video"]})).await;
    }
    until(&nats, "wait", &json!({"id": "x", "users": ["u19"], "for": "video", "timeout_ms": 0}), |of| {
        of["status"] == "ready"
    })
    .await;
    let (changed, changes) = (cpu_ms(engine.pid()), waiting.1.elapsed());
    signal(&nats, "u99", "tab", &json!({"can": ["audio"]})).await;
    let signalled = std::time::Instant::now();
    for _ in 0..WAITS {
        let answer = common::ask::read(&soon("an answer", answers.next()).await.unwrap()).unwrap();
        assert_eq!((&answer["status"], names(&answer, "ready")), (&json!("ready"), vec!["u99".to_owned()]));
    }
    let (answered, end) = (signalled.elapsed(), cpu_ms(engine.pid()));
    println!(
        "processor time: {} ms to begin, {} ms for four ticks, {} ms for changes in {changes:?}, {} ms to answer in {answered:?}",
        began.0.saturating_sub(asked),
        waiting.0 - began.0,
        changed - waiting.0,
        end - changed
    );
}

#[tokio::test]
async fn a_tenant_that_waits_too_often_is_told_so_and_a_room_waits_for_as_many_as_are_needed() {
    let (_server, nats, _engine) = one_engine("[limits]\nwaits_per_tenant = 2\n").await;
    able(&nats, "ada").await;
    let room = |need: u64, timeout: u64| json!({"id": "r", "room": "desk", "for": "audio", "need": need, "timeout_ms": timeout});
    until(&nats, "wait", &room(1, 0), |of| of["status"] == "ready").await;
    let waiting = [begin(&nats, room(2, 25_000)), begin(&nats, room(2, 25_000))];
    as_many_wait(&nats, 2).await;
    let (code, why) = ask(&nats, "wait", &room(2, 0)).await.unwrap_err();
    assert_eq!(code, 429);
    assert_eq!(why, "limit reached: limits.waits_per_tenant is 2; ask again when others have been answered");
    able(&nats, "bob").await;
    for waiting in waiting {
        let answer = soon("two are ready", waiting).await.unwrap().unwrap();
        assert_eq!(names(&answer, "ready"), ["ada", "bob"]);
    }
}

#[tokio::test]
async fn whom_to_ask_is_told_in_order_with_reasons_and_never_who_does_not_want_to() {
    let (_server, nats, _engine) = one_engine("").await;
    signal(&nats, "busy", "tab", &json!({"can": ["audio"], "rooms": ["desk"], "intent": "busy"})).await;
    signal(&nats, "ghost", "tab", &json!({"can": ["audio"], "rooms": ["desk"], "intent": "invisible"})).await;
    signal(&nats, "loaded", "tab", &json!({"can": ["audio"], "rooms": ["desk", "call-1", "call-2"]})).await;
    signal(&nats, "quiet", "tab", &json!({"can": ["audio"], "rooms": ["desk"], "input_age_ms": 60000})).await;
    signal(&nats, "fresh", "tab", &json!({"can": ["audio"], "rooms": ["desk"], "input_age_ms": 0})).await;
    let route = |order: &str| json!({"id": "x", "room": "desk", "for": "audio", "order": order});
    let answer = until(&nats, "route", &route("best"), |of| of["routes"].as_array().unwrap().len() == 3).await;
    assert_eq!(names(&answer, "routes"), ["fresh", "quiet", "loaded"]);
    assert_eq!((&answer["reserved"], &answer["routes"][2]["load"]), (&Value::Null, &json!(2)));
    let reasons = answer["routes"][2]["reasons"].as_array().unwrap();
    assert!(reasons.contains(&json!("in 2 rooms that match call-*")), "{reasons:?}");
    let idle = ask(&nats, "route", &route("longest_idle")).await.unwrap();
    assert_eq!(names(&idle, "routes")[0], "quiet");
    let spread = ask(&nats, "route", &route("spread")).await.unwrap();
    assert_eq!(names(&spread, "routes")[2], "loaded");
    let named = json!({"id": "x", "candidates": ["busy", "ghost", "loaded", "nobody"], "limit": 1});
    assert_eq!(names(&ask(&nats, "route", &named).await.unwrap(), "routes"), ["loaded"]);
}

#[tokio::test]
async fn two_callers_never_get_the_same_person() {
    let (_server, nats, _engine) = one_engine("").await;
    for user in ["ada", "bob", "carol"] {
        able(&nats, user).await;
    }
    let route = |id: &str, reserve: u64| json!({"id": id, "room": "desk", "for": "audio", "reserve_ms": reserve});
    until(&nats, "route", &json!({"id": "x", "room": "desk"}), |of| of["routes"].as_array().unwrap().len() == 3).await;
    let nats = Arc::new(nats);
    let callers = (0..8).map(|caller| {
        let nats = Arc::clone(&nats);
        tokio::spawn(async move { ask(&nats, "route", &route(&format!("call-{caller}"), 30_000)).await.unwrap() })
    });
    let answers: Vec<Value> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    let held: Vec<&str> = answers.iter().filter_map(|of| of["reserved"]["user"].as_str()).collect();
    assert_eq!(held.iter().collect::<BTreeSet<_>>().len(), held.len(), "nobody is held twice: {held:?}");
    assert_eq!(held.len(), 3, "as many callers as there are people got one: {held:?}");
    let winner = answers.iter().find(|of| !of["reserved"].is_null()).unwrap();
    let (id, whom) = (winner["id"].as_str().unwrap(), winner["reserved"]["user"].as_str().unwrap());

    let again = ask(&nats, "route", &route(id, 30_000)).await.unwrap();
    assert_eq!(again["reserved"]["user"], whom, "the same question holds the same person");
    let other = ask(&nats, "route", &route("late", 30_000)).await.unwrap();
    assert_eq!((names(&other, "routes").len(), &other["reserved"]), (0, &Value::Null));
    ask(&nats, "route", &json!({"id": id, "release": true})).await.unwrap();
    let late = ask(&nats, "route", &route("late", 1_000)).await.unwrap();
    assert_eq!(late["reserved"]["user"], whom, "who is released can be had");
    let next = until(&nats, "route", &route("next", 30_000), |of| !of["reserved"].is_null()).await;
    assert_eq!(next["reserved"]["user"], whom, "a reservation ends by itself");
    let gone = ask(&nats, "route", &route("next", 0)).await.unwrap();
    assert_eq!((&gone["reserved"], names(&gone, "routes")), (&Value::Null, vec![whom.to_owned()]), "0 releases");
}

#[tokio::test]
async fn who_waits_in_an_engine_that_ends_is_told_to_ask_again() {
    let (_server, nats, mut engine) = one_engine("").await;
    able(&nats, "ada").await;
    let question = json!({"id": "x", "users": ["bob"], "for": "audio", "timeout_ms": 25000});
    until(&nats, "wait", &json!({"id": "x", "users": ["ada"], "timeout_ms": 0}), |of| of["status"] == "ready").await;
    let waiting = begin(&nats, question);
    as_many_wait(&nats, 1).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    let (code, why) = soon("it is answered", waiting).await.unwrap().unwrap_err();
    assert_eq!(code, 503, "{why}");
}

#[tokio::test]
async fn a_question_keeps_its_person_whatever_place_that_has_by_now_and_others_get_the_next() {
    let (_server, nats, _engine) = one_engine("").await;
    for user in ["ada", "bob"] {
        signal(&nats, user, "tab", &json!({"can": ["audio"], "rooms": ["desk"], "input_age_ms": 5000})).await;
    }
    let route = |id: &str| json!({"id": id, "room": "desk", "for": "audio", "limit": 1, "reserve_ms": 30000});
    until(&nats, "route", &json!({"id": "x", "room": "desk"}), |of| names(of, "routes").len() == 2).await;
    let first = ask(&nats, "route", &route("first")).await.unwrap();
    let whom = first["reserved"]["user"].as_str().unwrap().to_owned();
    let other = if whom == "ada" { "bob" } else { "ada" };
    // The other one is the better by far now.
    signal(&nats, other, "tab", &json!({"input_age_ms": 0})).await;
    let best = json!({"id": "y", "room": "desk", "for": "audio"});
    until(&nats, "route", &best, |of| names(of, "routes").first().is_some_and(|first| first == other)).await;
    let again = ask(&nats, "route", &route("first")).await.unwrap();
    assert_eq!((names(&again, "routes"), &again["reserved"]["user"]), (vec![whom.clone()], &json!(whom)));
    let second = ask(&nats, "route", &route("second")).await.unwrap();
    assert_eq!(second["reserved"]["user"], other, "there is somebody further down");
}
