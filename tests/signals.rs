//! The contract's table of signals, row by row: what is published, and what is told of it, through a real server and a
//! real engine.

mod common;

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use futures::future::join_all;
use presence_engine::model::partition_of;
use presence_engine::nats::Nats;
use serde_json::{Value, json};

use common::client::{beat, log_time, publish, publish_with, signal};
use common::engine::{Engine, STILL};
use common::told::Subscriber;
use common::{TestServer, oracle, streams};

/// Profiles in which one thing falls soon and all else never does.
const PROFILES: &str = r#"
[profile.other]
[profile.ladder]
idle_after = "250ms"
away_after = "500ms"
stale_after = "800ms"
offline_after = "1100ms"
hidden_after = "100ms"
frozen_offline_after = "700ms"
promise = { factor = 2.0, slack = "100ms", cap = "1h", idle_beats = 3 }
[profile.doze]
idle_after = "150ms"
[profile.brief]
stale_after = "100ms"
offline_after = "300ms"
promise = { factor = 2.0, slack = "100ms", cap = "1h", idle_beats = 3 }
[profile.capped]
stale_after = "100ms"
offline_after = "300ms"
promise = { factor = 2.0, slack = "100ms", cap = "1s", idle_beats = 3 }
[profile.drop]
disconnect_grace = "120ms"
offline_after = "3h 200ms"
[profile.linger]
leave_linger = "200ms"
[profile.lingers]
leave_linger = "1h"
"#;

/// A row: the signals of one session, and everything that is told of it and of its user.
///
/// A signal that is `null` has an empty payload; `{"wait": state}` is none, but waits until that state was told. Of an event
/// the named fields count. `"=#2+100"` is the log time of the second signal and 100 ms, `"=last_seen_ms+100"` the field of
/// the same event and 100 ms.
struct Row {
    fact: &'static str,
    signals: Vec<Value>,
    session: Vec<Value>,
    user: Option<Vec<Value>>,
}

fn row(fact: &'static str, signals: Value, session: Value) -> Row {
    Row { fact, signals: list(signals), session: list(session), user: None }
}

fn user_row(fact: &'static str, signals: Value, session: Value, user: Value) -> Row {
    Row { user: Some(list(user)), ..row(fact, signals, session) }
}

fn list(values: Value) -> Vec<Value> {
    values.as_array().expect("a list").clone()
}

fn joined() -> Value {
    json!({"from": "offline", "to": "active", "cause": "joined", "ordinal": 1})
}

fn kinds() -> Vec<Row> {
    vec![
        row("an empty payload is a heartbeat", json!([null]), json!([joined()])),
        row("a signal without a kind is a heartbeat", json!([{}]), json!([joined()])),
        row("a heartbeat says so", json!([{"kind": "heartbeat"}]), json!([joined()])),
        row(
            "an update proves no life and is no input, and what it says is known afterwards",
            json!([null, {"kind": "update", "can": ["audio"], "state": "away", "input_age_ms": 9_999_999}, {"kind": "leave"}]),
            json!([
                {"to": "active", "can": []},
                {"from": "active", "to": "offline", "can": ["audio"], "last_seen_ms": "=#1", "last_input_ms": "=#1",
                 "visibility": "visible"},
            ]),
        ),
        row(
            "an update starts no session",
            json!([{"kind": "update", "can": ["audio"]}, null]),
            json!([{"to": "active", "can": []}]),
        ),
        row(
            "a disconnect starts no session, nor does a leave",
            json!([{"kind": "disconnect"}, {"kind": "leave"}, null]),
            json!([{"to": "active", "transport": "open", "incarnation": "=#3"}]),
        ),
        row(
            "the visibility of an update counts",
            json!([null, {"kind": "update", "visibility": "frozen"}]),
            json!([joined(), {"to": "away", "cause": "frozen", "visibility": "frozen", "at_ms": "=#2", "last_seen_ms": "=#1"}]),
        ),
        row(
            "after a disconnect a session is stale when the grace is over, and offline after the profile's distance",
            json!([{"profile": "drop"}, {"kind": "disconnect"}]),
            json!([
                joined(),
                {"from": "active", "to": "stale", "cause": "disconnected", "transport": "closed", "at_ms": "=#2+120"},
                {"from": "stale", "to": "offline", "cause": "disconnected", "transport": "closed", "at_ms": "=#2+320"},
            ]),
        ),
        row(
            "a second disconnect changes nothing",
            json!([{"profile": "drop"}, {"kind": "disconnect"}, {"kind": "disconnect"}, {"wait": "stale"}, {"kind": "disconnect"}]),
            json!([joined(), {"to": "stale", "at_ms": "=#2+120"}, {"to": "offline", "at_ms": "=#2+320"}]),
        ),
        row(
            "any accepted heartbeat reopens",
            json!([null, {"kind": "disconnect"}, null, {"kind": "update", "visibility": "frozen"}]),
            json!([joined(), {"to": "away", "transport": "open"}]),
        ),
        row(
            "of a disconnect's other fields only epoch, seq and conn count",
            json!([null, {"kind": "disconnect", "can": ["audio"], "visibility": "frozen", "state": "away", "rooms": ["x"], "seq": 7},
                   {"kind": "update", "visibility": "frozen", "seq": 8}]),
            json!([joined(), {"to": "away", "transport": "closed", "can": [], "rooms": [], "seq_client": 8}]),
        ),
        row(
            "a leave ends the session at once",
            json!([null, {"kind": "leave"}]),
            json!([joined(), {"from": "active", "to": "offline", "cause": "left", "transport": "closed", "at_ms": "=#2", "last_seen_ms": "=#1"}]),
        ),
        row(
            "a leave lingers where the profile says so",
            json!([{"profile": "linger"}, {"kind": "leave"}]),
            json!([joined(), {"from": "active", "to": "offline", "cause": "left", "at_ms": "=#2+200"}]),
        ),
        row(
            "a heartbeat in a lingering leave cancels it, so a reload is no event",
            json!([{"profile": "lingers"}, {"kind": "leave"}, null, {"kind": "update", "visibility": "frozen"}]),
            json!([joined(), {"to": "away", "transport": "open"}]),
        ),
        row(
            "the transport of a session that is leaving is closed",
            json!([{"profile": "lingers"}, {"kind": "leave"}, {"kind": "update", "visibility": "frozen"}]),
            json!([joined(), {"to": "away", "transport": "closed"}]),
        ),
        row(
            "an unknown kind drops the signal",
            json!([null, {"kind": "wave", "state": "away"}, {"state": "idle"}]),
            json!([joined(), {"from": "active", "to": "idle"}]),
        ),
    ]
}

