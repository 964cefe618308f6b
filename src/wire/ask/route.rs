//! `route`: whom to ask, best first; and the reservation that keeps two callers from ringing one person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wait::{Among, among, id, want};
use super::{AskError, Fields};
use crate::model::{Millis, Order, State, Want};
use crate::wire::schema::{names, names_or_null};
use crate::wire::{Encoding, Named};

/// Most routes of one answer.
pub const ROUTES_MAX: u64 = 64;
/// How many routes are answered where nothing is said.
pub const ROUTES_DEFAULT: u64 = 8;
/// Longest reservation, in milliseconds.
pub const RESERVE_MS_MAX: u64 = 30_000;

/// Asks whom to ask.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub struct RouteQuestion {
    /// Chosen by who asks: whose reservation it is.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// Among these; or `room`.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 192)))]
    pub candidates: Option<Vec<String>>,
    /// Among the members of this room; or `candidates`.
    #[schemars(length(min = 1, max = 192))]
    pub room: Option<String>,
    /// The capability; absent: any ready state will do.
    #[serde(rename = "for")]
    pub capability: Option<String>,
    /// With this confidence at least, in thousandths; that of the policy where absent.
    #[schemars(range(max = 1000))]
    pub min_confidence_permille: Option<u16>,
    /// How many at most; 8 where absent.
    #[schemars(range(min = 1, max = 64))]
    pub limit: Option<u8>,
    /// In which order; `best` where absent.
    #[schemars(default, schema_with = "names_or_null::<Order>")]
    pub order: Option<String>,
    /// Hold the first for so long; 0 releases whom this id holds; absent: neither.
    #[schemars(range(max = 30000))]
    pub reserve_ms: Option<u32>,
    /// Only release whom this id holds.
    #[schemars(default)]
    pub release: bool,
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RouteAnswer")]
pub struct RouteAnswer {
    /// That of the question.
    pub id: String,
    /// Who is ready, in the order that was asked for.
    pub routes: Vec<Route>,
    /// Whom this id holds.
    pub reserved: Option<Reserved>,
    /// The log time up to which this is known; of several partitions the earliest.
    pub as_of_ms: Millis,
}

/// Somebody who can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// The user.
    pub user: String,
    /// Its state.
    #[schemars(schema_with = "names::<State>")]
    pub state: State,
    /// How sure it is that it is still there, in thousandths.
    pub confidence_permille: u16,
    /// The last input of any of its sessions.
    pub last_input_ms: Millis,
    /// In how many rooms it is that match `route.load_rooms`.
    pub load: u32,
    /// Why it stands here, for people.
    pub reasons: Vec<String>,
}

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reserved {
    /// Who is held.
    pub user: String,
    /// Until when.
    pub until_ms: Millis,
}

crate::wire::name::named! {
    Order { Best = "best", LongestIdle = "longest_idle", Spread = "spread" }
}

/// A question that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteAsked {
    /// Who could be asked.
    Routing(Routing),
    /// Only release whom this id holds.
    Release(String),
}

/// Who could be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// Chosen by who asks.
    pub id: String,
    /// Among whom.
    pub among: Among,
    /// What they have to be ready for.
    pub want: Want,
    /// How many at most.
    pub limit: usize,
    /// In which order.
    pub order: Order,
    /// Hold the first for so long, in milliseconds; 0: release what is held; `None`: neither.
    pub reserve_ms: Option<u64>,
}

impl RouteQuestion {
    /// Reads a question.
    ///
    /// # Errors
    /// [`AskError::Malformed`], [`AskError::TooLarge`].
    pub fn read(payload: &[u8]) -> Result<RouteAsked, AskError> {
        let fields = Fields::read(payload)?;
        let id = id(&fields)?;
        if fields.flag("release")? {
            return Ok(RouteAsked::Release(id));
        }
        Ok(RouteAsked::Routing(Routing {
            id,
            among: among(&fields, "candidates")?,
            want: want(&fields)?,
            limit: fields.number("limit", 1..=ROUTES_MAX)?.unwrap_or(ROUTES_DEFAULT) as usize,
            order: fields.choice("order")?.unwrap_or_default(),
            reserve_ms: fields.number("reserve_ms", 0..=RESERVE_MS_MAX)?,
        }))
    }
}

impl RouteAnswer {
    /// The answer.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(question: &str) -> Result<RouteAsked, String> {
        RouteQuestion::read(question.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn orders_and_limits_are_checked() {
        let Ok(RouteAsked::Routing(routing)) = read(r#"{"id":"x","room":"desk"}"#) else { panic!("it is whole") };
        assert_eq!((routing.order, routing.limit, routing.reserve_ms), (Order::Best, 8, None));
        assert_eq!(read(r#"{"id":"x","release":true}"#), Ok(RouteAsked::Release("x".into())));
        for (field, why) in [
            (r#""order":"fastest""#, "`order` is \"fastest\", it has to be one of best, longest_idle, spread"),
            (r#""limit":65"#, "`limit` is 65, it has to be within 1 to 64"),
            (r#""reserve_ms":30001"#, "`reserve_ms` is 30001, it has to be within 0 to 30000"),
        ] {
            assert_eq!(read(&format!(r#"{{"id":"x","room":"desk",{field}}}"#)).unwrap_err(), why);
        }
    }
}
