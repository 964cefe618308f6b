//! What the loop answers, from one partition at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::fold::{Partition, Present};
use crate::model::{Address, Millis, Token};
use crate::runtime::live::Live;
use crate::wire::AskError;
use crate::wire::ask::owned::{Answer, Person, Question, Said, What, first_ready, strange};

/// Questions are answered for so long at a time, then the log is read on.
const TURN_MAX: Duration = Duration::from_millis(2);

/// A question on its way to the loop, about one partition: who asks about many lets others in between.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) partition: u16,
    pub(crate) question: Question,
    pub(crate) reply: oneshot::Sender<Result<Answer, AskError>>,
}

impl Live {
    /// Answers some of what waits.
    pub(crate) fn answer_some(&mut self) {
        let began = Instant::now();
        while let Ok(asked) = self.questions.try_recv() {
            self.answer(asked);
            if began.elapsed() > TURN_MAX {
                return;
            }
        }
    }

    pub(crate) fn answer(&self, asked: Asked) {
        let Asked { partition, question, reply } = asked;
        // Who asked may have gone meanwhile.
        if !reply.is_closed() {
            let answer =
                self.askable(partition, question.at_least).and_then(|(of, now_ms)| answer(of, now_ms, &question));
            reply.send(answer).ok();
        }
    }

    /// A partition that can be asked, and what the log's time may be by now: it is followed, and what is read of it is the log as
    /// it is now.
    fn askable(&self, number: u16, at_least: u64) -> Result<(&Partition, Millis), AskError> {
        let why = |why: &str| AskError::Unavailable(format!("partition {number} {why}"));
        let follower = self.followers.follower_of(number).ok_or_else(|| why("is not followed yet, or no more"))?;
        if !follower.is_caught_up() {
            return Err(why("is being restored"));
        }
        let now = Instant::now();
        if !follower.is_fresh(now) {
            return Err(why("is not known now: nothing was read of the log for 3 s"));
        }
        if follower.fleet.position() < at_least {
            return Err(why("is not read up to now yet"));
        }
        let partition = follower.fleet.partition(number).ok_or_else(|| why("is not followed"))?;
        // Entries for others tell the time as well.
        let log_ms = follower.fleet.log_time().max(partition.log_time());
        let age_ms = u64::try_from(follower.age(now).as_millis()).unwrap_or(u64::MAX);
        Ok((partition, log_ms.saturating_add(age_ms)))
    }
}

fn answer(partition: &Partition, now_ms: Millis, question: &Question) -> Result<Answer, AskError> {
    let token = |text| Token::parse(text).map_err(|_| strange("another engine"));
    let tenant = token(&question.tenant)?;
    let said = match &question.what {
        What::Session { user, session } => {
            let mut buffer = String::new();
            let address = Address::join(&mut buffer, tenant, token(user)?, token(session)?);
            let now = partition.present_session(address).map(Into::into);
            Said::Session { now, is_told: partition.policy().session_events }
        }
        What::Users(users) => Said::People(people(partition, tenant, users)),
        What::Page { states, after, limit } => {
            let page = partition.page(tenant, states, after.as_deref(), *limit);
            Said::People(page.into_iter().map(Person::from).collect())
        }
        What::Room(room) => Said::Room(partition.room_part(tenant, token(room)?, 0).tally.into()),
        What::Members { room, after, limit } => {
            let members = partition.members(tenant, token(room)?, after.as_deref(), *limit);
            let member = |(of, state): (Present, _)| Person { in_room: Some(state), ..of.into() };
            Said::People(members.into_iter().map(member).collect())
        }
        What::Ready { users, want } => {
            let readiness =
                |user: &String| Some((user.clone(), partition.readiness(tenant, Token::parse(user).ok()?, want)));
            Said::Ready(users.iter().filter_map(readiness).collect())
        }
        What::ReadyIn { room, want } => {
            let ready = partition.ready_in(tenant, token(room)?, want).into_iter();
            Said::ReadyIn(first_ready(ready.map(|(user, since, permille)| (user.into(), since, permille)).collect()))
        }
        What::Candidates { users, want, load } => {
            let candidate = |user: &String| partition.candidate(tenant, Token::parse(user).ok()?, want, load);
            Said::Candidates(users.iter().filter_map(candidate).collect())
        }
        What::CandidatesIn { room, want, load, order, id, limit } => {
            let (room, by) = ((tenant, token(room)?), (*order, id.as_str()));
            Said::Candidates(partition.candidates_in(room, (want, load), by, *limit))
        }
        What::Tenant => Said::Tenant(partition.knows_tenant(tenant)),
    };
    Ok(Answer { as_of_ms: partition.log_time(), now_ms, said })
}

fn people(partition: &Partition, tenant: Token<'_>, users: &BTreeSet<String>) -> Vec<Person> {
    let present = |user: &String| partition.present(tenant, Token::parse(user).ok()?).map(Person::from);
    users.iter().filter_map(present).collect()
}