fn connections() -> Vec<Row> {
    vec![
        row("a connection is shown", json!([{"conn": "c1"}]), json!([{"to": "active", "conn": "c1"}])),
        row(
            "a disconnect of another connection than the latest is ignored wholly, its seq too",
            json!([
                {"conn": "c1", "seq": 1}, {"conn": "c2", "seq": 2}, {"kind": "disconnect", "conn": "c1", "seq": 10},
                {"kind": "update", "visibility": "frozen", "seq": 3},
            ]),
            json!([joined(), {"to": "away", "conn": "c2", "transport": "open", "seq_client": 3}]),
        ),
        row(
            "a leave of another connection than the latest is ignored wholly",
            json!([{"conn": "c1"}, {"conn": "c2"}, {"kind": "leave", "conn": "c1"}, {"state": "idle"}]),
            json!([joined(), {"to": "idle", "conn": "c2", "transport": "open"}]),
        ),
        row(
            "a disconnect that names no connection counts",
            json!([{"conn": "c1"}, {"kind": "disconnect"}, {"kind": "update", "visibility": "frozen"}]),
            json!([joined(), {"to": "away", "transport": "closed"}]),
        ),
        row(
            "a connection's name of more than 64 bytes drops the field",
            json!([{"conn": "c".repeat(65), "can": ["audio"]}]),
            json!([{"to": "active", "conn": null, "can": ["audio"]}]),
        ),
    ]
}

fn claims_and_input() -> Vec<Row> {
    vec![
        row(
            "idle: no input for idle_after at least",
            json!([{"state": "idle"}]),
            json!([{"from": "offline", "to": "idle", "cause": "joined", "last_input_ms": "=last_seen_ms-3600000"}]),
        ),
        row(
            "active: input just now",
            json!([{"state": "idle"}, {"state": "active"}]),
            json!([{"to": "idle"}, {"from": "idle", "to": "active", "cause": "input", "last_input_ms": "=#2"}]),
        ),
        row(
            "idle sets visible, away sets hidden and counts as out of sight for hidden_after already",
            json!([null, {"state": "away"}, {"state": "idle"}]),
            json!([
                joined(),
                {"from": "active", "to": "away", "cause": "claimed", "visibility": "hidden", "last_input_ms": "=#1", "at_ms": "=#2"},
                {"from": "away", "to": "idle", "visibility": "visible", "at_ms": "=#3"},
            ]),
        ),
        row(
            "a visibility that is given goes before what a claim implies",
            json!([{"state": "active", "visibility": "hidden"}, {"state": "away", "visibility": "visible"}, {"kind": "leave"}]),
            json!([{"to": "active", "visibility": "hidden"}, {"from": "active", "to": "offline", "visibility": "visible"}]),
        ),
        row(
            "the first signal counts as input, also where it claims to be away",
            json!([{"state": "away"}]),
            json!([{"to": "away", "last_input_ms": "=last_seen_ms"}]),
        ),
        row(
            "an incarnation's first input age is taken as it is",
            json!([{"input_age_ms": 3_600_000}]),
            json!([{"to": "idle", "cause": "joined", "last_input_ms": "=last_seen_ms-3600000"}]),
        ),
        row(
            "an input age of 0 is always believed",
            json!([{"input_age_ms": 3_600_000}, {"input_age_ms": 0}]),
            json!([{"to": "idle"}, {"to": "active", "cause": "input", "last_input_ms": "=#2", "at_ms": "=#2"}]),
        ),
        row(
            "an input age moves the last input later",
            json!([{"input_age_ms": 3_600_000}, {"input_age_ms": 600_000}]),
            json!([{"to": "idle"}, {"to": "active", "cause": "input", "last_input_ms": "=#2-600000"}]),
        ),
        row(
            "an input age never moves the last input earlier",
            json!([{"input_age_ms": 600_000}, {"input_age_ms": 7_200_000}, {"kind": "leave"}]),
            json!([{"to": "active"}, {"from": "active", "to": "offline", "last_input_ms": "=#1-600000", "last_seen_ms": "=#2"}]),
        ),
        row(
            "beside an input age a claim only sets visibility",
            json!([{"input_age_ms": 0, "state": "idle"}, {"input_age_ms": 0, "state": "idle", "visibility": "hidden"}, {"kind": "leave"}]),
            json!([{"to": "active", "last_input_ms": "=#1"}, {"from": "active", "to": "offline", "visibility": "hidden", "last_input_ms": "=#2"}]),
        ),
        row(
            "a plain heartbeat of a visible session is input",
            json!([{"profile": "doze"}, {"wait": "idle"}, null]),
            json!([
                joined(),
                {"to": "idle", "cause": "quiet", "at_ms": "=last_input_ms+150"},
                {"from": "idle", "to": "active", "cause": "input", "at_ms": "=#2", "last_input_ms": "=#2"},
                {"to": "idle", "cause": "quiet", "at_ms": "=last_input_ms+150"},
            ]),
        ),
        row(
            "a plain heartbeat of a session that has reported input or claimed a state is none",
            json!([{"state": "idle"}, null, {"kind": "leave"}]),
            json!([{"to": "idle"}, {"from": "idle", "to": "offline", "last_seen_ms": "=#2", "last_input_ms": "=#1-3600000"}]),
        ),
        row(
            "a plain heartbeat of a hidden session is no input",
            json!([{"profile": "doze", "visibility": "hidden"}, {"wait": "idle"}, null, {"kind": "leave"}]),
            json!([joined(), {"to": "idle"}, {"from": "idle", "to": "offline", "last_seen_ms": "=#2", "last_input_ms": "=#1"}]),
        ),
    ]
}

