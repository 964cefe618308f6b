use State::{Active, Idle, Offline};

use super::*;
use crate::model::State;
use crate::wire::told;

/// A told user event, and what the stream says about it.
#[derive(Clone)]
struct Told {
    subject: &'static str,
    told: told::User<'static>,
    epoch: Option<u64>,
}

/// alice comes, falls, and comes again; bob is told between.
fn whole() -> Vec<Told> {
    vec![
        told("main.alice", 10, 0, (1_000, 1), (Offline, Active)),
        told("main.alice", 11, 0, (1_000, 2), (Active, Idle)),
        told("main.bob", 11, 1, (1_500, 1), (Offline, Active)),
        told("main.alice", 12, 0, (1_000, 3), (Idle, Offline)),
        told("main.alice", 15, 0, (2_000, 1), (Offline, Active)),
    ]
}

fn told(
    subject: &'static str,
    seq: u64,
    k: u32,
    (incarnation, ordinal): (u64, u32),
    (from, to): (State, State),
) -> Told {
    let payload = serde_json::json!({
        "v": 1, "kind": "user", "id": format!("3-1-{seq}-{k}"), "incarnation": incarnation, "ordinal": ordinal,
        "cause": "input", "at_ms": 1_000 * seq, "partition": 3, "seq": seq, "tenant": "main", "user": "x", "from": from,
        "to": to, "sessions": {"active": 1, "idle": 0, "away": 0, "stale": 0}, "intent": "open", "intent_until_ms": null,
        "ready": [], "last_seen_ms": 0, "last_input_ms": 0, "confidence": null, "next": null,
    });
    let told = serde_json::from_value(payload).unwrap();
    Told { subject, told, epoch: Some(1) }
}

fn audit_as(cut: bool, events: Vec<Told>) -> Result<Counts, Breach> {
    let mut auditor = Auditor::new(cut);
    for (n, event) in events.into_iter().enumerate() {
        let Told { subject, told, epoch } = event;
        let place = Place { subject, epoch, stream_seq: 100 + n as u64 };
        auditor.observe(&ToldEvent::User(Box::new(told)), place)?;
    }
    Ok(auditor.counts())
}

/// The breach that `change` makes in a whole history: the event before, the event, and the fault.
fn breach(change: impl FnOnce(&mut Vec<Told>)) -> (Option<u64>, u64, Fault) {
    let mut events = whole();
    change(&mut events);
    let Breach { fault, before, at } = audit_as(false, events).unwrap_err();
    (before, at, fault)
}

#[test]
fn a_whole_history_is_counted() {
    let counts = audit_as(false, whole()).unwrap();
    let expected = Counts { user_events: 5, subjects: 2, incarnations: 3, partitions: 1, ..Counts::default() };
    assert_eq!(counts, expected);
}

#[test]
fn a_missing_event_shows_by_its_ordinal() {
    let found = breach(|events| drop(events.remove(1)));
    assert_eq!(found, (Some(100), 102, Fault::Ordinal { found: 3, wanted: 2 }));
}

#[test]
fn a_missing_beginning_shows_unless_the_history_is_cut() {
    let cut = || whole().split_off(1);
    let found = audit_as(false, cut()).unwrap_err();
    assert_eq!(found, Breach { fault: Fault::Ordinal { found: 2, wanted: 1 }, before: None, at: 100 });
    assert_eq!(audit_as(true, cut()).unwrap().incarnations, 3);
}

#[test]
fn a_cut_history_is_still_checked_where_it_begins_anew() {
    let mut events = whole();
    events[4].told.ordinal = 2;
    let fault = audit_as(true, events).unwrap_err().fault;
    assert_eq!(fault, Fault::Ordinal { found: 2, wanted: 1 });
}

#[test]
fn a_broken_chain_shows_by_its_states() {
    let found = breach(|events| events[1].told.from = State::Away);
    assert_eq!(found, (Some(100), 101, Fault::Chain { found: State::Away.into(), wanted: Active.into() }));
    let found = breach(|events| events[4].told.from = Idle);
    assert_eq!(found, (Some(103), 104, Fault::Chain { found: Idle.into(), wanted: Offline.into() }));
}

#[test]
fn a_new_incarnation_needs_the_end_of_the_former_one() {
    let found = breach(|events| drop(events.remove(3)));
    let fault = Fault::Alive { found: 2_000, before: 1_000, standing: Idle.into() };
    assert_eq!(found, (Some(101), 103, fault));
}

#[test]
fn incarnations_never_go_back() {
    let found = breach(|events| events[4].told.incarnation = 999);
    assert_eq!(found, (Some(103), 104, Fault::Incarnation { found: 999, before: 1_000 }));
}

