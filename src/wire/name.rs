//! The names that the model's closed choices have in payloads.

use crate::model::{Cause, Claim, EngineWhat, Intent, Kind, State, Transport, Visibility};

/// A closed choice whose values have names in payloads. Both encodings, the schemas and the command line read this
/// table, so they can't differ.
///
/// ```
/// use presence_engine::{model::Intent, wire::Named};
/// assert_eq!(Intent::Dnd.name(), "dnd");
/// assert_eq!(Intent::from_name("dnd"), Some(Intent::Dnd));
/// assert_eq!(Intent::from_name("DND"), None, "case counts");
/// ```
pub trait Named: Copy + 'static {
    /// Every value with its name.
    const NAMES: &'static [(&'static str, Self)];

    /// The value's name.
    fn name(self) -> &'static str;

    /// The value that has this name.
    fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Every name, for people: `open, busy, dnd, invisible`.
    fn listed() -> String {
        let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

macro_rules! named {
    ($($choice:ident { $($value:ident = $name:literal),+ $(,)? })+) => {$(
        impl Named for $choice {
            const NAMES: &'static [(&'static str, Self)] = &[$(($name, $choice::$value)),+];

            fn name(self) -> &'static str {
                match self {
                    $($choice::$value => $name,)+
                }
            }
        }
    )+};
}
pub(crate) use named;

named! {
    Kind { Heartbeat = "heartbeat", Update = "update", Disconnect = "disconnect", Leave = "leave" }
    Claim { Active = "active", Idle = "idle", Away = "away" }
    Visibility { Visible = "visible", Hidden = "hidden", Frozen = "frozen" }
    Intent { Open = "open", Busy = "busy", Dnd = "dnd", Invisible = "invisible" }
    State { Active = "active", Idle = "idle", Away = "away", Stale = "stale", Offline = "offline" }
    Transport { Open = "open", Closed = "closed" }
    EngineWhat {
        Blind = "blind",
        Clock = "clock",
        Policy = "policy",
        TicksFailed = "ticks_failed",
        GatewaySilent = "gateway_silent",
    }
    Cause {
        Joined = "joined",
        Input = "input",
        Visible = "visible",
        Resumed = "resumed",
        Claimed = "claimed",
        Hidden = "hidden",
        Frozen = "frozen",
        Quiet = "quiet",
        Silent = "silent",
        Disconnected = "disconnected",
        Left = "left",
        Intent = "intent",
        Policy = "policy",
        Updated = "updated",
        Fading = "fading",
        Refreshed = "refreshed",
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    fn agree<T: Named + Serialize>() {
        for (name, value) in T::NAMES {
            assert_eq!(serde_json::to_value(value).unwrap(), *name);
            assert_eq!(value.name(), *name);
        }
    }

    #[test]
    fn names_are_those_of_the_model() {
        agree::<Kind>();
        agree::<Claim>();
        agree::<Visibility>();
        agree::<Intent>();
        agree::<State>();
        agree::<Transport>();
        agree::<EngineWhat>();
        agree::<Cause>();
        assert_eq!(State::NAMES.iter().map(|(_, state)| *state).collect::<Vec<_>>(), State::ALL);
    }
}
