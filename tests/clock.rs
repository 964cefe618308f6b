//! The log's clock is set while the engine runs: nobody falls by that, and what is told stays what the log says.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use common::client::{Beating, beat};
use common::clock::Clock;
use common::engine::Engine;
use common::{TestServer, eventually, if_to_be_had, oracle, streams};

/// Three seconds from the last beat to offline, and a log that keeps what is a day old by whatever clock.
const QUICK: &str = r#"
[engine]
partitions = 8
checkpoint_every = "1s"
blind_after = "1500ms"
reconnect_grace = "1s"
log_retention = "2days"
[profile.default]
idle_after = "1s"
away_after = "1500ms"
stale_after = "2s"
offline_after = "3s"
"#;
const PARTITIONS: usize = 8;
const USERS: usize = 40;
const HOUR_S: i64 = 3_600;
const HOUR_MS: u64 = 3_600_000;

#[tokio::test]
async fn a_server_whose_clock_is_set_by_an_hour_forth_and_back_makes_nobody_offline_and_the_dead_are_found() {
    let Some(clock) = if_to_be_had("a clock that can be set", Clock::new()) else { return };
    let server = TestServer::start_under(Some(&clock), &[]).await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), QUICK).await;
    let crowd = (0..USERS).map(|n| format!("u{n}.tab")).collect();
    let beating = Beating::start(&server.connect().await, crowd, Duration::from_millis(100));
    beating.more(10).await;
    for offset in [HOUR_S, 0, -HOUR_S, 0] {
        clock.set(offset);
        // Longer than a threshold by any clock.
        beating.more(40).await;
        let seq = beat(&nats, "u7", "witness").await;
        streams::told_up_to(&nats, seq).await;
        engine.must_run();
    }
    // Those who fall silent are found as ever: those of before, and one who knows nothing of all that.
    beat(&nats, "u7", "last").await;
    for silent in ["witness", "last"] {
        eventually("the silent session is found", async || {
            let told = streams::events_of(&nats, &format!("presence.v1.session.main.u7.{silent}")).await;
            (told.last()?["to"] == "offline").then_some(())
        })
        .await;
    }
    beating.stop().await;
    let end = engine.terminate().await;
    assert_eq!(end.status.code(), Some(0), "{}", end.stderr);

    for n in 0..USERS {
        let told = streams::events_of(&nats, &format!("presence.v1.session.main.u{n}.tab")).await;
        let told: Vec<_> = told.iter().map(|event| event["to"].clone()).collect();
        let fell = told.iter().any(|state| state == "stale" || state == "offline");
        assert!(!fell && told.first().is_some_and(|state| state == "active"), "u{n}: {told:?}");
    }
    // Twice forth is a gap that nobody watched, twice back a clock that was set; each partition says each.
    let told = streams::events_of(&nats, "presence.v1.engine.").await;
    assert_eq!(hours(&told, "blind"), (2, PARTITIONS), "{told:?}");
    assert_eq!(hours(&told, "clock"), (2, PARTITIONS), "{told:?}");
    let told = streams::events_of(&nats, "presence.v1.session.main.u7.last").await;
    let last = told.last().expect("it was there");
    assert_eq!(time(last, "at_ms") - time(last, "last_seen_ms"), 3_000, "{last}");
    engine.audit();
    oracle::check(&nats).await;
}

/// How often a partition says so of an hour, and how many do.
fn hours(told: &[Value], what: &str) -> (usize, usize) {
    let is_of_an_hour = |event: &&Value| time(event, "from_ms").abs_diff(time(event, "to_ms")) > HOUR_MS / 2;
    let of: Vec<_> = told.iter().filter(|event| event["what"] == what).filter(is_of_an_hour).collect();
    let partitions: BTreeSet<_> = of.iter().map(|event| event["partition"].to_string()).collect();
    (of.len() / partitions.len().max(1), partitions.len())
}

fn time(event: &Value, field: &str) -> u64 {
    event[field].as_u64().unwrap_or_else(|| panic!("{field} of {event}"))
}
