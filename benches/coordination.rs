//! What coordination costs: how soon a wait is answered, how long whom to ask takes in a large room, and what a change in a room
//! costs by the room's size.
//!
//! `cargo bench --bench coordination` measures everything, `cargo bench --bench coordination -- wait route` these parts. The engine
//! is a process of the release binary; it, a server of each part's own and the clients share the machine. Beside each figure
//! stands a bare round trip through the same server, measured in turn with it.

mod common;
#[path = "../tests/common/mod.rs"]
mod testing;

use std::time::{Duration, Instant};

use async_nats::{Client, Subscriber};
use common::{Result, flood, quantile};
use futures::StreamExt;
use presence_engine::nats::{LogIdentity, Nats};
use serde_json::{Value, json};
use testing::TestServer;
use testing::engine::{Engine, info};
use testing::streams::told_up_to;
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

const PARTS: [&str; 3] = ["wait", "route", "room"];
/// No part takes longer than this, on any machine.
const PART_MAX: Duration = Duration::from_secs(600);
/// How many waits are answered, and how many others wait beside them.
const CALLS: usize = 1_000;
const OTHERS: usize = 10_000;
/// How often a route is asked for, in a room of how many.
const ROUTES: usize = 500;
const ROOM: usize = 10_000;
/// How often somebody changes in a room, and how many are in the small and in the large one.
const CHANGES: usize = 20_000;
const SMALL: usize = 10;
const LARGE: usize = 100_000;

/// Nobody falls, and out of sight is away at once.
const CONFIG: &str = r#"
[engine]
partitions = 64
checkpoint_every = "1s"
[limits]
waits_per_tenant = 20000
[profile.default]
idle_after = "2h"
away_after = "3h"
stale_after = "4h"
offline_after = "5h"
hidden_after = "0s"
confidence = { bands = [] }
"#;

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new("error")).with_writer(std::io::stderr).init();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some(unknown) = words.iter().find(|word| !PARTS.contains(&word.as_str())) {
        return Err(format!("`{unknown}` is no part: {} are", PARTS.join(", ")).into());
    }
    for part in PARTS.into_iter().filter(|part| words.is_empty() || words.iter().any(|word| word == part)) {
        println!("\n{part}");
        let measured = async {
            match part {
                "wait" => wait().await,
                "route" => route().await,
                _ => room().await,
            }
        };
        timeout(PART_MAX, measured).await.map_err(|_| format!("{part} was not measured in {PART_MAX:?}"))??;
    }
    Ok(())
}

struct Rig {
    nats: Nats,
    _engine: Engine,
    server: TestServer,
}

impl Rig {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let nats = server.connect().await;
        let _engine = Engine::start(&server.url(), CONFIG).await;
        Self { nats, _engine, server }
    }

    /// Somebody who answers at once, to be asked by others.
    async fn echo(&self) -> Result<tokio::task::JoinHandle<()>> {
        let nats = self.server.connect().await;
        let mut asked = nats.client.subscribe("echo").await?;
        nats.client.flush().await?;
        Ok(tokio::spawn(async move {
            while let Some(message) = asked.next().await {
                if let Some(reply) = message.reply {
                    nats.client.publish(reply, message.payload).await.ok();
                }
            }
        }))
    }
}

fn signal(user: &str) -> String {
    format!("presence.v1.signal.main.{user}.tab")
}

fn show(what: &str, values: &mut [f64]) -> (f64, f64) {
    let (p50, p99) = (quantile(values, 0.5), quantile(values, 0.99));
    println!("  {what:<60} p50 {p50:>8.2} ms  p99 {p99:>8.2} ms");
    (p50, p99)
}

async fn round_trip(client: &Client) -> Result<f64> {
    let began = Instant::now();
    client.request("echo", "x".into()).await?;
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}

/// From the callee's signal to the answer that the caller waits for.
async fn wait() -> Result<()> {
    let rig = Rig::start().await;
    let echo = rig.echo().await?;
    calls(&rig, "alone").await?;
    // They wait for as long as an answer may take, and begin again.
    let asking = rig.server.connect().await;
    let others = asking.client.subscribe("others").await?;
    let more = tokio::spawn(keep_waiting(asking, others));
    while info(&rig.nats.client).await.is_none_or(|info| info["waiting"].as_u64() < Some(OTHERS as u64 * 9 / 10)) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    calls(&rig, "10,000 others wait").await?;
    more.abort();
    echo.abort();
    Ok(())
}

async fn keep_waiting(nats: Nats, mut answers: Subscriber) -> Result<()> {
    let question = json!({"id": "other", "users": ["nobody"], "for": "audio", "timeout_ms": 25000}).to_string();
    let ask = async || {
        let sent = nats.client.publish_with_reply("presence.v1.ask.main.wait", "others", question.clone().into());
        sent.await.map_err(Box::new)
    };
    for _ in 0..OTHERS {
        ask().await?;
    }
    while answers.next().await.is_some() {
        ask().await?;
    }
    Ok(())
}