fn visibility() -> Vec<Row> {
    vec![
        row(
            "hidden is away after hidden_after",
            json!([{"profile": "ladder", "visibility": "hidden"}]),
            json!([
                {"to": "active", "visibility": "hidden"},
                {"from": "active", "to": "away", "cause": "hidden", "at_ms": "=last_seen_ms+100"},
                {"from": "away", "to": "stale", "cause": "silent", "at_ms": "=last_seen_ms+800"},
                {"from": "stale", "to": "offline", "cause": "silent", "at_ms": "=last_seen_ms+1100"},
            ]),
        ),
        row(
            "who comes into sight again is active",
            json!([null, {"state": "away"}, {"visibility": "visible"}]),
            json!([joined(), {"to": "away"}, {"to": "active", "cause": "visible", "visibility": "visible", "at_ms": "=#3"}]),
        ),
        row(
            "frozen is away at once, never stale, and offline frozen_offline_after after it last said so",
            json!([{"profile": "ladder", "visibility": "frozen"}]),
            json!([
                {"from": "offline", "to": "away", "cause": "joined", "visibility": "frozen"},
                {"from": "away", "to": "offline", "cause": "frozen", "at_ms": "=last_seen_ms+700"},
            ]),
        ),
        row(
            "a heartbeat that says nothing of visibility thaws into hidden, out of sight since it froze",
            json!([{"visibility": "frozen"}, null, {"kind": "leave"}]),
            json!([
                {"to": "away", "visibility": "frozen"},
                {"from": "away", "to": "active", "visibility": "hidden", "at_ms": "=#2"},
                {"from": "active", "to": "offline", "visibility": "hidden"},
            ]),
        ),
        row(
            "an update that says frozen again puts the end off",
            json!([{"profile": "ladder", "visibility": "frozen"}, {"kind": "update", "visibility": "frozen", "can": ["audio"]}]),
            json!([
                {"to": "away"},
                {"from": "away", "to": "offline", "cause": "frozen", "can": ["audio"], "at_ms": "=#2+700", "last_seen_ms": "=#1"},
            ]),
        ),
        row(
            "promises and disconnects rest while frozen",
            json!([{"profile": "drop", "visibility": "frozen"}, {"kind": "disconnect"}, {"kind": "leave"}]),
            json!([{"to": "away"}, {"from": "away", "to": "offline", "cause": "left"}]),
        ),
    ]
}

fn promises() -> Vec<Row> {
    vec![
        row(
            "a promise puts stale and idle off",
            json!([{"profile": "ladder", "every_ms": 1_000}]),
            json!([
                {"to": "active", "every_ms": 1_000},
                {"from": "active", "to": "stale", "cause": "silent", "at_ms": "=last_seen_ms+2100"},
                {"from": "stale", "to": "offline", "at_ms": "=last_seen_ms+2400"},
            ]),
        ),
        row(
            "who has reported input is idle by the profile, whatever was promised",
            json!([{"profile": "ladder", "every_ms": 1_000, "input_age_ms": 0}]),
            json!([
                {"to": "active"},
                {"to": "idle", "at_ms": "=last_input_ms+250"},
                {"to": "away", "cause": "quiet", "at_ms": "=last_input_ms+500"},
                {"to": "stale", "at_ms": "=last_seen_ms+2100"},
                {"to": "offline", "at_ms": "=last_seen_ms+2400"},
            ]),
        ),
        row(
            "a promise holds until it is replaced",
            json!([{"profile": "brief", "every_ms": 3_600_000}, null, {"every_ms": 1_000}]),
            json!([
                {"to": "active", "every_ms": 3_600_000},
                {"from": "active", "to": "stale", "every_ms": 1_000, "last_seen_ms": "=#3", "at_ms": "=last_seen_ms+2100"},
                {"to": "offline", "at_ms": "=last_seen_ms+2300"},
            ]),
        ),
        row(
            "a promise of 0 withdraws it",
            json!([{"profile": "brief", "every_ms": 3_600_000}, {"every_ms": 0}]),
            json!([
                {"to": "active"},
                {"to": "stale", "every_ms": 0, "at_ms": "=last_seen_ms+100"},
                {"to": "offline", "at_ms": "=last_seen_ms+300"},
            ]),
        ),
        row(
            "a promise counts up to the profile's cap",
            json!([{"profile": "capped", "every_ms": 3_600_000}]),
            json!([
                {"to": "active"},
                {"to": "stale", "at_ms": "=last_seen_ms+2100"},
                {"to": "offline", "at_ms": "=last_seen_ms+2300"},
            ]),
        ),
        row(
            "a promise of 999 ms is out of range and dropped",
            json!([{"every_ms": 999, "can": ["audio"]}]),
            json!([{"every_ms": 0, "can": ["audio"]}]),
        ),
        row(
            "a promise of more than an hour is out of range and dropped",
            json!([{"every_ms": 3_600_001, "seq": 4}]),
            json!([{"every_ms": 0, "seq_client": 4}]),
        ),
    ]
}

