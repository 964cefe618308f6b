use proptest::prelude::*;
use serde_json::json;

use super::field::Field;
use super::*;
use crate::model::id::escape;
use crate::model::signal::{CONN_BYTES_MAX, EVERY_MS_MAX, EVERY_MS_MIN, SEQ_MAX};
use crate::model::{Claim, Intent, Kind, Visibility};
use crate::wire::Named;

const JSON: Option<&str> = Some("application/json");
const MESSAGE_PACK: Option<&str> = Some("application/msgpack");

fn pack(value: &serde_json::Value) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

/// What both encodings of `value` are read as.
fn both(value: &serde_json::Value) -> Result<Decoded, Rejection> {
    let json = decode(value.to_string().as_bytes(), None);
    assert_eq!(json, decode(&pack(value), None), "{value}");
    json
}

fn signal(value: &serde_json::Value) -> Signal {
    let decoded = both(value).unwrap();
    assert!(decoded.ignored.is_empty(), "{value} ignores {:?}", decoded.ignored.names().collect::<Vec<_>>());
    decoded.signal
}

/// The fields that are dropped of `value`; everything else in it is known to be good.
fn dropped(value: &serde_json::Value) -> Vec<&'static str> {
    both(value).unwrap().ignored.names().collect()
}

fn refusal(payload: &[u8], content_type: Option<&str>) -> String {
    decode(payload, content_type).unwrap_err().to_string()
}

#[test]
fn a_plain_heartbeat_is_nothing_an_object_or_a_map() {
    for payload in [&b""[..], b"{}", b" {\n}\t", b"\x80", b"\xde\x00\x00", b"\xdf\x00\x00\x00\x00"] {
        assert_eq!(decode(payload, None), Ok(Decoded::default()), "{payload:?}");
    }
    assert_eq!(decode(b"", JSON), Ok(Decoded::default()));
    assert_eq!(decode(b"", MESSAGE_PACK), Ok(Decoded::default()));
}

