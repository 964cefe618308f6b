use std::ops::Range;

use super::*;
use crate::fold::{Body, Entry};
use crate::model::{Address, Kind, Signal};

fn key() -> IndexKey {
    IndexKey::new(1, 2)
}

/// Any number of people is a segment.
const ALWAYS: usize = 0;

/// A partition that is fed, and the segments that it made.
struct Story {
    partition: Partition,
    seq: u64,
    stored: Vec<Segment>,
}

impl Story {
    fn of(users: usize) -> Self {
        let mut story = Self { partition: Partition::new(0, &key()), seq: 0, stored: Vec::new() };
        (0..users).for_each(|user| story.hears(user, &Signal::default()));
        story
    }

    fn hears(&mut self, user: usize, signal: &Signal) {
        self.seq += 1;
        let address = format!("acme.u{user}.tab");
        let body = Body::of(Address::parse(&address).unwrap(), signal);
        let ts = (self.partition.log_time() + 1).max(1_000_000);
        self.partition.apply(&Entry { seq: self.seq, ts, body }, &mut Vec::new());
    }

    /// Goes on with what was restored from a snapshot.
    fn restored(&mut self, taken: &Snapshot) {
        self.stored.extend(taken.segment.clone());
        let given: Vec<&[u8]> = self.stored.iter().map(|segment| segment.bytes.as_slice()).collect();
        let restored = Partition::restore_from(&taken.bytes, &given, &key(), GRID_MS).expect("it restores");
        assert_eq!(restored.checkpoint(), self.partition.checkpoint());
        self.partition = restored;
    }

    /// Some leave and are forgotten, while the others beat.
    fn forgets(&mut self, gone: Range<usize>, others: Range<usize>) {
        gone.for_each(|user| self.hears(user, &Signal { kind: Kind::Leave, ..Signal::default() }));
        for _ in 0..100 {
            self.passes(10);
            others.clone().for_each(|user| self.hears(user, &Signal::default()));
        }
    }

    /// So many seconds without a signal.
    fn passes(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.seq += 1;
            let ts = self.partition.log_time() + 1_000;
            self.partition.apply(&Entry { seq: self.seq, ts, body: Body::Tick { failed: 0 } }, &mut Vec::new());
        }
    }

    /// How many segments the next checkpoint names, and how many bytes its new one has and it itself.
    fn snapshot(&mut self) -> (usize, usize, usize) {
        let Snapshot { bytes, segment, segments } = self.partition.snapshot(ALWAYS);
        let written = segment.as_ref().map_or(0, |segment| segment.bytes.len());
        self.stored.extend(segment);
        let given: Vec<&[u8]> = self.stored.iter().map(|segment| segment.bytes.as_slice()).collect();
        let restored = Partition::restore_from(&bytes, &given, &key(), GRID_MS).expect("it restores");
        assert_eq!(restored.checkpoint(), self.partition.checkpoint());
        (segments.len(), written, bytes.len())
    }
}

