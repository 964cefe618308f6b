use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::{
    Cause, Certainty, Curve, EngineEvent, EngineWhat, Intent, NextState, ReadyEvent, RejectedEvent, Rejection,
    SessionEvent, Transport, UserEvent, Visibility,
};
use crate::wire::told::json_line;
use crate::wire::{ToldEvent, signal};

const AT: Millis = 1_700_000_000_123;

fn certainty() -> Certainty {
    Certainty { permille: 917, model: Curve::HalfLife, grace_ms: 30_000, half_life_ms: 60_000 }
}

fn session_event(to: State) -> SessionEvent {
    SessionEvent {
        tenant: "acme".into(),
        user: "carol=40x".into(),
        session: "tab-1".into(),
        incarnation: AT - 5_000,
        ordinal: 2,
        cause: Cause::Quiet,
        from: State::Active,
        to,
        last_seen_ms: AT - 5_000,
        last_input_ms: AT - 5_001,
        transport: Transport::Open,
        visibility: Visibility::Hidden,
        can: ["audio".into()].into(),
        rooms: ["room=202".into(), "lobby".into()].into(),
        meta: Some(r#"{"price":1.10}"#.into()),
        profile: "default".into(),
        every_ms: 20_000,
        epoch: Some(17),
        seq_client: Some(5),
        conn: None,
        confidence: certainty(),
        next: Some(NextState { to: State::Away, at_ms: AT + 60_000 }),
    }
}

fn user_event(to: State) -> UserEvent {
    UserEvent {
        tenant: "acme".into(),
        user: "carol=40x".into(),
        incarnation: AT - 5_000,
        ordinal: 3,
        cause: Cause::Silent,
        from: State::Stale,
        to,
        sessions: [1, 2, 3, 4],
        intent: Intent::Busy,
        intent_until_ms: None,
        last_seen_ms: AT - 5_000,
        last_input_ms: AT - 5_001,
        ready: ["video".into()].into(),
        confidence: certainty(),
        next: Some(NextState { to: State::Away, at_ms: AT + 60_000 }),
    }
}

fn ready_event() -> ReadyEvent {
    ReadyEvent {
        tenant: "acme".into(),
        user: "carol=40x".into(),
        incarnation: AT - 5_000,
        ordinal: 2,
        cause: Cause::Input,
        from: ["audio".into()].into(),
        to: [("video".into(), AT), ("audio".into(), AT - 5_000)].into(),
        until_ms: Some(AT + 49_000),
    }
}

fn event(body: EventBody) -> Event {
    Event { at_ms: AT, partition: 7, generation: 1, seq: 42, k: 3, body }
}

fn told(event: &Event) -> Value {
    serde_json::from_slice(&messages(event, Encoding::Json).next().unwrap().payload).unwrap()
}

#[test]
fn a_session_is_told_as_the_contract_says() {
    let event = event(EventBody::Session(Box::new(session_event(State::Idle))));
    let message = messages(&event, Encoding::Json).next().unwrap();
    assert_eq!(message.subject, "presence.v1.session.acme.carol=40x.tab-1");
    let expected = concat!(
        r#"{"v":1,"kind":"session","id":"7-1-42-3","incarnation":1699999995123,"ordinal":2,"cause":"quiet","#,
        r#""at_ms":1700000000123,"partition":7,"seq":42,"tenant":"acme","user":"carol@x","session":"tab-1","#,
        r#""from":"active","to":"idle","last_seen_ms":1699999995123,"last_input_ms":1699999995122,"#,
        r#""transport":"open","visibility":"hidden","can":["audio"],"rooms":["room 2","lobby"],"#,
        r#""meta":{"price":1.10},"profile":"default","every_ms":20000,"epoch":17,"seq_client":5,"conn":null,"#,
        r#""confidence":{"permille":917,"model":"half_life","grace_ms":30000,"half_life_ms":60000},"#,
        r#""next":{"to":"away","at_ms":1700000060123}}"#,
    );
    assert_eq!(std::str::from_utf8(&message.payload).unwrap(), expected);
}

#[test]
fn a_user_is_told_as_the_contract_says() {
    let event = event(EventBody::User(Box::new(user_event(State::Idle))));
    assert_eq!(
        told(&event),
        json!({
            "v": 1, "kind": "user", "id": "7-1-42-3", "incarnation": AT - 5_000, "ordinal": 3, "cause": "silent",
            "at_ms": AT, "partition": 7, "seq": 42, "tenant": "acme", "user": "carol@x", "from": "stale", "to": "idle",
            "sessions": {"active": 1, "idle": 2, "away": 3, "stale": 4}, "intent": "busy", "intent_until_ms": null,
            "ready": ["video"], "last_seen_ms": AT - 5_000, "last_input_ms": AT - 5_001,
            "confidence": {"permille": 917, "model": "half_life", "grace_ms": 30_000, "half_life_ms": 60_000},
            "next": {"to": "away", "at_ms": AT + 60_000},
        })
    );
}

#[test]
fn readiness_is_told_as_the_contract_says_and_is_in_no_bucket() {
    let event = event(EventBody::Ready(Box::new(ready_event())));
    let [message] = messages(&event, Encoding::Json).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(message.subject, "presence.v1.ready.acme.carol=40x");
    assert!(message.headers.contains(&("ce-type", "presence.ready.v1".to_owned())));
    assert!(message.headers.contains(&("ce-subject", "acme.carol=40x".to_owned())));
    let expected = concat!(
        r#"{"v":1,"kind":"ready","id":"7-1-42-3","incarnation":1699999995123,"ordinal":2,"cause":"input","#,
        r#""at_ms":1700000000123,"partition":7,"seq":42,"tenant":"acme","user":"carol@x","from":["audio"],"#,
        r#""to":["video","audio"],"since_ms":{"audio":1699999995123,"video":1700000000123},"until_ms":1700000049123}"#,
    );
    assert_eq!(std::str::from_utf8(&message.payload).unwrap(), expected);

    let lost = ReadyEvent { to: [].into(), until_ms: None, ..ready_event() };
    let event = self::event(EventBody::Ready(Box::new(lost)));
    let told = told(&event);
    assert_eq!((&told["to"], &told["since_ms"], &told["until_ms"]), (&json!([]), &json!({}), &Value::Null));
    assert_eq!(messages(&event, Encoding::Json).count(), 1, "there is no key to empty");
}

#[test]
fn told_readiness_is_recalled_but_for_its_cause() {
    let ready = ReadyEvent { cause: Cause::Joined, ..ready_event() };
    let event = event(EventBody::Ready(Box::new(ready)));
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let message = messages(&event, encoding).next().unwrap();
        assert_eq!(ToldEvent::read(&message.payload).unwrap().recall().as_ref(), Some(&event));
    }
    let mut foreign = told(&event);
    foreign["since_ms"] = json!({});
    let recalled = ToldEvent::read(foreign.to_string().as_bytes()).unwrap().recall().unwrap();
    let EventBody::Ready(recalled) = recalled.body else { panic!("{recalled:?}") };
    assert!(recalled.to.iter().all(|(_, since)| *since == AT), "{recalled:?}");
}

