//! The JetStream edge against three servers, whose leaders are killed and stopped.

mod common;

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use presence_engine::nats::topology::{self, Parameters};
use presence_engine::nats::{
    Batch, CommitLane, LogIdentity, LogReader, Nats, OutMessage, Owner, Partitions, Position, Ticker, names,
};
use tokio::sync::watch;

use common::{TestCluster, connect, eventually, soon};

#[derive(Debug, Clone, Copy)]
enum Nemesis {
    KillTheLeaderOf(&'static str),
    StopTheLeaderOf(&'static str),
    KillAll,
}

const NEMESES: [Nemesis; 5] = [
    Nemesis::KillTheLeaderOf(names::EVENTS),
    Nemesis::KillTheLeaderOf(names::LOG),
    Nemesis::StopTheLeaderOf(names::EVENTS),
    Nemesis::KillAll,
    Nemesis::StopTheLeaderOf(names::LOG),
];

/// Ticks go into the log, the reader reads them, and for each a commit goes out, while leaders fall.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_is_read_once_and_told_once_while_leaders_fall() {
    let mut cluster = TestCluster::start().await;
    let nats = connect(&cluster.url()).await;
    let parameters = Parameters { replicas: 3, ..Parameters::default() };
    eventually("the cluster takes the topology", || async { topology::setup(&nats, &parameters).await.ok() }).await;
    let log = eventually("the log answers", || async { LogIdentity::read(&nats).await.ok() }).await;

    let engine = connect(&cluster.url()).await;
    let (_due, due) = watch::channel(Some(tokio::time::Instant::now()));
    let ticker = tokio::spawn(Ticker::new(&engine, Duration::from_millis(100)).run(due));
    let (tell, mut told) = watch::channel(0);
    let work = tokio::spawn(tell_each_entry(engine, log, tell));

    for nemesis in NEMESES {
        let before = *told.borrow_and_update();
        soon("commits go on before the nemesis", told.wait_for(|seq| *seq > before + 10)).await.unwrap();
        act(&mut cluster, &nats, nemesis).await;
        let before = *told.borrow_and_update();
        eprintln!("{nemesis:?} after {before}");
        soon("commits go on after the nemesis", told.wait_for(|seq| *seq > before + 10)).await.unwrap();
    }
    ticker.abort();
    let last = eventually("the log answers", || async { LogIdentity::read(&nats).await.ok() }).await.last_seq;
    soon("all is told", told.wait_for(|seq| *seq >= last)).await.unwrap();
    work.abort();
    let stored = eventually("the events can be read", || stored_sessions(&nats)).await;
    assert_eq!(stored, (1..=stored.len() as u64).collect::<Vec<_>>());
    assert!(stored.len() as u64 >= last);
}

#[tokio::test]
async fn who_finds_another_one_creating_the_same_streams_may_try_again() {
    let cluster = TestCluster::start().await;
    let parameters = Parameters { replicas: 3, ..Parameters::default() };
    let together = (0..3).map(async |_| {
        let nats = connect(&cluster.url()).await;
        eventually("the topology is there", async || match topology::setup(&nats, &parameters).await {
            Ok(_) => Some(()),
            Err(error) => {
                assert!(error.may_pass(), "{error}");
                None
            }
        })
        .await;
    });
    join_all(together).await;
    let missing = topology::plan(&connect(&cluster.url()).await, &parameters).await.unwrap();
    assert!(missing.is_empty(), "{missing:?}");
}

async fn act(cluster: &mut TestCluster, nats: &Nats, nemesis: Nemesis) {
    match nemesis {
        Nemesis::KillTheLeaderOf(stream) => {
            let leader = cluster.leader(nats, stream).await;
            cluster.nodes[leader].kill();
            // Until the others have another one.
            let followed = async { cluster.leader(nats, stream).await != leader };
            let followed = followed.await;
            eprintln!("node {leader} led {stream} and was killed, followed: {followed}");
            cluster.nodes[leader].restart().await;
        }
        Nemesis::StopTheLeaderOf(stream) => {
            let leader = cluster.leader(nats, stream).await;
            cluster.nodes[leader].pause();
            tokio::time::sleep(Duration::from_secs(6)).await; // long enough for another one to be elected
            cluster.nodes[leader].resume();
        }
        Nemesis::KillAll => {
            for node in &mut cluster.nodes {
                node.kill();
            }
            for node in &mut cluster.nodes {
                node.restart().await;
            }
        }
    }
}

/// One event for each entry of the log, named by its sequence; tells which is committed.
async fn tell_each_entry(nats: Nats, log: LogIdentity, tell: watch::Sender<u64>) {
    let mut lane = CommitLane::new(&nats, Owner::unique(&nats), &log.created, 1);
    lane.take_fences(&[0, 1, 2]).await.expect("nobody else wants them");
    let mut reader = LogReader::start(&nats, &log.created, Partitions::All, 1);
    loop {
        let chunk = reader.next().await.expect("the log is still the log");
        let last = chunk.last().expect("a chunk is never empty").seq;
        let messages = chunk.iter().map(|entry| OutMessage {
            partition: (entry.seq % 3) as u16,
            subject: format!("presence.v1.session.t.u.{}", entry.seq),
            headers: Vec::new(),
            payload: Bytes::new(),
        });
        let position = Position { input_seq: last, input_ts: 0, k: 1, policy_hash: String::new(), generation: 0 };
        let batch = Batch { messages: messages.collect(), progress: (0..3).map(|p| (p, position.clone())).collect() };
        lane.commit(batch).await.expect("nobody takes the fences");
        tell.send_replace(last);
    }
}

async fn stored_sessions(nats: &Nats) -> Option<Vec<u64>> {
    let stream = nats.jetstream.get_stream(names::EVENTS).await.ok()?;
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        filter_subject: "presence.v1.session.>".into(),
        ..Default::default()
    };
    let consumer = stream.create_consumer(config).await.ok()?;
    let n = usize::try_from(consumer.cached_info().num_pending).ok()?;
    let messages = consumer.fetch().max_messages(n).messages().await.ok()?;
    let stored: Vec<u64> = messages
        .filter_map(|message| async move { message.ok()?.subject.rsplit('.').next()?.parse::<u64>().ok() })
        .collect()
        .await;
    (stored.len() == n).then_some(stored)
}
