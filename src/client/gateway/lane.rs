//! What a gateway holds for one partition of a tenant: at most one batch of it is under way, so signals stay in their order.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::batch::{self, FRAME_BYTES, Fate};
use super::item::Item;

/// A partition that has heard nothing for so long hears an empty batch: the gateway's life sign.
const LIFE_SIGN_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before a batch is sent again; twice as long each time, up to the other.
const AGAIN_MIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// What goes into a batch at the most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) signals: usize,
    pub(super) bytes: usize,
    pub(super) every: Duration,
}

#[derive(Debug)]
pub(super) struct Lane {
    /// Not sent yet, in their order.
    held: VecDeque<Item>,
    bytes: usize,
    /// In the batch that is under way, or has to be sent again.
    sending: Vec<Item>,
    state: State,
    /// The sequence of this lane's last batch in the log; `None`: not known.
    last: Option<u64>,
    /// How often in a row the batch was not stored.
    failures: u32,
    sent_at: Option<Instant>,
    /// When it was brought a signal the last time.
    pub(super) used: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    UnderWay,
    /// What is in `sending` has to be sent again at this instant; whether the log has it already, nobody knows, or nobody can.
    Again {
        at: Instant,
        may_be_stored: bool,
    },
}

/// What an outcome means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Learnt {
    /// So many signals are in the log.
    Stored(u64),
    /// It has to be sent again, for this reason if there is one that matters.
    Again(Option<String>),
    /// It has to be sent again, since somebody else publishes under this name.
    Foreign,
}

/// A batch to publish.
pub(super) struct Outgoing {
    pub(super) payload: Vec<u8>,
    pub(super) behind: Option<u64>,
}

