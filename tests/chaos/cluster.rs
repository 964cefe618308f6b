//! Three servers that are one cluster, with doors on their routes, clocks of their own, and one with a small disk.

use std::time::Duration;

use futures::future::join_all;
use presence_engine::nats::Nats;
use presence_engine::nats::topology::{self, Parameters};

use super::disk::SmallDisk;
use super::proxy::{Door, Passage};
use super::random::Random;
use super::story::Story;
use crate::common::clock::Clock;
use crate::common::port::Port;
use crate::common::{TestCluster, TestServer, connect, eventually, if_to_be_had};

pub(crate) const SERVERS: usize = 3;
/// The server whose disk is small.
pub(crate) const ON_SMALL_DISK: usize = 2;

pub(crate) struct Cluster {
    pub(crate) servers: TestCluster,
    /// By the server that they lead to.
    routes: Vec<Door>,
    /// One for each server, where the machine allows it.
    pub(crate) clocks: Vec<Clock>,
    pub(crate) disk: Option<SmallDisk>,
}

impl Cluster {
    /// Starts the servers. Their clocks differ from the beginning.
    pub(crate) async fn start(random: &mut Random, story: &Story) -> Self {
        let clocks = if_to_be_had("clocks that can be set", (0..SERVERS).map(|_| Clock::new()).collect());
        let clocks: Vec<Clock> = clocks.unwrap_or_default();
        let disk = if_to_be_had("a small disk", SmallDisk::mount());
        let ports: Vec<_> = (0..SERVERS).map(|_| Port::take()).collect();
        let seed = random.next();
        let routes = join_all(ports.iter().map(|port| Door::to(port.number(), seed))).await;
        for (server, clock) in clocks.iter().enumerate() {
            let seconds = random.pick(&[0, 0, 1, -1, 20, -20]);
            clock.set(seconds);
            story.say(format!("the clock of server {server} is {seconds:+} s off"));
        }
        let servers = ports.iter().enumerate().map(|(server, port)| {
            let others = routes.iter().enumerate().filter(|(other, _)| *other != server);
            let others: Vec<_> = others.map(|(_, door)| door.url()).collect();
            let store = disk.as_ref().filter(|_| server == ON_SMALL_DISK).map(|disk| disk.path().display().to_string());
            let mut options = vec![
                "--server_name".to_owned(),
                name(server),
                "--cluster_name".into(),
                "chaos".into(),
                "--cluster".into(),
                format!("nats://127.0.0.1:{}", port.number()),
                "--cluster_advertise".into(),
                routes[server].address(),
                "--routes".into(),
                others.join(","),
                // Nobody is led past the doors.
                "--no_advertise=true".into(),
            ];
            options.extend(store.into_iter().flat_map(|store| ["--store_dir".to_owned(), store]));
            let clock = clocks.get(server);
            async move {
                let options: Vec<_> = options.iter().map(String::as_str).collect();
                TestServer::start_under(clock, &options).await
            }
        });
        let servers = TestCluster { nodes: join_all(servers).await, ports };
        Self { servers, routes, clocks, disk }
    }

    /// The streams and buckets, once the cluster can hold them.
    pub(crate) async fn set_up(&self, parameters: &Parameters) -> Nats {
        let nats = connect(&self.servers.url()).await;
        eventually("the cluster takes the topology", async || topology::setup(&nats, parameters).await.ok()).await;
        nats
    }

    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> + '_ {
        self.servers.nodes.iter().map(TestServer::port)
    }

    /// Nothing goes between a server and the others, or again.
    pub(crate) fn set_routes_of(&self, server: usize, passage: Passage) {
        for (other, door) in self.routes.iter().enumerate() {
            if other == server {
                door.set(passage);
            } else {
                door.set_for(&name(server), passage);
            }
        }
    }

    /// Ends a server as a power switch does, and starts it again so much later.
    pub(crate) async fn power_cycle(&mut self, server: usize, off: Duration) {
        self.servers.nodes[server].kill();
        tokio::time::sleep(off).await;
        self.servers.nodes[server].restart().await;
    }
}

fn name(server: usize) -> String {
    format!("n{server}")
}
