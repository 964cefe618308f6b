//! The same main path against NATS in a container.
//!
//! Where no Docker engine answers, or the image is not there and can't be pulled, it says so and is skipped; with `CI` set
//! that is a failure. `make image` makes the image where none can be pulled.

mod common;

#[path = "containers/reach.rs"]
mod reach;

use presence_engine::nats::names;
use serde_json::json;
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};

use common::client::{beat, signal};
use common::engine::Engine;
use common::told::Subscriber;
use common::{connect, eventually, oracle, streams};
use reach::reachable;

const IMAGE: (&str, &str) = ("nats", "2.15.1-alpine");

#[tokio::test]
async fn a_heartbeat_walks_the_ladder_on_nats_in_a_container() {
    let Some((_container, url)) = nats_in_a_container().await else { return };
    let nats = connect(&url).await;
    let mut engine = Engine::start(
        &url,
        "[engine]\nlease_ttl = \"1s\"\npartitions = 8\ncheckpoint_every = \"1s\"\n[profile.default]\nidle_after = \"150ms\"\naway_after = \"300ms\"\nstale_after = \"450ms\"\noffline_after = \"600ms\"\n",
    )
    .await;
    let subscriber = Subscriber::to_all(&nats).await;
    beat(&nats, "ada", "tab").await;
    signal(&nats, "bob", "tab", &json!({"every_ms": 3_600_000, "meta": {"here": true}})).await;
    let told = subscriber.until_state("presence.v1.user.main.ada", "offline").await;
    let ladder: Vec<_> = told
        .iter()
        .map(|event| {
            (event["at_ms"].as_u64().unwrap() - event["last_seen_ms"].as_u64().unwrap(), event["to"].as_str().unwrap())
        })
        .collect();
    assert_eq!(ladder, [(0, "active"), (150, "idle"), (300, "away"), (450, "stale"), (600, "offline")]);
    eventually("the buckets show who is there", async || {
        let sessions = streams::bucket(&nats, names::SESSIONS_BUCKET).await;
        let users = streams::bucket(&nats, names::USERS_BUCKET).await;
        let bob = sessions.keys().eq(["main.bob.tab"]) && users.keys().eq(["main.bob"]);
        (bob && sessions["main.bob.tab"]["meta"] == json!({"here": true})).then_some(())
    })
    .await;
    // A restart tells nothing of it again.
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    engine.restart().await;
    let last = signal(&nats, "bob", "tab", &json!({"kind": "leave"})).await;
    streams::told_up_to(&nats, last).await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    let history = streams::events_of(&nats, "presence.v1.user.main.").await;
    let history: Vec<_> = history.iter().filter(|event| event["user"] == "ada").cloned().collect();
    assert_eq!(history, told);
    engine.audit();
    oracle::check(&nats).await;
}

/// The container, which lasts as long as this is held, and its URL; nothing if there can't be one here.
async fn nats_in_a_container() -> Option<(ContainerAsync<GenericImage>, String)> {
    let image = GenericImage::new(IMAGE.0, IMAGE.1)
        .with_exposed_port(4222.tcp())
        .with_wait_for(WaitFor::message_on_stderr("Server is ready"))
        .with_cmd(["-js"]);
    match image.start().await {
        Ok(container) => {
            let url = reachable(&container).await;
            Some((container, url))
        }
        Err(error) => {
            let (name, tag) = IMAGE;
            let why =
                format!("no container of {name}:{tag} ({error}): start Docker, and make the image by `make image`");
            assert!(std::env::var_os("CI").is_none(), "{why}");
            eprintln!("skipped: {why}");
            None
        }
    }
}
