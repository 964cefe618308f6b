//! Reading what was told, of this version or a newer one.

use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use super::{Engine, Member, Ready, Rejected, Room, Session, User};
use crate::wire::encoding::MESSAGE_PACK_DEPTH_MAX;
use crate::wire::meta::{self, JsonWriter};
use crate::wire::{Encoding, ReadError};

/// An event that was read.
///
/// ```
/// use presence_engine::wire::ToldEvent;
/// let told = ToldEvent::read(br#"{"v":1,"kind":"weather","sky":"blue"}"#).unwrap();
/// assert_eq!(told, ToldEvent::Other { kind: "weather".into() });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToldEvent {
    /// A session's.
    Session(Box<Session<'static>>),
    /// A user's.
    User(Box<User<'static>>),
    /// A change of what a user is ready for.
    Ready(Box<Ready<'static>>),
    /// A room's.
    Room(Box<Room<'static>>),
    /// Of a user in a room.
    Member(Box<Member<'static>>),
    /// An engine's.
    Engine(Engine<'static>),
    /// A refused signal's.
    Rejected(Rejected<'static>),
    /// Of a kind that this version doesn't know.
    Other {
        /// Its kind.
        kind: String,
    },
}

impl ToldEvent {
    /// Reads an event's payload, in whichever encoding it is.
    ///
    /// # Errors
    /// A [`ReadError`] if it is no event, or lacks what the contract says of its kind.
    pub fn read(payload: &[u8]) -> Result<Self, ReadError> {
        #[derive(Deserialize)]
        struct Kind {
            kind: String,
        }
        let Kind { kind } = Encoding::read(payload)?;
        Ok(match kind.as_str() {
            "session" => Self::Session(Encoding::read(payload)?),
            "user" => Self::User(Encoding::read(payload)?),
            "ready" => Self::Ready(Encoding::read(payload)?),
            "room" => Self::Room(Encoding::read(payload)?),
            "member" => Self::Member(Encoding::read(payload)?),
            "engine" => Self::Engine(Encoding::read(payload)?),
            "rejected" => Self::Rejected(Encoding::read(payload)?),
            _ => Self::Other { kind },
        })
    }
}

/// Any event's payload as one line of JSON, with the fields that this version doesn't know.
///
/// # Errors
/// A [`ReadError`] if it can't be read in the encoding that its first byte tells of.
pub fn json_line(payload: &[u8]) -> Result<Box<str>, ReadError> {
    match Encoding::of_payload(payload) {
        Encoding::Json => {
            let raw: &RawValue = serde_json::from_slice(payload).map_err(ReadError::Json)?;
            Ok(meta::compact(raw.get()))
        }
        Encoding::MessagePack => {
            let mut writer = JsonWriter::new(MESSAGE_PACK_DEPTH_MAX as u32);
            let mut reader = rmp_serde::Deserializer::from_read_ref(payload);
            reader.set_max_depth(MESSAGE_PACK_DEPTH_MAX);
            writer.deserialize(&mut reader).map_err(ReadError::MessagePack)?;
            let unsound = || ReadError::MessagePack(serde::de::Error::custom("it holds what JSON can't say"));
            writer.text().ok_or_else(unsound)
        }
    }
}
