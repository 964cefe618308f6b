//! A policy as the keys of a configuration, and what differs between two. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::cli::output::printable;
use crate::model::Policy;
use crate::wire::policy;

/// Every key with its value as a configuration writes it, but for the quotes; by the names of the keys.
pub(in crate::cli) fn keys(of: &Policy) -> BTreeMap<String, String> {
    let payload: Value = serde_json::from_slice(&policy::encode(of)).expect("a policy is written as JSON");
    let mut keys = BTreeMap::new();
    let Value::Object(sections) = payload else { unreachable!("a policy is an object") };
    for (name, value) in sections {
        match name.as_str() {
            "v" => {}
            "profiles" => flatten("profile", &value, &mut keys),
            name => flatten(&path(name), &value, &mut keys),
        }
    }
    keys
}

/// Where a configuration has a key that the payload has at its top.
fn path(name: &str) -> String {
    match name {
        "default_profile" => "engine.profile".to_owned(),
        "capabilities" => "capabilities.names".to_owned(),
        "session_events" => "events.sessions".to_owned(),
        "update_every_ms" => format!("events.{name}"),
        "ready" | "limits" => name.to_owned(),
        _ => format!("engine.{name}"),
    }
}

fn flatten(path: &str, value: &Value, keys: &mut BTreeMap<String, String>) {
    if let Value::Object(inner) = value {
        for (name, value) in inner {
            flatten(&format!("{path}.{name}"), value, keys);
        }
        return;
    }
    let (key, shown) = if let Some(key) = path.strip_suffix("_ms") {
        (key, shown(value, &|ms| humantime::format_duration(Duration::from_millis(ms)).to_string()))
    } else if let Some(key) = path.strip_suffix("_permille") {
        (key, shown(value, &|permille| (permille as f64 / 1_000.0).to_string()))
    } else {
        (path, shown(value, &|number| number.to_string()))
    };
    keys.insert(key.to_owned(), shown);
}

fn shown(value: &Value, number: &dyn Fn(u64) -> String) -> String {
    match value {
        Value::Null => "false".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(of) => of.as_u64().map_or_else(|| of.to_string(), number),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shown(item, number)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(_) => unreachable!("objects are flattened"),
    }
}

/// A key whose value changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Change {
    /// As a configuration has it.
    pub(in crate::cli) key: String,
    /// `None`: there is no such key.
    pub(in crate::cli) old: Option<String>,
    /// `None`: there is no such key any more.
    pub(in crate::cli) new: Option<String>,
}

/// What changes from `old` to `new`, by the names of the keys. A profile that only one of them has is one change.
pub(in crate::cli) fn changes(old: &Policy, new: &Policy) -> Vec<Change> {
    let (before, after) = (whole(old, new), whole(new, old));
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let change =
        |key: &String| Change { key: key.clone(), old: before.get(key).cloned(), new: after.get(key).cloned() };
    names.into_iter().map(change).filter(|change| change.old != change.new).collect()
}

/// Changes as lines for people: `key  old → new`.
pub(in crate::cli) fn lines(changes: &[Change]) -> String {
    let width = changes.iter().map(|change| change.key.len()).max().unwrap_or_default();
    let show = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), printable);
    let line = |change: &Change| format!("{:<width$}  {} → {}", change.key, show(&change.old), show(&change.new));
    changes.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The keys of a policy, with a profile that the other one lacks as one.
fn whole(of: &Policy, other: &Policy) -> BTreeMap<String, String> {
    let mut keys = keys(of);
    for (name, _) in of.profiles.iter().filter(|(name, _)| other.profile_index(name).is_none()) {
        let section = format!("profile.{name}");
        keys.retain(|key, _| key.strip_prefix(&section).is_none_or(|rest| !rest.starts_with('.')));
        keys.insert(section, "a profile".to_owned());
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn policy(text: &str) -> Policy {
        Config::parse(text).unwrap().policy
    }

    fn told(old: &str, new: &str) -> Vec<String> {
        let show = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let changes = changes(&policy(old), &policy(new));
        changes
            .into_iter()
            .map(|change| format!("{}: {} → {}", change.key, show(change.old), show(change.new)))
            .collect()
    }

    #[test]
    fn equal_policies_differ_in_nothing() {
        assert_eq!(told("", ""), Vec::<String>::new());
    }

    #[test]
    fn keys_and_values_are_those_of_a_configuration() {
        let new = "[engine]\nprofile = \"web\"\nblind_after = \"5s\"\n[profile.web]\nidle_after = \"90s\"\n\
                   confidence = { bands = [0.8, 0.25] }\n[ready]\nmin_confidence = 0.75\n[limits]\nsessions_per_user = 5\n\
                   [events]\nsessions = false\n";
        let expected = [
            "engine.blind_after: 3s → 5s",
            "engine.profile: default → web",
            "events.sessions: true → false",
            "limits.sessions_per_user: 64 → 5",
            "profile.web.confidence.bands: [0.5] → [0.8, 0.25]",
            "profile.web.idle_after: 1m → 1m 30s",
            "ready.min_confidence: 0.8 → 0.75",
        ];
        assert_eq!(told("", new), expected);
    }

    #[test]
    fn a_promise_that_is_given_up_and_a_profile_that_comes_are_told() {
        let found = told("", "[profile.default]\npromise = false\n[profile.kiosk]\nidle_after = \"1s\"\n");
        assert!(found.contains(&"profile.default.promise: - → false".to_owned()), "{found:?}");
        assert!(found.contains(&"profile.default.promise.factor: 2 → -".to_owned()), "{found:?}");
        assert_eq!(
            found.iter().filter(|change| change.contains("kiosk")).collect::<Vec<_>>(),
            ["profile.kiosk: - → a profile"]
        );
    }

    #[test]
    fn every_key_that_a_policy_has_is_one_of_a_configuration() {
        let shipped = include_str!("../../../config/presence.toml");
        for key in keys(&Policy::default()).keys() {
            let name = key.rsplit('.').next().unwrap();
            assert!(shipped.contains(name), "{key}");
        }
    }
}
