//! `room`: how many are in a room, and who.

use super::users::{page, people};
use crate::model::{Millis, Token};
use crate::runtime::ask::Desk;
use crate::wire::AskError;
use crate::wire::ask::owned::{Density, Question, Said, What, strange};
use crate::wire::ask::{RoomAnswer, RoomQuestion};

pub(in crate::runtime::ask) async fn answer(
    desk: &Desk,
    tenant: Token<'_>,
    payload: &[u8],
) -> Result<Vec<u8>, AskError> {
    let (tenant, question) = (tenant.as_str(), RoomQuestion::read(payload)?);
    let (density, as_of_ms) = density(desk, tenant, &question.room).await?;
    if density == Density::default() {
        desk.must_know(tenant).await?;
    }
    let mut answer = RoomAnswer::of(&question.room, density, as_of_ms);
    if question.members {
        let RoomQuestion { room, after, limit, .. } = question;
        let what = What::Members { room, after, limit: limit + 1 };
        let question = Question { tenant: tenant.to_owned(), partitions: desk.all(), at_least: 0, what };
        let found = desk.ask(&question).await?;
        let (members, after) = page(people(found.said)?, limit);
        (answer.members, answer.after) = (Some(members), Some(after));
        answer.as_of_ms = answer.as_of_ms.min(found.as_of_ms);
    }
    Ok(answer.to_json())
}

/// How many are in a room, and the log time up to which that is known: the sum of what each partition has.
async fn density(desk: &Desk, tenant: &str, room: &str) -> Result<(Density, Millis), AskError> {
    let what = What::Room(room.to_owned());
    let question = Question { tenant: tenant.to_owned(), partitions: desk.all(), at_least: 0, what };
    let answer = desk.ask(&question).await?;
    match answer.said {
        Said::Room(density) => Ok((density, answer.as_of_ms)),
        Said::Session { .. }
        | Said::People(_)
        | Said::Ready(_)
        | Said::ReadyIn(_)
        | Said::Candidates(_)
        | Said::Tenant(_) => Err(strange("an owner")),
    }
}
