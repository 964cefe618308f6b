//! `route`: whom to ask, best first, and who is held for whom.

use futures::future::join_all;

use crate::model::{Candidate, Millis, Token, partition_of};
use crate::nats::reservations::{self, Found, Reservation, ReservationError};
use crate::runtime::ask::Desk;
use crate::wire::ask::owned::{Question, Said, What, strange};
use crate::wire::ask::route::{Reserved, Route, RouteAsked, Routing};
use crate::wire::ask::wait::Among;
use crate::wire::ask::{RouteAnswer, RouteQuestion};
use crate::wire::event::rfc3339;
use crate::wire::{AskError, Named, plain};

/// So many more than are asked for are looked at first, since some of them may be held by others.
const SPARE: usize = 64;
/// At most so many are looked at.
const WIDEST: usize = 4_096;
/// So many are looked at together at least.
const TOGETHER: usize = 16;

pub(in crate::runtime::ask) async fn answer(
    desk: &Desk,
    tenant: Token<'_>,
    payload: &[u8],
) -> Result<Vec<u8>, AskError> {
    let tenant = tenant.as_str();
    match RouteQuestion::read(payload)? {
        RouteAsked::Release(id) => {
            reservations::release(&desk.nats, tenant, &id).await.map_err(|error| unusable(&error))?;
            let (routes, reserved) = (Vec::new(), None);
            Ok(RouteAnswer { id, routes, reserved, as_of_ms: 0 }.to_json())
        }
        RouteAsked::Routing(routing) => Ok(route(desk, tenant, routing).await?.to_json()),
    }
}

async fn route(desk: &Desk, tenant: &str, routing: Routing) -> Result<RouteAnswer, AskError> {
    let routing = Reserving { desk, tenant, routing };
    let mut limit = routing.routing.limit + SPARE;
    loop {
        let (candidates, as_of_ms, now_ms) = routing.candidates(&routing.routing.among, limit).await?;
        if candidates.is_empty() {
            desk.must_know(tenant).await?;
        }
        let is_all = candidates.len() < limit;
        let Free { routes, reserved, is_short } = routing.free(candidates, now_ms).await?;
        if is_short && !is_all && limit < WIDEST {
            // All of them were held by others: further down there may be somebody.
            limit *= 8;
            continue;
        }
        let routes = routes.into_iter().map(|candidate| shown(candidate, &desk.load_rooms)).collect();
        return Ok(RouteAnswer { id: routing.routing.id, routes, reserved, as_of_ms });
    }
}

/// Looks for those whom nobody else holds, and holds the first.
struct Reserving<'a> {
    desk: &'a Desk,
    tenant: &'a str,
    routing: Routing,
}

/// Who can be asked.
struct Free {
    routes: Vec<Candidate>,
    /// Whom this question holds.
    reserved: Option<Reserved>,
    /// Whether there are fewer than were asked for, or nobody could be held who should be.
    is_short: bool,
}

