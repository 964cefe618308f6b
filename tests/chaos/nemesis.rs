//! What goes wrong, chosen by a seed. Each nemesis is told as it begins and as it ends.

use std::time::Duration;

use presence_engine::nats::{Nats, names};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, ON_SMALL_DISK, SERVERS};
use super::fleet::Fleet;
use super::proxy::Passage;
use super::random::Random;
use super::story::Story;

#[derive(Debug, Clone, Copy)]
pub(crate) enum EngineFault {
    /// By SIGKILL.
    Kill,
    /// By SIGTERM.
    Terminate,
    /// By SIGSTOP, for longer than a lease holds.
    Pause,
    /// From one server, or from all.
    CutOff(Option<usize>, Passage),
    /// So many of a thousand: of commits, of ticks, of leases.
    LoseAcknowledgements(u64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum ServerFault {
    /// By SIGKILL.
    Kill(usize),
    KillAll,
    /// By SIGSTOP.
    Pause(usize),
    /// SIGSTOP in short bursts: the server does nothing meanwhile, as while it waits for its disk. A disk that is really slow
    /// would take a device of its own.
    SlowDisk(usize),
    StepDown(&'static str),
    /// From the other two.
    Isolate(usize, Passage),
    FullDisk,
    /// By so many seconds, of the server that leads the log, and back.
    SetClock(i64),
}

/// What goes wrong together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    engine: Option<(usize, EngineFault)>,
    server: Option<ServerFault>,
    lasts: Duration,
    /// How long all is well afterwards.
    pub(crate) calm: Duration,
}

/// A fault of each kind comes before one comes again.
pub(crate) struct Nemeses {
    random: Random,
    engines: usize,
    with_clocks: bool,
    with_disk: bool,
    kinds: Vec<u64>,
    engine_deck: Vec<u64>,
    server_deck: Vec<u64>,
}

/// How long the nemeses last that are not over at once, in milliseconds. A lease holds for 3 s.
const LASTS_MS: (u64, u64) = (2_000, 7_000);
const PAUSE_MS: (u64, u64) = (4_500, 8_000);
/// Twice one of an engine, twice one of a server, and once both.
const KINDS: u64 = 5;
const ENGINE_FAULTS: u64 = 5;
const SERVER_FAULTS: u64 = 8;
const HOUR_S: i64 = 3_600;

impl Nemeses {
    pub(crate) fn new(random: Random, engines: usize, cluster: &Cluster) -> Self {
        let (with_clocks, with_disk) = (!cluster.clocks.is_empty(), cluster.disk.is_some());
        let (kinds, engine_deck, server_deck) = (Vec::new(), Vec::new(), Vec::new());
        Self { random, engines, with_clocks, with_disk, kinds, engine_deck, server_deck }
    }

    /// The next round: one fault, and now and then one of an engine and one of a server together.
    pub(crate) fn next(&mut self) -> Round {
        let of = draw(&mut self.kinds, KINDS, &mut self.random);
        let engine = (of <= 2).then(|| (self.random.index(self.engines), self.engine_fault()));
        let server = (of >= 2).then(|| self.server_fault()).flatten();
        let (from, to) = match engine {
            Some((_, EngineFault::Pause)) => PAUSE_MS,
            _ => LASTS_MS,
        };
        let lasts = Duration::from_millis(self.random.between(from, to));
        Round { engine, server, lasts, calm: Duration::from_millis(self.random.between(500, 2_500)) }
    }

    fn engine_fault(&mut self) -> EngineFault {
        match draw(&mut self.engine_deck, ENGINE_FAULTS, &mut self.random) {
            0 => EngineFault::Kill,
            1 => EngineFault::Terminate,
            2 => EngineFault::Pause,
            3 => {
                let from = self.random.pick(&[None, None, Some(0), Some(1), Some(2)]);
                EngineFault::CutOff(from, self.passage())
            }
            _ => EngineFault::LoseAcknowledgements(self.random.pick(&[200, 500, 800])),
        }
    }

    /// None where the one that was drawn is not to be had on this machine.
    fn server_fault(&mut self) -> Option<ServerFault> {
        let server = self.random.index(SERVERS);
        Some(match draw(&mut self.server_deck, SERVER_FAULTS, &mut self.random) {
            0 => ServerFault::Kill(server),
            1 => ServerFault::KillAll,
            2 => ServerFault::Pause(server),
            3 => ServerFault::SlowDisk(server),
            4 => ServerFault::StepDown(self.random.pick(&[names::LOG, names::EVENTS])),
            5 => ServerFault::Isolate(server, self.passage()),
            6 => self.with_disk.then_some(ServerFault::FullDisk)?,
            _ => self.with_clocks.then_some(ServerFault::SetClock(self.random.pick(&[HOUR_S, -HOUR_S])))?,
        })
    }

    fn passage(&mut self) -> Passage {
        self.random.pick(&[Passage::Held, Passage::Cut])
    }
}

/// The next card of a deck, which is shuffled anew when it is empty.
fn draw(deck: &mut Vec<u64>, cards: u64, random: &mut Random) -> u64 {
    if deck.is_empty() {
        deck.extend(0..cards);
    }
    deck.swap_remove(random.index(deck.len()))
}

impl Round {
    /// Lets it happen, until it is over.
    pub(crate) async fn strike(&self, fleet: &mut Fleet, cluster: &mut Cluster, nats: &Nats, story: &Story) {
        fleet.tend(story);
        let alone = self.server.is_none();
        let engine = async {
            if let Some((engine, fault)) = self.engine {
                story.say(format!("begins: engine {engine}, {fault:?}, for {:?}", self.lasts));
                strike_engine(fleet, engine, fault, self.lasts, alone, story).await;
                story.say(format!("ends:   engine {engine}, {fault:?}"));
            }
        };
        let server = async {
            if let Some(fault) = self.server {
                story.say(format!("begins: {fault:?}, for {:?}", self.lasts));
                strike_servers(cluster, nats, fault, self.lasts, story).await;
                story.say(format!("ends:   {fault:?}"));
            }
        };
        tokio::join!(engine, server);
    }
}

async fn strike_engine(
    fleet: &mut Fleet,
    engine: usize,
    fault: EngineFault,
    lasts: Duration,
    alone: bool,
    story: &Story,
) {
    match fault {
        EngineFault::Kill => {
            fleet.engine(engine).kill();
            sleep(lasts).await;
            fleet.engine(engine).respawn();
        }
        EngineFault::Terminate => {
            if alone {
                fleet.terminate(engine).await;
            } else {
                fleet.terminate_in_a_storm(engine, story).await;
            }
            sleep(lasts).await;
            fleet.engine(engine).respawn();
        }
        EngineFault::Pause => {
            fleet.engine(engine).pause();
            sleep(lasts).await;
            fleet.engine(engine).resume();
        }
        EngineFault::CutOff(from, passage) => {
            fleet.set_doors(engine, from, passage);
            sleep(lasts).await;
            fleet.set_doors(engine, from, Passage::Open);
        }
        EngineFault::LoseAcknowledgements(permille) => {
            fleet.lose_acknowledgements(engine, permille);
            sleep(lasts).await;
            fleet.lose_acknowledgements(engine, 0);
        }
    }
}

async fn strike_servers(cluster: &mut Cluster, nats: &Nats, fault: ServerFault, lasts: Duration, story: &Story) {
    match fault {
        ServerFault::Kill(server) => cluster.power_cycle(server, lasts).await,
        ServerFault::KillAll => {
            for node in &mut cluster.servers.nodes {
                node.kill();
            }
            sleep(lasts).await;
            for node in &mut cluster.servers.nodes {
                node.restart().await;
            }
        }
        ServerFault::Pause(server) => {
            cluster.servers.nodes[server].pause();
            sleep(lasts).await;
            cluster.servers.nodes[server].resume();
        }
        ServerFault::SlowDisk(server) => {
            let until = Instant::now() + lasts;
            while Instant::now() < until {
                cluster.servers.nodes[server].pause();
                sleep(Duration::from_millis(250)).await;
                cluster.servers.nodes[server].resume();
                sleep(Duration::from_millis(100)).await;
            }
        }
        ServerFault::StepDown(stream) => {
            let asked: Result<Value, _> =
                nats.jetstream.request(format!("STREAM.LEADER.STEPDOWN.{stream}"), &Value::Null).await;
            match asked {
                Ok(answer) if answer["success"] == true => {}
                Ok(answer) => story.say(format!("the leader of {stream} does not step down: {answer}")),
                Err(error) => story.say(format!("the leader of {stream} does not step down: {error}")),
            }
        }
        ServerFault::Isolate(server, passage) => {
            cluster.set_routes_of(server, passage);
            sleep(lasts).await;
            cluster.set_routes_of(server, Passage::Open);
        }
        ServerFault::FullDisk => {
            let disk = cluster.disk.as_ref().expect("drawn only where there is one");
            disk.fill();
            sleep(lasts).await;
            disk.free();
            // A server that found its disk full gives JetStream up until it is started again.
            cluster.power_cycle(ON_SMALL_DISK, Duration::ZERO).await;
        }
        ServerFault::SetClock(seconds) => {
            let server = cluster.servers.leader(nats, names::LOG).await;
            let before = cluster.clocks[server].seconds();
            cluster.clocks[server].set(before + seconds);
            story.say(format!("the clock of server {server} is set by {seconds:+} s"));
            sleep(lasts).await;
            cluster.clocks[server].set(before);
        }
    }
}
