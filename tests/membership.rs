//! Engines that share one log see each other, and no more dead than are dead, against a real nats-server.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use presence_engine::nats::topology::{self, Parameters};
use presence_engine::nats::{Lessee, Membership, Nats, View, names};
use presence_engine::wire::{Lease, Member};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use common::streams::store;
use common::{TestServer, Wire, connect, eventually, soon};

/// Long enough that a busy machine doesn't look like a dead one.
const TTL: Duration = Duration::from_secs(3);
/// The silence that a renewal may be old when its engine dies, and a little for clocks that round.
const RENEWAL: Duration = Duration::from_millis(550);

fn member(name: &str) -> Member {
    Member {
        v: 1,
        engine: name.into(),
        version: "0.1.0".into(),
        host: "here".into(),
        pid: 1,
        since_ms: 0,
        leaving: false,
    }
}

async fn join(nats: &Nats, name: &str) -> Membership {
    Membership::join(nats, member(name), TTL).await.expect("an engine can take part")
}

/// Waits for a view of `engine` of which `condition` holds.
async fn sees(what: &str, engine: &Membership, condition: impl Fn(&View) -> bool) {
    soon(what, engine.view().wait_for(|view| condition(view))).await.expect("the engine takes part");
}

async fn sees_members(engine: &Membership, members: &[&str]) {
    let what = format!("a settled view of {members:?}");
    sees(&what, engine, |view| view.is_settled() && view.members().eq(members.iter().copied())).await;
}

async fn sees_lessee(engine: &Membership, partition: u16, lessee: Lessee<'_>) {
    let what = format!("partition {partition} is {lessee:?}");
    sees(&what, engine, |view| view.is_settled() && view.lessee(partition) == lessee).await;
}

async fn acquired(engine: &Membership, partition: u16) {
    assert!(engine.acquire(partition).await.expect("the server answers"), "partition {partition} was to be had");
}

/// Who was seen at any time among those that were watched since.
struct Census {
    task: JoinHandle<BTreeSet<Vec<String>>>,
    stop: watch::Sender<bool>,
}

impl Census {
    /// Every membership that `engine` sees from now on.
    fn of(engine: &Membership) -> Self {
        let (mut views, stop) = (engine.view(), watch::Sender::new(false));
        let mut stopped = stop.subscribe();
        let task = tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            loop {
                let view: Arc<View> = views.borrow_and_update().clone();
                seen.insert(view.members().map(str::to_owned).collect());
                tokio::select! {
                    changed = views.changed() => if changed.is_err() { return seen },
                    _ = stopped.wait_for(|stopped| *stopped) => return seen,
                }
            }
        });
        Self { task, stop }
    }

    /// Nothing but these was ever seen.
    async fn was_always(self, members: &[&str]) {
        self.stop.send_replace(true);
        let seen = self.task.await.expect("the census is taken");
        assert_eq!(seen, BTreeSet::from([members.iter().map(|name| (*name).to_owned()).collect()]));
    }
}

#[tokio::test]
async fn without_buckets_nobody_takes_part_and_is_told_what_creates_them() {
    let server = TestServer::start().await;
    let error = Membership::join(&server.connect().await, member("a"), TTL).await.unwrap_err().to_string();
    assert!(error.contains(names::MEMBERS_BUCKET) && error.contains("presence setup"), "{error}");
}

#[tokio::test]
async fn a_newcomer_need_not_wait_for_its_own_next_renewal_to_know_who_is_there() {
    let (server, nats) = TestServer::with_topology().await;
    let a = join(&nats, "a").await;
    // It renews its entry each ten minutes.
    let ttl = Duration::from_secs(3_600);
    let newcomer = Membership::join(&server.connect().await, member("b"), ttl).await.expect("an engine can take part");
    sees_members(&newcomer, &["a", "b"]).await;
    drop(a);
}

#[tokio::test]
async fn two_members_see_each_other_and_a_leave_is_seen_at_once() {
    let (server, nats) = TestServer::with_topology().await;
    let (a, b) = (join(&nats, "a").await, join(&server.connect().await, "b").await);
    sees_members(&a, &["a", "b"]).await;
    sees_members(&b, &["a", "b"]).await;
    let shares = [&a, &b].map(|engine| engine.view().borrow().share(64));
    assert!(shares[0].is_disjoint(&shares[1]) && shares[0].len() == 32 && shares[1].len() == 32);
    let bucket = store(&nats, names::MEMBERS_BUCKET).await;
    let written = bucket.entry("b").await.unwrap().expect("b's entry");
    b.leave().await.unwrap();
    sees_members(&a, &["a"]).await;
    let deleted = bucket.entry("b").await.unwrap().expect("the mark that it was deleted");
    assert_ne!(deleted.operation, written.operation, "it was deleted, and not waited for");
}

