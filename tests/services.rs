//! The micro services: who asks any engine is told how it is, or that nobody knows now, and never something else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::Message;
use futures::StreamExt;
use presence_engine::model::partition_of;
use presence_engine::nats::{LogIdentity, Nats};
use serde_json::{Value, json};

use common::client::{beat, publish, raw_publish, signal};
use common::engine::{Engine, STILL};
use common::{TestServer, eventually, streams};

/// An answer, or the code and the text of the error.
type Answer = Result<Value, (u16, String)>;

fn read(answer: &Message) -> Answer {
    let header = |name: &str| Some(answer.headers.as_ref()?.get(name)?.as_str().to_owned());
    match (header("Nats-Service-Error-Code"), header("Nats-Service-Error")) {
        (Some(code), Some(why)) => Err((code.parse().unwrap(), why)),
        (None, None) => Ok(serde_json::from_slice(&answer.payload).unwrap()),
        odd => panic!("half an error: {odd:?}"),
    }
}

async fn ask_of(nats: &Nats, tenant: &str, verb: &str, question: impl Into<Vec<u8>>) -> Answer {
    let question = question.into();
    eventually("it is answered", async || {
        // On a busy machine an engine may not be able to say it; who is told to ask again does so.
        let answer = try_ask_of(nats, tenant, verb, question.clone()).await.expect("somebody answers");
        answer.as_ref().err().is_none_or(|(code, _)| *code != 503).then_some(answer)
    })
    .await
}

/// Nothing where the engine that was asked is killed, so that nobody answers.
async fn try_ask_of(nats: &Nats, tenant: &str, verb: &str, question: impl Into<Vec<u8>>) -> Option<Answer> {
    let question = question.into();
    let subject = format!("presence.v1.ask.{tenant}.{verb}");
    let request = async_nats::Request::new().payload(question.into()).timeout(Some(Duration::from_secs(10)));
    nats.client.send_request(subject, request).await.ok().map(|answer| read(&answer))
}

async fn ask(nats: &Nats, verb: &str, question: &Value) -> Answer {
    ask_of(nats, "main", verb, question.to_string()).await
}

/// Asks until the answer is as it should be; an error ends nothing, since engines may be on their way.
async fn until(nats: &Nats, verb: &str, question: &Value, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("{verb} {question} is answered so"), async || {
        ask(nats, verb, question).await.ok().filter(|answer| is_so(answer))
    })
    .await
}

fn names(answer: &Value, list: &str) -> Vec<String> {
    answer[list].as_array().unwrap().iter().map(|user| user["user"].as_str().unwrap().to_owned()).collect()
}

/// What of an answer does not follow from when it was asked.
fn timeless(mut answer: Value) -> Value {
    answer["as_of_ms"] = json!(0);
    answer["now"]["at_ms"] = json!(0);
    answer
}

async fn one_engine() -> (TestServer, Nats, Engine) {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let engine = Engine::start(&server.url(), STILL).await;
    (server, nats, engine)
}

#[tokio::test]
async fn a_user_and_a_session_are_the_latest_event_and_how_they_are_now() {
    let (_server, nats, _engine) = one_engine().await;
    signal(&nats, "a=40b", "tab", &json!({"can": ["audio"], "rooms": ["lobby"], "meta": {"a": {"b": {}}}})).await;
    let user = until(&nats, "user", &json!({"user": "a@b"}), |answer| answer["to"] == "active").await;
    assert_eq!((&user["kind"], &user["user"], &user["ready"]), (&json!("user"), &json!("a@b"), &json!(["audio"])));
    assert_eq!((&user["ordinal"], &user["now"]["state"]), (&json!(1), &json!("active")));
    assert_eq!((&user["now"]["confidence_permille"], &user["now"]["at_ms"]), (&json!(1000), &user["as_of_ms"]));
    assert!(user["as_of_ms"].as_u64() >= user["at_ms"].as_u64());
    let session = until(&nats, "session", &json!({"user": "a@b", "session": "tab"}), |of| of["to"] == "active").await;
    assert_eq!((&session["kind"], &session["session"]), (&json!("session"), &json!("tab")));
    assert_eq!((&session["meta"], &session["now"]["state"]), (&json!({"a": {"b": {}}}), &json!("active")));
}

