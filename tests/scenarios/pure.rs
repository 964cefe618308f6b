//! A story folded by itself: its log is written here, so its times are the story's.

use presence_engine::fold::{IndexKey, Partition};
use presence_engine::model::{Event, Millis};
use presence_engine::wire::{Encoding, LogMessage, Tick, event, policy, subject};
use serde_json::{Value, json};

use super::parse::{Said, Signal, Story};
use super::told::{Told, compare};

/// The log time at which stories begin; on the grid.
pub const ZERO: Millis = 1_700_000_000_000;
fn key() -> IndexKey {
    IndexKey::new(1, 2)
}

/// An entry of a story's log.
pub struct Logged {
    pub ts: Millis,
    subject: String,
    pub payload: Vec<u8>,
    /// The line that says it, or that it leads to; none before the first.
    pub line: Option<usize>,
    /// Whether the line says it, and it is no tick.
    pub is_said: bool,
}

impl Logged {
    /// The subject that a client publishes it to.
    pub fn published(&self) -> String {
        match self.subject.strip_prefix("presence.v1.log.0.signal.") {
            Some(address) => format!("{}.{address}", subject::SIGNAL),
            None => self.subject.clone(),
        }
    }
}

/// The story's log, with ticks between. `times` are those of [`Story::said`]; after the last it goes on for what the story does.
pub fn log(story: &Story, times: &[Millis]) -> Vec<Logged> {
    log_by(story, times, story.ticks)
}

fn log_by(story: &Story, times: &[Millis], ticks: Millis) -> Vec<Logged> {
    let tick = |ts, line| Logged {
        ts: ZERO + ts,
        subject: subject::TICK.into(),
        payload: Tick::new(0).to_json(),
        line,
        is_said: false,
    };
    let in_force = policy::encode(story.policy(""));
    let subject = subject::POLICY.into();
    let mut log = vec![Logged { ts: ZERO + times[0], subject, payload: in_force, line: None, is_said: false }];
    let mut now = times[0];
    for ((_, line, said), at) in story.said().into_iter().zip(times) {
        if !matches!(said, Said::Blind | Said::SetBack) {
            assert!(now <= *at, "{}: {} goes back", story.path.display(), story.lines[line].text);
            while now + ticks < *at {
                now += ticks;
                log.push(tick(now, Some(line)));
            }
        }
        now = *at;
        let Some((subject, payload)) = message(story, said) else {
            log.push(Logged { is_said: true, ..tick(now, Some(line)) });
            continue;
        };
        log.push(Logged { ts: ZERO + now, subject, payload, line: Some(line), is_said: true });
    }
    log
}

/// What a story's line is as a message of the log; a tick if it is none.
fn message(story: &Story, said: &Said) -> Option<(String, Vec<u8>)> {
    match said {
        Said::Signal(Signal { user, session, fields }) => {
            let payload = if fields.is_empty() { Vec::new() } else { json!(fields).to_string().into() };
            Some((subject::log_signal(0, "main", user, session), payload))
        }
        Said::Batch(gateway, items) => {
            Some((format!("{}.0.batch.main.{gateway}", subject::LOG), batch(items).to_string().into()))
        }
        Said::Policy(name) => Some((subject::POLICY.into(), policy::encode(story.policy(name)))),
        Said::Nothing | Said::Blind | Said::SetBack => None,
    }
}

/// A gateway's batch.
pub fn batch(items: &[Signal]) -> Value {
    let items = items.iter().map(|Signal { user, session, fields }| {
        let mut item = fields.clone();
        item.insert("u".into(), user.clone().into());
        item.insert("s".into(), session.clone().into());
        item
    });
    json!({"v": 1, "signals": items.collect::<Vec<_>>()})
}

fn apply(partition: &mut Partition, seq: usize, logged: &Logged) -> Vec<Event> {
    let Logged { ts, subject, payload, .. } = logged;
    let message = LogMessage { seq: seq as u64, ts: *ts, subject, payload, content_type: None };
    let mut events = Vec::new();
    partition.apply(&message.read(1).entry(), &mut events);
    events
}

/// What is told of each entry, folded without a break.
pub fn fold(log: &[Logged]) -> Vec<Vec<Event>> {
    let mut partition = Partition::new(0, &key());
    (1..).zip(log).map(|(seq, logged)| apply(&mut partition, seq, logged)).collect()
}

/// The events of each line of the story. What is told before the first, of the policy, is none of it.
pub fn by_line(story: &Story, log: &[Logged], told: &[Vec<Event>]) -> Vec<Vec<Told>> {
    let mut lines = vec![Vec::new(); story.lines.len()];
    for (logged, events) in log.iter().zip(told) {
        if let Some(line) = logged.line {
            lines[line].extend(events.iter().map(payload));
        }
    }
    lines
}

