//! Stories through a real server whose clock stands still between their entries, so that each has its very millisecond, and can go
//! back. The engine reads them afterwards.

use super::common::client::publish;
use super::common::clock::Clock;
use super::common::engine::{Engine, audit};
use super::common::{TestServer, if_to_be_had, oracle, streams};
use super::parse::Story;
use super::told::Told;
use super::{pure, scaled};

/// Plays a story; tells where it is told otherwise than it is written. Nothing where no clock can stand still.
pub async fn play(story: &Story) -> Option<String> {
    let clock = if_to_be_had("a clock that stands still", Clock::new())?;
    let times: Vec<_> = story.said().iter().map(|(at, ..)| *at).collect();
    // Its first entry is the policy, which the engine publishes when it starts.
    let log = pure::log(story, &times);
    let (policy, rest) = log.split_first().expect("a log has a policy");
    clock.stand_at(policy.ts);
    let server = TestServer::start_under(Some(&clock), &[]).await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), &scaled::configuration(story.policy(""), 1)).await;
    engine.terminate().await;

    let mut seqs = Vec::new();
    for logged in rest {
        clock.stand_at(logged.ts);
        seqs.push(publish(&nats, &logged.published(), logged.payload.clone()).await);
    }
    engine.restart().await;
    let ended = publish(&nats, "presence.v1.log.all.silence", "").await;
    streams::told_up_to(&nats, ended).await;
    engine.terminate().await;

    let stored = streams::log(&nats).await;
    let mut lines = vec![Vec::new(); story.lines.len()];
    let told: Vec<_> = streams::events(&nats).await.iter().map(|event| Told(event.json())).collect();
    for (logged, seq) in rest.iter().zip(seqs) {
        let ts = stored.iter().find(|entry| entry.seq == seq).expect("it is stored").ts_ms;
        assert_eq!(ts, logged.ts, "{}: entry {seq} has the time that the clock had", story.name);
        if let Some(line) = logged.line {
            let is_of_it = |told: &&Told| told.0["seq"] == seq && told.0["what"] != "owner";
            lines[line].extend(told.iter().filter(is_of_it).cloned());
        }
    }
    audit(&server.url());
    oracle::check(&nats).await;
    pure::differences_of(story, &lines)
}