impl Lane {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            held: VecDeque::new(),
            bytes: 0,
            sending: Vec::new(),
            state: State::Idle,
            last: None,
            failures: 0,
            sent_at: None,
            used: now,
        }
    }

    pub(super) fn bring(&mut self, item: Item, now: Instant) {
        self.bytes += item.bytes();
        self.used = now;
        self.held.push_back(item);
    }

    /// How many signals are held, those under way included.
    pub(super) fn len(&self) -> usize {
        self.held.len() + self.sending.len()
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.state == State::UnderWay
    }

    pub(super) fn is_full(&self, limits: Limits) -> bool {
        self.held.len() >= limits.signals || self.bytes + FRAME_BYTES >= limits.bytes
    }

    /// When the next batch has to go out; `None` while one is under way.
    pub(super) fn due(&self, limits: Limits, now: Instant) -> Option<Instant> {
        match self.state {
            State::UnderWay => None,
            State::Again { at, .. } => Some(at),
            State::Idle if self.is_full(limits) => Some(now),
            State::Idle => {
                let life_sign = self.sent_at.map_or(now, |at| at + LIFE_SIGN_EVERY);
                Some(self.held.front().map_or(life_sign, |first| life_sign.min(first.since() + limits.every)))
            }
        }
    }

    /// The next batch, which is under way from now on.
    pub(super) fn send(&mut self, limits: Limits, now: Instant) -> Outgoing {
        // Before the first one goes out that may not be stored twice, an empty one finds out where this lane ends.
        if self.state == State::Idle && self.last.is_some() {
            let mut bytes = FRAME_BYTES;
            while let Some(next) = self.held.front()
                && self.sending.len() < limits.signals
                && (self.sending.is_empty() || bytes + next.bytes() <= limits.bytes)
            {
                bytes += next.bytes();
                self.bytes -= next.bytes();
                self.sending.extend(self.held.pop_front());
            }
        }
        (self.state, self.sent_at) = (State::UnderWay, Some(now));
        Outgoing { payload: batch::write(self.sending.iter(), now), behind: self.last }
    }

    /// What became of the batch that was under way; `may_be_stored`: whether an earlier try of it may be in the log.
    pub(super) fn learn(&mut self, fate: Fate, may_be_stored: bool, now: Instant) -> Learnt {
        let again =
            |reason, may_be_stored, wait| (State::Again { at: now + wait, may_be_stored }, Learnt::Again(reason));
        let wait = AGAIN_MIN.saturating_mul(1 << self.failures.min(8)).min(AGAIN_MAX);
        let (state, learnt) = match fate {
            Fate::Stored(seq) => return self.stored(seq),
            // Only this gateway publishes here, and one at a time: what is behind the last one is this one.
            Fate::Other(last) if may_be_stored && self.last.is_some_and(|known| last > known) => {
                return self.stored(last);
            }
            Fate::Other(last) => {
                let is_foreign = self.last.is_some_and(|known| last > known);
                // The log may also be another one, or have forgotten this lane: then it ends earlier.
                self.last = Some(last);
                let (state, again) = again(None, false, Duration::ZERO);
                (state, if is_foreign { Learnt::Foreign } else { again })
            }
            Fate::Refused(reason) => again(Some(reason), may_be_stored, wait),
            Fate::Unknown(reason) => again(Some(reason), true, wait),
        };
        self.failures += 1;
        self.state = state;
        learnt
    }

    fn stored(&mut self, seq: u64) -> Learnt {
        (self.state, self.failures, self.last) = (State::Idle, 0, Some(seq));
        let count = self.sending.len() as u64;
        self.sending.clear();
        Learnt::Stored(count)
    }

    /// Whether an earlier try of what is sent next may be in the log.
    pub(super) fn may_be_stored(&self) -> bool {
        match self.state {
            State::Again { may_be_stored, .. } => may_be_stored,
            State::Idle | State::UnderWay => false,
        }
    }

    /// Lets signals go that are followed by a newer one of their session; how many.
    pub(super) fn drop_superseded(&mut self) -> usize {
        let before = self.held.len();
        let mut newer = HashSet::new();
        let mut keeps: Vec<bool> = self.held.iter().rev().map(|item| newer.insert(item.names())).collect();
        self.held.retain(|_| keeps.pop().expect("one for each"));
        self.bytes = self.held.iter().map(Item::bytes).sum();
        before - self.held.len()
    }

    /// When the oldest was brought that is not under way.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.held.front().map(Item::since)
    }

    /// Lets the oldest go that are not under way, `count` of them at the most; how many.
    pub(super) fn drop_oldest(&mut self, count: usize) -> usize {
        let count = count.min(self.held.len());
        self.bytes -= self.held.drain(..count).map(|item| item.bytes()).sum::<usize>();
        count
    }

    /// All that is not stored, in its order.
    pub(super) fn into_items(self) -> impl Iterator<Item = Item> {
        self.sending.into_iter().chain(self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { signals: 2, bytes: 1_000, every: Duration::from_millis(50) };

    fn item(session: &str, payload: &str) -> Item {
        Item::read("acme", "ada", session, payload.as_bytes()).unwrap()
    }

    /// A lane whose end is known, with these sessions' signals.
    fn lane(sessions: &[&str]) -> (Lane, Instant) {
        let now = Instant::now();
        let mut lane = Lane::new(now);
        assert!(signals(&lane.send(LIMITS, now)).is_empty(), "an empty one goes ahead");
        assert_eq!(lane.learn(Fate::Stored(10), false, now), Learnt::Stored(0));
        for session in sessions {
            lane.bring(item(session, ""), now);
        }
        (lane, now)
    }

    fn signals(outgoing: &Outgoing) -> Vec<String> {
        let read: serde_json::Value = rmp_serde::from_slice(&outgoing.payload).unwrap();
        let items = read["signals"].as_array().unwrap();
        items.iter().map(|item| item["s"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_batch_takes_what_its_limits_let_it_in_order_and_one_is_under_way() {
        let (mut lane, now) = lane(&["a", "b", "a"]);
        assert_eq!(lane.due(LIMITS, now), Some(now), "it is full");
        let first = lane.send(LIMITS, now);
        assert_eq!((signals(&first), first.behind), (vec!["a".to_owned(), "b".to_owned()], Some(10)));
        assert_eq!(lane.due(LIMITS, now), None);
        assert_eq!(lane.learn(Fate::Stored(17), false, now), Learnt::Stored(2));
        let due = lane.due(LIMITS, now).unwrap();
        assert_eq!(Some(due), lane.oldest().map(|oldest| oldest + LIMITS.every), "the rest waits for others");
        let second = lane.send(LIMITS, due);
        assert_eq!((signals(&second), second.behind), (vec!["a".to_owned()], Some(17)));
        assert_eq!(lane.learn(Fate::Stored(18), false, due), Learnt::Stored(1));
        assert_eq!(lane.due(LIMITS, due), Some(due + LIFE_SIGN_EVERY));
    }

    #[test]
    fn bytes_end_a_batch_too() {
        let (mut lane, now) = lane(&[]);
        let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(600));
        lane.bring(item("a", &large), now);
        lane.bring(item("b", &large), now);
        assert!(lane.is_full(LIMITS));
        assert_eq!(signals(&lane.send(LIMITS, now)), ["a"]);
    }

    #[test]
    fn what_nobody_acknowledged_is_stored_once() {
        let (mut lane, now) = lane(&["a"]);
        lane.send(LIMITS, now);
        assert_eq!(lane.learn(Fate::Unknown("silence".into()), false, now), Learnt::Again(Some("silence".into())));
        lane.bring(item("b", ""), now);
        let may_be_stored = lane.may_be_stored();
        assert!(may_be_stored);
        let again = lane.send(LIMITS, now);
        assert_eq!((signals(&again), again.behind), (vec!["a".to_owned()], Some(10)), "the same, behind the same");
        assert_eq!(lane.learn(Fate::Other(12), may_be_stored, now), Learnt::Stored(1), "it had been stored");
        assert_eq!(lane.send(LIMITS, now).behind, Some(12));
    }

    #[test]
    fn what_was_not_stored_is_sent_again_also_where_the_log_has_forgotten_the_lane() {
        let (mut lane, now) = lane(&["a"]);
        lane.send(LIMITS, now);
        lane.learn(Fate::Unknown("silence".into()), false, now);
        lane.send(LIMITS, now);
        assert_eq!(lane.learn(Fate::Other(0), true, now), Learnt::Again(None));
        let again = lane.send(LIMITS, now);
        assert_eq!((signals(&again), again.behind), (vec!["a".to_owned()], Some(0)));
        lane.learn(Fate::Refused("full".into()), false, now);
        assert!(!lane.may_be_stored());
        assert_eq!(signals(&lane.send(LIMITS, now)), ["a"]);
    }

    #[test]
    fn somebody_elses_batch_under_the_same_name_loses_nothing() {
        let (mut lane, now) = lane(&["a"]);
        lane.send(LIMITS, now);
        assert_eq!(lane.learn(Fate::Other(99), false, now), Learnt::Foreign);
        let again = lane.send(LIMITS, now);
        assert_eq!((signals(&again), again.behind), (vec!["a".to_owned()], Some(99)));
    }

    #[test]
    fn the_newest_of_each_session_stays_and_then_the_oldest_go() {
        let (mut lane, _) = lane(&["a", "b", "a", "c", "b"]);
        assert_eq!(lane.drop_superseded(), 2);
        let left = |lane: &Lane| lane.held.iter().map(|item| item.names().to_vec()).collect::<Vec<_>>();
        let names = |session| item(session, "").names().to_vec();
        assert_eq!(left(&lane), [names("a"), names("c"), names("b")]);
        assert_eq!(lane.drop_oldest(2), 2);
        assert_eq!(left(&lane), [names("b")]);
        assert_eq!(lane.bytes, lane.held[0].bytes());
    }
}
