//! `presence check`: validate a configuration, show the profiles that follow from it, and warn of what makes states flap.

use std::time::Duration;

use serde_json::{Map, json};

use super::CliError;
use super::global::{Global, Output};
use super::output;
use crate::config::Warning;
use crate::model::{Millis, Policy, Profile};

#[derive(clap::Args)]
pub(super) struct Args {}

/// Fails with exit code 2 where the configuration is refused.
pub(super) fn run(global: &Global, _args: &Args) -> Result<(), CliError> {
    let config = global.config()?;
    match global.output {
        Output::Text => {
            output::line(&format!("ok: {}\n", global.config_name()))?;
            output::line(&table(&config.policy))?;
            for warning in config.warnings() {
                output::line(&format!("\nwarning: {warning}"))?;
            }
        }
        Output::Json => {
            let profiles: Map<_, _> =
                config.policy.profiles.iter().map(|(name, profile)| (name.to_string(), json!(profile))).collect();
            let warnings: Vec<_> = config
                .warnings()
                .into_iter()
                .map(|Warning { key, value, limit, effect, mend }| {
                    json!({ "key": key, "value": value, "limit": limit, "effect": effect, "mend": mend })
                })
                .collect();
            output::json(&json!({
                "ok": true,
                "config": global.config_name(),
                "default_profile": config.policy.default_profile,
                "profiles": profiles,
                "warnings": warnings,
            }))?;
        }
    }
    Ok(())
}

/// The profiles side by side, a row a key.
fn table(policy: &Policy) -> String {
    let mut rows = vec![
        [String::new()].into_iter().chain(policy.profiles.iter().map(|(name, _)| heading(policy, name))).collect(),
    ];
    for (key, value) in ROWS {
        let values = policy.profiles.iter().map(|(_, profile)| value(profile));
        rows.push([(*key).to_owned()].into_iter().chain(values).collect::<Vec<_>>());
    }
    let columns = rows[0].len();
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
        .collect();
    let aligned = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(aligned).collect::<Vec<_>>().join("\n")
}

/// The profile's name, with a mark on the one of sessions that name none.
fn heading(policy: &Policy, name: &str) -> String {
    if *name == *policy.default_profile { format!("{name} *") } else { name.to_owned() }
}

type Row = (&'static str, fn(&Profile) -> String);

const ROWS: &[Row] = &[
    ("idle_after", |profile| duration(profile.idle_after)),
    ("away_after", |profile| duration(profile.away_after)),
    ("stale_after", |profile| duration(profile.stale_after)),
    ("offline_after", |profile| duration(profile.offline_after)),
    ("hidden_after", |profile| duration(profile.hidden_after)),
    ("disconnect_grace", |profile| duration(profile.disconnect_grace)),
    ("leave_linger", |profile| duration(profile.leave_linger)),
    ("frozen_offline_after", |profile| duration(profile.frozen_offline_after)),
    ("tombstone", |profile| duration(profile.tombstone)),
    ("promise", |profile| {
        profile.promise.as_ref().map_or_else(
            || "none".to_owned(),
            |promise| format!("{} × every + {}", f64::from(promise.factor_permille) / 1_000.0, duration(promise.slack)),
        )
    }),
    ("promise.cap", |profile| promise(profile, |promise| duration(promise.cap))),
    ("promise.idle_beats", |profile| promise(profile, |promise| promise.idle_beats.to_string())),
];

fn promise(profile: &Profile, show: impl Fn(&crate::model::Promise) -> String) -> String {
    profile.promise.as_ref().map_or_else(|| "-".to_owned(), show)
}

/// Milliseconds as a person would write them.
pub(super) fn duration(ms: Millis) -> String {
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}
