//! `route`: whom to ask, best first, and who is held for whom.

use std::time::Duration;

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

/// So many more than are asked for are looked at, since some of them may be held by others.
const SPARE: usize = 64;

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
    let (want, load) = (routing.want.clone(), desk.load_rooms.clone());
    let (partitions, what) = match &routing.among {
        Among::Users(users) => {
            let partitions = users.iter().map(|user| partition_of(tenant, user, desk.partitions)).collect();
            (partitions, What::Candidates { users: users.iter().cloned().collect(), want, load })
        }
        Among::Room(room) => {
            let (room, order, id) = (room.clone(), routing.order, routing.id.clone());
            (desk.all(), What::CandidatesIn { room, want, load, order, id, limit: routing.limit + SPARE })
        }
    };
    let answer = desk.ask(&Question { tenant: tenant.to_owned(), partitions, at_least: 0, what }).await?;
    let Said::Candidates(mut candidates) = answer.said else { return Err(strange("an owner")) };
    if candidates.is_empty() {
        desk.must_know(tenant).await?;
    }
    candidates.sort_unstable_by(|a, b| routing.order.compare(&routing.id, a, b));
    let (now, id) = (answer.now_ms, routing.id.clone());
    let reserving = Reserving { desk, tenant, routing, now };
    let (candidates, reserved) = reserving.free(candidates).await.map_err(|error| unusable(&error))?;
    let routes = candidates.into_iter().map(|candidate| shown(candidate, &desk.load_rooms)).collect();
    Ok(RouteAnswer { id, routes, reserved, as_of_ms: answer.as_of_ms })
}

/// Looks at who is held, and holds the first.
struct Reserving<'a> {
    desk: &'a Desk,
    tenant: &'a str,
    routing: Routing,
    /// The log's time.
    now: Millis,
}

impl Reserving<'_> {
    /// Those whom nobody else holds, and whom this question holds now.
    async fn free(self, candidates: Vec<Candidate>) -> Result<(Vec<Candidate>, Option<Reserved>), ReservationError> {
        let (nats, id, limit) = (&self.desk.nats, &self.routing.id, self.routing.limit);
        let mut free = Vec::new();
        let mut left = candidates.into_iter();
        loop {
            let some: Vec<Candidate> = left.by_ref().take(limit - free.len()).collect();
            if some.is_empty() {
                break;
            }
            let found = join_all(some.iter().map(|of| reservations::find(nats, self.tenant, &of.user))).await;
            for (candidate, found) in some.into_iter().zip(found) {
                let found = found?;
                if !found.is_held_by_another(id, self.now) {
                    free.push((candidate, found));
                }
            }
            if free.len() == limit {
                break;
            }
        }
        let Some(lasts) = self.routing.reserve_ms else {
            return Ok((free.into_iter().map(|(candidate, _)| candidate).collect(), None));
        };
        let held = reservations::of_id(nats, self.tenant, id).await?;
        // Who is held already stays so, as long as it is ready.
        let is_own = |(of, found): &(Candidate, Found)| Some(&*of.user) == held.as_deref() && found.held.is_some();
        if lasts > 0
            && let Some(at) = free.iter().position(is_own)
        {
            let own = free.remove(at);
            free.insert(0, own);
        } else if held.is_some() {
            reservations::release(nats, self.tenant, id).await?;
        }
        let mut reserved = None;
        let mut routes = Vec::with_capacity(free.len());
        for (candidate, found) in free {
            if reserved.is_none() && lasts > 0 {
                let until_ms = self.now + lasts;
                let reservation = Reservation { id: id.clone(), until_ms };
                let whom = (self.tenant, &*candidate.user);
                if !reservations::hold(nats, whom, &found, &reservation, Duration::from_millis(lasts)).await? {
                    // Somebody else was faster.
                    continue;
                }
                reserved = Some(Reserved { user: plain(&candidate.user).into_owned(), until_ms });
            }
            routes.push(candidate);
        }
        Ok((routes, reserved))
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
