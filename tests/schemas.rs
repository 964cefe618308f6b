//! `schemas/` is generated: it is what the types say, and what really goes over the wire fits it.

#[path = "schemas/fit.rs"]
mod fit;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use presence_engine::model::{
    Cause, Certainty, Curve, EngineEvent, EngineWhat, Event, EventBody, Intent, NextState, Policy, ReadyEvent,
    RejectedEvent, Rejection, SessionEvent, Signal, State, Token, Transport, UserEvent, Visibility,
};
use presence_engine::wire::ask::{self, Now, Person, RoomAnswer, UsersAnswer, Verb};
use presence_engine::wire::batch::{HeldSignal, Origin};
use presence_engine::wire::info::{Blind, Gap, Owned, Stored};
use presence_engine::wire::{
    Encoding, Info, Named, Progress, RuntimeEvent, RuntimeWhat, Tick, batch, event, policy, schema, signal, told,
};
use serde_json::Value;

use fit::{check, fits, schema_of};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

#[test]
fn the_files_are_what_the_types_say() {
    let expected: BTreeMap<String, String> =
        schema::all().into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    let found: BTreeMap<String, String> = fs::read_dir(folder())
        .expect("schemas/ is there")
        .map(|entry| {
            let entry = entry.expect("schemas/ can be read");
            (entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).expect("files of text"))
        })
        .collect();
    let names: Vec<_> = expected.keys().chain(found.keys()).collect();
    let stale: Vec<_> = names.into_iter().filter(|name| expected.get(*name) != found.get(*name)).collect();
    assert!(stale.is_empty(), "schemas/ differs from the Rust types in {stale:?}; run: make schemas");
}

