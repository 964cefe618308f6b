//! Somebody is held, so that two don't turn to one person.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::answer::Candidate;
use super::ask::Ask;
use super::{Error, Route};
use crate::model::Millis;

/// Who is best to turn to, and who of them is held.
#[derive(Debug)]
#[non_exhaustive]
pub struct Routed {
    /// Best first.
    pub routes: Vec<Candidate>,
    /// The first, if it was to be held and could be.
    pub reservation: Option<Reservation>,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
}

/// Somebody who is held for one id: nobody else is routed there until it is released or time is over.
///
/// Dropping it releases it, as far as it is dropped within a tokio runtime that goes on for a moment; else it ends by itself at
/// [`until_ms`](Self::until_ms). Whoever asks again with the same id holds the same person for longer: [`keep`](Self::keep) the older
/// one then.
#[derive(Debug)]
pub struct Reservation {
    user: String,
    until_ms: Millis,
    id: String,
    /// Nothing once it has been released.
    ask: Option<Ask>,
}

/// An engine's answer.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    routes: Vec<Candidate>,
    reserved: Option<Reserved>,
    as_of_ms: Millis,
}

#[derive(Debug, Deserialize)]
struct Reserved {
    user: String,
    until_ms: Millis,
}

impl Answer {
    pub(super) fn routed(self, ask: &Ask, route: &Route) -> Routed {
        let reservation = self.reserved.map(|Reserved { user, until_ms }| Reservation {
            user,
            until_ms,
            id: route.id.clone(),
            ask: Some(ask.clone()),
        });
        Routed { routes: self.routes, reservation, as_of_ms: self.as_of_ms }
    }
}

/// How long a release is tried.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

impl Reservation {
    /// Who is held.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Until when, in the log's time.
    #[must_use]
    pub fn until_ms(&self) -> Millis {
        self.until_ms
    }

    /// Lets the person go, and waits until an engine has done so.
    ///
    /// # Errors
    /// Any [`Error`] of a question; then it ends by itself.
    pub async fn release(mut self) -> Result<(), Error> {
        match self.ask.take() {
            Some(ask) => release(&ask, &self.id).await,
            None => Ok(()),
        }
    }

    /// Lets it end by itself instead of releasing it.
    pub fn keep(mut self) {
        self.ask = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let (Some(ask), Ok(runtime)) = (self.ask.take(), tokio::runtime::Handle::try_current()) else { return };
        let id = std::mem::take(&mut self.id);
        runtime.spawn(async move { release(&ask, &id).await.ok() });
    }
}

async fn release(ask: &Ask, id: &str) -> Result<(), Error> {
    let _: serde_json::Value = ask.answer("route", &json!({ "id": id, "release": true }), RELEASE_WITHIN).await?;
    Ok(())
}
