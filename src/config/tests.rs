use serde_json::Value;

use super::*;

const SHIPPED: &str = include_str!("../../config/presence.toml");

fn refused(text: &str) -> String {
    Config::parse(text).unwrap_err().to_string()
}

fn shipped() -> Value {
    toml::from_str(SHIPPED).unwrap()
}

fn holds(document: &Value, path: &str) -> bool {
    path.split('.').try_fold(document, |value, key| value.get(key)).is_some()
}

#[test]
fn the_shipped_file_is_the_default() {
    assert_eq!(Config::parse(SHIPPED), Ok(Config::default()));
    assert_eq!(Config::parse(""), Ok(Config::default()));
}

#[test]
fn every_key_stands_in_the_shipped_file() {
    let document = shipped();
    let keys = read::keys();
    assert!(keys.len() > 30, "{keys:?}");
    let own = |key: &&String| !key.starts_with("profile.") || key.starts_with("profile.default.");
    let missing: Vec<_> = keys.iter().filter(own).filter(|key| !holds(&document, key)).collect();
    assert!(missing.is_empty(), "add to config/presence.toml, with a comment: {missing:?}");
}

#[test]
fn every_difference_of_a_built_in_profile_stands_in_the_shipped_file() {
    let document = shipped();
    let default = serde_json::to_value(crate::model::Profile::default()).unwrap();
    for (name, profile) in &Config::default().policy.profiles {
        for (key, value) in serde_json::to_value(profile).unwrap().as_object().unwrap() {
            let path = format!("profile.{name}.{key}");
            assert!(default[key] == *value || holds(&document, &path), "add {path} to config/presence.toml");
        }
    }
}

#[test]
fn unknown_keys_are_named_with_line_and_a_guess() {
    let cases = [
        ("[engine]\n\ntikc = \"1s\"", "line 3: there is no key engine.tikc; did you mean engine.tick?"),
        ("[engin]\n", "line 1: there is no key engin; did you mean engine?"),
        (
            "[engine]\nidle_after = \"1s\"",
            "line 2: there is no key engine.idle_after; did you mean profile.default.idle_after?",
        ),
        (
            "[profile.web]\nidle = \"1s\"",
            "line 2: there is no key profile.web.idle; [profile.web] has idle_after, away_after,",
        ),
        (
            "[profile.web.promise]\nslak = \"1s\"",
            "line 2: there is no key profile.web.promise.slak; did you mean profile.web.promise.slack?",
        ),
        (
            "x = 1",
            "line 1: there is no key x; the sections are engine, profile, events, ready, capabilities, route, limits",
        ),
    ];
    for (text, expected) in cases {
        let told = refused(text);
        assert!(told.starts_with(expected), "{text}\n  {told}");
    }
}

#[test]
fn wrong_types_name_value_and_what_is_allowed() {
    let cases = [
        ("[engine]\ntick = 100", "line 2: engine.tick is 100; it has to be a duration in quotes with its unit"),
        ("[engine]\ntick = \"100\"", "line 2: engine.tick is \"100\"; it has to be a duration as"),
        ("[engine]\nblind_after = \"3 sex\"", "(unknown time unit \"sex\""),
        ("[engine]\nblind_after = \"3s 1us\"", "(milliseconds are the shortest unit)"),
        ("[engine]\npartitions = \"64\"", "line 2: engine.partitions is \"64\"; it has to be a whole number"),
        ("[engine]\npartitions = 6.4", "engine.partitions is 6.4; it has to be a whole number"),
        ("[engine]\nstorage = \"disk\"", "engine.storage is \"disk\"; it has to be \"file\" or \"memory\""),
        ("engine = 1", "line 1: engine is 1; it has to be a section: [engine]"),
        ("[profile]\nweb = true", "profile.web is true; it has to be a section: [profile.web]"),
        ("[profile.web]\npromise = true", "profile.web.promise is true; it has to be false for none, or a table"),
        ("[profile.web]\npromise = { factor = 2.00001 }", "promise.factor is 2.00001; it has to be a number"),
        ("[profile.\"a b\"]\n", "the section is [profile.a b]; it has to be [profile.NAME] with a name"),
        ("[events]\nsessions = \"yes\"", "events.sessions is \"yes\"; it has to be true or false"),
        ("[capabilities]\nnames = [\"a\", \"b\", \"a\"]", "different names (\"a\" stands twice)"),
        ("[capabilities]\nnames = [\"a b\"]", "a list of names, each a name of 1 to 64"),
        ("[engine\n", "line 1: not TOML: "),
    ];
    for (text, expected) in cases {
        let told = refused(text);
        assert!(told.contains(expected), "{text}\n  {told}");
    }
}

