//! Reading TOML tables key by key, so that what was never asked for is known to mean nothing.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::reader::{Asked, Reader, Unknown, joined};
use super::value::{NAME, Unit, name_of, names_of, shortened, thousandths, whole_millis, whole_number};
use crate::model::id::TOKEN_BYTES_MAX;

/// What stands at a key that may be `false` or a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// `false`.
    False,
    /// A section.
    Section,
    /// Nothing, or something that was refused.
    Nothing,
}

type Value<'t> = Spanned<DeValue<'t>>;

/// One table of a text. Each key is asked for once, then [`Section::end`] tells the ones that nobody asked for.
pub(super) struct Section<'r, 't> {
    reader: &'r mut Reader<'t>,
    path: String,
    table: Option<&'r DeTable<'t>>,
    known: Vec<String>,
}

impl<'r, 't> Section<'r, 't> {
    /// The table at `path`; without a table all keys are absent.
    pub(super) fn new(reader: &'r mut Reader<'t>, path: &str, table: Option<&'r DeTable<'t>>) -> Self {
        Self { reader, path: path.to_owned(), table, known: Vec::new() }
    }

    /// Asks for a section inside of this one and has `read` read it.
    pub(super) fn section(&mut self, key: &str, read: impl FnOnce(&mut Section<'_, 't>)) {
        self.known.push(key.to_owned());
        let table = match self.find(key) {
            None => None,
            Some(value) => match value.get_ref() {
                DeValue::Table(table) => Some(table),
                _ => return self.wrong_type(key, value, &format!("a section: [{}]", self.path_of(key))),
            },
        };
        let path = self.path_of(key);
        let mut section = Section { reader: self.reader, path, table, known: Vec::new() };
        read(&mut section);
        section.end();
    }

