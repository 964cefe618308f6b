//! A backtest for people. Pure.

use crate::cli::check::duration;
use crate::cli::output::{printable, time};
use crate::cli::policy::keys::{Change, lines};
use crate::model::{Millis, State};
use crate::runtime::backtest::Backtest;
use crate::runtime::backtest::measure::{Counted, Delays, FLAP_MS, Measured};
use crate::wire::Named;

/// A row: what it is, under the policy in force, under the other one, and what is more or less.
struct Row {
    what: String,
    stored: String,
    other: String,
    more: String,
}

/// The whole text, without a line break at its end.
pub(super) fn of(backtest: &Backtest, changes: &[Change], other: &str) -> String {
    let Backtest { entries, from_ms, to_ms, policies, stored, other: measured } = backtest;
    let mut text = vec![format!("{entries} log entries, {} to {}", time(*from_ms), time(*to_ms))];
    if *policies > 0 {
        text.push(format!("{policies} of them policies, which count in the first column only"));
    }
    text.push(String::new());
    text.push(if changes.is_empty() { "the two policies are equal".to_owned() } else { lines(changes) });
    let heading = |what: &str| Row {
        what: what.to_owned(),
        stored: "in force".to_owned(),
        other: printable(other),
        more: String::new(),
    };
    let mut rows = vec![heading("sessions")];
    rows.extend(counted(&stored.sessions, &measured.sessions));
    rows.push(heading("users"));
    rows.extend(counted(&stored.users, &measured.users));
    rows.push(heading("all"));
    rows.extend(rest(stored, measured));
    text.push(aligned(&rows));
    text.join("\n")
}

fn counted(stored: &Counted, other: &Counted) -> Vec<Row> {
    let pairs = State::ALL.into_iter().flat_map(|from| State::ALL.map(|to| (from, to)));
    let mut rows: Vec<_> = pairs
        .map(|(from, to)| (from, to, stored.count(from, to), other.count(from, to)))
        .filter(|(_, _, stored, other)| stored + other > 0)
        .map(|(from, to, stored, other)| count(format!("{} → {}", from.name(), to.name()), stored, other))
        .collect();
    rows.push(count(format!("flaps, active again within {}", duration(FLAP_MS)), stored.flaps, other.flaps));
    rows
}

fn rest(stored: &Measured, other: &Measured) -> Vec<Row> {
    let mut rows = vec![count("stale by mistake? heard again".to_owned(), stored.resumed, other.resumed)];
    rows.extend(delays("last heard to stale", &stored.to_stale, &other.to_stale));
    rows.extend(delays("last heard to offline", &stored.to_offline, &other.to_offline));
    rows.push(count("changes of readiness".to_owned(), stored.ready, other.ready));
    rows.push(count("rejected signals".to_owned(), stored.rejected, other.rejected));
    rows
}

fn count(what: String, stored: u64, other: u64) -> Row {
    let more = match other.cmp(&stored) {
        std::cmp::Ordering::Equal => String::new(),
        std::cmp::Ordering::Greater => format!("+{}", other - stored),
        std::cmp::Ordering::Less => format!("-{}", stored - other),
    };
    Row { what, stored: stored.to_string(), other: other.to_string(), more }
}

fn delays(what: &str, stored: &Delays, other: &Delays) -> [Row; 2] {
    let shown = |ms: Option<Millis>| ms.map_or_else(|| "-".to_owned(), duration);
    let row = |rank: &str, stored: Option<Millis>, other: Option<Millis>| Row {
        what: format!("{what}, {rank}"),
        stored: shown(stored),
        other: shown(other),
        more: String::new(),
    };
    [row("p50", stored.p50_ms, other.p50_ms), row("p99", stored.p99_ms, other.p99_ms)]
}

fn aligned(rows: &[Row]) -> String {
    let width = |of: fn(&Row) -> &String| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or_default();
    let (what, stored, other) = (width(|row| &row.what), width(|row| &row.stored), width(|row| &row.other));
    let line = |row: &Row| {
        // Headings stand apart.
        let apart = if row.stored == "in force" { "\n" } else { "" };
        let Row { what: name, stored: left, other: right, more } = row;
        let line = format!("{name:<what$}  {left:>stored$}  {right:>other$}  {more:>8}");
        format!("{apart}{}", line.trim_end())
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::backtest::measure::Transitions;

    #[test]
    fn a_table_shows_what_differs_side_by_side() {
        let counted = |count, flaps| Counted {
            transitions: vec![Transitions { from: State::Active, to: State::Idle, count }],
            flaps,
        };
        let stale = Delays { count: 1, p50_ms: Some(180_000), p99_ms: Some(180_000) };
        let stored = Measured { sessions: counted(3, 0), to_stale: stale, ..Measured::default() };
        let other = Measured { sessions: counted(12, 9), resumed: 1, ..Measured::default() };
        let backtest = Backtest { entries: 7, from_ms: 0, to_ms: 1_000, policies: 1, stored, other };
        let change = Change { key: "engine.profile".into(), old: Some("web".into()), new: Some("seed".into()) };
        let expected = "\
7 log entries, 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.000Z
1 of them policies, which count in the first column only

engine.profile  web → seed

sessions                       in force  other.toml
active → idle                         3          12        +9
flaps, active again within 1m         0           9        +9

users                          in force  other.toml
flaps, active again within 1m         0           0

all                            in force  other.toml
stale by mistake? heard again         0           1        +1
last heard to stale, p50             3m           -
last heard to stale, p99             3m           -
last heard to offline, p50            -           -
last heard to offline, p99            -           -
changes of readiness                  0           0
rejected signals                      0           0";
        assert_eq!(of(&backtest, &[change], "other.toml"), expected);
    }
}
