//! What somebody was over time, and who was here at some time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::stream::Config;
use presence_engine::model::{Token, partition_of};
use presence_engine::nats::{Nats, names};
use presence_engine::runtime::history::{Reach, answer};
use presence_engine::wire::AskError;
use presence_engine::wire::ask::{HistoryAnswer, HistoryQuestion, Segment, UserHistory, WhoWasHere};
use serde_json::{Value, json};

use super::common::client::{beat, log_time, publish, signal};
use super::common::engine::{Engine, STILL, presence};
use super::common::told::Subscriber;
use super::common::{TestServer, eventually, streams};
use super::told;

/// The whole ladder in half a second, and nothing but a minute of silence is a gap.
const QUICK: &str = r#"
[engine]
partitions = 8
checkpoint_every = "1s"
lease_ttl = "200ms"
blind_after = "1min"
[profile.default]
idle_after = "200ms"
away_after = "300ms"
stale_after = "400ms"
offline_after = "500ms"
"#;
const REACH: Reach = Reach { partitions: 8, events_max: 1_000_000 };

async fn ask(nats: &Nats, question: Value, reach: Reach) -> Result<HistoryAnswer, AskError> {
    let question: HistoryQuestion = serde_json::from_value(question).expect("a question");
    answer(nats, Token::parse("main").expect("a token"), &question, now_ms(), reach).await
}

async fn of_user(nats: &Nats, question: Value) -> UserHistory {
    match ask(nats, question, REACH).await {
        Ok(HistoryAnswer::User(of)) => of,
        other => panic!("not of a user: {other:?}"),
    }
}

async fn of_time(nats: &Nats, question: Value) -> WhoWasHere {
    match ask(nats, question, REACH).await {
        Ok(HistoryAnswer::Time(of)) => of,
        other => panic!("not of a time: {other:?}"),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("some centuries")
}

/// Waits until a millisecond is over, so that what comes next is later than what was.
async fn after(ms: u64) {
    eventually("time passes", async || (now_ms() > ms).then_some(())).await;
}

/// Each segment begins where the one before it ends.
fn gapless(segments: &[Segment], from_ms: u64, to_ms: u64) {
    let ends = segments.iter().map(|of| of.to_ms);
    let begins: Vec<_> = segments.iter().map(|of| of.from_ms).chain([to_ms]).collect();
    let expected: Vec<_> = [from_ms].into_iter().chain(ends).collect();
    assert_eq!(begins, expected, "{segments:?}");
    assert!(segments.iter().all(|of| of.from_ms < of.to_ms), "{segments:?}");
}

fn states(segments: &[Segment]) -> Vec<(&'static str, Option<&str>)> {
    segments.iter().map(|of| (of.state.as_str(), of.cause.as_deref())).collect()
}

/// A time as the command line takes it.
fn moment(ms: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

#[tokio::test]
async fn a_user_is_told_as_segments_without_a_gap_from_joined_to_silent() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), QUICK).await;
    let subscriber = Subscriber::to_all(&nats).await;
    beat(&nats, "ada", "tab").await;
    let events = subscriber.until_state("presence.v1.user.main.ada", "offline").await;
    engine.must_run();
    let begins = events[0]["at_ms"].as_u64().expect("a time");
    let (from_ms, to_ms) = (begins - 1_000, begins + 60_000);

    let of = of_user(&nats, json!({"user": "ada", "from_ms": from_ms, "to_ms": to_ms})).await;
    gapless(&of.segments, from_ms, to_ms);
    let ladder = [
        ("offline", None),
        ("active", Some("joined")),
        ("idle", Some("quiet")),
        ("away", Some("quiet")),
        ("stale", Some("silent")),
        ("offline", Some("silent")),
    ];
    assert_eq!((states(&of.segments), of.after.as_ref()), (ladder.to_vec(), None));
    let changes = events.iter().filter(|event| event["from"] != event["to"]).map(|event| event["at_ms"].clone());
    assert_eq!(changes.collect::<Vec<_>>(), of.segments[1..].iter().map(|of| json!(of.from_ms)).collect::<Vec<_>>());
    assert!(of.segments.iter().all(|of| of.observed));
    assert_eq!(of.kept_from_ms, Some(begins));
    assert!(of.as_of_ms >= begins);

    let (mut paged, mut next) = (Vec::new(), None);
    loop {
        let page =
            of_user(&nats, json!({"user": "ada", "from_ms": from_ms, "to_ms": to_ms, "limit": 4, "after": next})).await;
        paged.extend(page.segments);
        next = page.after;
        if next.is_none() {
            break;
        }
        assert_eq!(paged.len(), 4);
    }
    assert_eq!(paged, of.segments, "pages are the same segments");

    let whole = of_user(&nats, json!({"user": "ada"})).await;
    assert_eq!((whole.segments[0].from_ms, whole.segments.len()), (begins, 5), "where absent, what is kept");

    let args = ["history", "ada", "--since", &moment(from_ms), "--until", &moment(to_ms), "-o", "json"];
    let (code, out, err) = told(engine.presence(&args));
    assert_eq!(code, 0, "{err}");
    let lines: Vec<Segment> = out.lines().map(|line| serde_json::from_str(line).expect("a segment")).collect();
    assert_eq!(lines, of.segments);
    let file = engine.config().with_file_name("drawn.svg");
    let name = file.to_str().expect("UTF-8");
    let (code, out, err) = told(engine.presence(&["replay", "--user", "ada", "--since", "all", "--svg", name]));
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let drawn = std::fs::read_to_string(&file).expect("it is written");
    assert!(drawn.contains(">main: 1 user</text>") && drawn.contains("<title>away from "), "{drawn}");

    let (_, out, _) = told(engine.presence(&["history", "ada", "--since", "all"]));
    let first = out.lines().next().expect("a line");
    assert!(first.starts_with(&moment(begins)) && first.contains("active   joined"), "{out}");
}

