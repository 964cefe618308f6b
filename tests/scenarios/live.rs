//! Stories through a real server and a real engine: published by a client at their moments, some hundred times faster.
//!
//! Stories that agree about everything but profiles share a server and an engine; each has a tenant of its own. The log's
//! timestamps say when each input really came. Was the machine so slow that by those the story is another one, it is played
//! again; whether it is, the pure fold tells, at these times.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::context::PublishAckFuture;
use futures::future::{join, join_all};
use presence_engine::model::{Millis, Policy, Profile, partition_of};
use presence_engine::nats::{Nats, names};
use presence_engine::wire::{policy, subject};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::common::client::publish;
use super::common::engine::Engine;
use super::common::streams::{self, Stored};
use super::common::{TestServer, oracle, soon};
use super::parse::{Expected, Said, Signal, Story, With};
use super::told::{self, Told};
use super::{pure, scaled, standing};

/// So often a story is played before the machine is called too slow for it.
const ATTEMPTS: u32 = 6;
/// Stories begin one after the other, so that they don't all speak at once.
const BETWEEN: Duration = Duration::from_millis(23);
/// How many partitions the logs have.
const PARTITIONS: u16 = 8;
/// Nobody hears it, but it has a time in the log.
const SILENCE: &str = "presence.v1.log.all.silence";

/// Plays all stories; panics if one is told otherwise than it is written.
pub async fn play_all(stories: Vec<Story>) {
    let mut stages = BTreeMap::<String, Stage<'_>>::new();
    for story in &stories {
        let policy = scaled::policy(story, "");
        match story.with {
            With::Others => {
                let common =
                    Policy { default_profile: "default".into(), profiles: Profile::built_in(), ..policy.clone() };
                let stage = stages.entry(format!("{common:?}"));
                let shared = || Stage { policy: common, stories: Vec::new() };
                stage.or_insert_with(shared).take(story, policy);
            }
            With::Nobody => {
                let stage = Stage { policy, stories: vec![(story, Names::new())] };
                stages.insert(story.name.clone(), stage);
            }
            With::StandingClock => {}
        }
    }
    let standing = stories.iter().filter(|story| story.with == With::StandingClock).map(standing::play);
    let (reports, exact) = join(join_all(stages.into_values().map(Stage::play)), join_all(standing)).await;
    let reports: Vec<_> = reports.into_iter().flatten().chain(exact.into_iter().flatten()).collect();
    assert!(reports.is_empty(), "{} stories are told otherwise live:\n\n{}", reports.len(), reports.join("\n"));
}

/// The profiles that a story's sessions name here, by the names that they have in the story.
type Names = BTreeMap<String, String>;

/// A server and an engine, and the stories that are played there.
struct Stage<'s> {
    policy: Policy,
    stories: Vec<(&'s Story, Names)>,
}

/// What became of a story.
enum Verdict {
    AsWritten,
    /// By the times of the log it is another story.
    TooSlow,
    Otherwise(String),
}

impl<'s> Stage<'s> {
    /// Takes a story that shares the stage: its profiles get names of their own.
    fn take(&mut self, story: &'s Story, policy: Policy) {
        let mut names = Names::new();
        for (name, profile) in policy.profiles {
            let known = self.policy.profiles.iter().find(|(_, known)| *known == profile);
            let here = known.map_or_else(|| format!("p{}", self.policy.profiles.len()), |(known, _)| known.to_string());
            if known.is_none() {
                self.policy.profiles.push((here.clone().into(), profile));
            }
            if *name == *policy.default_profile {
                names.insert(String::new(), here.clone());
            }
            names.insert(name.into(), here);
        }
        self.stories.push((story, names));
    }

    async fn play(self) -> Vec<String> {
        let server = TestServer::start().await;
        let nats = server.connect().await;
        let mut engine = Engine::start(&server.url(), &scaled::configuration(&self.policy, PARTITIONS)).await;
        let mut reports = Vec::new();
        let mut left = self.stories;
        for attempt in 1..=ATTEMPTS {
            let began = publish(&nats, SILENCE, "").await;
            let runs = (0..).zip(&left).map(|(n, (story, names))| Run::of(&nats, story, names, attempt, BETWEEN * n));
            let runs = join_all(runs).await;
            let ended = publish(&nats, SILENCE, "").await;
            streams::told_up_to(&nats, ended).await;
            engine.must_run();
            let log: Vec<_> = streams::log(&nats).await.into_iter().filter(|entry| entry.seq >= began).collect();
            let events = streams::read(&nats, names::EVENTS).await;
            let mut again = Vec::new();
            for (run, (story, names)) in runs.into_iter().zip(left) {
                match run.verdict(&log, &events) {
                    Verdict::AsWritten => {}
                    Verdict::Otherwise(report) => reports.push(report),
                    Verdict::TooSlow if attempt == ATTEMPTS => {
                        reports.push(format!("{}: the machine was too slow for it {ATTEMPTS} times", story.name));
                    }
                    Verdict::TooSlow => {
                        println!("{} is played again: the machine was too slow, attempt {attempt}", story.name);
                        again.push((story, names));
                    }
                }
            }
            left = again;
            if left.is_empty() {
                break;
            }
        }
        engine.terminate().await;
        oracle::check(&nats).await;
        reports
    }
}

