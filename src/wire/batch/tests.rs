use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::Claim;
use crate::model::{Millis, Signal, partition_of};
use crate::wire::signal::check_is_map;
use crate::wire::signal::tests::any_signal;

const PARTITIONS: u16 = 8;

fn tenant() -> Token<'static> {
    Token::parse("acme").unwrap()
}

fn origin(partition: u16) -> Origin<'static> {
    Origin { tenant: tenant(), partition, partitions: PARTITIONS }
}

/// The partition of `user` at acme's, by its plain name.
fn own(user: &str) -> u16 {
    partition_of("acme", &token("user", user).unwrap(), PARTITIONS)
}

/// An item as it is compared: its names and signal with the age, or why it is rejected.
type Read = Result<(String, String, Signal, Millis), String>;

fn items(batch: &Batch) -> Vec<Read> {
    let read = |item: &BatchItem<'_>| match item {
        BatchItem::Signal(address, said, age_ms) => {
            assert_eq!(address.tenant(), tenant());
            Ok((address.user().to_string(), address.session().to_string(), said.signal().into_owned(), *age_ms))
        }
        BatchItem::Rejected(reason) => Err(reason.to_string()),
    };
    batch.items().iter().map(read).collect()
}

fn pack(value: &Value) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

/// What both encodings of `value` are read as in bob's partition, with the fields that were dropped.
fn both(value: &Value) -> Result<(Vec<Read>, u32), String> {
    let read = |payload: &[u8]| {
        let batch = decode(payload, None, origin(own("bob"))).map_err(|reason| reason.to_string())?;
        Ok((items(&batch), batch.ignored_fields()))
    };
    let json = read(value.to_string().as_bytes());
    assert_eq!(json, read(&pack(value)), "{value}");
    json
}

/// The items of a batch of which nothing was dropped.
fn signals(signals: &Value) -> Vec<Read> {
    let (items, ignored) = both(&json!({"v": 1, "signals": signals})).unwrap();
    assert_eq!(ignored, 0);
    items
}

fn refusal(payload: &[u8]) -> String {
    decode(payload, None, origin(0)).unwrap_err().to_string()
}

#[test]
fn a_batch_of_nothing_is_a_batch() {
    assert_eq!(signals(&json!([])), []);
    let more = json!({"v": 1.0, "signals": [], "gateway": {"version": [3]}});
    assert_eq!(both(&more), Ok((vec![], 0)), "unknown fields are skipped");
}

#[test]
fn items_come_in_their_order_with_names_in_plain_text() {
    let found = signals(&json!([
        {"u": "bob", "s": "tab 1", "seq": 5, "state": "active", "age_ms": 250.9},
        {"s": "a@b.c", "u": "bob", "unknown": {"deep": [1]}},
        {"u": "bob", "s": "tab 1", "kind": "leave", "age_ms": null},
    ]));
    let active = Signal { seq: Some(5), state: Some(Claim::Active), ..Signal::default() };
    let leave = Signal { kind: crate::model::Kind::Leave, ..Signal::default() };
    let expected = [("tab=201", active, 250), ("a=40b=2Ec", Signal::default(), 0), ("tab=201", leave, 0)];
    let expected = expected.map(|(session, signal, age)| Ok(("bob".to_owned(), session.to_owned(), signal, age)));
    assert_eq!(found, expected);
}

#[test]
fn a_wrong_field_is_dropped_and_counted_and_the_rest_applies() {
    let value = json!({"v": 1, "signals": [
        {"u": "bob", "s": "a", "state": "asleep", "seq": 5, "age_ms": -1},
        {"u": "bob", "s": "b", "rooms": [1], "age_ms": "old"},
    ]});
    let (items, ignored) = both(&value).unwrap();
    assert_eq!(ignored, 4);
    let signal = Signal { seq: Some(5), ..Signal::default() };
    assert_eq!(items[0], Ok(("bob".into(), "a".into(), signal, 0)));
    assert_eq!(items[1], Ok(("bob".into(), "b".into(), Signal::default(), 0)));
}

