//! What the contract and MODEL.md say, worked out by hand, so that the oracle is judged before it judges.

use presence_engine::model::{Claim, EngineWhat, Event, EventBody, Intent, Kind, Signal, Visibility};

use super::logs::What;
use super::story::{LAPTOP, PHONE, START, Story, audio, each, in_room, leave, want};

// ── bands ──

#[test]
fn confidence_of_the_default_profile_is_below_a_half_after_90_s_of_silence() {
    let mut story = Story::new();
    let hidden = Signal { visibility: Some(Visibility::Hidden), ..Signal::default() };
    story.say(LAPTOP, &hidden).until(11_000).told();
    story.until(90_000);
    assert!(story.told().is_empty(), "0.5 itself belongs to the band above");
    story.until(91_000);
    assert_eq!(story.told(), ["90001 0 laptop Away Away Fading", "90001 1 user Away Away Fading"]);
    story.until(95_000).beat(LAPTOP);
    assert_eq!(story.told(), ["95000 0 laptop Away Away Refreshed", "95000 1 user Away Away Refreshed"]);
}

#[test]
fn a_stale_session_that_is_heard_again_is_resumed_and_not_refreshed() {
    let mut story = Story::new();
    story.beat(LAPTOP).until(181_000);
    let silent = ["60000 0", "60000 1", "90001 0", "90001 1", "120000 0", "120000 1", "180000 0", "180000 1"];
    let told = story.told();
    assert!(told[2..].iter().zip(silent).all(|(told, start)| told.starts_with(start)), "{told:?}");
    story.beat(LAPTOP);
    assert_eq!(story.told(), ["181000 0 laptop Stale Active Resumed", "181000 1 user Stale Active Resumed"]);
}

// ── updated ──

#[test]
fn facts_are_told_a_second_after_the_event_before_and_only_if_they_differ() {
    let mut story = Story::new();
    story.beat(LAPTOP).told();
    story.until(300).say(LAPTOP, &in_room("hall")).until(600).say(LAPTOP, &in_room("attic")).until(2_000);
    assert_eq!(story.told(), ["1000 0 laptop Active Active Updated"]);
    story.until(5_000).say(LAPTOP, &in_room("hall"));
    assert_eq!(story.told(), ["5000 0 laptop Active Active Updated"], "the second is over");
    story.until(5_100).say(LAPTOP, &in_room("attic")).until(5_200).say(LAPTOP, &in_room("hall")).until(8_000);
    assert!(story.told().is_empty(), "there and back again");
}

#[test]
fn a_state_tells_the_facts_too() {
    let mut story = Story::new();
    story.beat(LAPTOP).told();
    story.until(300).say(LAPTOP, &in_room("hall"));
    story.until(600).say(LAPTOP, &Signal { state: Some(Claim::Idle), ..Signal::default() });
    assert_eq!(story.last(|body| if let EventBody::Session(of) = body { Some(of.rooms.len()) } else { None }), 1);
    story.told();
    assert!(story.until(3_000).told().is_empty());
}

#[test]
fn counts_of_a_user_are_told_a_second_after_its_event_before() {
    let mut story = Story::new();
    story.beat(LAPTOP).until(500).beat(PHONE).until(2_000);
    assert_eq!(story.told()[2..], ["500 0 phone Offline Active Joined", "1000 0 user Active Active Updated"]);
}

#[test]
fn a_policy_tells_facts_that_it_makes_due() {
    let mut story = Story::new();
    story.beat(LAPTOP).until(300).say(LAPTOP, &in_room("hall")).told();
    story.until(400).rule(|policy| policy.update_every = 500);
    assert_eq!(story.told(), ["400 0 Policy"]);
    story.until(450).rule(|policy| policy.update_every = 450);
    assert_eq!(story.told(), ["450 0 Policy", "450 1 laptop Active Active Updated"]);
}

// ── readiness ──

#[test]
fn readiness_ends_where_confidence_falls_below_the_least() {
    let mut story = Story::new();
    story.say(LAPTOP, &audio());
    let until = |body: &EventBody| if let EventBody::Ready(of) = body { Some(of.until_ms) } else { None };
    assert_eq!(story.last(until), Some(START + 49_316), "30 s and 60 s × log2(1/0.8)");
    let joined = ["0 0 laptop Offline Active Joined", "0 1 user Offline Active Joined"];
    assert_eq!(story.told(), [&joined[..], &["0 2 ready [] [audio since 0] Joined"]].concat());
    story.until(49_900);
    assert_eq!(story.last(until), None);
    assert_eq!(story.told(), ["49316 0 ready [audio] [] Fading"]);
    story.until(50_000).beat(LAPTOP);
    assert_eq!(story.told(), ["50000 0 ready [] [audio since 50000] Refreshed"]);
}