#[tokio::test]
async fn who_crashes_is_dead_after_the_ttl_and_not_before_and_its_leases_are_free() {
    let (server, nats) = TestServer::with_topology().await;
    let (a, b) = (join(&nats, "a").await, join(&server.connect().await, "b").await);
    sees_members(&a, &["a", "b"]).await;
    sees_members(&b, &["a", "b"]).await;
    acquired(&b, 7).await;
    sees_lessee(&a, 7, Lessee::Other("b")).await;
    assert!(!a.acquire(7).await.unwrap());
    let crashed = Instant::now();
    drop(b);
    sees_members(&a, &["a"]).await;
    assert!(crashed.elapsed() + RENEWAL >= TTL, "it was dead after {:?}", crashed.elapsed());
    sees_lessee(&a, 7, Lessee::Free).await;
    acquired(&a, 7).await;
    assert_eq!(a.view().borrow().lessee(7), Lessee::Own, "what one has taken oneself needs no echo");
}

#[tokio::test]
async fn a_newcomer_finds_the_leases_of_the_dead_free() {
    let (server, nats) = TestServer::with_topology().await;
    let a = join(&nats, "a").await;
    acquired(&a, 7).await;
    let forgotten = Lease { v: 1, engine: Some("nobody-knows".into()) };
    store(&nats, names::LEASES_BUCKET).await.put("9", forgotten.to_json().into()).await.unwrap();
    drop(a);
    let b = join(&server.connect().await, "b").await;
    assert_eq!(b.view().borrow().lessee(7), Lessee::Other("a"), "its entry is there, its age is unknown");
    sees("who has no entry holds nothing", &b, |view| view.is_settled() && view.lessee(9) == Lessee::Free).await;
    sees_lessee(&b, 7, Lessee::Free).await;
    acquired(&b, 7).await;
    acquired(&b, 9).await;
}

#[tokio::test]
async fn of_two_that_race_for_a_lease_one_gets_it_and_gives_it_back_to_the_other() {
    let (server, nats) = TestServer::with_topology().await;
    let (a, b) = (join(&nats, "a").await, join(&server.connect().await, "b").await);
    for partition in 0..32 {
        let (for_a, for_b) = tokio::join!(a.acquire(partition), b.acquire(partition));
        assert_ne!(for_a.unwrap(), for_b.unwrap(), "partition {partition}");
    }
    let view = a.view().borrow().clone();
    for partition in 0..32 {
        let (winner, loser) = if view.lessee(partition) == Lessee::Own { (&a, &b) } else { (&b, &a) };
        acquired(winner, partition).await;
        winner.release(partition).await.unwrap();
        winner.release(partition).await.unwrap();
        sees_lessee(loser, partition, Lessee::Free).await;
        acquired(loser, partition).await;
        winner.release(partition).await.unwrap();
        let name = if std::ptr::eq(loser, &a) { "a" } else { "b" };
        sees_lessee(winner, partition, Lessee::Other(name)).await;
    }
}

#[tokio::test]
async fn a_dead_server_makes_nobody_dead() {
    let (mut server, nats) = TestServer::with_topology().await;
    let (a, b) = (join(&nats, "a").await, join(&server.connect().await, "b").await);
    sees_members(&a, &["a", "b"]).await;
    sees_members(&b, &["a", "b"]).await;
    acquired(&a, 1).await;
    let censuses = [Census::of(&a), Census::of(&b)];
    server.kill();
    for engine in [&a, &b] {
        sees("nothing can be judged", engine, |view| !view.is_settled()).await;
    }
    let error = a.acquire(2).await.unwrap_err().to_string();
    assert!(error.contains("partition 2"), "{error}");
    tokio::time::sleep(TTL + TTL / 2).await;
    server.restart().await;
    sees_members(&a, &["a", "b"]).await;
    sees_members(&b, &["a", "b"]).await;
    sees_lessee(&b, 1, Lessee::Other("a")).await;
    acquired(&b, 2).await;
    sees_lessee(&a, 2, Lessee::Other("b")).await;
    // Whoever was silent when it came back would be dead by now.
    tokio::time::sleep(TTL + RENEWAL).await;
    for census in censuses {
        census.was_always(&["a", "b"]).await;
    }
}

#[tokio::test]
async fn a_server_that_stands_still_makes_nobody_dead() {
    let (server, nats) = TestServer::with_topology().await;
    let (a, b) = (join(&nats, "a").await, join(&server.connect().await, "b").await);
    sees_members(&a, &["a", "b"]).await;
    sees_members(&b, &["a", "b"]).await;
    let censuses = [Census::of(&a), Census::of(&b)];
    server.pause();
    for engine in [&a, &b] {
        sees("nothing can be judged", engine, |view| !view.is_settled()).await;
    }
    tokio::time::sleep(TTL).await;
    server.resume();
    sees_members(&a, &["a", "b"]).await;
    sees_members(&b, &["a", "b"]).await;
    for census in censuses {
        census.was_always(&["a", "b"]).await;
    }
}

