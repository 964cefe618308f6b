//! Stories as text: what was said when, and what has to be told of it. `README.md` beside this explains the format.

use std::path::{Path, PathBuf};

use presence_engine::config::Config;
use presence_engine::model::{Millis, Policy};
use serde_json::{Map, Value};

/// A story.
pub struct Story {
    pub path: PathBuf,
    /// The file's name without its ending.
    pub name: String,
    pub title: String,
    /// The policies by name; the first is in force from the start, and has none.
    pub policies: Vec<(String, Policy)>,
    /// The time between ticks.
    pub ticks: Millis,
    /// With whom it is played through a real server, and how many times faster.
    pub with: With,
    pub scale: u64,
    pub lines: Vec<Line>,
}

/// With whom a story is played live.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// With others that agree about everything but profiles.
    Others,
    /// With a server and an engine of its own.
    Nobody,
    /// With a server of its own whose clock stands still between entries, and without an engine: that reads the log when it is
    /// complete, so that it puts no ticks into it.
    StandingClock,
}

/// One line of input, and what has to be told of it and of the time that leads to it.
pub struct Line {
    pub number: usize,
    pub text: String,
    pub at: Millis,
    /// Said again and again: how often, and until when.
    pub repeat: Option<(Millis, Millis)>,
    pub said: Vec<Said>,
    pub expected: Vec<Expected>,
    /// Whether the story says what is told of it, if only `(nothing)`.
    is_answered: bool,
}

/// What a line says.
#[derive(Clone)]
pub enum Said {
    Signal(Signal),
    Batch(String, Vec<Signal>),
    /// Another policy, by name.
    Policy(String),
    /// Nothing: time passes.
    Nothing,
    /// Nothing, and no tick since the line before.
    Blind,
    /// A tick of a log whose clock was set back: no tick comes between, and this one has an earlier time.
    SetBack,
}

/// A signal as its fields.
#[derive(Clone)]
pub struct Signal {
    pub user: String,
    pub session: String,
    pub fields: Map<String, Value>,
}

/// What has to be told.
#[derive(Clone)]
pub struct Expected {
    pub number: usize,
    pub text: String,
    pub at: Millis,
    /// `session alice/laptop active → idle (quiet)`
    pub head: String,
    /// What else has to stand in it: key and value.
    pub checks: Vec<(String, String)>,
}

/// All stories, or the one that `PRESENCE_STORY` names, by name.
pub fn all() -> Vec<Story> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let wanted = std::env::var("PRESENCE_STORY").ok();
    let mut stories: Vec<_> = std::fs::read_dir(dir)
        .expect("the stories are there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "story"))
        .map(|path| Story::parse(&path, &std::fs::read_to_string(&path).expect("a story can be read")))
        .filter(|story| wanted.as_ref().is_none_or(|wanted| story.name == *wanted))
        .collect();
    stories.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!stories.is_empty(), "no story is called {wanted:?}");
    stories
}

impl Story {
    /// Reads a story; panics with its file and line where it is none.
    pub fn parse(path: &Path, text: &str) -> Self {
        let mut story = Self {
            name: path.file_stem().expect("a file has a name").to_string_lossy().into(),
            path: path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).into(),
            title: text.lines().next().expect("a story has a title").to_owned(),
            policies: Vec::new(),
            ticks: 1_000,
            with: With::Others,
            scale: 0,
            lines: Vec::new(),
        };
        let mut toml: Option<(String, String)> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let place = format!("{}:{number}: {line}", story.path.display());
            let words: Vec<_> = line.split_whitespace().collect();
            if let Some((_, text)) = &mut toml {
                if line.is_empty() || line.starts_with(' ') {
                    text.push_str(line);
                    text.push('\n');
                    continue;
                }
                story.take_policy(toml.take());
            }
            match &words[..] {
                [] => {}
                _ if line.starts_with('#') => {}
                ["policy"] => toml = Some((String::new(), String::new())),
                ["policy", name] => toml = Some(((*name).into(), String::new())),
                ["ticks", every] => story.ticks = duration(every),
                ["live", with @ .., "scale", scale] => {
                    let with = match with {
                        [] => With::Others,
                        ["alone"] => With::Nobody,
                        _ => panic!("{place}: with whom?"),
                    };
                    (story.with, story.scale) = (with, scale.parse().expect("a number"));
                }
                ["live", "to", "the", "millisecond"] => (story.with, story.scale) = (With::StandingClock, 1),
                [first, ..] if first.starts_with('+') => story.lines.push(Line::parse(number, line, &words)),
                _ if line.starts_with(' ') => {
                    let input = story.lines.last_mut().unwrap_or_else(|| panic!("{place}: nothing was said yet"));
                    input.expect(number, line, &words);
                }
                // The title, and prose before the story begins.
                _ => assert!(story.lines.is_empty(), "{place}: neither input nor what is told of it"),
            }
        }
        story.check();
        story
    }

    fn take_policy(&mut self, toml: Option<(String, String)>) {
        let Some((name, text)) = toml else { return };
        let config = Config::parse(&text).unwrap_or_else(|error| panic!("{}, policy: {error}", self.path.display()));
        self.policies.push((name, config.policy));
    }

    fn check(&self) {
        let path = self.path.display();
        assert!(!self.policies.is_empty(), "{path} says nothing of the policy");
        assert!(!self.lines.is_empty(), "{path} has no input");
        for line in &self.lines {
            assert!(line.is_answered, "{path}:{}: does not say what is told, (nothing) for nothing", line.number);
        }
        assert!(self.scale > 0, "{path} doesn't say how it is played live");
    }

    /// A policy by its name.
    pub fn policy(&self, name: &str) -> &Policy {
        let found = self.policies.iter().find(|(other, _)| other == name);
        &found.unwrap_or_else(|| panic!("{}: no policy is called {name:?}", self.path.display())).1
    }

    /// Everything that is said, in its order, with its line's place in [`Story::lines`].
    pub fn said(&self) -> Vec<(Millis, usize, &Said)> {
        let mut all = Vec::new();
        for (place, line) in self.lines.iter().enumerate() {
            let (every, until) = line.repeat.unwrap_or((1, line.at));
            let every = usize::try_from(every).expect("a short time");
            for at in (line.at..=until).step_by(every) {
                all.extend(line.said.iter().map(|said| (at, place, said)));
            }
        }
        all
    }

    /// Everything that has to be told, in its order.
    pub fn expected(&self) -> Vec<&Expected> {
        self.lines.iter().flat_map(|line| &line.expected).collect()
    }

    /// Whether the log's time is one that was watched, from the beginning to the end.
    pub fn is_watched(&self) -> bool {
        !self.lines.iter().flat_map(|line| &line.said).any(|said| matches!(said, Said::Blind | Said::SetBack))
    }
}

