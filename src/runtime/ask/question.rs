//! What the loop answers, from one partition at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::lasting::Lasting;
use super::split::users_by_partition;
use crate::fold::{Partition, Present};
use crate::model::{Address, Lack, Millis, Readiness, Token, Want};
use crate::runtime::follower::Followers;
use crate::runtime::live::Live;
use crate::wire::AskError;
use crate::wire::ask::owned::{Answer, Person, Question, Said, What, first_ready, strange};

/// Questions are answered for so long at a time, then the log is read on.
const TURN_MAX: Duration = Duration::from_millis(2);

/// A question on its way to the loop, about some of the question's partitions.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) partitions: BTreeSet<u16>,
    pub(crate) question: Arc<Question>,
    pub(crate) reply: oneshot::Sender<Answered>,
}

/// What the loop answers in one turn. Who asks about many, or about what takes long, asks again for the rest: so others get in
/// between, and entries of the log.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// What each partition that was asked says.
    pub(crate) answers: Vec<(u16, Answer)>,
    /// Those that can't be asked, and why the last of them can't.
    pub(crate) refused: Option<AskError>,
    /// Those that were not reached.
    pub(crate) left: BTreeSet<u16>,
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

    pub(crate) fn answer(&mut self, asked: Asked) {
        let Asked { partitions, question, reply } = asked;
        // Who asked may have gone meanwhile.
        if reply.is_closed() {
            return;
        }
        let Self { followers, lasting, ground, .. } = self;
        let users = users_by_partition(&question, ground.partitions);
        let now = Instant::now();
        let mut answered = Answered { left: partitions, ..Answered::default() };
        while let Some(number) = answered.left.pop_first() {
            let answer = askable(followers, number, question.at_least, now).and_then(|(partition, now_ms)| {
                let users = users.get(&number).map_or(&[][..], Vec::as_slice);
                answer(partition, now_ms, &question, users, lasting)
            });
            match answer {
                Ok(answer) => answered.answers.push((number, answer)),
                Err(error) => answered.refused = Some(error),
            }
            if now.elapsed() > TURN_MAX {
                break;
            }
        }
        reply.send(answered).ok();
    }
}

/// A partition that can be asked, and what the log's time may be by now: it is followed, and what is read of it is the log as
/// it is now.
fn askable(followers: &Followers, number: u16, at_least: u64, now: Instant) -> Result<(&Partition, Millis), AskError> {
    let why = |why: &str| AskError::Unavailable(format!("partition {number} {why}"));
    let follower = followers.follower_of(number).ok_or_else(|| why("is not followed yet, or no more"))?;
    if !follower.is_caught_up() {
        return Err(why("is being restored"));
    }
    if !follower.is_heard(now) {
        return Err(why("is not known now: nothing was read of the log for 3 s"));
    }
    if !follower.is_near_end() || follower.fleet.position() < at_least {
        return Err(why("is not read up to now yet"));
    }
    let partition = follower.fleet.partition(number).ok_or_else(|| why("is not followed"))?;
    // Entries for others tell the time as well.
    let log_ms = follower.fleet.log_time().max(partition.log_time());
    let age_ms = u64::try_from(follower.age(now).as_millis()).unwrap_or(u64::MAX);
    Ok((partition, log_ms.saturating_add(age_ms)))
}

/// What a partition says; `users` are those of the question's that are its own.
fn answer(
    partition: &Partition,
    now_ms: Millis,
    question: &Question,
    users: &[&String],
    lasting: &mut Lasting,
) -> Result<Answer, AskError> {
    let token = |text| Token::parse(text).map_err(|_| strange("another engine"));
    let tenant = token(&question.tenant)?;
    let said = match &question.what {
        What::Session { user, session } => {
            let mut buffer = String::new();
            let address = Address::join(&mut buffer, tenant, token(user)?, token(session)?);
            let now = partition.present_session(address).map(Into::into);
            Said::Session { now, is_told: partition.policy().session_events }
        }
        What::Users(_) => {
            let present = |user: &&String| partition.present(tenant, Token::parse(user).ok()?).map(Person::from);
            Said::People(users.iter().filter_map(present).collect())
        }
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
        What::Ready { want, lasting: is_lasting, .. } => {
            let mut looking = Looking { partition, tenant, want, lasting: lasting.wanted(*is_lasting, want) };
            let readiness = |user: &&String| Some(((*user).clone(), looking.readiness(Token::parse(user).ok()?)));
            Said::Ready(users.iter().filter_map(readiness).collect())
        }
        What::ReadyIn { room, want, lasting: is_lasting } => {
            let mut looking = Looking { partition, tenant, want, lasting: lasting.wanted(*is_lasting, want) };
            let ready = partition.ready_in(tenant, token(room)?, want).into_iter();
            let lasted = |(user, since_ms, permille): (Box<str>, Millis, u16)| {
                let since_ms = Token::parse(&user).map_or(since_ms, |user| looking.since(user, since_ms));
                (user.into(), since_ms, permille)
            };
            Said::ReadyIn(first_ready(ready.map(lasted).collect()))
        }
        What::Candidates { want, load, .. } => {
            let candidate = |user: &&String| partition.candidate(tenant, Token::parse(user).ok()?, want, load);
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

/// What is wanted of a partition's users, and what is remembered of it.
struct Looking<'a> {
    partition: &'a Partition,
    tenant: Token<'a>,
    want: &'a Want,
    lasting: Option<&'a mut Lasting>,
}

impl Looking<'_> {
    fn readiness(&mut self, user: Token<'_>) -> Readiness {
        match self.partition.readiness(self.tenant, user, self.want) {
            Readiness::Ready { since_ms, permille } => {
                Readiness::Ready { since_ms: self.since(user, since_ms), permille }
            }
            missing @ Readiness::Missing(lack) => {
                // Who isn't there, or is nobody, comes by an event, which says more than a look at nothing.
                if lack != Lack::Offline
                    && let Some(lasting) = &mut self.lasting
                {
                    lasting.broke(self.partition.number(), (self.tenant, user, self.want));
                }
                missing
            }
        }
    }

    /// Since when somebody has been ready who has been so since `since_ms` at least.
    fn since(&mut self, user: Token<'_>, since_ms: Millis) -> Millis {
        let Self { partition, tenant, want, lasting } = self;
        let Some(lasting) = lasting else { return since_ms };
        let carriers = partition.carriers(*tenant, user, want);
        lasting.since(partition.number(), (*tenant, user, want), since_ms, carriers)
    }
}
