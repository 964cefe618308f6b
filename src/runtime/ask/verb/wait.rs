//! `wait`: until that many are ready, instead of ringing.
//!
//! Each owner of some of those who are waited for is watched: it answers when what is so is another than what was known. What
//! counts is always what owners say; being woken only makes them look.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::debug;

use crate::model::{Lack, Millis, Readiness, Token, partition_of};
use crate::runtime::ask::Desk;
use crate::runtime::ask::split::{Split, parts};
use crate::wire::ask::owned::{Answer, Question, Said, What, strange};
use crate::wire::ask::wait::{Among, MissingUser, ReadyUser, Wait, WaitStatus};
use crate::wire::ask::{WaitAnswer, WaitQuestion};
use crate::wire::{AskError, plain};

/// The pause before owners are asked again that could not be.
const PAUSE: Duration = Duration::from_millis(100);
/// How much longer than was asked owners may take to say how it is.
const GRACE: Duration = Duration::from_secs(2);
/// Most of a room's members that an answer names.
const NAMED_MAX: usize = 256;

pub(in crate::runtime::ask) async fn answer(
    desk: &Desk,
    tenant: Token<'_>,
    payload: &[u8],
) -> Result<Vec<u8>, AskError> {
    let wait = WaitQuestion::read(payload)?;
    let _turn = desk.waits.begin(tenant.as_str())?;
    let answer = Waiting::new(desk, tenant.as_str(), wait).run().await?;
    if answer.ready.is_empty() && answer.missing.iter().all(|of| of.why == "offline") {
        desk.must_know(tenant.as_str()).await?;
    }
    Ok(answer.to_json())
}

/// A question that waits for its answer.
struct Waiting<'a> {
    desk: &'a Desk,
    wait: Wait,
    question: Question,
    until: Instant,
    held: Held,
    /// What is known, as it would be answered now.
    judged: Option<Judged>,
}

/// Since when somebody has been seen to be ready without a break.
#[derive(Debug, Default)]
struct Held {
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    since_ms: Millis,
    /// For how long it had been when it was seen so first, and when that was.
    had_ms: Millis,
    first: Instant,
}

struct Judged {
    answer: WaitAnswer,
    /// When somebody will have been ready for long enough.
    next: Option<Instant>,
}

impl<'a> Waiting<'a> {
    fn new(desk: &'a Desk, tenant: &str, wait: Wait) -> Self {
        let (want, lasting) = (wait.want.clone(), wait.hold_ms > 0);
        let (partitions, what) = match &wait.among {
            Among::Users(users) => {
                let partitions = users.iter().map(|user| partition_of(tenant, user, desk.partitions)).collect();
                (partitions, What::Ready { users: users.iter().cloned().collect(), want, lasting })
            }
            Among::Room(room) => (desk.all(), What::ReadyIn { room: room.clone(), want, lasting }),
        };
        Self {
            desk,
            question: Question { tenant: tenant.to_owned(), partitions, at_least: 0, what },
            until: Instant::now() + Duration::from_millis(wait.timeout_ms),
            wait,
            held: Held::default(),
            judged: None,
        }
    }

    async fn run(mut self) -> Result<WaitAnswer, AskError> {
        loop {
            if let Some(answer) = self.watch().await? {
                return Ok(answer);
            }
            if Instant::now() >= self.until + GRACE {
                let why = "not all owners of whom you wait for could be asked";
                return self.judged.ok_or_else(|| AskError::Unavailable(why.into())).map(|judged| judged.answer);
            }
        }
    }

