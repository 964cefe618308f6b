//! Rust source as tokens and paths, as far as it takes to see what a file uses. Comments and texts are left out.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file of `src/`.
pub(crate) struct Source {
    /// As it is named to a person: `src/fold/act.rs`.
    pub(crate) name: String,
    /// The modules that it is, from the crate's root: `fold`, `act`.
    pub(crate) modules: Vec<String>,
    pub(crate) tokens: Vec<Token>,
}

pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    /// In an item under `#[cfg(test)]`, or in a file of tests.
    pub(crate) test: bool,
    /// How many inline modules it lies in.
    depth: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Name,
    Integer,
    Float,
    Sign,
}

/// A path that is used, from the crate's root if it begins with `crate`.
pub(crate) struct Used {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    pub(crate) test: bool,
}

/// Every source file in a folder beneath the repository, in order.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    files.sort();
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a source file can be read");
    let name = |path: &PathBuf| path.strip_prefix(root).expect("it lies beneath").to_str().expect("UTF-8").to_owned();
    files.iter().map(|path| Source::new(&name(path), &read(path))).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder can be read") {
        let path = entry.expect("a source folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = name.trim_start_matches("src/").trim_end_matches(".rs");
        let mut modules: Vec<String> = path.split('/').map(str::to_owned).collect();
        if matches!(modules.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            modules.pop();
        }
        let mut source = Self { name: name.to_owned(), tokens: tokens(text), modules };
        source.mark();
        source
    }

    /// Marks what lies in inline modules, and what is only for tests.
    fn mark(&mut self) {
        let of_tests = self.modules.iter().any(|module| module == "tests");
        let mut open: Vec<bool> = Vec::new();
        let mut test_until = 0;
        for at in 0..self.tokens.len() {
            if self.is(at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
                test_until = test_until.max(self.item_end(at + 7));
            }
            match self.tokens[at].text.as_str() {
                "{" => open.push(at >= 2 && self.tokens[at - 2].text == "mod"),
                "}" => {
                    open.pop();
                }
                _ => {}
            }
            self.tokens[at].depth = open.iter().filter(|of_module| **of_module).count();
            self.tokens[at].test = of_tests || at < test_until;
        }
    }

    /// Behind the item that begins at `at`: its closing brace, or its semicolon outside of any.
    fn item_end(&self, at: usize) -> usize {
        let mut depth = 0;
        for (place, token) in self.tokens.iter().enumerate().skip(at) {
            match token.text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(token.text.as_str(), "}" | ";") {
                return place + 1;
            }
        }
        self.tokens.len()
    }

    /// Whether these are the tokens from `at` on.
    pub(crate) fn is(&self, at: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(by, text)| self.tokens.get(at + by).is_some_and(|token| token.text == *text))
    }

    fn is_name(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Name)
    }

    /// Every path with more than one segment, those of `use` spread out.
    pub(crate) fn paths(&self) -> Vec<Used> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            // `+ use<'a>` says what a type captures.
            let uses = self.is(at, &["use"]) && !self.is(at + 1, &["<"]);
            if uses || self.is(at, &["extern", "crate"]) {
                at += if uses { 1 } else { 2 };
                at = self.tree(at, &[], &mut paths);
            } else if self.is_name(at) {
                let (begin, mut segments) = (at, vec![self.tokens[at].text.clone()]);
                while self.is(at + 1, &["::"]) && self.is_name(at + 2) {
                    segments.push(self.tokens[at + 2].text.clone());
                    at += 2;
                }
                if segments.len() > 1 {
                    paths.push(self.used(begin, segments));
                }
                at += 1;
            } else {
                at += 1;
            }
        }
        paths
    }

    /// Spreads a tree of `use` out; behind it.
    fn tree(&self, mut at: usize, before: &[String], paths: &mut Vec<Used>) -> usize {
        let (begin, mut segments) = (at, before.to_vec());
        loop {
            match self.tokens.get(at).map_or(";", |token| token.text.as_str()) {
                "::" => at += 1,
                "{" => {
                    at += 1;
                    while at < self.tokens.len() && !self.is(at, &["}"]) {
                        let end = self.tree(at, &segments, paths);
                        at = (end + usize::from(self.is(end, &[","]))).max(at + 1);
                    }
                    return at + 1;
                }
                "as" => at += 2,
                "}" | "," | ";" => {
                    paths.push(self.used(begin, segments));
                    return at;
                }
                segment => {
                    segments.push(segment.to_owned());
                    at += 1;
                }
            }
        }
    }

    fn used(&self, at: usize, segments: Vec<String>) -> Used {
        let Token { line, test, depth, .. } = self.tokens[at];
        let supers = segments.iter().take_while(|segment| *segment == "super" || *segment == "self").count();
        let up = segments[..supers].iter().filter(|segment| *segment == "super").count();
        let segments = if supers == 0 {
            segments
        } else {
            // Inline modules have no names here; what lies in one is beneath its file all the same.
            let kept = (self.modules.len() + depth).saturating_sub(up).min(self.modules.len());
            let home = std::iter::once("crate".to_owned()).chain(self.modules[..kept].iter().cloned());
            home.chain(segments[supers..].iter().cloned()).collect()
        };
        Used { segments, line, test }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let (mut tokens, mut at, mut line) = (Vec::<Token>::new(), 0, 1);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 128;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let behind_dot = tokens.last().is_some_and(|token| token.text == ".");
        let (len, kind) = match rest[0] {
            byte if byte.is_ascii_whitespace() => (1, None),
            b'/' if rest.starts_with(b"//") => {
                (rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()), None)
            }
            b'/' if rest.starts_with(b"/*") => (comment(rest), None),
            b'"' => (quoted(rest), None),
            b'b' | b'c' if rest.get(1) == Some(&b'"') => (1 + quoted(&rest[1..]), None),
            b'b' if rest.get(1) == Some(&b'\'') => (1 + character(&rest[1..]).unwrap_or(1), None),
            b'r' | b'b' | b'c' if raw(rest).is_some() => (raw(rest).unwrap_or(1), None),
            b'\'' => match character(rest) {
                Some(len) => (len, None),
                None => (1 + rest[1..].iter().take_while(|byte| is_name(byte)).count(), None),
            },
            byte if byte.is_ascii_digit() => number(rest, behind_dot),
            byte if is_name(&byte) => (rest.iter().take_while(|byte| is_name(byte)).count(), Some(Kind::Name)),
            b':' if rest.starts_with(b"::") => (2, Some(Kind::Sign)),
            _ => (1, Some(Kind::Sign)),
        };
        if let Some(kind) = kind {
            let text = String::from_utf8_lossy(&rest[..len]).into_owned();
            tokens.push(Token { text, line, kind, test: false, depth: 0 });
        }
        line += rest[..len].iter().filter(|byte| **byte == b'\n').count();
        at += len;
    }
    tokens
}

