use std::collections::BTreeMap;

use super::*;
use crate::fold::{Body, Entry, IndexKey};
use crate::model::{Address, Intent, Kind, Signal};

const START: Millis = 1_700_000_000_000;

fn token(text: &str) -> Token<'_> {
    Token::parse(text).unwrap()
}

fn in_rooms(rooms: &[&str]) -> Signal {
    Signal { rooms: Some(rooms.iter().map(|room| (*room).into()).collect()), ..Signal::default() }
}

struct Log {
    partition: Partition,
    seq: u64,
    ts: Millis,
}

impl Log {
    fn new() -> Self {
        Self { partition: Partition::new(0, &IndexKey::new(1, 2)), seq: 0, ts: START }
    }

    fn entry(&mut self, body: Body<'_>) {
        self.seq += 1;
        self.partition.apply(&Entry { seq: self.seq, ts: self.ts, body }, &mut Vec::new());
    }

    fn signal(&mut self, user: &str, session: &str, signal: &Signal) {
        let address = format!("main.{user}.{session}");
        let address = Address::parse(&address).unwrap();
        self.entry(Body::of(address, signal));
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.ts += 1_000;
            self.entry(Body::Tick { failed: 0 });
        }
    }

    fn room(&self, room: &str) -> Tally {
        self.partition.room_part(token("main"), token(room), 64).tally
    }

    fn changed(&mut self) -> Vec<String> {
        self.partition.take_changed_rooms(64).into_iter().map(|part| part.room.into()).collect()
    }
}

#[test]
fn a_user_counts_once_by_the_best_of_its_sessions_in_the_room() {
    let mut log = Log::new();
    log.signal("ada", "tab", &in_rooms(&["lobby", "den"]));
    log.pass(60);
    log.signal("ada", "phone", &in_rooms(&["lobby"]));
    log.signal("bob", "tab", &in_rooms(&["lobby"]));
    let lobby = log.room("lobby");
    assert_eq!((lobby.sessions, lobby.users), ([2, 1, 0, 0], [2, 0, 0, 0]));
    let den = log.room("den");
    assert_eq!((den.sessions, den.users), ([0, 1, 0, 0], [0, 1, 0, 0]), "its best session there is idle");
    assert_eq!(log.room("nowhere"), Tally::default());
}

#[test]
fn the_expected_number_is_the_sum_of_confidences_as_they_were_told() {
    let mut log = Log::new();
    log.signal("ada", "tab", &in_rooms(&["lobby"]));
    log.signal("bob", "tab", &in_rooms(&["lobby"]));
    assert_eq!((log.room("lobby").expected_permille, log.room("lobby").variance_millionths), (2_000, 0));
    log.pass(60);
    log.signal("bob", "tab", &Signal::default());
    log.pass(31);
    // 30 s of grace and 60 s of half life: Ada has faded below one half.
    let lobby = log.room("lobby");
    let p = lobby.expected_permille - 1_000;
    assert!((490..500).contains(&p), "{lobby:?}");
    assert_eq!(lobby.variance_millionths, p * (1_000 - p));
}

#[test]
fn who_leaves_goes_offline_or_becomes_invisible_is_in_no_room() {
    let mut log = Log::new();
    for user in ["ada", "bob", "carol", "dave"] {
        log.signal(user, "tab", &in_rooms(&["lobby"]));
    }
    assert_eq!(log.changed(), ["lobby"]);
    log.signal("ada", "tab", &Signal { kind: Kind::Leave, ..Signal::default() });
    log.signal("bob", "tab", &in_rooms(&[]));
    log.signal("carol", "tab", &Signal { intent: Some(Intent::Invisible), ..Signal::default() });
    assert_eq!(log.room("lobby").users, [1, 0, 0, 0]);
    assert_eq!((log.changed(), log.changed()), (vec!["lobby".to_owned()], vec![]));
    log.signal("carol", "tab", &Signal { intent: Some(Intent::Open), ..Signal::default() });
    assert_eq!(log.room("lobby").users, [2, 0, 0, 0], "who is visible again is where it was");
    log.pass(300);
    assert!(log.room("lobby").is_empty());
    assert_eq!(log.changed(), ["lobby"]);
    assert_eq!(log.partition.room_parts(64).count(), 0);
}

