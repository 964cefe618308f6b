use proptest::prelude::*;

use super::*;
use crate::wire::told::{Engine, Sessions, User};

/// A user's event of so much that matters here.
fn user(at_ms: Millis, ordinal: u32, from: State, to: State, cause: &'static str) -> ToldEvent {
    ToldEvent::User(Box::new(User {
        v: 1,
        kind: "user".into(),
        id: "0-0-1-0".into(),
        incarnation: 1,
        ordinal,
        cause: cause.into(),
        at_ms,
        partition: 0,
        seq: 1,
        tenant: "main".into(),
        user: "ada".into(),
        from,
        to,
        sessions: Sessions { active: 0, idle: 0, away: 0, stale: 0 },
        intent: crate::model::Intent::Open,
        intent_until_ms: None,
        ready: Vec::new(),
        last_seen_ms: at_ms,
        last_input_ms: at_ms,
        confidence: None,
        next: None,
    }))
}

fn engine(what: &'static str, from_ms: Millis, to_ms: Millis) -> ToldEvent {
    ToldEvent::Engine(Engine {
        v: 1,
        kind: "engine".into(),
        id: "0-0-1-0".into(),
        at_ms: to_ms,
        partition: 0,
        seq: 1,
        what: what.into(),
        from_ms,
        to_ms,
    })
}

fn kept(events: Vec<ToldEvent>) -> Kept {
    let mut kept = Kept::default();
    events.into_iter().for_each(|event| kept.observe(event));
    kept
}

/// Segments as text: `5-9 idle quiet`, and `!` for those that nobody watched.
fn told(timeline: &Timeline, from_ms: Millis, to_ms: Millis) -> Vec<String> {
    let (segments, after) = timeline.page(from_ms, to_ms, usize::MAX);
    assert_eq!(after, None);
    let text = |of: &Segment| {
        let watched = if of.observed { "" } else { "!" };
        format!("{}-{} {}{watched} {}", of.from_ms, of.to_ms, of.state.as_str(), of.cause.as_deref().unwrap_or("-"))
    };
    segments.iter().map(text).collect()
}

use State::{Active, Idle, Offline, Stale};

#[test]
fn events_without_another_state_cut_no_segment_and_the_cause_is_that_of_the_change() {
    let kept = kept(vec![
        user(10, 1, Offline, Active, "joined"),
        user(12, 2, Active, Active, "updated"),
        user(20, 3, Active, Idle, "quiet"),
        user(25, 4, Idle, Idle, "fading"),
        user(30, 5, Idle, Offline, "left"),
    ]);
    assert_eq!((kept.first_ms(), kept.last_ms()), (Some(10), Some(30)));
    let timeline = kept.timeline(None);
    assert_eq!(
        told(&timeline, 5, 40),
        ["5-10 offline -", "10-20 active joined", "20-30 idle quiet", "30-40 offline left"]
    );
    assert_eq!(told(&timeline, 22, 24), ["22-24 idle quiet"]);
    assert_eq!(told(&timeline, 20, 20), [""; 0]);
}

#[test]
fn time_that_nobody_watched_is_a_segment_of_its_own() {
    let timeline = kept(vec![
        user(10, 1, Offline, Active, "joined"),
        engine("blind", 15, 25),
        engine("blind", 20, 30),
        engine("clock", 31, 33),
        user(40, 2, Active, Idle, "quiet"),
        engine("blind", 45, 45),
    ])
    .timeline(None);
    assert_eq!(
        told(&timeline, 10, 50),
        ["10-15 active joined", "15-30 active! joined", "30-40 active joined", "40-50 idle quiet"]
    );
}

#[test]
fn what_held_for_no_time_is_left_out_and_time_never_runs_back() {
    let timeline = kept(vec![
        user(10, 1, Offline, Active, "joined"),
        user(20, 2, Active, Stale, "silent"),
        user(20, 3, Stale, Active, "resumed"),
        user(30, 4, Active, Idle, "quiet"),
        user(25, 5, Idle, Offline, "left"),
    ])
    .timeline(None);
    assert_eq!(told(&timeline, 10, 40), ["10-30 active joined", "30-40 offline left"]);
}