#[tokio::test]
async fn time_that_nobody_watched_is_told_as_not_observed() {
    let mut server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine =
        Engine::start(&server.url(), &format!("{STILL}\n").replace("[engine]", "[engine]\nblind_after = \"1100ms\""))
            .await;
    let last = beat(&nats, "ada", "tab").await;
    streams::told_up_to(&nats, last).await;
    engine.kill();
    server.kill();
    after(now_ms() + 1_200).await;
    server.restart().await;
    engine.restart().await;
    let partition = partition_of("main", "ada", 8);
    let blind = eventually("the gap is told", async || {
        let told = streams::events_of(&nats, &format!("presence.v1.engine.{partition}")).await;
        told.into_iter().find(|event| event["what"] == "blind" && event["partition"] == partition)
    })
    .await;
    let time = |field: &str| blind[field].as_u64().expect("a time");
    let (from_ms, to_ms) = (time("from_ms") - 1, time("to_ms") + 1);
    let of = of_user(&nats, json!({"user": "ada", "from_ms": from_ms, "to_ms": to_ms})).await;
    gapless(&of.segments, from_ms, to_ms);
    let watched: Vec<_> = of.segments.iter().map(|of| (of.to_ms, of.observed)).collect();
    assert_eq!(watched, [(time("from_ms"), true), (time("to_ms"), false), (to_ms, true)]);
    assert_eq!(states(&of.segments), [("active", Some("joined")); 3]);
    let (code, out, err) = told(engine.presence(&["history", "ada"]));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("joined        nobody watched"), "{out}");
}

