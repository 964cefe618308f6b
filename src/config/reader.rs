//! A text that is being read: what was asked for, and what is wrong with it.

use super::ConfigError;
use super::similar::similar;
use super::value::Unit;

/// A text that is being read: what was asked for, and what is wrong with it.
pub(super) struct Reader<'t> {
    /// The text.
    pub(super) text: &'t str,
    /// What was found wrong so far, but for unknown keys: see [`Reader::take_errors`].
    pub(super) errors: Vec<ConfigError>,
    /// What nobody asked for.
    pub(super) unknown: Vec<Unknown>,
    /// Every key that was asked for.
    pub(super) asked: Vec<Asked<'t>>,
}

/// A key that was asked for.
pub(super) struct Asked<'t> {
    /// The key with its section.
    pub(super) path: String,
    /// What its number counts.
    pub(super) unit: Unit,
    /// Its line and its value as it stands there.
    pub(super) found: Option<(usize, &'t str)>,
}

/// A key that nobody asked for, its section, and what was asked for there.
pub(super) struct Unknown {
    pub(super) line: usize,
    pub(super) section: String,
    pub(super) key: String,
    pub(super) known: Vec<String>,
}

impl Unknown {
    /// What may have been meant: a similar key here, the same elsewhere, or else what there is.
    fn hint(&self, asked: &[Asked<'_>]) -> String {
        let elsewhere = |asked: &&Asked<'_>| asked.path.rsplit('.').next() == Some(&*self.key);
        if let Some(like) = similar(&self.key, self.known.iter().map(String::as_str)) {
            format!("did you mean {}?", joined(&self.section, like))
        } else if let Some(asked) = asked.iter().find(elsewhere) {
            format!("did you mean {}?", asked.path)
        } else if self.section.is_empty() {
            format!("the sections are {}", self.known.join(", "))
        } else {
            format!("[{}] has {}", self.section, self.known.join(", "))
        }
    }
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, errors: Vec::new(), unknown: Vec::new(), asked: Vec::new() }
    }

    /// Everything that was found wrong, unknown keys included: their hints need all that was asked for.
    pub(super) fn take_errors(&mut self) -> Vec<ConfigError> {
        let mut errors = std::mem::take(&mut self.errors);
        errors.extend(self.unknown.drain(..).map(|unknown| ConfigError::Unknown {
            line: unknown.line,
            path: joined(&unknown.section, &unknown.key),
            hint: unknown.hint(&self.asked),
        }));
        errors
    }

    /// The line of the byte at `at`, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    /// The line of the key `path`, if it stands in the text.
    pub(super) fn line_of(&self, path: &str) -> Option<usize> {
        Some(self.asked(path)?.found?.0)
    }

    /// The key `path`, if it was asked for.
    pub(super) fn asked(&self, path: &str) -> Option<&Asked<'t>> {
        self.asked.iter().find(|asked| asked.path == path)
    }
}

/// The path of a key.
pub(super) fn joined(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}