#[test]
fn readiness_is_counted_by_capability_also_when_a_policy_orders_them_anew() {
    let mut log = Log::new();
    let can = |names: &[&str]| Signal {
        can: Some(names.iter().map(|name| (*name).into()).collect()),
        ..in_rooms(&["lobby"])
    };
    log.signal("ada", "tab", &can(&["audio", "video"]));
    log.signal("bob", "tab", &can(&["video"]));
    let expected = vec![("audio".into(), 1), ("video".into(), 2)];
    assert_eq!(log.room("lobby").ready, expected);
    let capabilities = ["video", "hologram", "audio"].map(Into::into).into();
    let policy = crate::model::Policy { capabilities, ..crate::model::Policy::default() };
    log.entry(Body::Policy(&std::sync::Arc::new(policy)));
    assert_eq!(log.room("lobby").ready, expected);
    log.signal("bob", "tab", &Signal { intent: Some(Intent::Dnd), ..Signal::default() });
    assert_eq!(log.room("lobby").ready, [("audio".into(), 1), ("video".into(), 1)]);
}

#[test]
fn members_are_named_while_they_are_few() {
    let mut log = Log::new();
    for user in ["carol", "ada", "bob"] {
        log.signal(user, "tab", &in_rooms(&["lobby", "lobby"]));
    }
    let part = |max| log.partition.room_part(token("main"), token("lobby"), max).members;
    let names: Vec<_> = part(3).unwrap().into_iter().map(|member| (member.user, member.sessions)).collect();
    assert_eq!(names, ["ada", "bob", "carol"].map(|user| (user.into(), [1, 0, 0, 0])));
    assert_eq!(part(2), None);
}

#[test]
fn heartbeats_that_change_nothing_change_no_room() {
    let mut log = Log::new();
    log.signal("ada", "tab", &in_rooms(&["lobby"]));
    log.changed();
    for _ in 0..10 {
        log.pass(10);
        log.signal("ada", "tab", &in_rooms(&["lobby"]));
        log.signal("ada", "tab", &Signal::default());
    }
    assert_eq!(log.changed(), Vec::<String>::new());
}

/// I11, within a partition: what is counted step by step is what a recount of the people gives, and what a restored one counts.
#[test]
fn what_is_counted_is_a_recount_and_survives_a_checkpoint() {
    let mut log = Log::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |max: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % max
    };
    let rooms = ["lobby", "den", "attic"];
    for _ in 0..2_000 {
        let (user, session) = (format!("u{}", draw(12)), format!("s{}", draw(3)));
        let signal = match draw(8) {
            0 => Signal { kind: Kind::Leave, ..Signal::default() },
            1 => Signal { intent: Some([Intent::Open, Intent::Invisible][draw(2) as usize]), ..Signal::default() },
            2 => Signal { can: Some(["audio".into()].into()), ..Signal::default() },
            3 | 4 => Signal::default(),
            _ => in_rooms(&rooms[..draw(4) as usize]),
        };
        log.signal(&user, &session, &signal);
        log.pass(draw(15));
        check(&log, &rooms);
    }
}

fn check(log: &Log, rooms: &[&str]) {
    let mut restored = Partition::restore(&log.partition.checkpoint(), &IndexKey::new(3, 4)).unwrap();
    assert!(restored.take_changed_rooms(0).is_empty());
    let mut users: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    for user in log.partition.page(token("main"), &[], None, 1_000) {
        for key in log.partition.rooms_of_user(token("main"), token(&user.user)) {
            let room = rooms.iter().find(|name| key.strip_prefix("main.") == Some(**name)).unwrap();
            let (_, state) = log
                .partition
                .members(token("main"), token(room), None, 1_000)
                .into_iter()
                .find(|(of, _)| of.user == user.user)
                .unwrap();
            users.entry(room).or_default()[state as usize] += 1;
        }
    }
    for room in rooms {
        let part = log.partition.room_part(token("main"), token(room), 64);
        assert_eq!(part.tally.users, users.get(room).copied().unwrap_or_default(), "{room}");
        let other = restored.room_part(token("main"), token(room), 64);
        assert_eq!((part.tally, part.members), (other.tally, other.members), "{room}");
    }
}
