//! A log as a test tells it, with what the oracle told of it in short.

use std::sync::Arc;

use presence_engine::fold::BatchItem;
use presence_engine::model::{Event, EventBody, Intent, Kind, Millis, Policy, Profile, Signal};

use super::Oracle;
use super::logs::{Line, What, Who, address};

pub(super) const START: Millis = 1_000_000;
pub(super) const LAPTOP: Who = ("a", "b", "laptop");
pub(super) const PHONE: Who = ("a", "b", "phone");

/// A log that ticks each second, and what it told so far.
pub(super) struct Story {
    pub(super) oracle: Oracle,
    seq: u64,
    now: Millis,
    pub(super) told: Vec<Event>,
}

impl Story {
    pub(super) fn new() -> Self {
        let mut story = Self { oracle: Oracle::new(0), seq: 0, now: 0, told: Vec::new() };
        story.put(What::Tick { failed: 0 });
        story
    }

    pub(super) fn under(change: impl Fn(&mut Policy)) -> Self {
        let mut story = Self::new();
        story.rule(change);
        story.told.clear();
        story
    }

    pub(super) fn put(&mut self, what: What) -> &mut Self {
        self.seq += 1;
        let line = Line { seq: self.seq, ts: START + self.now, what };
        self.told.extend(self.oracle.apply(&line.entry()));
        self
    }

    /// Lets time pass until `ms` after the start.
    pub(super) fn until(&mut self, ms: Millis) -> &mut Self {
        while self.now < ms {
            self.now = (self.now / 1_000 * 1_000 + 1_000).min(ms);
            self.put(What::Tick { failed: 0 });
        }
        self
    }

    /// As `until`, with the gateway's empty batches instead of ticks.
    pub(super) fn until_with_gateway(&mut self, ms: Millis) -> &mut Self {
        while self.now < ms {
            self.now += 1_000;
            self.batch(&[]);
        }
        self
    }

    /// Lets time pass without an entry.
    pub(super) fn pause(&mut self, ms: Millis) -> &mut Self {
        self.now += ms;
        self
    }

    pub(super) fn rule(&mut self, change: impl Fn(&mut Policy)) -> &mut Self {
        let mut policy = Policy::default();
        change(&mut policy);
        policy.check().expect("a valid policy");
        self.put(What::Policy(Arc::new(policy)))
    }

    pub(super) fn say(&mut self, who: Who, signal: &Signal) -> &mut Self {
        self.put(What::Signal(who, signal.clone()))
    }

    pub(super) fn beat(&mut self, who: Who) -> &mut Self {
        self.say(who, &Signal::default())
    }

    pub(super) fn batch(&mut self, items: &[(Who, Signal, Millis)]) -> &mut Self {
        self.batch_of("g", items)
    }

    pub(super) fn batch_of(&mut self, gateway: &'static str, items: &[(Who, Signal, Millis)]) -> &mut Self {
        let item =
            |(who, signal, age): &(Who, Signal, Millis)| BatchItem::Signal(address(*who), signal.clone().into(), *age);
        self.put(What::Batch("a", gateway, items.iter().map(item).collect()))
    }

    /// What was told since the last time: milliseconds after the start, `k`, whose, what.
    pub(super) fn told(&mut self) -> Vec<String> {
        self.told.drain(..).map(|event| line(&event)).collect()
    }

    /// The last event of the kind that `of` picks.
    pub(super) fn last<T>(&self, of: impl Fn(&EventBody) -> Option<T>) -> T {
        self.told.iter().rev().find_map(|event| of(&event.body)).expect("one was told")
    }
}

fn line(event: &Event) -> String {
    let names = |list: &[Box<str>]| list.join(" ");
    let what = match &event.body {
        EventBody::Session(of) => format!("{} {:?} {:?} {:?}", of.session, of.from, of.to, of.cause),
        EventBody::User(of) => format!("user {:?} {:?} {:?}", of.from, of.to, of.cause),
        EventBody::Ready(of) => {
            let to: Vec<String> = of.to.iter().map(|(name, at)| format!("{name} since {}", at - START)).collect();
            format!("ready [{}] [{}] {:?}", names(&of.from), to.join(" "), of.cause)
        }
        EventBody::Engine(of) => format!("{:?}", of.what),
        EventBody::Rejected(of) => format!("{}: {}", of.subject, of.reason),
    };
    format!("{} {} {what}", event.at_ms - START, event.k)
}

pub(super) fn update() -> Signal {
    Signal { kind: Kind::Update, ..Signal::default() }
}

pub(super) fn leave() -> Signal {
    Signal { kind: Kind::Leave, ..Signal::default() }
}

pub(super) fn in_room(room: &str) -> Signal {
    Signal { rooms: Some([Box::from(room)].into()), ..update() }
}

pub(super) fn audio() -> Signal {
    Signal { can: Some(["audio".into()].into()), ..Signal::default() }
}

pub(super) fn want(intent: Intent) -> Signal {
    Signal { intent: Some(intent), ..update() }
}

pub(super) fn each(policy: &mut Policy, change: impl Fn(&mut Profile)) {
    policy.profiles.iter_mut().for_each(|(_, profile)| change(profile));
}