#[test]
fn values_out_of_range_name_the_range() {
    let cases = [
        ("[engine]\npartitions = 0", "line 2: engine.partitions is 0; allowed are 1 to 512"),
        ("[engine]\npartitions = 70000", "line 2: engine.partitions is 70000; allowed are 1 to 512"),
        ("[engine]\ntick = \"5s\"", "line 2: engine.tick is \"5s\"; allowed are 10ms to 1s"),
        ("[engine]\nblind_after = \"1s\"", "line 2: engine.blind_after is \"1s\"; allowed are 1s 1ms to "),
        ("[profile.web]\nidle_after = \"0s\"", "line 2: profile.web.idle_after is \"0s\"; allowed are 1ms to "),
        ("[profile.web]\npromise = { factor = 0.5 }", "profile.web.promise.factor is 0.5; allowed are 1 to 1000"),
        ("[limits]\nsessions_per_user = 256", "line 2: limits.sessions_per_user is 256; allowed are 1 to 255"),
        ("[limits]\nsessions_per_partition = 9", "limits.sessions_per_tenant is 500000 by default; allowed are 1 to 9"),
        ("[limits]\nbatch_messages = 1001", "limits.batch_messages is 1001; allowed are 10 to 1000"),
        (
            "[engine]\nlog_retention = \"1m\"",
            "line 2: engine.log_retention is 1m, and with engine.checkpoint_every = 30s it has to be 2m at least",
        ),
        (
            "[profile.web]\nidle_after = \"6m\"",
            "line 2: profile.web: idle_after (6m) is above away_after (5m); make away_after at least as long",
        ),
        (
            "[engine]\nprofile = \"dem\"",
            "line 2: there is no profile \"dem\"; did you mean \"demo\"? There are default, ",
        ),
    ];
    for (text, expected) in cases {
        let told = refused(text);
        assert!(told.contains(expected), "{text}\n  {told}");
    }
}

#[test]
fn all_faults_are_told_in_the_order_of_the_text() {
    let told = refused("[limits]\nbatch_messages = 1\n[engine]\ntik = \"1s\"\nreplicas = 9");
    let lines: Vec<_> = told.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["line 2", "line 4", "line 5"], "{told}");
}

#[test]
fn a_profile_starts_from_its_namesake_or_else_from_the_texts_default() {
    let text = "[profile.kiosk]\noffline_after = \"1h\"\n[profile.default]\nidle_after = \"7s\"\n[profile.seed]\nstale_after = \"100s\"";
    let policy = Config::parse(text).unwrap().policy;
    let profile = |name: &str| &policy.profiles[policy.profile_index(name).unwrap()].1;
    assert_eq!((profile("kiosk").idle_after, profile("kiosk").offline_after), (7_000, 3_600_000));
    assert_eq!((profile("seed").idle_after, profile("seed").stale_after), (15_000, 100_000));
    let built_in = crate::model::Profile::built_in();
    assert!(built_in.iter().any(|(name, built_in)| &**name == "web" && built_in == profile("web")));
}

#[test]
fn a_promise_is_made_withdrawn_and_changed_in_part() {
    let text = "[profile.web]\npromise = false\n[profile.seed.promise]\nfactor = 2.5\n[profile.demo]\npromise = { slack = \"1s\" }";
    let policy = Config::parse(text).unwrap().policy;
    let promise = |name: &str| policy.profiles[policy.profile_index(name).unwrap()].1.promise.clone();
    assert_eq!(promise("web"), None);
    assert_eq!(promise("seed").map(|promise| promise.factor_permille), Some(2_500));
    assert_eq!(promise("demo").map(|promise| (promise.slack, promise.idle_beats)), Some((1_000, 3)));
}

#[test]
fn a_profile_is_chosen_by_name() {
    let mut config = Config::default();
    config.use_profile("demo").unwrap();
    assert_eq!(&*config.policy.default_profile, "demo");
    let told = config.use_profile("sed").unwrap_err().to_string();
    assert!(told.starts_with("there is no profile \"sed\"; did you mean \"seed\"?"), "{told}");
    assert_eq!(&*config.policy.default_profile, "demo");
}
