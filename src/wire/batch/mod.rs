//! A gateway's batch: `{"v":1,"signals":[{"u":user,"s":session, …a signal's fields, "age_ms":…}]}`, JSON or MessagePack.
//!
//! `u` and `s` are plain text, as names in payloads are; the engine escapes them. Each item is read by the rules of a
//! signal's own payload: a wrong field is dropped and the rest of the item applies; an item that can't be taken is rejected
//! with its place, and the other items count. The limit of a signal's payload holds for the whole item, names included.
//! A user or session whose token is of bytes that are no UTF-8 has no plain text, and can't be named in a batch.

mod pack;
mod quick;
mod slices;
mod text;

use std::borrow::Cow;
use std::cell::RefCell;

use super::Encoding;
use super::signal::{Decoded, Given, decode_held};
use super::subject::token;
use crate::fold::BatchItem;
use crate::model::{Address, Millis, Partitioning, Rejection, Said, Token};

use self::quick::Quick;
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

/// An item, with its address as it stands in [`Batch::names`]: from where, and how long its tenant, its user and all of it are.
#[derive(Debug, Clone)]
enum Item {
    Signal { from: usize, lengths: (u8, u8, u16), said: Said, age_ms: Millis },
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
pub fn decode<'a>(payload: &'a [u8], content_type: Option<&str>, origin: Origin<'a>) -> Result<Batch, Rejection> {
    if payload.len() > BATCH_BYTES_MAX {
        let (size, limit) = (payload.len() as u64, BATCH_BYTES_MAX as u64);
        return Err(Rejection::TooLarge { what: "payload", size, limit });
    }
    if payload.is_empty() {
        return Err(undecodable("nothing; a batch is a JSON object or a MessagePack map"));
    }
    let named = content_type.and_then(Encoding::of_content_type);
    let encoding = named.unwrap_or_else(|| Encoding::of_payload(payload));
    let read = slices::read(payload, encoding, Reading::of(origin, encoding))?;
    Ok(read.batch)
}

/// A batch while its items are read.
struct Reading<'a> {
    batch: Batch,
    origin: Origin<'a>,
    encoding: Encoding,
    partitions: Partitioning,
    /// Whether items are tried the quick way first.
    is_quick: bool,
}

impl<'a> Reading<'a> {
    fn of(origin: Origin<'a>, encoding: Encoding) -> Self {
        let partitions = Partitioning::of(origin.tenant.as_str(), origin.partitions);
        Self { batch: Batch::default(), origin, encoding, partitions, is_quick: encoding == Encoding::MessagePack }
    }

    /// Begins the list of `count` signals; a key that stands twice counts by its last value.
    fn begin(&mut self, count: usize) {
        self.batch = Batch { items: RefCell::new(Vec::with_capacity(count)), ..Batch::default() };
    }

    /// Reads the next item if it is as gateways write them; how many of `bytes` it has.
    fn read_quickly(&mut self, bytes: &'a [u8]) -> Option<usize> {
        if !self.is_quick {
            return None;
        }
        let Quick { user, session, age_ms, said, size } = quick::item(bytes)?;
        if self.partitions.partition_of(user.as_str()) != self.origin.partition {
            return None;
        }
        let item = self.signal(user.as_str(), session.as_str(), said, age_ms);
        self.batch.items.get_mut().push(item);
        Some(size)
    }

    /// Reads the next item, whatever it is.
    fn read(&mut self, slice: &'a [u8]) {
        let at = self.batch.items.get_mut().len();
        let item = self.item(slice).unwrap_or_else(|reason| {
            let at = u32::try_from(at).expect("a batch has at most so many");
            Item::Rejected(Rejection::Item { at, reason: Box::new(reason) })
        });
        self.batch.items.get_mut().push(item);
    }

    fn item(&mut self, slice: &'a [u8]) -> Result<Item, Rejection> {
        let (held, Decoded { signal, ignored }) = decode_held(slice, self.encoding)?;
        let user = name("user", "u", held.user)?;
        let session = name("session", "s", held.session)?;
        let (own, said) = (self.partitions.partition_of(user.as_str()), self.origin.partition);
        if own != said {
            let what = format!("the user's partition is {own}, the subject says {said}");
            return Err(Rejection::Subject(what.into()));
        }
        let (age_ms, dropped) = match held.age_ms {
            Given::Value(age_ms) => (age_ms, 0),
            Given::Absent => (0, 0),
            Given::Wrong | Given::TooLarge { .. } => (0, 1),
        };
        self.batch.ignored_fields += ignored.len() + dropped;
        Ok(self.signal(user.as_str(), session.as_str(), signal.into(), age_ms))
    }

    /// The item of a signal, whose names are tokens.
    fn signal(&mut self, user: &str, session: &str, said: Said, age_ms: Millis) -> Item {
        let (tenant, names) = (self.origin.tenant.as_str(), &mut self.batch.names);
        let from = names.len();
        for part in [tenant, ".", user, ".", session] {
            names.push_str(part);
        }
        let lengths = (tenant.len() as u8, user.len() as u8, (names.len() - from) as u16);
        Item::Signal { from, lengths, said, age_ms }
    }
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
    pub(super) fn items(&self) -> Vec<BatchItem<'_>> {
        let item = |item| match item {
            Item::Signal { from, lengths: (tenant, user, whole), said, age_ms } => {
                let address = Address::of(&self.names[from..from + usize::from(whole)], tenant, user);
                BatchItem::Signal(address, said, age_ms)
            }
            Item::Rejected(reason) => BatchItem::Rejected(reason),
        };
        self.items.take().into_iter().map(item).collect()
    }
}

/// The token of a name.
enum Name<'a> {
    /// The name is its token.
    Plain(Token<'a>),
    Escaped(String),
}

impl Name<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Plain(token) => token.as_str(),
            Self::Escaped(token) => token,
        }
    }
}

/// The token of a name that an item has to give.
fn name<'a>(what: &'static str, key: &str, given: Given<Cow<'a, str>>) -> Result<Name<'a>, Rejection> {
    let misaddressed = |why: String| Rejection::Subject(why.into());
    match given {
        Given::Value(plain) => {
            if let Cow::Borrowed(plain) = plain
                && let Some(token) = Token::of_plain(plain)
            {
                return Ok(Name::Plain(token));
            }
            token(what, &plain).map(Name::Escaped).map_err(|error| misaddressed(error.to_string()))
        }
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
