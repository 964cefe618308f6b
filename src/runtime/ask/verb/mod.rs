//! What can be asked, a file each: from a question's payload to its answer.

pub(super) mod history;
pub(super) mod room;
pub(super) mod route;
pub(super) mod session;
pub(super) mod user;
pub(super) mod users;
pub(super) mod wait;

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Millis;

/// How long an event is waited for that is derived already and not committed yet.
const COMMIT_MAX: Duration = Duration::from_secs(1);
const COMMIT_PAUSE: Duration = Duration::from_millis(10);

/// What was derived longer ago than this, in log time, was committed long ago.
const COMMIT_MS: Millis = 10_000;

/// Waits a little for the commit of what was derived at `told_at_ms`, if it may be under way; whether it is worth another look.
async fn may_be_told_by_now(began: Instant, told_at_ms: Millis, as_of_ms: Millis) -> bool {
    let is_worth_it = as_of_ms.saturating_sub(told_at_ms) < COMMIT_MS && began.elapsed() < COMMIT_MAX;
    if is_worth_it {
        tokio::time::sleep(COMMIT_PAUSE).await;
    }
    is_worth_it
}