#[test]
fn the_observer_and_refused_signals_are_told_without_ordinals() {
    let blind = EngineEvent { what: EngineWhat::Blind, from_ms: 1, to_ms: 9_000 };
    assert_eq!(
        told(&event(EventBody::Engine(blind))),
        json!({
            "v": 1, "kind": "engine", "id": "7-1-42-3", "at_ms": AT, "partition": 7, "seq": 42,
            "what": "blind", "from_ms": 1, "to_ms": 9_000,
        })
    );
    let reason = Rejection::TooLarge { what: "meta", size: 1_025, limit: 1_024 };
    let subject = "presence.v1.log.7.signal.acme.bob.tab";
    assert_eq!(
        told(&event(EventBody::Rejected(Box::new(RejectedEvent { subject: subject.into(), reason })))),
        json!({
            "v": 1, "kind": "rejected", "id": "7-1-42-3", "at_ms": AT, "partition": 7, "seq": 42,
            "reason": "too large: meta is 1025, the limit is 1024", "subject": subject,
        })
    );
}

#[test]
fn headers_are_cloud_events_attributes() {
    let event = event(EventBody::Session(Box::new(session_event(State::Idle))));
    let message = messages(&event, Encoding::MessagePack).next().unwrap();
    let expected = [
        ("ce-specversion", "1.0"),
        ("ce-id", "7-1-42-3"),
        ("ce-type", "presence.session.v1"),
        ("ce-source", "/presence/7"),
        ("ce-time", "2023-11-14T22:13:20.123Z"),
        ("ce-subject", "acme.carol=40x.tab-1"),
        ("ce-datacontenttype", "application/msgpack"),
        ("Content-Type", "application/msgpack"),
    ];
    assert_eq!(message.headers, expected.map(|(name, value)| (name, value.to_owned())));
}

