use super::*;
use crate::model::{Member, State, Token};
use crate::wire::audit::{Auditor, Place};
use crate::wire::{EventSubject, ToldEvent, told as wire_told};

const EVERY: Duration = Duration::from_secs(1);
/// The only room, of a log with four partitions.
const KEY: &str = "main.lobby";

fn terms(members_max: usize) -> Terms {
    Terms { partitions: 4, every: EVERY, members_max, encoding: Encoding::Json }
}

/// A stream of events, the engine that tells, and what the audit says of both.
struct World {
    rooms: Rooms,
    now: Instant,
    auditor: Auditor,
    seq: u64,
    epoch: u64,
    /// What was told, subject by subject, latest last.
    stored: Vec<(String, bytes::Bytes)>,
}

impl World {
    /// One engine, which owns all.
    fn new(members_max: usize) -> Self {
        let (rooms, auditor) = (Rooms::new(terms(members_max)), Auditor::new(false));
        let mut world = Self { rooms, now: Instant::now(), auditor, seq: 0, epoch: 1, stored: Vec::new() };
        world.rooms.read(ToldOfRooms::Anew, world.now);
        world.whole();
        world.own();
        world
    }

    fn whole(&mut self) {
        self.rooms.read(ToldOfRooms::Marked(1), self.now);
    }

    fn own(&mut self) {
        let epoch = self.epoch;
        self.rooms.own(&(0..4).map(|partition| (partition, epoch)).collect());
    }

    /// Another engine takes over: it reads the latest of each subject, then the parts.
    fn hand_over(&mut self, parts: &[(u16, RoomPart)]) {
        self.epoch += 1;
        self.rooms = Rooms::new(self.rooms.terms);
        self.rooms.read(ToldOfRooms::Anew, self.now);
        let latest: BTreeMap<_, _> = self.stored.iter().cloned().collect();
        latest.iter().for_each(|(subject, payload)| read(&mut self.rooms, subject, payload, self.now));
        parts.iter().for_each(|(partition, part)| self.part(*partition, part.clone()));
        self.whole();
        self.own();
    }

    fn part(&mut self, partition: u16, part: RoomPart) {
        self.rooms.read(ToldOfRooms::Part { partition, key: KEY.into(), part, stored_ms: 0 }, self.now);
    }

    /// What is told now, without being stored.
    fn told(&mut self) -> Vec<OutMessage> {
        let told = self.rooms.tell(self.now, 100);
        told.into_iter().flat_map(|(_, messages)| messages).collect()
    }

    /// It is stored, and read back.
    fn store(&mut self, messages: Vec<OutMessage>) -> Vec<ToldEvent> {
        let mut told = Vec::new();
        for OutMessage { subject, payload, .. } in messages.into_iter().filter(|message| !message.payload.is_empty()) {
            self.seq += 1;
            let event = ToldEvent::read(&payload).unwrap();
            let place = Place { subject: &subject, epoch: Some(self.epoch), stream_seq: self.seq };
            self.auditor.observe(&event, place).unwrap_or_else(|breach| panic!("{breach}: {event:?}"));
            read(&mut self.rooms, &subject, &payload, self.now);
            self.stored.push((subject, payload));
            told.push(event);
        }
        told
    }

    fn tell(&mut self) -> Vec<ToldEvent> {
        let told = self.told();
        self.store(told)
    }

    /// (ordinal, cause, users) of the room's events among what is told now.
    fn room_events(&mut self) -> Vec<(u32, String, u64)> {
        let users = |told: &wire_told::Room<'_>| <[u64; 4]>::from(told.users).iter().sum();
        self.tell()
            .into_iter()
            .filter_map(|event| match event {
                ToldEvent::Room(told) => Some((told.ordinal, told.cause.to_string(), users(&told))),
                _ => None,
            })
            .collect()
    }

    /// (user, ordinal, from, to) of members' events among what is told now.
    fn member_events(&mut self) -> Vec<(String, u32, State, State)> {
        self.tell()
            .into_iter()
            .filter_map(|event| match event {
                ToldEvent::Member(told) => Some((told.user.to_string(), told.ordinal, told.from, told.to)),
                _ => None,
            })
            .collect()
    }
}

fn read(rooms: &mut Rooms, subject: &str, payload: &[u8], now: Instant) {
    let told = match (EventSubject::parse(subject), ToldEvent::read(payload).unwrap()) {
        (EventSubject::Room(key), ToldEvent::Room(told)) => ToldOfRooms::Room(key.into(), told),
        (EventSubject::Member(key), ToldEvent::Member(told)) => {
            let (key, user) = key.rsplit_once('.').unwrap();
            ToldOfRooms::Member(key.into(), user.into(), told)
        }
        (subject, told) => panic!("{subject:?} {told:?}"),
    };
    rooms.read(told, now);
}

