//! A support desk that rings one agent for one customer: who is ready, least busy, and wants to be disturbed.
//!
//! Carol is in two calls, Dave in one, Erin says busy. Two customers come at once and get two agents; a third gets nobody until
//! one is free again.
//!
//!     make examples                             or, beside `make up`:
//!     cargo run --example support_desk

#[path = "common/mod.rs"]
mod common;

use std::time::Duration;

use common::{Story, expect, stage};
use presence_engine::client::{Beats, Heartbeats, Intent, Order, Presence, Route, Wait};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Story {
    let (client, tenant) = stage("support-desk").await?;
    let presence = Presence::of(client.clone(), &tenant)?;
    let mut agents = Vec::new();
    for (name, rooms) in
        [("carol", vec!["support", "call-1", "call-2"]), ("dave", vec!["support", "call-1"]), ("erin", vec!["support"])]
    {
        let beats = Beats::every(Duration::from_secs(1)).can(["audio"]).rooms(rooms);
        agents.push(Heartbeats::start(client.clone(), &tenant, name, "desk", beats)?);
    }
    agents[2].set_intent(Intent::Busy, Some(Duration::from_secs(600)));
    for agent in &agents {
        agent.acknowledged().await?;
    }
    let open = presence.wait(&Wait::room("support").need(2).ready_for("audio"), Duration::from_secs(20)).await?;
    expect(open.is_ready(), format!("two agents should be ready, {} more are needed", open.short))?;
    // Her intent may be known a moment later than her first beat.
    let erin = Wait::users(["erin"]).ready_for("audio");
    let mut why = String::new();
    for _ in 0..100 {
        let waited = presence.wait(&erin, Duration::from_millis(200)).await?;
        why = waited.missing.first().map(|missing| missing.why.clone()).unwrap_or_default();
        if why == "intent" {
            break;
        }
    }
    println!("erin is at her desk and can't be had: {why}");
    expect(why == "intent", "erin said that she is busy, and should not be ready")?;
    let room = presence.room("support").await?;
    println!(
        "{} agents are in the room, {} ready for audio",
        room.density.users.all(),
        room.density.ready.get("audio").unwrap_or(&0)
    );

    let route = |customer: &str| {
        let hold = Duration::from_secs(30);
        Route::room("support").ready_for("audio").order(Order::Spread).id(customer).reserve(hold)
    };
    let (first, second) = (route("customer-1"), route("customer-2"));
    let (first, second) = tokio::try_join!(presence.route(&first), presence.route(&second))?;
    let mut rung = Vec::new();
    for (customer, routed) in [("customer-1", &first), ("customer-2", &second)] {
        let held = routed.reservation.as_ref().ok_or(format!("nobody was held for {customer}"))?;
        let why = routed.routes.iter().find(|candidate| candidate.user == held.user());
        println!("{customer} rings {}: {}", held.user(), why.map_or(String::new(), |why| why.reasons.join(", ")));
        rung.push(held.user().to_owned());
    }
    rung.sort();
    expect(rung == ["carol", "dave"], format!("each of two customers gets an agent of its own: {rung:?}"))?;

    let third = presence.route(&route("customer-3")).await?;
    expect(third.reservation.is_none(), "the third customer got an agent who is held for another")?;
    println!("customer-3 has to wait: both are held");
    let free = first.reservation.ok_or("nobody was held for customer-1")?;
    let name = free.user().to_owned();
    free.release().await?;
    println!("customer-1 hangs up, and {name} is free");
    let third = presence.route(&route("customer-3")).await?.reservation.ok_or("nobody was free for customer-3")?;
    println!("customer-3 rings {}", third.user());
    expect(third.user() == name, "the one who is free should be rung")?;
    third.release().await?;

    for agent in agents {
        agent.leave().await?;
    }
    Ok(())
}