impl Line {
    fn parse(number: usize, line: &str, words: &[&str]) -> Self {
        let at = time(words[0]);
        let (repeat, rest) = match words {
            [_, "every", every, "until", until, rest @ ..] => (Some((duration(every), time(until))), rest),
            [_, rest @ ..] => (None, rest),
            [] => unreachable!("a line has words"),
        };
        let said = match rest {
            ["…"] => vec![Said::Nothing],
            ["blind"] => vec![Said::Blind],
            ["clock"] => vec![Said::SetBack],
            ["policy", name] => vec![Said::Policy((*name).into())],
            ["gateway", name, items @ ..] => {
                let items = items.split(|word| *word == ";").filter(|words| !words.is_empty());
                vec![Said::Batch((*name).into(), items.flat_map(Signal::parse).collect())]
            }
            _ => rest.split(|word| *word == ";").flat_map(Signal::parse).map(Said::Signal).collect(),
        };
        assert!(!said.is_empty(), "line {number} says nothing: {line}");
        Self { number, text: line.into(), at, repeat, said, expected: Vec::new(), is_answered: false }
    }

    fn expect(&mut self, number: usize, line: &str, words: &[&str]) {
        self.is_answered = true;
        if let ["(nothing)"] = words {
            assert!(self.expected.is_empty(), "line {number}: nothing is told, and something is");
            return;
        }
        let at = words[0].strip_prefix('@').unwrap_or_else(|| panic!("line {number}: no time: {line}"));
        let is_check = |word: &&str| {
            word.split_once('=').is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        };
        let head_ends = words.iter().position(is_check).unwrap_or(words.len());
        let checks = words[head_ends..].iter().map(|word| {
            let (key, value) = word.split_once('=').unwrap_or_else(|| panic!("line {number}: {word} is no check"));
            (key.to_owned(), value.to_owned())
        });
        let checks: Vec<_> = checks.collect();
        for head in spread(&words[1..head_ends].join(" ")) {
            let (text, checks) = (line.trim().to_owned(), checks.clone());
            self.expected.push(Expected { number, text, at: time(at), head, checks });
        }
    }
}

impl Signal {
    /// `alice/laptop leave seq=3`; `alice/s{1..9}` are nine.
    fn parse(words: &[&str]) -> Vec<Self> {
        let [address, fields @ ..] = words else { panic!("nobody says it: {words:?}") };
        let mut said = Map::new();
        for field in fields {
            match field.split_once('=') {
                Some((key, value)) => {
                    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
                    said.insert(key.into(), value);
                }
                None => {
                    said.insert("kind".into(), (*field).into());
                }
            }
        }
        let of = |address: String| {
            let (user, session) = address.split_once('/').unwrap_or_else(|| panic!("{address} is no session"));
            Self { user: user.into(), session: session.into(), fields: said.clone() }
        };
        spread(address).into_iter().map(of).collect()
    }
}

/// `s{1..3}` is `s1`, `s2` and `s3`.
fn spread(text: &str) -> Vec<String> {
    let Some((before, rest)) = text.split_once('{') else { return vec![text.into()] };
    let range = rest.split_once('}').and_then(|(range, after)| Some((range.split_once("..")?, after)));
    let ((from, to), after) = range.unwrap_or_else(|| panic!("{text} has no range"));
    let (from, to): (u32, u32) = (from.parse().expect("a number"), to.parse().expect("a number"));
    (from..=to).map(|n| format!("{before}{n}{after}")).collect()
}

fn duration(text: &str) -> Millis {
    let duration = humantime::parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Millis::try_from(duration.as_millis()).expect("a time that a story can tell")
}

/// `+1m30s`: so long after the story's beginning.
fn time(text: &str) -> Millis {
    duration(text.strip_prefix('+').unwrap_or_else(|| panic!("{text} is no time: it begins with +")))
}

/// The inverse of [`time`], as people write it.
pub fn written(at: Millis) -> String {
    let (seconds, millis) = (at / 1_000, at % 1_000);
    if millis == 0 { format!("+{seconds}s") } else { format!("+{seconds}s{millis}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        assert_eq!(time("+1m30s5ms"), 90_005);
        assert_eq!((written(90_005), written(60_000)), ("+90s5ms".to_owned(), "+60s".to_owned()));
    }

    #[test]
    fn names_are_spread() {
        assert_eq!(spread("alice/s{2..4} x"), ["alice/s2 x", "alice/s3 x", "alice/s4 x"]);
        assert_eq!(spread("alice/tab"), ["alice/tab"]);
    }
}
