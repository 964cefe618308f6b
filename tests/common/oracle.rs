//! The log folded once more, from its beginning, by partitions that never crashed: what has to have been told.

use std::collections::BTreeMap;

use presence_engine::fold::{IndexKey, Partition};
use presence_engine::model::{Address, Event, State, Token, partition_of};
use presence_engine::nats::Nats;
use presence_engine::wire::{Encoding, LogMessage, Progress, Route, event};

use super::streams::{self, Stored};

/// The partitions in the end, and everything they told on the way.
pub struct Oracle {
    pub partitions: Vec<Partition>,
    pub events: Vec<Event>,
}

impl Oracle {
    /// Folds a log that was never cut: each partition as far as it has told it.
    pub fn fold(log: &[Stored], progress: &BTreeMap<u16, Progress>) -> Self {
        assert!(log.first().is_none_or(|first| first.seq == 1), "the log is there from its beginning");
        let partitions = progress.len() as u16;
        let key = IndexKey::new(1, 2);
        let mut oracle = Self {
            partitions: (0..partitions).map(|number| Partition::new(number, &key)).collect(),
            events: Vec::new(),
        };
        for stored in log {
            let message = LogMessage {
                seq: stored.seq,
                ts: stored.ts_ms,
                subject: &stored.subject,
                payload: &stored.payload,
                content_type: stored.header("Content-Type"),
            };
            let read = message.read(partitions);
            let numbers = match read.route {
                Route::Partition(number) => number..number + 1,
                Route::All => 0..partitions,
                Route::Nobody => 0..0,
            };
            for number in numbers.filter(|number| stored.seq <= progress[number].input_seq) {
                oracle.partitions[usize::from(number)].apply(&read.entry(), &mut oracle.events);
            }
        }
        oracle
    }

    /// What a session is in the end.
    pub fn session(&self, user: &str, session: &str) -> State {
        let address = format!("main.{user}.{session}");
        let address = Address::parse(&address).unwrap();
        let partition = partition_of("main", user, self.partitions.len() as u16);
        self.partitions[usize::from(partition)].session_state(address)
    }

    /// What a user is in the end.
    pub fn user(&self, user: &str) -> State {
        let token = |text| Token::parse(text).expect("a token");
        let partition = partition_of("main", user, self.partitions.len() as u16);
        self.partitions[usize::from(partition)].user_state(token("main"), token(user))
    }
}

/// Folds the log again and compares it with what is stored: each partition has told exactly the events up to its progress,
/// in their order, byte for byte. To be called when no engine runs. Returns the fold.
pub async fn check(nats: &Nats) -> Oracle {
    check_by(&streams::log(nats).await, nats).await
}

/// As [`check`], by a log that was read already.
pub async fn check_by(log: &[Stored], nats: &Nats) -> Oracle {
    let progress = streams::progress(nats).await;
    let stored = streams::events(nats).await;
    let oracle = Oracle::fold(log, &progress);
    let (mut wanted, mut found) = (BTreeMap::<u16, Vec<_>>::new(), BTreeMap::<u16, Vec<_>>::new());
    for told in oracle.events.iter().filter(|told| is_told(told, &progress)) {
        let message = event::messages(told, Encoding::Json).next().expect("an event is a message");
        wanted.entry(told.partition).or_default().push((told.id(), message.subject, message.payload));
    }
    for event in stored.iter().filter(|event| !is_the_runtimes(event)) {
        let id = event.header("ce-id").expect("an event has its id in its headers").to_owned();
        let partition = id.split('-').next().and_then(|number| number.parse().ok()).expect("an id has its partition");
        found.entry(partition).or_default().push((id, event.subject.clone(), event.payload.clone()));
    }
    for (partition, reached) in &progress {
        let (wanted, found) =
            (wanted.remove(partition).unwrap_or_default(), found.remove(partition).unwrap_or_default());
        let different = wanted.iter().zip(&found).position(|(wanted, found)| wanted != found);
        if let Some(at) = different {
            panic!("partition {partition}, event {at}: wanted\n{:?}\nfound\n{:?}", wanted[at], found[at]);
        }
        assert_eq!(
            wanted.len(),
            found.len(),
            "partition {partition} has told another number of events up to {reached:?}"
        );
    }
    assert!(found.is_empty(), "events of partitions that nobody owns: {found:?}");
    oracle
}

fn is_told(event: &Event, progress: &BTreeMap<u16, Progress>) -> bool {
    let progress = &progress[&event.partition];
    (event.seq, event.k) < (progress.input_seq, progress.k)
}

/// What runtimes tell about themselves is outside of the replay equality: `<partition>-e<epoch>-<n>`.
fn is_the_runtimes(event: &Stored) -> bool {
    event.header("ce-id").and_then(|id| id.split('-').nth(1)).is_some_and(|second| second.starts_with('e'))
}
