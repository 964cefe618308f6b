//! Questions of clients: each is answered in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Desk, verb};
use crate::config::EngineLimits;
use crate::model::Token;
use crate::nats::service::Question;
use crate::wire::AskError;
use crate::wire::ask::Verb;

/// How long is waited for an engine that is about to take part.
const BEGIN_MAX: Duration = Duration::from_secs(2);
/// How long the last questions may take when the engine ends.
const LAST_MAX: Duration = Duration::from_secs(2);

/// Those who answer; questions that are asked after it ended find nobody.
#[derive(Debug)]
pub(crate) struct Serving {
    task: JoinHandle<()>,
    turns: Turns,
    end: watch::Sender<bool>,
}

/// How many are answered at a time. Those that wait hinder no others.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    questions: Arc<Semaphore>,
    waits: Arc<Semaphore>,
    questions_max: usize,
    waits_max: usize,
}

impl Serving {
    /// Answers what comes by the returned way, so many at a time, from whichever desk there is.
    pub(crate) fn start(
        desks: watch::Receiver<Option<Arc<Desk>>>,
        limits: &EngineLimits,
    ) -> (Self, mpsc::Sender<Question>) {
        // As many as may be at it: a burst of them is taken as fast as tasks can be begun.
        let (questions, mut waiting) = mpsc::channel::<Question>(limits.questions + limits.waits);
        let turns = Turns::new(limits);
        let free = turns.clone();
        let (end, ends) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Some(question) = waiting.recv().await {
                let turn = match free.take(question.verb == Verb::Wait) {
                    Ok(turn) => turn,
                    Err(error) => {
                        question.answer(Err(error)).await;
                        continue;
                    }
                };
                let (desks, mut ending) = (desks.clone(), ends.clone());
                tokio::spawn(async move {
                    let answer = tokio::select! {
                        answer = answer(desks, &question) => answer,
                        // Who waits is answered by another engine; others are answered still.
                        _ = ending.wait_for(|ends| *ends), if question.verb == Verb::Wait => {
                            Err(AskError::Unavailable("the engine ends".into()))
                        }
                    };
                    question.answer(answer).await;
                    drop(turn);
                });
            }
        });
        (Self { task, turns, end }, questions)
    }

    /// Takes no more questions, and waits a while for those that are being answered; who waits asks another engine.
    pub(crate) async fn end(self) {
        self.end.send_replace(true);
        let all = u32::try_from(self.turns.questions_max).unwrap_or(u32::MAX);
        let waits = u32::try_from(self.turns.waits_max).unwrap_or(u32::MAX);
        // The way to it is closed by now, so it ends once all are on their way.
        timeout(LAST_MAX, async {
            self.task.await.ok();
            self.turns.questions.acquire_many(all).await.ok();
            self.turns.waits.acquire_many(waits).await.ok();
        })
        .await
        .ok();
    }
}

impl Turns {
    pub(super) fn new(limits: &EngineLimits) -> Self {
        Self {
            questions: Arc::new(Semaphore::new(limits.questions)),
            waits: Arc::new(Semaphore::new(limits.waits)),
            questions_max: limits.questions,
            waits_max: limits.waits,
        }
    }

    /// A turn of one who waits, or of another question.
    pub(super) fn take(&self, waits: bool) -> Result<OwnedSemaphorePermit, AskError> {
        let (free, limit, max) = if waits {
            (&self.waits, "limits.waits", self.waits_max)
        } else {
            (&self.questions, "limits.questions", self.questions_max)
        };
        Arc::clone(free).try_acquire_owned().map_err(|_| AskError::TooMany { limit, max: max as u64 })
    }
}

async fn answer(mut desks: watch::Receiver<Option<Arc<Desk>>>, question: &Question) -> Result<Vec<u8>, AskError> {
    let tenant = question.tenant();
    let tenant =
        Token::parse(tenant).map_err(|error| AskError::Malformed(format!("the tenant in the subject: {error}")))?;
    let desk = timeout(BEGIN_MAX, desks.wait_for(Option::is_some)).await.ok().and_then(Result::ok);
    let desk = desk
        .and_then(|desk| desk.clone())
        .ok_or_else(|| AskError::Unavailable("the engine is about to begin".into()))?;
    match question.verb {
        Verb::Session => verb::session::answer(&desk, tenant, question.payload()).await,
        Verb::User => verb::user::answer(&desk, tenant, question.payload()).await,
        Verb::Users => verb::users::answer(&desk, tenant, question.payload()).await,
        Verb::Room => verb::room::answer(&desk, tenant, question.payload()).await,
        Verb::Wait => verb::wait::answer(&desk, tenant, question.payload()).await,
        Verb::History => verb::history::answer(&desk, tenant, question.payload()).await,
        Verb::Route => verb::route::answer(&desk, tenant, question.payload()).await,
    }
}
