//! Objects of the store: what they and their messages are called, and how one is read whole.

use async_nats::jetstream::object_store::Object;
use async_nats::jetstream::stream::Stream;
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use tokio::io::AsyncReadExt;

use super::super::names;
use super::{CheckpointError, SILENCE_MAX};
use crate::fold::SegmentName;

pub(super) async fn read_all(object: &mut Object) -> std::io::Result<Bytes> {
    let size = object.info().size;
    let mut bytes = BytesMut::with_capacity(size);
    loop {
        let read = tokio::time::timeout(SILENCE_MAX, object.read_buf(&mut bytes)).await;
        match read {
            Ok(Ok(0)) if bytes.len() == size => return Ok(bytes.freeze()),
            Ok(Ok(0)) => {
                let damage = format!("{} of {size} bytes are there", bytes.len());
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, damage));
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(std::io::Error::other("the store is silent")),
        }
    }
}

pub(super) async fn chunk_subjects(stream: &Stream<()>) -> Result<Vec<String>, CheckpointError> {
    let failed = |cause: &dyn std::fmt::Display| CheckpointError::new("listed", cause);
    let pages = stream.info_with_subjects(chunk_subject(">")).await.map_err(|error| failed(&error))?;
    // Only to the first error: asked again behind that, the client library panics.
    pages.map_ok(|(subject, _)| subject).try_collect().await.map_err(|error| failed(&error))
}

/// The name of a checkpoint.
pub(super) fn object_name(partition: u16, seq: u64) -> String {
    format!("{partition}/{seq}")
}

/// The name of a segment.
pub(super) fn segment_name(partition: u16, name: SegmentName) -> String {
    format!("{partition}/people/{name}")
}

pub(super) fn parse_segment_name(name: &str) -> Option<(u16, SegmentName)> {
    let (partition, segment) = name.split_once("/people/")?;
    let parsed = (partition.parse().ok()?, SegmentName::parse(segment)?);
    (segment_name(parsed.0, parsed.1) == name).then_some(parsed)
}

pub(super) fn parse_name(name: &str) -> Option<(u16, u64)> {
    let (partition, seq) = name.split_once('/')?;
    let parsed = (partition.parse().ok()?, seq.parse().ok()?);
    (object_name(parsed.0, parsed.1) == name).then_some(parsed)
}

pub(super) fn chunk_subject(nuid: &str) -> String {
    format!("$O.{}.C.{nuid}", names::CHECKPOINTS)
}

pub(super) fn nuid_of(chunk_subject: &str) -> &str {
    chunk_subject.rsplit('.').next().unwrap_or(chunk_subject)
}

pub(super) fn meta_subject(name: &str) -> String {
    format!("$O.{}.M.{}", names::CHECKPOINTS, base64(name.as_bytes()))
}

/// RFC 4648, the alphabet that is safe in URLs, padded: how the Object Store writes names.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let group = three.iter().enumerate().fold(0, |group, (i, byte)| group | u32::from(*byte) << (16 - 8 * i));
        for i in 0..4 {
            let six = ALPHABET[(group >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= three.len() { char::from(six) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_gives_the_examples_of_rfc_4648() {
        let examples = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (i, expected) in examples.iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..i]), *expected);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "-_8=");
    }

    #[test]
    fn only_our_own_names_are_checkpoints() {
        assert_eq!(parse_name("63/18446744073709551615"), Some((63, u64::MAX)));
        for name in ["", "7", "7/", "/7", "07/1", "7/+1", "7/1/2", "x/1"] {
            assert_eq!((parse_name(name), parse_segment_name(name)), (None, None), "{name}");
        }
        let segment = SegmentName::parse("00000000000000000000000000000abc").unwrap();
        assert_eq!(segment_name(63, segment), "63/people/00000000000000000000000000000abc");
        assert_eq!(parse_segment_name(&segment_name(63, segment)), Some((63, segment)));
        assert_eq!(parse_segment_name("63/people/abc"), None);
    }
}
