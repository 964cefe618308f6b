//! What can be asked, a file each: from a question's payload to its answer.

pub(super) mod room;
pub(super) mod route;
pub(super) mod session;
pub(super) mod user;
pub(super) mod users;
pub(super) mod wait;

use std::time::Duration;

use tokio::time::Instant;

/// How long an event is waited for that is derived already and not committed yet.
const COMMIT_MAX: Duration = Duration::from_secs(1);
const COMMIT_PAUSE: Duration = Duration::from_millis(10);

/// Waits for a commit that is under way, as long as that makes sense; whether it is worth another look.
async fn is_worth_another_look(began: Instant) -> bool {
    let is_worth_it = began.elapsed() < COMMIT_MAX;
    if is_worth_it {
        tokio::time::sleep(COMMIT_PAUSE).await;
    }
    is_worth_it
}