#[tokio::test]
async fn before_what_is_kept_a_user_is_unknown() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let mut last = 0;
    for (name, what) in
        [("ada", json!({})), ("bob", json!({})), ("ada", json!({"state": "idle"})), ("ada", json!({"kind": "leave"}))]
    {
        last = signal(&nats, name, "tab", &what).await;
        streams::told_up_to(&nats, last).await;
        after(now_ms() + 2).await;
    }
    engine.terminate().await;
    let whole = of_user(&nats, json!({"user": "ada"})).await;
    assert_eq!(
        states(&whole.segments),
        [("active", Some("joined")), ("idle", Some("claimed")), ("offline", Some("left"))]
    );

    // The stream forgets her first event, and keeps what was told of him then.
    let stored = streams::read(&nats, names::EVENTS).await;
    let first = stored.iter().find(|stored| stored.subject == "presence.v1.user.main.ada").expect("it is stored").seq;
    let kept = stored.iter().filter(|stored| stored.seq > first).count();
    let stream = nats.jetstream.get_stream(names::EVENTS).await.expect("it is there");
    let config = Config { max_messages: i64::try_from(kept).expect("few"), ..stream.cached_info().config.clone() };
    nats.jetstream.update_stream(config).await.expect("the stream takes it");
    let stored = streams::read(&nats, names::EVENTS).await;
    let cut_ms = stored[0].ts_ms;
    assert_eq!(stored.len(), kept);

    let from_ms = whole.segments[0].from_ms;
    let to_ms = log_time(&nats, last).await + 1_000;
    let of = of_user(&nats, json!({"user": "ada", "from_ms": from_ms, "to_ms": to_ms})).await;
    gapless(&of.segments, from_ms, to_ms);
    assert_eq!(
        states(&of.segments),
        [("unknown", None), ("active", None), ("idle", Some("claimed")), ("offline", Some("left"))]
    );
    assert_eq!(of.segments[0].to_ms, cut_ms);
    assert_eq!(of.kept_from_ms, Some(whole.segments[1].from_ms));
    let nobody = of_user(&nats, json!({"user": "nobody", "from_ms": from_ms, "to_ms": to_ms})).await;
    assert_eq!((states(&nobody.segments), nobody.kept_from_ms), (vec![("unknown", None)], None));
    let (code, out, err) = told(engine.presence(&["history", "nobody"]));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("nothing is kept of nobody in the tenant main"), "{err}");
}

#[tokio::test]
async fn who_was_here_is_told_of_any_time_and_of_any_room_and_the_invisible_are_not() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let engine = Engine::start(&server.url(), STILL).await;
    let (mut at_ms, mut last) = (Vec::new(), 0);
    for (name, what) in [
        ("ada", json!({"rooms": ["the lobby"]})),
        ("bob=40x", json!({"rooms": ["the lobby", "hall"], "state": "idle"})),
        ("carol", json!({"rooms": ["hall"]})),
        ("ivan", json!({"rooms": ["the lobby"]})),
        ("ivan", json!({"intent": "invisible", "rooms": ["the lobby"]})),
        ("ada", json!({"kind": "leave"})),
    ] {
        last = signal(&nats, name, "tab", &what).await;
        at_ms.push(log_time(&nats, last).await);
        after(at_ms[at_ms.len() - 1]).await;
    }
    streams::told_up_to(&nats, last).await;
    let names = |of: &WhoWasHere| of.users.iter().map(|was| was.user.clone()).collect::<Vec<_>>();
    let here = of_time(&nats, json!({"at_ms": at_ms[3]})).await;
    assert_eq!(names(&here), ["ada", "bob@x", "carol", "ivan"]);
    let bob = json!({"user": "bob@x", "state": "idle", "since_ms": at_ms[1]});
    assert_eq!(serde_json::to_value(&here.users[1]).expect("JSON"), bob);
    assert_eq!((here.at_ms, here.kept_from_ms), (at_ms[3], Some(at_ms[0])));
    let here = of_time(&nats, json!({"at_ms": at_ms[4]})).await;
    assert_eq!(names(&here), ["ada", "bob@x", "carol"], "who is invisible is told as one who left");
    let here = of_time(&nats, json!({"at_ms": at_ms[5]})).await;
    assert_eq!(names(&here), ["bob@x", "carol"]);
    let here = of_time(&nats, json!({"at_ms": at_ms[0] - 1})).await;
    assert_eq!((names(&here).len(), here.kept_from_ms), (0, None));

    let lobby = of_time(&nats, json!({"at_ms": at_ms[3], "room": "the lobby"})).await;
    assert_eq!(names(&lobby), ["ada", "bob@x", "ivan"]);
    assert_eq!(lobby.room.as_deref(), Some("the lobby"));
    let lobby = of_time(&nats, json!({"at_ms": at_ms[4], "room": "the lobby"})).await;
    assert_eq!(names(&lobby), ["ada", "bob@x"], "his session is still there, and he is not");
    let lobby = of_time(&nats, json!({"at_ms": at_ms[5], "room": "the lobby"})).await;
    assert_eq!(names(&lobby), ["bob@x"]);

    let page = of_time(&nats, json!({"at_ms": at_ms[4], "limit": 2})).await;
    assert_eq!((names(&page), page.after.as_deref()), (vec!["ada".to_owned(), "bob@x".to_owned()], Some("bob@x")));
    let page = of_time(&nats, json!({"at_ms": at_ms[4], "limit": 2, "after": "bob@x"})).await;
    assert_eq!((names(&page), page.after), (vec!["carol".to_owned()], None));

    let few = Reach { events_max: 3, ..REACH };
    let refused = ask(&nats, json!({"at_ms": at_ms[4]}), few).await.expect_err("too many");
    assert_eq!((refused.code(), refused), (429, AskError::TooManyEvents(3)));

    let (code, out, err) =
        told(engine.presence(&["history", "--at", &moment(at_ms[4]), "--room", "the lobby", "-o", "json"]));
    assert_eq!(code, 0, "{err}");
    let users: Vec<_> =
        out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["user"].clone()).collect();
    assert_eq!(users, ["ada", "bob@x"]);
    let (_, out, _) = told(engine.presence(&["history", "--at", &moment(at_ms[4])]));
    assert!(out.starts_with(&format!("ada                   active   since {}\n", moment(at_ms[0]))), "{out}");
    let (_, out, _) = told(engine.presence(&["history", "--at", &moment(at_ms[4]), "--room", "cellar"]));
    assert_eq!(out, "nobody was here\n");
    let (code, _, err) = told(engine.presence(&["history", "--at", &moment(at_ms[0] - 1)]));
    assert_eq!(code, 1);
    assert!(err.contains("nothing is kept of the tenant main at "), "{err}");
}

