//! `history`: what a user was over time, and who was here at some time, from what is kept of it.

use std::collections::BTreeSet;

use crate::model::Token;
use crate::runtime::ask::Desk;
use crate::runtime::history::{self, Reach};
use crate::wire::AskError;
use crate::wire::ask::owned::{Question, What};
use crate::wire::ask::{ASK_BYTES_MAX, HistoryAnswer, HistoryQuestion};

pub(in crate::runtime::ask) async fn answer(
    desk: &Desk,
    tenant: Token<'_>,
    payload: &[u8],
) -> Result<Vec<u8>, AskError> {
    if payload.len() > ASK_BYTES_MAX {
        return Err(AskError::TooLarge { size: payload.len(), limit: ASK_BYTES_MAX });
    }
    let question: HistoryQuestion = serde_json::from_slice(payload)
        .map_err(|error| AskError::Malformed(format!("the question is no JSON object of `history`: {error}")))?;
    question.check()?;
    // Any partition knows the log's time.
    let clock =
        Question { tenant: tenant.to_string(), partitions: BTreeSet::from([0]), at_least: 0, what: What::Tenant };
    let now_ms = desk.ask(&clock).await?.now_ms;
    // Each of them reads much: a few at a time.
    let turn = desk.histories.acquire().await.map_err(|_| AskError::Unavailable("the engine ends".into()))?;
    let reach = Reach { partitions: desk.partitions, events_max: desk.history_events };
    let answer = history::answer(&desk.nats, tenant, &question, now_ms, reach).await?;
    drop(turn);
    let is_nothing = match &answer {
        HistoryAnswer::User(of) => of.kept_from_ms.is_none(),
        HistoryAnswer::Time(of) => of.kept_from_ms.is_none(),
    };
    if is_nothing {
        desk.must_know(tenant.as_str()).await?;
    }
    Ok(answer.to_json())
}
