//! Reads standard input on a thread of its own: as one payload, or as lines. Both are bounded.

use std::io::{self, BufRead, Read};

use tokio::sync::{mpsc, oneshot};

/// The maximum size of one payload. Brokers accept far less (1 MiB by default); this bound keeps an endless input from
/// filling the memory before the broker refuses it.
const PAYLOAD_BYTES_MAX: u64 = 64 << 20;

/// The maximum number of lines that are read ahead of their publishing.
const LINES_AHEAD_MAX: usize = 64;

/// Reads everything up to the end of input.
pub(crate) async fn read_all() -> io::Result<Vec<u8>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || sender.send(read_payload(io::stdin().lock())));
    receiver.await.unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()))
}

/// Reads lines as they arrive, without their line ends.
pub(crate) fn lines() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD_MAX);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(line) = read_line(&mut input).transpose() {
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

fn read_payload(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    check_size(&bytes)?;
    Ok(bytes)
}

fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if input.take(PAYLOAD_BYTES_MAX + 2).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    line.truncate(without_line_end(&line).len());
    check_size(&line)?;
    Ok(Some(line))
}

/// Returns the bytes without one line end (`\n` or `\r\n`).
pub(crate) fn without_line_end(bytes: &[u8]) -> &[u8] {
    let line = bytes.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    line.unwrap_or(bytes)
}

fn check_size(bytes: &[u8]) -> io::Result<()> {
    if bytes.len() as u64 > PAYLOAD_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 64 MiB for one message"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(input: &[u8]) -> Vec<Vec<u8>> {
        let mut input = input;
        std::iter::from_fn(|| read_line(&mut input).unwrap()).collect()
    }

    #[test]
    fn lines_lose_their_end_and_nothing_else() {
        assert_eq!(lines_of(b"a\r\n\n b \xff\nlast"), [&b"a"[..], b"", b" b \xff", b"last"]);
        assert_eq!(lines_of(b""), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn only_one_line_end_is_taken_off() {
        assert_eq!(without_line_end(b"a\n\n"), b"a\n");
        assert_eq!(without_line_end(b"a\r\n"), b"a");
        assert_eq!(without_line_end(b"a\r"), b"a\r");
    }

    #[test]
    fn an_endless_input_is_refused_and_not_kept() {
        assert_eq!(read_payload(io::repeat(0)).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        assert_eq!(read_line(&mut endless).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