fn sequences() -> Vec<Row> {
    vec![
        row(
            "duplicates and reordered signals change nothing",
            json!([
                {"epoch": 1, "seq": 5}, {"epoch": 1, "seq": 5, "state": "away"}, {"epoch": 1, "seq": 4, "state": "away"},
                {"epoch": 1, "seq": 6, "state": "idle"},
            ]),
            json!([{"to": "active", "epoch": 1, "seq_client": 5}, {"from": "active", "to": "idle", "epoch": 1, "seq_client": 6, "last_seen_ms": "=#4"}]),
        ),
        row("seq alone has epoch 0", json!([{"seq": 5}]), json!([{"to": "active", "epoch": 0, "seq_client": 5}])),
        row(
            "epoch alone drops only lower epochs",
            json!([{"epoch": 5}, {"epoch": 4, "state": "away"}, {"epoch": 5, "state": "idle"}]),
            json!([{"to": "active", "epoch": 5, "seq_client": null}, {"from": "active", "to": "idle", "epoch": 5}]),
        ),
        row(
            "a signal with neither is not checked",
            json!([{"epoch": 5, "seq": 5}, {"state": "idle"}]),
            json!([{"to": "active"}, {"to": "idle", "epoch": 5, "seq_client": 5}]),
        ),
        row(
            "a higher epoch goes on with the incarnation",
            json!([{"epoch": 1, "seq": 9}, {"epoch": 2, "seq": 1, "state": "idle"}]),
            json!([{"to": "active", "ordinal": 1}, {"to": "idle", "ordinal": 2, "epoch": 2, "seq_client": 1, "incarnation": "=#1"}]),
        ),
        row(
            "an epoch alone above the session's clears seq",
            json!([{"epoch": 1, "seq": 9}, {"epoch": 2, "state": "idle"}]),
            json!([{"to": "active"}, {"to": "idle", "epoch": 2, "seq_client": null}]),
        ),
        row(
            "a clock that was set back is accepted with its third signal in a row with rising seq",
            json!([
                {"epoch": 9, "seq": 1}, {"epoch": 3, "seq": 1, "state": "away"}, {"epoch": 3, "seq": 2, "state": "away"},
                {"epoch": 3, "seq": 3, "state": "idle"},
            ]),
            json!([{"to": "active", "epoch": 9}, {"from": "active", "to": "idle", "epoch": 3, "seq_client": 3}]),
        ),
        row(
            "lower epochs whose seq does not rise are no clock that was set back",
            json!([
                {"epoch": 9, "seq": 1}, {"epoch": 3, "seq": 1, "state": "away"}, {"epoch": 3, "seq": 1, "state": "away"},
                {"epoch": 3, "seq": 2, "state": "away"}, {"epoch": 9, "seq": 2, "state": "idle"},
            ]),
            json!([{"to": "active"}, {"from": "active", "to": "idle", "epoch": 9, "seq_client": 2}]),
        ),
        row(
            "an update takes part in epoch and seq",
            json!([{"epoch": 1, "seq": 1}, {"kind": "update", "epoch": 1, "seq": 2}, {"epoch": 1, "seq": 2, "state": "away"}, {"epoch": 1, "seq": 3, "state": "idle"}]),
            json!([{"to": "active"}, {"from": "active", "to": "idle", "seq_client": 3}]),
        ),
        row(
            "after a leave only a higher epoch revives, and inherits nothing",
            json!([
                {"epoch": 1, "seq": 1, "can": ["audio"], "profile": "other"}, {"kind": "leave", "epoch": 1, "seq": 2}, {"epoch": 1, "seq": 3},
                {"epoch": 2, "seq": 1},
            ]),
            json!([
                {"to": "active", "can": ["audio"]}, {"to": "offline", "cause": "left"},
                {"from": "offline", "to": "active", "cause": "joined", "ordinal": 1, "epoch": 2, "can": [], "profile": "default", "last_seen_ms": "=#4"},
            ]),
        ),
        row(
            "after expiry a higher seq of the same epoch revives, and inherits",
            json!([
                {"profile": "brief", "epoch": 1, "seq": 1, "can": ["audio"], "rooms": ["lobby"], "meta": {"a": 1}, "visibility": "hidden"},
                {"wait": "offline"}, {"epoch": 1, "seq": 1}, {"epoch": 1, "seq": 2},
            ]),
            json!([
                {"to": "active"}, {"to": "stale", "at_ms": "=last_seen_ms+100"}, {"to": "offline", "cause": "silent", "at_ms": "=last_seen_ms+300"},
                {"from": "offline", "to": "active", "ordinal": 1, "seq_client": 2, "can": ["audio"], "rooms": ["lobby"], "meta": {"a": 1},
                 "visibility": "hidden", "profile": "brief", "at_ms": "=#3"},
                {"to": "stale"}, {"to": "offline"},
            ]),
        ),
        row(
            "a leave after expiry counts as one",
            json!([
                {"profile": "brief", "epoch": 1, "seq": 1}, {"wait": "offline"}, {"kind": "leave", "epoch": 1, "seq": 2},
                {"epoch": 1, "seq": 3}, {"epoch": 2, "seq": 1},
            ]),
            json!([{"to": "active"}, {"to": "stale"}, {"to": "offline", "cause": "silent"}, {"to": "active", "epoch": 2, "seq_client": 1}]),
        ),
        row(
            "after expiry another epoch inherits nothing",
            json!([{"profile": "brief", "epoch": 1, "can": ["audio"]}, {"wait": "offline"}, {"epoch": 2}]),
            json!([{"to": "active"}, {"to": "stale"}, {"to": "offline"}, {"to": "active", "can": [], "profile": "default", "epoch": 2}]),
        ),
        row(
            "without epoch and seq any heartbeat revives, and nothing else does",
            json!([null, {"kind": "leave"}, {"kind": "update"}, {"kind": "disconnect"}, {"kind": "leave"}, null]),
            json!([joined(), {"to": "offline"}, {"from": "offline", "to": "active", "ordinal": 1, "last_seen_ms": "=#6"}]),
        ),
    ]
}

