//! Questions, and answers as SERVICES.md says, by a stand-in: no engine runs in these tests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::HeaderMap;
use futures::StreamExt;
use presence_engine::client::{Change, Error, Filter, History, Page, Presence, Route, State, Status, Wait};
use presence_engine::nats::Nats;
use presence_engine::nats::names::EVENTS;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::common::{TestServer, eventually, soon};

/// What the stand-in does about a question.
enum Reply {
    Answer(Value),
    Error(u16, &'static str),
    Silence,
}

/// Answers `main`'s questions, and keeps them.
struct StandIn {
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    task: JoinHandle<()>,
}

impl StandIn {
    /// `reply` is told the verb, the question, and how many questions there were before.
    async fn start(nats: &Nats, reply: impl Fn(&str, &Value, usize) -> Reply + Send + 'static) -> Self {
        let mut questions = nats.client.subscribe("presence.v1.ask.main.*").await.expect("it can be subscribed to");
        nats.client.flush().await.expect("the server answers");
        let (client, asked) = (nats.client.clone(), Arc::new(Mutex::new(Vec::new())));
        let into = asked.clone();
        let task = tokio::spawn(async move {
            while let Some(message) = questions.next().await {
                let verb = message.subject.rsplit('.').next().expect("a verb").to_owned();
                let question: Value = serde_json::from_slice(&message.payload).expect("questions are JSON");
                let before = {
                    let mut asked = into.lock().expect("nobody panics here");
                    asked.push((verb.clone(), question.clone()));
                    asked.len() - 1
                };
                let (headers, answer) = match reply(&verb, &question, before) {
                    Reply::Answer(answer) => (HeaderMap::new(), answer.to_string()),
                    Reply::Error(code, text) => {
                        let mut headers = HeaderMap::new();
                        headers.insert("Nats-Service-Error", text);
                        headers.insert("Nats-Service-Error-Code", code.to_string());
                        (headers, String::new())
                    }
                    Reply::Silence => continue,
                };
                let to = message.reply.expect("questions want an answer");
                client.publish_with_headers(to, headers, answer.into()).await.expect("it can be sent");
            }
        });
        Self { asked, task }
    }

    fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().expect("nobody panics here").clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn presence(nats: &Nats) -> Presence {
    Presence::of(nats.client.clone(), "main").expect("it can be a tenant")
}

fn somebody(user: &str, state: &str) -> Value {
    json!({"user": user, "state": state, "intent": "open", "confidence_permille": 900, "last_seen_ms": 5,
        "last_input_ms": 4, "ready": ["audio"], "next": {"to": "idle", "at_ms": 9}})
}

#[tokio::test]
async fn answers_are_read_as_the_contract_says() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let stand_in = StandIn::start(&nats, |verb, question, _| match verb {
        "user" if question["user"] == "ada" => Reply::Answer(json!({
            "v": 1, "kind": "user", "id": "1-0-7-0", "incarnation": 5, "ordinal": 2, "cause": "quiet", "at_ms": 8,
            "partition": 1, "seq": 7, "tenant": "main", "user": "ada", "from": "active", "to": "idle",
            "sessions": {"active": 0, "idle": 1, "away": 0, "stale": 0}, "intent": "busy", "intent_until_ms": null,
            "ready": ["audio"], "last_seen_ms": 6, "last_input_ms": 5, "confidence": {"permille": 1000, "model": "half_life",
            "grace_ms": 30000, "half_life_ms": 60000}, "next": null,
            "now": {"state": "idle", "confidence_permille": 990, "at_ms": 9}, "as_of_ms": 10})),
        "user" => Reply::Answer(json!({"v": 1, "kind": "user", "tenant": "main", "user": "bob", "to": "offline",
            "now": {"state": "offline", "confidence_permille": 0, "at_ms": 9}, "as_of_ms": 10})),
        "users" => Reply::Answer(json!({"users": [somebody("ada", "active"), {"user": "bob", "state": "offline", "intent": null,
            "confidence_permille": 0, "last_seen_ms": null, "last_input_ms": null, "ready": [], "next": null}], "after": "ada", "follow_from": 3, "as_of_ms": 10})),
        "room" => Reply::Answer(json!({"room": "lobby", "sessions": {"active": 1, "idle": 0, "away": 0, "stale": 0},
            "users": {"active": 1, "idle": 0, "away": 0, "stale": 0}, "ready": {"audio": 1}, "expected_permille": 900,
            "variance_permille": 90, "as_of_ms": 10, "members": [somebody("ada", "active")], "after": null})),
        "history" if question["user"].is_string() => Reply::Answer(json!({"user": "ada", "segments": [
            {"state": "unknown", "from_ms": 1, "to_ms": 2, "cause": null, "observed": true},
            {"state": "active", "from_ms": 2, "to_ms": 3, "cause": "joined", "observed": false}], "after": null, "as_of_ms": 10})),
        "history" => Reply::Answer(json!({"at_ms": 5, "users": [{"user": "ada", "state": "idle", "since_ms": 2}],
            "after": null, "as_of_ms": 10})),
        other => panic!("{other} was not to be asked"),
    })
    .await;
    let presence = presence(&nats);
    let ada = presence.get("ada").await.unwrap();
    assert_eq!((ada.now.state, ada.now.confidence_permille, ada.ordinal), (State::Idle, 990, Some(2)));
    assert_eq!(ada.event["cause"], "quiet");
    let bob = presence.get("bob").await.unwrap();
    assert_eq!((bob.now.state, bob.incarnation), (State::Offline, None));
    let page = presence.users(&Page::default()).await.unwrap();
    assert_eq!((page.users[1].state, page.users[1].intent), (State::Offline, None));
    assert_eq!((page.users[0].state, page.after.as_deref(), page.follow_from), (State::Active, Some("ada"), 3));
    let room = presence.members("lobby", Some("a")).await.unwrap();
    assert_eq!((room.density.users.all(), room.density.ready["audio"], room.members.len()), (1, 1, 1));
    let history = presence.history(&History::of("ada")).await.unwrap();
    assert_eq!(
        history.segments.iter().map(|of| (of.state, of.observed)).collect::<Vec<_>>(),
        [(None, true), (Some(State::Active), false)]
    );
    let then = presence.history_at(5, Some("lobby"), None).await.unwrap();
    assert_eq!((then.users[0].state, then.users[0].since_ms), (State::Idle, Some(2)));
    let asked: Vec<_> = stand_in.asked().into_iter().map(|(_, question)| question).collect();
    assert_eq!(asked[3], json!({"room": "lobby", "members": true, "after": "a"}));
    assert_eq!(asked[5], json!({"at_ms": 5, "room": "lobby"}));
}

#[tokio::test]
async fn every_code_is_an_error_that_says_what_to_do() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let _stand_in = StandIn::start(&nats, |_, question, _| {
        let code = question["user"].as_str().expect("a name").parse().expect("a code");
        Reply::Error(code, "what was wrong")
    })
    .await;
    let presence = presence(&nats).patience(Duration::from_millis(300));
    let refused = |code| Error::Refused { verb: "user", code, reason: "what was wrong".into() };
    assert_eq!(presence.get("400").await.unwrap_err(), refused(400));
    assert_eq!(presence.get("413").await.unwrap_err(), refused(413));
    assert_eq!(presence.get("404").await.unwrap_err(), Error::UnknownTenant { tenant: "main".into() });
    let busy = Error::Busy { verb: "user", reason: "what was wrong".into() };
    assert_eq!(presence.get("429").await.unwrap_err(), busy);
    let unanswered = presence.get("503").await.unwrap_err();
    assert!(matches!(&unanswered, Error::Unanswered { reason, .. } if reason == "what was wrong"), "{unanswered}");
    assert!(matches!(presence.get("").await.unwrap_err(), Error::Name { what: "user", .. }));
}