fn comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// A raw text, with or without `b` or `c` before it.
fn raw(rest: &[u8]) -> Option<usize> {
    let begin = rest.iter().take(2).position(|byte| *byte == b'r')? + 1;
    let marks = rest[begin..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(begin + marks) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &b"#".repeat(marks)].concat();
    let inside = begin + marks + 1;
    let len = rest[inside..].windows(end.len()).position(|window| window == end)?;
    Some(inside + len + end.len())
}

/// A character, and not a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return rest[3..].iter().position(|byte| *byte == b'\'').map(|at| at + 4);
    }
    let text = std::str::from_utf8(&rest[1..rest.len().min(6)])
        .unwrap_or_else(|error| std::str::from_utf8(&rest[1..][..error.valid_up_to()]).expect("valid up to there"));
    let len = text.chars().next()?.len_utf8();
    (rest.get(1 + len) == Some(&b'\'')).then_some(len + 2)
}

fn number(rest: &[u8], behind_dot: bool) -> (usize, Option<Kind>) {
    let word =
        |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let mut len = word(0);
    let text = |len: usize| std::str::from_utf8(&rest[..len]).expect("ASCII");
    if text(len).starts_with("0x") || text(len).starts_with("0b") || text(len).starts_with("0o") {
        return (len, Some(Kind::Integer));
    }
    // `a.0.1` is a field of a field, `1..2` a range, `1.max(2)` a call.
    let mut float = false;
    if !behind_dot && rest.get(len) == Some(&b'.') {
        let next = rest.get(len + 1).copied().unwrap_or(b' ');
        if next.is_ascii_digit() || !(next == b'.' || next == b'_' || next.is_ascii_alphabetic()) {
            float = true;
            len += 1 + word(len + 1);
        }
    }
    let exponent = text(len).bytes().any(|byte| byte == b'e' || byte == b'E') && !text(len).contains("size");
    let suffix = ["f32", "f64"].iter().any(|suffix| text(len).ends_with(suffix));
    (len, Some(if float || exponent || suffix { Kind::Float } else { Kind::Integer }))
}
