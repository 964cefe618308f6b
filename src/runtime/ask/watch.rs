//! Watching what an owner would answer: it answers when that is another than what is known.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until, timeout};

use super::Desk;
use super::interest::About;
use crate::nats;
use crate::wire::AskError;
use crate::wire::ask::owned::{Answer, Question, Said, WATCH, What, strange};

/// An owner answers after so long at the latest, whether something has changed or not.
const WATCH_MAX: Duration = Duration::from_secs(5);
/// So often it looks by itself: confidence falls and rises without an event.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// What others saw so long ago does for that, if nothing was committed since.
const LOOK_SHARED: Duration = Duration::from_millis(500);
/// At least so long lies between two looks: who is woken often is answered of all of it together.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// How much longer an answer may take than it is held.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What is watched, and what of it is known.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Watched {
    question: Question,
    known: Option<Said>,
}

impl Watched {
    pub(crate) fn from_json(payload: &[u8]) -> Result<Self, AskError> {
        serde_json::from_slice(payload).map_err(|error| AskError::Malformed(error.to_string()))
    }

    /// Answers from the own loop.
    pub(crate) async fn answer(self, desk: &Desk) -> Result<Answer, AskError> {
        desk.watch_own(self.question, self.known).await
    }
}

impl Desk {
    /// What the own loop answers, once that is another than what is known, or after a while.
    ///
    /// # Errors
    /// As [`Desk::ask_own`].
    pub(crate) async fn watch_own(&self, question: Question, known: Option<Said>) -> Result<Answer, AskError> {
        // Registered before it is looked: what is not seen is committed afterwards, and wakes.
        let interest = self.interests.register(about(&question));
        let look = self.looks.at(question);
        let begun = Instant::now();
        let until = begun + WATCH_MAX;
        loop {
            let now = Instant::now();
            // Who asks for the first time is told how it is now; who asks again, whether it is another than before.
            let since = if known.is_none() {
                begun
            } else {
                now.checked_sub(LOOK_SHARED).map_or(now, |shared| interest.woken_at().max(shared))
            };
            let answer = look.since(since, self).await?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || known.as_ref().is_none_or(|known| !answer.said.is_like(known)) {
                return Ok(Answer::clone(&answer));
            }
            let looked = Instant::now();
            timeout(left.min(LOOK_AGAIN), interest.woken()).await.ok();
            sleep_until(looked + LOOK_PAUSE).await;
        }
    }

    /// The same of another engine's.
    ///
    /// # Errors
    /// [`AskError::Unavailable`].
    pub(crate) async fn watch_other(
        &self,
        engine: &str,
        question: &Question,
        known: Option<Said>,
    ) -> Result<Answer, AskError> {
        let watched = Watched { question: question.clone(), known };
        let payload = serde_json::to_vec(&watched).map_err(|_| strange("this engine"))?;
        let answer = nats::owned::ask(&self.nats, engine, WATCH, payload, WATCH_MAX + ANSWER_MAX).await?;
        Answer::from_json(&answer).map_err(|_| strange(engine))
    }
}

/// What a commit has to be about to change an answer.
fn about(question: &Question) -> Vec<About> {
    let tenant = &question.tenant;
    let user = |user: &String| About::User(format!("{tenant}.{user}").into());
    match &question.what {
        What::Ready { users, .. } => users.iter().map(user).collect(),
        What::ReadyIn { room, .. } => vec![About::Room(format!("{tenant}.{room}").into())],
        What::Session { .. }
        | What::Users(_)
        | What::Page { .. }
        | What::Room(_)
        | What::Members { .. }
        | What::Candidates { .. }
        | What::CandidatesIn { .. }
        | What::Tenant => Vec::new(),
    }
}