    /// Watches the owners as they are; `None` where all of them have to be looked at anew: they are others now, or somebody may
    /// have been ready for long enough, which only they can say.
    async fn watch(&mut self) -> Result<Option<WaitAnswer>, AskError> {
        let (desk, question) = (self.desk, self.question.clone());
        let mut view = desk.view.clone();
        let split = Split::of(&view.borrow_and_update().clone(), &question.partitions);
        if !split.nobodys.is_empty() {
            if let Ok(Err(_)) = timeout(PAUSE, view.changed()).await {
                return Err(ends());
            }
            return Ok(None);
        }
        let own = Some((None, split.own)).filter(|(_, own)| !own.is_empty());
        let others = split.others.into_iter().map(|(engine, partitions)| (Some(engine), partitions));
        let groups: Vec<(Option<String>, BTreeSet<u16>)> = own.into_iter().chain(others).collect();
        let sets = groups.iter().map(|(_, partitions)| partitions.clone()).collect();
        let parts = parts(&question, sets, desk.partitions);
        let look = async |at: usize, known: Option<Said>, pause: Duration| {
            sleep(pause).await;
            let answer = match &groups[at].0 {
                None => desk.watch_own(parts[at].clone(), known).await,
                Some(engine) => desk.watch_other(engine, &parts[at], known).await,
            };
            (at, answer)
        };
        let mut looks: FuturesUnordered<_> = (0..parts.len()).map(|at| look(at, None, Duration::ZERO)).collect();
        let mut said: Vec<Option<Answer>> = vec![None; parts.len()];
        loop {
            let is_known = said.iter().all(Option::is_some);
            let next = self.judged.as_ref().filter(|_| is_known).and_then(|judged| judged.next);
            let until = if is_known { self.until } else { self.until + GRACE };
            tokio::select! {
                biased;
                Some((at, answer)) = looks.next() => match answer {
                    Ok(answer) => {
                        looks.push(look(at, Some(answer.said.clone()), Duration::ZERO));
                        said[at] = Some(answer);
                    }
                    // What it said before may be true no more. The others go on being watched.
                    Err(error) => {
                        debug!(%error, "an owner of whom somebody waits for can't be asked, trying again");
                        looks.push(look(at, None, PAUSE));
                        said[at] = None;
                    }
                },
                changed = view.changed() => {
                    changed.map_err(|_| ends())?;
                    let split = Split::of(&view.borrow_and_update().clone(), &question.partitions);
                    let is_same = |(engine, partitions): &(Option<String>, BTreeSet<u16>)| match engine {
                        None => split.own == *partitions,
                        Some(engine) => split.others.get(engine) == Some(partitions),
                    };
                    if !groups.iter().all(is_same) {
                        return Ok(None);
                    }
                    continue;
                }
                () = sleep_until(next.unwrap_or(until)), if next.is_some_and(|next| next < until) => return Ok(None),
                () = sleep_until(until) => {
                    return Ok(self.judged.take().filter(|_| is_known).map(|judged| judged.answer));
                }
            }
            let now = Instant::now();
            let Some(answers) = said.iter().cloned().collect::<Option<Vec<_>>>() else { continue };
            let judged = judge(&self.wait, Answer::all(&question.what, answers)?, &mut self.held, now)?;
            if judged.answer.status == WaitStatus::Ready || now >= self.until {
                return Ok(Some(judged.answer));
            }
            self.judged = Some(judged);
        }
    }
}

/// The engine ends, or begins anew: whoever asks again is answered by one that goes on.
fn ends() -> AskError {
    AskError::Unavailable("the engine that was asked ends or begins anew".into())
}

/// What follows for a question from what all owners say.
fn judge(wait: &Wait, all: Answer, held: &mut Held, now: Instant) -> Result<Judged, AskError> {
    let (mut ready, mut missing, mut next) = (Vec::new(), Vec::new(), None);
    let mut take = |user: &str, since_ms: Millis, permille: u16| {
        let enough = held.enough(user, since_ms, all.now_ms, wait.hold_ms, now);
        let user = plain(user).into_owned();
        if enough <= now {
            ready.push(ReadyUser { user, since_ms, confidence_permille: permille });
            return true;
        }
        next = Some(next.map_or(enough, |next: Instant| next.min(enough)));
        false
    };
    match (&wait.among, &all.said) {
        (Among::Users(users), Said::Ready(found)) => {
            for user in users {
                let lack = match found.get(user) {
                    Some(Readiness::Ready { since_ms, permille }) => {
                        if take(user, *since_ms, *permille) {
                            continue;
                        }
                        Lack::Holding
                    }
                    Some(Readiness::Missing(lack)) => *lack,
                    None => Lack::Offline,
                };
                missing.push(MissingUser::new(plain(user).into_owned(), lack));
            }
            let missed: BTreeSet<&String> =
                users.iter().filter(|user| !matches!(found.get(*user), Some(Readiness::Ready { .. }))).collect();
            held.seen.retain(|user, _| !missed.contains(user));
        }
        (Among::Room(_), Said::ReadyIn(found)) => {
            for (user, since_ms, permille) in found {
                take(user, *since_ms, *permille);
            }
            held.seen.retain(|user, _| found.iter().any(|(name, ..)| name == user));
        }
        (Among::Users(_) | Among::Room(_), _) => return Err(strange("an owner")),
    }
    ready.sort_by_key(|of| of.since_ms);
    let short = wait.need.saturating_sub(ready.len());
    if let Among::Room(_) = wait.among {
        ready.truncate(NAMED_MAX);
    }
    let status = if short == 0 { WaitStatus::Ready } else { WaitStatus::Pending };
    let (id, short, as_of_ms) = (wait.id.clone(), short as u64, all.as_of_ms);
    Ok(Judged { answer: WaitAnswer { id, status, ready, missing, short, as_of_ms }, next })
}