#[tokio::test]
async fn the_answers_of_an_engine_that_tells_in_messagepack_are_json() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let _engine = Engine::start(&server.url(), &format!("{STILL}[events]\nencoding = \"msgpack\"\n")).await;
    signal(&nats, "ada", "tab", &json!({"can": ["audio"]})).await;
    let user = until(&nats, "user", &json!({"user": "ada"}), |answer| answer["to"] == "active").await;
    assert_eq!((&user["ordinal"], &user["now"]["state"]), (&json!(1), &json!("active")));
}

#[tokio::test]
async fn who_is_absent_offline_unknown_or_invisible_looks_alike() {
    let (_server, nats, _engine) = one_engine().await;
    signal(&nats, "ivan", "tab", &json!({"epoch": 1, "seq": 1})).await;
    signal(&nats, "lena", "tab", &json!({"epoch": 1, "seq": 1})).await;
    signal(&nats, "hera", "tab", &json!({"epoch": 1, "seq": 1, "intent": "invisible"})).await;
    for user in ["ivan", "lena"] {
        until(&nats, "user", &json!({ "user": user }), |answer| answer["to"] == "active").await;
    }
    signal(&nats, "ivan", "tab", &json!({"epoch": 1, "seq": 2, "intent": "invisible"})).await;
    signal(&nats, "lena", "tab", &json!({"kind": "leave", "epoch": 1, "seq": 2})).await;
    for user in ["ivan", "lena"] {
        until(&nats, "user", &json!({ "user": user }), |answer| answer["to"] == "offline").await;
    }
    let expected = |user: &str| {
        let now = json!({"state": "offline", "confidence_permille": 0, "at_ms": 0});
        json!({"v": 1, "kind": "user", "tenant": "main", "user": user, "to": "offline", "now": now, "as_of_ms": 0})
    };
    for user in ["ivan", "lena", "hera", "nobody"] {
        assert_eq!(timeless(ask(&nats, "user", &json!({ "user": user })).await.unwrap()), expected(user));
        let mut entry = ask(&nats, "users", &json!({"users": [user]})).await.unwrap()["users"][0].clone();
        assert_eq!(entry["user"].take(), user);
        let offline = json!({"user": null, "state": "offline", "incarnation": null, "ordinal": null, "intent": "open", "confidence_permille": 0, "last_seen_ms": null,
            "last_input_ms": null, "ready": [], "next": null});
        assert_eq!(entry, offline);
    }
    assert_eq!(names(&ask(&nats, "users", &json!({})).await.unwrap(), "users"), Vec::<String>::new());
    // Sessions are for operators and for the user itself.
    for (user, state) in [("ivan", "active"), ("lena", "offline"), ("nobody", "offline")] {
        let session = ask(&nats, "session", &json!({"user": user, "session": "tab"})).await.unwrap();
        assert_eq!((&session["to"], &session["now"]["state"]), (&json!(state), &json!(state)), "{user}");
    }
}

