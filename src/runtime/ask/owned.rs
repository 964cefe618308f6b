//! Questions of other engines about the own partitions.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Desk;
use super::serve::Turns;
use super::watch::Watched;
use crate::config::EngineLimits;
use crate::nats::Nats;
use crate::nats::owned::{Listening, OwnedQuestion};
use crate::wire::AskError;
use crate::wire::ask::owned::{FOLD, Question, WATCH};

/// Most questions of other engines that wait for a task.
const WAITING_MAX: usize = 256;

/// An engine that listens for the others: they can ask once it begins to answer, until it is dropped.
#[derive(Debug)]
pub(crate) struct Owned {
    _listening: Listening,
    waiting: Option<mpsc::Receiver<OwnedQuestion>>,
}

impl Owned {
    /// Listens by this name.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn listen(nats: &Nats, engine: &str) -> Result<Self, String> {
        let (questions, waiting) = mpsc::channel(WAITING_MAX);
        let listening = Listening::start(nats, engine, questions).await?;
        Ok(Self { _listening: listening, waiting: Some(waiting) })
    }

    /// Answers from `desk`, so many questions and so many that watch at a time; those that watch hinder no others.
    pub(crate) fn answer(&mut self, desk: &Arc<Desk>, limits: &EngineLimits) {
        let (Some(mut waiting), desk) = (self.waiting.take(), Arc::clone(desk)) else { return };
        let turns = Turns::new(limits);
        tokio::spawn(async move {
            while let Some(question) = waiting.recv().await {
                let turn = match turns.take(question.verb() == WATCH) {
                    Ok(turn) => turn,
                    Err(error) => {
                        question.answer(Err(error)).await;
                        continue;
                    }
                };
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    let answer = of(&desk, &question).await;
                    question.answer(answer).await;
                    drop(turn);
                });
            }
        });
    }
}

async fn of(desk: &Desk, question: &OwnedQuestion) -> Result<Vec<u8>, AskError> {
    match question.verb() {
        FOLD => {
            let question = Question::from_json(question.payload());
            let question = question.map_err(|error| AskError::Malformed(error.to_string()))?;
            Ok(desk.ask_own(&Arc::new(question)).await?.to_json())
        }
        WATCH => Ok(Watched::from_json(question.payload())?.answer(desk).await?.to_json()),
        _ => Err(AskError::Malformed("the verb is unknown: engines of different versions?".into())),
    }
}
