//! `route`: whom to ask, best first; and the reservation that keeps two callers from ringing one person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wait::{Among, among, want};
use super::{AskError, checked};
use crate::model::{Millis, Order, State, Want};
use crate::wire::Named;
use crate::wire::schema::names;

/// Most routes of one answer.
pub const ROUTES_MAX: u64 = 64;
/// How many routes are answered where nothing is said.
pub const ROUTES_DEFAULT: u64 = 8;
/// Longest reservation, in milliseconds.
pub const RESERVE_MS_MAX: u64 = 30_000;

/// The question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RouteQuestion")]
pub struct RouteQuestion {
    /// Chosen by who asks, 1 to 128 bytes: whose reservation it is.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// Among these; or `room`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub candidates: Option<Vec<String>>,
    /// Among the members of this room; or `candidates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The capability; absent: any ready state will do.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// With this confidence at least, in thousandths; that of the policy where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub min_confidence_permille: Option<u64>,
    /// How many at most; 8 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub limit: Option<u64>,
    /// In which order: `best`, `longest_idle` or `spread`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::wire::schema::names_or_null::<Order>")]
    pub order: Option<String>,
    /// Hold the first for so long; 0 releases what this id holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 30000))]
    pub reserve_ms: Option<u64>,
    /// Only release what this id holds.
    #[serde(default)]
    pub release: bool,
}

/// The answer.
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
pub enum Asked {
    /// Who could be asked.
    Route(Routing),
    /// Only release what this id holds.
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
    /// The question with all that it leaves to defaults.
    ///
    /// # Errors
    /// [`AskError::Malformed`].
    pub fn check(self) -> Result<Asked, AskError> {
        checked::id(&self.id)?;
        if self.release {
            return Ok(Asked::Release(self.id));
        }
        let order = match self.order.as_deref() {
            None => Order::default(),
            Some(name) => checked::named("order", name)?,
        };
        let reserve_ms = self.reserve_ms.map(|ms| checked::within("reserve_ms", ms, 0, RESERVE_MS_MAX)).transpose()?;
        Ok(Asked::Route(Routing {
            among: among(self.candidates, "candidates", self.room)?,
            want: want(self.capability, self.min_confidence_permille)?,
            limit: checked::within("limit", self.limit.unwrap_or(ROUTES_DEFAULT), 1, ROUTES_MAX)? as usize,
            id: self.id,
            order,
            reserve_ms,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_limits_are_checked() {
        let ask = |order: Option<&str>, limit| RouteQuestion {
            id: "x".into(),
            room: Some("desk".into()),
            order: order.map(Into::into),
            limit,
            ..RouteQuestion::default()
        };
        let Ok(Asked::Route(routing)) = ask(None, None).check() else { panic!("it is whole") };
        assert_eq!((routing.order, routing.limit, routing.reserve_ms), (Order::Best, 8, None));
        let order = ask(Some("fastest"), None).check().unwrap_err().to_string();
        assert_eq!(order, "order is `fastest`, allowed are best, longest_idle, spread");
        let limit = ask(Some("spread"), Some(65)).check().unwrap_err().to_string();
        assert_eq!(limit, "limit is 65, allowed are 1 to 64");
        let release = RouteQuestion { id: "x".into(), release: true, ..RouteQuestion::default() };
        assert_eq!(release.check(), Ok(Asked::Release("x".into())));
    }
}
