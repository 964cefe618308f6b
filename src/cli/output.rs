//! Standard output: lines of text or JSON, and an end without a word where nobody reads any more.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// Writes a line, at once.
pub(super) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes `value` as a line of JSON, at once.
pub(super) fn json(value: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string(value).map_err(io::Error::other)?)
}

/// Says something beside the result to a person who is looking.
pub(super) fn note(text: &str) {
    let mut err = io::stderr();
    if err.is_terminal() {
        // Where it can't be said, nobody is looking.
        _ = writeln!(err, "{text}");
    }
}

/// Standard output for many lines, written when it is full and when it is flushed.
pub(super) fn buffered() -> io::BufWriter<io::Stdout> {
    io::BufWriter::with_capacity(64 * 1024, io::stdout())
}

/// Text from elsewhere, safe to print: control characters would command the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Milliseconds since the epoch as RFC 3339 in UTC with milliseconds.
pub(super) fn time(ms: u64) -> String {
    // Year 9999: what humantime can write at the most.
    let ms = ms.min(253_402_300_799_999);
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms);
    humantime::format_rfc3339_millis(at).to_string()
}
