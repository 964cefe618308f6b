//! `presence bench --quick`: that it measures and reports, not what.

mod common;

use std::process::{Command, Stdio};

use serde_json::Value;

const PARTS: [&str; 7] = ["single", "batches", "peers", "lateness", "growth", "recovery", "idle"];

/// Runs it with the server that the tests have.
fn bench(words: &[&str], report: &std::path::Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_presence"))
        .args(["bench", "--quick", "--nats-server"])
        .arg(common::binary())
        .arg("--report")
        .arg(report)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("the binary can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_quick_run_reports_every_part_with_figures_that_can_be() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (code, out, err) = bench(&["-o", "json"], folder.path());
    assert_eq!(code, Some(0), "{err}\n{out}");
    let report: Value = serde_json::from_str(&out).expect("the report is JSON");
    let written = std::fs::read_to_string(folder.path().join("report.json")).expect("report.json is there");
    assert_eq!(report, serde_json::from_str::<Value>(&written).expect("and is the same"));
    let markdown = std::fs::read_to_string(folder.path().join("report.md")).expect("report.md is there");
    assert!(markdown.contains("The figures mean nothing"), "{markdown}");
    let parts = report["parts"].as_array().expect("the report has parts");
    let names: Vec<_> = parts.iter().map(|part| part["name"].as_str().expect("a name")).collect();
    assert_eq!(names, PARTS);
    for part in parts {
        assert_eq!(part["failed"], Value::Null, "{part}");
        let title = part["title"].as_str().expect("a title");
        assert!(markdown.contains(&format!("## {title}\n")), "{title} is missing in\n{markdown}");
        let figures = part["figures"].as_array().expect("a part has figures");
        assert!(!figures.is_empty(), "{title} has no figures");
        for figure in figures {
            // What is not finite is no number in JSON.
            let values = figure["values"].as_array().expect("values");
            let all = values.iter().chain([&figure["value"]]);
            assert!(all.map(Value::as_f64).all(|value| value.is_some_and(|value| value >= 0.0)), "{figure}");
            assert!(!values.is_empty(), "{figure}");
            // Whoever measures a rate has measured something.
            let is_rate = figure["unit"] == "heartbeats/s" || figure["unit"] == "events/s";
            assert!(!is_rate || figure["value"].as_f64() > Some(0.0), "{figure}");
        }
        for plot in part["plots"].as_array().expect("plots") {
            let name = plot["name"].as_str().expect("a plot has a name");
            let svg = std::fs::read_to_string(folder.path().join(format!("{name}.svg"))).expect("the plot is there");
            assert!(svg.starts_with("<svg ") && !svg.contains("NaN"), "{svg}");
            assert!(markdown.contains(&format!("({name}.svg)")), "{name}");
        }
    }
    assert_eq!(
        std::fs::read_dir(folder.path())
            .expect("the folder")
            .filter_map(Result::ok)
            .filter(|file| file.path().extension().is_some_and(|end| end == "svg"))
            .count(),
        5
    );
}

#[test]
fn a_part_that_is_measured_again_leaves_the_others_and_what_is_missing_is_said() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (code, _, err) = bench(&["idle"], folder.path());
    assert_eq!(code, Some(0), "{err}");
    let (code, out, err) = bench(&["recovery", "-o", "json"], folder.path());
    assert_eq!(code, Some(0), "{err}");
    let report: Value = serde_json::from_str(&out).expect("the report is JSON");
    let names: Vec<_> = report["parts"].as_array().expect("parts").iter().map(|part| part["name"].clone()).collect();
    assert_eq!(names, ["recovery", "idle"], "in their order, whichever came first");
    let (code, _, err) = bench(&["everything"], folder.path());
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("single") && err.contains("recovery"), "{err}");
}
