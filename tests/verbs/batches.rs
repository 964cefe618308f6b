//! Gateways' batches on a real server: what is no batch is told, with the reason.

use presence_engine::model::partition_of;
use presence_engine::wire::subject::{log_batch, rejected};
use serde_json::{Value, json};

use super::common::client::{log_time, publish};
use super::common::engine::{Engine, STILL};
use super::common::told::Subscriber;
use super::common::{TestServer, streams};

#[tokio::test]
async fn what_is_no_batch_is_told_and_what_is_one_is_taken() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let engine = Engine::start(&server.url(), STILL).await;
    let subscriber = Subscriber::on(&nats, "presence.v1.rejected.*").await;
    let partition = partition_of("main", "bob", 8);
    publish(&nats, &log_batch(partition, "main", "gw"), r#"{"v":1,"signals":[{"u":"bob","s":"tab"}]}"#).await;
    publish(&nats, &log_batch(partition, "main", "gw"), r#"{"v":1,"signals":7}"#).await;
    publish(&nats, &log_batch(8, "main", "gw"), r#"{"v":1,"signals":[]}"#).await;
    let last = publish(&nats, &log_batch(partition, "main", "gw.1"), r#"{"v":1,"signals":[]}"#).await;
    streams::told_up_to(&nats, last).await;
    let mut told: Vec<_> =
        subscriber.events().into_iter().map(|told| (told.subject, told.event["reason"].to_string())).collect();
    told.sort();
    let own = rejected(partition);
    let mut expected = vec![
        (rejected(0), "\"misaddressed: `8` is no partition: this log has 0 to 7, presence.v1.info tells how many\""),
        (own.clone(), "\"misaddressed: 3 names follow `batch`, tenant and gateway have to\""),
        (own, "\"undecodable: `signals` is no list\""),
    ];
    expected.sort();
    let expected: Vec<_> = expected.into_iter().map(|(subject, why)| (subject, why.to_owned())).collect();
    assert_eq!(told, expected);
    engine.audit();
}

#[tokio::test]
async fn what_a_gateway_held_acts_by_its_age_and_what_is_wrong_in_it_is_told_by_its_place() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let engine = Engine::start(&server.url(), STILL).await;
    let subscriber = Subscriber::to_all(&nats).await;
    let partition = partition_of("main", "bob", 8);
    let elsewhere = (0..).map(|n| format!("user{n}")).find(|user| partition_of("main", user, 8) != partition).unwrap();
    let batch = json!({"v": 1, "signals": [
        {"u": "bob", "s": "tab", "age_ms": 1_500, "can": ["audio"]},
        {"u": elsewhere, "s": "tab"},
        {"s": "tab"},
        {"u": "bob", "s": "phone"},
    ]});
    let entry = publish(&nats, &log_batch(partition, "main", "gw"), batch.to_string()).await;
    let at = log_time(&nats, entry).await;
    let tab = subscriber.events_of("presence.v1.session.main.bob.tab", 1).await.remove(0);
    let times = |event: &Value| (event["to"].clone(), event["at_ms"].as_u64(), event["last_seen_ms"].as_u64());
    assert_eq!(times(&tab), (json!("active"), Some(at), Some(at - 1_500)));
    let phone = subscriber.events_of("presence.v1.session.main.bob.phone", 1).await.remove(0);
    assert_eq!(times(&phone), (json!("active"), Some(at), Some(at)));
    let refused = subscriber.events_of(&rejected(partition), 2).await;
    let reasons: Vec<_> = refused.iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect();
    assert!(reasons[0].contains("signals[1]") && reasons[1].contains("signals[2]"), "{reasons:?}");
    subscriber.events_of("presence.v1.ready.main.bob", 1).await;

    let explained = super::json(engine.presence(&["explain", "bob", "-o", "json"]));
    let standing = &explained["standing"];
    assert_eq!(standing["ready"], json!({"audio": at}));
    assert_eq!(standing["sessions"][0]["gateway_excused_ms"].as_u64().map(|excused| excused <= 60_000), Some(true));
    let what = &explained["transitions"][0]["evidence"];
    assert_eq!((&what["entry"], &what["what"]), (&json!(entry), &json!("a batch of the gateway gw")));
    engine.audit();
}