#[tokio::test]
async fn what_can_not_be_answered_says_why() {
    let (_server, nats, _engine) = one_engine().await;
    beat(&nats, "ada", "tab").await;
    until(&nats, "user", &json!({"user": "ada"}), |answer| answer["to"] == "active").await;
    let many: Vec<String> = (0..257).map(|user| format!("u{user}")).collect();
    for (verb, question, code, why) in [
        ("user", "", 400, "`user` is missing, it has to be a name"),
        ("user", "{\"user\":", 400, "the question is no JSON: EOF while parsing a value at line 1 column 8"),
        ("user", "[]", 400, "the question is a list, it has to be a JSON object"),
        ("user", r#"{"user":5}"#, 400, "`user` is 5, it has to be a name, which is a text"),
        ("user", r#"{"user":""}"#, 400, "`user`: a name must not be empty"),
        ("session", r#"{"user":"ada"}"#, 400, "`session` is missing, it has to be a name"),
        ("users", r#"{"limit":0}"#, 400, "`limit` is 0, it has to be within 1 to 256"),
        ("users", &json!({ "users": many }).to_string(), 400, "`users` has 257 entries, it has to have 1 to 256"),
        (
            "users",
            r#"{"states":["here"]}"#,
            400,
            "`states[0]` is \"here\", it has to be one of active, idle, away, stale, offline",
        ),
        ("room", r#"{"room":"lobby","members":1}"#, 400, "`members` is 1, it has to be true or false"),
        ("users", &" ".repeat(65_537), 413, "the question has 65537 bytes, the limit is 65536"),
    ] {
        let expected = Err((code, why.to_owned()));
        assert_eq!(ask_of(&nats, "main", verb, question).await, expected, "{verb}");
    }
    let long = ask(&nats, "user", &json!({"user": "x".repeat(193)})).await.unwrap_err();
    assert_eq!(long, (400, "`user`: a name of 193 bytes (escaped) is above the limit of 192".into()));
    let hostile = ask(&nats, "users", &json!({"limit": "1\r\nNats-Service-Error-Code: 200"})).await.unwrap_err();
    assert_eq!(hostile.0, 400);
    let tenant = ask_of(&nats, "a=zz", "user", r#"{"user":"ada"}"#).await.unwrap_err();
    assert!(tenant.0 == 400 && tenant.1.starts_with("the tenant in the subject: the escape at byte 1"), "{tenant:?}");
    for (verb, question) in [
        ("user", json!({"user": "ada"})),
        ("session", json!({"user": "ada", "session": "tab"})),
        ("users", json!({})),
        ("users", json!({"users": ["ada"]})),
        ("room", json!({"room": "lobby"})),
    ] {
        let (code, why) = ask_of(&nats, "a=40b", verb, question.to_string()).await.unwrap_err();
        assert!(code == 404 && why.starts_with("nobody was ever heard of under the tenant a@b: check"), "{code} {why}");
    }
    // Who left is heard of, and so is who is here.
    assert!(ask_of(&nats, "main", "user", r#"{"user":"bob"}"#).await.is_ok());
    signal(&nats, "ada", "tab", &json!({"kind": "leave"})).await;
    until(&nats, "user", &json!({"user": "ada"}), |answer| answer["to"] == "offline").await;
    assert!(ask(&nats, "room", &json!({"room": "lobby"})).await.is_ok());
}

#[tokio::test]
async fn an_unknown_verb_finds_nobody() {
    let (_server, nats, _engine) = one_engine().await;
    let error = nats.client.request("presence.v1.ask.main.weather", "{}".into()).await.unwrap_err();
    assert_eq!(error.kind(), async_nats::client::RequestErrorKind::NoResponders);
}

#[tokio::test]
async fn users_are_told_in_the_order_in_which_they_are_asked_for() {
    let (_server, nats, _engine) = one_engine().await;
    signal(&nats, "bob", "tab", &json!({"can": ["audio", "video"], "state": "idle"})).await;
    signal(&nats, "ada", "tab", &json!({"intent": "busy"})).await;
    let last = publish(&nats, "presence.v1.signal.other.eve.tab", "").await;
    streams::told_up_to(&nats, last).await;
    let question = json!({"users": ["carol", "bob", "ada", "eve"]});
    let answer = until(&nats, "users", &question, |answer| answer["users"][1]["state"] == "idle").await;
    assert_eq!(names(&answer, "users"), ["carol", "bob", "ada", "eve"]);
    let of = |field: &str| -> Vec<Value> {
        answer["users"].as_array().unwrap().iter().map(|user| user[field].clone()).collect()
    };
    assert_eq!(of("state"), ["offline", "idle", "active", "offline"]);
    assert_eq!(of("intent"), ["open", "open", "busy", "open"]);
    assert_eq!(of("ready"), [json!([]), json!(["audio", "video"]), json!([]), json!([])]);
    assert_eq!(answer["after"], Value::Null);
}

#[tokio::test]
async fn pages_are_whole_while_people_come_and_go() {
    let (_server, nats, _engine) = one_engine().await;
    let stay: BTreeSet<String> = (0..60).map(|user| format!("u{user:02}")).collect();
    for user in &stay {
        signal(&nats, user, "tab", &json!({"rooms": ["lobby"]})).await;
    }
    until(&nats, "users", &json!({"limit": 256}), |answer| names(answer, "users").len() == 60).await;
    for (verb, list, more) in
        [("users", "users", json!({})), ("room", "members", json!({"room": "lobby", "members": true}))]
    {
        let (mut found, mut after, mut round) = (Vec::new(), Value::Null, 0);
        loop {
            // Somebody comes before and behind the place where the page stands, and somebody goes.
            for user in [format!("a{round}"), format!("v{round}")] {
                signal(&nats, &user, "tab", &json!({"rooms": ["lobby"]})).await;
            }
            signal(&nats, &format!("a{}", round - 1), "tab", &json!({"kind": "leave"})).await;
            let mut question = more.clone();
            (question["limit"], question["after"]) = (json!(7), after.clone());
            let page = ask(&nats, verb, &question).await.unwrap();
            found.extend(names(&page, list));
            after = page["after"].clone();
            round += 1;
            assert!(names(&page, list).len() == 7 || after.is_null());
            if after.is_null() {
                break;
            }
        }
        assert!(found.is_sorted(), "{found:?}");
        let distinct: BTreeSet<String> = found.iter().cloned().collect();
        assert_eq!(distinct.len(), found.len(), "nobody twice");
        assert!(distinct.is_superset(&stay), "everybody who stayed");
    }
    let page = ask(&nats, "users", &json!({"states": ["idle", "stale"]})).await.unwrap();
    assert_eq!((names(&page, "users").len(), &page["after"]), (0, &Value::Null));
}

#[tokio::test]
async fn a_page_and_what_is_told_from_its_follow_from_is_every_transition_without_a_gap() {
    let (_server, nats, _engine) = one_engine().await;
    for user in 0..20 {
        beat(&nats, &format!("u{user}"), "tab").await;
    }
    let busy = nats.clone();
    let load = tokio::spawn(async move {
        for round in 0_u64.. {
            let user = format!("u{}", round % 20);
            let signal_of = match (round / 20) % 4 {
                0 => json!({"state": "away"}),
                1 => json!({"kind": "leave"}),
                2 => json!({"state": "active"}),
                _ => json!({"state": "idle"}),
            };
            signal(&busy, &user, "tab", &signal_of).await;
        }
    });
    let mut pages = Vec::new();
    for _ in 0..20 {
        pages.push(ask(&nats, "users", &json!({"limit": 256})).await.unwrap());
    }
    load.abort();
    // What a page knows may be committed after it.
    streams::told_up_to(&nats, LogIdentity::read(&nats).await.unwrap().last_seq).await;
    let events: Vec<(u64, Value)> = (streams::read(&nats, "PRESENCE_EVENTS").await.into_iter())
        .filter(|event| event.subject.contains("v1.user."))
        .map(|event| (event.seq, serde_json::from_slice(&event.payload).unwrap()))
        .collect();
    for page in pages {
        let seen: BTreeMap<String, String> = (page["users"].as_array().unwrap().iter())
            .map(|user| (user["user"].as_str().unwrap().into(), user["state"].as_str().unwrap().into()))
            .collect();
        let from = page["follow_from"].as_u64().unwrap();
        for user in (0..20).map(|user| format!("u{user}")) {
            let of_it: Vec<&(u64, Value)> = events.iter().filter(|(_, event)| event["user"] == *user).collect();
            let state = seen.get(&user).map_or("offline", String::as_str);
            // The page has the state of some event of this chain, not of one before what is to be followed.
            let before = of_it.iter().rposition(|(seq, _)| *seq <= from);
            let known = before.map_or(json!("offline"), |at| of_it[at].1["to"].clone());
            let later = of_it.iter().filter(|(seq, _)| *seq > from).map(|(_, event)| event["to"].clone());
            let possible: Vec<Value> = [known].into_iter().chain(later).collect();
            assert!(possible.contains(&json!(state)), "{user} is {state}, possible {possible:?}");
        }
    }
}

#[tokio::test]
async fn a_room_is_the_sum_of_its_partitions() {
    let (_server, nats, _engine) = one_engine().await;
    for user in 0..12 {
        let state = if user % 3 == 0 { "away" } else { "active" };
        let signal_of = json!({"state": state, "rooms": ["room 1"], "can": ["audio"]});
        signal(&nats, &format!("u{user}"), "tab", &signal_of).await;
        signal(&nats, &format!("u{user}"), "phone", &json!({"rooms": ["other"]})).await;
    }
    let partitions: BTreeSet<u16> = (0..12).map(|user| partition_of("main", &format!("u{user}"), 8)).collect();
    assert!(partitions.len() > 2);
    let question = json!({"room": "room 1", "members": true, "limit": 5});
    let room = until(&nats, "room", &question, |room| room["users"]["active"] == 8 && room["users"]["away"] == 4).await;
    assert_eq!(room["sessions"], json!({"active": 8, "idle": 0, "away": 4, "stale": 0}));
    assert_eq!((&room["room"], &room["expected_permille"]), (&json!("room 1"), &json!(12_000)));
    assert_eq!((&room["variance_permille"], &room["after"]), (&json!(0), &json!("u2")));
    assert_eq!(names(&room, "members"), ["u0", "u1", "u10", "u11", "u2"]);
    assert_eq!(room["members"][0]["state"], "away", "that in the room");
    let empty = ask(&nats, "room", &json!({"room": "attic"})).await.unwrap();
    assert_eq!(empty["users"], json!({"active": 0, "idle": 0, "away": 0, "stale": 0}));
    assert!(empty.get("members").is_none() && empty.get("after").is_none());
}

async fn srv(nats: &Nats, verb: &str, count: usize) -> Vec<Value> {
    let inbox = nats.client.new_inbox();
    let mut answers = nats.client.subscribe(inbox.clone()).await.unwrap();
    nats.client.publish_with_reply(format!("$SRV.{verb}.presence"), inbox, "".into()).await.unwrap();
    let mut all = Vec::new();
    while all.len() < count {
        let answer = common::soon("an engine answers", answers.next()).await.unwrap();
        all.push(serde_json::from_slice(&answer.payload).unwrap());
    }
    all
}

/// Two engines that share the partitions, with somebody in each of them.
async fn two_engines() -> (TestServer, Nats, [Engine; 2]) {
    let (server, nats, first) = one_engine().await;
    let mut second = Engine::spawn(&server.url(), STILL).await;
    eventually("the partitions are shared", async || {
        second.must_run();
        let owners: BTreeSet<String> =
            streams::progress(&nats).await.into_values().map(|progress| progress.owner).collect();
        (owners.len() == 2).then_some(())
    })
    .await;
    for user in 0..40 {
        signal(&nats, &format!("u{user:02}"), "tab", &json!({"rooms": ["lobby"]})).await;
    }
    until(&nats, "users", &json!({"limit": 256}), |answer| names(answer, "users").len() == 40).await;
    (server, nats, [first, second])
}

#[tokio::test]
async fn tooling_finds_each_engine_with_its_verbs_and_their_schemas() {
    let (_server, nats, _engines) = two_engines().await;
    let pings = srv(&nats, "PING", 2).await;
    assert!(pings.iter().all(|ping| ping["name"] == "presence") && pings[0]["id"] != pings[1]["id"]);
    for info in srv(&nats, "INFO", 2).await {
        let endpoints: BTreeMap<&str, &Value> = (info["endpoints"].as_array().unwrap().iter())
            .map(|endpoint| (endpoint["name"].as_str().unwrap(), endpoint))
            .collect();
        for verb in ["session", "user", "users", "room"] {
            let endpoint = endpoints[verb];
            assert_eq!(endpoint["subject"], format!("presence.v1.ask.*.{verb}"));
            assert_eq!(
                (&endpoint["queue_group"], &endpoint["metadata"]["format"]),
                (&json!("q"), &json!("application/json"))
            );
            for schema in ["request_schema", "response_schema"] {
                let schema: Value = serde_json::from_str(endpoint["metadata"][schema].as_str().unwrap()).unwrap();
                assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
            }
        }
    }
    let handled = async || -> Vec<u64> {
        let stats = srv(&nats, "STATS", 2).await;
        let of = |stats: &Value| {
            let endpoints = stats["endpoints"].as_array().unwrap().iter();
            let user = endpoints.clone().find(|endpoint| endpoint["name"] == "user").unwrap();
            user["num_requests"].as_u64().unwrap()
        };
        stats.iter().map(of).collect()
    };
    let before: u64 = handled().await.iter().sum();
    for user in 0..100 {
        ask(&nats, "user", &json!({"user": format!("u{:02}", user % 40)})).await.unwrap();
    }
    let after = handled().await;
    assert_eq!(after.iter().sum::<u64>(), before + 100, "each question is answered by one of them");
    assert!(after.iter().all(|count| *count > 0), "both have their part: {after:?}");
}

#[tokio::test]
async fn whichever_engine_is_asked_answers_for_all_of_them() {
    let (_server, nats, _engines) = two_engines().await;
    for round in 0..100 {
        let user = format!("u{:02}", round % 40);
        let answer = ask(&nats, "user", &json!({ "user": user })).await.unwrap();
        assert_eq!(
            (&answer["user"], &answer["to"], &answer["now"]["state"]),
            (&json!(user), &json!("active"), &json!("active"))
        );
        if round % 10 == 0 {
            assert_eq!(names(&ask(&nats, "users", &json!({})).await.unwrap(), "users").len(), 40);
            let room = ask(&nats, "room", &json!({"room": "lobby", "members": true})).await.unwrap();
            assert_eq!((&room["users"]["active"], names(&room, "members").len()), (&json!(40), 40));
            let absent = ask(&nats, "user", &json!({"user": "nobody"})).await.unwrap();
            assert_eq!(absent["to"], "offline");
        }
    }
}

#[tokio::test]
async fn while_an_owner_is_killed_an_answer_is_right_or_503() {
    let (_server, nats, mut engines) = two_engines().await;
    let mut answered = 0;
    engines[0].kill();
    // Until the dead one's partitions have been right for a while.
    for round in 0.. {
        let user = format!("u{:02}", round % 40);
        match try_ask_of(&nats, "main", "user", json!({ "user": user }).to_string()).await {
            Some(Ok(answer)) => {
                assert_eq!((&answer["to"], &answer["now"]["state"]), (&json!("active"), &json!("active")), "{user}");
                answered += 1;
            }
            Some(Err((code, why))) => {
                assert_eq!(code, 503, "{why}");
                answered = 0;
            }
            None => answered = 0,
        }
        match try_ask_of(&nats, "main", "users", r#"{"limit":256}"#).await {
            Some(Ok(page)) => assert_eq!(names(&page, "users").len(), 40),
            Some(Err((code, why))) => assert_eq!(code, 503, "{why}"),
            None => {}
        }
        if answered == 40 {
            break;
        }
        assert!(round < 2_000, "the other engine takes over");
    }
}

#[tokio::test]
async fn an_engine_that_was_stopped_answers_right_or_503_when_it_goes_on() {
    let (_server, nats, engines) = two_engines().await;
    engines[0].pause();
    eventually("the other one has taken over", async || {
        let owners: BTreeSet<String> =
            streams::progress(&nats).await.into_values().map(|progress| progress.owner).collect();
        (owners.len() == 1).then_some(())
    })
    .await;
    let mut last = 0;
    for user in 0..40 {
        last = signal(&nats, &format!("u{user:02}"), "tab", &json!({"kind": "leave"})).await;
    }
    streams::told_up_to(&nats, last).await;
    engines[0].resume();
    for _ in 0..20 {
        let page = ask(&nats, "users", &json!({"limit": 256})).await.unwrap();
        assert_eq!(names(&page, "users"), Vec::<String>::new(), "what was told before is known");
    }
}

#[tokio::test]
async fn an_engine_that_goes_on_after_a_stop_answers_nothing_of_before_it() {
    let (_server, nats, engine) = one_engine().await;
    signal(&nats, "ada", "tab", &json!({"epoch": 1, "seq": 1})).await;
    until(&nats, "user", &json!({"user": "ada"}), |of| of["now"]["state"] == "active").await;
    engine.pause();
    let stopped = tokio::time::Instant::now();
    // What was sent to it before it was stopped, and has to be read before it knows better.
    for _ in 0..30 {
        for _ in 0..1_000 {
            nats.client.publish("presence.v1.log.all.more", "".into()).await.unwrap();
        }
        publish(&nats, "presence.v1.log.all.more", "").await;
    }
    signal(&nats, "ada", "tab", &json!({"kind": "leave", "epoch": 1, "seq": 2})).await;
    // It has to be away for so long that it can't know how it is.
    tokio::time::sleep_until(stopped + Duration::from_secs(4)).await;
    let asked = (0..40).map(|_| {
        let nats = nats.clone();
        tokio::spawn(async move { try_ask_of(&nats, "main", "user", r#"{"user":"ada"}"#).await })
    });
    let asked: Vec<_> = asked.collect();
    engine.resume();
    for answer in asked {
        match answer.await.unwrap().unwrap() {
            Ok(answer) => assert_eq!(answer["now"]["state"], "offline", "it left before it was asked for: {answer}"),
            Err((code, why)) => assert_eq!(code, 503, "{why}"),
        }
    }
    until(&nats, "user", &json!({"user": "ada"}), |of| of["now"]["state"] == "offline").await;
}

#[tokio::test]
async fn while_engines_come_and_go_in_order_an_answer_is_right_or_503() {
    let (server, nats, mut engines) = two_engines().await;
    let asking = async {
        let mut asked = 0;
        loop {
            let user = format!("u{:02}", asked % 40);
            let answer = try_ask_of(&nats, "main", "user", json!({ "user": user }).to_string()).await;
            match answer.expect("who leaves answers what it has heard") {
                Ok(answer) => assert_eq!(answer["now"]["state"], "active", "{user}"),
                Err((code, why)) => assert_eq!(code, 503, "{why}"),
            }
            asked += 1;
        }
    };
    let changing = async {
        engines[0].terminate().await;
        let third = Engine::start(&server.url(), STILL).await;
        engines[1].terminate().await;
        third
    };
    tokio::select! {
        () = asking => unreachable!("it goes on"),
        _ = changing => {}
    }
}

#[tokio::test]
async fn headers_that_end_the_connection_leave_the_service_there() {
    let (server, nats, _engine) = one_engine().await;
    beat(&nats, "ada", "tab").await;
    until(&nats, "user", &json!({"user": "ada"}), |answer| answer["to"] == "active").await;
    for subject in ["presence.v1.ask.main.user", "presence.v1.owned.x.fold"] {
        raw_publish(&server, subject, b"NATS/1.0\r\nX: a carriage\rreturn\r\n\r\n", b"{}").await;
    }
    eventually("it is announced again", async || {
        let answer = nats.client.request("presence.v1.ask.main.user", r#"{"user":"ada"}"#.into()).await.ok()?;
        (read(&answer).ok()?["to"] == "active").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_begins_answers_right_or_503() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), &STILL.replace("\"1s\"", "\"3m\"")).await;
    for user in 0..2_000 {
        let subject = format!("presence.v1.signal.main.u{user}.tab");
        nats.client.publish(subject, "".into()).await.unwrap();
    }
    beat(&nats, "ada", "tab").await;
    until(&nats, "user", &json!({"user": "ada"}), |answer| answer["to"] == "active").await;
    engine.kill();
    engine.respawn();
    for question in [json!({"user": "ada"}), json!({"user": "nobody"})] {
        let expected = if question["user"] == "ada" { "active" } else { "offline" };
        eventually("the engine answers", async || {
            engine.must_run();
            let request = nats.client.request("presence.v1.ask.main.user", question.to_string().into());
            match read(&request.await.ok()?) {
                Ok(answer) => {
                    assert_eq!(answer["now"]["state"], expected);
                    Some(())
                }
                Err((code, why)) => {
                    assert_eq!(code, 503, "{why}");
                    None
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn who_asks_while_a_neighbour_hangs_is_told_503_and_429_where_that_is_too_much() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    // The one that hangs keeps its leases for as long as the test lasts.
    let config = format!("{}[limits]\nquestions = 16\n", STILL.replace("200ms", "60s"));
    let first = Engine::start(&server.url(), &config).await;
    beat(&nats, "ada", "tab").await;
    until(&nats, "user", &json!({"user": "ada"}), |answer| answer["to"] == "active").await;
    let mut second = Engine::spawn(&server.url(), &config).await;
    eventually("the second takes part", async || {
        second.must_run();
        (srv_now(&nats, "PING").await.len() == 2).then_some(())
    })
    .await;
    first.pause();
    let inbox = nats.client.new_inbox();
    let mut answers = nats.client.subscribe(inbox.clone()).await.unwrap();
    // Half of them go to the one that hangs, and whoever else is asked has to ask it.
    for _ in 0..200 {
        nats.client.publish_with_reply("presence.v1.ask.main.users", inbox.clone(), "{}".into()).await.unwrap();
    }
    let mut codes = BTreeSet::new();
    while codes.len() < 2 {
        let answer = common::soon("an engine answers", answers.next()).await.unwrap();
        let (code, why) = read(&answer).unwrap_err();
        assert!(
            code == 503 || why == "limit reached: limits.questions is 16; ask again when others have been answered",
            "{why}"
        );
        codes.insert(code);
    }
    assert_eq!(codes, BTreeSet::from([429, 503]));
    first.resume();
}

/// Which engines answer at once.
async fn srv_now(nats: &Nats, verb: &str) -> Vec<Value> {
    let inbox = nats.client.new_inbox();
    let mut answers = nats.client.subscribe(inbox.clone()).await.unwrap();
    nats.client.publish_with_reply(format!("$SRV.{verb}.presence"), inbox, "".into()).await.unwrap();
    let mut all = Vec::new();
    while let Ok(Some(answer)) = tokio::time::timeout(Duration::from_millis(200), answers.next()).await {
        all.push(serde_json::from_slice(&answer.payload).unwrap());
    }
    all
}
