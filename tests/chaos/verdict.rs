//! What has to be so when all is over, whatever went wrong.

use std::collections::{BTreeMap, HashMap, HashSet};

use presence_engine::nats::commit::read_progress;
use presence_engine::nats::{LogIdentity, Nats, names};
use presence_engine::wire::{LogMessage, Route};

use super::load::{Acknowledged, is_steady};
use super::story::Story;
use crate::common::engine::audit;
use crate::common::streams::{self, Stored};
use crate::common::told::Told;
use crate::common::{eventually, oracle};

/// What the configuration of the engines says, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) partitions: u16,
    pub(crate) blind_after: u64,
    pub(crate) offline_after: u64,
}

/// Waits until everything that the log holds now is told. Meanwhile `tend` sees to the engines.
pub(crate) async fn all_is_told(nats: &Nats, terms: Terms, mut tend: impl FnMut()) {
    let last = eventually("the log answers", async || LogIdentity::read(nats).await.ok()).await.last_seq;
    for partition in 0..terms.partitions {
        eventually(&format!("partition {partition} is told up to log entry {last}"), async || {
            tend();
            let found = read_progress(nats, partition).await.ok()??;
            (found.progress.input_seq >= last).then_some(())
        })
        .await;
    }
}

/// Judges what is stored and what subscribers heard. To be called when no engine runs and nobody publishes.
pub(crate) async fn judge(
    url: &str,
    nats: &Nats,
    terms: Terms,
    taken: &[Acknowledged],
    heard: &[Vec<Told>],
    story: &Story,
) {
    let log = streams::log(nats).await;
    story.say(format!("judging {} log entries, {} of them acknowledged to clients", log.len(), taken.len()));
    everything_acknowledged_is_there(&log, taken);
    let counts = audit(url);
    story.say(format!("the audit is clean: {counts}"));
    oracle::check_by(&log, nats).await;
    let events = streams::events(nats).await;
    story.say("one undisturbed fold of the whole log tells the same events");
    epochs_never_go_back(&events);
    let excused = nobody_fell_who_beat(&log, &events, terms).unwrap_or_else(|breach| panic!("{breach}"));
    story.say(format!(
        "nobody was told offline who beat all along; {excused} were, since they had not been heard in time"
    ));
    for heard in heard {
        everything_heard_is_stored(&events, heard);
    }
    let heard: Vec<_> = heard.iter().map(Vec::len).collect();
    story.say(format!("plain subscribers heard nothing that is not stored, of {heard:?} messages"));
}

/// What NATS itself has to hold; without it nothing of the rest is the engine's to promise.
fn everything_acknowledged_is_there(log: &[Stored], taken: &[Acknowledged]) {
    let by_seq: HashMap<_, _> = log.iter().map(|entry| (entry.seq, entry)).collect();
    for taken in taken {
        let found = by_seq.get(&taken.seq);
        let is_it =
            found.is_some_and(|found| key(&found.subject) == key(&taken.subject) && found.payload == taken.payload);
        assert!(is_it, "NATS lost log entry {}, {} of {}: there is {found:?}", taken.seq, taken.payload, taken.subject);
    }
}

/// `main.<user>.<session>` of a signal, as it was published, as it is stored, and of what is told of it.
fn key(subject: &str) -> &str {
    subject.split_once("main.").map_or(subject, |(_, key)| key)
}

/// No owner spoke after another one had taken its fence.
fn epochs_never_go_back(events: &[Stored]) {
    let mut latest = BTreeMap::new();
    for event in events {
        let partition = event.header("ce-id").and_then(|id| id.split('-').next()).expect("an event has its id");
        let epoch: u64 = event.header("Presence-Epoch").and_then(|epoch| epoch.parse().ok()).expect("and its epoch");
        let before = latest.insert(partition, epoch).unwrap_or_default();
        assert!(
            before <= epoch,
            "partition {partition}: {} at {} is of epoch {epoch}, after one of {before}",
            event.subject,
            event.seq
        );
    }
}