#[test]
fn every_field_of_the_contract_is_read_in_both_encodings() {
    let value = json!({
        "kind": "update", "conn": "c1", "state": "away", "input_age_ms": 1500, "visibility": "hidden", "every_ms": 20000,
        "epoch": 17, "seq": 5, "intent": "dnd", "intent_for_ms": 60000, "can": ["audio", "video"],
        "rooms": ["lobby", "room 2"], "profile": "web", "meta": {"client": "x", "n": [1, 2.5]},
    });
    let expected = Signal {
        kind: Kind::Update,
        conn: Some("c1".into()),
        state: Some(Claim::Away),
        input_age_ms: Some(1_500),
        visibility: Some(Visibility::Hidden),
        every_ms: Some(20_000),
        epoch: Some(17),
        seq: Some(5),
        intent: Some(Intent::Dnd),
        intent_for_ms: Some(60_000),
        can: Some(["audio".into(), "video".into()].into()),
        rooms: Some(["lobby".into(), "room=202".into()].into()),
        profile: Some("web".into()),
        meta: Some(r#"{"client":"x","n":[1,2.5]}"#.into()),
    };
    assert_eq!(signal(&value), expected);
}

#[test]
fn null_is_absent_and_unknown_fields_are_not_counted() {
    let nulls: serde_json::Map<_, _> = Field::NAMES.iter().map(|(name, _)| ((*name).to_owned(), json!(null))).collect();
    assert_eq!(signal(&nulls.into()), Signal::default());
    assert_eq!(signal(&json!({"colour": "red", "deep": {"a": [[[1]]]}, "v": 1})), Signal::default());
}

#[test]
fn a_wrong_type_drops_its_field_and_the_rest_applies() {
    let wrong = [
        ("conn", json!([1, 5, true, {}])),
        ("state", json!([1, true, "Active", "offline", []])),
        ("input_age_ms", json!(["5", true, -1, 1e300, {}])),
        ("visibility", json!([0, "seen", false])),
        ("every_ms", json!(["20s", 999, 3_600_001, 1, -5, 4_294_967_296_u64])),
        ("epoch", json!([-1, SEQ_MAX + 1, "1"])),
        ("seq", json!([-0.5, 9e15 + 9e15, [1]])),
        ("intent", json!(["away", 1])),
        ("intent_for_ms", json!(["1h", false])),
        ("can", json!(["audio", {}, 1, ["audio", 5], [null], [["audio"]]])),
        ("rooms", json!(["lobby", [5], [""], ["x".repeat(193)], ["@".repeat(65)]])),
        ("profile", json!([1, []])),
        ("meta", json!(["x", 1, true, [], [1]])),
    ];
    for (field, values) in wrong {
        for value in values.as_array().unwrap() {
            let payload = json!({"kind": "leave", field: value});
            let decoded = both(&payload).unwrap();
            assert_eq!(decoded.ignored.names().collect::<Vec<_>>(), [field], "{payload}");
            assert_eq!(decoded.ignored.len(), 1);
            assert_eq!(decoded.signal, Signal { kind: Kind::Leave, ..Signal::default() }, "{payload}");
        }
    }
}

#[test]
fn the_edges_of_the_ranges_are_in_them() {
    assert_eq!(signal(&json!({"every_ms": 0})).every_ms, Some(0));
    assert_eq!(signal(&json!({"every_ms": EVERY_MS_MIN})).every_ms, Some(EVERY_MS_MIN));
    assert_eq!(signal(&json!({"every_ms": EVERY_MS_MAX})).every_ms, Some(EVERY_MS_MAX));
    assert_eq!(signal(&json!({"seq": SEQ_MAX, "epoch": SEQ_MAX})).seq, Some(SEQ_MAX));
    assert_eq!(signal(&json!({"input_age_ms": 0})).input_age_ms, Some(0));
    assert_eq!(signal(&json!({"conn": "c".repeat(CONN_BYTES_MAX)})).conn.unwrap().len(), CONN_BYTES_MAX);
    assert_eq!(dropped(&json!({"conn": "é".repeat(33)})), ["conn"], "33 letters, 66 bytes");
    assert_eq!(signal(&json!({"rooms": ["x".repeat(192)]})).rooms.unwrap()[0].len(), 192);
}

#[test]
fn fractions_are_cut_off() {
    let cut = signal(&json!({"seq": 1.9, "epoch": 0.1, "every_ms": 3_600_000.9, "input_age_ms": -0.0}));
    assert_eq!((cut.seq, cut.epoch), (Some(1), Some(0)));
    assert_eq!((cut.every_ms, cut.input_age_ms), (Some(3_600_000), Some(0)));
    assert_eq!(dropped(&json!({"every_ms": 999.9})), ["every_ms"]);
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5] {
        let payload = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("seq", number)])).unwrap();
        assert_eq!(decode(&payload, None).unwrap().ignored.names().collect::<Vec<_>>(), ["seq"], "{number}");
    }
    let single = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("seq", 1.9_f32)])).unwrap();
    assert_eq!(decode(&single, None).unwrap().signal.seq, Some(1));
}

