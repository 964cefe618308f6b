//! A signal's payload: empty, a JSON object or a MessagePack map.

mod draft;
mod field;
mod loose;
mod text;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use self::draft::{Draft, Reader};
pub use self::field::Ignored;
#[cfg(test)]
pub(super) use self::field::field_names;
pub(super) use self::text::SignalText;
pub use self::text::encode;
use super::Encoding;
use super::encoding::MESSAGE_PACK_DEPTH_MAX;
use crate::model::signal::PAYLOAD_BYTES_MAX;
use crate::model::{Rejection, Signal};

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
/// use presence::wire::signal::decode;
/// let beat = decode(br#"{"seq":5,"every_ms":20000.9,"state":"asleep"}"#, None).unwrap();
/// assert_eq!((beat.signal.seq, beat.signal.every_ms), (Some(5), Some(20_000)));
/// assert_eq!(beat.ignored.names().collect::<Vec<_>>(), ["state"]);
/// ```
///
/// # Errors
/// A [`Rejection`] of the whole signal: it can't be decoded, is too large, or of an unknown kind. Reasons never quote the
/// payload.
pub fn decode(payload: &[u8], content_type: Option<&str>) -> Result<Decoded, Rejection> {
    if payload.is_empty() {
        return Ok(Decoded::default());
    }
    if payload.len() > PAYLOAD_BYTES_MAX {
        let (size, limit) = (payload.len() as u64, PAYLOAD_BYTES_MAX as u64);
        return Err(Rejection::TooLarge { what: "payload", size, limit });
    }
    let named = content_type.and_then(Encoding::of_content_type);
    let draft = match named.unwrap_or_else(|| Encoding::of_payload(payload)) {
        Encoding::Json => json(payload)?,
        Encoding::MessagePack => message_pack(payload)?,
    };
    draft.finish()
}

fn json(payload: &[u8]) -> Result<Draft, Rejection> {
    let first = payload.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    match first {
        Some(b'{') => {}
        Some(other) => {
            return Err(undecodable(format!("JSON that starts with byte {other:#04x} is no object")));
        }
        None => {
            return Err(undecodable("JSON of nothing but white space is no object".to_owned()));
        }
    }
    let read = |careful| {
        let mut reader = serde_json::Deserializer::from_slice(payload);
        let draft = reader.deserialize_map(Reader { encoding: Encoding::Json, careful })?;
        reader.end()?;
        Ok::<_, serde_json::Error>(draft)
    };
    // What the first, fast reading can't take is rare, and may be a single field's matter.
    read(false).or_else(|_| read(true)).map_err(|error| undecodable(format!("JSON: {error}")))
}

fn message_pack(payload: &[u8]) -> Result<Draft, Rejection> {
    if let Some(other) = payload.first().filter(|first| !matches!(first, 0x80..=0x8f | 0xde | 0xdf)) {
        let what = format!("neither a JSON object nor a MessagePack map starts with byte {other:#04x}");
        return Err(undecodable(what));
    }
    let mut reader = rmp_serde::Deserializer::from_read_ref(payload);
    reader.set_max_depth(MESSAGE_PACK_DEPTH_MAX);
    let draft = reader
        .deserialize_map(Reader { encoding: Encoding::MessagePack, careful: false })
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
mod tests;