fn facts() -> Vec<Row> {
    vec![
        row(
            "capabilities are shown",
            json!([{"can": ["audio", "video"]}]),
            json!([{"to": "active", "can": ["audio", "video"]}]),
        ),
        row(
            "a capability that is not configured drops the field",
            json!([{"can": ["audio", "smell"], "seq": 1}]),
            json!([{"can": [], "seq_client": 1}]),
        ),
        row(
            "an absent field leaves what was known, an empty list or map clears it",
            json!([
                {"can": ["audio"], "rooms": ["lobby"], "meta": {"a": 1}}, {"state": "idle"},
                {"can": [], "rooms": [], "meta": {}, "state": "active"},
            ]),
            json!([
                {"to": "active", "can": ["audio"], "rooms": ["lobby"], "meta": {"a": 1}},
                {"to": "idle", "can": ["audio"], "rooms": ["lobby"], "meta": {"a": 1}},
                {"to": "active", "can": [], "rooms": [], "meta": {}},
            ]),
        ),
        row(
            "lists and meta are replaced whole",
            json!([{"can": ["audio"], "rooms": ["a", "b"], "meta": {"a": 1}}, {"can": ["video"], "rooms": ["c"], "meta": {"b": [2, {"c": null}]}, "state": "idle"}]),
            json!([{"to": "active"}, {"to": "idle", "can": ["video"], "rooms": ["c"], "meta": {"b": [2, {"c": null}]}}]),
        ),
        row(
            "rooms are plain text",
            json!([{"rooms": ["The Lobby", "räume.1"]}]),
            json!([{"rooms": ["The Lobby", "räume.1"]}]),
        ),
        row("a profile is named", json!([{"profile": "seed"}]), json!([{"to": "active", "profile": "seed"}])),
        row(
            "an unknown profile is dropped",
            json!([{"profile": "royal", "can": ["audio"]}]),
            json!([{"profile": "default", "can": ["audio"]}]),
        ),
        row(
            "meta is passed on as it is",
            json!([{"meta": {"device": "tablet", "zoom": 1.5, "tags": ["a"]}}]),
            json!([{"meta": {"device": "tablet", "zoom": 1.5, "tags": ["a"]}}]),
        ),
        row(
            "null is absent",
            json!([
                {"can": ["audio"], "conn": "c", "every_ms": 5_000, "seq": 1},
                {"kind": null, "can": null, "conn": null, "every_ms": null, "meta": null, "rooms": null, "epoch": null, "seq": null,
                 "intent": null, "intent_for_ms": null, "profile": null, "visibility": null, "input_age_ms": null, "state": "idle"},
            ]),
            json!([{"to": "active"}, {"to": "idle", "can": ["audio"], "conn": "c", "every_ms": 5_000, "epoch": 0, "seq_client": 1}]),
        ),
        row(
            "unknown fields are ignored",
            json!([{"mood": "good", "u": "somebody", "s": {"x": [1]}, "seq": 1}]),
            json!([{"to": "active", "seq_client": 1}]),
        ),
        row(
            "fractions truncate",
            json!([{"every_ms": 1_000.9, "seq": 3.99, "epoch": 2.5, "input_age_ms": 3_600_000.7}]),
            json!([{"to": "idle", "every_ms": 1_000, "seq_client": 3, "epoch": 2, "last_input_ms": "=last_seen_ms-3600000"}]),
        ),
        row(
            "values of wrong types drop their fields and the rest applies",
            json!([{
                "conn": 7, "state": "sleepy", "input_age_ms": "x", "visibility": 3, "every_ms": -1, "epoch": -1, "seq": "a",
                "intent": "nope", "intent_for_ms": [], "rooms": {}, "profile": 5, "meta": [1], "can": ["audio"],
            }]),
            json!([{
                "to": "active", "conn": null, "visibility": "visible", "every_ms": 0, "epoch": null, "seq_client": null, "rooms": [],
                "profile": "default", "meta": {}, "can": ["audio"], "last_input_ms": "=#1",
            }]),
        ),
        row(
            "numbers of 2^53 and more are out of range",
            json!([{"epoch": 1, "seq": 9_007_199_254_740_992_u64}]),
            json!([{"epoch": 1, "seq_client": null}]),
        ),
    ]
}

fn intents() -> Vec<Row> {
    vec![
        user_row(
            "an intent is the person's",
            json!([{"intent": "busy"}]),
            json!([joined()]),
            json!([{"to": "active", "cause": "joined", "intent": "busy", "intent_until_ms": null}]),
        ),
        user_row(
            "an intent changes no state",
            json!([null, {"intent": "dnd"}, {"kind": "update", "intent": "invisible"}, {"intent": "open"}]),
            json!([joined()]),
            json!([
                {"to": "active", "intent": "open"},
                {"from": "active", "to": "active", "cause": "intent", "intent": "dnd", "at_ms": "=#2"},
                {"from": "active", "to": "offline", "cause": "left", "intent": "open", "at_ms": "=#3", "last_seen_ms": "=#2"},
                {"from": "offline", "to": "active", "cause": "joined", "intent": "open", "ordinal": 1},
            ]),
        ),
        user_row(
            "repetition does not renew",
            json!([{"intent": "busy", "intent_for_ms": 3_600_000}, {"intent": "busy", "intent_for_ms": 9_000_000}, {"state": "idle"}]),
            json!([joined(), {"to": "idle"}]),
            json!([
                {"to": "active", "intent": "busy", "intent_until_ms": "=#1+3600000"},
                {"to": "idle", "intent": "busy", "intent_until_ms": "=#1+3600000"},
            ]),
        ),
        user_row(
            "with intent_for_ms it ends by itself",
            json!([{"intent": "dnd", "intent_for_ms": 300}]),
            json!([joined()]),
            json!([
                {"to": "active", "intent": "dnd", "intent_until_ms": "=#1+300"},
                {"from": "active", "to": "active", "cause": "intent", "intent": "open", "intent_until_ms": null, "at_ms": "=last_seen_ms+300"},
            ]),
        ),
        user_row(
            "an intent outlives its session",
            json!([{"intent": "dnd"}, {"kind": "leave"}, null]),
            json!([joined(), {"to": "offline"}, joined()]),
            json!([{"intent": "dnd"}, {"to": "offline", "cause": "left"}, {"from": "offline", "to": "active", "cause": "joined", "ordinal": 1, "intent": "dnd"}]),
        ),
        user_row(
            "an update carries an intent where the session is offline",
            json!([null, {"kind": "leave"}, {"kind": "update", "intent": "busy"}, null]),
            json!([joined(), {"to": "offline"}, joined()]),
            json!([{"intent": "open"}, {"to": "offline"}, {"to": "active", "intent": "busy"}]),
        ),
    ]
}

fn table() -> Vec<Row> {
    [kinds(), connections(), claims_and_input(), visibility(), promises(), sequences(), facts(), intents()]
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test]
async fn every_row_of_the_table_holds_in_json() {
    run(|signal| signal.to_string().into_bytes()).await;
}

#[tokio::test]
async fn every_row_of_the_table_holds_in_messagepack() {
    run(|signal| rmp_serde::to_vec_named(signal).expect("JSON can be MessagePack")).await;
}