#[test]
fn nothing_foreign_gets_into_a_header() {
    let subject = "presence.v1.log.7.signal.a\r\nNats-Rollup: all".into();
    let reason = Rejection::Subject("x\r\ny".into());
    let event = event(EventBody::Rejected(Box::new(RejectedEvent { subject, reason })));
    for message in messages(&event, Encoding::Json) {
        for (name, value) in &message.headers {
            assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{name}: {value:?}");
        }
    }
}

#[test]
fn an_offline_event_is_followed_by_what_empties_its_key() {
    let offline = event(EventBody::Session(Box::new(session_event(State::Offline))));
    let [_, gone] = messages(&offline, Encoding::Json).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(gone.subject, "presence.v1.gone.session.acme.carol=40x.tab-1");
    assert_eq!(gone.headers, [("KV-Operation", "DEL".to_owned()), ("Nats-TTL", "5m".to_owned())]);
    assert!(gone.payload.is_empty());

    let offline = event(EventBody::User(Box::new(user_event(State::Offline))));
    let [_, gone] = messages(&offline, Encoding::Json).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(gone.subject, "presence.v1.gone.user.acme.carol=40x");

    let stale = event(EventBody::Session(Box::new(session_event(State::Stale))));
    assert_eq!(messages(&stale, Encoding::Json).count(), 1);
}

#[test]
fn the_runtime_tells_of_itself_outside_of_the_replay() {
    let lost = RuntimeEvent {
        what: RuntimeWhat::LogLost,
        partition: 7,
        epoch: 3,
        n: 0,
        at_ms: AT,
        seq: 41,
        from_ms: 5,
        to_ms: AT,
    };
    let message = lost.message(Encoding::Json);
    assert_eq!(message.subject, "presence.v1.engine.7");
    let ToldEvent::Engine(told) = ToldEvent::read(&message.payload).unwrap() else { panic!("no engine event") };
    assert_eq!((&*told.id, &*told.what, told.seq), ("7-e3-0", "log_lost", 41));
}

#[test]
fn times_are_told_in_utc_with_milliseconds() {
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(rfc3339(951_782_400_007), "2000-02-29T00:00:00.007Z");
    assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
}

