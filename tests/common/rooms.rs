//! What is told of rooms, against the log folded once more.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use presence_engine::model::{Member, RoomPart, State, Tally};
use presence_engine::nats::{LogIdentity, Nats, names};
use presence_engine::wire::{EventSubject, ToldEvent, told};
use serde_json::Value;

use super::oracle::Oracle;
use super::streams::{self, Stored};
use super::{PATIENCE, eventually};

/// More than any room of the tests holds.
const MEMBERS_MAX: usize = 256;

/// Sessions by state.
type Sessions = [u64; 4];

/// How many, and who where that is told.
type Part = (Tally, Option<Vec<Member>>);

/// What holds of all rooms, by `<tenant>.<room>`; empty ones are left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rooms {
    /// What each partition contributes.
    pub parts: BTreeMap<(u16, String), Part>,
    /// The sums.
    pub sums: BTreeMap<String, Tally>,
    /// Who is in rooms that have no more users than so many, by `<tenant>.<room>.<user>`.
    pub members: BTreeMap<String, (State, Sessions)>,
}

impl Rooms {
    /// What the latest messages of each subject say. Of members only those of rooms with up to `members_max` users.
    pub fn told(stored: &[Stored], members_max: u64) -> Self {
        let latest: BTreeMap<&str, &Stored> = stored.iter().map(|stored| (stored.subject.as_str(), stored)).collect();
        let mut rooms = Self::default();
        for (subject, stored) in latest {
            match EventSubject::parse(subject) {
                EventSubject::Partial(partition, key) => {
                    let partial = told::Partial::read(&stored.payload).expect("a partial can be read");
                    rooms.contribute(partition, key, partial.recall().expect("names are tokens"));
                }
                EventSubject::Room(key) => {
                    let Ok(ToldEvent::Room(room)) = ToldEvent::read(&stored.payload) else { panic!("{stored:?}") };
                    let tally = Tally {
                        sessions: room.sessions.into(),
                        users: room.users.into(),
                        ready: room.ready.iter().map(|(name, count)| (name.as_ref().into(), *count)).collect(),
                        expected_permille: room.expected_permille,
                        variance_millionths: room.variance_permille * 1_000,
                    };
                    if !tally.is_empty() {
                        rooms.sums.insert(key.into(), tally);
                    }
                }
                EventSubject::Member(key) => {
                    let Ok(ToldEvent::Member(member)) = ToldEvent::read(&stored.payload) else { panic!("{stored:?}") };
                    if member.to != State::Offline {
                        rooms.members.insert(key.into(), (member.to, member.sessions.into()));
                    }
                }
                _ => {}
            }
        }
        rooms.limited(members_max)
    }

    /// What the log says, as far as it was told.
    pub fn recount(oracle: &Oracle, members_max: u64) -> Self {
        let mut rooms = Self::default();
        for partition in &oracle.partitions {
            for part in partition.room_parts(MEMBERS_MAX) {
                let key = format!("{}.{}", part.tenant, part.room);
                rooms.sums.entry(key.clone()).or_default().add(&part.tally);
                for member in part.members.iter().flatten() {
                    let sessions = member.sessions.map(u64::from);
                    rooms.members.insert(format!("{key}.{}", member.user), (member.state, sessions));
                }
                let is_told = part.tally.users() <= members_max;
                let part = RoomPart { members: part.members.clone().filter(|_| is_told), ..part };
                rooms.contribute(partition.number(), &key, part);
            }
        }
        // As they are told.
        rooms.sums.values_mut().for_each(|sum| sum.variance_millionths -= sum.variance_millionths % 1_000);
        rooms.limited(members_max)
    }

    fn contribute(&mut self, partition: u16, key: &str, part: RoomPart) {
        if !part.tally.is_empty() {
            self.parts.insert((partition, key.into()), (part.tally, part.members));
        }
    }

    fn limited(mut self, members_max: u64) -> Self {
        let few = |key: &String| {
            let (room, _) = key.rsplit_once('.').expect("a member is in a room");
            self.sums.get(room).is_none_or(|sum| sum.users() <= members_max)
        };
        self.members.retain(|key, _| few(key));
        self
    }
}

/// What is told of rooms now.
pub async fn told(nats: &Nats, members_max: u64) -> Rooms {
    Rooms::told(&streams::read(nats, names::EVENTS).await, members_max)
}

/// Waits until everything that is told of rooms is what the log says, and so is the bucket; returns it. Nobody publishes
/// meanwhile, nobody falls by time, and engines run.
pub async fn at_rest(nats: &Nats, members_max: u64) -> Rooms {
    let last = LogIdentity::read(nats).await.expect("the log is there").last_seq;
    streams::told_up_to(nats, last).await;
    let oracle = Oracle::fold(&streams::log(nats).await, &streams::progress(nats).await);
    let rooms = Rooms::recount(&oracle, members_max);
    let until = Instant::now() + PATIENCE;
    loop {
        let told = told(nats, members_max).await;
        if told == rooms {
            break;
        }
        assert!(Instant::now() < until, "told of rooms is\n{told:#?}\nand the log says\n{rooms:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eventually("the bucket has the latest event of each room", async || {
        let bucket = streams::bucket(nats, names::ROOMS_BUCKET).await;
        let is_it = bucket.keys().eq(rooms.sums.keys())
            && bucket.iter().all(|(key, value)| users(value) == rooms.sums[key].users());
        is_it.then_some(())
    })
    .await;
    rooms
}

/// How many users a room's event tells.
pub fn users(event: &Value) -> u64 {
    let of = event["users"].as_object().expect("a room's event counts users");
    of.values().map(|count| count.as_u64().expect("a number")).sum()
}

/// The events that are stored of a room of `main`'s, with the times at which they were.
pub async fn events_of(nats: &Nats, room: &str) -> Vec<(u64, Value)> {
    let subject = format!("presence.v1.room.main.{room}");
    let stored = streams::read(nats, names::EVENTS).await;
    stored.iter().filter(|stored| stored.subject == subject).map(|stored| (stored.ts_ms, stored.json())).collect()
}