async fn calls(rig: &Rig, among: &str) -> Result<()> {
    let (mut answered, mut bare) = (Vec::new(), Vec::new());
    let hidden = json!({"can": ["audio"], "visibility": "hidden"}).to_string();
    let visible = json!({"visibility": "visible"}).to_string();
    flood(&rig.nats, CALLS, |call| (signal(&format!("callee-{call}")), hidden.clone())).await?;
    told_up_to(&rig.nats, LogIdentity::read(&rig.nats).await?.last_seq).await;
    for call in 0..CALLS {
        let user = format!("callee-{call}");
        let question = json!({"id": user, "users": [user], "for": "audio", "timeout_ms": 25000}).to_string();
        let client = rig.nats.client.clone();
        let asked = tokio::spawn(async move {
            let answer = client.request("presence.v1.ask.main.wait", question.into()).await;
            (answer, Instant::now())
        });
        rig.nats.client.flush().await?;
        // So that it waits already: what is measured is the answer, not the question.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let began = Instant::now();
        rig.nats.client.publish(signal(&user), visible.clone().into()).await?;
        let (answer, ended) = asked.await?;
        let answer: Value = serde_json::from_slice(&answer?.payload)?;
        if answer["status"] != "ready" {
            return Err(format!("a call was answered by {answer}").into());
        }
        answered.push(ended.duration_since(began).as_secs_f64() * 1_000.0);
        bare.push(round_trip(&rig.nats.client).await?);
    }
    let (_, p99) = show(&format!("from a signal to the answer of who waits, {among}"), &mut answered);
    show("a bare round trip beside it", &mut bare);
    println!("  target: p99 50 ms, {}", if p99 <= 50.0 { "met" } else { "missed" });
    Ok(())
}

/// Whom to ask in a room.
async fn route() -> Result<()> {
    let rig = Rig::start().await;
    let echo = rig.echo().await?;
    fill(&rig, "desk", ROOM).await?;
    fill(&rig, "corner", 100).await?;
    let (mut large, mut small, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUTES {
        for (room, took) in [("desk", &mut large), ("corner", &mut small)] {
            let question = json!({"id": "x", "room": room, "for": "audio"}).to_string();
            let began = Instant::now();
            let answer = rig.nats.client.request("presence.v1.ask.main.route", question.into()).await?;
            took.push(began.elapsed().as_secs_f64() * 1_000.0);
            let answer: Value = serde_json::from_slice(&answer.payload)?;
            if answer["routes"].as_array().map(Vec::len) != Some(8) {
                return Err(format!("a route was answered by {answer}").into());
            }
        }
        bare.push(round_trip(&rig.nats.client).await?);
    }
    let (p50, _) = show("the best 8 of a room of 10,000", &mut large);
    show("of a room of 100", &mut small);
    show("a bare round trip beside it", &mut bare);
    println!("  target: p50 20 ms, {}", if p50 <= 20.0 { "met" } else { "missed" });
    echo.abort();
    Ok(())
}

/// So many members of a room, each a user with one session.
async fn fill(rig: &Rig, room: &str, count: usize) -> Result<()> {
    let payload = json!({"can": ["audio"], "rooms": [room]}).to_string();
    flood(&rig.nats, count, |number| (signal(&format!("{room}-{number}")), payload.clone())).await?;
    let seq = LogIdentity::read(&rig.nats).await?.last_seq;
    told_up_to(&rig.nats, seq).await;
    Ok(())
}

/// Changes in a small room and in a large one, in turn.
async fn room() -> Result<()> {
    let rig = Rig::start().await;
    fill(&rig, "small", SMALL).await?;
    fill(&rig, "large", LARGE).await?;
    let (mut small, mut large, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..5 {
        let visibility = if round % 2 == 0 { "hidden" } else { "visible" };
        let a = changes(&rig, "small", SMALL, visibility).await?;
        let b = changes(&rig, "large", LARGE, visibility).await?;
        ratios.push(b / a);
        small.push(a);
        large.push(b);
    }
    println!(
        "  changes a second in a room of 10 {:.0}, in a room of 100,000 {:.0}: ratio {:.2} (medians of 5)",
        quantile(&mut small, 0.5),
        quantile(&mut large, 0.5),
        quantile(&mut ratios, 0.5)
    );
    Ok(())
}

/// Lets members of a room go in and out of sight; how many of those changes are told in a second, with the room's counts.
async fn changes(rig: &Rig, room: &str, members: usize, last: &str) -> Result<f64> {
    let change = |number: usize| {
        // Each member's signals alternate, and end with the given one.
        let (member, turn) = (number % members, (CHANGES - 1 - number) / members);
        let other = if last == "hidden" { "visible" } else { "hidden" };
        let visibility = if turn % 2 == 0 { last } else { other };
        (signal(&format!("{room}-{member}")), json!({ "visibility": visibility }).to_string())
    };
    let (subject, payload) = change(CHANGES - 1);
    let of_last = subject.replace(".signal.", ".user.").replace(".tab", "");
    let mut told = rig.nats.client.subscribe(of_last).await?;
    let began = Instant::now();
    flood(&rig.nats, CHANGES - 1, change).await?;
    let seq = rig.nats.jetstream.publish(subject, payload.into()).await?.await?.sequence;
    // Behind the event of the last signal everything is told: one lane commits all partitions.
    while let Some(event) = told.next().await {
        if serde_json::from_slice::<Value>(&event.payload)?["seq"].as_u64() == Some(seq) {
            return Ok(CHANGES as f64 / began.elapsed().as_secs_f64());
        }
    }
    Err("the subscription ended".into())
}
