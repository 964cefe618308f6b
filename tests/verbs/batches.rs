//! Gateways' batches on a real server: what is no batch is told, with the reason.

use presence::model::partition_of;
use presence::wire::subject::{log_batch, rejected};

use super::common::client::publish;
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