    /// The names of the sections in this one, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.table.map_or_else(Vec::new, |table| table.keys().map(|key| key.get_ref().to_string()).collect())
    }

    /// Refuses the section `key` for its name.
    pub(super) fn refuse_name(&mut self, key: &str) {
        self.known.push(key.to_owned());
        let value = format!("[{}]", self.path_of(&shortened(key)));
        let line = self.find(key).map_or(0, |found| self.reader.line(found.span().start));
        let expected = format!("[{}.NAME] with {NAME}", self.path);
        self.reader.errors.push(ConfigError::Type { line, path: "the section".to_owned(), value, expected });
    }

    /// A number of things.
    pub(super) fn count<N: TryFrom<u64> + Copy>(&mut self, key: &str, to: &mut N, range: RangeInclusive<u64>) {
        let Some(value) = self.ask(key, Unit::One) else {
            return;
        };
        match whole_number(value.get_ref()) {
            Some(number) => self.ranged(key, value, Unit::One, number, range, to),
            None => self.wrong_type(key, value, "a whole number, as 64"),
        }
    }

    /// A number of things; its range is checked by somebody else.
    pub(super) fn number(&mut self, key: &str, to: &mut u32) {
        self.count(key, to, 0..=u64::from(u32::MAX));
    }

    /// A fraction, kept in thousandths; its range is checked by somebody else.
    pub(super) fn permille(&mut self, key: &str, to: &mut u32) {
        let Some(value) = self.ask(key, Unit::Permille) else {
            return;
        };
        match thousandths(value.get_ref()) {
            Some(number) => self.ranged(key, value, Unit::Permille, number, 0..=u64::from(u32::MAX), to),
            None => self.wrong_type(key, value, "a number of 0 or more with at most three decimals, as 2.0"),
        }
    }

    /// A part of the whole, 0 to 1, kept in thousandths.
    pub(super) fn share(&mut self, key: &str, to: &mut u16) {
        let Some(value) = self.ask(key, Unit::Permille) else {
            return;
        };
        match thousandths(value.get_ref()) {
            Some(number) => self.ranged(key, value, Unit::Permille, number, 0..=1_000, to),
            None => self.wrong_type(key, value, "a number from 0 to 1 with at most three decimals, as 0.8"),
        }
    }

    /// Parts of the whole, kept in thousandths; their order is checked by somebody else.
    pub(super) fn shares(&mut self, key: &str, to: &mut Vec<u16>) {
        let Some(value) = self.ask(key, Unit::Permille) else {
            return;
        };
        let share = |item: &Value<'t>| thousandths(item.get_ref()).and_then(|number| u16::try_from(number).ok());
        match value.get_ref().as_array().and_then(|items| items.iter().map(share).collect()) {
            Some(shares) => *to = shares,
            None => self.wrong_type(key, value, "a list of numbers from 0 to 1 with at most three decimals, as [0.5]"),
        }
    }

    /// A list of some words, kept in the words' order.
    pub(super) fn words<W: Copy>(&mut self, key: &str, to: &mut Vec<W>, words: &[(&str, W)]) {
        let Some(value) = self.ask(key, Unit::One) else {
            return;
        };
        let given: Option<Vec<&str>> =
            value.get_ref().as_array().and_then(|items| items.iter().map(|item| item.get_ref().as_str()).collect());
        match given.filter(|given| given.iter().all(|name| words.iter().any(|(word, _)| word == name))) {
            Some(given) => {
                *to = words.iter().filter(|(word, _)| given.contains(word)).map(|(_, word)| *word).collect();
            }
            None => {
                let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                self.wrong_type(key, value, &format!("a list of {}", words.join(", ")));
            }
        }
    }

    /// A duration.
    pub(super) fn duration(&mut self, key: &str, to: &mut Duration, range: RangeInclusive<Duration>) {
        let mut millis = 0;
        let range = range.start().as_millis() as u64..=range.end().as_millis() as u64;
        if self.millis_within(key, &mut millis, range) {
            *to = Duration::from_millis(millis);
        }
    }

    /// A duration in whole milliseconds; its range is checked by somebody else.
    pub(super) fn millis(&mut self, key: &str, to: &mut u64) {
        self.millis_within(key, to, 0..=u64::MAX);
    }

    fn millis_within(&mut self, key: &str, to: &mut u64, range: RangeInclusive<u64>) -> bool {
        let Some(value) = self.ask(key, Unit::Millis) else {
            return false;
        };
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(key, value, "a duration in quotes with its unit, as \"15s\", \"100ms\" or \"1h 30m\"");
            return false;
        };
        match whole_millis(text) {
            Ok(millis) => {
                let errors = self.reader.errors.len();
                self.ranged(key, value, Unit::Millis, millis, range, to);
                errors == self.reader.errors.len()
            }
            Err(why) => {
                self.wrong_type(key, value, &format!("a duration as \"15s\", \"100ms\" or \"1h 30m\" ({why})"));
                false
            }
        }
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &str, to: &mut bool) {
        let Some(value) = self.ask(key, Unit::One) else {
            return;
        };
        match value.get_ref() {
            DeValue::Boolean(flag) => *to = *flag,
            _ => self.wrong_type(key, value, "true or false"),
        }
    }

    /// One of some words.
    pub(super) fn word<W: Copy>(&mut self, key: &str, to: &mut W, words: &[(&str, W)]) {
        let Some(value) = self.ask(key, Unit::One) else {
            return;
        };
        let found = match value.get_ref() {
            DeValue::String(text) => words.iter().find(|(word, _)| word == text),
            _ => None,
        };
        match found {
            Some((_, word)) => *to = *word,
            None => {
                let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                self.wrong_type(key, value, &words.join(" or "));
            }
        }
    }

    /// A name: see [`is_name`](super::value::is_name).
    pub(super) fn name(&mut self, key: &str, to: &mut Box<str>) {
        let Some(value) = self.ask(key, Unit::One) else {
            return;
        };
        match name_of(value.get_ref()) {
            Some(name) => *to = name.into(),
            None => self.wrong_type(key, value, NAME),
        }
    }

    /// A pattern of names, in which `*` stands for anything.
    pub(super) fn pattern(&mut self, key: &str, to: &mut Box<str>) {
        let Some(value) = self.ask(key, Unit::One) else {
            return;
        };
        let may_be = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=' | b'*');
        let is_pattern = |text: &&str| text.len() <= TOKEN_BYTES_MAX && text.bytes().all(may_be);
        match value.get_ref().as_str().filter(is_pattern) {
            Some(text) => *to = text.into(),
            None => {
                let expected = format!("at most {TOKEN_BYTES_MAX} of A-Z a-z 0-9 - _ = and *, as \"call-*\"");
                self.wrong_type(key, value, &expected);
            }
        }
    }

    /// A list of different names, kept in order; at most `max`.
    pub(super) fn list(&mut self, key: &str, to: &mut Vec<Box<str>>, max: usize) {
        let Some(value) = self.ask(key, Unit::One) else {
            return;
        };
        let Some(mut names) = names_of(value.get_ref()) else {
            return self.wrong_type(key, value, &format!("a list of names, each {NAME}"));
        };
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return self.wrong_type(key, value, &format!("a list of different names (\"{}\" stands twice)", twice[0]));
        }
        if names.len() > max {
            return self.wrong_type(key, value, &format!("a list of at most {max} names, not {}", names.len()));
        }
        *to = names;
    }

    /// Either `false` or a section, which `read` reads.
    pub(super) fn section_or_false(&mut self, key: &str, read: impl FnOnce(&mut Section<'_, 't>)) -> Given {
        match self.find(key).map(Spanned::get_ref) {
            Some(DeValue::Boolean(false)) => {
                self.ask(key, Unit::One);
                Given::False
            }
            None | Some(DeValue::Table(_)) => {
                let given = if self.find(key).is_some() { Given::Section } else { Given::Nothing };
                self.section(key, read);
                given
            }
            Some(_) => {
                let value = self.ask(key, Unit::One).expect("it was found");
                self.wrong_type(key, value, "false for none, or a table, as { factor = 2.0, slack = \"35s\" }");
                Given::Nothing
            }
        }
    }

    /// Notes every key that nobody asked for.
    pub(super) fn end(self) {
        let Some(table) = self.table else { return };
        for key in table.keys().filter(|key| !self.known.iter().any(|known| *known == **key.get_ref())) {
            let line = self.reader.line(key.span().start);
            let (key, section, known) = (key.get_ref().to_string(), self.path.clone(), self.known.clone());
            self.reader.unknown.push(Unknown { line, section, key, known });
        }
    }

    fn path_of(&self, key: &str) -> String {
        joined(&self.path, key)
    }

    fn find(&self, key: &str) -> Option<&'r Value<'t>> {
        self.table?.get(key)
    }

    fn ask(&mut self, key: &str, unit: Unit) -> Option<&'r Value<'t>> {
        self.known.push(key.to_owned());
        let value = self.find(key);
        let found = value.map(|value| (self.reader.line(value.span().start), &self.reader.text[value.span()]));
        self.reader.asked.push(Asked { path: self.path_of(key), unit, found });
        value
    }

    fn ranged<N: TryFrom<u64>>(
        &mut self,
        key: &str,
        value: &Value<'t>,
        unit: Unit,
        number: u64,
        range: RangeInclusive<u64>,
        to: &mut N,
    ) {
        match N::try_from(number) {
            Ok(number_of_its_type) if range.contains(&number) => *to = number_of_its_type,
            _ => {
                let error = ConfigError::Range {
                    line: Some(self.reader.line(value.span().start)),
                    path: self.path_of(key),
                    value: self.reader.text[value.span()].to_owned(),
                    min: unit.show(*range.start()),
                    max: unit.show(*range.end()),
                };
                self.reader.errors.push(error);
            }
        }
    }

    fn wrong_type(&mut self, key: &str, value: &Value<'t>, expected: &str) {
        self.reader.errors.push(ConfigError::Type {
            line: self.reader.line(value.span().start),
            path: self.path_of(key),
            value: shortened(&self.reader.text[value.span()]),
            expected: expected.to_owned(),
        });
    }
}