#[test]
fn a_closed_transport_is_not_ready_at_once_and_told_of_the_session_in_its_time() {
    let mut story = Story::new();
    story.say(LAPTOP, &audio()).told();
    story.until(100).say(LAPTOP, &Signal { kind: Kind::Disconnect, ..Signal::default() }).until(2_000);
    assert_eq!(story.told(), ["100 0 ready [audio] [] Updated", "1000 0 laptop Active Active Updated"]);
}

#[test]
fn nobody_is_ready_who_does_not_want_to() {
    let mut story = Story::new();
    story.say(LAPTOP, &audio()).told();
    story.until(100).say(LAPTOP, &Signal { intent_for_ms: Some(5_000), ..want(Intent::Dnd) }).until(6_000);
    let begun = ["100 0 user Active Active Intent", "100 1 ready [audio] [] Intent"];
    let over = ["5100 0 user Active Active Intent", "5100 1 ready [] [audio since 5100] Intent"];
    assert_eq!(story.told(), [begun, over].concat());
}

#[test]
fn a_policy_takes_readiness_anew() {
    let mut story = Story::new();
    let both = Signal { can: Some(["audio".into(), "video".into()].into()), ..Signal::default() };
    story.say(LAPTOP, &both).told();
    story.until(100).rule(|policy| policy.capabilities = vec!["video".into()]);
    assert_eq!(story.told(), ["100 0 Policy", "100 1 ready [audio video] [video since 0] Policy"]);
    story.until(40_000).rule(|policy| policy.ready.min_confidence = 1_000);
    assert_eq!(story.told(), ["40000 0 Policy", "40000 1 ready [video] [] Policy"]);
}

// ── invisible ──

#[test]
fn invisible_takes_the_places_of_somebody_who_left() {
    let mut story = Story::new();
    story.say(LAPTOP, &audio()).until(100).told();
    story.say(LAPTOP, &leave());
    let left = ["100 0 laptop Active Offline Left", "100 1 user Active Offline Left", "100 2 ready [audio] [] Left"];
    assert_eq!(story.told(), left);
    let mut story = Story::new();
    story.say(LAPTOP, &audio()).until(100).told();
    story.say(LAPTOP, &want(Intent::Invisible));
    assert_eq!(story.told(), left[1..]);
}

#[test]
fn an_invisible_user_shows_in_its_sessions_only_and_joins_again() {
    let mut story = Story::new();
    story.beat(LAPTOP).until(100).say(LAPTOP, &Signal { intent_for_ms: Some(2_000), ..want(Intent::Invisible) });
    let gone = |body: &EventBody| if let EventBody::User(of) = body { Some((**of).clone()) } else { None };
    let event = story.last(gone);
    assert_eq!((event.intent, event.intent_until_ms, event.sessions, event.next), (Intent::Open, None, [0; 4], None));
    assert_eq!((event.confidence.permille, event.last_seen_ms), (0, START));
    story.told();
    story.until(200).beat(PHONE);
    assert_eq!(story.told(), ["200 0 phone Offline Active Joined"]);
    story.until(3_000);
    let event = story.last(gone);
    assert_eq!((event.incarnation, event.ordinal, event.sessions), (START + 2_100, 1, [2, 0, 0, 0]));
    assert_eq!(story.told(), ["2100 1 user Offline Active Joined"]);
}

#[test]
fn who_joins_invisible_is_seen_by_nobody() {
    let mut story = Story::new();
    story.say(LAPTOP, &Signal { kind: Kind::Heartbeat, ..want(Intent::Invisible) });
    assert_eq!(story.told(), ["0 0 laptop Offline Active Joined"]);
    story.until(1_000).say(LAPTOP, &leave());
    assert_eq!(story.told(), ["1000 0 laptop Active Offline Left"]);
}

#[test]
fn without_the_events_of_sessions_their_places_are_left_out_too() {
    let mut story = Story::under(|policy| policy.session_events = false);
    story.say(LAPTOP, &audio()).say(LAPTOP, &leave());
    let joined = ["0 1 user Offline Active Joined", "0 2 ready [] [audio since 0] Joined"];
    assert_eq!(story.told(), [joined, ["0 1 user Active Offline Left", "0 2 ready [audio] [] Left"]].concat());
}

// ── intents ──