fn payload(told: &Event) -> Told {
    let message = event::messages(told, Encoding::Json).next().expect("an event is a message");
    Told(serde_json::from_slice(&message.payload).expect("an event is JSON"))
}

/// Plays a story by its own times and tells where it is not as it was written; nothing if it is.
pub fn differences(story: &Story) -> Option<String> {
    let times: Vec<_> = story.said().iter().map(|(at, ..)| *at).collect();
    let log = log(story, &times);
    differences_of(story, &by_line(story, &log, &fold(&log)))
}

/// Tells where what is told of each line is not as it was written; nothing if it is.
pub fn differences_of(story: &Story, lines: &[Vec<Told>]) -> Option<String> {
    let mut report = String::new();
    for (line, told) in story.lines.iter().zip(lines) {
        let is_so = told.len() == line.expected.len()
            && told.iter().zip(&line.expected).all(|(told, expected)| told.is(expected, ZERO));
        if is_so {
            continue;
        }
        report.push_str(&format!("{}:{}: {}\n", story.path.display(), line.number, line.text));
        for n in 0..told.len().max(line.expected.len()) {
            let (told, expected) = (told.get(n), line.expected.get(n));
            let is_so = told.zip(expected).is_some_and(|(told, expected)| told.is(expected, ZERO));
            let told = told.map_or("(nothing)".into(), |told| told.line(ZERO, expected));
            if is_so {
                report.push_str(&format!("      as written {told}\n"));
            } else {
                let expected = expected.map_or("(nothing)", |expected| &expected.text);
                report.push_str(&format!("    ! expected   {expected}\n      told       {told}\n"));
            }
        }
    }
    (!report.is_empty()).then_some(report)
}

/// Plays a story by other ticks, from a beginning so far off the grid. Gives the first user of whom something else is told.
pub fn difference_by(story: &Story, ticks: Millis, off: Millis) -> Option<String> {
    let times: Vec<_> = story.said().iter().map(|(at, ..)| *at).collect();
    let mut log = log_by(story, &times, ticks);
    for logged in &mut log {
        logged.ts += off;
    }
    let told = by_line(story, &log, &fold(&log)).concat();
    compare(&told, &story.expected(), |told, expected| told.is(expected, ZERO + off)).err()
}

/// Suffixes are folded for so many entries of a story at most, all cuts together.
const WORK_MAX: usize = 400_000;

/// Restarts a story in its middle, after each entry, by checkpoint and suffix; panics where that makes a difference.
pub fn restart_everywhere(story: &Story) {
    let times: Vec<_> = story.said().iter().map(|(at, ..)| *at).collect();
    let log = log(story, &times);
    let mut whole = Partition::new(0, &key());
    let mut restarted = Partition::new(0, &key());
    let (mut told, mut kept) = (Vec::new(), Vec::new());
    // After each entry: a partition that was restored each time is the same to the byte, and tells the same.
    for (seq, logged) in (1..).zip(&log) {
        told.push(apply(&mut whole, seq, logged));
        assert_eq!(apply(&mut restarted, seq, logged), told[seq - 1], "{}: a restart before entry {seq}", story.name);
        let bytes = whole.checkpoint();
        assert_eq!(restarted.checkpoint(), bytes, "{}: a restart before entry {seq}, in the end", story.name);
        restarted = Partition::restore(&bytes, &key()).expect("a checkpoint can be restored");
        kept.push(bytes);
    }
    // And once restored, it tells the whole suffix: cut around everything that is said, and elsewhere as far as work allows.
    let stride = (log.len() * log.len() / 2 / WORK_MAX).max(1);
    let is_near = |cut: usize| log.iter().skip(cut.saturating_sub(1)).take(2).any(|logged| logged.is_said);
    let said = log.iter().filter(|logged| logged.is_said).count();
    let near = (2 * said * log.len() / 2 / WORK_MAX).max(1);
    for cut in (0..log.len()).filter(|cut| cut % stride == 0 || is_near(*cut) && cut % near == 0) {
        let mut partition = Partition::restore(&kept[cut], &key()).expect("a checkpoint can be restored");
        for (seq, logged) in (1..).zip(&log).skip(cut + 1) {
            assert_eq!(
                apply(&mut partition, seq, logged),
                told[seq - 1],
                "{}: entry {seq} after a restart behind entry {}",
                story.name,
                cut + 1
            );
        }
        assert_eq!(partition.checkpoint(), kept[log.len() - 1], "{}: a restart behind {}", story.name, cut + 1);
    }
}
