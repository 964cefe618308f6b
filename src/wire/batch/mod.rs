//! A gateway's batch: `{"v":1,"signals":[{"u":user,"s":session, …a signal's fields, "age_ms":…}]}`, JSON or MessagePack.
//!
//! `u` and `s` are plain text, as names in payloads are; the engine escapes them. Each item is read by the rules of a
//! signal's own payload: a wrong field is dropped and the rest of the item applies; an item that can't be taken is rejected
//! with its place, and the other items count. The limit of a signal's payload holds for the whole item, names included.
//! A user or session whose token is of bytes that are no UTF-8 has no plain text, and can't be named in a batch.

mod pack;
mod slices;
mod text;

use std::cell::RefCell;

use super::Encoding;
use super::signal::{Decoded, Given, decode_held};
use super::subject::token;
use crate::fold::BatchItem;
use crate::model::{Address, Millis, Rejection, Signal, Token, partition_of};

pub(super) use self::text::BatchText;
pub use self::text::{HeldSignal, encode};

/// Largest payload of a batch in bytes: what the log takes of an entry, and a server of a message by default.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Most signals in a batch.
pub const BATCH_SIGNALS_MAX: usize = 10_000;

/// A batch that was read.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The addresses of all signals, one behind the other: a batch has one allocation for its names.
    names: String,
    /// In their order; gone once they were asked for.
    items: RefCell<Vec<Item>>,
    /// How many fields of its signals were dropped.
    ignored_fields: u32,
}

/// An item, with its names as they stand in [`Batch::names`].
#[derive(Debug, Clone)]
enum Item {
    Signal { from: usize, to: usize, signal: Box<Signal>, age_ms: Millis },
    Rejected(Rejection),
}

/// Where a batch came from, and what its items are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The gateway's tenant, which is that of all items.
    pub tenant: Token<'a>,
    /// The partition that the subject names.
    pub partition: u16,
    /// How many the log has.
    pub partitions: u16,
}

/// Reads the payload of a batch that came from `origin`.
///
/// # Errors
/// A [`Rejection`] of the whole batch: it can't be decoded, is of another version, has no list of signals, or is too large.
/// Reasons never quote the payload.
pub fn decode(payload: &[u8], content_type: Option<&str>, origin: Origin<'_>) -> Result<Batch, Rejection> {
    if payload.len() > BATCH_BYTES_MAX {
        let (size, limit) = (payload.len() as u64, BATCH_BYTES_MAX as u64);
        return Err(Rejection::TooLarge { what: "payload", size, limit });
    }
    if payload.is_empty() {
        return Err(undecodable("nothing; a batch is a JSON object or a MessagePack map"));
    }
    let named = content_type.and_then(Encoding::of_content_type);
    let encoding = named.unwrap_or_else(|| Encoding::of_payload(payload));
    let slices = slices::slices(payload, encoding)?;
    let mut batch = Batch::default();
    let mut items = Vec::with_capacity(slices.len());
    for (at, slice) in slices.into_iter().enumerate() {
        items.push(batch.read(slice, encoding, origin).unwrap_or_else(|reason| {
            let at = u32::try_from(at).expect("a batch has at most so many");
            Item::Rejected(Rejection::Item { at, reason: Box::new(reason) })
        }));
    }
    batch.items = RefCell::new(items);
    Ok(batch)
}

impl Batch {
    /// How many fields of its signals were dropped.
    #[must_use]
    pub fn ignored_fields(&self) -> u32 {
        self.ignored_fields
    }

    /// How many of its signals can't be taken.
    #[must_use]
    pub fn rejected(&self) -> usize {
        self.items.borrow().iter().filter(|item| matches!(item, Item::Rejected(_))).count()
    }

    /// Its items. They are handed out once; asked again, there are none.
    pub(super) fn items(&self) -> Box<[BatchItem<'_>]> {
        let address = |from: usize, to: usize| Address::parse(&self.names[from..to]).expect("escaped names are tokens");
        let item = |item| match item {
            Item::Signal { from, to, signal, age_ms } => BatchItem::Signal(address(from, to), signal, age_ms),
            Item::Rejected(reason) => BatchItem::Rejected(reason),
        };
        self.items.take().into_iter().map(item).collect()
    }

    fn read(&mut self, slice: &[u8], encoding: Encoding, origin: Origin<'_>) -> Result<Item, Rejection> {
        let (held, Decoded { signal, ignored }) = decode_held(slice, encoding)?;
        let user = name("user", "u", held.user)?;
        let session = name("session", "s", held.session)?;
        let own = partition_of(origin.tenant.as_str(), &user, origin.partitions);
        if own != origin.partition {
            let what = format!("the user's partition is {own}, the subject says {}", origin.partition);
            return Err(Rejection::Subject(what.into()));
        }
        let (age_ms, dropped) = match held.age_ms {
            Given::Value(age_ms) => (age_ms, 0),
            Given::Absent => (0, 0),
            Given::Wrong | Given::TooLarge { .. } => (0, 1),
        };
        self.ignored_fields += ignored.len() + dropped;
        let from = self.names.len();
        for part in [origin.tenant.as_str(), ".", &user, ".", &session] {
            self.names.push_str(part);
        }
        Ok(Item::Signal { from, to: self.names.len(), signal: Box::new(signal), age_ms })
    }
}

/// The token of a name that an item has to give.
fn name(what: &'static str, key: &str, given: Given<Box<str>>) -> Result<String, Rejection> {
    let misaddressed = |why: String| Rejection::Subject(why.into());
    match given {
        Given::Value(plain) => token(what, &plain).map_err(|error| misaddressed(error.to_string())),
        Given::Absent => Err(misaddressed(format!("`{key}` is missing: it has to name the {what}"))),
        Given::Wrong | Given::TooLarge { .. } => {
            Err(misaddressed(format!("`{key}` is no text: it has to name the {what}")))
        }
    }
}

fn undecodable(what: &str) -> Rejection {
    Rejection::Payload(what.into())
}

#[cfg(test)]
mod tests;