/// A story as it was played once.
struct Run<'s> {
    story: &'s Story,
    tenant: String,
    /// The log sequence of everything that was said.
    seqs: Vec<u64>,
}

impl<'s> Run<'s> {
    async fn of(nats: &Nats, story: &'s Story, names: &Names, attempt: u32, after: Duration) -> Self {
        let tenant = format!("{}-{attempt}", story.name);
        let scale = story.scale;
        let said = story.said();
        let start = Instant::now() + after;
        let moment = |at: Millis| start + Duration::from_micros((at - story.lines[0].at) * 1_000 / scale);
        let mut acks = Vec::new();
        for (at, _, said) in &said {
            tokio::time::sleep_until(moment(*at)).await;
            acks.push(send(nats, story, names, &tenant, said).await);
        }
        let seqs = acks
            .into_iter()
            .map(async |ack| soon("the log takes it", ack.into_future()).await.expect("the log takes it").sequence);
        Self { story, tenant, seqs: join_all(seqs).await }
    }

    fn verdict(&self, log: &[Stored], events: &[Stored]) -> Verdict {
        let story = self.story;
        let ts: BTreeMap<_, _> = log.iter().map(|entry| (entry.seq, entry.ts_ms)).collect();
        let ts: Vec<_> = self.seqs.iter().map(|seq| ts[seq]).collect();
        let (began, scale) = (ts_of_first(&ts), story.scale);
        let by_time = by_the_log(story, &ts);
        let expected = story.expected();
        let told = self.told(events, *ts.last().expect("a story has lines"));
        let by_time = match told::compare(&by_time, &expected, Told::is_alike) {
            Ok(pairs) if streams::is_calm(log) => pairs,
            // Whatever is told by the story's own times otherwise than it is written, is no matter of times.
            Err(user) if pure::differences(story).is_some() => {
                return Verdict::Otherwise(report(story, &user, &told, &expected, began));
            }
            Ok(_) | Err(_) => return Verdict::TooSlow,
        };
        let pairs = match told::compare(&told, &expected, Told::is_alike) {
            Err(user) => return Verdict::Otherwise(report(story, &user, &told, &expected, began)),
            Ok(pairs) => pairs,
        };
        for ((told, expected), (by_time, _)) in pairs.into_iter().zip(by_time) {
            let at_ms = began + (by_time.at_ms() - pure::ZERO - story.lines[0].at).div_ceil(scale);
            if told.at_ms() != at_ms || !self.is_in_time(told, expected, &ts) {
                return Verdict::Otherwise(format!(
                    "{}:{}: {}\n  told at another time than {at_ms}: {}\n  inputs came at {ts:?}",
                    story.path.display(),
                    expected.number,
                    expected.text,
                    told.0,
                ));
            }
        }
        Verdict::AsWritten
    }

    /// What is told of it until its end.
    fn told(&self, events: &[Stored], end: Millis) -> Vec<Told> {
        let is_told = |event: &&Stored| {
            event.subject.strip_prefix(subject::TOLD_PREFIX).is_some_and(|rest| {
                ["session.", "user.", "ready.", "rejected."].iter().any(|kind| rest.starts_with(kind))
            })
        };
        let refused = format!(".{}.", self.tenant);
        let is_own = |event: &Value| {
            event["tenant"] == self.tenant
                || event["subject"].as_str().is_some_and(|subject| subject.contains(&refused))
        };
        let of_all = events.iter().filter(is_told).map(Stored::json);
        of_all.filter(|event| is_own(event) && event["at_ms"].as_u64() <= Some(end)).map(Told).collect()
    }

