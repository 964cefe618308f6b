//! Looks at what the own loop says, shared by all who watch the same: however many they are, it is asked once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::Desk;
use crate::wire::AskError;
use crate::wire::ask::owned::{Answer, Question};

/// All that is watched of the own loop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Looks(Arc<Mutex<HashMap<Box<[u8]>, Shared>>>);

#[derive(Debug, Default)]
struct Shared {
    latest: Arc<Latest>,
    /// How many look.
    count: usize,
}

/// When it was looked the last time, and what was seen. Who looks holds the lock, and whoever waits for it finds what that one saw.
type Latest = tokio::sync::Mutex<Option<(Instant, Result<Arc<Answer>, AskError>)>>;

/// One who looks at the answer to a question, until it is dropped.
#[derive(Debug)]
pub(crate) struct Look {
    of: Looks,
    question: Arc<Question>,
    key: Box<[u8]>,
    latest: Arc<Latest>,
}

impl Looks {
    /// Looks at what is answered to this question.
    pub(crate) fn at(&self, question: Question) -> Look {
        let key: Box<[u8]> = question.to_json().into();
        let mut looks = self.lock();
        let shared = looks.entry(key.clone()).or_default();
        shared.count += 1;
        let latest = Arc::clone(&shared.latest);
        drop(looks);
        Look { of: self.clone(), question: Arc::new(question), key, latest }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Shared>> {
        // Every change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    /// What the own loop says, or said since `since` to somebody else who looked.
    ///
    /// # Errors
    /// As [`Desk::ask_own`].
    pub(crate) async fn since(&self, since: Instant, desk: &Desk) -> Result<Arc<Answer>, AskError> {
        self.latest(since, desk.ask_own(&self.question)).await
    }

    async fn latest(
        &self,
        since: Instant,
        ask: impl Future<Output = Result<Answer, AskError>>,
    ) -> Result<Arc<Answer>, AskError> {
        let mut latest = self.latest.lock().await;
        if let Some((at, seen)) = &*latest
            && *at >= since
        {
            return seen.clone();
        }
        let at = Instant::now();
        let seen = ask.await.map(Arc::new);
        *latest = Some((at, seen.clone()));
        seen
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let mut looks = self.of.lock();
        let is_last = looks.get_mut(&self.key).is_some_and(|shared| {
            shared.count -= 1;
            shared.count == 0
        });
        if is_last {
            looks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;

    use super::*;
    use crate::wire::ask::owned::{Said, What};

    fn question(tenant: &str) -> Question {
        Question { tenant: tenant.into(), partitions: BTreeSet::from([0]), at_least: 0, what: What::Tenant }
    }

    #[tokio::test]
    async fn who_looks_at_the_same_at_the_same_time_sees_what_the_first_one_saw() {
        let (looks, asked) = (Looks::default(), AtomicUsize::new(0));
        let ask = async || {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(Answer { as_of_ms: 1, now_ms: 1, said: Said::Tenant(true) })
        };
        let all: Vec<Look> = (0..100).map(|_| looks.at(question("main"))).collect();
        let began = Instant::now();
        let seen = join_all(all.iter().map(|look| look.latest(began, ask()))).await;
        assert!(seen.iter().all(Result::is_ok));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let later = Instant::now() + std::time::Duration::from_nanos(1);
        all[0].latest(later, ask()).await.unwrap();
        looks.at(question("other")).latest(began, ask()).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 3, "what was seen before does not do, and what others asked neither");
        drop(all);
        assert!(looks.lock().is_empty());
    }

    #[tokio::test]
    async fn who_is_gone_before_it_has_seen_anything_hinders_nobody() {
        let looks = Looks::default();
        let (one, other) = (looks.at(question("main")), looks.at(question("main")));
        let began = Instant::now();
        {
            let mut asking = Box::pin(one.latest(began, std::future::pending()));
            assert!(futures::poll!(&mut asking).is_pending());
        }
        let answer = Answer { as_of_ms: 1, now_ms: 1, said: Said::Tenant(true) };
        assert!(other.latest(began, async { Ok(answer) }).await.is_ok());
    }
}