#[test]
fn the_last_of_two_values_counts() {
    let seq = |text: &str| {
        let decoded = decode(text.as_bytes(), None).unwrap();
        (decoded.signal.seq, decoded.ignored.len())
    };
    assert_eq!(seq(r#"{"seq":1,"seq":2}"#), (Some(2), 0));
    assert_eq!(seq(r#"{"seq":1,"seq":null}"#), (None, 0));
    assert_eq!(seq(r#"{"seq":1,"seq":"x"}"#), (None, 1));
    assert_eq!(seq(r#"{"seq":"x","seq":3}"#), (Some(3), 0));
    assert_eq!(decode(br#"{"kind":"?","kind":"leave"}"#, None).unwrap().signal.kind, Kind::Leave);
}

#[test]
fn names_in_lists_count_once_in_their_order() {
    let signal = signal(&json!({"rooms": ["b", "a", "b"], "can": ["video", "video"]}));
    assert_eq!(signal.rooms, Some(["b".into(), "a".into()].into()));
    assert_eq!(signal.can, Some(["video".into()].into()));
}

#[test]
fn empty_lists_and_an_empty_meta_are_values() {
    let signal = signal(&json!({"rooms": [], "can": [], "meta": {}}));
    assert_eq!((signal.rooms, signal.can, signal.meta), (Some([].into()), Some([].into()), Some("{}".into())));
}

#[test]
fn an_unknown_kind_drops_the_signal() {
    for kind in [json!("heartbeats"), json!("LEAVE"), json!(1), json!([])] {
        let rejection = both(&json!({"kind": kind, "seq": 1})).unwrap_err();
        assert_eq!(rejection.to_string(), "undecodable: `kind` is none of heartbeat, update, disconnect, leave");
    }
}

#[test]
fn what_is_too_large_refuses_the_whole_signal() {
    let rooms: Vec<_> = (0..33).map(|room| format!("r{room}")).collect();
    assert_eq!(signal(&json!({"rooms": rooms[..32]})).rooms.unwrap().len(), 32);
    let text = |value| both(&value).unwrap_err().to_string();
    assert_eq!(text(json!({"rooms": rooms})), "too large: rooms is 33, the limit is 32");
    assert_eq!(text(json!({"can": vec!["audio"; 17]})), "too large: can is 17, the limit is 16");
    assert!(signal(&json!({"meta": {"a": "x".repeat(1016)}})).meta.is_some());
    assert_eq!(text(json!({"meta": {"a": "x".repeat(1017)}})), "too large: meta is 1025, the limit is 1024");
    let padded = format!("{{\"meta\":{{{}}}}}", " ".repeat(2_000));
    assert_eq!(decode(padded.as_bytes(), None).unwrap().signal.meta, Some("{}".into()), "white space is no content");

    let full = format!("{{{}}}", " ".repeat(PAYLOAD_BYTES_MAX - 2));
    assert_eq!(decode(full.as_bytes(), None), Ok(Decoded::default()));
    assert_eq!(refusal(format!("{full} ").as_bytes(), None), "too large: payload is 8193, the limit is 8192");
}

#[test]
fn the_content_type_decides_and_else_the_first_byte() {
    assert!(decode(b"\x80", JSON).is_err());
    assert!(decode(b"{}", MESSAGE_PACK).is_err());
    assert_eq!(decode(b"{}", Some("application/json; charset=utf-8")), Ok(Decoded::default()));
    assert_eq!(decode(b"{}", Some("text/plain")), Ok(Decoded::default()), "another type decides nothing");
    assert_eq!(decode(b"\x80", Some("application/octet-stream")), Ok(Decoded::default()));
}

#[test]
fn what_cannot_be_decoded_is_refused_with_its_reason() {
    let cases: [(&[u8], &str); 11] = [
        (b"{", "undecodable: JSON: EOF while parsing an object at line 1 column 1"),
        (b"{} {}", "undecodable: JSON: trailing characters at line 1 column 4"),
        (b"{\"seq\":1,}", "undecodable: JSON: trailing comma at line 1 column 10"),
        (b"  [1]", "undecodable: JSON that starts with byte 0x5b is no object"),
        (b" \n", "undecodable: JSON of nothing but white space is no object"),
        (b"hello", "undecodable: neither a JSON object nor a MessagePack map starts with byte 0x68"),
        (b"\xc1", "undecodable: neither a JSON object nor a MessagePack map starts with byte 0xc1"),
        (b"\x80\x00", "undecodable: MessagePack: trailing bytes behind the map"),
        (b"\x80\xc1", "undecodable: MessagePack: trailing bytes behind the map"),
        (b"\x81\xa3seq", "undecodable: MessagePack: ends before the map does"),
        (b"\x81\xa3seq\xc1", "undecodable: MessagePack: wrong msgpack marker Reserved"),
    ];
    for (payload, reason) in cases {
        assert_eq!(refusal(payload, None), reason, "{payload:?}");
    }
    assert!(refusal(b"{\"seq\":1,\"conn\":\"\xff\"}", None).contains("unicode"), "text has to be UTF-8");
}

#[test]
fn a_json_value_that_no_reader_holds_drops_its_field_only() {
    let payload = br#"{"seq":1e999,"conn":"\ud800","rooms":["\ud800"],"can":[1e999],"meta":{"a":"\ud800"},"epoch":7}"#;
    let decoded = decode(payload, None).unwrap();
    assert_eq!(decoded.ignored.names().collect::<Vec<_>>(), ["conn", "seq", "can", "rooms", "meta"]);
    assert_eq!(decoded.signal, Signal { epoch: Some(7), ..Signal::default() });
    assert!(decode(br#"{"kind":"\ud800"}"#, None).is_err());
    assert_eq!(decode(br#"{"x":1e999,"seq":2}"#, None).unwrap().signal.seq, Some(2), "unknown fields are skipped");
}

#[test]
fn deep_nesting_neither_overflows_the_stack_nor_refuses_what_is_skipped() {
    let lists = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let json = format!(r#"{{"x":{0},"seq":1,"can":{0},"epoch":{0},"meta":{{"a":{0}}}}}"#, lists(900));
    let decoded = decode(json.as_bytes(), None).unwrap();
    assert_eq!(decoded.signal, Signal { seq: Some(1), ..Signal::default() });
    assert_eq!(decoded.ignored.names().collect::<Vec<_>>(), ["epoch", "can", "meta"]);

    for key in ["x", "can", "epoch", "meta"] {
        let mut packed = vec![0x81, 0xa0 | key.len() as u8];
        packed.extend(key.bytes());
        packed.extend([0x91; 8_000]);
        packed.push(0xc0);
        assert_eq!(refusal(&packed, None), "undecodable: MessagePack: nested deeper than 128 levels");
    }
}

#[test]
fn a_header_that_claims_four_billion_items_allocates_nothing() {
    for head in
        [&b"\xdf\xff\xff\xff\xff"[..], b"\x81\xa5rooms\xdd\xff\xff\xff\xff", b"\x81\xa4meta\xdf\xff\xff\xff\xff"]
    {
        assert_eq!(refusal(head, None), "undecodable: MessagePack: ends before the map does");
    }
    assert_eq!(
        refusal(b"\x81\xa4conn\xdb\xff\xff\xff\xff", None),
        "undecodable: MessagePack: ends before the map does"
    );
}

#[test]
fn message_packs_own_types_are_wrong_where_json_has_no_such_value() {
    // {1: 2, nil: 3, [1]: 4, "seq": 5}: keys that are no text name nothing.
    assert_eq!(decode(b"\x84\x01\x02\xc0\x03\x91\x01\x04\xa3seq\x05", None).unwrap().signal.seq, Some(5));
    let dropped = |payload: &[u8]| decode(payload, None).unwrap().ignored.names().collect::<Vec<_>>();
    assert_eq!(dropped(b"\x81\xa4conn\xc4\x02c1"), ["conn"], "bytes are no text");
    assert_eq!(dropped(b"\x81\xa4conn\xa1\xff"), ["conn"], "nor is text that is not UTF-8");
    assert_eq!(dropped(b"\x81\xa3seq\xd6\xff\x00\x00\x00\x01"), ["seq"], "nor is a timestamp a number");
    assert_eq!(dropped(b"\x81\xa4meta\x81\xa1a\xc4\x01x"), ["meta"]);
    assert_eq!(dropped(b"\x81\xa4meta\x81\xa1a\xd4\x01\x00"), ["meta"]);
    assert_eq!(dropped(b"\x81\xa4meta\x81\x01\x02"), ["meta"]);
    assert_eq!(dropped(b"\x81\xa5rooms\xc4\x01x"), ["rooms"]);
}

#[test]
fn meta_keeps_its_spelling() {
    let payload = br#"{ "meta" : { "price" : 1.10, "big": 123456789012345678901234567890, "t" : "\u00e9 \/" } }"#;
    let meta = decode(payload, None).unwrap().signal.meta.unwrap();
    assert_eq!(&*meta, r#"{"price":1.10,"big":123456789012345678901234567890,"t":"\u00e9 \/"}"#);
}

#[test]
fn a_plain_heartbeat_is_written_as_an_empty_map() {
    assert_eq!(encode(&Signal::default(), Encoding::Json), b"{}");
    assert_eq!(encode(&Signal::default(), Encoding::MessagePack), b"\x80");
}

/// Any signal that is within its limits.
pub(crate) fn any_signal() -> impl Strategy<Value = Signal> {
    fn named<T: Named + std::fmt::Debug>() -> impl Strategy<Value = T> {
        prop::sample::select(T::NAMES.iter().map(|(_, value)| *value).collect::<Vec<_>>())
    }
    fn list(limit: usize, token: bool) -> impl Strategy<Value = Box<[Box<str>]>> {
        prop::collection::btree_set(".{1,8}", 0..limit).prop_map(move |names| {
            names.into_iter().map(|name| if token { escape(&name).unwrap() } else { name }.into()).collect()
        })
    }
    let number = || prop::option::of(0..=SEQ_MAX);
    let every = prop::option::of(prop_oneof![Just(0), EVERY_MS_MIN..=EVERY_MS_MAX]);
    let meta = prop::collection::btree_map(
        ".{0,5}",
        prop_oneof![any::<i32>().prop_map(|n| json!(n)), ".{0,9}".prop_map(|t| json!(t))],
        0..8,
    )
    .prop_map(|meta| json!(meta).to_string().into_boxed_str());
    let first =
        (named(), prop::option::of(".{0,16}"), prop::option::of(named()), number(), prop::option::of(named()), every);
    let second = (number(), number(), prop::option::of(named()), number());
    let third = (
        prop::option::of(list(16, false)),
        prop::option::of(list(32, true)),
        prop::option::of(".{0,9}"),
        prop::option::of(meta),
    );
    (first, second, third).prop_map(
        |(
            (kind, conn, state, input_age_ms, visibility, every_ms),
            (epoch, seq, intent, intent_for_ms),
            (can, rooms, profile, meta),
        )| Signal {
            kind,
            conn: conn.map(Into::into),
            state,
            input_age_ms,
            visibility,
            every_ms,
            epoch,
            seq,
            intent,
            intent_for_ms,
            can,
            rooms,
            profile: profile.map(Into::into),
            meta: meta.filter(|meta| meta.len() <= 1024),
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(signal in any_signal()) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let payload = encode(&signal, encoding);
            prop_assume!(payload.len() <= PAYLOAD_BYTES_MAX);
            let expected = Ok(Decoded { signal: signal.clone(), ignored: Ignored::default() });
            prop_assert_eq!(&decode(&payload, None), &expected);
            prop_assert_eq!(&decode(&payload, Some(encoding.content_type())), &expected);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        for content_type in [None, JSON, MESSAGE_PACK] {
            let _ = decode(&payload, content_type);
        }
    }

    #[test]
    fn no_damage_makes_it_panic(
        signal in any_signal(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let mut payload = encode(&signal, encoding);
            for (at, byte, what) in &edits {
                let at = at.index(payload.len());
                match what {
                    0 => payload[at] = *byte,
                    1 => payload.insert(at, *byte),
                    _ => payload.truncate(at.max(1)),
                }
            }
            for content_type in [None, JSON, MESSAGE_PACK] {
                let _ = decode(&payload, content_type);
            }
        }
    }
}