#[test]
fn what_cannot_be_taken_is_rejected_with_its_place_and_the_rest_counts() {
    let alien = (0..).map(|n| format!("user {n}")).find(|user| own(user) != own("bob")).unwrap();
    let rooms: Vec<_> = (0..33).map(|room| format!("r{room}")).collect();
    let found = signals(&json!([
        {"u": "bob", "s": "a"},
        {"s": "a"},
        {"u": "bob", "s": null},
        {"u": 7, "s": "a"},
        {"u": "", "s": "a"},
        {"u": "bob", "s": "x".repeat(193)},
        {"u": alien, "s": "a"},
        {"u": "bob", "s": "a", "kind": "beat"},
        {"u": "bob", "s": "a", "rooms": rooms},
        {"u": "bob", "s": "b"},
    ]));
    let told = |at: usize| found[at].as_ref().unwrap_err().as_str();
    assert!(found[0].is_ok() && found[9].is_ok(), "{found:?}");
    assert_eq!(told(1), "signals[1]: misaddressed: `u` is missing: it has to name the user");
    assert_eq!(told(2), "signals[2]: misaddressed: `s` is missing: it has to name the session");
    assert_eq!(told(3), "signals[3]: misaddressed: `u` is no text: it has to name the user");
    assert_eq!(told(4), "signals[4]: misaddressed: user: a name must not be empty");
    let long = "signals[5]: misaddressed: session: a name of 193 bytes (escaped) is above the limit of 192";
    assert_eq!(told(5), long);
    let other = (own(&alien), own("bob"));
    assert_eq!(
        told(6),
        format!("signals[6]: misaddressed: the user's partition is {}, the subject says {}", other.0, other.1)
    );
    assert_eq!(told(7), "signals[7]: undecodable: `kind` is none of heartbeat, update, disconnect, leave");
    assert_eq!(told(8), "signals[8]: too large: rooms is 33, the limit is 32");
}

#[test]
fn an_item_has_the_limit_of_a_signals_payload_with_its_names_in_it() {
    let item = |bytes: usize| json!({"u": "bob", "s": "a", "x": "x".repeat(bytes)});
    let frame = item(0).to_string().len();
    let value = json!({"v": 1, "signals": [item(8_192 - frame), item(8_193 - frame)]});
    let found = items(&decode(value.to_string().as_bytes(), None, origin(own("bob"))).unwrap());
    assert!(found[0].is_ok(), "{:?}", found[0]);
    assert_eq!(found[1], Err("signals[1]: too large: payload is 8193, the limit is 8192".to_owned()));

    let packed = |bytes: usize| pack(&json!({"v": 1, "signals": [item(bytes)]}));
    let found = |bytes: usize| items(&decode(&packed(bytes), None, origin(own("bob"))).unwrap()).remove(0);
    let frame = pack(&item(8_000)).len() - 8_000;
    assert!(found(8_192 - frame).is_ok());
    assert_eq!(found(8_193 - frame), Err("signals[0]: too large: payload is 8193, the limit is 8192".to_owned()));
}

#[test]
fn an_item_that_is_no_map_is_rejected_alone() {
    let json = br#"{"v":1,"signals":[5,{"u":"bob","s":"a","conn":"\ud800","seq":1e999},"x",[{}],null,{"u":"\ud800","s":"a"}]}"#;
    let batch = decode(json, None, origin(own("bob"))).unwrap();
    let found = items(&batch);
    let told = |at: usize| found[at].as_ref().unwrap_err().as_str();
    assert_eq!(told(0), "signals[0]: undecodable: JSON that starts with byte 0x35 is no object");
    assert_eq!(
        found[1],
        Ok(("bob".into(), "a".into(), Signal::default(), 0)),
        "what no reader holds drops its field only"
    );
    assert_eq!(batch.ignored_fields(), 2);
    assert_eq!(told(2), "signals[2]: undecodable: JSON that starts with byte 0x22 is no object");
    assert_eq!(told(4), "signals[4]: undecodable: JSON that starts with byte 0x6e is no object");
    assert_eq!(told(5), "signals[5]: misaddressed: `u` is no text: it has to name the user");

    let mut packed = b"\x82\xa1v\x01\xa7signals\x94\x05".to_vec();
    packed.extend(b"\x82\xa1u\xa3bob\xa1s\xa1a\x82\xa1u\xc4\x03bob\xa1s\xa1a\x81\xa1x");
    packed.extend([0x91; 200]);
    packed.push(0xc0);
    let found = items(&decode(&packed, None, origin(own("bob"))).unwrap());
    let told = |at: usize| found[at].as_ref().unwrap_err().as_str();
    let reason = "signals[0]: undecodable: neither a JSON object nor a MessagePack map starts with byte 0x05";
    assert_eq!(told(0), reason);
    assert!(found[1].is_ok(), "{found:?}");
    assert_eq!(told(2), "signals[2]: misaddressed: `u` is no text: it has to name the user", "bytes are no text");
    assert_eq!(told(3), "signals[3]: undecodable: MessagePack: nested deeper than 128 levels");
}

