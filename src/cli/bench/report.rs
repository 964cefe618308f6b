//! `report.md` and `report.json`: the parts that were measured, now or before, and the plots beside them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::course::Course;
use super::figures::{Figure, Part, shown};
use super::process::machine;
use super::{Name, Result};
use crate::nats::server::Binary;

/// What stands in `report.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    machine: String,
    presence: String,
    nats_server: String,
    redis_server: Option<String>,
    quick: bool,
    parts: Vec<Part>,
    #[serde(skip)]
    folder: PathBuf,
}

impl Report {
    /// The report of a folder, with the parts that are there. What a machine of another kind, another build or another size of
    /// numbers measured is dropped: it can't be compared.
    pub(super) async fn open(folder: &Path, course: &Course) -> Result<Self> {
        let failed =
            |error: &dyn std::error::Error| format!("the report can't be written to {}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        let redis_server = match course.redis() {
            Some(redis) => Some(version(&redis).await?),
            None => None,
        };
        let build = if cfg!(debug_assertions) { ", a debug build: its figures mean nothing" } else { "" };
        let mut report = Self {
            machine: machine(),
            presence: format!("{}{build}", env!("CARGO_PKG_VERSION")),
            nats_server: Binary::find(course.nats_server.as_deref()).await?.version.to_string(),
            redis_server,
            quick: course.quick,
            parts: Vec::new(),
            folder: folder.to_owned(),
        };
        let there = std::fs::read_to_string(folder.join("report.json")).ok();
        if let Some(there) = there.and_then(|text| serde_json::from_str::<Self>(&text).ok())
            && report.is_comparable(&there)
        {
            report.parts = there.parts;
        }
        Ok(report)
    }

    fn is_comparable(&self, other: &Self) -> bool {
        let of =
            |report: &Self| (report.machine.clone(), report.presence.clone(), report.nats_server.clone(), report.quick);
        of(self) == of(other)
    }

    /// Takes a part in place of the one before, and writes all of it.
    pub(super) fn take(&mut self, part: Part) -> Result<()> {
        self.parts.retain(|other| other.name != part.name);
        self.parts.push(part);
        let order = |part: &Part| Name::in_order().position(|name| name.to_string() == part.name);
        self.parts.sort_by_key(order);
        for plot in self.parts.iter().flat_map(|part| &part.plots) {
            std::fs::write(self.folder.join(format!("{}.svg", plot.name)), plot.svg())?;
        }
        std::fs::write(self.folder.join("report.md"), self.markdown())?;
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        Ok(std::fs::write(self.folder.join("report.json"), json)?)
    }

    fn markdown(&self) -> String {
        let Self { machine, presence, nats_server, redis_server, quick, parts, folder: _ } = self;
        let redis =
            redis_server.as_deref().map_or("no redis-server".to_owned(), |version| format!("redis-server {version}"));
        let mut text = format!(
            "# presence bench\n\n{machine}. presence {presence}; nats-server {nats_server}; {redis}. Servers, engine, publisher and \
             watchers share the machine, and nothing leaves it. Ratios within one run count, absolute times do not.\n"
        );
        if *quick {
            text.push_str("\n`--quick`: small numbers, to see that it works. **The figures mean nothing.**\n");
        }
        let of = |met: bool| {
            let figures = parts.iter().flat_map(|part| &part.figures);
            figures.filter(|figure| figure.target.as_ref().is_some_and(|target| target.met == met)).count()
        };
        add(&mut text, &format!("\nTargets: {} met, {} missed.", of(true), of(false)));
        for part in parts {
            add(&mut text, &section(part));
        }
        text
    }
}

impl Name {
    fn in_order() -> impl Iterator<Item = Self> {
        <Self as clap::ValueEnum>::value_variants().iter().copied()
    }
}

/// A part in Markdown.
fn section(part: &Part) -> String {
    let Part { name: _, title, began, ended, load_average, command, prose, figures, plots, failed } = part;
    let mut text = format!("\n## {title}\n");
    for prose in prose {
        add(&mut text, &format!("\n{prose}"));
    }
    if let Some(failed) = failed {
        add(&mut text, &format!("\n**Not measured whole:** {}", failed.replace('\n', "\n> ")));
    }
    if !figures.is_empty() {
        add(&mut text, "\n| | measured | runs | target | |\n|---|--:|---|---|---|");
    }
    for figure in figures {
        let Figure { what, value: _, unit: _, values, target } = figure;
        let runs: Vec<_> = values.iter().copied().map(shown).collect();
        let runs = if values.len() > 1 { runs.join(" · ") } else { String::new() };
        let (target, met) = target.as_ref().map_or(("", ""), |target| (&*target.text, verdict(target.met)));
        let met = if met == "missed" { "**missed**" } else { met };
        add(&mut text, &format!("| {what} | {} | {runs} | {target} | {met} |", measured(figure)));
    }
    for plot in plots {
        add(&mut text, &format!("\n![{}]({}.svg)", plot.title, plot.name));
    }
    let [before, after] = load_average;
    add(&mut text, &format!("\n`{command}`, {began} to {ended}; load average {before} before, {after} afterwards."));
    text
}

/// A part for people who look at it as it is measured.
pub(super) fn text(part: &Part) -> String {
    let mut text = format!("\n{}\n", part.title);
    for figure in &part.figures {
        let target = figure.target.as_ref();
        let target = target.map_or_else(String::new, |of| format!("  target {}, {}", of.text, verdict(of.met)));
        add(&mut text, &format!("  {:<76} {:>24}{target}", figure.what, measured(figure)));
    }
    if let Some(failed) = &part.failed {
        add(&mut text, &format!("  not measured whole: {failed}"));
    }
    text
}

fn measured(figure: &Figure) -> String {
    format!("{} {}", shown(figure.value), figure.unit).trim_end().to_owned()
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

fn add(text: &mut String, line: &str) {
    // Writing into a text can't fail.
    _ = writeln!(text, "{line}");
}

/// What a Redis says that it is.
async fn version(redis: &Path) -> Result<String> {
    let output = Command::new(redis).arg("--version").kill_on_drop(true).output().await;
    let output = output.map_err(|error| format!("{} can't be started: {error}", redis.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
    Ok(version.ok_or_else(|| format!("{} does not tell its version", redis.display()))?.to_owned())
}