impl Reserving<'_> {
    /// Those of some users who are ready, in order, the first so many of a room; with the log time up to which that is known, and
    /// what it may be by now.
    async fn candidates(&self, among: &Among, limit: usize) -> Result<(Vec<Candidate>, Millis, Millis), AskError> {
        let Routing { want, order, id, .. } = &self.routing;
        let (want, load) = (want.clone(), self.desk.load_rooms.clone());
        let (partitions, what) = match among {
            Among::Users(users) => {
                let partitions = users.iter().map(|user| partition_of(self.tenant, user, self.desk.partitions));
                (partitions.collect(), What::Candidates { users: users.iter().cloned().collect(), want, load })
            }
            Among::Room(room) => {
                let (room, order, id) = (room.clone(), *order, id.clone());
                (self.desk.all(), What::CandidatesIn { room, want, load, order, id, limit })
            }
        };
        let question = Question { tenant: self.tenant.to_owned(), partitions, at_least: 0, what };
        let answer = self.desk.ask(&question).await?;
        let Said::Candidates(mut candidates) = answer.said else { return Err(strange("an owner")) };
        // Of users that were named all are looked at, of a room as many as each partition was asked for.
        let most = if let Among::Room(_) = among { limit } else { candidates.len() };
        self.routing.order.first(&self.routing.id, most, &mut candidates);
        Ok((candidates, answer.as_of_ms, answer.now_ms))
    }

    async fn free(&self, candidates: Vec<Candidate>, now: Millis) -> Result<Free, AskError> {
        let Routing { id, limit, reserve_ms, .. } = &self.routing;
        let lasts_ms = reserve_ms.unwrap_or(0);
        let mut routes = Vec::new();
        let mut reserved = None;
        if reserve_ms.is_some()
            && let Some(own) = self.held_already(&candidates, lasts_ms).await?
        {
            reserved = Some(self.reserved(&own, now));
            routes.push(own);
        }
        let mut left = candidates.into_iter();
        while routes.len() < *limit {
            let some: Vec<Candidate> = left.by_ref().take(TOGETHER.max(limit - routes.len())).collect();
            if some.is_empty() {
                break;
            }
            let found = join_all(some.iter().map(|of| self.find(&of.user))).await;
            for (candidate, found) in some.into_iter().zip(found) {
                let found = found?;
                let is_listed = routes.first().is_some_and(|first: &Candidate| first.user == candidate.user);
                if routes.len() == *limit || is_listed || found.is_held_by_another(id, now) {
                    continue;
                }
                if lasts_ms > 0 && reserved.is_none() {
                    if !self.hold(&candidate.user, &found, lasts_ms).await? {
                        // Somebody else was faster.
                        continue;
                    }
                    reserved = Some(self.reserved(&candidate, now));
                }
                routes.push(candidate);
            }
        }
        let is_short = routes.len() < *limit || lasts_ms > 0 && reserved.is_none();
        Ok(Free { routes, reserved, is_short })
    }

    /// Whom this question holds and goes on holding, whatever place it has by now: as long as it is ready. Else it is let go.
    async fn held_already(&self, candidates: &[Candidate], lasts_ms: u64) -> Result<Option<Candidate>, AskError> {
        let (nats, id) = (&self.desk.nats, &self.routing.id);
        let held = reservations::of_id(nats, self.tenant, id).await.map_err(|error| unusable(&error))?;
        let Some(user) = held else { return Ok(None) };
        let found = self.find(&user).await?;
        if !found.is_of(id) {
            return Ok(None);
        }
        if lasts_ms > 0 {
            let listed = candidates.iter().find(|of| *of.user == *user).cloned();
            let own = match listed {
                Some(own) => Some(own),
                None => self.among(&user).await?,
            };
            if let Some(own) = own
                && self.hold(&user, &found, lasts_ms).await?
            {
                return Ok(Some(own));
            }
        }
        reservations::release(nats, self.tenant, id).await.map_err(|error| unusable(&error))?;
        Ok(None)
    }

    /// A user as a candidate, if it is one of those who are asked for.
    async fn among(&self, user: &str) -> Result<Option<Candidate>, AskError> {
        match &self.routing.among {
            // Whoever is asked for by name and ready is in the list.
            Among::Users(_) => Ok(None),
            Among::Room(_) => Ok(self.candidates(&Among::Users(vec![user.to_owned()]), 1).await?.0.pop()),
        }
    }

    async fn find(&self, user: &str) -> Result<Found, AskError> {
        reservations::find(&self.desk.nats, self.tenant, user).await.map_err(|error| unusable(&error))
    }

    /// Holds a user; also where the same question, asked twice, was faster.
    async fn hold(&self, user: &str, found: &Found, lasts_ms: u64) -> Result<bool, AskError> {
        let id = &self.routing.id;
        let reservation = Reservation { id: id.clone(), lasts_ms };
        let held = reservations::hold(&self.desk.nats, (self.tenant, user), found, &reservation).await;
        Ok(held.map_err(|error| unusable(&error))? || self.find(user).await?.is_of(id))
    }

    fn reserved(&self, of: &Candidate, now: Millis) -> Reserved {
        let until_ms = now.saturating_add(self.routing.reserve_ms.unwrap_or(0));
        Reserved { user: plain(&of.user).into_owned(), until_ms }
    }
}

fn shown(of: Candidate, load_rooms: &str) -> Route {
    let mut reasons = vec![
        format!("{} and ready since {}", of.state.name(), rfc3339(of.since_ms)),
        format!("there with a confidence of {}.{:03}", of.permille / 1_000, of.permille % 1_000),
        format!("last input at {}", rfc3339(of.last_input_ms)),
    ];
    match of.load {
        0 => reasons.push(format!("in no room that matches {load_rooms}")),
        1 => reasons.push(format!("in 1 room that matches {load_rooms}")),
        load => reasons.push(format!("in {load} rooms that match {load_rooms}")),
    }
    Route {
        user: plain(&of.user).into_owned(),
        state: of.state,
        confidence_permille: of.permille,
        last_input_ms: of.last_input_ms,
        load: of.load,
        reasons,
    }
}

fn unusable(error: &ReservationError) -> AskError {
    AskError::Unavailable(error.to_string())
}
