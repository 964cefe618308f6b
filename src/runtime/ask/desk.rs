//! A desk: asks partitions wherever they are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::split::{Split, parts};
use super::{Asked, Interests, Looks, Waits};
use crate::model::partition_of;
use crate::nats::{self, Nats, View, told};
use crate::wire::AskError;
use crate::wire::ask::owned::{self, Answer, Question, What};

/// How long one owner may take.
const OWNER_MAX: Duration = Duration::from_secs(2);
/// How long is asked again where an owner is gone, or has not caught up.
const AGAIN_MAX: Duration = Duration::from_secs(4);
/// The pause before, unless the view changes.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks the partitions of a log, those of the own engine in its loop and the others over NATS. It is one life's.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) nats: Nats,
    /// How many partitions the log has.
    pub(crate) partitions: u16,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) questions: mpsc::Sender<Asked>,
    pub(crate) interests: Interests,
    pub(crate) looks: Looks,
    pub(crate) waits: Waits,
    /// The pattern of rooms that count as load.
    pub(crate) load_rooms: String,
    /// Questions about the past that are read for at the same time.
    pub(crate) histories: Semaphore,
    /// Most messages that one of them reads.
    pub(crate) history_events: u64,
}

impl Desk {
    /// The partition of a user, names are tokens.
    pub(crate) fn partition_of(&self, tenant: &str, user: &str) -> BTreeSet<u16> {
        BTreeSet::from([partition_of(tenant, user, self.partitions)])
    }

    /// All partitions.
    pub(crate) fn all(&self) -> BTreeSet<u16> {
        (0..self.partitions).collect()
    }

    /// Asks the owners of partitions, and again for some seconds where one is gone or has not caught up.
    ///
    /// # Errors
    /// [`AskError::Unavailable`]: at least one of them can't be asked. [`AskError::Malformed`]: never will be.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Answer, AskError> {
        let until = Instant::now() + AGAIN_MAX;
        let mut view = self.view.clone();
        let mut left = question.partitions.clone();
        let mut answers = Vec::new();
        loop {
            let split = Split::of(&view.borrow_and_update().clone(), &left);
            let mut why = split.nobodys.first().map(|partition| nobodys(*partition));
            for (asked, answer) in self.ask_each(question, split).await {
                match answer {
                    Ok(answer) => {
                        left.retain(|partition| !asked.contains(partition));
                        answers.push(answer);
                    }
                    Err(error @ AskError::Unavailable(_)) => why = Some(error),
                    Err(error) => return Err(error),
                }
            }
            let Some(why) = why else { return Answer::all(&question.what, answers) };
            if Instant::now() >= until {
                return Err(why);
            }
            // Whether it changed or not: what was not known a moment ago may be known now.
            timeout(PAUSE, view.changed()).await.ok();
        }
    }

    /// Asks each owner once, all at the same time.
    async fn ask_each(&self, question: &Question, split: Split) -> Vec<(BTreeSet<u16>, Result<Answer, AskError>)> {
        let (engines, sets): (Vec<String>, Vec<BTreeSet<u16>>) = split.others.into_iter().unzip();
        let mut parts = parts(question, [split.own].into_iter().chain(sets).collect(), self.partitions);
        let own = Arc::new(parts.remove(0));
        let others = engines.iter().zip(parts).map(async |(engine, part)| {
            let answer = self.ask_other(engine, &part).await;
            (part.partitions, answer)
        });
        let ((answers, refused), others) = futures::join!(self.ask_loop(&own), join_all(others));
        let mut each: Vec<_> =
            answers.into_iter().map(|(number, answer)| (BTreeSet::from([number]), Ok(answer))).collect();
        each.extend(refused.map(|error| (BTreeSet::new(), Err(error))));
        each.extend(others);
        each
    }

    async fn ask_other(&self, engine: &str, question: &Question) -> Result<Answer, AskError> {
        let answer = nats::owned::ask(&self.nats, engine, owned::FOLD, question.to_json(), OWNER_MAX).await?;
        Answer::from_json(&answer).map_err(|_| owned::strange(engine))
    }

    /// Asks the own loop once.
    ///
    /// # Errors
    /// [`AskError::Unavailable`]: at least one of the partitions is not the own engine's, or not as the log is now.
    pub(crate) async fn ask_own(&self, question: &Arc<Question>) -> Result<Answer, AskError> {
        match self.ask_loop(question).await {
            (_, Some(error)) => Err(error),
            (answers, None) => Answer::all(&question.what, answers.into_iter().map(|(_, answer)| answer).collect()),
        }
    }

    /// Asks the own loop until it has answered for all partitions; what each says, and why those that can't be asked can't.
    async fn ask_loop(&self, question: &Arc<Question>) -> (Vec<(u16, Answer)>, Option<AskError>) {
        let (mut left, mut answers, mut refused) = (question.partitions.clone(), Vec::new(), None);
        while !left.is_empty() {
            let why = |why: &str| AskError::Unavailable(format!("{} of its partitions {why}", left.len()));
            let (reply, answer) = oneshot::channel();
            let asked = Asked { partitions: left.clone(), question: Arc::clone(question), reply };
            let asking = async {
                self.questions.send(asked).await.ok()?;
                answer.await.ok()
            };
            match timeout(OWNER_MAX, asking).await {
                Ok(Some(answered)) => {
                    answers.extend(answered.answers);
                    refused = answered.refused.or(refused);
                    left = answered.left;
                }
                Ok(None) => return (answers, Some(why("are handed over"))),
                Err(_) => {
                    let busy = why(&format!("were not asked within {OWNER_MAX:?}, their engine is busy"));
                    return (answers, Some(busy));
                }
            }
        }
        (answers, refused)
    }

    /// Where `PRESENCE_EVENTS` ends.
    pub(crate) async fn events_end(&self) -> Result<u64, AskError> {
        told::last_seq(&self.nats).await.map_err(|error| unread(&error))
    }

    /// What `PRESENCE_EVENTS` has last under a filter.
    pub(crate) async fn latest(&self, filter: &str) -> Result<Option<bytes::Bytes>, AskError> {
        told::latest(&self.nats, filter).await.map_err(|error| unread(&error))
    }

    /// Fails where nobody was ever heard of under a tenant.
    pub(crate) async fn must_know(&self, tenant: &str) -> Result<(), AskError> {
        let filter = crate::wire::subject::user(&format!("{tenant}.>"));
        if self.latest(&filter).await?.is_some() {
            return Ok(());
        }
        let question = Question { tenant: tenant.to_owned(), partitions: self.all(), at_least: 0, what: What::Tenant };
        match self.ask(&question).await?.said {
            owned::Said::Tenant(true) => Ok(()),
            owned::Said::Tenant(false) => Err(AskError::UnknownTenant(crate::wire::plain(tenant).into_owned())),
            owned::Said::Session { .. }
            | owned::Said::People(_)
            | owned::Said::Room(_)
            | owned::Said::Ready(_)
            | owned::Said::ReadyIn(_)
            | owned::Said::Candidates(_) => Err(owned::strange("an owner")),
        }
    }
}

fn nobodys(partition: u16) -> AskError {
    AskError::Unavailable(format!("nobody owns partition {partition} now"))
}

fn unread(error: &str) -> AskError {
    AskError::Unavailable(format!("PRESENCE_EVENTS can't be read: {error}"))
}
