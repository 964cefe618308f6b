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

impl Field {
    /// As [`Named::from_name`], without a look at each name: keys are most of what is read of a heartbeat.
    pub(super) fn of(name: &str) -> Option<Self> {
        let likely = match (name.len(), name.as_bytes().first()?) {
            (3, b's') => Self::Seq,
            (3, b'c') => Self::Can,
            (4, b'k') => Self::Kind,
            (4, b'c') => Self::Conn,
            (4, b'm') => Self::Meta,
            (5, b'e') => Self::Epoch,
            (5, b's') => Self::State,
            (5, b'r') => Self::Rooms,
            (6, b'i') => Self::Intent,
            (7, b'p') => Self::Profile,
            (8, b'e') => Self::EveryMs,
            (10, b'v') => Self::Visibility,
            (12, b'i') => Self::InputAgeMs,
            (13, b'i') => Self::IntentForMs,
            _ => return None,
        };
        (likely.name() == name).then_some(likely)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_and_no_other() {
        for (name, field) in Field::NAMES {
            assert_eq!(Field::of(name), Some(*field));
            assert_eq!(Field::of(&name.to_uppercase()), None);
        }
        for other in ["", "u", "age_ms", "sex", "states"] {
            assert_eq!(Field::of(other), None);
        }
    }
}
