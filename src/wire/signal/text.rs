//! A signal as it is written, and as the schema describes it.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::signal::{CAPABILITIES_MAX, CONN_BYTES_MAX, META_BYTES_MAX, ROOMS_MAX, SEQ_MAX};
use crate::model::{Claim, Intent, Kind, Signal, Visibility};
use crate::wire::meta::Meta;
use crate::wire::schema::{every_ms, names_or_null};
use crate::wire::{Encoding, Named, plain};

/// What a client says about one session. Every field is optional: an absent field, or `null`, leaves what was known; lists
/// and `meta` are replaced whole. Unknown fields are ignored.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Signal")]
pub(crate) struct SignalText<'a> {
    /// What kind of signal it is; `heartbeat` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names_or_null::<Kind>", default)]
    kind: Option<&'static str>,
    /// The connection it came by, at most 64 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = CONN_BYTES_MAX))]
    conn: Option<&'a str>,
    /// The client's own claim about its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names_or_null::<Claim>", default)]
    state: Option<&'static str>,
    /// Milliseconds since the last user input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = SEQ_MAX))]
    input_age_ms: Option<u64>,
    /// Whether the page or app can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names_or_null::<Visibility>", default)]
    visibility: Option<&'static str>,
    /// A promise: the next signal comes within this time; 0 withdraws it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "every_ms", default)]
    every_ms: Option<u32>,
    /// The client's start; grows with each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = SEQ_MAX))]
    epoch: Option<u64>,
    /// The client's counter within its epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = SEQ_MAX))]
    seq: Option<u64>,
    /// The person's will.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names_or_null::<Intent>", default)]
    intent: Option<&'static str>,
    /// After so many milliseconds the intent becomes `open` by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = SEQ_MAX))]
    intent_for_ms: Option<u64>,
    /// What this session could do now: names that the policy knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = CAPABILITIES_MAX))]
    can: Option<Vec<&'a str>>,
    /// Where the session is: plain names, of which none is longer than 192 bytes once it is escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ROOMS_MAX), inner(length(min = 1, max = 192)))]
    rooms: Option<Vec<Cow<'a, str>>>,
    /// The name of a policy profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    /// An object that is passed on as it is, at most 1024 bytes as compact JSON and 32 levels deep.
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<Meta<'a>>,
}

const _: () = assert!(META_BYTES_MAX == 1024, "the description of `meta` says so");

impl<'a> SignalText<'a> {
    pub(in crate::wire) fn of(signal: &'a Signal) -> Self {
        Self {
            kind: Some(signal.kind).filter(|kind| *kind != Kind::default()).map(Named::name),
            conn: signal.conn.as_deref(),
            state: signal.state.map(Named::name),
            input_age_ms: signal.input_age_ms,
            visibility: signal.visibility.map(Named::name),
            every_ms: signal.every_ms,
            epoch: signal.epoch,
            seq: signal.seq,
            intent: signal.intent.map(Named::name),
            intent_for_ms: signal.intent_for_ms,
            can: signal.can.as_ref().map(|can| can.iter().map(AsRef::as_ref).collect()),
            rooms: signal.rooms.as_ref().map(|rooms| rooms.iter().map(|room| plain(room)).collect()),
            profile: signal.profile.as_deref(),
            meta: signal.meta.as_deref().map(|meta| Meta::new(Some(meta))),
        }
    }
}

/// Writes a signal's payload: what [`decode`](super::decode) reads back to the same signal. A plain heartbeat is `{}`.
///
/// # Panics
/// If `meta` is no JSON or `rooms` are no tokens; signals that were read or built from plain names never are such.
#[must_use]
pub fn encode(signal: &Signal, encoding: Encoding) -> Vec<u8> {
    encoding.write(&SignalText::of(signal))
}