#[test]
fn before_what_is_kept_it_is_unknown() {
    let first = || vec![user(20, 4, Active, Idle, "quiet")];
    let unknown = |cut_ms| told(&kept(first()).timeline(cut_ms), 5, 30);
    assert_eq!(unknown(Some(12)), ["5-12 unknown -", "12-20 active -", "20-30 idle quiet"]);
    assert_eq!(unknown(Some(20)), ["5-20 unknown -", "20-30 idle quiet"]);
    assert_eq!(unknown(Some(28)), ["5-20 unknown -", "20-30 idle quiet"], "told late");
    assert_eq!(unknown(None), ["5-20 unknown -", "20-30 idle quiet"], "somebody deleted it");
    let same = kept(vec![user(20, 4, Idle, Idle, "updated")]).timeline(Some(12));
    assert_eq!(told(&same, 5, 30), ["5-12 unknown -", "12-30 idle -"]);
}

#[test]
fn of_whom_nothing_is_kept_is_offline_or_unknown() {
    assert_eq!(told(&Kept::default().timeline(None), 5, 30), ["5-30 offline -"]);
    assert_eq!(told(&Kept::default().timeline(Some(12)), 5, 30), ["5-30 unknown -"]);
}

/// Times are few, so that many meet.
fn any_event() -> impl Strategy<Value = ToldEvent> {
    let state = || prop::sample::select(State::ALL.to_vec());
    prop_oneof![
        4 => (0..60_u64, 1..4_u32, state(), state()).prop_map(|(at, ordinal, from, to)| user(at, ordinal, from, to, "quiet")),
        1 => (0..60_u64, 0..60_u64).prop_map(|(from, to)| engine("blind", from, to)),
        1 => (0..60_u64, 0..60_u64).prop_map(|(from, to)| engine("clock", from, to)),
    ]
}

/// The state and whether it was watched, by looking at each event.
fn naive(events: &[ToldEvent], cut_ms: Option<Millis>, at_ms: Millis) -> (Past, bool) {
    let (mut last, mut now, mut first, mut watched) = (0, None, None, true);
    for event in events {
        match event {
            ToldEvent::User(of) => {
                last = of.at_ms.max(last);
                first = first.or(Some((last, of.from, of.ordinal)));
                if last <= at_ms {
                    now = Some(of.to.into());
                }
            }
            ToldEvent::Engine(of) if of.what == "blind" => watched &= !(of.from_ms..of.to_ms).contains(&at_ms),
            _ => {}
        }
    }
    let before = match (first, cut_ms) {
        (None, None) => Past::Offline,
        (Some((_, from, 1)), None) => from.into(),
        (Some((_, from, _)), Some(cut)) if cut <= at_ms => from.into(),
        _ => Past::Unknown,
    };
    (now.unwrap_or(before), watched)
}

proptest! {
    #[test]
    fn segments_cover_the_time_once_and_say_what_a_naive_lookup_says(
        events in prop::collection::vec(any_event(), 0..30),
        cut_ms in prop::option::of(0..60_u64),
        from_ms in 0..70_u64,
        length in 0..70_u64,
        limit in 1..5_usize,
    ) {
        let to_ms = from_ms + length;
        let timeline = kept(events.clone()).timeline(cut_ms);
        let (segments, after) = timeline.page(from_ms, to_ms, usize::MAX);
        prop_assert_eq!(after, None);
        let mut at_ms = from_ms;
        for segment in &segments {
            prop_assert_eq!(segment.from_ms, at_ms, "no gap and no overlap");
            prop_assert!(segment.to_ms > at_ms, "none is empty");
            at_ms = segment.to_ms;
            for instant in segment.from_ms..segment.to_ms {
                let found = (segment.state, segment.observed);
                prop_assert_eq!(found, naive(&events, cut_ms, instant), "at {}", instant);
            }
        }
        prop_assert_eq!(at_ms, to_ms);
        for pair in segments.windows(2) {
            prop_assert!(pair[0].state != pair[1].state || pair[0].observed != pair[1].observed, "cut for nothing");
        }

        let (mut paged, mut next) = (Vec::new(), Some(Cursor { from_ms, to_ms }));
        while let Some(cursor) = next {
            let (page, after) = timeline.page(cursor.from_ms, cursor.to_ms, limit);
            prop_assert!(page.len() <= limit);
            prop_assert!(after.is_none() || page.len() == limit);
            paged.extend(page);
            next = after;
        }
        prop_assert_eq!(paged, segments, "pages are the same segments");
    }
}
