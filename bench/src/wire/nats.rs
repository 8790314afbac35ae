//! The NATS protocol inside WebSocket frames (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).
//!
//! A NATS server packs many messages into one frame and cuts them where it likes, so the frames' payloads are one
//! stream, in which `MSG` lines say how long the payload after them is.

use super::Event;
use super::carry::line_bytes;
use super::inner::InnerStream;
use super::websocket::{BINARY, client_frame};

/// Reads `MSG`, `PING`, `+OK` and `-ERR`; passes over the rest.
#[derive(Debug, Default)]
pub(crate) struct NatsStream(InnerStream);

impl NatsStream {
    pub(super) fn feed(&mut self, input: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        self.0.feed(input, on_event, item_bytes, |item, on_event| read_item(item, on_event));
    }
}

/// The length of a line, and of the payload and line end that follow it when it is a `MSG` line.
#[inline]
fn item_bytes(held: &[u8], more: &[u8]) -> usize {
    let seen = if held.is_empty() { more } else { held };
    match memchr::memchr(b'\n', seen) {
        Some(end) => end + 1 + if seen.starts_with(b"MSG ") { payload_bytes(&seen[..end]) + 2 } else { 0 },
        None => line_bytes(held, more),
    }
}

/// The number at the end of a `MSG` line; one that cannot be read is taken for one no message has.
fn payload_bytes(line: &[u8]) -> usize {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let start = line.iter().rposition(|byte| *byte == b' ').map_or(0, |space| space + 1);
    std::str::from_utf8(&line[start..]).ok().and_then(|digits| digits.parse().ok()).unwrap_or(1 << 60)
}

#[inline]
fn read_item(item: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
    if item.starts_with(b"MSG ") {
        on_event(Event::Message(&item[..item.len() - 2]));
    } else if item.starts_with(b"+OK") {
        on_event(Event::Acknowledged(1));
    } else if item.starts_with(b"PING") {
        on_event(Event::Answer(client_frame(BINARY, b"PONG\r\n").0));
    } else if item.starts_with(b"-ERR") {
        on_event(Event::Ended(format!("the server says {}", String::from_utf8_lossy(item).trim())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::websocket::{PING, server_frame};
    use crate::wire::{Decoder, transcript};

    #[test]
    fn messages_are_found_across_frames_and_reads() {
        let inner = b"INFO {}\r\nMSG a 1 5\r\nhe\r\no\r\n+OK\r\nMSG b 1 0\r\n\r\nPING\r\n-ERR 'no'\r\n";
        for frame in 1..inner.len() {
            let mut stream: Vec<u8> =
                inner.chunks(frame).flat_map(|part| server_frame(BINARY, part).0).collect();
            stream.extend(server_frame(PING, b"").0);
            for step in [1, 2, 7, 1000] {
                let events = transcript(&mut Decoder::Nats(NatsStream::default()), &stream, step);
                let pong = format!("answer {:?}", client_frame(BINARY, b"PONG\r\n").0);
                assert_eq!(
                    events,
                    [
                        "message MSG a 1 5\r\nhe\r\no",
                        "acknowledged 1",
                        "message MSG b 1 0\r\n",
                        &pong,
                        "ended the server says -ERR 'no'"
                    ],
                    "frames of {frame}, reads of {step}"
                );
            }
        }
    }

    #[test]
    fn an_unreadable_length_ends_the_stream() {
        let (stream, _) = server_frame(BINARY, b"MSG a 1 x\r\n");
        let events = transcript(&mut Decoder::Nats(NatsStream::default()), &stream, 100);
        assert!(events[0].starts_with("ended a message says it has"), "{events:?}");
    }
}
