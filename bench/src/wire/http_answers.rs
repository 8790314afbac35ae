//! Answers to requests of an HTTP API over a connection that is kept as long as the server likes (RFC 9112): each 200 acknowledges
//! a publication.

use super::Event;
use super::carry::{Carry, ItemTooLong};

/// A length that no answer has, for one whose length cannot be read.
const NO_LENGTH: usize = 1 << 60;

/// The maximum length of an answer in an error, in bytes.
const SHOWN_BYTES: usize = 300;

/// Counts answers that say yes, and ends with the first that does not.
#[derive(Debug, Default)]
pub(crate) struct HttpAnswers {
    carry: Carry,
}

impl HttpAnswers {
    pub(super) fn feed(&mut self, input: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        let cut = self.carry.split(input, answer_bytes, |answer| read_answer(answer, on_event));
        if let Err(ItemTooLong(_)) = cut {
            on_event(Event::Ended("an answer does not say how long it is".into()));
        }
    }
}

fn read_answer(answer: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
    if answer.starts_with(b"HTTP/1.1 200 ") {
        on_event(Event::Acknowledged(1));
        if fields(answer).is_some_and(|fields| field(&fields, "connection:") == Some("close")) {
            on_event(Event::HungUp);
        }
        return;
    }
    let line_end = memchr::memchr(b'\r', answer).unwrap_or(answer.len());
    let body = head_bytes(answer).map_or(&[][..], |head| &answer[head..]);
    let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned();
    on_event(Event::Ended(format!(
        "the server answered {} {}",
        shown(&answer[..line_end]),
        shown(body).trim()
    )));
}

/// The length of the answer that `held` and `more` begin with, for [`Carry::split`]. One that is cut off in its head, or in the
/// line before a chunk, grows byte by byte: neither is long.
fn answer_bytes(held: &[u8], more: &[u8]) -> usize {
    let seen = if held.is_empty() { more } else { held };
    let Some(head) = head_bytes(seen) else { return seen.len() + 1 };
    let fields = fields(seen).unwrap_or_default();
    if field(&fields, "transfer-encoding:") == Some("chunked") {
        return chunked_bytes(seen, head);
    }
    // Whatever has no length ends with the connection, which is then none that is kept.
    let length = field(&fields, "content-length:").and_then(|digits| digits.parse::<usize>().ok());
    length.map_or(NO_LENGTH, |length| head.saturating_add(length))
}

/// The length up to the end of the last chunk, from `at` on, or as much of it as is known.
fn chunked_bytes(seen: &[u8], mut at: usize) -> usize {
    loop {
        let rest = seen.get(at..).unwrap_or_default();
        let Some(line) = memchr::memchr(b'\n', rest) else { return seen.len().max(at) + 1 };
        let digits = std::str::from_utf8(&rest[..line]).map_or("", str::trim);
        let Ok(size) = usize::from_str_radix(digits, 16) else { return NO_LENGTH };
        // The chunk, and the line end after it.
        at = at.saturating_add(line + 1).saturating_add(size).saturating_add(2);
        if size == 0 || at > seen.len() {
            return at;
        }
    }
}

/// The head in small letters.
fn fields(seen: &[u8]) -> Option<String> {
    head_bytes(seen).map(|head| String::from_utf8_lossy(&seen[..head]).to_ascii_lowercase())
}

/// Returns the value of the header `name`.
fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    fields.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The length of the head and the empty line after it.
fn head_bytes(seen: &[u8]) -> Option<usize> {
    memchr::memmem::find(seen, b"\r\n\r\n").map(|end| end + 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Decoder, transcript};

    const YES: &str = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\nA\r\n0123456789\r\n0\r\n\r\n";
    const NO: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 5\r\n\r\nwrong";

    fn check(stream: &str, expected: &[&str]) {
        for step in 1..stream.len() + 1 {
            let mut decoder = Decoder::HttpAnswers(HttpAnswers::default());
            assert_eq!(transcript(&mut decoder, stream.as_bytes(), step), expected, "reads of {step}");
        }
    }

    #[test]
    fn answers_are_counted_wherever_reads_end() {
        check(YES, &["acknowledged 1"]);
        check(CHUNKED, &["acknowledged 1"]);
        let refused = "ended the server answered HTTP/1.1 401 Unauthorized wrong";
        let all = [YES, CHUNKED, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", CHUNKED, YES, NO].concat();
        check(&all, &["acknowledged 1"; 5].into_iter().chain([refused]).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_answer_on_a_connection_says_so() {
        let last = "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\n{}";
        check(&[YES, last].concat(), &["acknowledged 1", "acknowledged 1", "hung up"]);
    }

    #[test]
    fn an_answer_without_a_length_ends_the_stream() {
        for head in ["", "Content-Length: many\r\n", "Transfer-Encoding: chunked\r\n\r\nzz"] {
            let mut decoder = Decoder::HttpAnswers(HttpAnswers::default());
            let stream = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
            let events = transcript(&mut decoder, stream.as_bytes(), 1000);
            assert_eq!(events, ["ended an answer does not say how long it is"], "{head}");
        }
    }
}
