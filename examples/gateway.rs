//! A server that holds many connections: it publishes what comes over them together, and not one by one.
//!
//! Thirty people are connected. Each socket's heartbeats go to the gateway, which makes batches of them, by partition. One socket
//! closes; who is here is known all the same.
//!
//!     make examples                             or, beside `make up`:
//!     cargo run --example gateway

#[path = "common/mod.rs"]
mod common;

use std::time::Duration;

use common::{Story, expect, stage};
use presence_engine::client::{Error, Gateway, Gathering, Page, Presence};
use serde_json::json;

const PEOPLE: usize = 30;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Story {
    let (client, tenant) = stage("gateway").await?;
    let presence = Presence::of(client.clone(), &tenant)?;
    let gateway = Gateway::start(client, Gathering::default())?;

    // What a server of WebSockets would call for each message of a socket. (epoch, seq) are the client's own.
    for seq in 1..=3 {
        for person in 0..PEOPLE {
            let beat = json!({"epoch": 1, "seq": seq, "every_ms": 20_000}).to_string();
            gateway.hold(&tenant, &format!("person-{person}"), "socket", beat.as_bytes()).await?;
        }
    }
    let mut here = here(&presence, PEOPLE).await?;
    println!("{here} are here, through one gateway");
    expect(here == PEOPLE, format!("all {PEOPLE} should be here, not {here}"))?;

    println!("person-0 closes the tab");
    gateway
        .hold(&tenant, "person-0", "socket", json!({"kind": "leave", "epoch": 1, "seq": 4}).to_string().as_bytes())
        .await?;
    here = self::here(&presence, PEOPLE - 1).await?;
    expect(here == PEOPLE - 1, format!("one should have left, {here} are here"))?;
    println!("{here} are here");

    let counts = gateway.close().await?;
    println!("the log has {} signals by {} batches", counts.stored, counts.batches);
    expect(counts.stored == 3 * PEOPLE as u64 + 1, format!("each should be stored once: {counts:?}"))
}

/// How many are here, once they are so many, or after a while.
async fn here(presence: &Presence, expected: usize) -> Result<usize, Box<dyn std::error::Error>> {
    let mut here = 0;
    for _ in 0..200 {
        here = match presence.users(&Page::default()).await {
            Ok(page) => page.users.len(),
            // The first batches may still be on their way.
            Err(Error::UnknownTenant { .. }) => 0,
            Err(error) => return Err(error.into()),
        };
        if here == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(here)
}
