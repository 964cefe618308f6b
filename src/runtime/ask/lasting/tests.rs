use super::*;
use crate::fold::{Body, Entry, IndexKey, Partition};
use crate::model::{Address, Kind, Readiness, Signal};

const START: Millis = 1_700_000_000_000;

fn token(text: &str) -> Token<'_> {
    Token::parse(text).unwrap()
}

/// A partition, and what somebody remembers who looks at ada.
struct Looking {
    partition: Partition,
    now: Millis,
    lasting: Lasting,
    want: Want,
}

impl Looking {
    fn new(capability: Option<&str>, min_permille: Option<u16>) -> Self {
        let want = Want { capability: capability.map(Into::into), min_permille };
        let mut looking =
            Self { partition: Partition::new(0, &IndexKey::new(1, 2)), now: START, lasting: Lasting::new(), want };
        looking.signal("tab", &Signal { can: Some(["audio".into()].into()), ..Signal::default() });
        looking
    }

    fn signal(&mut self, session: &str, signal: &Signal) {
        let seq = self.partition.position() + 1;
        let address = format!("main.ada.{session}");
        let address = Address::parse(&address).unwrap();
        let entry = Entry { seq, ts: self.now, body: Body::Signal(address, signal) };
        self.partition.apply(&entry, &mut Vec::new());
    }

    fn beat(&mut self) {
        self.signal("tab", &Signal::default());
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1_000;
            let seq = self.partition.position() + 1;
            self.partition.apply(&Entry { seq, ts: self.now, body: Body::Tick { failed: 0 } }, &mut Vec::new());
        }
    }

    /// Since when ada has been ready, in milliseconds from the beginning.
    fn look(&mut self) -> Option<Millis> {
        let (tenant, user) = (token("main"), token("ada"));
        match self.partition.readiness(tenant, user, &self.want) {
            Readiness::Ready { since_ms, .. } => {
                let carriers = self.partition.carriers(tenant, user, &self.want);
                Some(self.lasting.since(0, (tenant, user, &self.want), since_ms, carriers) - START)
            }
            Readiness::Missing(_) => {
                self.lasting.broke(0, (tenant, user, &self.want));
                None
            }
        }
    }
}

#[test]
fn beats_move_nothing_of_what_was_looked_at() {
    for mut looking in [Looking::new(Some("audio"), Some(990)), Looking::new(None, Some(990)), Looking::new(None, None)]
    {
        assert_eq!(looking.look(), Some(0));
        for _ in 0..6 {
            looking.pass(10);
            looking.beat();
            assert_eq!(looking.look(), Some(0), "it was sure all the time: {:?}", looking.want);
        }
    }
}

#[test]
fn who_was_less_sure_between_two_looks_has_been_ready_since_the_beat_that_ended_it() {
    // A grace of 30 s: below 1000 from the first millisecond beyond.
    let mut looking = Looking::new(Some("audio"), Some(1_000));
    assert_eq!(looking.look(), Some(0));
    looking.pass(30);
    looking.beat();
    assert_eq!(looking.look(), Some(0), "at the end of its grace it was still as sure");
    looking.pass(31);
    looking.beat();
    assert_eq!(looking.look(), Some(61_000), "a second of doubt");
    looking.pass(20);
    looking.beat();
    looking.pass(20);
    looking.beat();
    assert_eq!(looking.look(), Some(101_000), "two beats between two looks: what was between them is not known");
}

#[test]
fn without_a_capability_doubt_that_is_no_event_is_seen_by_who_looks() {
    let mut looking = Looking::new(None, None);
    looking.signal("tab", &Signal { can: Some(Box::default()), ..Signal::default() });
    looking.pass(3);
    let since = looking.look();
    // 0.8 is enough, which 60 s of half-life reach some 19 s beyond the grace.
    looking.pass(55);
    assert_eq!(looking.look(), None);
    looking.beat();
    assert!(looking.look() > since.map(|since| since + 50_000), "{:?}", looking.look());
}

#[test]
fn what_is_told_of_somebody_begins_anew_whatever_is_remembered() {
    let mut looking = Looking::new(None, None);
    assert_eq!(looking.look(), Some(0));
    looking.pass(5);
    looking.signal("tab", &Signal { kind: Kind::Disconnect, ..Signal::default() });
    looking.beat();
    looking.pass(3);
    let since = looking.look().unwrap();
    assert!(since >= 5_000, "{since}");
}

#[test]
fn another_session_does_not_stand_in_for_one_that_is_gone() {
    let mut looking = Looking::new(None, Some(1_000));
    assert_eq!(looking.look(), Some(0));
    looking.pass(10);
    looking.signal("tab", &Signal { kind: Kind::Leave, ..Signal::default() });
    looking.pass(2);
    looking.signal("phone", &Signal::default());
    assert_eq!(looking.look(), Some(12_000));
}

#[test]
fn a_partition_that_is_given_up_is_forgotten() {
    let mut looking = Looking::new(None, Some(1_000));
    assert_eq!(looking.look(), Some(0));
    looking.pass(10);
    looking.beat();
    looking.lasting.forget(0);
    assert_eq!(looking.look(), Some(10_000));
}
