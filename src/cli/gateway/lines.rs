//! Lines of standard input, none longer than its limit.

use std::io::{self, BufRead};

use tokio::sync::mpsc;

/// Longest line in bytes: several times the largest signal.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Lines that wait to be taken.
const AHEAD_MAX: usize = 1_024;

/// A line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Text(Vec<u8>),
    /// It was passed over.
    TooLong,
}

/// Why such a line is left out.
pub(super) fn too_long() -> String {
    format!("it has more than {LINE_BYTES_MAX} bytes, the limit; end each signal with a line feed")
}

/// The lines of standard input. They are read in a thread of their own, since nothing ends a read of a terminal or pipe: it is left
/// behind when the process ends.
pub(super) fn of_stdin() -> mpsc::Receiver<io::Result<Line>> {
    let (sender, lines) = mpsc::channel(AHEAD_MAX);
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        while let Some(line) = next(&mut stdin).transpose() {
            let is_end = line.is_err();
            if sender.blocking_send(line).is_err() || is_end {
                return;
            }
        }
    });
    lines
}

/// The next line; `None` at the end.
fn next(reader: &mut impl BufRead) -> io::Result<Option<Line>> {
    let (mut line, mut is_too_long, mut is_any) = (Vec::new(), false, false);
    loop {
        let there = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            there => there?,
        };
        if there.is_empty() {
            break;
        }
        is_any = true;
        let end = there.iter().position(|byte| *byte == b'\n');
        let text = &there[..end.unwrap_or(there.len())];
        is_too_long |= line.len() + text.len() > LINE_BYTES_MAX;
        if !is_too_long {
            line.extend_from_slice(text);
        }
        let used = end.map_or(there.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(is_any.then_some(if is_too_long { Line::TooLong } else { Line::Text(line) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_passed_over_and_the_next_ones_are_not() {
        let (long, full) = ("x".repeat(3 * LINE_BYTES_MAX), "y".repeat(LINE_BYTES_MAX));
        let text = format!("a\n\n{long}\n{full}\nend");
        let mut reader = io::BufReader::with_capacity(100, text.as_bytes());
        let mut lines = Vec::new();
        while let Some(line) = next(&mut reader).unwrap() {
            lines.push(line);
        }
        let text = |text: &str| Line::Text(text.as_bytes().to_vec());
        assert_eq!(lines, [text("a"), text(""), Line::TooLong, text(&full), text("end")]);
    }
}
