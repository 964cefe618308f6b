//! `user`: the latest event, and how it is now.

use tokio::time::Instant;

use super::may_be_told_by_now;
use crate::model::{State, Token};
use crate::runtime::ask::Desk;
use crate::wire::ask::owned::{Question, Said, What, strange};
use crate::wire::ask::{AbsentUser, Now, UserQuestion, with_now};
use crate::wire::{AskError, ToldEvent, subject};

pub(in crate::runtime::ask) async fn answer(
    desk: &Desk,
    tenant: Token<'_>,
    payload: &[u8],
) -> Result<Vec<u8>, AskError> {
    let (tenant, user) = (tenant.as_str(), UserQuestion::read(payload)?.user);
    let subject = subject::user(&subject::user_key(tenant, &user));
    let partitions = desk.partition_of(tenant, &user);
    let what = What::Users([user.clone()].into());
    let question = Question { tenant: tenant.to_owned(), partitions, at_least: 0, what };
    let began = Instant::now();
    loop {
        // The event first: how it is now may be newer, and is to be.
        let event = desk.latest(&subject).await?;
        let answer = desk.ask(&question).await?;
        let Said::People(people) = answer.said else { return Err(strange("the owner")) };
        let Some(person) = people.into_iter().next() else {
            if event.is_none() {
                desk.must_know(tenant).await?;
            }
            let now = Now { state: State::Offline, confidence_permille: 0, at_ms: answer.as_of_ms };
            return Ok(AbsentUser::of(tenant, &user, now).to_json());
        };
        let now = Now { state: person.state, confidence_permille: person.confidence_permille, at_ms: answer.as_of_ms };
        let there = event.filter(|event| says_that_it_is_there(event));
        if let Some(answer) = there.and_then(|event| with_now(&event, now).ok()) {
            return Ok(answer);
        }
        if !may_be_told_by_now(began, person.told_at_ms, answer.as_of_ms).await {
            return Ok(AbsentUser::of(tenant, &user, now).to_json());
        }
    }
}

fn says_that_it_is_there(event: &[u8]) -> bool {
    matches!(ToldEvent::read(event), Ok(ToldEvent::User(user)) if user.to != State::Offline)
}
