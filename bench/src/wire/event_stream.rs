//! Server-Sent Events (WHATWG HTML, "Interpreting an event stream") in an HTTP body, chunked (RFC 9112 §7.1) or not.

use super::Event;
use super::carry::{Carry, ItemTooLong, line_bytes};

/// The framing of the body, from the response's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A body with `Transfer-Encoding: chunked`.
    Chunked,
    /// The body ends with the connection.
    UntilClose,
}

/// Counts events with data, each of one `data` line; comments and other fields pass by.
#[derive(Debug)]
pub(crate) struct EventStream {
    body: Body,
    carry: Carry,
}

#[derive(Debug)]
enum Body {
    UntilClose,
    /// The line that says how long the next chunk is, as far as it was read.
    ChunkSize(Vec<u8>),
    /// So much of the chunk is left, and then a line end.
    Chunk(usize),
    /// So much of the line end after a chunk is left.
    ChunkEnd(usize),
}

/// A chunk's size line is a few digits; extensions are used by no server here.
const CHUNK_SIZE_LINE_MAX: usize = 64;

impl EventStream {
    /// A reader at the start of the body.
    pub(crate) fn new(framing: Framing) -> Self {
        let body = match framing {
            Framing::Chunked => Body::ChunkSize(Vec::new()),
            Framing::UntilClose => Body::UntilClose,
        };
        Self { body, carry: Carry::default() }
    }

    pub(super) fn feed(&mut self, mut input: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        while !input.is_empty() {
            match &mut self.body {
                Body::UntilClose => {
                    return read_lines(&mut self.carry, input, on_event);
                }
                Body::ChunkSize(line) => {
                    let end = memchr::memchr(b'\n', input);
                    let (taken, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
                    line.extend_from_slice(taken);
                    input = rest;
                    if line.len() > CHUNK_SIZE_LINE_MAX {
                        return on_event(Event::Ended("the chunk size has no end".into()));
                    }
                    if end.is_some() {
                        match chunk_bytes(line) {
                            Some(0) => {
                                return on_event(Event::Ended("the server ended the event stream".into()));
                            }
                            Some(bytes) => self.body = Body::Chunk(bytes),
                            None => return on_event(Event::Ended("the chunk size is no number".into())),
                        }
                    }
                }
                Body::Chunk(left) => {
                    let (piece, rest) = input.split_at(input.len().min(*left));
                    *left -= piece.len();
                    input = rest;
                    if *left == 0 {
                        self.body = Body::ChunkEnd(2);
                    }
                    read_lines(&mut self.carry, piece, on_event);
                }
                Body::ChunkEnd(left) => {
                    let taken = input.len().min(*left);
                    *left -= taken;
                    input = &input[taken..];
                    if *left == 0 {
                        self.body = Body::ChunkSize(Vec::new());
                    }
                }
            }
        }
    }
}

fn chunk_bytes(line: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(line).ok()?.trim_end();
    usize::from_str_radix(digits, 16).ok()
}

fn read_lines(carry: &mut Carry, input: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
    let cut = carry.split(input, line_bytes, |line| {
        if line.starts_with(b"data:") {
            on_event(Event::Message(line.trim_ascii_end()));
        }
    });
    if let Err(ItemTooLong(_)) = cut {
        on_event(Event::Ended("a line of the event stream has no end".into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Decoder, transcript};

    const BODY: &[u8] = b"retry: 2000\n\n: comment\n\nid: 1:1\ndata: one\n\nid: 1:2\r\ndata: two\r\n\r\n";

    fn check(framing: Framing, stream: &[u8], expected: &[&str]) {
        for step in [1, 2, 5, 1000] {
            let mut decoder = Decoder::EventStream(EventStream::new(framing));
            assert_eq!(transcript(&mut decoder, stream, step), expected, "reads of {step}");
        }
    }

    #[test]
    fn events_are_found_in_a_plain_body() {
        check(Framing::UntilClose, BODY, &["message data: one", "message data: two"]);
    }

    #[test]
    fn events_are_found_across_chunks() {
        for chunk in 1..BODY.len() {
            let mut stream = Vec::new();
            for part in BODY.chunks(chunk) {
                stream.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                stream.extend_from_slice(part);
                stream.extend_from_slice(b"\r\n");
            }
            stream.extend_from_slice(b"0\r\n");
            let ended = "ended the server ended the event stream";
            check(Framing::Chunked, &stream, &["message data: one", "message data: two", ended]);
        }
    }

    #[test]
    fn a_broken_chunk_size_ends_the_stream() {
        let mut decoder = Decoder::EventStream(EventStream::new(Framing::Chunked));
        assert_eq!(transcript(&mut decoder, b"zz\r\n", 100), ["ended the chunk size is no number"]);
        let mut decoder = Decoder::EventStream(EventStream::new(Framing::Chunked));
        assert_eq!(transcript(&mut decoder, &[b'1'; 100], 100), ["ended the chunk size has no end"]);
    }
}