#[tokio::test]
async fn what_engines_told_late_counts_by_when_it_happened() {
    let (_server, nats) = TestServer::with_topology().await;
    let at_ms = now_ms() - 600_000;
    for (name, happened_ms) in [("ada", at_ms - 5), ("bob", at_ms), ("eve", at_ms + 1)] {
        let event = json!({
            "v": 1, "kind": "user", "id": "3-0-1-0", "incarnation": 1, "ordinal": 1, "cause": "joined",
            "at_ms": happened_ms, "partition": 3, "seq": 1, "tenant": "main", "user": name, "from": "offline",
            "to": "active", "sessions": {"active": 1, "idle": 0, "away": 0, "stale": 0}, "intent": "open",
            "intent_until_ms": null, "ready": [], "last_seen_ms": 1, "last_input_ms": 1, "confidence": null, "next": null,
        });
        publish(&nats, &format!("presence.commit.v1.user.main.{name}"), event.to_string()).await;
        // What says nothing of when it happened says nothing of where to stop either.
        publish(&nats, "presence.commit.v1.user.main.newer", r#"{"v":2}"#).await;
    }
    let here = of_time(&nats, json!({"at_ms": at_ms})).await;
    let names: Vec<_> = here.users.iter().map(|was| (was.user.as_str(), was.since_ms)).collect();
    assert_eq!(names, [("ada", Some(at_ms - 5)), ("bob", Some(at_ms))]);
}

#[tokio::test]
async fn a_question_names_a_user_or_a_time() {
    let (server, _nats) = TestServer::with_topology().await;
    for args in [
        &["history"][..],
        &["history", "ada", "--at", "1h"],
        &["history", "ada", "--room", "lobby"],
        &["history", "--at", "1h", "--since", "2h"],
    ] {
        let (code, _, err) = told(presence(&server.url(), args));
        assert_eq!(code, 2, "{args:?}: {err}");
    }
    let (code, _, err) = told(presence(&server.url(), &["history", "ada", "--since", "1h", "--until", "2h"]));
    assert_eq!((code, err.as_str()), (2, "presence: --since is after --until: nothing lies between them\n"));
}
