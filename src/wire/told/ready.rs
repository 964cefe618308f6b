//! What a user is ready for, as it is told.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Event, Millis, ReadyEvent};
use crate::wire::schema::{cause, kind};
use crate::wire::{CONTRACT_VERSION, Named, plain};

/// A change of what a user is ready for. It is in no bucket: a user's own event says what it is ready for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReadyEvent")]
pub struct Ready<'a> {
    /// Contract version.
    pub v: u8,
    /// `ready`.
    #[schemars(schema_with = "kind::<4>")]
    pub kind: Cow<'a, str>,
    /// `<partition>-<generation>-<input_seq>-<k>`: equal in a replay, so de-duplicate by it.
    pub id: Cow<'a, str>,
    /// The user's incarnation.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// Why.
    #[schemars(schema_with = "cause")]
    pub cause: Cow<'a, str>,
    /// When it happened, in the log's time.
    pub at_ms: Millis,
    /// The partition.
    pub partition: u16,
    /// The log sequence of the entry that caused it.
    pub seq: u64,
    /// The tenant.
    pub tenant: Cow<'a, str>,
    /// The user.
    pub user: Cow<'a, str>,
    /// The capabilities that the user was ready for.
    pub from: Vec<Cow<'a, str>>,
    /// The capabilities that the user is ready for.
    pub to: Vec<Cow<'a, str>>,
    /// Since when, for each of `to`.
    pub since_ms: BTreeMap<Cow<'a, str>, Millis>,
    /// When the first of `to` is lost if nothing more is heard; `null` if there is none.
    pub until_ms: Option<Millis>,
}

impl<'a> Ready<'a> {
    /// What is told of `event`, which the readiness `of` is about.
    #[must_use]
    pub fn of(event: &'a Event, of: &'a ReadyEvent) -> Self {
        Self {
            v: CONTRACT_VERSION,
            kind: super::KINDS[4].into(),
            id: event.id().into(),
            incarnation: of.incarnation,
            ordinal: of.ordinal,
            cause: of.cause.name().into(),
            at_ms: event.at_ms,
            partition: event.partition,
            seq: event.seq,
            tenant: plain(&of.tenant),
            user: plain(&of.user),
            from: of.from.iter().map(|name| Cow::Borrowed(&**name)).collect(),
            to: of.to.iter().map(|(name, _)| Cow::Borrowed(&**name)).collect(),
            since_ms: of.to.iter().map(|(name, since)| (Cow::Borrowed(&**name), *since)).collect(),
            until_ms: of.until_ms,
        }
    }
}