    /// Whether an event is as far from some input as it is written, to the millisecond: what a signal causes from that signal, a
    /// deadline from the one that set it.
    fn is_in_time(&self, told: &Told, expected: &Expected, ts: &[Millis]) -> bool {
        let scale = self.story.scale;
        let said = self.story.said();
        // What is excused makes deadlines later, by as much as other entries' times say.
        let is_excused = said.iter().any(|(_, _, said)| matches!(said, Said::Batch(..)));
        let mut inputs = said.iter().zip(ts).take_while(|((at, ..), _)| *at <= expected.at);
        is_excused || inputs.any(|((at, ..), ts)| told.at_ms() == ts + (expected.at - at).div_ceil(scale))
    }
}

/// What the story tells by the log's times of its inputs, as times of the story.
fn by_the_log(story: &Story, ts: &[Millis]) -> Vec<Told> {
    let times: Vec<_> = ts.iter().map(|at| story.lines[0].at + (at - ts_of_first(ts)) * story.scale).collect();
    let log = pure::log(story, &times);
    pure::by_line(story, &log, &pure::fold(&log)).concat()
}

fn ts_of_first(ts: &[Millis]) -> Millis {
    *ts.first().expect("a story has lines")
}

fn report(story: &Story, user: &str, told: &[Told], expected: &[&Expected], zero: Millis) -> String {
    let expected = expected.iter().filter(|expected| told::user_in(&expected.head) == *user);
    let expected: Vec<_> =
        expected.map(|expected| format!("    {} (line {})", expected.text, expected.number)).collect();
    let told: Vec<_> =
        told.iter().filter(|told| told.user() == user).map(|told| format!("    {}", told.line(zero, None))).collect();
    format!(
        "{} live, {} times faster, of {user:?}\n  expected\n{}\n  told\n{}\n",
        story.path.display(),
        story.scale,
        expected.join("\n"),
        told.join("\n")
    )
}

/// Publishes what a line says.
async fn send(nats: &Nats, story: &Story, names: &Names, tenant: &str, said: &Said) -> PublishAckFuture {
    let (subject, payload) = match said {
        Said::Signal(signal) => {
            let fields = faster(story, names, &signal.fields);
            let subject = format!("{}.{tenant}.{}.{}", subject::SIGNAL, signal.user, signal.session);
            (subject, if fields.is_empty() { Vec::new() } else { json!(fields).to_string().into() })
        }
        Said::Batch(gateway, items) => {
            let user = items.first().map_or("alice", |item| &item.user);
            let items: Vec<_> = items
                .iter()
                .map(|item| Signal { fields: faster(story, names, &item.fields), ..item.clone() })
                .collect();
            let partition = partition_of(tenant, user, PARTITIONS);
            (format!("{}.{partition}.batch.{tenant}.{gateway}", subject::LOG), pure::batch(&items).to_string().into())
        }
        Said::Policy(name) => (subject::POLICY.into(), policy::encode(&scaled::policy(story, name))),
        Said::Nothing | Said::Blind => (SILENCE.into(), Vec::new()),
        Said::SetBack => {
            panic!("{}: only a clock that stands still can be set back: live to the millisecond", story.name)
        }
    };
    nats.jetstream.publish(subject, payload.into()).await.expect("it can be sent")
}

/// A signal's fields for a story that is played faster, with the names that its profiles have here.
fn faster(story: &Story, names: &Names, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = fields.clone();
    for (key, value) in &mut fields {
        if ["input_age_ms", "intent_for_ms", "every_ms", "age_ms"].contains(&key.as_str()) {
            let faster = scaled::time(value.as_u64().expect("a time"), story.scale);
            assert!(
                key != "every_ms" || faster == 0 || faster >= 1_000,
                "{}: nobody can promise {faster} ms",
                story.name
            );
            *value = faster.into();
        }
    }
    let profile = fields.get("profile").and_then(Value::as_str).unwrap_or_default();
    if let Some(here) = names.get(profile) {
        fields.insert("profile".into(), here.clone().into());
    }
    fields
}

#[test]
fn an_input_that_the_log_has_too_late_makes_it_another_story() {
    let stories = super::parse::all();
    let Some(story) = stories.iter().find(|story| story.name == "input-while-idle-away-and-stale") else { return };
    let in_time: Vec<_> = story.said().iter().map(|(at, ..)| 5_000 + at / story.scale).collect();
    let is_the_same = |ts: &[Millis]| told::compare(&by_the_log(story, ts), &story.expected(), Told::is_alike).is_ok();
    assert!(is_the_same(&in_time));
    // The second input belongs between idle at 1200 ms and away at 2400 ms after the first.
    let late_by =
        |late: Millis| in_time.iter().enumerate().map(|(n, at)| at + if n > 0 { late } else { 0 }).collect::<Vec<_>>();
    assert!(is_the_same(&late_by(999)));
    assert!(!is_the_same(&late_by(1_001)));
}
