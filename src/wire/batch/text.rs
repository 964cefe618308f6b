//! A batch as it is written, and as the schema describes it.

use schemars::JsonSchema;
use serde::Serialize;

use super::BATCH_SIGNALS_MAX;
use crate::model::signal::SEQ_MAX;
use crate::model::{Millis, Signal};
use crate::wire::schema::version;
use crate::wire::signal::SignalText;
use crate::wire::{CONTRACT_VERSION, Encoding};

/// What a gateway publishes to `presence.v1.log.<partition>.batch.<tenant>.<gateway>`: the signals of one partition's users
/// in the order in which it took them. One without signals is the gateway's own life sign. At most 1 MiB.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Batch")]
pub(crate) struct BatchText<'a> {
    /// Contract version.
    #[schemars(schema_with = "version")]
    v: u8,
    /// The signals. One that can't be taken is rejected with its place; the others count.
    #[schemars(length(max = BATCH_SIGNALS_MAX))]
    signals: Vec<ItemText<'a>>,
}

/// One signal of a batch.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HeldSignal")]
struct ItemText<'a> {
    /// The user, as plain text. Its partition has to be the one that the subject names.
    #[schemars(length(min = 1, max = 192))]
    u: &'a str,
    /// The session, as plain text.
    #[schemars(length(min = 1, max = 192))]
    s: &'a str,
    /// For how many milliseconds the gateway held it; believed up to a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = SEQ_MAX))]
    age_ms: Option<Millis>,
    #[serde(flatten)]
    signal: SignalText<'a>,
}

/// A signal that a gateway holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSignal {
    /// The user, as plain text.
    pub user: String,
    /// The session, as plain text.
    pub session: String,
    /// What it says.
    pub signal: Signal,
    /// For how long the gateway has held it, in milliseconds.
    pub age_ms: Millis,
}

/// Writes a batch's payload, as gateways do.
///
/// ```
/// use presence_engine::wire::{Encoding, batch::{HeldSignal, encode}};
/// let held = HeldSignal { user: "a@b".into(), session: "tab".into(), signal: Default::default(), age_ms: 40 };
/// assert_eq!(encode(&[held], Encoding::Json), br#"{"v":1,"signals":[{"u":"a@b","s":"tab","age_ms":40}]}"#);
/// ```
///
/// # Panics
/// If a signal's `meta` is no JSON or its `rooms` are no tokens.
#[must_use]
pub fn encode(signals: &[HeldSignal], encoding: Encoding) -> Vec<u8> {
    let signals = signals.iter().map(|held| ItemText {
        u: &held.user,
        s: &held.session,
        age_ms: Some(held.age_ms).filter(|age_ms| *age_ms > 0),
        signal: SignalText::of(&held.signal),
    });
    encoding.write(&BatchText { v: CONTRACT_VERSION, signals: signals.collect() })
}