/// Users with a session each, of such a confidence; they are told by name while they are no more than 2.
fn part(at_ms: Millis, users: &[(&str, State)]) -> RoomPart {
    let member = |(user, state): &(&str, State)| {
        let mut sessions = [0; 4];
        sessions[*state as usize] = 1;
        Member { user: Token::parse(user).unwrap().as_str().into(), state: *state, sessions }
    };
    let mut tally = Tally::default();
    for (_, state) in users {
        tally.users[*state as usize] += 1;
        tally.sessions[*state as usize] += 1;
        tally.expected_permille += 900;
        tally.variance_millionths += 900 * 100;
    }
    if !users.is_empty() {
        tally.ready = vec![("audio".into(), users.len() as u64)];
    }
    let members = (users.len() <= 2).then(|| users.iter().map(member).collect());
    RoomPart { tenant: "main".into(), room: "lobby".into(), at_ms, seq: at_ms, tally, members }
}

const A: State = State::Active;

#[test]
fn a_rooms_event_is_the_sum_of_its_parts() {
    let mut world = World::new(2);
    world.part(0, part(100, &[("ada", A), ("bob", State::Away)]));
    world.part(3, part(90, &[("carol", A)]));
    let told = world.tell();
    let [ToldEvent::Room(told)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((told.incarnation, told.ordinal, &*told.cause, told.at_ms, told.seq), (100, 1, "joined", 100, 100));
    assert_eq!(<[u64; 4]>::from(told.users), [2, 0, 1, 0]);
    assert_eq!((told.expected_permille, told.variance_permille, told.ready["audio"]), (2_700, 270, 3));
    assert_eq!(told.partition, partition_of("main", "lobby", 4));
    assert_eq!(&*told.id, format!("{}-e1-{}", told.partition, 1_u64 << 32));
    assert_eq!(world.rooms.tally(KEY).unwrap().users(), 3);
    assert_eq!(world.rooms.tally("main.nowhere"), Some(Tally::default()));
}

#[test]
fn a_part_replaces_the_one_before_and_an_empty_one_ends_it() {
    let mut world = World::new(0);
    world.part(0, part(100, &[("ada", A), ("bob", A), ("eve", A)]));
    world.part(1, part(101, &[("carol", A)]));
    world.part(0, part(102, &[("ada", A)]));
    assert_eq!(world.room_events(), [(1, "joined".into(), 2)]);
    world.part(0, part(103, &[]));
    world.part(1, part(104, &[]));
    assert_eq!(world.rooms.tally(KEY), Some(Tally::default()));
    world.now += EVERY;
    let told = world.told();
    assert_eq!((told.len(), &*told[1].subject), (2, "presence.v1.gone.room.main.lobby"), "its key goes with it");
    world.store(told);
    assert!(!world.rooms.by_key.is_empty(), "the interval still runs");
    world.now += EVERY;
    assert!(world.tell().is_empty() && world.rooms.by_key.is_empty() && world.rooms.waiting.is_empty());
}

#[test]
fn the_first_change_is_told_at_once_and_the_next_at_the_end_of_the_interval() {
    let mut world = World::new(0);
    world.part(0, part(100, &[("ada", A)]));
    assert_eq!(world.room_events().len(), 1);
    let told_at = world.now;
    for n in 1..10 {
        world.now += EVERY / 20;
        let users = [("ada", A), ("bob", A), ("eve", A)];
        world.part(0, part(100 + n, &users[..=(n as usize % 2)]));
        assert_eq!(world.room_events(), [], "within the interval");
    }
    assert_eq!(world.rooms.next_due(world.now), Some(told_at + EVERY));
    world.now = told_at + EVERY;
    assert_eq!(world.room_events(), [(2, "updated".into(), 2)]);
    world.now += EVERY;
    assert_eq!(world.room_events(), []);
    assert_eq!(world.rooms.next_due(world.now), None, "nothing is to be told");
    world.part(0, part(200, &[("ada", A)]));
    assert_eq!(world.room_events(), [(3, "updated".into(), 1)], "the interval is over");
}

#[test]
fn nothing_more_is_told_of_a_room_until_what_was_told_is_read_back() {
    let mut world = World::new(0);
    world.part(0, part(100, &[("ada", A)]));
    let told = world.told();
    world.part(0, part(101, &[]));
    world.now += EVERY * 2;
    assert!(world.told().is_empty());
    world.store(told);
    world.now += EVERY;
    assert_eq!(world.room_events(), [(2, "left".into(), 0)]);
}

#[test]
fn an_incarnation_is_above_the_one_before_whatever_the_clock_does() {
    let mut world = World::new(2);
    for at_ms in [1_000, 1_000, 10, 2_000, 5] {
        world.part(0, part(at_ms, &[("ada", A)]));
        assert_eq!(world.tell().len(), 2);
        world.part(0, part(at_ms, &[]));
        world.now += EVERY;
        assert_eq!(world.tell().len(), 2);
        world.now += EVERY;
        assert_eq!(world.tell().len(), 0);
    }
    assert_eq!(world.auditor.counts().incarnations, 10);
}

#[test]
fn members_are_told_while_they_are_few() {
    let mut world = World::new(2);
    world.part(0, part(100, &[("ada", A)]));
    world.part(1, part(101, &[("bob", A)]));
    let joined = |user: &str| (user.to_owned(), 1, State::Offline, A);
    assert_eq!(world.member_events(), [joined("ada"), joined("bob")]);
    world.part(0, part(102, &[("ada", State::Idle)]));
    assert_eq!(world.member_events(), [("ada".into(), 2, A, State::Idle)], "without waiting for the interval");
    world.part(2, part(103, &[("carol", A)]));
    assert_eq!(world.member_events(), [], "three are too many");
    world.part(0, part(104, &[]));
    let left = ("ada".to_owned(), 3, State::Idle, State::Offline);
    assert_eq!(world.member_events(), [left, joined("carol")], "what happened meanwhile");
    world.part(0, part(105, &[("x", A), ("y", A), ("z", A)]));
    world.part(0, part(106, &[("x", A)]));
    assert_eq!(world.member_events(), []);
}

#[test]
fn members_whom_a_part_does_not_name_are_not_told() {
    let mut world = World::new(2);
    world.part(0, RoomPart { members: None, ..part(100, &[("ada", A)]) });
    world.part(1, part(100, &[("bob", A)]));
    assert_eq!(world.member_events(), []);
    world.part(0, part(101, &[("ada", A)]));
    assert_eq!(world.member_events().len(), 2);
}

#[test]
fn another_engine_goes_on_where_the_one_before_ended() {
    let mut world = World::new(2);
    world.part(0, part(100, &[("ada", A)]));
    assert_eq!(world.tell().len(), 2);
    world.part(0, part(101, &[("ada", State::Idle)]));
    let lost = world.told();
    assert_eq!(lost.len(), 1, "ada, and it dies before that is stored");
    world.hand_over(&[(0, part(101, &[("ada", State::Idle)])), (1, part(102, &[("bob", A)]))]);
    let told = world.tell();
    assert_eq!(told.len(), 3, "{told:?}");
    let ToldEvent::Room(room) = &told[0] else { panic!("{told:?}") };
    assert_eq!((room.ordinal, &*room.cause, room.incarnation), (2, "updated", 100));
    world.hand_over(&[(0, part(101, &[("ada", State::Idle)])), (1, part(102, &[("bob", A)]))]);
    assert!(world.tell().is_empty(), "all is told");
    world.hand_over(&[]);
    let told = world.tell();
    assert!(matches!(&told[0], ToldEvent::Room(room) if &*room.cause == "left"), "{told:?}");
    assert_eq!(told.len(), 3);
}

#[test]
fn nothing_is_told_before_everything_was_read_nor_of_rooms_of_others() {
    let mut world = World::new(0);
    world.rooms.read(ToldOfRooms::Anew, world.now);
    world.part(0, part(100, &[("ada", A)]));
    assert!(world.tell().is_empty());
    assert_eq!((world.rooms.tally(KEY), world.rooms.next_due(world.now)), (None, None));
    world.whole();
    world.rooms.lose(partition_of("main", "lobby", 4));
    assert!(world.tell().is_empty());
    assert_eq!(world.rooms.next_due(world.now), None);
    world.own();
    assert_eq!(world.room_events(), [(1, "joined".into(), 1)]);
}

#[test]
fn what_is_on_its_way_is_awaited_even_where_everything_is_read_anew() {
    let mut world = World::new(0);
    world.part(0, part(100, &[("ada", A)]));
    let told = world.told();
    world.rooms.read(ToldOfRooms::Anew, world.now);
    world.part(0, part(100, &[("ada", A)]));
    world.whole();
    world.own();
    assert!(world.tell().is_empty());
    world.store(told);
    assert!(world.tell().is_empty());
}

#[test]
fn what_was_told_of_a_room_that_nobody_contributes_to_is_taken_back() {
    let mut world = World::new(2);
    world.part(0, part(100, &[("ada", A)]));
    assert_eq!(world.tell().len(), 2);
    world.rooms.read(ToldOfRooms::Anew, world.now);
    let stored = std::mem::take(&mut world.stored);
    stored.iter().for_each(|(subject, payload)| read(&mut world.rooms, subject, payload, world.now));
    world.whole();
    world.now += EVERY;
    let told = world.tell();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(world.rooms.is_told_empty(KEY));
    world.rooms.lose(partition_of("main", "lobby", 4));
    assert!(!world.rooms.is_told_empty(KEY), "that is for its owner to say");
}
