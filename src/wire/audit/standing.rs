//! What a chain of events passes on from one to the next.

use std::borrow::Cow;

use crate::model::State;

/// What an event says that its subject is, and the next one has to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// A session's or user's state.
    State(State),
    /// The capabilities that a user is ready for, sorted: a policy may order them anew.
    Ready(Box<[Box<str>]>),
    /// Whether somebody is in a room.
    Room(bool),
}

impl Standing {
    pub(super) fn ready(names: &[Cow<'_, str>]) -> Self {
        let mut names: Vec<Box<str>> = names.iter().map(|name| name.as_ref().into()).collect();
        names.sort_unstable();
        Self::Ready(names.into())
    }

    /// What an incarnation begins with and ends with: offline, ready for nothing.
    pub(super) fn nothing(&self) -> Self {
        match self {
            Self::State(_) => Self::State(State::Offline),
            Self::Ready(_) => Self::Ready(Box::default()),
            Self::Room(_) => Self::Room(false),
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Self::State(state) => *state == State::Offline,
            Self::Ready(names) => names.is_empty(),
            Self::Room(is_used) => !is_used,
        }
    }
}

impl From<State> for Standing {
    fn from(state: State) -> Self {
        Self::State(state)
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::State(state) => f.write_str(state.as_str()),
            Self::Ready(names) if names.is_empty() => f.write_str("ready for nothing"),
            Self::Ready(names) => write!(f, "ready for {}", names.join(", ")),
            Self::Room(true) => f.write_str("somebody there"),
            Self::Room(false) => f.write_str("nobody there"),
        }
    }
}
