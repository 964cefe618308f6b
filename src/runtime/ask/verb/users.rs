//! `users`: some of them, or a page of who is here.

use std::collections::BTreeMap;

use crate::model::{State, Token, partition_of};
use crate::nats::LogIdentity;
use crate::runtime::ask::Desk;
use crate::wire::AskError;
use crate::wire::ask::owned::{self, Question, Said, What, strange};
use crate::wire::ask::{Person, UsersAnswer, UsersQuestion, Wanted};

pub(in crate::runtime::ask) async fn answer(
    desk: &Desk,
    tenant: Token<'_>,
    payload: &[u8],
) -> Result<Vec<u8>, AskError> {
    let (tenant, wanted) = (tenant.as_str(), UsersQuestion::read(payload)?);
    // Before anything is looked at. What was told up to here was derived from what the log has by then, so whoever has folded
    // that far knows it, also one who was stopped for a while and took part no more.
    let follow_from = desk.events_end().await?;
    let log = LogIdentity::read(&desk.nats).await.map_err(|error| AskError::Unavailable(error.to_string()))?;
    let question = |partitions, what| Question { tenant: tenant.to_owned(), partitions, at_least: log.last_seq, what };
    let answer = match wanted {
        Wanted::Named(users) => {
            let partitions = users.iter().map(|user| partition_of(tenant, user, desk.partitions)).collect();
            let answer = desk.ask(&question(partitions, What::Users(users.iter().cloned().collect()))).await?;
            let people = people(answer.said)?.into_iter().map(|person| (person.user.clone(), person));
            let mut people: BTreeMap<String, owned::Person> = people.collect();
            let person = |user: &String| people.remove(user).map_or_else(|| Person::offline(user), Person::from);
            let users = users.iter().map(person).collect();
            UsersAnswer { users, after: None, follow_from, as_of_ms: answer.as_of_ms }
        }
        Wanted::Page { states, after, limit } => {
            let answer = desk.ask(&question(desk.all(), What::Page { states, after, limit: limit + 1 })).await?;
            let (users, after) = page(people(answer.said)?, limit);
            UsersAnswer { users, after, follow_from, as_of_ms: answer.as_of_ms }
        }
    };
    if answer.users.iter().all(|user| user.state == State::Offline) {
        desk.must_know(tenant).await?;
    }
    Ok(answer.to_json())
}

pub(super) fn people(said: Said) -> Result<Vec<owned::Person>, AskError> {
    match said {
        Said::People(people) => Ok(people),
        Said::Session { .. }
        | Said::Room(_)
        | Said::Ready(_)
        | Said::ReadyIn(_)
        | Said::Candidates(_)
        | Said::Tenant(_) => Err(strange("an owner")),
    }
}

/// At most so many of those who were found, which are one more where there are more; and behind whom it goes on.
pub(super) fn page(mut people: Vec<owned::Person>, limit: usize) -> (Vec<Person>, Option<String>) {
    let is_last = people.len() <= limit;
    people.truncate(limit);
    let users: Vec<_> = people.into_iter().map(Person::from).collect();
    let after = users.last().filter(|_| !is_last).map(|last| last.user.clone());
    (users, after)
}
