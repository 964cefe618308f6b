//! The promise on real servers, while engines, servers, the network, a disk and clocks fail: nobody whose signals the log
//! stored in time is ever told offline, and every change is told once.
//!
//! `CHAOS_SECONDS` says for how long nemeses strike (20 where nothing is said; `make chaos` takes nine minutes), `CHAOS_SEED`
//! which ones and when, `CHAOS_ENGINES` how many engines there are.

mod common;

#[path = "chaos/cluster.rs"]
mod cluster;
#[path = "chaos/disk.rs"]
mod disk;
#[path = "chaos/fleet.rs"]
mod fleet;
#[path = "chaos/load.rs"]
mod load;
#[path = "chaos/nemesis.rs"]
mod nemesis;
#[path = "chaos/proxy.rs"]
mod proxy;
#[path = "simulation/random.rs"]
mod random;
#[path = "chaos/story.rs"]
mod story;
#[path = "chaos/verdict.rs"]
mod verdict;

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::future::join_all;
use presence_engine::nats::topology::Parameters;
use tokio::time::{Instant, sleep};

use cluster::Cluster;
use common::connect;
use common::streams::Stored;
use common::told::Subscriber;
use fleet::Fleet;
use load::Load;
use nemesis::Nemeses;
use proxy::Replies;
use random::Random;
use story::{Story, told_by};
use verdict::{Terms, all_is_told, judge, nobody_fell_who_beat};

/// Thresholds of some seconds. The log is kept for longer than a clock is ever wrong.
const CONFIG: &str = r#"
[engine]
partitions = 8
replicas = 3
checkpoint_every = "3s"
blind_after = "3s"
reconnect_grace = "5s"
lease_ttl = "3s"
log_retention = "2days"
[profile.default]
idle_after = "2s"
away_after = "4s"
stale_after = "6s"
offline_after = "8s"
hidden_after = "1s"
disconnect_grace = "2s"
frozen_offline_after = "6s"
tombstone = "10s"
"#;
/// The same, as far as topology and verdict have to know it.
const TERMS: Terms = Terms { partitions: 8, blind_after: 3_000, offline_after: 8_000 };
const LOG_RETENTION: Duration = Duration::from_secs(2 * 24 * 3_600);
/// The seed of the ordinary test run.
const SEED: u64 = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_told_once_and_nobody_falls_who_beats_while_everything_fails() {
    let story = Story::begin(told_by("CHAOS_SEED", SEED));
    let lasts = Duration::from_secs(told_by("CHAOS_SECONDS", 20));
    let engines = usize::try_from(told_by("CHAOS_ENGINES", 3)).expect("some engines");
    let mut random = Random::new(told_by("CHAOS_SEED", SEED));

    let mut cluster = Cluster::start(&mut random, &story).await;
    let parameters =
        Parameters { partitions: TERMS.partitions, replicas: 3, log_retention: LOG_RETENTION, ..Parameters::default() };
    let nats = cluster.set_up(&parameters).await;
    let mut fleet = Fleet::start(engines, &cluster, CONFIG, &mut random, &story).await;
    let load = Load::start(&cluster.servers.url(), &mut random).await;
    all_is_told(&nats, TERMS, || fleet.tend(&story)).await;
    let subscribers = join_all(cluster.servers.nodes.iter().map(async |node| {
        // By a connection that goes elsewhere when this server fails.
        Subscriber::to_all(&connect(&format!("{},{}", node.url(), cluster.servers.url())).await).await
    }));
    let subscribers = subscribers.await;
    story.say(format!("{engines} engines and three servers are up"));

    let until = Instant::now() + lasts;
    let mut nemeses = Nemeses::new(random.clone(), engines, &cluster);
    while Instant::now() < until {
        let round = nemeses.next();
        round.strike(&mut fleet, &mut cluster, &nats, &story).await;
        let over = Instant::now();
        all_is_told(&nats, TERMS, || fleet.tend(&story)).await;
        story.say(format!("all is told {:.2?} later, {} signals so far", over.elapsed(), load.acknowledged()));
        sleep(round.calm).await;
    }

    let taken = load.stop().await;
    all_is_told(&nats, TERMS, || fleet.tend(&story)).await;
    fleet.end().await;
    let heard: Vec<_> = subscribers.iter().map(Subscriber::heard).collect();
    drop(subscribers);
    judge(&cluster.servers.url(), &nats, TERMS, &taken, &heard, &story).await;
}

#[test]
fn who_is_told_offline_is_excused_by_watched_silence_alone() {
    let entry = |seq: u64, ts_ms: u64, subject: &str| Stored {
        seq,
        ts_ms,
        subject: subject.into(),
        headers: HeaderMap::new(),
        payload: Bytes::new(),
    };
    let beat = |seq, ts_ms| entry(seq, ts_ms, "presence.v1.log.5.signal.main.u0.steady0");
    let tick = |seq, ts_ms| entry(seq, ts_ms, "presence.v1.log.all.tick");
    let offline = |seq: u64| Stored {
        payload: format!(r#"{{"to":"offline","partition":5,"seq":{seq}}}"#).into(),
        ..entry(seq, 0, "presence.v1.session.main.u0.steady0")
    };
    let judge = |log: &[Stored], by: u64| nobody_fell_who_beat(log, &[offline(by)], TERMS);
    let silent = [beat(1, 0), tick(2, 2_500), tick(3, 5_000), tick(4, 7_500), tick(5, 8_000)];
    assert_eq!(judge(&silent, 5), Ok(1));
    assert!(judge(&silent, 4).is_err_and(|breach| breach.contains("after 7500 ms")), "too early");
    assert!(judge(&silent, 6).is_err(), "by no entry");
    let unwatched = [beat(1, 0), tick(2, 2_500), tick(3, 60_000), tick(4, 61_000)];
    assert!(judge(&unwatched, 4).is_err_and(|breach| breach.contains("after 3500 ms")), "a gap is no silence");
    let beating = [beat(1, 0), tick(2, 3_000), beat(3, 6_000), tick(4, 9_000)];
    assert!(judge(&beating, 4).is_err(), "she beats");
}

#[test]
fn a_lost_acknowledgement_leaves_what_is_around_it_whole_wherever_the_stream_breaks() {
    let ack = b"MSG _INBOX.a.1 7 41\r\n{\"stream\":\"PRESENCE_EVENTS\", \"seq\":12345}\r\n";
    let before = b"INFO {}\r\nPING\r\nMSG s 1 4\r\n\r\n\r\n\r\nHMSG _INBOX.a.1 2 12 14\r\nNATS/1.0\r\n\r\nhi\r\n";
    let whole = [before.as_slice(), ack, b"PONG\r\n"].concat();
    for broken in 0..whole.len() {
        let mut replies = Replies::default();
        let mut passed = replies.pass(&whole[..broken], || true);
        passed.extend(replies.pass(&whole[broken..], || true));
        assert_eq!(passed, [before.as_slice(), b"PONG\r\n"].concat(), "broken at {broken}");
        let mut replies = Replies::default();
        let mut passed = replies.pass(&whole[..broken], || false);
        passed.extend(replies.pass(&whole[broken..], || false));
        assert_eq!(passed, whole, "broken at {broken}");
    }
}
