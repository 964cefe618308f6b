//! The sections, key by key.

use std::time::Duration;

use toml::de::DeTable;

use super::reader::Reader;
use super::table::{Given, Section};
use super::value::{Unit, is_name};
use super::{Config, ConfigError, ConfigErrors, Encoding, EngineConfig, Storage};
use crate::model::policy::{CAPABILITIES_MAX, DURATION_MS_MAX, Limits};
use crate::model::{Confidence, Curve, PARTITIONS_MAX, PolicyError, Profile, State};

/// The probability that a beat is lost, where a profile is the first to say `model = "hazard"` and names none.
const LOST_PERMILLE: u16 = 100;
/// The states in which somebody can be ready.
const PRESENT: [(&str, State); 4] =
    [("active", State::Active), ("idle", State::Idle), ("away", State::Away), ("stale", State::Stale)];
/// The log has to outlast so many checkpoint intervals: two checkpoints are kept, and the older one must still be of use.
const CHECKPOINTS_IN_LOG: u32 = 4;

pub(super) fn config(text: &str) -> Result<Config, ConfigErrors> {
    let mut reader = Reader::new(text);
    let config = read(&mut reader);
    let mut errors = reader.take_errors();
    if errors.is_empty() {
        errors.extend(check(&config, &reader));
    }
    errors.sort_by_key(ConfigError::line);
    if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
}

/// Every key there is, with its section; profiles' keys for each built-in profile.
#[cfg(test)]
pub(super) fn keys() -> Vec<String> {
    let mut reader = Reader::new("");
    read(&mut reader);
    reader.asked.into_iter().map(|asked| asked.path).collect()
}

/// Reads what can be read; what can't is in the reader's errors.
fn read(reader: &mut Reader<'_>) -> Config {
    let mut config = Config::default();
    let document = match DeTable::parse(reader.text) {
        Ok(document) => document,
        Err(error) => {
            let line = reader.line(error.span().map_or(0, |span| span.start));
            reader.errors.push(ConfigError::Syntax { line, message: error.message().to_owned() });
            return config;
        }
    };
    let mut root = Section::new(reader, "", Some(document.get_ref()));
    root.section("engine", |section| engine(section, &mut config));
    root.section("profile", |section| config.policy.profiles = profiles(section));
    root.section("events", |section| {
        section.word("encoding", &mut config.encoding, &[("json", Encoding::Json), ("msgpack", Encoding::MsgPack)]);
        section.flag("sessions", &mut config.policy.session_events);
        section.millis("update_every", &mut config.policy.update_every);
    });
    root.section("ready", |section| {
        section.words("states", &mut config.policy.ready.states, &PRESENT);
        section.share("min_confidence", &mut config.policy.ready.min_confidence);
    });
    root.section("capabilities", |section| {
        section.list("names", &mut config.policy.capabilities, CAPABILITIES_MAX);
    });
    root.section("route", |section| section.pattern("load_rooms", &mut config.load_rooms.0));
    root.section("limits", |section| limits(section, &mut config));
    root.end();
    config
}

fn engine(section: &mut Section<'_, '_>, config: &mut Config) {
    let (engine, policy) = (&mut config.engine, &mut config.policy);
    let seconds = Duration::from_secs;
    let longest = Duration::from_millis(DURATION_MS_MAX);
    section.name("profile", &mut policy.default_profile);
    section.count("partitions", &mut engine.partitions, 1..=u64::from(PARTITIONS_MAX));
    section.count("replicas", &mut engine.replicas, 1..=5);
    section.word("storage", &mut engine.storage, &[("file", Storage::File), ("memory", Storage::Memory)]);
    section.duration("tick", &mut engine.tick, Duration::from_millis(10)..=seconds(1));
    section.millis("blind_after", &mut policy.blind_after);
    section.millis("reconnect_grace", &mut policy.reconnect_grace);
    section.millis("intent_keep", &mut policy.intent_keep);
    section.duration("checkpoint_every", &mut engine.checkpoint_every, seconds(1)..=seconds(3_600));
    section.duration("log_retention", &mut engine.log_retention, seconds(10)..=longest);
    section.duration("event_retention", &mut engine.event_retention, seconds(60)..=longest);
    section.duration("lease_ttl", &mut engine.lease_ttl, Duration::from_millis(100)..=seconds(60));
}

fn limits(section: &mut Section<'_, '_>, config: &mut Config) {
    let Limits { sessions_per_partition, sessions_per_tenant, sessions_per_user, rejected_events, gateways, batch_age } =
        &mut config.policy.limits;
    section.number("sessions_per_partition", sessions_per_partition);
    section.number("sessions_per_tenant", sessions_per_tenant);
    section.number("sessions_per_user", sessions_per_user);
    section.number("rejected_events", rejected_events);
    section.number("gateways", gateways);
    section.millis("batch_age", batch_age);
    section.count("pending_events", &mut config.limits.pending_events, 1_000..=10_000_000);
    section.count("batch_messages", &mut config.limits.batch_messages, 10..=1_000);
    section.count("questions", &mut config.limits.questions, 16..=100_000);
    section.count("waits", &mut config.limits.waits, 0..=1_000_000);
    section.count("waits_per_tenant", &mut config.limits.waits_per_tenant, 0..=1_000_000);
    section.count("history_events", &mut config.limits.history_events, 1_000..=100_000_000);
}