/// Runs all rows at once, each for a user of its own, and judges what is stored in the end.
async fn run(encode: impl Fn(&Value) -> Vec<u8>) {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), &format!("{STILL}{PROFILES}[events]\nupdate_every = \"1d\"\n")).await;
    let subscriber = Subscriber::to_all(&nats).await;
    let rows = table();
    let times = join_all(rows.iter().enumerate().map(|(n, row)| play(&nats, &subscriber, &encode, n, row))).await;
    engine.must_run();
    assert_eq!(engine.terminate().await.status.code(), Some(0));

    let calm = streams::is_calm(&streams::log(&nats).await);
    let mut told = BTreeMap::<String, Vec<Value>>::new();
    for event in streams::events(&nats).await {
        told.entry(event.subject.clone()).or_default().push(event.json());
    }
    let mut wrong = Vec::new();
    for (n, (row, times)) in rows.iter().zip(&times).enumerate() {
        let judged = [
            (format!("presence.v1.session.main.u{n}.s"), Some(&row.session)),
            (format!("presence.v1.user.main.u{n}"), row.user.as_ref()),
        ];
        for (subject, wanted) in judged.iter().filter_map(|(subject, wanted)| Some((subject, (*wanted)?))) {
            let found = told.get(subject).map_or(&[][..], Vec::as_slice);
            if let Err(why) = matches_all(wanted, found, times, calm) {
                let found: Vec<_> = found.iter().map(Value::to_string).collect();
                wrong.push(format!("{}: {why}; {subject}:\n  {}", row.fact, found.join("\n  ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows do not hold:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    oracle::check(&nats).await;
    engine.audit();
}

/// Publishes a row's signals and waits for its last event; returns the log times of the signals.
async fn play(
    nats: &Nats,
    subscriber: &Subscriber,
    encode: impl Fn(&Value) -> Vec<u8>,
    n: usize,
    row: &Row,
) -> Vec<u64> {
    let told = format!("presence.v1.session.main.u{n}.s");
    let mut times = Vec::new();
    for signal in &row.signals {
        if let Some(state) = signal.get("wait") {
            // Told at all: it may be something else again by the time we look.
            subscriber
                .until(&format!("{told} was told {state}"), |heard| {
                    heard.iter().any(|heard| heard.subject == told && heard.event["to"] == *state).then_some(())
                })
                .await;
            continue;
        }
        let payload = if signal.is_null() { Vec::new() } else { encode(signal) };
        let seq = publish(nats, &format!("presence.v1.signal.main.u{n}.s"), payload).await;
        times.push(log_time(nats, seq).await);
    }
    subscriber.events_of(&told, row.session.len()).await;
    if let Some(user) = &row.user {
        subscriber.events_of(&format!("presence.v1.user.main.u{n}"), user.len()).await;
    }
    times
}

fn matches_all(wanted: &[Value], found: &[Value], times: &[u64], calm: bool) -> Result<(), String> {
    for (i, (wanted, found)) in wanted.iter().zip(found).enumerate() {
        for (field, value) in wanted.as_object().expect("fields of an event") {
            matches(value, &found[field], found, times, calm)
                .map_err(|why| format!("event {}, {field}: {why}", i + 1))?;
        }
    }
    if wanted.len() == found.len() {
        Ok(())
    } else {
        Err(format!("{} events where {} are due", found.len(), wanted.len()))
    }
}

fn matches(wanted: &Value, found: &Value, event: &Value, times: &[u64], calm: bool) -> Result<(), String> {
    let Some(term) = wanted.as_str().and_then(|wanted| wanted.strip_prefix('=')) else {
        return if wanted == found { Ok(()) } else { Err(format!("{found} where {wanted} is due")) };
    };
    let (name, offset) = match term.find(['+', '-']) {
        Some(at) => (&term[..at], term[at..].parse::<i64>().expect("an offset")),
        None => (term, 0),
    };
    let base = match name.strip_prefix('#') {
        Some(number) => times[number.parse::<usize>().expect("a signal's number") - 1],
        None => event[name].as_u64().expect("a time of the event"),
    };
    let due = base.checked_add_signed(offset).expect("a time");
    let found = found.as_u64().expect("a time");
    let later_is_right = !calm && name.starts_with('#') && offset > 0;
    if found == due || later_is_right && found > due {
        Ok(())
    } else {
        Err(format!("{found} where {due} is due ({term})"))
    }
}

#[tokio::test]
async fn a_first_heartbeat_tells_everything_the_contract_says() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let subscriber = Subscriber::to_all(&nats).await;
    let seq = publish(&nats, "presence.v1.signal.main.carol=40x.tab=2E1", "").await;
    let at = log_time(&nats, seq).await;
    subscriber.events_of("presence.v1.user.main.carol=40x", 1).await;

    let partition = partition_of("main", "carol=40x", 8);
    let mut heard = subscriber.events();
    heard.retain(|told| told.event["kind"] != "engine");
    let [session, user] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(session.subject, "presence.v1.session.main.carol=40x.tab=2E1");
    let certain = json!({"permille": 1000, "model": "half_life", "grace_ms": 30_000, "half_life_ms": 60_000});
    assert_eq!(
        session.event,
        json!({
            "v": 1, "kind": "session", "id": format!("{partition}-0-{seq}-0"), "incarnation": at, "ordinal": 1, "cause": "joined",
            "at_ms": at, "partition": partition, "seq": seq, "tenant": "main", "user": "carol@x", "session": "tab.1",
            "from": "offline", "to": "active", "last_seen_ms": at, "last_input_ms": at, "transport": "open",
            "visibility": "visible", "can": [], "rooms": [], "meta": {}, "profile": "default", "every_ms": 0, "epoch": null,
            "seq_client": null, "conn": null, "confidence": certain, "next": {"to": "idle", "at_ms": at + 3_600_000},
        })
    );
    assert_eq!(
        user.event,
        json!({
            "v": 1, "kind": "user", "id": format!("{partition}-0-{seq}-1"), "incarnation": at, "ordinal": 1, "cause": "joined",
            "at_ms": at, "partition": partition, "seq": seq, "tenant": "main", "user": "carol@x",
            "from": "offline", "to": "active", "sessions": {"active": 1, "idle": 0, "away": 0, "stale": 0}, "intent": "open",
            "intent_until_ms": null, "ready": [], "last_seen_ms": at, "last_input_ms": at, "confidence": certain,
            "next": {"to": "idle", "at_ms": at + 3_600_000},
        })
    );
    let header = |name: &str| session.headers.get(name).map(ToString::to_string).unwrap_or_default();
    assert_eq!(header("ce-specversion"), "1.0");
    assert_eq!(header("ce-id"), format!("{partition}-0-{seq}-0"));
    assert_eq!(header("ce-type"), "presence.session.v1");
    assert_eq!(header("ce-subject"), "main.carol=40x.tab=2E1");
    assert_eq!(header("Content-Type"), "application/json");
    assert!(!header("ce-source").is_empty() && !header("ce-time").is_empty());
}

#[tokio::test]
async fn a_user_is_its_best_session() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let subscriber = Subscriber::to_all(&nats).await;
    signal(&nats, "ada", "phone", &json!({"state": "away"})).await;
    signal(&nats, "ada", "laptop", &json!({"state": "idle"})).await;
    signal(&nats, "ada", "tv", &json!({"state": "away"})).await;
    signal(&nats, "ada", "laptop", &json!({"state": "active"})).await;
    signal(&nats, "ada", "phone", &json!({"kind": "leave"})).await;
    signal(&nats, "ada", "laptop", &json!({"kind": "leave"})).await;
    signal(&nats, "ada", "tv", &json!({"kind": "leave"})).await;
    let told = subscriber.until_state("presence.v1.user.main.ada", "offline").await;
    let told: Vec<_> =
        told.iter().map(|event| (text(&event["from"]), text(&event["to"]), event["sessions"].clone())).collect();
    let counts = |active, idle, away| json!({"active": active, "idle": idle, "away": away, "stale": 0});
    let wanted = [
        ("offline", "away", counts(0, 0, 1)),
        ("away", "idle", counts(0, 1, 1)),
        ("idle", "active", counts(1, 0, 2)),
        ("active", "away", counts(0, 0, 1)),
        ("away", "offline", counts(0, 0, 0)),
    ];
    assert_eq!(told, wanted.map(|(from, to, counts)| (from.to_owned(), to.to_owned(), counts)));
    engine.terminate().await;
    oracle::check(&nats).await;
}

#[tokio::test]
async fn an_intent_counts_when_it_differs_from_what_its_session_last_said() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let _engine = Engine::start(&server.url(), STILL).await;
    let subscriber = Subscriber::to_all(&nats).await;
    signal(&nats, "ada", "phone", &json!({"intent": "busy"})).await;
    signal(&nats, "ada", "laptop", &json!({"intent": "dnd"})).await;
    // Repeats itself, and overrules nobody.
    signal(&nats, "ada", "phone", &json!({"intent": "busy"})).await;
    signal(&nats, "ada", "phone", &json!({"intent": "open"})).await;
    let told = subscriber
        .until("the intent is open again", |heard| {
            let of: Vec<_> = heard.iter().filter(|told| told.subject == "presence.v1.user.main.ada").collect();
            (of.last()?.event["intent"] == "open")
                .then(|| of.iter().map(|told| text(&told.event["intent"])).collect::<Vec<_>>())
        })
        .await;
    assert_eq!(told, ["busy", "dnd", "open"]);
}

#[tokio::test]
async fn a_session_is_remembered_for_its_tombstone_and_no_longer() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let fleeting = "[profile.fleeting]\nstale_after = \"50ms\"\noffline_after = \"100ms\"\ntombstone = \"300ms\"\n";
    let mut engine = Engine::start(&server.url(), &format!("{STILL}{fleeting}")).await;
    let subscriber = Subscriber::to_all(&nats).await;
    let subject = "presence.v1.session.main.ada.tab";
    signal(&nats, "ada", "tab", &json!({"profile": "fleeting", "epoch": 1, "seq": 5})).await;
    let told = subscriber.until_state(subject, "offline").await;
    let forgotten_at = told.last().expect("an event")["at_ms"].as_u64().expect("a time") + 300;
    // A lower seq is of no use until she is forgotten; on the grid that is 100 ms later at the most.
    let joined = common::eventually("she is somebody new", async || {
        let seq = signal(&nats, "ada", "tab", &json!({"profile": "fleeting", "epoch": 1, "seq": 1})).await;
        streams::told_up_to(&nats, seq).await;
        subscriber.of(subject).get(3).cloned()
    })
    .await;
    assert_eq!((&joined["from"], &joined["ordinal"], &joined["seq_client"]), (&json!("offline"), &json!(1), &json!(1)));
    assert!(joined["at_ms"].as_u64().expect("a time") >= forgotten_at, "{joined} came before {forgotten_at}");
    assert!(joined["incarnation"].as_u64() > told[0]["incarnation"].as_u64());
    assert_eq!(engine.terminate().await.status.code(), Some(0));
    engine.audit();
    oracle::check(&nats).await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_rejected_with_a_reason_and_all_else_goes_on() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    let subscriber = Subscriber::to_all(&nats).await;
    beat(&nats, "ada", "tab").await;

    let own = "presence.v1.signal.main.bad.tab";
    let elsewhere = (partition_of("main", "bad", 8) + 1) % 8;
    let mut json = HeaderMap::new();
    json.insert("Content-Type", "application/json");
    let mut msgpack = HeaderMap::new();
    msgpack.insert("Content-Type", "application/msgpack");
    let large = |field: Value| json!({"x": field}).to_string().into_bytes();
    let none = HeaderMap::new;
    let refused: Vec<(&str, String, HeaderMap, Vec<u8>, &str)> = vec![
        ("JSON that ends too soon", own.into(), none(), b"{".into(), "undecodable: JSON"),
        ("two JSON objects", own.into(), none(), b"{} {}".into(), "undecodable: JSON"),
        ("a JSON list", own.into(), json.clone(), b"[1]".into(), "undecodable: JSON"),
        ("text", own.into(), none(), b"hello".into(), "undecodable: neither"),
        ("MessagePack's byte that is never used", own.into(), none(), vec![0xc1], "undecodable: neither"),
        ("a MessagePack map and a byte", own.into(), none(), vec![0x80, 0x00], "undecodable: MessagePack"),
        ("a MessagePack map that ends too soon", own.into(), none(), vec![0x81, 0xa1], "undecodable: MessagePack"),
        ("MessagePack that says it is JSON", own.into(), json, vec![0x80], "undecodable: JSON"),
        ("JSON that says it is MessagePack", own.into(), msgpack, b"{}".into(), "undecodable: neither"),
        ("a kind that is none", own.into(), none(), br#"{"kind":"wave"}"#.into(), "undecodable: `kind`"),
        ("a payload above 8 KiB", own.into(), none(), large("x".repeat(8_192).into()), "too large: "),
        (
            "meta above 1 KiB",
            own.into(),
            none(),
            json!({"meta": {"x": "x".repeat(1_024)}}).to_string().into(),
            "too large: meta",
        ),
        ("33 rooms", own.into(), none(), json!({"rooms": vec!["r"; 33]}).to_string().into(), "too large: rooms"),
        ("17 capabilities", own.into(), none(), json!({"can": vec!["audio"; 17]}).to_string().into(), "too large: can"),
        ("an escape of a letter", "presence.v1.signal.main.=61da.tab".into(), none(), Vec::new(), "misaddressed: "),
        ("an escape in lower case", "presence.v1.signal.main.a=2eb.tab".into(), none(), Vec::new(), "misaddressed: "),
        (
            "an escape that ends too soon",
            "presence.v1.signal.main.ada.tab=2".into(),
            none(),
            Vec::new(),
            "misaddressed: ",
        ),
        (
            "a byte that has to be escaped",
            "presence.v1.signal.main.a@b.tab".into(),
            none(),
            Vec::new(),
            "misaddressed: ",
        ),
        (
            "a token of 193 bytes",
            format!("presence.v1.signal.main.{}.tab", "u".repeat(193)),
            none(),
            Vec::new(),
            "misaddressed: ",
        ),
        (
            "another partition than the user's",
            format!("presence.v1.log.{elsewhere}.signal.main.bad.tab"),
            none(),
            Vec::new(),
            "misaddressed: ",
        ),
        (
            "a log entry that is no signal's subject",
            "presence.v1.log.3.signal.main.bad".into(),
            none(),
            Vec::new(),
            "misaddressed: ",
        ),
        ("a batch that is none", "presence.v1.log.3.batch.main.gateway".into(), none(), b"{}".into(), "undecodable: "),
        (
            "a batch of no partition",
            "presence.v1.log.8.batch.main.gateway".into(),
            none(),
            b"{}".into(),
            "misaddressed: ",
        ),
        ("a policy that is none", "presence.v1.log.all.policy".into(), none(), b"{}".into(), "policy refused: "),
    ];
    let mut seqs = Vec::new();
    for (_, subject, headers, payload, _) in &refused {
        seqs.push(publish_with(&nats, subject, headers.clone(), payload.clone()).await);
    }
    // Nobody's: a partition that is not there, and kinds of entries that this version does not know.
    for subject in ["presence.v1.log.8.signal.main.bad.tab", "presence.v1.log.all.news", "presence.v1.log.5.news"] {
        publish(&nats, subject, "x").await;
    }
    signal(&nats, "ada", "tab", &json!({"kind": "leave"})).await;
    subscriber.until_state("presence.v1.user.main.ada", "offline").await;
    assert_eq!(engine.terminate().await.status.code(), Some(0));

    let told = streams::events_of(&nats, "presence.v1.rejected.").await;
    for ((what, .., reason), seq) in refused.iter().zip(seqs) {
        let of: Vec<_> = told.iter().filter(|event| event["seq"] == seq).collect();
        let [event] = of[..] else { panic!("{what}: {of:?}") };
        assert!(text(&event["reason"]).starts_with(reason), "{what}: {event}");
        assert!(text(&event["subject"]).starts_with("presence.v1.log."), "{what}: {event}");
        assert_eq!(event["kind"], "rejected");
    }
    assert_eq!(told.len(), refused.len(), "nothing else was refused");
    assert_eq!(streams::events_of(&nats, "presence.v1.session.").await.len(), 2, "nobody else is told of");
    oracle::check(&nats).await;
    engine.audit();
}

#[tokio::test]
async fn a_subject_with_too_few_or_too_many_tokens_is_stored_nowhere() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let mut engine = Engine::start(&server.url(), STILL).await;
    for subject in ["presence.v1.signal.main.ada", "presence.v1.signal.main.ada.tab.more", "presence.v1.signal"] {
        let answer = nats.client.request(subject, "".into()).await;
        let error = answer.expect_err("nobody takes it");
        assert_eq!(error.kind(), async_nats::RequestErrorKind::NoResponders, "{subject}");
    }
    engine.terminate().await;
    assert!(streams::log(&nats).await.iter().all(|entry| entry.subject.starts_with("presence.v1.log.all.")));
}

#[tokio::test]
async fn events_are_messagepack_where_the_configuration_says_so() {
    let server = TestServer::start().await;
    let nats = server.connect().await;
    let _engine = Engine::start(&server.url(), &format!("{STILL}[events]\nencoding = \"msgpack\"\n")).await;
    let subscriber = Subscriber::to_all(&nats).await;
    beat(&nats, "ada", "tab").await;
    let told = subscriber
        .until("ada's session is told", |heard| {
            heard.iter().find(|told| told.subject == "presence.v1.session.main.ada.tab").cloned()
        })
        .await;
    let event: Value = rmp_serde::from_slice(&told.payload).expect("MessagePack");
    assert_eq!((&event["kind"], &event["user"], &event["to"]), (&json!("session"), &json!("ada"), &json!("active")));
    assert_eq!(told.headers.get("Content-Type").map(ToString::to_string).as_deref(), Some("application/msgpack"));
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