fn session(to: State, full: bool) -> EventBody {
    EventBody::Session(Box::new(SessionEvent {
        tenant: "acme".into(),
        user: "carol=40x".into(),
        session: "tab".into(),
        incarnation: 1,
        ordinal: 1,
        cause: Cause::Joined,
        from: State::Offline,
        to,
        last_seen_ms: 1,
        last_input_ms: 1,
        transport: if full { Transport::Open } else { Transport::Closed },
        visibility: Visibility::Frozen,
        can: if full { ["audio".into()].into() } else { [].into() },
        rooms: if full { ["room=202".into()].into() } else { [].into() },
        meta: full.then(|| r#"{"a":{"b":[1]}}"#.into()),
        profile: "default".into(),
        every_ms: 0,
        epoch: full.then_some(u64::MAX),
        seq_client: full.then_some(5),
        conn: full.then(|| "c1".into()),
        confidence: certainty(full),
        next: full.then_some(NextState { to: State::Stale, at_ms: 9 }),
    }))
}

fn certainty(full: bool) -> Certainty {
    let model = if full { Curve::Hazard { lost_permille: 100 } } else { Curve::HalfLife };
    Certainty { permille: 1_000, model, grace_ms: 1, half_life_ms: 2 }
}

fn user(to: State, full: bool) -> EventBody {
    EventBody::User(Box::new(UserEvent {
        tenant: "acme".into(),
        user: "carol=40x".into(),
        incarnation: 1,
        ordinal: 1,
        cause: Cause::Intent,
        from: State::Active,
        to,
        sessions: [1, 2, 3, u32::MAX],
        intent: Intent::Invisible,
        intent_until_ms: full.then_some(9),
        last_seen_ms: 1,
        last_input_ms: 1,
        ready: if full { ["audio".into()].into() } else { Box::default() },
        confidence: certainty(full),
        next: full.then_some(NextState { to: State::Idle, at_ms: 9 }),
    }))
}

fn ready(full: bool) -> EventBody {
    EventBody::Ready(Box::new(ReadyEvent {
        tenant: "acme".into(),
        user: "carol=40x".into(),
        incarnation: 1,
        ordinal: 1,
        cause: Cause::Input,
        from: if full { Box::default() } else { ["audio".into()].into() },
        to: if full { [("video".into(), 5), ("audio".into(), 3)].into() } else { Box::default() },
        until_ms: full.then_some(9),
    }))
}

#[test]
fn events_fit_their_schemas() {
    let engine = |what| EventBody::Engine(EngineEvent { what, from_ms: 1, to_ms: 2 });
    let reason = Rejection::Payload("it is not".into());
    let rejected = RejectedEvent { subject: "presence.v1.log.3.signal.a.b.c".into(), reason };
    let mut bodies: Vec<_> =
        [EngineWhat::Blind, EngineWhat::Clock, EngineWhat::TicksFailed, EngineWhat::GatewaySilent, EngineWhat::Policy]
            .map(engine)
            .into();
    bodies.extend([ready(false), ready(true)]);
    bodies.push(EventBody::Rejected(Box::new(rejected)));
    for state in State::ALL {
        bodies.extend([session(state, false), session(state, true), user(state, false), user(state, true)]);
    }
    for body in bodies {
        let name = match &body {
            EventBody::Session(_) => "session",
            EventBody::User(_) => "user",
            EventBody::Ready(_) => "ready",
            EventBody::Engine(_) => "engine",
            EventBody::Rejected(_) => "rejected",
        };
        let event = Event { at_ms: 5, partition: 511, generation: 1, seq: 9, k: 0, body };
        fits(name, &event::messages(&event, Encoding::Json).next().expect("an event is a message").payload);
    }
    let what = RuntimeWhat::LogLost;
    let lost = RuntimeEvent { what, partition: 1, epoch: 2, n: 0, at_ms: 5, seq: 9, from_ms: 1, to_ms: 5 };
    fits("engine", &lost.message(Encoding::Json).payload);
}

#[test]
fn what_engines_write_for_themselves_fits_its_schema() {
    fits("tick", &Tick::new(3).to_json());
    fits("policy", &policy::encode(&Policy::default()));
    let progress = Progress {
        v: 1,
        owner: "engine-1".to_owned(),
        epoch: 1,
        commit: "c1".to_owned(),
        log_created: "2026-11-24T04:00:00Z".to_owned(),
        input_seq: 1,
        input_ts: 1,
        k: 0,
        generation: 1,
        fold_version: 1,
        policy_hash: policy::hash(&Policy::default()),
    };
    fits("progress", &progress.to_json());
    let owned = |stored, latest| Owned {
        partition: 5,
        epoch: 2,
        position: Some(9),
        log_ms: Some(1),
        told_seq: Some(8),
        checkpoint: stored,
        blind: Blind { gaps: 1, total_ms: 5_000, latest },
    };
    let info = Info {
        contract: "1.0".to_owned(),
        version: "0.1.0".to_owned(),
        partitions: 64,
        fold_version: 3,
        owner: "me".to_owned(),
        server: "2.15.1".to_owned(),
        live: true,
        members: vec!["me".to_owned()],
        owned: vec![
            owned(None, None),
            owned(Some(Stored { seq: Some(7), age_ms: 1 }), Some(Gap { from_ms: 1, to_ms: 5_001 })),
        ],
        waiting: 3,
        log_seq: Some(9),
    };
    fits("info", &info.to_json());
    fits("info", &info.clone().public().to_json());
    fits("info", &Info { log_seq: None, owned: Vec::new(), ..info }.to_json());
}

/// Questions, with whether they are answered.
const QUESTIONS: [(&str, &str, bool); 38] = [
    ("user", r#"{"user":"a@b"}"#, true),
    ("user", r#"{"user":"ada","more":[1]}"#, true),
    ("user", "{}", false),
    ("user", r#"{"user":5}"#, false),
    ("user", r#"{"user":""}"#, false),
    ("session", r#"{"user":"ada","session":"tab"}"#, true),
    ("session", r#"{"user":"ada"}"#, false),
    ("users", "{}", true),
    ("users", r#"{"users":null,"after":null,"limit":null}"#, true),
    ("users", r#"{"users":["ada","bob"]}"#, true),
    ("users", r#"{"states":null}"#, true),
    ("room", r#"{"room":"lobby","members":null,"after":null,"limit":null}"#, true),
    ("users", r#"{"states":["active","stale"],"after":"bob","limit":256}"#, true),
    ("users", r#"{"users":[]}"#, false),
    ("users", r#"{"users":[""]}"#, false),
    ("users", r#"{"states":["offline"]}"#, false),
    ("users", r#"{"states":"active"}"#, false),
    ("users", r#"{"limit":0}"#, false),
    ("users", r#"{"limit":257}"#, false),
    ("room", r#"{"room":"lobby"}"#, true),
    ("wait", r#"{"id":"x","users":["ada","bob"],"need":1,"for":"audio","hold_ms":500,"timeout_ms":25000}"#, true),
    ("wait", r#"{"id":"x","room":"desk","need":256,"min_confidence_permille":1000}"#, true),
    ("wait", r#"{"users":["ada"]}"#, false),
    ("wait", r#"{"id":"","users":["ada"]}"#, false),
    ("wait", r#"{"id":"x","users":["ada"],"timeout_ms":25001}"#, false),
    ("wait", r#"{"id":"x","users":["ada"],"for":5}"#, false),
    ("route", r#"{"id":"x","room":"desk","order":"spread","limit":64,"reserve_ms":30000}"#, true),
    ("route", r#"{"id":"x","candidates":["ada"],"order":null,"limit":null}"#, true),
    ("route", r#"{"id":"x","release":true}"#, true),
    ("route", r#"{"id":"x","room":"desk","order":"fastest"}"#, false),
    ("route", r#"{"id":"x","room":"desk","limit":65}"#, false),
    ("history", r#"{"user":"ada","from_ms":1,"to_ms":2,"limit":1000}"#, true),
    ("history", r#"{"at_ms":5,"room":"desk","after":"bob"}"#, true),
    ("history", r#"{"user":5}"#, false),
    ("room", r#"{"room":"lobby","members":true,"after":"bob","limit":1}"#, true),
    ("room", r#"{"members":true}"#, false),
    ("room", r#"{"room":"lobby","members":1}"#, false),
    ("room", r#"{"room":"lobby","limit":"5"}"#, false),
];

#[test]
fn a_question_fits_its_schema_exactly_if_it_is_answered() {
    for (verb, payload, expected) in QUESTIONS {
        let value: Value = serde_json::from_str(payload).expect("payloads of JSON");
        let faults = check(&format!("ask-{verb}"), &value);
        assert_eq!(faults.is_empty(), expected, "{verb} {payload}: {faults:?}");
        let payload = payload.as_bytes();
        let is_read = match Verb::from_name(verb).expect("a verb") {
            Verb::Session => ask::SessionQuestion::read(payload).is_ok(),
            Verb::User => ask::UserQuestion::read(payload).is_ok(),
            Verb::Users => ask::UsersQuestion::read(payload).is_ok(),
            Verb::Room => ask::RoomQuestion::read(payload).is_ok(),
            Verb::Wait => ask::WaitQuestion::read(payload).is_ok(),
            Verb::Route => ask::RouteQuestion::read(payload).is_ok(),
            Verb::History => {
                serde_json::from_slice::<ask::HistoryQuestion>(payload).is_ok_and(|question| question.check().is_ok())
            }
        };
        assert_eq!(is_read, expected, "{verb} and the reader");
    }
}

/// As [`fits`], of an answer that has several forms.
fn answer_fits(verb: &str, payload: &[u8]) {
    let value: Value = serde_json::from_slice(payload).expect("a payload of JSON");
    let name = format!("answer-{verb}");
    assert_eq!(check(&name, &value), Vec::<String>::new(), "{value}");
    let schema = schema_of(&name);
    let forms = schema["anyOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
    let is_named =
        |form: &Value| value.as_object().expect("an object").keys().all(|key| form["properties"].get(key).is_some());
    assert!(forms.iter().any(is_named), "{name}: something of {value} is in no schema");
}

#[test]
fn answers_fit_their_schemas() {
    let now = Now { state: State::Idle, confidence_permille: 900, at_ms: 7 };
    for (verb, body) in [("user", user(State::Idle, true)), ("session", session(State::Idle, true))] {
        let event = Event { at_ms: 5, partition: 511, generation: 1, seq: 9, k: 0, body };
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let told = event::messages(&event, encoding).next().expect("an event is a message").payload;
            answer_fits(verb, &ask::with_now(&told, now).expect("an event"));
        }
    }
    answer_fits("user", &ask::AbsentUser::of("main", "a=40b", now).to_json());
    answer_fits("session", &ask::AbsentSession::of("main", "a=40b", "tab", now).to_json());
    let next = told::Next { to: State::Away, at_ms: 9 };
    let here = Person {
        state: State::Idle,
        last_seen_ms: Some(1),
        last_input_ms: Some(1),
        ready: vec!["audio".into()],
        next: Some(next),
        ..Person::offline("a=40b")
    };
    let people = vec![here, Person::offline("bob")];
    let users = |after| UsersAnswer { users: people.clone(), after, follow_from: 5, as_of_ms: 7 };
    answer_fits("users", &users(None).to_json());
    answer_fits("users", &users(Some("bob".into())).to_json());
    let room = RoomAnswer::of("room=201", ask::owned::Density::default(), 7);
    answer_fits("room", &room.to_json());
    for after in [None, Some("bob".to_owned())] {
        let room = RoomAnswer { members: Some(people.clone()), after: Some(after), ..room.clone() };
        answer_fits("room", &room.to_json());
    }
}

/// Payloads that the contract allows, with whether they fit the schema; those that don't lose fields, or all.
const SIGNALS: [(&str, bool); 20] = [
    ("{}", true),
    (r#"{"seq":5,"epoch":17,"every_ms":20000}"#, true),
    (r#"{"kind":"leave","conn":"c1"}"#, true),
    (r#"{"kind":null,"state":null,"seq":null,"rooms":null,"meta":null,"every_ms":null}"#, true),
    (r#"{"state":"away","visibility":"frozen","input_age_ms":0,"every_ms":0}"#, true),
    (r#"{"intent":"invisible","intent_for_ms":3600000,"kind":"update"}"#, true),
    (r#"{"can":["audio","video"],"rooms":["lobby","room 2"],"profile":"web","meta":{"a":[1]}}"#, true),
    (r#"{"can":[],"rooms":[],"meta":{}}"#, true),
    (r#"{"unknown":{"field":[true]}}"#, true),
    (r#"{"epoch":9007199254740991,"every_ms":3600000}"#, true),
    (r#"{"state":"stale"}"#, false),
    (r#"{"visibility":"seen"}"#, false),
    (r#"{"every_ms":999}"#, false),
    (r#"{"seq":-1}"#, false),
    (r#"{"epoch":9007199254740992}"#, false),
    (r#"{"intent":"away"}"#, false),
    (r#"{"rooms":"lobby"}"#, false),
    (r#"{"rooms":[""]}"#, false),
    (r#"{"meta":[]}"#, false),
    (r#"{"kind":"beat"}"#, false),
];

#[test]
fn a_signal_fits_its_schema_exactly_if_nothing_of_it_is_dropped() {
    for (payload, expected) in SIGNALS {
        let value: Value = serde_json::from_str(payload).expect("payloads of JSON");
        let faults = check("signal", &value);
        assert_eq!(faults.is_empty(), expected, "{payload}: {faults:?}");
        let whole = signal::decode(payload.as_bytes(), None).is_ok_and(|decoded| decoded.ignored.is_empty());
        assert_eq!(whole, expected, "{payload} and the decoder");
    }
    for (payload, _) in SIGNALS.iter().filter(|(_, sound)| *sound) {
        let decoded = signal::decode(payload.as_bytes(), None).expect("it is sound");
        fits("signal", &signal::encode(&decoded.signal, Encoding::Json));
    }
    fits("signal", &signal::encode(&Signal::default(), Encoding::Json));
}

#[test]
fn a_batch_fits_its_schema_exactly_if_nothing_of_it_is_dropped() {
    let origin = Origin { tenant: Token::parse("acme").expect("a token"), partition: 0, partitions: 1 };
    let sound = |item: &str| (format!(r#"{{"v":1,"signals":[{item}]}}"#), true);
    let unsound = |item: &str| (format!(r#"{{"v":1,"signals":[{item}]}}"#), false);
    let mut payloads = vec![
        sound(""),
        sound(r#"{"u":"a@b","s":"tab 1"}"#),
        sound(r#"{"u":"a","s":"b","age_ms":250,"more":[1]},{"u":"a","s":"b","age_ms":null}"#),
        unsound(r#"{"u":"a"}"#),
        unsound(r#"{"u":"","s":"b"}"#),
        unsound(r#"{"u":"a","s":5}"#),
        unsound(r#"{"u":"a","s":"b","age_ms":-1}"#),
        ("{\"v\":2,\"signals\":[]}".to_owned(), false),
        ("{\"signals\":[]}".to_owned(), false),
        ("{\"v\":1}".to_owned(), false),
    ];
    for (signal, fits) in SIGNALS {
        let more = signal.strip_prefix('{').expect("an object");
        let comma = if more == "}" { "" } else { "," };
        payloads.push((format!(r#"{{"v":1,"signals":[{{"u":"a","s":"b"{comma}{more}]}}"#), fits));
    }
    for (payload, expected) in payloads {
        let value: Value = serde_json::from_str(&payload).expect("payloads of JSON");
        let faults = check("batch", &value);
        assert_eq!(faults.is_empty(), expected, "{payload}: {faults:?}");
        let whole = batch::decode(payload.as_bytes(), None, origin);
        let whole = whole.is_ok_and(|batch| batch.ignored_fields() == 0 && batch.rejected() == 0);
        assert_eq!(whole, expected, "{payload} and the decoder");
    }
    let held = HeldSignal { user: "a@b".into(), session: "tab 1".into(), signal: Signal::default(), age_ms: 5 };
    fits("batch", &batch::encode(&[held], Encoding::Json));
}