#[test]
fn a_voice_is_heard_before_anybody_is_there_and_its_repetition_is_not() {
    let mut story = Story::new();
    let calendar = ("a", "b", "calendar");
    story.say(calendar, &want(Intent::Busy)).until(1_000);
    assert_eq!((story.told().len(), story.oracle.sessions()), (0, 1));
    let intent = |body: &EventBody| if let EventBody::User(of) = body { Some(of.intent) } else { None };
    story.beat(LAPTOP);
    assert_eq!(story.last(intent), Intent::Busy);
    story.until(2_000).say(LAPTOP, &want(Intent::Open)).until(3_000).told();
    story.say(calendar, &want(Intent::Busy)).until(9_000);
    assert!(story.told().is_empty(), "it has said so before");
    story.say(("a", "b", "nobody"), &in_room("hall"));
    assert_eq!(story.oracle.sessions(), 2, "without an intent there is nothing to remember");
}

#[test]
fn an_intent_outlives_its_sessions_for_a_while() {
    for (back, intent) in [(10_900, Intent::Dnd), (11_000, Intent::Open)] {
        let mut story = Story::under(|policy| {
            policy.intent_keep = 10_000;
            each(policy, |profile| profile.tombstone = 0);
        });
        story.beat(LAPTOP).say(LAPTOP, &want(Intent::Dnd)).until(1_000).say(LAPTOP, &leave());
        story.until(back).told();
        story.beat(PHONE);
        let told = story.last(|body| if let EventBody::User(of) = body { Some(of.intent) } else { None });
        assert_eq!(told, intent, "after {back} ms");
    }
}

// ── anti-flap ──

#[test]
fn who_comes_back_at_once_is_given_longer_each_time() {
    let mut story = Story::under(|policy| {
        each(policy, |profile| {
            (profile.idle_after, profile.away_after, profile.anti_flap) = (10_000, 300_000, 5_000);
        });
    });
    let idle = |story: &mut Story| {
        let told = story.told();
        told.into_iter().filter(|line| line.ends_with("laptop Active Idle Quiet")).collect::<Vec<_>>()
    };
    story.beat(LAPTOP).until(12_000).beat(LAPTOP).until(29_000).beat(LAPTOP).until(60_000);
    let quiet = ["10000", "27000", "49000"].map(|at| format!("{at} 0 laptop Active Idle Quiet"));
    assert_eq!(idle(&mut story), quiet, "10 s; 10 + 5 s after 12; 10 + 10 s after 29");
    story.beat(LAPTOP).until(71_000);
    assert_eq!(idle(&mut story), ["70000 0 laptop Active Idle Quiet"], "11 s after leaving active is late");
}

// ── policy ──

#[test]
fn a_new_default_moves_those_who_named_no_profile() {
    let mut story = Story::new();
    story.beat(LAPTOP).say(PHONE, &Signal { profile: Some("default".into()), ..Signal::default() });
    story.until(20_000).told();
    story.rule(|policy| policy.default_profile = "seed".into());
    assert_eq!(
        story.told(),
        ["20000 0 Policy", "20000 1 laptop Active Idle Policy", "20000 2 user Active Active Updated"]
    );
    story.until(25_000).rule(|_| {});
    let told = ["25000 0 Policy", "25000 1 laptop Idle Active Policy", "25000 2 user Active Active Updated"];
    assert_eq!(story.told(), told, "and back");
}

#[test]
fn a_policy_takes_bands_anew() {
    let mut story = Story::new();
    story.beat(LAPTOP).until(45_000).told();
    story.rule(|policy| each(policy, |profile| profile.confidence.bands = vec![900]));
    let told = ["45000 0 Policy", "45000 1 laptop Active Active Policy", "45000 2 user Active Active Policy"];
    assert_eq!(story.told(), told, "2^-(15/60) is 840 thousandths");
}

#[test]
fn failed_ticks_excuse_what_lies_between_and_say_so() {
    let spans = |story: &Story| -> Vec<_> {
        let of = |event: &Event| match &event.body {
            EventBody::Engine(of) => Some((of.what, of.from_ms - START, of.to_ms - START, event.at_ms - START)),
            _ => None,
        };
        story.told.iter().filter_map(of).collect()
    };
    let mut story = Story::new();
    story.beat(LAPTOP).until(10_000).pause(2_000).put(What::Tick { failed: 2 }).until(70_000);
    assert_eq!(spans(&story), [(EngineWhat::TicksFailed, 10_000, 12_000, 12_000)]);
    let idle = story.told().into_iter().find(|line| line.contains("Idle Quiet")).expect("idle");
    assert_eq!(idle, "62000 0 laptop Active Idle Quiet", "two seconds are excused");
    // A gap that is above blind_after has an excuse of its own.
    let mut story = Story::new();
    story.beat(LAPTOP).until(10_000).pause(4_000).put(What::Tick { failed: 4 });
    assert_eq!(spans(&story), [(EngineWhat::Blind, 10_000, 14_000, 14_000)]);
}
