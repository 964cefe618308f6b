//! Three NATS servers and three engines that share the partitions, each in a container of its own: one after the other is
//! killed or cut off from the rest.
//!
//! Where no Docker engine answers, or images are not there and can't be had, it says so and is skipped; with `CI` set that is a
//! failure. `make image` makes what it needs.

mod common;

#[path = "cluster/containers.rs"]
mod containers;
#[path = "chaos/load.rs"]
mod load;
#[path = "simulation/random.rs"]
mod random;
#[path = "containers/reach.rs"]
mod reach;
#[path = "chaos/story.rs"]
mod story;
#[path = "chaos/verdict.rs"]
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use presence_engine::nats::commit::read_progress;
use presence_engine::nats::{Nats, names};
use tokio::time::{sleep, timeout};

use common::client::beat;
use common::told::Subscriber;
use common::{PATIENCE, connect, eventually, if_to_be_had};
use containers::{Container, Containers};
use load::Load;
use random::Random;
use story::{Story, told_by};
use verdict::{Terms, all_is_told, judge};

/// Thresholds of some seconds.
const CONFIG: &str = r#"
[engine]
partitions = 16
replicas = 3
checkpoint_every = "3s"
blind_after = "3s"
reconnect_grace = "5s"
lease_ttl = "2s"
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
/// The same, as far as the verdict has to know it.
const TERMS: Terms = Terms { partitions: 16, blind_after: 3_000, offline_after: 8_000 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_told_twice_while_each_container_of_a_cluster_fails_in_its_turn() {
    let seed = told_by("CHAOS_SEED", 1);
    let story = Story::begin(seed);
    let Some(mut cluster) = Containers::start(&story).await else { return };
    let url = cluster.url().await;
    let nats = connect(&url).await;
    let Some(()) = if_to_be_had("a cluster in containers", elect_a_leader(&nats).await) else { return };
    cluster.start_engines(CONFIG, &story).await;
    let three = shared_by(&nats, 3).await;
    for engine in &cluster.engines {
        assert_eq!(
            engine.restarts().await,
            0,
            "engines that begin together wait for each other:\n{}",
            engine.said().await
        );
    }
    story.say("three engines share the partitions");

    let subscribers = join_all(cluster.servers.iter().map(async |server| {
        // By a connection that goes nats when this server fails.
        Subscriber::to_all(&connect(&format!("{},{url}", server.url().await)).await).await
    }));
    let subscribers = subscribers.await;
    let mut random = Random::new(seed);
    let load = Load::start(&url, &mut random).await;
    for (n, server) in cluster.servers.iter().enumerate() {
        beat(&connect(&server.url().await).await, &format!("once{n}"), "tab").await;
    }

    let killed = &cluster.engines[random.pick(&[0, 1, 2])];
    killed.kill().await;
    let two = shared_by(&nats, 2).await;
    assert!(two.is_subset(&three), "who was there stays: {two:?} of {three:?}");
    all_is_told(&nats, TERMS, || ()).await;
    killed.start_again().await;
    let three = shared_by(&nats, 3).await;
    assert!(two.is_subset(&three), "who was there stays: {two:?} of {three:?}");
    story.say("an engine was killed, and has its part again");
    who_beat_once_walks_the_ladder(&subscribers).await;
    story.say(format!("the ladder was told; {} signals so far", load.acknowledged()));

    let leader = leader_of(&nats, names::LOG).await;
    let killed = cluster.server(&leader).expect("one of ours");
    killed.kill().await;
    eventually("another one leads the log", async || (leader_of(&nats, names::LOG).await != leader).then_some(()))
        .await;
    all_is_told(&nats, TERMS, || ()).await;
    story.say(format!("{leader} led the log and was killed, and all is told"));
    killed.start_again().await;
    are_current(&nats).await;
    story.say(format!("{leader} has all that the others have"));

    let before = shared_by(&nats, 3).await;
    let cut_off = &cluster.engines[random.pick(&[0, 1, 2])];
    cut_off.cut_off().await;
    let two = shared_by(&nats, 2).await;
    all_is_told(&nats, TERMS, || ()).await;
    cut_off.connect_again().await;
    let after = shared_by(&nats, 3).await;
    assert!(two.is_subset(&after), "who was there stays: {two:?} of {before:?}, {after:?} now");
    story.say("an engine was cut off, and has its part again");

    let leader = leader_of(&nats, names::EVENTS).await;
    let cut_off = cluster.server(&leader).expect("one of ours");
    let nats = connect(&cluster.url_without(&leader).await).await;
    cut_off.cut_off().await;
    eventually("another one leads", async || (leader_of(&nats, names::EVENTS).await != leader).then_some(())).await;
    all_is_told(&nats, TERMS, || ()).await;
    story.say(format!("{leader} led the events and was cut off, and all is told"));
    cut_off.connect_again().await;
    are_current(&nats).await;
    story.say(format!("{leader} has all that the others have"));

    let taken = load.stop().await;
    all_is_told(&nats, TERMS, || ()).await;
    shared_by(&nats, 3).await;
    for (engine, ended) in cluster.engines.iter().zip(join_all(cluster.engines.iter().map(Container::terminate)).await)
    {
        assert_eq!(ended, Some(0), "an engine was asked to end:\n{}", engine.said().await);
    }
    let heard: Vec<_> = subscribers.iter().map(Subscriber::heard).collect();
    drop(subscribers);
    judge(&cluster.url().await, &nats, TERMS, &taken, &heard, &story).await;
}

/// Waits until the servers, who start as those of any cluster do, have found each other.
async fn elect_a_leader(nats: &Nats) -> Result<(), String> {
    let elected = timeout(PATIENCE, async {
        while nats.jetstream.query_account().await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    elected
        .await
        .map_err(|_| "no leader is elected: does Docker let containers of one network reach each other?".into())
}

/// Each beat through a server of its own; a subscriber at another one hears all that becomes of it.
async fn who_beat_once_walks_the_ladder(subscribers: &[Subscriber]) {
    for n in 0..subscribers.len() {
        let subscriber = &subscribers[(n + 1) % subscribers.len()];
        let told = subscriber.until_state(&format!("presence.v1.user.main.once{n}"), "offline").await;
        let changes = told.iter().filter(|event| event["from"] != event["to"]);
        let states: Vec<_> = changes.map(|event| &event["to"]).collect();
        assert_eq!(states, ["active", "idle", "away", "stale", "offline"]);
    }
}

/// Waits until so many engines share the partitions, none with more than its part; their names, as the fences say.
async fn shared_by(nats: &Nats, engines: usize) -> BTreeSet<String> {
    eventually(&format!("{engines} engines share the partitions"), async || {
        let mut shares = BTreeMap::<_, usize>::new();
        for partition in 0..TERMS.partitions {
            *shares.entry(read_progress(nats, partition).await.ok()??.progress.owner).or_default() += 1;
        }
        let part = usize::from(TERMS.partitions).div_ceil(engines);
        (shares.len() == engines && shares.values().all(|count| *count <= part)).then(|| shares.into_keys().collect())
    })
    .await
}

/// The server that leads a stream; waits until one does.
async fn leader_of(nats: &Nats, stream: &str) -> String {
    eventually("the stream has a leader", async || {
        nats.jetstream.get_stream(stream).await.ok()?.cached_info().cluster.clone()?.leader
    })
    .await
}

/// Waits until every server has all that there is of the log and of the events.
async fn are_current(nats: &Nats) {
    for stream in [names::LOG, names::EVENTS] {
        eventually("all servers are current", async || {
            let cluster = nats.jetstream.get_stream(stream).await.ok()?.cached_info().cluster.clone()?;
            let replicas = cluster.replicas;
            (replicas.len() == 2 && replicas.iter().all(|peer| peer.current && !peer.offline)).then_some(())
        })
        .await;
    }
}
