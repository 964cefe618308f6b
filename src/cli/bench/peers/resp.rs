//! As much of Redis's protocol as is needed.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use crate::cli::bench::Result;

/// The longest text that is read: names of channels and keys.
const BYTES_MAX: usize = 64 * 1024;

/// Writes a command behind others.
pub(super) fn command(into: &mut Vec<u8>, words: &[&str]) {
    into.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        into.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

/// The next line, without its end; an error where Redis tells one.
pub(super) async fn line(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line).await? == 0 {
        return Err("Redis closed the connection".into());
    }
    match line.trim_end() {
        line if line.starts_with('-') => Err(format!("Redis refuses: {line}").into()),
        line => Ok(line.to_owned()),
    }
}

/// The next list of texts; numbers in it as they are written.
pub(super) async fn list(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<String>> {
    let head = line(reader).await?;
    let count: usize = head.strip_prefix('*').ok_or_else(|| format!("Redis tells `{head}` and no list"))?.parse()?;
    let mut texts = Vec::with_capacity(count.min(8));
    for _ in 0..count {
        let head = line(reader).await?;
        let text = match (head.strip_prefix('$'), head.strip_prefix(':')) {
            (Some(length), _) => {
                let length: usize = length.parse()?;
                if length > BYTES_MAX {
                    return Err(format!("Redis tells a text of {length} bytes, {BYTES_MAX} are read").into());
                }
                let mut bytes = vec![0; length + 2];
                reader.read_exact(&mut bytes).await?;
                bytes.truncate(length);
                String::from_utf8(bytes)?
            }
            (None, Some(number)) => number.to_owned(),
            (None, None) => return Err(format!("Redis tells `{head}` in a list").into()),
        };
        texts.push(text);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn commands_are_written_and_lists_are_read() {
        let mut bytes = Vec::new();
        command(&mut bytes, &["SET", "k", "1"]);
        assert_eq!(bytes, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n1\r\n");
        let told = list(&mut &b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"[..]).await.unwrap();
        assert_eq!(told, ["subscribe", "c", "1"]);
        let error = line(&mut &b"-ERR no\r\n"[..]).await.unwrap_err().to_string();
        assert_eq!(error, "Redis refuses: -ERR no");
    }
}
