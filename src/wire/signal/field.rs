//! The fields of a signal, and the set of those that were dropped.

use crate::wire::name::{Named, named};

/// A field of a signal's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Field {
    Kind,
    Conn,
    State,
    InputAgeMs,
    Visibility,
    EveryMs,
    Epoch,
    Seq,
    Intent,
    IntentForMs,
    Can,
    Rooms,
    Profile,
    Meta,
}

named! {
    Field {
        Kind = "kind",
        Conn = "conn",
        State = "state",
        InputAgeMs = "input_age_ms",
        Visibility = "visibility",
        EveryMs = "every_ms",
        Epoch = "epoch",
        Seq = "seq",
        Intent = "intent",
        IntentForMs = "intent_for_ms",
        Can = "can",
        Rooms = "rooms",
        Profile = "profile",
        Meta = "meta",
    }
}

/// What an item of a gateway's batch says beside its signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeldField {
    User,
    Session,
    AgeMs,
}

named! {
    HeldField { User = "u", Session = "s", AgeMs = "age_ms" }
}

/// The names of all fields.
#[cfg(test)]
pub(crate) fn field_names() -> impl Iterator<Item = &'static str> {
    Field::NAMES.iter().map(|(name, _)| *name)
}

/// The fields of a signal that were dropped: of the wrong type, an unknown name, or out of their range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ignored(u16);

impl Ignored {
    /// How many there are.
    #[must_use]
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Field::NAMES.iter().filter(move |(_, field)| self.0 & bit(*field) != 0).map(|(name, _)| *name)
    }

    pub(super) fn set(&mut self, field: Field, dropped: bool) {
        if dropped {
            self.0 |= bit(field);
        } else {
            self.0 &= !bit(field);
        }
    }
}

fn bit(field: Field) -> u16 {
    1 << field as u8
}
