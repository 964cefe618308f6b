//! A plain subscriber, and what it has heard.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::StreamExt;
use presence_engine::nats::Nats;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::PATIENCE;
use super::streams::is_event;

/// A message as a plain subscriber gets it.
#[derive(Clone)]
pub struct Told {
    pub subject: String,
    pub headers: HeaderMap,
    pub payload: Bytes,
    /// The payload, if it is JSON.
    pub event: Value,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.subject, self.event)
    }
}

/// Hears everything that is told under `presence.v1`, from the moment it is made.
pub struct Subscriber {
    heard: Arc<Mutex<Vec<Told>>>,
    count: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Subscriber {
    /// By a connection of its own.
    pub async fn on(nats: &Nats, subject: &'static str) -> Self {
        let mut subscription = nats.client.subscribe(subject).await.expect("the subject can be subscribed to");
        nats.client.flush().await.expect("the server answers");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (tell, count) = watch::channel(0);
        let into = heard.clone();
        let task = tokio::spawn(async move {
            while let Some(message) = subscription.next().await {
                let told = Told {
                    subject: message.subject.to_string(),
                    headers: message.headers.unwrap_or_default(),
                    event: serde_json::from_slice(&message.payload).unwrap_or_default(),
                    payload: message.payload,
                };
                let count = {
                    let mut heard = into.lock().expect("nobody panics here");
                    heard.push(told);
                    heard.len()
                };
                tell.send_replace(count);
            }
        });
        Self { heard, count, task }
    }

    /// To everything.
    pub async fn to_all(nats: &Nats) -> Self {
        Self::on(nats, "presence.v1.>").await
    }

    /// Everything heard so far.
    pub fn heard(&self) -> Vec<Told> {
        self.heard.lock().expect("nobody panics here").clone()
    }

    /// The events heard so far: no progress, no signals, no deletions.
    pub fn events(&self) -> Vec<Told> {
        let mut heard = self.heard();
        heard.retain(|told| is_event(&told.subject));
        heard
    }

    /// The events of one subject heard so far.
    pub fn of(&self, subject: &str) -> Vec<Value> {
        let heard = self.heard.lock().expect("nobody panics here");
        heard.iter().filter(|told| told.subject == subject).map(|told| told.event.clone()).collect()
    }

    /// Waits until what was heard gives something.
    pub async fn until<T>(&self, what: &str, mut condition: impl FnMut(&[Told]) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut count = self.count.clone();
        loop {
            count.borrow_and_update();
            if let Some(value) = condition(&self.heard.lock().expect("nobody panics here")) {
                return value;
            }
            let left = until.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, count.changed()).await.is_err() {
                let heard: Vec<_> = self.events().iter().map(|told| told.event.to_string()).collect();
                panic!("waited {PATIENCE:?} in vain: {what}; heard were\n{}", heard.join("\n"));
            }
        }
    }

    /// Waits until `n` events of a subject were heard, and returns those heard.
    pub async fn events_of(&self, subject: &str, n: usize) -> Vec<Value> {
        self.until(&format!("{n} events of {subject}"), |heard| {
            let of: Vec<_> =
                heard.iter().filter(|told| told.subject == subject).map(|told| told.event.clone()).collect();
            (of.len() >= n).then_some(of)
        })
        .await
    }

    /// Waits until a subject was told to be in `state`, and returns its events so far.
    pub async fn until_state(&self, subject: &str, state: &str) -> Vec<Value> {
        self.until(&format!("{subject} is {state}"), |heard| {
            let of: Vec<_> =
                heard.iter().filter(|told| told.subject == subject).map(|told| told.event.clone()).collect();
            of.last().is_some_and(|last| last["to"] == state).then_some(of)
        })
        .await
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}