#[tokio::test]
async fn what_nobody_can_answer_now_is_asked_again() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let presence = presence(&nats);
    let asking = tokio::spawn(async move { presence.room("lobby").await });
    // Whoever asks first finds no engine at all, and then one that restores.
    let stand_in = StandIn::start(&nats, |_, _, before| match before {
        0 => Reply::Error(503, "restoring"),
        _ => Reply::Answer(json!({"room": "lobby", "sessions": {"active": 0, "idle": 0, "away": 0, "stale": 0},
            "users": {"active": 0, "idle": 0, "away": 0, "stale": 0}, "ready": {}, "expected_permille": 0,
            "variance_permille": 0, "as_of_ms": 10})),
    })
    .await;
    let room = soon("it is answered", asking).await.unwrap().unwrap();
    assert_eq!(room.density.users.all(), 0);
    assert_eq!(stand_in.asked().len(), 2);
}

#[tokio::test]
async fn a_wait_is_asked_again_by_the_same_id_until_it_comes_true() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let stand_in = StandIn::start(&nats, |_, question, before| match before {
        0 => Reply::Error(503, "the owner is gone"),
        1 => Reply::Answer(json!({"id": question["id"], "status": "pending", "ready": [],
            "missing": [{"user": "bob", "why": "state"}], "as_of_ms": 1})),
        2 => Reply::Silence,
        _ => Reply::Answer(json!({"id": question["id"], "status": "ready", "missing": [], "as_of_ms": 1,
            "ready": [{"user": "bob", "since_ms": 1, "confidence_permille": 1000}]})),
    })
    .await;
    let wait = Wait::users(["bob"]).ready_for("audio");
    let waited = soon("it comes true", presence(&nats).wait(&wait, Duration::from_secs(50))).await.unwrap();
    assert!(waited.is_ready());
    assert_eq!(waited.ready[0].user, "bob");
    let asked = stand_in.asked();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|(_, question)| question["id"] == asked[0].1["id"]), "{asked:?}");
    assert!(asked.iter().all(|(_, question)| question["timeout_ms"].as_u64() <= Some(25_000)), "{asked:?}");
}

#[tokio::test]
async fn a_wait_ends_with_who_is_missing() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let _stand_in = StandIn::start(&nats, |_, question, _| {
        Reply::Answer(json!({"id": question["id"], "status": "pending", "ready": [],
            "missing": [{"user": "bob", "why": "offline"}], "short": 1, "as_of_ms": 1}))
    })
    .await;
    let waited = presence(&nats).wait(&Wait::users(["bob"]), Duration::ZERO).await.unwrap();
    assert_eq!((waited.status, waited.missing[0].why.as_str(), waited.short), (Status::Pending, "offline", 1));
}

#[tokio::test]
async fn a_reservation_is_released_by_hand_or_by_being_dropped_but_not_if_it_is_kept() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let stand_in = StandIn::start(&nats, |_, question, _| {
        let (reserves, id) = (question["reserve_ms"].is_u64(), &question["id"]);
        let reserved = if reserves { json!({"user": "ada", "until_ms": 9}) } else { Value::Null };
        let routes = json!([{"user": "ada", "state": "active", "confidence_permille": 900, "last_input_ms": 1, "load": 1,
            "reasons": ["in 1 call"]}]);
        Reply::Answer(json!({"id": id, "routes": routes, "reserved": reserved, "as_of_ms": 1}))
    })
    .await;
    let presence = presence(&nats);
    let route = |id: &str| Route::room("support").id(id).reserve(Duration::from_secs(15));
    let held = async |id: &str| presence.route(&route(id)).await.unwrap().reservation.expect("it was to be held");
    let released = || -> Vec<Value> {
        let asked = stand_in.asked().into_iter();
        asked.filter(|(_, question)| question["release"] == true).map(|(_, question)| question).collect()
    };
    assert!(presence.route(&Route::room("support")).await.unwrap().reservation.is_none());
    held("kept").await.keep();
    let by_hand = held("by hand").await;
    assert_eq!((by_hand.user(), by_hand.until_ms()), ("ada", 9));
    by_hand.release().await.unwrap();
    assert_eq!(released(), [json!({"id": "by hand", "release": true})]);
    drop(held("dropped").await);
    eventually("it is released", async || (released().len() == 2).then_some(())).await;
    assert_eq!(released()[1], json!({"id": "dropped", "release": true}));
}