#[test]
fn readers_pass_over_fields_causes_and_kinds_that_they_do_not_know() {
    let mut newer = told(&event(EventBody::Session(Box::new(session_event(State::Idle)))));
    newer["cause"] = json!("bored");
    newer["mood"] = json!({"deep": [1]});
    newer["confidence"] = json!({"permille": 900, "model": "hazard", "rate": 3});
    newer["next"] = json!({"to": "away", "at_ms": 9, "sure": true});
    let ToldEvent::Session(told) = ToldEvent::read(newer.to_string().as_bytes()).unwrap() else { panic!("{newer}") };
    assert_eq!((&*told.cause, told.next.unwrap().to), ("bored", State::Away));
    assert_eq!(told.confidence.unwrap().permille, 900);
    newer["to"] = json!("asleep");
    assert!(ToldEvent::read(newer.to_string().as_bytes()).unwrap_err().to_string().contains("unknown variant"));
    assert!(ToldEvent::read(b"").is_err());
    assert!(ToldEvent::read(br#"{"v":1}"#).unwrap_err().to_string().contains("missing field `kind`"));
}

#[test]
fn any_event_is_one_line_of_json() {
    let event = event(EventBody::Session(Box::new(session_event(State::Idle))));
    let line = |encoding| json_line(&messages(&event, encoding).next().unwrap().payload).unwrap();
    let json = messages(&event, Encoding::Json).next().unwrap().payload;
    assert_eq!(line(Encoding::Json).as_bytes(), &*json);
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(value(&line(Encoding::MessagePack)), value(&line(Encoding::Json)));
    assert_eq!(&*json_line(b"{ \"new\" : [ 1 ] }\n").unwrap(), r#"{"new":[1]}"#);
    assert_eq!(&*json_line(b"\x81\xa3new\x91\x01").unwrap(), r#"{"new":[1]}"#);
    assert!(json_line(b"{").is_err() && json_line(b"\x81").is_err() && json_line(b"\x81\x01\x01").is_err());
}

fn named<T: Named + std::fmt::Debug>() -> impl Strategy<Value = T> {
    prop::sample::select(T::NAMES.iter().map(|(_, value)| *value).collect::<Vec<_>>())
}

fn name() -> impl Strategy<Value = Box<str>> {
    ".{1,12}".prop_map(|plain| crate::model::id::escape(&plain).unwrap().into())
}

fn any_session() -> impl Strategy<Value = SessionEvent> {
    let meta = prop::sample::select(vec![None, Some(r#"{"a":[1,-2,"x",{"b":null}],"c":0.1}"#)]);
    let rooms = prop::collection::vec(name(), 0..4).prop_map(Into::into);
    let who = (name(), name(), name());
    let what = (named(), named(), named(), named(), named());
    let rest = (rooms, meta, prop::option::of(any::<u64>()), prop::option::of(".{0,9}"), any::<u64>(), any::<u32>());
    (who, what, rest).prop_map(
        |(
            (tenant, user, session),
            (cause, from, to, transport, visibility),
            (rooms, meta, epoch, conn, ms, ordinal),
        )| {
            SessionEvent {
                tenant,
                user,
                session,
                incarnation: ms,
                ordinal,
                cause,
                from,
                to,
                last_seen_ms: ms / 2,
                last_input_ms: ms / 3,
                transport,
                visibility,
                can: ["video".into()].into(),
                rooms,
                meta: meta.map(Into::into),
                profile: "web".into(),
                every_ms: ordinal / 2,
                confidence: certainty(),
                next: Some(NextState { to: State::Away, at_ms: AT + 60_000 }),
                epoch,
                seq_client: epoch,
                conn: conn.map(Into::into),
            }
        },
    )
}

fn any_ready() -> impl Strategy<Value = ReadyEvent> {
    let names = || prop::collection::btree_map("[a-z]{1,5}", any::<u64>(), 0..5);
    (name(), name(), named(), names(), names(), prop::option::of(any::<u64>()), any::<u32>()).prop_map(
        |(tenant, user, cause, from, to, until_ms, ordinal)| ReadyEvent {
            tenant,
            user,
            incarnation: u64::from(ordinal),
            ordinal,
            cause,
            from: from.into_keys().map(Into::into).collect(),
            to: to.into_iter().map(|(name, since)| (name.into(), since)).collect(),
            until_ms,
        },
    )
}

proptest! {
    #[test]
    fn both_encodings_tell_the_same(session in any_session(), user in name(), to in named(), until in prop::option::of(any::<u64>()), ready in any_ready()) {
        let of_user = UserEvent { user, intent_until_ms: until, ..user_event(to) };
        for body in [EventBody::Session(Box::new(session)), EventBody::User(Box::new(of_user)), EventBody::Ready(Box::new(ready))] {
            let event = event(body);
            let read = |encoding| {
                let message = messages(&event, encoding).next().unwrap();
                assert_eq!(Encoding::of_payload(&message.payload), encoding);
                ToldEvent::read(&message.payload).unwrap()
            };
            let told = read(Encoding::Json);
            prop_assert_eq!(&told, &read(Encoding::MessagePack));
            match (&event.body, &told) {
                (EventBody::Session(of), ToldEvent::Session(told)) => prop_assert_eq!(&**told, &told::Session::of(&event, of)),
                (EventBody::User(of), ToldEvent::User(told)) => prop_assert_eq!(&**told, &told::User::of(&event, of)),
                (EventBody::Ready(of), ToldEvent::Ready(told)) => prop_assert_eq!(&**told, &told::Ready::of(&event, of)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn every_meta_that_is_taken_is_told_in_both_encodings(
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"{}[],:\"\\ue1.-09d8Ea \xff"[..])), 0..4),
    ) {
        let mut payload = br#"{"meta":{"a":[1,-2.5e3,"x\ud83d\ude00\\",{"b":null,"c":{}}],"d":12345678901234567890,"e":0.1}}"#.to_vec();
        for (at, byte) in edits {
            let at = 8 + at.index(payload.len() - 9);
            payload[at] = byte;
        }
        // Most edits leave nothing to take: that is no reason to draw again.
        let meta = signal::decode(&payload, None).ok().and_then(|decoded| decoded.signal.meta);
        let event = event(EventBody::Session(Box::new(SessionEvent { meta, ..session_event(State::Idle) })));
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let payload = messages(&event, encoding).next().unwrap().payload;
            prop_assert!(matches!(ToldEvent::read(&payload), Ok(ToldEvent::Session(_))));
            prop_assert!(serde_json::from_str::<Value>(&json_line(&payload).unwrap()).is_ok());
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ToldEvent::read(&payload);
        let _ = json_line(&payload);
    }
}
