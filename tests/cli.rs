//! The command line where it needs no server: what it refuses, what it says then, and its exit codes.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Runs `presence` without anything that the environment could say.
fn presence(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_presence"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["NATS_", "PRESENCE_", "RUST_LOG"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

/// Exit code, standard output and standard error.
fn told(args: &[&str]) -> (i32, String, String) {
    let output = presence(args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

struct File {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("presence.toml");
        std::fs::write(&path, text).unwrap();
        Self { path, _folder: folder }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

fn check(text: &str) -> (i32, String, String) {
    let file = File::new(text);
    told(&["check", "--config", file.path()])
}

#[test]
fn the_shipped_configuration_is_checked_and_its_profiles_are_shown() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/presence.toml");
    let (code, out, err) = told(&["check", "--config", shipped]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(!out.contains("warning"), "{out}");
    assert!(out.starts_with(&format!("ok: {shipped}\n")), "{out}");
    for row in ["default *", "idle_after            1m", "2 × every + 35s"] {
        assert!(out.contains(row), "{row} is missing in\n{out}");
    }
}

#[test]
fn a_check_answers_programs_in_json() {
    let (code, out, _) = told(&["check", "-o", "json"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &value["ok"]), (0, &true.into()));
    assert_eq!(value["profiles"]["seed"]["idle_after"], 15_000);
}

#[test]
fn a_profile_that_must_flap_is_warned_of_and_still_valid() {
    let text = "[profile.web]\npromise = { idle_beats = 2 }\n[profile.seed]\nidle_after = \"1s\"\n";
    let (code, out, err) = check(text);
    assert_eq!((code, err.as_str()), (0, ""));
    let warnings: Vec<_> = out.lines().filter(|line| line.starts_with("warning: ")).collect();
    let [warning] = warnings[..] else { panic!("{out}") };
    assert!(
        warning.starts_with("warning: profile.web.promise.idle_beats is 2, it should be at least 3: "),
        "{warning}"
    );
    assert!(warning.ends_with("; set it to 3, or promise.cap to at most 20s"), "{warning}");

    let file = File::new(text);
    let (code, out, _) = told(&["check", "--config", file.path(), "-o", "json"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &value["warnings"][0]["key"]), (0, &"profile.web.promise.idle_beats".into()));
    assert_eq!(value["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn an_unknown_key_ends_with_2_and_says_where_and_what_was_meant() {
    let (code, out, err) = check("[engine]\nprofile = \"web\"\ntikc = \"100ms\"\n");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("line 3: there is no key engine.tikc; did you mean engine.tick?"), "{err}");
}

#[test]
fn every_fault_of_a_configuration_is_told_at_once() {
    let (code, _, err) = check("[engine]\ntick = \"100 sex\"\n[profile.web]\nidle_after = 60\n");
    assert_eq!(code, 2);
    assert!(err.contains("line 2: engine.tick is \"100 sex\"; it has to be a duration"), "{err}");
    assert!(err.contains("line 4: profile.web.idle_after is 60; it has to be a duration"), "{err}");
}

#[test]
fn thresholds_in_the_wrong_order_are_refused_with_both_values() {
    let (code, _, err) = check("[profile.web]\nstale_after = \"300s\"\n");
    assert_eq!(code, 2);
    assert!(err.contains("profile.web: stale_after (5m) is above offline_after (3m 30s)"), "{err}");
}

#[test]
fn a_policy_that_is_refused_ends_with_2_before_a_server_is_asked() {
    let file = File::new("[profile.web]\nstale_after = \"300s\"\n");
    let nowhere = ["--server", "nats://127.0.0.1:1"];
    let (code, _, err) = told(&[&["policy", "apply", file.path()], &nowhere[..]].concat());
    assert_eq!(code, 2);
    assert!(err.contains("profile.web: stale_after (5m) is above offline_after (3m 30s)"), "{err}");
    let (code, _, err) = told(&[&["policy", "apply", "/nowhere/p.toml"], &nowhere[..]].concat());
    assert_eq!(code, 2);
    assert!(err.contains("/nowhere/p.toml"), "{err}");
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let (code, _, err) = told(&["check", "--config", "/nowhere/presence.toml"]);
    assert_eq!(code, 2);
    assert!(err.contains("/nowhere/presence.toml") && err.contains("--config"), "{err}");
}

#[test]
fn a_profile_that_is_not_there_ends_with_2_before_anything_starts() {
    for verb in ["up", "run"] {
        let (code, _, err) = told(&[verb, "--profile", "dmeo"]);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("there is no profile \"dmeo\"; did you mean \"demo\"?"), "{err}");
    }
}

#[test]
fn no_server_ends_with_3_and_says_what_to_do() {
    // Port 1 is privileged and nobody's; nothing listens there.
    for verb in [
        &["setup"][..],
        &["run"],
        &["signal", "alice", "laptop"],
        &["watch"],
        &["get"],
        &["replay"],
        &["audit"],
        &["policy", "show"],
        &["explain", "alice"],
    ] {
        let (code, _, err) = told(&[verb, &["--server", "nats://127.0.0.1:1"]].concat());
        assert_eq!(code, 3, "{verb:?}: {err}");
        assert!(err.contains("nats://127.0.0.1:1") && err.contains("presence up"), "{verb:?}: {err}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let cases: &[(&[&str], &str)] = &[
        (&["sing"], "unrecognized subcommand"),
        (&["signal", "alice"], "<SESSION>"),
        (&["signal", "alice", "laptop", "--state", "asleep"], "[possible values: active, idle, away]"),
        (&["signal", "alice", "laptop", "--promise", "500ms"], "a promise is 0s or from 1s to 1h"),
        (&["signal", "alice", "laptop", "--every", "20"], "write it as 20s"),
        (&["signal", "alice", "laptop", "--meta", "[1]"], "it has to be a JSON object"),
        (&["signal", "alice", "laptop", "--leave", "--disconnect"], "cannot be used with"),
        (&["signal", "alice", "laptop", "--count", "3"], "--every"),
        (&["signal", "", "laptop"], "user: a name must not be empty"),
        (&["get", "alice", "laptop", "--tenant", ""], "tenant: a name must not be empty"),
        (&["replay", "--since", "yesterday"], "1h"),
        (&["schema", "sesion"], "session"),
        (&["up", "--port", "70000"], "0..=65535"),
        (&["policy", "apply"], "<FILE>"),
        (&["backtest"], "name another configuration by --config FILE"),
        (&["backtest", "--since", "yesterday"], "1h"),
        (&["explain"], "<USER>"),
        (&["explain", ""], "user: a name must not be empty"),
        (&["explain", "alice", "--last", "5000"], "0..=1000"),
        (&["policy", "apply", "x.toml", "--timeout", "10"], "--timeout"),
    ];
    for (args, expected) in cases {
        let (code, out, err) = told(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(expected), "{args:?}: {err}");
    }
}

#[test]
fn the_help_names_every_verb() {
    let (code, out, _) = told(&["--help"]);
    assert_eq!(code, 0);
    let verbs: Vec<_> = out
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(
        verbs,
        [
            "up", "run", "setup", "check", "signal", "gateway", "watch", "get", "wait", "route", "explain", "replay",
            "history", "backtest", "policy", "audit", "status", "bench", "schema"
        ]
    );
}

#[test]
fn schemas_are_printed_by_name_and_written_all_together() {
    let (code, names, _) = told(&["schema"]);
    assert_eq!(code, 0);
    assert!(names.lines().any(|name| name == "signal"), "{names}");
    let (code, schema, _) = told(&["schema", "signal"]);
    assert_eq!(code, 0);
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["properties"]["every_ms"].is_object(), "{schema}");

    let folder = tempfile::tempdir().unwrap();
    let (code, _, _) = told(&["schema", "--write", folder.path().to_str().unwrap()]);
    assert_eq!(code, 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), names.lines().count());
}
