use super::*;
use crate::fold::{Body, Entry, IndexKey};
use crate::model::{Address, Kind, Signal, Visibility};

const START: Millis = 1_700_000_000_000;

fn token(text: &str) -> Token<'_> {
    Token::parse(text).unwrap()
}

struct Log(Partition, Millis);

impl Log {
    fn new() -> Self {
        Self(Partition::new(0, &IndexKey::new(1, 2)), START)
    }

    fn signal(&mut self, user: &str, session: &str, signal: &Signal) {
        let seq = self.0.position() + 1;
        let address = format!("main.{user}.{session}");
        let address = Address::parse(&address).unwrap();
        self.0.apply(&Entry { seq, ts: self.1, body: Body::of(address, signal) }, &mut Vec::new());
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.1 += 1_000;
            let seq = self.0.position() + 1;
            self.0.apply(&Entry { seq, ts: self.1, body: Body::Tick { failed: 0 } }, &mut Vec::new());
        }
    }

    fn readiness(&self, user: &str, want: &Want) -> Readiness {
        self.0.readiness(token("main"), token(user), want)
    }
}

fn able() -> Signal {
    Signal { can: Some(["audio".into()].into()), rooms: Some(["desk".into()].into()), ..Signal::default() }
}

fn audio() -> Want {
    Want { capability: Some("audio".into()), min_permille: None }
}

const ANYTHING: Want = Want { capability: None, min_permille: None };

#[test]
fn what_is_lacking_is_the_least_that_would_help() {
    let mut log = Log::new();
    let lack = |log: &Log| match log.readiness("ada", &audio()) {
        Readiness::Missing(lack) => Some(lack),
        Readiness::Ready { .. } => None,
    };
    assert_eq!(lack(&log), Some(Lack::Offline));
    log.signal("ada", "tab", &Signal { visibility: Some(Visibility::Frozen), ..Signal::default() });
    assert_eq!(lack(&log), Some(Lack::State));
    log.signal("ada", "phone", &Signal::default());
    assert_eq!(lack(&log), Some(Lack::Incapable));
    log.signal("ada", "phone", &able());
    assert_eq!(lack(&log), None);
    log.signal("ada", "phone", &Signal { kind: Kind::Disconnect, ..Signal::default() });
    assert_eq!(lack(&log), Some(Lack::Closed));
    log.signal("ada", "phone", &Signal { intent: Some(Intent::Dnd), ..Signal::default() });
    assert_eq!(lack(&log), Some(Lack::Intent));
    log.signal("ada", "phone", &Signal { intent: Some(Intent::Invisible), ..Signal::default() });
    assert_eq!(lack(&log), Some(Lack::Offline), "nobody can tell");
    log.signal("ada", "phone", &Signal { intent: Some(Intent::Open), ..Signal::default() });
    log.pass(55);
    assert_eq!(lack(&log), Some(Lack::Unsure), "55 s of silence, 30 s of grace and a half life of 60 s: below 0.8");
    let less = Want { min_permille: Some(700), ..audio() };
    assert!(matches!(log.readiness("ada", &less), Readiness::Ready { permille: 700..800, .. }));
}

#[test]
fn readiness_has_lasted_since_it_was_told_however_often_it_is_heard_since() {
    let mut log = Log::new();
    log.pass(1);
    log.signal("ada", "tab", &able());
    let came = log.1;
    log.pass(20);
    log.signal("ada", "tab", &Signal::default());
    log.pass(5);
    assert_eq!(log.readiness("ada", &audio()), Readiness::Ready { since_ms: came, permille: 1_000 });
    assert_eq!(log.readiness("ada", &ANYTHING), Readiness::Ready { since_ms: came, permille: 1_000 });
    let strict = Want { min_permille: Some(990), ..audio() };
    assert_eq!(log.readiness("ada", &strict), Readiness::Ready { since_ms: came + 20_000, permille: 1_000 });
}

#[test]
fn who_is_in_a_room_is_asked_by_readiness_and_load() {
    let mut log = Log::new();
    let busy = Signal { rooms: Some(["desk".into(), "call-1".into(), "call-2".into()].into()), ..able() };
    log.signal("ada", "tab", &busy);
    log.signal("bob", "tab", &able());
    log.signal("carol", "tab", &Signal { intent: Some(Intent::Dnd), ..able() });
    log.signal("dave", "tab", &Signal { rooms: Some(["other".into()].into()), ..able() });
    let desk = (token("main"), token("desk"));
    let asked = |order, limit| {
        let found = log.0.candidates_in(desk, (&audio(), "call-*"), (order, "id"), limit);
        found.into_iter().map(|of| (of.user.into(), of.load)).collect::<Vec<(String, u32)>>()
    };
    assert_eq!(asked(Order::Best, 8), [("bob".to_owned(), 0), ("ada".to_owned(), 2)]);
    assert_eq!(asked(Order::LongestIdle, 1), [("ada".to_owned(), 2)]);
    let mut ready = log.0.ready_in(desk.0, desk.1, &audio());
    ready.sort();
    assert_eq!(ready, [("ada".into(), START, 1_000), ("bob".into(), START, 1_000)]);
    assert_eq!(log.0.candidate(token("main"), token("carol"), &audio(), ""), None);
}

#[test]
fn a_star_stands_for_anything() {
    for (pattern, name, expected) in [
        ("call-*", "call-7", true),
        ("call-*", "call-", true),
        ("call-*", "recall-7", false),
        ("*", "", true),
        ("call", "call", true),
        ("call", "call-7", false),
        ("*-eu-*-x", "a-eu-b-eu-c-x", true),
        ("a*a", "a", false),
        ("", "", true),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} and {name}");
    }
}
