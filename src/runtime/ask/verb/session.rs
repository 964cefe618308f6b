//! `session`: the latest event, and how it is now. Also of somebody who is invisible: sessions are for operators and for the
//! user itself.

use tokio::time::Instant;

use super::may_be_told_by_now;
use crate::model::{State, Token};
use crate::runtime::ask::Desk;
use crate::wire::ask::owned::{Question, Said, What, strange};
use crate::wire::ask::{AbsentSession, Now, SessionQuestion, with_now};
use crate::wire::{AskError, ToldEvent, subject};

pub(in crate::runtime::ask) async fn answer(
    desk: &Desk,
    tenant: Token<'_>,
    payload: &[u8],
) -> Result<Vec<u8>, AskError> {
    let (tenant, SessionQuestion { user, session }) = (tenant.as_str(), SessionQuestion::read(payload)?);
    let subject = subject::session(&subject::session_key(tenant, &user, &session));
    let partitions = desk.partition_of(tenant, &user);
    let what = What::Session { user: user.clone(), session: session.clone() };
    let question = Question { tenant: tenant.to_owned(), partitions, at_least: 0, what };
    let began = Instant::now();
    loop {
        // The event first: how it is now may be newer, and is to be.
        let event = desk.latest(&subject).await?;
        let answer = desk.ask(&question).await?;
        let Said::Session { now, is_told } = answer.said else { return Err(strange("the owner")) };
        let Some(of) = now else {
            if event.is_none() {
                desk.must_know(tenant).await?;
            }
            let now = Now { state: State::Offline, confidence_permille: 0, at_ms: answer.as_of_ms };
            return Ok(AbsentSession::of(tenant, &user, &session, now).to_json());
        };
        let now = Now { state: of.state, confidence_permille: of.confidence_permille, at_ms: answer.as_of_ms };
        let there = event.filter(|event| says_that_it_is_there(event));
        if let Some(answer) = there.and_then(|event| with_now(&event, now).ok()) {
            return Ok(answer);
        }
        if !is_told || !may_be_told_by_now(began, of.told_at_ms, answer.as_of_ms).await {
            return Ok(AbsentSession::of(tenant, &user, &session, now).to_json());
        }
    }
}

fn says_that_it_is_there(event: &[u8]) -> bool {
    matches!(ToldEvent::read(event), Ok(ToldEvent::Session(session)) if session.to != State::Offline)
}
