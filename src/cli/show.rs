//! Told events as lines for people.

use std::borrow::Cow;

use super::global::Output;
use super::output::{printable, time};
use crate::model::{Intent, State, Transport, Visibility};
use crate::wire::{Named, ReadError, ToldEvent, told};

/// A told payload as a line in the format that was asked for.
///
/// # Errors
/// [`ReadError`] if it is no event.
pub(super) fn payload(payload: &[u8], format: Output) -> Result<String, ReadError> {
    match format {
        Output::Text => ToldEvent::read(payload).map(|told| transition(&told)),
        Output::Json => told::json_line(payload).map(Into::into),
    }
}

/// When, what, who, from where to where, why, and what else is worth a glance.
pub(super) fn transition(told: &ToldEvent) -> String {
    let row = |at_ms, kind: &str, who: &str, what: &str, why: &str, more: &str| {
        // Arrows have three bytes and one column: pad by characters, as format does.
        let line = format!("{}  {kind:<8}  {who:<20}  {what:<17}  {why:<12}  {more}", time(at_ms));
        line.trim_end().to_owned()
    };
    match told {
        ToldEvent::User(of) => {
            row(of.at_ms, "user", &printable(&of.user), &change(of.from, of.to), &printable(&of.cause), &user_facts(of))
        }
        ToldEvent::Session(of) => {
            let who = format!("{}/{}", printable(&of.user), printable(&of.session));
            row(of.at_ms, "session", &who, &change(of.from, of.to), &printable(&of.cause), &session_facts(of))
        }
        ToldEvent::Ready(of) => {
            let until = of.until_ms.map_or_else(String::new, |until| format!("until {}", time(until)));
            let what = format!("{} → {}", listed(&of.from), listed(&of.to));
            row(of.at_ms, "ready", &printable(&of.user), &what, &printable(&of.cause), &until)
        }
        ToldEvent::Room(of) => {
            let more = format!("expected {}", thousandths(of.expected_permille));
            row(of.at_ms, "room", &printable(&of.room), &people(of.users), &printable(&of.cause), &more)
        }
        ToldEvent::Member(of) => {
            let who = format!("{}/{}", printable(&of.room), printable(&of.user));
            row(of.at_ms, "member", &who, &change(of.from, of.to), &printable(&of.cause), &counted(of.sessions))
        }
        ToldEvent::Engine(of) => {
            let who = format!("partition {}", of.partition);
            let span = format!("{} to {}", time(of.from_ms), time(of.to_ms));
            row(of.at_ms, "engine", &who, &printable(&of.what), "", &span)
        }
        ToldEvent::Rejected(of) => {
            let who = format!("partition {}", of.partition);
            let more = format!("{} ({})", printable(&of.reason), printable(&of.subject));
            row(of.at_ms, "rejected", &who, "", "", &more)
        }
        ToldEvent::Other { kind } => format!("an event of the unknown kind {}", printable(kind)),
    }
}

/// What holds now: the same without the way there.
pub(super) fn standing(told: &ToldEvent) -> String {
    let row = |who: &str, state: State, since, more: &str| {
        let line = format!("{who:<20}  {:<7}  since {}  {more}", state.name(), time(since));
        line.trim_end().to_owned()
    };
    match told {
        ToldEvent::User(of) => row(&printable(&of.user), of.to, of.at_ms, &user_facts(of)),
        ToldEvent::Session(of) => {
            let who = format!("{}/{}", printable(&of.user), printable(&of.session));
            row(&who, of.to, of.at_ms, &session_facts(of))
        }
        ToldEvent::Ready(_)
        | ToldEvent::Room(_)
        | ToldEvent::Member(_)
        | ToldEvent::Engine(_)
        | ToldEvent::Rejected(_)
        | ToldEvent::Other { .. } => transition(told),
    }
}

fn change(from: State, to: State) -> String {
    if from == to { to.name().to_owned() } else { format!("{} → {}", from.name(), to.name()) }
}

