//! The command line against a real server: what each verb tells.

mod common;

#[path = "verbs/backtest.rs"]
mod backtest;
#[path = "verbs/batches.rs"]
mod batches;
#[path = "verbs/explain.rs"]
mod explain;
#[path = "verbs/history.rs"]
mod history;
#[path = "verbs/policy.rs"]
mod policy;
#[path = "verbs/readiness.rs"]
mod readiness;

use std::process::Output;

use serde_json::Value;

/// Exit code, standard output and standard error.
fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the command line tells text");
    (output.status.code().expect("it ends by itself"), text(output.stdout), text(output.stderr))
}

/// The one line of JSON that a verb told.
fn json(output: Output) -> Value {
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).expect("one line of JSON")
}