#[test]
fn what_is_no_batch_is_refused_with_its_reason() {
    let undecodable: [(&[u8], &str); 14] = [
        (b"", "nothing; a batch is a JSON object or a MessagePack map"),
        (b"[]", "neither a JSON object nor a MessagePack map starts with byte 0x5b"),
        (b" 1", "JSON that starts with byte 0x31 is no object"),
        (b"{}", "`v` has to be the contract's version, 1"),
        (br#"{"v":"1","signals":[]}"#, "`v` has to be the contract's version, 1"),
        (br#"{"v":2,"signals":[]}"#, "version 2 of the contract, this engine reads version 1"),
        (br#"{"v":1}"#, "there is no list `signals`; a batch of nothing has `\"signals\":[]`"),
        (br#"{"v":1,"signals":null}"#, "there is no list `signals`; a batch of nothing has `\"signals\":[]`"),
        (br#"{"v":1,"signals":{"u":"secret"}}"#, "`signals` is no list"),
        (br#"{"v":1,"signals":[]} {}"#, "JSON: trailing characters at line 1 column 22"),
        (b"\x82\xa1v\x01\xa7signals\xa1x", "`signals` is no list"),
        (b"\x82\xa1v\x01\xa7signals\x91\x80\x00", "MessagePack: trailing bytes behind the map"),
        (b"\x82\xa1v\x01\xa7signals\xdd\xff\xff\xff\xff", "MessagePack: ends before the map does"),
        (b"\x81\xc1", "MessagePack: the byte 0xc1 begins no value"),
    ];
    for (payload, reason) in undecodable {
        assert_eq!(refusal(payload), format!("undecodable: {reason}"), "{payload:?}");
    }
    assert!(refusal(br#"{"v":1,"signals":[{"u":"bob""#).starts_with("undecodable: JSON: EOF"));
    assert!(refusal(b"{\"v\":1,\"signals\":[\"\xff\"]}").starts_with("undecodable: JSON: "), "text has to be UTF-8");
}

#[test]
fn the_limits_are_a_mebibyte_and_ten_thousand_signals() {
    let padded = |bytes: usize| {
        let frame = br#"{"v":1,"signals":[]}"#;
        let mut payload = frame[..frame.len() - 1].to_vec();
        payload.resize(bytes - 1, b' ');
        payload.push(b'}');
        payload
    };
    assert!(decode(&padded(BATCH_BYTES_MAX), None, origin(0)).is_ok());
    assert_eq!(refusal(&padded(BATCH_BYTES_MAX + 1)), "too large: payload is 1048577, the limit is 1048576");
    let many = |count: usize| json!({"v": 1, "signals": vec![json!({}); count]});
    assert_eq!(both(&many(BATCH_SIGNALS_MAX)).unwrap().0.len(), 10_000);
    assert_eq!(both(&many(BATCH_SIGNALS_MAX + 1)).unwrap_err(), "too large: signals is 10001, the limit is 10000");
}

#[test]
fn the_content_type_decides_and_else_the_first_byte() {
    let (json, packed) = (br#"{"v":1,"signals":[]}"#, pack(&json!({"v": 1, "signals": []})));
    for (payload, other) in [(&json[..], "application/msgpack"), (&packed, "application/json")] {
        assert!(decode(payload, None, origin(0)).is_ok());
        assert!(decode(payload, Some("text/plain"), origin(0)).is_ok());
        assert!(decode(payload, Some(other), origin(0)).is_err());
    }
}

#[test]
fn the_last_of_two_values_counts() {
    let json = br#"{"v":2,"signals":5,"v":1,"signals":[{"u":"x","u":"bob","s":"a"}]}"#;
    assert_eq!(refusal(json), "undecodable: `signals` is no list", "but what can't be read can't be passed over");
    let json = br#"{"v":2,"signals":[{}],"v":1,"signals":[{"u":"x","u":"bob","s":"a"}]}"#;
    let found = items(&decode(json, None, origin(own("bob"))).unwrap());
    assert_eq!(found, [Ok(("bob".into(), "a".into(), Signal::default(), 0))]);
}

/// Any signals of users of bob's partition.
fn any_batch() -> impl Strategy<Value = Vec<HeldSignal>> {
    let users: Vec<_> = (0..200).map(|n| format!("user@{n}")).filter(|user| own(user) == own("bob")).collect();
    let held = (prop::sample::select(users), ".{1,12}", any_signal(), 0..100_000_u64);
    let held = held.prop_map(|(user, session, signal, age_ms)| HeldSignal { user, session, signal, age_ms });
    prop::collection::vec(held, 0..6)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(batch in any_batch()) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let payload = encode(&batch, encoding);
            let read = decode(&payload, None, origin(own("bob"))).unwrap();
            prop_assert_eq!(read.ignored_fields(), 0);
            let expected: Vec<Read> = batch
                .iter()
                .map(|held| {
                    let names = (token("user", &held.user).unwrap(), token("session", &held.session).unwrap());
                    Ok((names.0, names.1, held.signal.clone(), held.age_ms))
                })
                .collect();
            prop_assert_eq!(items(&read), expected);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(payload in prop::collection::vec(any::<u8>(), 0..200), content_type in prop::sample::select(vec![None, Some("application/json"), Some("application/msgpack")])) {
        if let Ok(batch) = decode(&payload, content_type, origin(0)) {
            items(&batch);
        }
    }

    #[test]
    fn no_damage_makes_it_panic(
        batch in any_batch(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let mut payload = encode(&batch, encoding);
            for (at, byte, what) in &edits {
                let at = at.index(payload.len());
                match what {
                    0 => payload[at] = *byte,
                    1 => payload.insert(at, *byte),
                    _ => payload.truncate(at.max(1)),
                }
            }
            if let Ok(batch) = decode(&payload, None, origin(own("bob"))) {
                items(&batch);
            }
        }
    }
}

/// What a batch is read as, with or without the quick way.
fn read_as(payload: &[u8], is_quick: bool) -> Result<(Vec<Read>, u32), String> {
    let reading = Reading { is_quick, ..Reading::of(origin(own("bob")), Encoding::MessagePack) };
    let batch = slices::read(payload, Encoding::MessagePack, reading).map_err(|reason| reason.to_string())?.batch;
    Ok((items(&batch), batch.ignored_fields()))
}

#[test]
fn what_gateways_write_is_read_the_quick_way() {
    let value = json!({"u": "bob", "s": "tab", "epoch": 1_790_000_000_000_u64, "seq": 5, "kind": "heartbeat", "conn": "c",
        "state": "idle", "input_age_ms": 300, "visibility": "hidden", "every_ms": 20_000, "intent": "busy", "age_ms": 70_000,
        "intent_for_ms": 5, "can": ["audio", "audio"], "rooms": ["lobby"], "profile": "web", "meta": {"a": [1, {"b": null}]}});
    let packed = pack(&value);
    let quick = quick::item(&packed).expect("nothing is unusual");
    assert_eq!(
        (quick.user.as_str(), quick.session.as_str(), quick.age_ms, quick.size),
        ("bob", "tab", 70_000, packed.len())
    );
    let (_, careful) = decode_held(&packed, Encoding::MessagePack).unwrap();
    assert_eq!(*quick.said.signal(), careful.signal);
    assert!(quick::item(&pack(&json!({"u": "b@b", "s": "tab"}))).is_none(), "it has to be escaped");
}

proptest! {
    #[test]
    fn the_quick_way_changes_nothing(
        signals in prop::collection::vec((any_signal(), prop_oneof![Just("bob"), Just("b@b"), Just("al")], 0..100_000_u64), 0..6),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let held = |(signal, user, age_ms): (Signal, &str, u64)| {
            text::HeldSignal { user: user.to_owned(), session: "tab".to_owned(), signal, age_ms }
        };
        let held: Vec<_> = signals.into_iter().map(held).collect();
        let mut payload = encode(&held, Encoding::MessagePack);
        if let Some((at, byte)) = damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if check_is_map(&payload, Encoding::MessagePack).is_ok() {
            prop_assert_eq!(read_as(&payload, true), read_as(&payload, false));
        }
    }
}