/// What the engine would tell of a user.
fn event(user: &str, incarnation: u64, ordinal: u32) -> Value {
    json!({"v": 1, "kind": "user", "id": format!("1-0-{ordinal}-0"), "incarnation": incarnation, "ordinal": ordinal,
        "cause": "updated", "at_ms": 8, "partition": 1, "seq": 7, "tenant": "main", "user": user, "from": "active",
        "to": "active", "sessions": {"active": 1, "idle": 0, "away": 0, "stale": 0}, "intent": "open", "intent_until_ms": null,
        "ready": [], "last_seen_ms": 6, "last_input_ms": 5, "confidence": null, "next": null})
}

#[tokio::test]
async fn a_snapshot_goes_over_pages_and_then_into_transitions_that_it_did_not_know() {
    let (_server, nats) = TestServer::with_topology().await;
    let tell = async |event: Value| {
        let subject = format!("presence.commit.v1.user.main.{}", event["user"].as_str().expect("a name"));
        let stored = nats.jetstream.publish(subject, event.to_string().into()).await.unwrap();
        soon("it is stored", stored.into_future()).await.unwrap().sequence
    };
    tell(event("ada", 5, 1)).await;
    let follow_from = tell(event("ada", 5, 2)).await;
    let _stand_in = StandIn::start(&nats, move |_, question, _| {
        let mut ada = somebody("ada", "active");
        (ada["incarnation"], ada["ordinal"]) = (json!(5), json!(3));
        let (users, after) = match question["after"].as_str() {
            None => (json!([ada]), json!("ada")),
            Some("ada") => (json!([somebody("bob", "idle")]), Value::Null),
            Some(other) => panic!("nothing is behind {other}"),
        };
        Reply::Answer(json!({"users": users, "after": after, "follow_from": follow_from, "as_of_ms": 1}))
    })
    .await;
    let mut watch = presence(&nats).watch(Filter::users()).await.unwrap();
    // It happens while the snapshot is read, and the snapshot knows it.
    tell(event("ada", 5, 3)).await;
    tell(event("ada", 5, 4)).await;
    tell(event("bob", 6, 1)).await;
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.push(match soon("it comes", watch.next()).await.unwrap().unwrap() {
            Change::Here(user) => format!("{} is here", user.user),
            Change::Complete => "complete".to_owned(),
            Change::User(event) => format!("{} {}", event.user, event.ordinal),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, ["ada is here", "bob is here", "complete", "ada 4", "bob 1"]);
}

#[tokio::test]
async fn an_event_that_can_not_be_read_ends_it_and_is_not_passed_over() {
    let (_server, nats) = TestServer::with_topology().await;
    let mut watch = presence(&nats).watch_from_now(Filter::users()).await.unwrap();
    let before = watch.resume();
    let stored = nats.jetstream.publish("presence.commit.v1.user.main.ada", vec![0x81].into()).await.unwrap();
    soon("it is stored", stored.into_future()).await.unwrap();
    let error = soon("it comes", watch.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains("events.encoding"));
    assert!(watch.next().await.is_none());
    assert_eq!(watch.resume(), before);
    assert!(nats.jetstream.get_stream(EVENTS).await.is_ok());
}