/// The promise by the log's own timestamps, and without the fold: of a session that beats all along, whoever is told offline
/// was silent for its threshold of time that the log was watched. Returns how many were, since NATS took no beat of theirs for
/// so long, while it took ticks; or the first who was not.
pub(crate) fn nobody_fell_who_beat(log: &[Stored], events: &[Stored], terms: Terms) -> Result<usize, String> {
    let mut watched = vec![Watched::default(); usize::from(terms.partitions)];
    // What was watched until a session was heard last, and how long its silence had been when it was told offline.
    let mut heard = HashMap::new();
    let mut fell: HashMap<u64, Vec<&Stored>> = HashMap::new();
    let offline = events.iter().filter(|event| {
        event.subject.starts_with("presence.v1.session.")
            && is_steady(&event.subject)
            && event.json()["to"] == "offline"
    });
    for event in offline {
        fell.entry(event.json()["seq"].as_u64().expect("the entry that caused it")).or_default().push(event);
    }
    let (mut steady, mut excused) = (HashSet::new(), HashSet::new());
    for entry in log {
        let message = LogMessage {
            seq: entry.seq,
            ts: entry.ts_ms,
            subject: &entry.subject,
            payload: &entry.payload,
            content_type: None,
        };
        let of = match message.read(terms.partitions).route {
            Route::Partition(number) => number..number + 1,
            Route::All => 0..terms.partitions,
            Route::Nobody => 0..0,
        };
        for number in of.clone() {
            watched[usize::from(number)].advance(entry.ts_ms, terms.blind_after);
        }
        // Those who fall by this entry fall before it counts as a sign of life.
        for event in fell.remove(&entry.seq).unwrap_or_default() {
            let partition = event.json()["partition"].as_u64().expect("its partition") as usize;
            let silence = watched[partition].ms - heard.get(key(&event.subject)).copied().unwrap_or(0);
            if silence < terms.offline_after {
                let allowed = terms.offline_after;
                return Err(format!("told offline after {silence} ms of silence, not {allowed} ms: {}", event.json()));
            }
            excused.insert(key(&event.subject));
        }
        if is_steady(&entry.subject) {
            steady.insert(key(&entry.subject));
            heard.insert(key(&entry.subject), watched[usize::from(of.start)].ms);
        }
    }
    match fell.values().flatten().next() {
        Some(event) => Err(format!("told offline by an entry that is not in the log: {}", event.json())),
        None if steady.is_empty() => Err("nobody beat all along, so this says nothing".into()),
        None => Ok(excused.len()),
    }
}

/// The most that can have been observed: the log's steps forward but for gaps. What the engine excuses besides is less.
#[derive(Clone, Default)]
struct Watched {
    until: Option<u64>,
    ms: u64,
}

impl Watched {
    fn advance(&mut self, ts: u64, blind_after: u64) {
        let until = self.until.unwrap_or(ts);
        if ts > until && ts - until <= blind_after {
            self.ms += ts - until;
        }
        if ts > until || until - ts >= blind_after {
            self.until = Some(ts);
        }
        self.until.get_or_insert(ts);
    }
}

/// Byte for byte, and of each partition in its order.
fn everything_heard_is_stored(events: &[Stored], heard: &[Told]) {
    let id = |headers: &async_nats::HeaderMap| headers.get("ce-id").map(ToString::to_string).unwrap_or_default();
    let stored: HashMap<_, _> = events.iter().map(|event| (id(&event.headers), event)).collect();
    for told in heard.iter().filter(|told| streams::is_event(&told.subject)) {
        let found = stored.get(&id(&told.headers));
        let is_it = found.is_some_and(|found| found.subject == told.subject && found.payload == told.payload);
        assert!(is_it, "a subscriber heard {told:?}, and stored is {found:?} in {}", names::EVENTS);
    }
    // The fences that were heard rise.
    let mut epochs = BTreeMap::new();
    for told in heard.iter().filter(|told| told.subject.starts_with("presence.v1.progress.")) {
        let epoch = told.event["epoch"].as_u64().expect("a progress has its epoch");
        let before = epochs.insert(&told.subject, epoch).unwrap_or_default();
        assert!(before <= epoch, "{}: a subscriber heard epoch {epoch} after {before}", told.subject);
    }
}