impl Held {
    /// When somebody who is ready since `since_ms` will have been for `hold_ms`, if nothing else comes; then it is looked at again.
    fn enough(&mut self, user: &str, since_ms: Millis, now_ms: Millis, hold_ms: Millis, now: Instant) -> Instant {
        let had_ms = now_ms.saturating_sub(since_ms);
        let fresh = Seen { since_ms, had_ms, first: now };
        let seen = match self.seen.get(user) {
            Some(seen) if seen.since_ms == since_ms => *seen,
            Some(_) | None => fresh,
        };
        self.seen.insert(user.to_owned(), seen);
        let by_first = seen.first + Duration::from_millis(hold_ms.saturating_sub(seen.had_ms));
        by_first.min(now + Duration::from_millis(hold_ms.saturating_sub(had_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Want;

    fn wait(users: &[&str], need: usize, hold_ms: Millis) -> Wait {
        let want = Want { capability: None, min_permille: None };
        let among = Among::Users(users.iter().map(|user| (*user).to_owned()).collect());
        Wait { id: "x".into(), among, need, want, hold_ms, timeout_ms: 1_000 }
    }

    fn said(as_of_ms: Millis, users: &[(&str, Readiness)]) -> Answer {
        let said = Said::Ready(users.iter().map(|(user, of)| ((*user).to_owned(), *of)).collect());
        Answer { as_of_ms, now_ms: as_of_ms, said }
    }

    fn since(since_ms: Millis) -> Readiness {
        Readiness::Ready { since_ms, permille: 1_000 }
    }

    fn lacks(answer: &WaitAnswer) -> Vec<(&str, &str)> {
        answer.missing.iter().map(|of| (of.user.as_str(), &*of.why)).collect()
    }

    #[test]
    fn as_many_as_are_needed_are_enough_and_others_are_named_with_what_they_lack() {
        let all = said(100, &[("ada", since(90)), ("bob", Readiness::Missing(Lack::Intent))]);
        let users = ["ada", "bob", "car=40l"];
        let judged = judge(&wait(&users, 2, 0), all.clone(), &mut Held::default(), Instant::now()).unwrap().answer;
        assert_eq!((judged.status, judged.short), (WaitStatus::Pending, 1));
        assert_eq!(lacks(&judged), [("bob", "intent"), ("car@l", "offline")]);
        let judged = judge(&wait(&users, 1, 0), all, &mut Held::default(), Instant::now()).unwrap().answer;
        assert_eq!((judged.status, judged.ready[0].user.as_str()), (WaitStatus::Ready, "ada"));
    }

    #[test]
    fn readiness_has_to_last_and_a_flicker_starts_it_anew() {
        let (wait, mut held, start) = (wait(&["ada"], 1, 500), Held::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let mut look = |all, now| judge(&wait, all, &mut held, at(now)).unwrap();
        let judged = look(said(1_000, &[("ada", since(900))]), 0);
        assert_eq!((lacks(&judged.answer), judged.next), (vec![("ada", "holding")], Some(at(400))));
        // The log stands still where nothing comes; the moment at which it was seen first counts.
        assert_eq!(look(said(1_000, &[("ada", since(900))]), 399).answer.status, WaitStatus::Pending);
        look(said(1_000, &[("ada", Readiness::Missing(Lack::Closed))]), 399);
        let again = look(said(1_390, &[("ada", since(1_390))]), 400);
        assert_eq!((again.answer.status, again.next), (WaitStatus::Pending, Some(at(900))));
        assert_eq!(look(said(1_390, &[("ada", since(1_390))]), 900).answer.status, WaitStatus::Ready);
    }

    #[test]
    fn whoever_has_been_ready_for_long_enough_is_so_at_once() {
        let judged =
            judge(&wait(&["ada"], 1, 500), said(1_000, &[("ada", since(500))]), &mut Held::default(), Instant::now());
        assert_eq!(judged.unwrap().answer.status, WaitStatus::Ready);
    }
}