#[tokio::test]
async fn whose_wire_is_cut_is_dead_to_the_other_and_sees_nobody_dead() {
    let (server, nats) = TestServer::with_topology().await;
    let wire = Wire::to(&server).await;
    let (a, b) = (join(&nats, "a").await, join(&connect(&wire.url()).await, "b").await);
    sees_members(&a, &["a", "b"]).await;
    sees_members(&b, &["a", "b"]).await;
    acquired(&b, 7).await;
    let census = Census::of(&b);
    wire.take_down();
    sees_members(&a, &["a"]).await;
    assert!(!b.view().borrow().is_settled());
    sees_lessee(&a, 7, Lessee::Free).await;
    acquired(&a, 7).await;
    wire.mend();
    sees_members(&a, &["a", "b"]).await;
    sees_members(&b, &["a", "b"]).await;
    sees_lessee(&b, 7, Lessee::Other("a")).await;
    census.was_always(&["a", "b"]).await;
}

#[tokio::test]
async fn who_hears_nothing_sees_nobody_dead_and_is_not_dead_itself() {
    let (server, nats) = TestServer::with_topology().await;
    let wire = Wire::to(&server).await;
    let (a, b) = (join(&nats, "a").await, join(&connect(&wire.url()).await, "b").await);
    sees_members(&a, &["a", "b"]).await;
    sees_members(&b, &["a", "b"]).await;
    let censuses = [Census::of(&a), Census::of(&b)];
    wire.deafen();
    sees("nothing can be judged", &b, |view| !view.is_settled()).await;
    // The client finds out by its pings and connects again.
    sees_members(&b, &["a", "b"]).await;
    let [of_a, of_b] = censuses;
    of_b.was_always(&["a", "b"]).await;
    of_a.stop.send_replace(true);
    sees_members(&a, &["a", "b"]).await;
}

#[tokio::test]
async fn purged_and_recreated_buckets_are_taken_as_they_come() {
    let (server, nats) = TestServer::with_topology().await;
    let (a, b) = (join(&nats, "a").await, join(&server.connect().await, "b").await);
    sees_members(&a, &["a", "b"]).await;
    sees_members(&b, &["a", "b"]).await;
    acquired(&a, 7).await;
    sees_lessee(&b, 7, Lessee::Other("a")).await;
    let censuses = [Census::of(&a), Census::of(&b)];

    for bucket in [names::MEMBERS_BUCKET, names::LEASES_BUCKET] {
        let stream = nats.jetstream.get_stream(names::bucket_stream(bucket)).await.unwrap();
        stream.purge().await.unwrap();
    }
    // The watch says nothing of it, the next who wants to write is told.
    a.release(7).await.unwrap();
    assert_eq!(a.view().borrow().lessee(7), Lessee::Free);
    acquired(&a, 7).await;
    sees_lessee(&b, 7, Lessee::Other("a")).await;

    for bucket in [names::MEMBERS_BUCKET, names::LEASES_BUCKET] {
        nats.jetstream.delete_stream(names::bucket_stream(bucket)).await.unwrap();
    }
    topology::setup(&nats, &Parameters::default()).await.unwrap();
    for engine in [&a, &b] {
        sees("the lease is gone with its bucket", engine, |view| view.is_settled() && view.lessee(7) == Lessee::Free)
            .await;
    }
    acquired(&b, 7).await;
    sees_lessee(&a, 7, Lessee::Other("b")).await;
    for census in censuses {
        census.was_always(&["a", "b"]).await;
    }
}

#[tokio::test]
async fn an_entry_that_vanished_is_written_again_and_garbage_is_nobody() {
    let (server, nats) = TestServer::with_topology().await;
    let (a, b) = (join(&nats, "a").await, join(&server.connect().await, "b").await);
    sees_members(&a, &["a", "b"]).await;
    let members = store(&nats, names::MEMBERS_BUCKET).await;
    members.put("garbage", "\u{1}".into()).await.unwrap();
    store(&nats, names::LEASES_BUCKET).await.put("7", "garbage".into()).await.unwrap();
    members.delete("b").await.unwrap();
    let back = async || members.get("b").await.expect("the bucket answers").map(|_| ());
    eventually("the entry is there again", back).await;
    sees_members(&a, &["a", "b"]).await;
    sees_members(&b, &["a", "b"]).await;
    let old = b.view().borrow().clone();
    acquired(&b, 7).await;
    assert_ne!(*b.view().borrow().clone(), *old);
    sees_lessee(&a, 7, Lessee::Other("b")).await;
}
