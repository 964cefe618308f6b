//! What is told, in the words of a story.

use std::collections::BTreeMap;

use presence_engine::model::Millis;
use serde_json::Value;

use super::parse::{Expected, written};

/// One event, as its payload has it.
#[derive(Clone, Debug)]
pub struct Told(pub Value);

impl Told {
    pub fn at_ms(&self) -> Millis {
        self.0["at_ms"].as_u64().expect("every event has its time")
    }

    /// `session alice/laptop active → idle (quiet)`
    pub fn head(&self) -> String {
        let text = |field: &str| self.0[field].as_str().unwrap_or("?").to_owned();
        match self.0["kind"].as_str() {
            Some("session") => {
                let (user, session) = (text("user"), text("session"));
                format!("session {user}/{session} {} → {} ({})", text("from"), text("to"), text("cause"))
            }
            Some("user") => format!("user {} {} → {} ({})", text("user"), text("from"), text("to"), text("cause")),
            Some("ready") => {
                let (from, to) = (names(&self.0["from"]), names(&self.0["to"]));
                format!("ready {} [{from}] → [{to}] ({})", text("user"), text("cause"))
            }
            Some("engine") => format!("engine {}", text("what")),
            Some("rejected") => format!("rejected {}", text("reason")),
            _ => format!("something else: {}", self.0),
        }
    }

    /// Of whom it is told: events of different users have no order among each other on a real server.
    pub fn user(&self) -> &str {
        self.0["user"].as_str().unwrap_or_default()
    }

    /// The field that a check names. Times are told as since `zero`.
    pub fn field(&self, key: &str, zero: Millis) -> String {
        let time = |value: &Value| value.as_u64().map_or("none".to_owned(), |at| written_since(at, zero));
        match key {
            "confidence" => self.0["confidence"]["permille"].to_string(),
            "seen" => time(&self.0["last_seen_ms"]),
            "input" => time(&self.0["last_input_ms"]),
            "from" => time(&self.0["from_ms"]),
            "to" => time(&self.0["to_ms"]),
            "incarnation" => time(&self.0["incarnation"]),
            "until" if self.0["kind"] == "user" => time(&self.0["intent_until_ms"]),
            "until" => time(&self.0["until_ms"]),
            "next" => match &self.0["next"] {
                Value::Null => "none".into(),
                next => format!("{}@{}", next["to"].as_str().unwrap_or("?"), time(&next["at_ms"])),
            },
            "since" => {
                let since = self.0["since_ms"].as_object().into_iter().flatten();
                since.map(|(name, at)| format!("{name}@{}", time(at))).collect::<Vec<_>>().join(",")
            }
            "counts" => {
                let count = |state| self.0["sessions"][state].to_string();
                ["active", "idle", "away", "stale"].map(count).join("/")
            }
            _ => match &self.0[key] {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            },
        }
    }

    /// Whether it is what was expected, with its time and all that is checked of it.
    pub fn is(&self, expected: &Expected, zero: Millis) -> bool {
        self.at_ms() == zero + expected.at
            && self.head() == expected.head
            && expected.checks.iter().all(|(key, value)| self.field(key, zero) == *value)
    }

    /// Whether what doesn't depend on times is as expected.
    pub fn is_alike(&self, expected: &Expected) -> bool {
        let timeless = |(key, _): &&(String, String)| !TIMES.contains(&key.as_str());
        self.head() == expected.head
            && expected.checks.iter().filter(timeless).all(|(key, value)| self.field(key, 0) == *value)
    }

    /// As a line of a story, with the fields that `expected` checks.
    pub fn line(&self, zero: Millis, expected: Option<&Expected>) -> String {
        let mut line = format!("@{:<9} {}", written_since(self.at_ms(), zero), self.head());
        for (key, _) in expected.into_iter().flat_map(|expected| &expected.checks) {
            line.push_str(&format!(" {key}={}", self.field(key, zero)));
        }
        line
    }
}

/// Checks that name times, or what follows from them.
const TIMES: [&str; 10] =
    ["every_ms", "confidence", "seen", "input", "from", "to", "incarnation", "until", "next", "since"];

/// Pairs what is told with what is expected, user by user, and without what the engine tells of itself. Gives the first user of whom
/// it is not the same by `is_same`.
pub fn compare<'a>(
    told: &'a [Told],
    expected: &[&'a Expected],
    is_same: impl Fn(&Told, &Expected) -> bool,
) -> Result<Vec<(&'a Told, &'a Expected)>, String> {
    let (mut of_told, mut of_expected) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    for told in told.iter().filter(|told| told.0["kind"] != "engine") {
        of_told.entry(told.user().to_owned()).or_default().push(told);
    }
    for expected in expected.iter().filter(|expected| !expected.head.starts_with("engine ")) {
        of_expected.entry(user_in(&expected.head)).or_default().push(*expected);
    }
    let mut pairs = Vec::new();
    let mut users: Vec<_> = of_told.keys().chain(of_expected.keys()).collect();
    users.sort();
    users.dedup();
    for user in users {
        let told = of_told.get(user).map(Vec::as_slice).unwrap_or_default();
        let expected = of_expected.get(user).map(Vec::as_slice).unwrap_or_default();
        if told.len() != expected.len() || !told.iter().zip(expected).all(|(told, expected)| is_same(told, expected)) {
            return Err(user.clone());
        }
        pairs.extend(told.iter().copied().zip(expected.iter().copied()));
    }
    Ok(pairs)
}

/// `session alice/laptop …` and `user alice …` are of alice.
pub fn user_in(head: &str) -> String {
    let mut words = head.split_whitespace();
    match (words.next(), words.next()) {
        (Some("session" | "user" | "ready"), Some(name)) => name.split('/').next().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

fn written_since(at: Millis, zero: Millis) -> String {
    at.checked_sub(zero).map_or_else(|| format!("-{}ms", zero - at), written)
}

/// The names of a list, or of an object's keys.
fn names(value: &Value) -> String {
    let of_list = value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let of_keys = value.as_object().into_iter().flatten().map(|(name, _)| name.clone());
    of_list.chain(of_keys).collect::<Vec<_>>().join(",")
}
