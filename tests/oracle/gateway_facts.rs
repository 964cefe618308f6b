//! What MODEL.md says of gateways and their batches, worked out by hand.

use presence_engine::model::{Cause, EngineWhat, Event, EventBody, Kind, Signal};

use super::story::{LAPTOP, PHONE, START, Story, audio, each, leave};

/// When a laptop that was heard `at` is told idle, and what is told before of others.
fn idle_at(story: &mut Story) -> String {
    let line = story.told().into_iter().find(|line| line.ends_with("laptop Active Idle Quiet"));
    line.expect("idle").split(' ').next().expect("a time").to_owned()
}

#[test]
fn a_gateways_silence_excuses_its_sessions_for_a_minute() {
    let idle = |story: &mut Story| story.told().into_iter().find(|line| line.contains("Idle Quiet")).expect("idle");
    let beat = [(LAPTOP, Signal::default(), 0)];
    let mut story = Story::new();
    story.batch(&beat).until_with_gateway(70_000);
    assert_eq!(idle(&mut story), "60000 0 laptop Active Idle Quiet", "it is there");
    let mut story = Story::new();
    story.batch(&beat).until(13_000).batch(&[]).until_with_gateway(80_000);
    assert_eq!(idle(&mut story), "70000 0 laptop Active Idle Quiet", "it was silent from 3 s to 13 s");
    let mut story = Story::new();
    story.batch(&beat).until(130_000);
    assert_eq!(idle(&mut story), "120000 0 laptop Active Idle Quiet", "a minute is all there is");
    let mut story = Story::under(|policy| policy.limits.gateways = 0);
    story.batch(&beat).until(70_000);
    assert_eq!(idle(&mut story), "60000 0 laptop Active Idle Quiet", "nobody knows it");
}

#[test]
fn what_was_excused_stays_so_and_counts_as_no_silence() {
    let mut story = Story::new();
    let reported = |age| Signal { input_age_ms: Some(age), ..Signal::default() };
    story.batch(&[(LAPTOP, reported(0), 0)]).until(33_000).batch(&[(LAPTOP, reported(33_000), 0)]);
    story.until_with_gateway(95_000);
    let quiet = story.told.iter().find_map(|event| match &event.body {
        EventBody::Session(of) if of.cause == Cause::Quiet => Some((event.at_ms, of.last_input_ms)),
        _ => None,
    });
    assert_eq!(quiet, Some((START + 90_000, START + 30_000)), "a beat makes nobody 30 s older");
}

#[test]
fn an_item_acts_when_its_gateway_took_it_and_never_back() {
    let seen = |body: &EventBody| {
        let EventBody::Session(of) = body else { return None };
        Some((of.last_seen_ms - START, of.last_input_ms - START))
    };
    let mut story = Story::new();
    story.until(10_000).batch(&[(LAPTOP, Signal::default(), 4_000)]);
    assert_eq!(story.last(seen), (6_000, 6_000));
    story.until(60_000).batch(&[(PHONE, Signal::default(), 1 << 40)]);
    assert_eq!(story.last(seen), (30_000, 30_000), "limits.batch_age is 30 s");
    let mut story = Story::new();
    story.until(9_000).beat(LAPTOP).until(10_000);
    story.batch(&[(LAPTOP, Signal::default(), 4_000), (LAPTOP, leave(), 0)]);
    assert_eq!(story.last(seen), (9_000, 9_000));
}

#[test]
fn the_events_of_a_batch_stand_in_the_contracts_order() {
    let mut story = Story::new();
    story.batch(&[(LAPTOP, audio(), 0), (PHONE, Signal::default(), 0), (LAPTOP, leave(), 0), (PHONE, leave(), 0)]);
    let sessions = ["laptop Offline Active Joined", "laptop Active Offline Left"];
    let sessions = sessions.into_iter().chain(["phone Offline Active Joined", "phone Active Offline Left"]);
    let users = ["user Offline Active Joined", "user Active Offline Left"];
    let ready = ["ready [] [audio since 0] Joined", "ready [audio] [] Left"];
    let expected = sessions.chain(users).chain(ready).enumerate();
    assert_eq!(story.told(), expected.map(|(k, what)| format!("0 {k} {what}")).collect::<Vec<_>>());
}