#[test]
fn time_within_an_incarnation_never_goes_back() {
    let found = breach(|events| events[1].told.at_ms = 9_999);
    assert_eq!(found, (Some(100), 101, Fault::Time { found: 9_999, before: 10_000 }));
    let mut events = whole();
    events[4].told.at_ms = 1;
    assert!(audit_as(false, events).is_ok(), "another incarnation, another clock");
}

#[test]
fn an_event_told_twice_is_a_duplicate() {
    let found = breach(|events| events.insert(2, events[1].clone()));
    assert_eq!(found, (Some(101), 102, Fault::Duplicate { id: "3-1-11-0".to_owned() }));
}

#[test]
fn an_event_out_of_order_shows_by_its_position() {
    let found = breach(|events| events.swap(1, 2));
    let position = |k| Position { generation: 1, seq: 11, k };
    assert_eq!(found, (Some(101), 102, Fault::Position { found: position(0), before: position(1) }));
    let found = breach(|events| events[2].told.id = "3-0-11-1".into());
    assert!(matches!(found, (Some(101), 102, Fault::Position { .. })), "{found:?}");
}

#[test]
fn a_zombie_shows_by_its_epoch() {
    let found = breach(|events| events[1].epoch = Some(2));
    assert_eq!(found, (Some(101), 102, Fault::Epoch { found: 1, before: 2 }));
    let found = breach(|events| events[0].epoch = None);
    assert_eq!(found, (None, 100, Fault::NoEpoch));
}

#[test]
fn a_fence_counts_although_nothing_was_told_with_it() {
    let mut auditor = Auditor::new(false);
    let fence = Place { subject: "presence.v1.progress.3", epoch: Some(2), stream_seq: 7 };
    auditor.observe_progress(3, fence).unwrap();
    auditor.observe_progress(4, Place { epoch: Some(1), stream_seq: 8, ..fence }).unwrap();
    let Told { subject, told, epoch } = whole().remove(0);
    let place = Place { subject, epoch, stream_seq: 9 };
    let breach = auditor.observe(&ToldEvent::User(Box::new(told)), place).unwrap_err();
    assert_eq!(breach, Breach { fault: Fault::Epoch { found: 1, before: 2 }, before: Some(7), at: 9 });
}

#[test]
fn ids_are_made_of_partition_and_position() {
    for id in ["3-1-10", "3-1-10-0-0", "4-1-10-0", "3-1-11-0", "3-1-10-x", "", "3-e1-0-0", "3-ex-0"] {
        let found = breach(|events| events[0].told.id = id.into());
        let fault = Fault::Id { id: id.to_owned(), partition: 3, seq: 10 };
        assert_eq!(found, (None, 100, fault));
    }
}

#[test]
fn what_a_runtime_tells_is_told_once_at_no_position() {
    let engine = told::Engine {
        v: 1,
        kind: "engine".into(),
        id: "3-e2-0".into(),
        at_ms: 1,
        partition: 3,
        seq: 5,
        what: "owner".into(),
        from_ms: 0,
        to_ms: 1,
    };
    let mut auditor = Auditor::new(false);
    let place = Place { subject: "presence.v1.engine.3", epoch: Some(2), stream_seq: 1 };
    auditor.observe(&ToldEvent::Engine(engine.clone()), place).unwrap();
    let breach = auditor.observe(&ToldEvent::Engine(engine), Place { stream_seq: 2, ..place }).unwrap_err();
    assert_eq!(breach.fault, Fault::Duplicate { id: "3-e2-0".to_owned() });
}

#[test]
fn a_breach_says_what_is_wrong_and_where() {
    let told = |fault| Breach { fault, before: None, at: 7 }.to_string();
    assert_eq!(told(Fault::Ordinal { found: 3, wanted: 2 }), "stream sequence 7: ordinal 3 where 2 is due");
    let fault = Fault::Chain { found: Idle.into(), wanted: Active.into() };
    assert_eq!(told(fault), "stream sequence 7: `from` is idle, what was told last is active");
}

/// A told change of readiness of alice's, at the log sequence `seq`.
fn ready(seq: u64, (incarnation, ordinal): (u64, u32), from: &[&str], to: &[&str]) -> ToldEvent {
    let since: std::collections::BTreeMap<_, _> = to.iter().map(|name| (*name, seq)).collect();
    let payload = serde_json::json!({
        "v": 1, "kind": "ready", "id": format!("3-1-{seq}-0"), "incarnation": incarnation, "ordinal": ordinal,
        "cause": "input", "at_ms": 1_000 * seq, "partition": 3, "seq": seq, "tenant": "main", "user": "alice",
        "from": from, "to": to, "since_ms": since, "until_ms": null,
    });
    ToldEvent::read(payload.to_string().as_bytes()).unwrap()
}

