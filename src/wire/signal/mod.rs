//! A signal's payload: empty, a JSON object or a MessagePack map.

mod draft;
mod field;
mod loose;
mod quick;
mod text;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use self::draft::{Draft, Reader};
pub(super) use self::draft::{Given, Held, meta_of_message_pack};
pub use self::field::Ignored;
#[cfg(test)]
pub(super) use self::field::field_names;
pub(super) use self::loose::Scalar;
pub(super) use self::text::SignalText;
pub use self::text::encode;
use super::Encoding;
use super::encoding::MESSAGE_PACK_DEPTH_MAX;
use crate::model::signal::PAYLOAD_BYTES_MAX;
use crate::model::{Beat, Rejection, Signal};

/// A signal, and what of its payload was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decoded {
    /// The signal.
    pub signal: Signal,
    /// The fields that were dropped.
    pub ignored: Ignored,
}

/// Reads the payload of a signal.
///
/// The encoding is the one that `content_type` names, else the one its first byte tells of. Within the map, a value of
/// the wrong type, an unknown name or a value out of its range drops its field; numbers lose their fractions; `null` is
/// absent; of a key that stands twice the last value counts; unknown keys are skipped. Names in `rooms` and `can` that
/// stand twice count once.
///
/// ```
/// use presence_engine::wire::signal::decode;
/// let beat = decode(br#"{"seq":5,"every_ms":20000.9,"state":"asleep"}"#, None).unwrap();
/// assert_eq!((beat.signal.seq, beat.signal.every_ms), (Some(5), Some(20_000)));
/// assert_eq!(beat.ignored.names().collect::<Vec<_>>(), ["state"]);
/// ```
///
/// # Errors
/// A [`Rejection`] of the whole signal: it can't be decoded, is too large, or of an unknown kind. Reasons never quote the
/// payload.
pub fn decode(payload: &[u8], content_type: Option<&str>) -> Result<Decoded, Rejection> {
    if let Some(beat) = beat(payload, content_type) {
        return Ok(Decoded { signal: beat.into(), ignored: Ignored::default() });
    }
    decode_carefully(payload, content_type)
}

/// As [`decode`], of what is no [`beat`].
pub(super) fn decode_carefully(payload: &[u8], content_type: Option<&str>) -> Result<Decoded, Rejection> {
    draft(payload, encoding_of(payload, content_type), false)?.finish()
}

/// The beat that a payload is, where it is seen at a glance: any other may be one, too.
#[must_use]
pub fn beat(payload: &[u8], content_type: Option<&str>) -> Option<Beat> {
    if payload.is_empty() {
        return Some(Beat::default());
    }
    let may_be = payload.len() <= PAYLOAD_BYTES_MAX && encoding_of(payload, content_type) == Encoding::Json;
    if may_be { quick::beat(payload) } else { None }
}

fn encoding_of(payload: &[u8], content_type: Option<&str>) -> Encoding {
    content_type.and_then(Encoding::of_content_type).unwrap_or_else(|| Encoding::of_payload(payload))
}

/// Reads one item of a gateway's batch: a signal's payload that also says whose it is and how long it was held.
///
/// # Errors
/// As [`decode`].
pub(super) fn decode_held(payload: &[u8], encoding: Encoding) -> Result<(Held<'_>, Decoded), Rejection> {
    let mut draft = draft(payload, encoding, true)?;
    let held = std::mem::take(&mut draft.held);
    draft.finish().map(|decoded| (held, decoded))
}

fn draft(payload: &[u8], encoding: Encoding, held: bool) -> Result<Draft<'_>, Rejection> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        let (size, limit) = (payload.len() as u64, PAYLOAD_BYTES_MAX as u64);
        return Err(Rejection::TooLarge { what: "payload", size, limit });
    }
    check_is_map(payload, encoding)?;
    match encoding {
        Encoding::Json => json(payload, held),
        Encoding::MessagePack => message_pack(payload, held),
    }
}

/// Whether the first byte is that of an object or a map.
pub(super) fn check_is_map(payload: &[u8], encoding: Encoding) -> Result<(), Rejection> {
    match encoding {
        Encoding::Json => match payload.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            Some(b'{') => Ok(()),
            Some(other) => Err(undecodable(format!("JSON that starts with byte {other:#04x} is no object"))),
            None => Err(undecodable("JSON of nothing but white space is no object".to_owned())),
        },
        Encoding::MessagePack => match payload.first() {
            Some(0x80..=0x8f | 0xde | 0xdf) => Ok(()),
            Some(other) => {
                Err(undecodable(format!("neither a JSON object nor a MessagePack map starts with byte {other:#04x}")))
            }
            None => Err(undecodable("MessagePack: ends before the map does".to_owned())),
        },
    }
}

fn json(payload: &[u8], held: bool) -> Result<Draft<'_>, Rejection> {
    let read = |careful| {
        let mut reader = serde_json::Deserializer::from_slice(payload);
        let draft = reader.deserialize_map(Reader { encoding: Encoding::Json, careful, held })?;
        reader.end()?;
        Ok::<_, serde_json::Error>(draft)
    };
    // What the first, fast reading can't take is rare, and may be a single field's matter.
    read(false).or_else(|_| read(true)).map_err(|error| undecodable(format!("JSON: {error}")))
}

fn message_pack(payload: &[u8], held: bool) -> Result<Draft<'_>, Rejection> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(payload);
    reader.set_max_depth(MESSAGE_PACK_DEPTH_MAX);
    let draft = reader
        .deserialize_map(Reader { encoding: Encoding::MessagePack, careful: false, held })
        .map_err(|error| undecodable(format!("MessagePack: {}", reason(&error))))?;
    // The reader tells no position; that nothing can be read behind the map says that nothing is there.
    match IgnoredAny::deserialize(&mut reader) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(draft),
        Ok(_) | Err(_) => Err(undecodable("MessagePack: trailing bytes behind the map".to_owned())),
    }
}

fn reason(error: &rmp_serde::decode::Error) -> String {
    use rmp_serde::decode::Error;
    match error {
        Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) => "ends before the map does".to_owned(),
        Error::DepthLimitExceeded => format!("nested deeper than {MESSAGE_PACK_DEPTH_MAX} levels"),
        other => other.to_string(),
    }
}

fn undecodable(what: String) -> Rejection {
    Rejection::Payload(what.into())
}

#[cfg(test)]
pub(super) mod tests;