/// The built-in profiles and the text's own, sorted by name. The text's `default` comes first: others may start from it.
fn profiles(section: &mut Section<'_, '_>) -> Vec<(Box<str>, Profile)> {
    let mut profiles = Profile::built_in();
    let default = profiles.iter().position(|(name, _)| &**name == "default").expect("`default` is built in");
    profiles.swap(0, default);
    for (name, profile) in &mut profiles {
        section.section(name, |section| read_profile(section, profile));
    }
    for name in section.names() {
        if profiles.iter().any(|(other, _)| **other == *name) {
            continue;
        }
        if !is_name(&name) {
            section.refuse_name(&name);
            continue;
        }
        let mut profile = profiles[0].1.clone();
        section.section(&name, |section| read_profile(section, &mut profile));
        profiles.push((name.into(), profile));
    }
    profiles.sort_by(|(a, _), (b, _)| a.cmp(b));
    profiles
}

fn read_profile(section: &mut Section<'_, '_>, profile: &mut Profile) {
    section.millis("idle_after", &mut profile.idle_after);
    section.millis("away_after", &mut profile.away_after);
    section.millis("stale_after", &mut profile.stale_after);
    section.millis("offline_after", &mut profile.offline_after);
    section.millis("hidden_after", &mut profile.hidden_after);
    section.millis("disconnect_grace", &mut profile.disconnect_grace);
    section.millis("leave_linger", &mut profile.leave_linger);
    section.millis("frozen_offline_after", &mut profile.frozen_offline_after);
    section.millis("tombstone", &mut profile.tombstone);
    section.millis("anti_flap", &mut profile.anti_flap);
    section.section("confidence", |section| read_confidence(section, &mut profile.confidence));
    let mut promise = profile.promise.clone().unwrap_or_default();
    let given = section.section_or_false("promise", |section| {
        section.permille("factor", &mut promise.factor_permille);
        section.millis("slack", &mut promise.slack);
        section.millis("cap", &mut promise.cap);
        section.number("idle_beats", &mut promise.idle_beats);
    });
    match given {
        Given::False => profile.promise = None,
        Given::Section => profile.promise = Some(promise),
        Given::Nothing => {}
    }
}

fn read_confidence(section: &mut Section<'_, '_>, confidence: &mut Confidence) {
    let mut lost_permille = match confidence.model {
        Curve::HalfLife => LOST_PERMILLE,
        Curve::Hazard { lost_permille } => lost_permille,
    };
    section.share("lost", &mut lost_permille);
    let models = [("half_life", Curve::HalfLife), ("hazard", Curve::Hazard { lost_permille })];
    section.word("model", &mut confidence.model, &models);
    section.millis("grace", &mut confidence.grace);
    section.millis("half_life", &mut confidence.half_life);
    section.shares("bands", &mut confidence.bands);
}

/// What only the whole can show.
fn check(config: &Config, reader: &Reader<'_>) -> Option<ConfigError> {
    let policy = &config.policy;
    if policy.profile_index(&policy.default_profile).is_none() {
        let line = reader.line_of("engine.profile");
        return Some(ConfigError::no_profile(&policy.default_profile, line, policy));
    }
    if let Err(error) = policy.check() {
        return Some(from_policy(error, reader));
    }
    let EngineConfig { checkpoint_every, log_retention, .. } = config.engine;
    (log_retention < checkpoint_every * CHECKPOINTS_IN_LOG).then(|| ConfigError::LogTooShort {
        line: reader.line_of("engine.log_retention").or(reader.line_of("engine.checkpoint_every")),
        log_retention,
        checkpoint_every,
        least: checkpoint_every * CHECKPOINTS_IN_LOG,
    })
}

/// The same error in the words of the text: its line, and values as a person would write them.
fn from_policy(error: PolicyError, reader: &Reader<'_>) -> ConfigError {
    match error {
        PolicyError::Range { key, value, min, max } => {
            let asked = reader.asked(&key);
            let unit = asked.map_or(Unit::One, |asked| asked.unit);
            let found = asked.and_then(|asked| asked.found);
            ConfigError::Range {
                line: found.map(|(line, _)| line),
                path: key,
                value: found.map_or_else(|| format!("{} by default", unit.show(value)), |(_, raw)| raw.to_owned()),
                min: unit.show(min),
                max: unit.show(max),
            }
        }
        PolicyError::Order { profile, first, first_ms, then, then_ms } => ConfigError::Order {
            line: reader
                .line_of(&format!("profile.{profile}.{then}"))
                .or(reader.line_of(&format!("profile.{profile}.{first}"))),
            profile: profile.into(),
            first,
            first_is: Unit::Millis.show(first_ms),
            then,
            then_is: Unit::Millis.show(then_ms),
        },
        PolicyError::ReadyOffline
        | PolicyError::NoDefault(_)
        | PolicyError::TooManyProfiles(_)
        | PolicyError::Names(_) => ConfigError::Policy(error),
    }
}
