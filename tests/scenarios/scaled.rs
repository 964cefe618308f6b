//! A story's policy, made as many times faster as the story is played, and as the text that an engine reads.

use presence_engine::model::Promise;
use presence_engine::model::{Confidence, Curve, Millis, Policy, Profile};

use super::parse::Story;

/// What lies beyond every story is not made faster.
const BEYOND: Millis = 12 * 3_600_000;

/// A time of the story on a real server. It must be whole milliseconds there.
pub fn time(at: Millis, scale: u64) -> Millis {
    if at >= BEYOND {
        return at;
    }
    assert!(at.is_multiple_of(scale), "{at} ms are not whole milliseconds {scale} times faster");
    at / scale
}

/// A profile, faster.
pub fn profile(of: &Profile, scale: u64) -> Profile {
    let time = |at| time(at, scale);
    Profile {
        idle_after: time(of.idle_after),
        away_after: time(of.away_after),
        stale_after: time(of.stale_after),
        offline_after: time(of.offline_after),
        hidden_after: time(of.hidden_after),
        disconnect_grace: time(of.disconnect_grace),
        leave_linger: time(of.leave_linger),
        frozen_offline_after: time(of.frozen_offline_after),
        tombstone: time(of.tombstone),
        promise: of.promise.as_ref().map(|promise| Promise {
            slack: time(promise.slack),
            // The least that a configuration allows: no beat can be promised within less.
            cap: time(promise.cap).max(1_000),
            ..promise.clone()
        }),
        confidence: Confidence {
            grace: time(of.confidence.grace),
            half_life: time(of.confidence.half_life),
            ..of.confidence.clone()
        },
        anti_flap: time(of.anti_flap),
    }
}

/// A policy of a story, faster. Profiles that come with presence stay as they are, but for those that the policy changes.
pub fn policy(story: &Story, name: &str) -> Policy {
    let (of, scale) = (story.policy(name), story.scale);
    let built_in = Profile::built_in();
    let is_own = |name: &str, profile: &Profile| {
        name == &*of.default_profile
            || !built_in.iter().any(|(other, built_in)| **other == *name && built_in == profile)
    };
    let profiles = of.profiles.iter().map(|(name, own)| {
        let profile = if is_own(name, own) { profile(own, scale) } else { own.clone() };
        (name.clone(), profile)
    });
    Policy {
        profiles: profiles.collect(),
        update_every: time(of.update_every, scale),
        intent_keep: time(of.intent_keep, scale),
        // An engine's own ticks come each second, however fast a story is played: gaps stay what they are.
        ..of.clone()
    }
}

/// The configuration of an engine under a policy, with a log that keeps every story whole.
pub fn configuration(policy: &Policy, partitions: u16) -> String {
    let Policy { default_profile, profiles, blind_after, reconnect_grace, capabilities, .. } = policy;
    let Policy { session_events, ready, update_every, intent_keep, limits, .. } = policy;
    let states: Vec<_> = ready.states.iter().map(|state| state.as_str()).collect();
    let mut text = format!(
        r#"
[engine]
profile = "{default_profile}"
partitions = {partitions}
log_retention = "2days"
checkpoint_every = "1s"
blind_after = "{blind_after}ms"
reconnect_grace = "{reconnect_grace}ms"
intent_keep = "{intent_keep}ms"
[events]
sessions = {session_events}
update_every = "{update_every}ms"
[ready]
states = {states:?}
min_confidence = {}
[capabilities]
names = {capabilities:?}
[limits]
sessions_per_user = {}
gateways = {}
batch_age = "{}ms"
"#,
        share(ready.min_confidence),
        limits.sessions_per_user,
        limits.gateways,
        limits.batch_age
    );
    for (name, profile) in profiles {
        text.push_str(&section(name, profile));
    }
    text
}

fn section(name: &str, profile: &Profile) -> String {
    let Profile { idle_after, away_after, stale_after, offline_after, hidden_after, disconnect_grace, .. } = profile;
    let Profile { leave_linger, frozen_offline_after, tombstone, promise, confidence, anti_flap, .. } = profile;
    let promise = match promise {
        None => "false".to_owned(),
        Some(Promise { factor_permille, slack, cap, idle_beats }) => format!(
            r#"{{ factor = {}, slack = "{slack}ms", cap = "{cap}ms", idle_beats = {idle_beats} }}"#,
            share(u16::try_from(*factor_permille).expect("a small factor"))
        ),
    };
    let Confidence { model, grace, half_life, bands } = confidence;
    let lost = match model {
        Curve::HalfLife => String::new(),
        Curve::Hazard { lost_permille } => format!(", lost = {}", share(*lost_permille)),
    };
    let bands: Vec<_> = bands.iter().map(|edge| share(*edge)).collect();
    let (model, bands) = (model.as_str(), bands.join(", "));
    format!(
        r#"
[profile.{name}]
idle_after = "{idle_after}ms"
away_after = "{away_after}ms"
stale_after = "{stale_after}ms"
offline_after = "{offline_after}ms"
hidden_after = "{hidden_after}ms"
disconnect_grace = "{disconnect_grace}ms"
leave_linger = "{leave_linger}ms"
frozen_offline_after = "{frozen_offline_after}ms"
tombstone = "{tombstone}ms"
anti_flap = "{anti_flap}ms"
promise = {promise}
confidence = {{ model = "{model}", grace = "{grace}ms", half_life = "{half_life}ms", bands = [{bands}]{lost} }}
"#
    )
}

/// Thousandths as a decimal.
fn share(permille: u16) -> String {
    format!("{}.{:03}", permille / 1_000, permille % 1_000)
}