fn audit_ready(events: &[ToldEvent]) -> Result<Counts, Fault> {
    let mut auditor = Auditor::new(false);
    for (n, event) in events.iter().enumerate() {
        let place = Place { subject: "presence.v1.ready.main.alice", epoch: Some(1), stream_seq: 100 + n as u64 };
        auditor.observe(event, place).map_err(|breach| breach.fault)?;
    }
    Ok(auditor.counts())
}

fn ready_for(names: &[&str]) -> Standing {
    Standing::Ready(names.iter().map(|name| (*name).into()).collect())
}

#[test]
fn readiness_is_a_chain_of_its_own_that_begins_and_ends_with_nothing() {
    let whole = [
        ready(10, (1_000, 1), &[], &["video", "audio"]),
        ready(11, (1_000, 2), &["audio", "video"], &["audio"]),
        ready(12, (1_000, 3), &["audio"], &[]),
        ready(15, (2_000, 1), &[], &["audio"]),
    ];
    let expected = Counts { ready_events: 4, subjects: 1, incarnations: 2, partitions: 1, ..Counts::default() };
    assert_eq!(audit_ready(&whole), Ok(expected), "another order of the same capabilities is the same");

    let broken = [whole[0].clone(), ready(11, (1_000, 2), &["audio"], &[])];
    let fault = Fault::Chain { found: ready_for(&["audio"]), wanted: ready_for(&["audio", "video"]) };
    assert_eq!(fault.to_string(), "`from` is ready for audio, what was told last is ready for audio, video");
    assert_eq!(audit_ready(&broken), Err(fault));

    let standing = ready_for(&["audio"]);
    let unended = [whole[0].clone(), whole[1].clone(), whole[3].clone()];
    assert_eq!(audit_ready(&unended), Err(Fault::Alive { found: 2_000, before: 1_000, standing: standing.clone() }));

    let begun = [ready(10, (1_000, 1), &["audio"], &[])];
    assert_eq!(audit_ready(&begun), Err(Fault::Chain { found: standing, wanted: ready_for(&[]) }));
    assert_eq!(audit_ready(&whole[1..]), Err(Fault::Ordinal { found: 2, wanted: 1 }));
}

fn room(seq: u64, (incarnation, ordinal): (u64, u32), cause: &str, users: u32) -> ToldEvent {
    let counts = serde_json::json!({ "active": users, "idle": 0, "away": 0, "stale": 0 });
    let payload = serde_json::json!({
        "v": 1, "kind": "room", "id": format!("3-e1-{seq}"), "incarnation": incarnation, "ordinal": ordinal,
        "cause": cause, "at_ms": 1_000 * seq, "partition": 3, "seq": seq, "tenant": "main", "room": "lobby",
        "sessions": counts, "users": counts, "ready": {}, "expected_permille": 0, "variance_permille": 0,
    });
    ToldEvent::read(payload.to_string().as_bytes()).unwrap()
}

#[test]
fn a_room_begins_with_somebody_and_ends_with_nobody() {
    let audit = |events: &[ToldEvent]| {
        let mut auditor = Auditor::new(false);
        for (n, event) in events.iter().enumerate() {
            let place = Place { subject: "presence.v1.room.main.lobby", epoch: Some(1), stream_seq: 100 + n as u64 };
            auditor.observe(event, place).map_err(|breach| breach.fault)?;
        }
        Ok(auditor.counts())
    };
    let whole = [
        room(10, (1_000, 1), "joined", 1),
        room(11, (1_000, 2), "updated", 2),
        room(12, (1_000, 3), "left", 0),
        room(15, (2_000, 1), "joined", 1),
    ];
    let expected = Counts { room_events: 4, subjects: 1, incarnations: 2, partitions: 1, ..Counts::default() };
    assert_eq!(audit(&whole), Ok(expected));
    let skipped = [whole[0].clone(), room(12, (1_000, 3), "left", 0)];
    assert_eq!(audit(&skipped), Err(Fault::Ordinal { found: 3, wanted: 2 }));
    let unended = [whole[0].clone(), whole[3].clone()];
    let standing = Standing::Room(true);
    assert_eq!(audit(&unended), Err(Fault::Alive { found: 2_000, before: 1_000, standing }));
    let joined_twice = [whole[0].clone(), room(11, (1_000, 2), "joined", 2)];
    let fault = Fault::Chain { found: Standing::Room(false), wanted: Standing::Room(true) };
    assert_eq!(audit(&joined_twice), Err(fault));
}
