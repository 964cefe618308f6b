//! What a client says: a signal, parsed and within its limits.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Largest payload of a signal in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 8 * 1024;
/// Largest `meta` in bytes, as compact JSON.
pub const META_BYTES_MAX: usize = 1024;
/// Most rooms of one session.
pub const ROOMS_MAX: usize = 32;
/// Most capabilities of one session.
pub const CAPABILITIES_MAX: usize = 16;
/// Longest `conn` in bytes.
pub const CONN_BYTES_MAX: usize = 64;
/// Largest `epoch` and `seq`: what a double holds exactly.
pub const SEQ_MAX: u64 = (1 << 53) - 1;
/// Shortest promise but 0, in milliseconds.
pub const EVERY_MS_MIN: u32 = 1_000;
/// Longest promise in milliseconds.
pub const EVERY_MS_MAX: u32 = 3_600_000;

/// What kind of signal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The session lives.
    #[default]
    Heartbeat,
    /// Facts and intent only; proves no life.
    Update,
    /// The transport closed; the person may be back.
    Disconnect,
    /// The session ends for good.
    Leave,
}

/// The client's own claim about its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// Input just now.
    Active,
    /// No input for `idle_after` at least.
    Idle,
    /// Out of sight for `hidden_after` already.
    Away,
}

/// Whether the page or app can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// In sight.
    #[default]
    Visible,
    /// Out of sight, still running.
    Hidden,
    /// Suspended by the system; nothing is to be expected.
    Frozen,
}

/// The person's will. It never changes a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// Open to contact.
    #[default]
    Open,
    /// Rather not.
    Busy,
    /// Do not disturb.
    Dnd,
    /// To others, as if away from every device.
    Invisible,
}

/// One signal. An absent field leaves what was known; lists and `meta` replace what was known, and empty ones clear it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signal {
    /// What kind of signal it is.
    pub kind: Kind,
    /// The connection it came by, at most [`CONN_BYTES_MAX`].
    pub conn: Option<Box<str>>,
    /// The client's own claim.
    pub state: Option<Claim>,
    /// Time since the last user input.
    pub input_age_ms: Option<u64>,
    /// Whether the page or app can be seen.
    pub visibility: Option<Visibility>,
    /// The next signal comes within this time; 0 withdraws the promise. 0 or [`EVERY_MS_MIN`]..=[`EVERY_MS_MAX`].
    pub every_ms: Option<u32>,
    /// The client's start, at most [`SEQ_MAX`].
    pub epoch: Option<u64>,
    /// The client's counter within its epoch, at most [`SEQ_MAX`].
    pub seq: Option<u64>,
    /// The person's will.
    pub intent: Option<Intent>,
    /// After this time the intent becomes open by itself.
    pub intent_for_ms: Option<u64>,
    /// What this session could do now; names, at most [`CAPABILITIES_MAX`].
    pub can: Option<Box<[Box<str>]>>,
    /// Where the session is; tokens, at most [`ROOMS_MAX`].
    pub rooms: Option<Box<[Box<str>]>>,
    /// The name of a policy profile.
    pub profile: Option<Box<str>>,
    /// Passed on as it is: a compact JSON object, at most [`META_BYTES_MAX`].
    pub meta: Option<Box<str>>,
}

/// All that a heartbeat says which says nothing but that its session lives: nearly all do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beat {
    /// The client's start, at most [`SEQ_MAX`].
    pub epoch: Option<u64>,
    /// The client's counter within its epoch, at most [`SEQ_MAX`].
    pub seq: Option<u64>,
}

/// What a signal says, in little room where it is little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It is a heartbeat that says nothing but that its session lives.
    Beat(Beat),
    /// It may say more.
    Signal(Box<Signal>),
}

impl From<Beat> for Signal {
    fn from(Beat { epoch, seq }: Beat) -> Self {
        Self { epoch, seq, ..Self::default() }
    }
}

impl Said {
    /// The signal that says so.
    #[must_use]
    pub fn signal(&self) -> Cow<'_, Signal> {
        match self {
            Self::Beat(beat) => Cow::Owned((*beat).into()),
            Self::Signal(signal) => Cow::Borrowed(signal),
        }
    }
}

impl From<Signal> for Said {
    fn from(signal: Signal) -> Self {
        match signal.plain() {
            Some(beat) if signal.intent_for_ms.is_none() => Self::Beat(beat),
            Some(_) | None => Self::Signal(Box::new(signal)),
        }
    }
}

impl Signal {
    /// The beat that it is, if it is a heartbeat that says nothing but that the session lives, with or without (epoch, seq).
    #[inline]
    #[must_use]
    pub fn plain(&self) -> Option<Beat> {
        self.is_plain().then_some(Beat { epoch: self.epoch, seq: self.seq })
    }

    /// Whether there is a [`Signal::plain`] beat.
    #[inline]
    fn is_plain(&self) -> bool {
        let Self { kind, conn, state, input_age_ms, visibility, every_ms, epoch: _, seq: _, .. } = self;
        let Self { intent, intent_for_ms: _, can, rooms, profile, meta, .. } = self;
        let says_nothing = state.is_none() && input_age_ms.is_none() && visibility.is_none() && every_ms.is_none();
        let knows_nothing = conn.is_none() && can.is_none() && rooms.is_none() && profile.is_none() && meta.is_none();
        *kind == Kind::Heartbeat && says_nothing && knows_nothing && intent.is_none()
    }
}
