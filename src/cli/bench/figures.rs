//! What was measured: parts with their figures, each beside its target.

use serde::{Deserialize, Serialize};

use super::course::now_ms;
use super::plot::Plot;
use super::process::load_average;
use crate::cli::output::time;

/// A part of the report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) title: String,
    /// When it began and ended.
    pub(super) began: String,
    pub(super) ended: String,
    /// How busy the machine was before and afterwards.
    pub(super) load_average: [String; 2],
    /// How it was called.
    pub(super) command: String,
    /// What was done, and what stands out.
    pub(super) prose: Vec<String>,
    pub(super) figures: Vec<Figure>,
    pub(super) plots: Vec<Plot>,
    /// Why it was not measured whole.
    pub(super) failed: Option<String>,
}

/// One figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Figure {
    pub(super) what: String,
    /// The median of `values`.
    pub(super) value: f64,
    pub(super) unit: String,
    /// That of each run.
    pub(super) values: Vec<f64>,
    pub(super) target: Option<Target>,
}

/// What a figure should be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) text: String,
    pub(super) bound: f64,
    pub(super) met: bool,
}

impl Part {
    pub(super) fn begin(name: &str, title: &str) -> Self {
        // Without the path of this program, which is nobody's business.
        let words: Vec<_> = std::env::args().skip(1).collect();
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            began: time(now_ms()),
            ended: String::new(),
            load_average: [load_average(), String::new()],
            command: format!("presence {}", words.join(" ")),
            prose: Vec::new(),
            figures: Vec::new(),
            plots: Vec::new(),
            failed: None,
        }
    }

    pub(super) fn end(&mut self) {
        self.ended = time(now_ms());
        self.load_average[1] = load_average();
    }

    pub(super) fn fail(&mut self, why: &str) {
        self.failed = Some(why.to_owned());
    }

    pub(super) fn say(&mut self, prose: &str) {
        self.prose.push(prose.to_owned());
    }

    /// A figure, of which the median counts.
    pub(super) fn figure(&mut self, what: &str, unit: &str, values: &[f64]) {
        self.push(what, unit, values, |_| None);
    }

    /// The same, that should be no less than `bound`.
    pub(super) fn at_least(&mut self, what: &str, unit: &str, values: &[f64], bound: f64) {
        let target = |value| Target { text: format!("≥ {}", shown(bound)), bound, met: value >= bound };
        self.push(what, unit, values, |value| Some(target(value)));
    }

    /// The same, that should be no more than `bound`, which came about as `text` says.
    pub(super) fn at_most(&mut self, what: &str, unit: &str, values: &[f64], bound: f64, text: &str) {
        let text = if text.is_empty() { String::new() } else { format!(" ({text})") };
        let target = |value| Target { text: format!("≤ {}{text}", shown(bound)), bound, met: value <= bound };
        self.push(what, unit, values, |value| Some(target(value)));
    }

    fn push(&mut self, what: &str, unit: &str, values: &[f64], target: impl FnOnce(f64) -> Option<Target>) {
        let value = quantile(values, 0.5);
        let target = target(value);
        let (what, unit) = (what.to_owned(), unit.to_owned());
        self.figures.push(Figure { what, value, unit, values: values.to_vec(), target });
    }
}

/// The value below which the given part of all lies, from 0 to 1; of few values, 0.99 is the greatest. 0 where there are none.
pub(super) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * part) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// What each of `over` is of the value of `under` at its place.
pub(super) fn ratios(over: &[f64], under: &[f64]) -> Vec<f64> {
    over.iter().zip(under).map(|(over, under)| over / under).collect()
}

/// A number for people: three digits that count, and commas.
pub(super) fn shown(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 || size.fract() == 0.0 {
        let digits = format!("{size:.0}");
        let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
        format!("{}{}", if value < 0.0 { "-" } else { "" }, groups.join(","))
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_and_no_more_digits_than_count() {
        let all = [3_141_592.6, 999.6, 8.0, 31.41, 0.951, 0.0123, 0.0, -1_234.0].map(shown);
        assert_eq!(all, ["3,141,593", "1,000", "8", "31.4", "0.95", "0.0123", "0", "-1,234"]);
    }

    #[test]
    fn of_several_runs_the_median_is_held_against_the_target() {
        let mut part = Part::begin("x", "X");
        part.at_least("ratio", "", &[0.7, 0.95, 0.91], 0.9);
        part.at_most("p99", "ms", &[300.0], 200.0, "");
        let met: Vec<_> =
            part.figures.iter().map(|of| (of.value, of.target.as_ref().map(|target| target.met))).collect();
        assert_eq!(met, [(0.91, Some(true)), (300.0, Some(false))]);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