/// Capabilities as one word.
fn listed(names: &[Cow<'_, str>]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { printable(&names.join("+")) }
}

/// `2 idle, 1 stale`
fn counted(of: told::Sessions) -> String {
    let told::Sessions { active, idle, away, stale } = of;
    let counts = [(active, State::Active), (idle, State::Idle), (away, State::Away), (stale, State::Stale)];
    let there = counts.iter().filter(|(count, _)| *count > 0);
    there.map(|(count, state)| format!("{count} {}", state.name())).collect::<Vec<_>>().join(", ")
}

fn people(of: told::Sessions) -> String {
    let counts = counted(of);
    if counts.is_empty() { "nobody".to_owned() } else { counts }
}

/// `2.500`
fn thousandths(permille: u64) -> String {
    format!("{}.{:03}", permille / 1_000, permille % 1_000)
}

fn user_facts(of: &told::User<'_>) -> String {
    let mut facts: Vec<_> = Some(counted(of.sessions)).filter(|counts| !counts.is_empty()).into_iter().collect();
    match of.intent {
        Intent::Open => {}
        Intent::Busy | Intent::Dnd | Intent::Invisible => facts.push(format!("intent {}", of.intent.name())),
    }
    facts.join(", ")
}

fn session_facts(of: &told::Session<'_>) -> String {
    let mut facts = Vec::new();
    match of.visibility {
        Visibility::Visible => {}
        Visibility::Hidden | Visibility::Frozen => facts.push(of.visibility.name().to_owned()),
    }
    match of.transport {
        Transport::Open => {}
        Transport::Closed => facts.push("connection closed".to_owned()),
    }
    for (label, names) in [("can", &of.can), ("in", &of.rooms)] {
        if !names.is_empty() {
            facts.push(format!("{label} {}", printable(&names.join(" "))));
        }
    }
    facts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &[u8] = br#"{"v":1,"kind":"user","id":"1-1-5-0","incarnation":7,"ordinal":2,"cause":"quiet",
        "at_ms":1700000000123,"partition":1,"seq":5,"tenant":"main","user":"ali\u001bce","from":"active","to":"idle",
        "sessions":{"active":0,"idle":2,"away":0,"stale":1},"intent":"dnd","intent_until_ms":null,"ready":[],
        "last_seen_ms":1,"last_input_ms":1,"confidence":null,"next":null}"#;

    #[test]
    fn a_transition_is_one_line_that_commands_no_terminal() {
        let line = payload(USER, Output::Text).unwrap();
        let expected = "2023-11-14T22:13:20.123Z  user      ali\u{fffd}ce                active → idle      quiet         2 idle, 1 stale, intent dnd";
        assert_eq!(line, expected);
        assert_eq!(payload(USER, Output::Json).unwrap().lines().count(), 1);
    }

    #[test]
    fn readiness_is_one_line_with_its_end() {
        let told = |to: &[&str], until: Option<u64>| {
            let since: std::collections::BTreeMap<_, _> = to.iter().map(|name| (*name, 5)).collect();
            let event = serde_json::json!({
                "v": 1, "kind": "ready", "id": "1-1-5-0", "incarnation": 7, "ordinal": 2, "cause": "refreshed",
                "at_ms": 1_700_000_000_123_u64, "partition": 1, "seq": 5, "tenant": "main", "user": "alice", "from": ["audio"],
                "to": to, "since_ms": since, "until_ms": until,
            });
            payload(event.to_string().as_bytes(), Output::Text).unwrap()
        };
        let expected = "2023-11-14T22:13:20.123Z  ready     alice                 audio → audio+video  refreshed     until 2023-11-14T22:13:21.123Z";
        assert_eq!(told(&["audio", "video"], Some(1_700_000_001_123)), expected);
        let expected = "2023-11-14T22:13:20.123Z  ready     alice                 audio → nothing    refreshed";
        assert_eq!(told(&[], None), expected);
    }

    #[test]
    fn message_pack_is_shown_as_json() {
        let packed = rmp_serde::to_vec_named(&serde_json::json!({"kind": "weather", "sky": "blue"})).unwrap();
        assert_eq!(payload(&packed, Output::Json).unwrap(), r#"{"kind":"weather","sky":"blue"}"#);
        assert_eq!(payload(&packed, Output::Text).unwrap(), "an event of the unknown kind weather");
        assert!(payload(b"nothing", Output::Text).is_err());
    }
}
