//! Questions of clients: each is answered in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Desk, verb};
use crate::model::Token;
use crate::nats::service::Question;
use crate::wire::AskError;
use crate::wire::ask::Verb;

/// Most questions that wait for a task.
const WAITING_MAX: usize = 64;
/// How long is waited for an engine that is about to take part.
const BEGIN_MAX: Duration = Duration::from_secs(2);
/// How long the last questions may take when the engine ends.
const LAST_MAX: Duration = Duration::from_secs(2);

/// Those who answer; questions that are asked after it ended find nobody.
#[derive(Debug)]
pub(crate) struct Serving {
    task: JoinHandle<()>,
    turns: Arc<Semaphore>,
    at_once: u32,
}

impl Serving {
    /// Answers what comes by the returned way, so many at a time, from whichever desk there is.
    pub(crate) fn start(desks: watch::Receiver<Option<Arc<Desk>>>, at_once: usize) -> (Self, mpsc::Sender<Question>) {
        let (questions, mut waiting) = mpsc::channel::<Question>(WAITING_MAX);
        let turns = Arc::new(Semaphore::new(at_once));
        let free = Arc::clone(&turns);
        let task = tokio::spawn(async move {
            while let Some(question) = waiting.recv().await {
                let Ok(turn) = Arc::clone(&free).try_acquire_owned() else {
                    let (limit, max) = ("limits.questions", at_once as u64);
                    question.answer(Err(AskError::TooMany { limit, max })).await;
                    continue;
                };
                let desks = desks.clone();
                tokio::spawn(async move {
                    let answer = answer(desks, &question).await;
                    question.answer(answer).await;
                    drop(turn);
                });
            }
        });
        (Self { task, turns, at_once: u32::try_from(at_once).unwrap_or(u32::MAX) }, questions)
    }

    /// Takes no more questions, and waits a while for those that are being answered.
    pub(crate) async fn end(self) {
        // The way to it is closed by now, so it ends once all are on their way.
        timeout(LAST_MAX, async {
            self.task.await.ok();
            self.turns.acquire_many(self.at_once).await.ok();
        })
        .await
        .ok();
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
    }
}
