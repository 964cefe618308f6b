//! Scenarios: stories of a line of input and a line for each event that is told of it. `tests/scenarios/README.md` says how
//! to read and write one.
//!
//! `PRESENCE_STORY=name` plays one story alone.

mod common;
#[path = "scenarios/live.rs"]
mod live;
#[path = "scenarios/parse.rs"]
mod parse;
#[path = "scenarios/pure.rs"]
mod pure;
#[path = "scenarios/scaled.rs"]
mod scaled;
#[path = "scenarios/standing.rs"]
mod standing;
#[path = "scenarios/told.rs"]
mod told;

#[test]
fn every_story_is_told_as_it_is_written_to_the_millisecond() {
    let stories = parse::all();
    let failed: Vec<_> = stories.iter().filter_map(|story| Some((story, pure::differences(story)?))).collect();
    let reports: Vec<_> =
        failed.iter().map(|(story, report)| format!("{} ({})\n{report}", story.name, story.title)).collect();
    let names: Vec<_> = failed.iter().map(|(story, _)| &*story.name).collect();
    assert!(
        failed.is_empty(),
        "{} of {} stories are told otherwise: {}\n\n{}",
        failed.len(),
        stories.len(),
        names.join(", "),
        reports.join("\n")
    );
}

#[test]
fn a_restart_in_the_middle_of_a_story_changes_nothing() {
    for story in parse::all() {
        pure::restart_everywhere(&story);
    }
}

#[test]
fn neither_ticks_nor_the_grid_make_a_difference() {
    for story in parse::all().iter().filter(|story| story.is_watched() && pure::differences(story).is_none()) {
        for (ticks, off) in [(1_000, 37), (90, 1), (730, 0), (2_999, 99)] {
            let user = pure::difference_by(story, ticks, off);
            assert_eq!(user, None, "{} by ticks every {ticks} ms, {off} ms off the grid", story.name);
        }
    }
}

/// Everything that can be wrong with a story, and the line at which it shows.
#[test]
fn a_story_that_is_told_otherwise_is_shown_with_its_line() {
    const STORY: &str = "A story\n\npolicy\n  [profile.default]\n  idle_after = \"60s\"\nlive scale 50\n
+0s  alice/tab
  @+0s   session alice/tab offline → active (joined)   next=idle@+60s
  @+0s   user alice offline → active (joined)
+70s …
  @+60s  session alice/tab active → idle (quiet)
  @+60s  user alice active → idle (quiet)
";
    let differences = |text: &str| pure::differences(&parse::Story::parse("a.story".as_ref(), text));
    assert_eq!(differences(STORY), None);
    let otherwise = [
        ("next=idle@+60s", "next=idle@+61s", "a.story:8"),
        ("  @+60s  user alice active → idle (quiet)\n", "", "a.story:11"),
        ("  @+60s  session", "  @+60s1ms  session", "a.story:11"),
        ("  @+0s   user", "  @+0s   user bob offline → active (joined)\n  @+0s   user", "a.story:8"),
        ("idle (quiet)\n  @+60s  user", "idle (silent)\n  @+60s  user", "a.story:11"),
        ("alice/tab\n", "alice/app\n", "a.story:8"),
    ];
    for (text, other, place) in otherwise {
        assert!(STORY.contains(text), "{text:?}");
        let report = differences(&STORY.replace(text, other)).unwrap_or_default();
        assert!(report.contains(place) && report.contains("! expected"), "{other:?}: {report}");
    }
}

#[tokio::test]
async fn every_story_is_told_through_a_real_server() {
    live::play_all(parse::all()).await;
}
