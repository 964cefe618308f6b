//! An explanation for people. Pure.

use super::session::{Deadline, Session};
use super::{Derived, Explanation, Standing};
use crate::cli::check::duration;
use crate::cli::output::{printable, time};
use crate::model::{Intent, State, Transport, Visibility};
use crate::wire::Named;

/// The whole text, without a line break at its end.
pub(super) fn of(explanation: &Explanation) -> String {
    let Explanation { user, partition, derived, underivable, standing, transitions, .. } = explanation;
    let user = printable(user);
    let mut lines = Vec::new();
    match (derived, standing) {
        (Some(_), Some(standing)) => lines.extend(of_user(&user, standing)),
        (Some(_), None) => lines.push(format!("{user} is offline: nothing is kept of it")),
        (None, _) => lines.push(format!("what is kept of {user} can't be derived")),
    }
    match (derived, underivable) {
        (Some(derived), _) => lines.push(format!("as of {}", of_derived(*partition, derived))),
        (None, Some(why)) => lines.push(why.clone()),
        (None, None) => {}
    }
    for session in standing.iter().flat_map(|standing| &standing.sessions) {
        lines.push(String::new());
        lines.extend(of_session(session));
    }
    lines.push(String::new());
    lines.push(if transitions.is_empty() { "no transition is stored".to_owned() } else { "told last".to_owned() });
    for transition in transitions {
        let entry = transition.evidence.entry.map_or_else(String::new, |entry| format!("log entry {entry}, "));
        lines.push(format!("  {}", transition.line));
        lines.push(format!("    by {entry}{}", printable(&transition.evidence.what)));
    }
    lines.join("\n")
}

fn of_user(user: &str, standing: &Standing) -> Vec<String> {
    let Standing { state, best, intent, intent_until_ms, confidence, next, ready, .. } = standing;
    let best = best.as_ref().map_or_else(
        || "no session is there".to_owned(),
        |best| format!("the state of its best session, {}", printable(best)),
    );
    let mut lines = vec![format!("{user} is {}: {best}", state.name())];
    match intent {
        Intent::Open => {}
        Intent::Busy | Intent::Dnd | Intent::Invisible => {
            let until = intent_until_ms.map_or_else(String::new, |until| format!(" until {}", time(until)));
            lines.push(format!("intent {}{until}", intent.name()));
        }
    }
    if !ready.is_empty() {
        let each: Vec<String> = ready.iter().map(|(name, since)| format!("{name} since {}", time(*since))).collect();
        lines.push(format!("ready for {}", each.join(", ")));
    }
    if let Some(next) = next {
        let confidence = f64::from(confidence.permille) / 1_000.0;
        lines.push(format!(
            "if nothing more is heard: {} at {}; confidence now {confidence:.3}",
            next.to.name(),
            time(next.at_ms)
        ));
    }
    lines
}

fn of_derived(partition: u16, derived: &Derived) -> String {
    let Derived { entry, log_time_ms, checkpoint, entries, hold_ms } = derived;
    let from = checkpoint.map_or_else(|| "the log's beginning".to_owned(), |seq| format!("the checkpoint at {seq}"));
    let hold = if *hold_ms > 0 { format!("; the next {} are excused", duration(*hold_ms)) } else { String::new() };
    format!(
        "{}, log entry {entry}: partition {partition} from {from} and {entries} entries behind it{hold}",
        time(*log_time_ms)
    )
}

fn of_session(session: &Session) -> Vec<String> {
    let row = |label: &str, text: String| format!("  {label:<11}  {text}");
    let mut lines = vec![format!("{}  {}: {}", printable(&session.session), session.state.name(), session.why)];
    if let Some(last) = &session.last_signal {
        let text = format!("log entry {} at {}: {}", last.entry, time(last.at_ms), printable(&last.said));
        lines.push(row("last signal", text));
    }
    let excused = match session.excused_ms {
        Some(excused @ 1..) => format!(" ({} more are excused)", duration(excused)),
        Some(0) | None => String::new(),
    };
    lines.push(row(
        "last seen",
        format!("{}, {} ago{excused}", time(session.last_seen_ms), duration(session.silence_ms)),
    ));
    if session.gateway_excused_ms > 0 {
        lines.push(row(
            "gateway",
            format!("silent since then for {}, which is excused", duration(session.gateway_excused_ms)),
        ));
    }
    let plain = if session.reports_input { ", by what the client reports" } else { "" };
    lines
        .push(row("last input", format!("{}, {} ago{plain}", time(session.last_input_ms), duration(session.quiet_ms))));
    lines.push(row("profile", profile(session)));
    lines.extend(facts(session).map(|facts| row("facts", facts)));
    for (n, deadline) in session.deadlines.iter().enumerate() {
        if session.state == State::Offline {
            break;
        }
        lines.push(row(if n == 0 { "way down" } else { "" }, of_deadline(deadline)));
    }
    lines
}

fn profile(session: &Session) -> String {
    let of = &session.thresholds;
    let promise = match session.every_ms {
        0 => String::new(),
        every => format!(", by the promise of a beat every {}", duration(every.into())),
    };
    format!(
        "{}: idle {}, away {} after input; stale {}, offline {} after a sign of life{promise}",
        printable(&session.profile),
        duration(of.idle_after_ms),
        duration(of.away_after_ms),
        duration(of.stale_after_ms),
        duration(of.offline_after_ms),
    )
}

fn facts(session: &Session) -> Option<String> {
    let mut facts = Vec::new();
    match session.visibility {
        Visibility::Visible => {}
        Visibility::Hidden | Visibility::Frozen => facts.push(session.visibility.name().to_owned()),
    }
    facts.extend(session.out_of_sight_ms.map(|since| format!("out of sight for {}", duration(since))));
    match session.transport {
        Transport::Open => {}
        Transport::Closed => facts.push("connection closed".to_owned()),
    }
    facts.extend(session.conn.as_ref().map(|conn| format!("connection {}", printable(conn))));
    facts.extend(session.intent_said.map(|intent| format!("said intent {}", intent.name())));
    (!facts.is_empty()).then(|| facts.join(", "))
}

fn of_deadline(deadline: &Deadline) -> String {
    let Deadline { to, cause, at_ms, in_ms } = deadline;
    let left = in_ms.map_or_else(|| "has come".to_owned(), |left| format!("in {}", duration(left)));
    format!("{:<7}  at {}  {:<12}  {left}", to.name(), time(*at_ms), cause.name())
}