#[test]
fn each_beat_gives_a_minute_anew_and_one_that_comes_directly_takes_it() {
    let beat = [(LAPTOP, Signal::default(), 0)];
    let mut story = Story::new();
    story.batch(&beat).until(63_000).batch(&beat).until(190_000);
    assert_eq!(idle_at(&mut story), "183000", "a minute of silence and a minute that is excused");
    let mut story = Story::new();
    story.batch(&beat).until(1_000).beat(LAPTOP).until(70_000);
    assert_eq!(idle_at(&mut story), "61000");
}

#[test]
fn what_begins_in_the_silence_begins_at_nought() {
    let mut story = Story::new();
    let gone = Signal { kind: Kind::Disconnect, ..Signal::default() };
    story.batch(&[(LAPTOP, Signal::default(), 0)]).until(43_000).batch(&[(LAPTOP, gone, 0)]);
    story.told();
    story.until_with_gateway(59_000);
    assert_eq!(story.told(), ["58000 0 laptop Active Stale Disconnected", "58000 1 user Active Stale Disconnected"]);
}

#[test]
fn a_gateway_is_forgotten_after_a_minute_of_silence() {
    for (at, idle) in [(62_999, "122999"), (63_000, "183000")] {
        let mut story = Story::under(|policy| policy.limits.gateways = 1);
        story.batch(&[]).until(at).batch_of("h", &[(LAPTOP, Signal::default(), 0)]).until(190_000);
        assert_eq!(idle_at(&mut story), idle);
    }
}

#[test]
fn a_batch_that_ends_a_silence_lets_everybody_fall_first() {
    let mut story = Story::new();
    story.batch(&[]).until(50).beat(LAPTOP).until(60_000).until(60_080).told();
    let mut other = Story::new();
    other.until(50).beat(LAPTOP).until(60_000).until(60_080).told();
    assert_eq!(idle_at(story.batch(&[])), "60050");
    assert!(other.batch(&[]).told().is_empty(), "the grid is at 60000");
}

#[test]
fn what_is_too_old_when_it_comes_is_remembered_and_not_told() {
    let mut story = Story::under(|policy| {
        each(policy, |profile| (profile.stale_after, profile.offline_after) = (500, 1_000));
    });
    story.until(5_000).batch(&[(LAPTOP, Signal::default(), 2_000)]);
    assert_eq!((story.told().len(), story.oracle.sessions()), (0, 1));
}

#[test]
fn a_gateway_is_told_silent_once_a_silence() {
    let silences = |story: &Story| -> Vec<_> {
        let of = |event: &Event| match &event.body {
            EventBody::Engine(of) if of.what == EngineWhat::GatewaySilent => {
                Some((of.from_ms - START, of.to_ms - START))
            }
            _ => None,
        };
        story.told.iter().filter_map(of).collect()
    };
    let mut story = Story::new();
    story.until(1_000).batch(&[]).until(130_000).batch(&[]).until_with_gateway(140_000).until(150_000);
    assert_eq!(silences(&story), [(1_000, 4_000), (140_000, 143_000)]);
    // Another policy makes it silent at once, or not yet.
    let mut story = Story::new();
    story.batch(&[]).until(2_000).rule(|policy| policy.blind_after = 1_500).until(10_000);
    assert_eq!(silences(&story), [(0, 2_000)]);
    let mut story = Story::new();
    story.batch(&[]).until(2_000).rule(|policy| policy.blind_after = 6_000).until(10_000);
    assert_eq!(silences(&story), [(0, 6_000)]);
}