fn with_meta(number: usize) -> Signal {
    Signal { meta: Some(format!(r#"{{"n":{number}}}"#).into()), ..Signal::default() }
}

#[test]
fn who_only_beats_is_not_written_again() {
    let mut story = Story::of(1_000);
    let (_, everybody, _) = story.snapshot();
    assert!((40_000..100_000).contains(&everybody), "{everybody} bytes");
    (0..1_000).for_each(|user| story.hears(user, &Signal::default()));
    let (segments, again, all) = story.snapshot();
    assert_eq!(segments, 2);
    assert!(again < 50, "{again} bytes of nobody");
    assert!(all < 10_000, "{all} bytes of life signs");
    story.hears(7, &with_meta(1));
    let (segments, one, _) = story.snapshot();
    assert_eq!(segments, 3);
    assert!((again + 40..300).contains(&one), "{one} bytes of one");
}

#[test]
fn a_session_takes_ten_bytes_of_a_checkpoint() {
    let mut story = Story::of(1_000);
    let signal = |round| Signal { epoch: Some(5), seq: Some(1_000_u64 + round), ..Signal::default() };
    (0..3).for_each(|round| (0..1_000).for_each(|user| story.hears(user, &signal(round))));
    story.snapshot();
    let head = Partition::new(0, &key()).checkpoint().len();
    let (.., all) = story.snapshot();
    assert!((all - head) / 1_000 <= 10, "{all} bytes of a thousand, {head} of nobody");
}

#[test]
fn who_was_restored_is_not_written_again() {
    let mut story = Story::of(1_000);
    story.snapshot();
    story.hears(7, &with_meta(1));
    let few = story.partition.snapshot(64 * 1024);
    assert_eq!(few.segment, None, "one is in the checkpoint itself");
    story.restored(&few);
    let (segments, written, _) = story.snapshot();
    assert_eq!(segments, 2);
    assert!((40..300).contains(&written), "{written} bytes of the one whom no segment holds");
    story.forgets(0..10, 10..1_000);
    // The places of those who are gone are used again.
    assert_eq!(story.partition.sessions(), 990);
    (2_000..2_005).for_each(|user| story.hears(user, &Signal::default()));
    assert_eq!(story.partition.people.hot.places(), 0..1_000);
    let taken = story.partition.snapshot(ALWAYS);
    assert_eq!(taken.segments.len(), 3);
    story.restored(&taken);
    (2_005..2_020).for_each(|user| story.hears(user, &Signal::default()));
    assert_eq!(story.partition.people.hot.places(), 0..1_010);
    story.snapshot();
}

#[test]
fn who_is_gone_behind_all_that_are_left_is_written_as_gone() {
    // Six in the third chunk of places.
    let mut story = Story::of(1_030);
    story.snapshot();
    story.forgets(1_024..1_030, 0..1_024);
    assert_eq!(story.partition.sessions(), 1_024);
    let taken = story.partition.snapshot(64 * 1024);
    assert_eq!((taken.segment.is_some(), taken.segments.len()), (false, 1));
    story.restored(&taken);
    assert_eq!(story.snapshot().0, 2);
}

#[test]
fn few_who_are_left_of_many_are_kept_anew() {
    let mut story = Story::of(20_000);
    story.snapshot();
    story.forgets(0..19_990, 19_990..20_000);
    assert_eq!(story.partition.sessions(), 10);
    let taken = story.partition.snapshot(64 * 1024);
    assert_eq!(taken.segments, [], "everybody in the segment is dead");
    story.restored(&taken);
    assert_eq!(story.partition.people.hot.places(), 0..10);
}

#[test]
fn what_is_half_dead_is_written_anew() {
    let mut story = Story::of(100);
    assert_eq!(story.snapshot().0, 1);
    for user in 0..51 {
        story.hears(user, &with_meta(1));
    }
    assert_eq!(story.snapshot().0, 2, "151 of 200 that are allowed");
    for user in 0..49 {
        story.hears(user, &with_meta(2));
    }
    assert_eq!(story.snapshot().0, 3, "200 are allowed");
    story.hears(0, &with_meta(3));
    assert_eq!(story.snapshot().0, 1, "201 are not");
}

#[test]
fn who_is_gone_is_gone_from_segments_too() {
    let mut story = Story::of(40);
    story.snapshot();
    for user in 0..10 {
        story.hears(user, &Signal { kind: Kind::Leave, ..Signal::default() });
    }
    for second in 0..1_000 {
        story.seq += 1;
        let tick = Entry { seq: story.seq, ts: 1_010_000 + 1_000 * second, body: Body::Tick { failed: 0 } };
        story.partition.apply(&tick, &mut Vec::new());
        if second % 100 == 0 {
            story.snapshot();
            (10..40).for_each(|user| story.hears(user, &Signal::default()));
        }
    }
    assert_eq!(story.partition.sessions(), 30);
    story.hears(40, &Signal::default());
    story.snapshot();
}

#[test]
fn segments_are_never_many() {
    let mut story = Story::of(1_000);
    let counts: Vec<usize> = (0..40)
        .map(|user| {
            story.hears(user, &with_meta(1));
            story.snapshot().0
        })
        .collect();
    assert_eq!(counts.iter().max(), Some(&16));
    assert_eq!(&counts[14..18], [15, 16, 1, 2]);
}

#[test]
fn few_people_are_in_the_checkpoint_itself() {
    let mut story = Story::of(10);
    let Snapshot { bytes, segment, segments } = story.partition.snapshot(64 * 1024);
    assert_eq!((segment, segments), (None, Vec::new()));
    assert_eq!(Partition::restore(&bytes, &key()).unwrap().checkpoint(), story.partition.checkpoint());
}

#[test]
fn what_is_no_checkpoint_says_why() {
    let whole = Story::of(3).partition.checkpoint();
    let error = |bytes: &[u8]| Partition::restore(bytes, &key()).unwrap_err().to_string();
    assert_eq!(
        error(b"presence checkpoint\n and more of what an older version wrote"),
        "these bytes are no checkpoint"
    );
    assert_eq!(error(&whole[..whole.len() - 1]), "the checkpoint is damaged: its hash does not fit");
    let mut story = Story::of(3);
    let bytes = story.partition.snapshot(ALWAYS).bytes;
    let name = segments_of(&bytes).unwrap()[0];
    assert_eq!(SegmentName::parse(&name.to_string()), Some(name));
    assert_eq!(error(&bytes), format!("the checkpoint's segment {name} is missing or damaged"));
    for end in 0..whole.len() {
        assert!(Partition::restore(&whole[..end], &key()).is_err());
    }
}
