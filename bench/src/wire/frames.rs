//! Streams in which every WebSocket frame is one message: fanwire's sessions, its bare WebSocket, and the floor.

use fanwire_protocol::{ServerFrame, json, msgpack};

use super::Event;
use super::carry::{Carry, ItemTooLong};
use super::websocket::{self, Header, PONG, client_frame};

/// The vocabulary of the frames of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    /// Every frame is a publication.
    Bare,
    /// Every frame acknowledges a publication.
    Acknowledgements,
    /// Centrifugo's protocol in JSON, several lines to a frame.
    Centrifugo,
    /// Events of the Pusher protocol.
    Pusher,
    /// Frames of the session protocol in JSON.
    Json,
    /// Frames of the session protocol in MessagePack.
    MessagePack,
}

/// Reads frames by their headers. Of a session's frames the first bytes are compared as well: the encoders write
/// `type` first, and what is neither a publication nor a receipt is rare enough to be decoded.
#[derive(Debug)]
pub(crate) struct Frames {
    vocabulary: Vocabulary,
    carry: Carry,
}

impl Frames {
    /// A reader at the start of a frame.
    pub(crate) fn new(vocabulary: Vocabulary) -> Self {
        Self { vocabulary, carry: Carry::default() }
    }

    pub(super) fn feed(&mut self, input: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        let vocabulary = self.vocabulary;
        let cut = self.carry.split(input, frame_bytes, |frame| read_frame(vocabulary, frame, on_event));
        if let Err(ItemTooLong(length)) = cut {
            on_event(Event::Ended(format!("a frame is masked or says it has {length} bytes")));
        }
    }
}

#[inline]
fn frame_bytes(held: &[u8], more: &[u8]) -> usize {
    let seen = if held.is_empty() { more } else { held };
    // A header that is cut off grows byte by byte: it has ten at most.
    Header::read(seen).map_or(seen.len() + 1, |header| header.frame_bytes())
}

#[inline]
fn read_frame(vocabulary: Vocabulary, frame: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
    let Some(header) = Header::read(frame) else { return };
    let payload = &frame[header.header_bytes..];
    if header.opcode >= websocket::CLOSE {
        return read_control_frame(header.opcode, payload, on_event);
    }
    if !header.fin || header.opcode == 0 {
        return on_event(Event::Ended("the server sends fragmented messages".into()));
    }
    match vocabulary {
        Vocabulary::Bare => on_event(Event::Message(payload)),
        Vocabulary::Acknowledgements => on_event(Event::Acknowledged(1)),
        Vocabulary::Centrifugo => {
            payload.split(|byte| *byte == b'\n').for_each(|line| read_centrifugo(line, on_event));
        }
        Vocabulary::Pusher => read_pusher(payload, on_event),
        Vocabulary::Json if payload.starts_with(br#"{"type":"message""#) => on_event(Event::Message(payload)),
        Vocabulary::Json if payload.starts_with(br#"{"type":"published""#) => {
            on_event(Event::Acknowledged(1))
        }
        // What ends a round of subscribing and unsubscribing.
        Vocabulary::Json if payload.starts_with(br#"{"type":"unsubscribed""#) => {
            on_event(Event::Acknowledged(1))
        }
        Vocabulary::Json => {
            let text = String::from_utf8_lossy(payload);
            read_rare_frame(json::decode_server(&text).map_err(|error| error.to_string()), on_event);
        }
        // The first byte of a map counts its fields.
        Vocabulary::MessagePack => match payload.get(1..).unwrap_or_default() {
            fields if fields.starts_with(b"\xa4type\xa7message") => on_event(Event::Message(payload)),
            fields if fields.starts_with(b"\xa4type\xa9published") => on_event(Event::Acknowledged(1)),
            fields if fields.starts_with(b"\xa4type\xacunsubscribed") => on_event(Event::Acknowledged(1)),
            _ => {
                read_rare_frame(msgpack::decode_server(payload).map_err(|error| error.to_string()), on_event)
            }
        },
    }
}

/// One reply or push (<https://centrifugal.dev/docs/transports/client_protocol>).
#[inline]
fn read_centrifugo(line: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
    let holds = |part: &[u8]| memchr::memmem::find(line, part).is_some();
    if line.starts_with(br#"{"push""#) {
        if holds(br#""pub":"#) {
            on_event(Event::Message(line));
        } else if holds(br#""disconnect":"#) || holds(br#""unsubscribe":"#) {
            on_event(Event::Ended(format!("the server says {}", String::from_utf8_lossy(line))));
        }
    } else if holds(br#""publish":"#) {
        on_event(Event::Acknowledged(1));
    } else if line == b"{}" {
        // A ping, which wants the same back.
        on_event(Event::Answer(client_frame(websocket::TEXT, b"{}").0));
    } else if holds(br#""error":"#) {
        on_event(Event::Ended(format!("the server says {}", String::from_utf8_lossy(line))));
    }
}

/// One event (<https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/>). Those of the protocol itself
/// begin with `pusher:` or `pusher_internal:`; where in the object the name stands is up to the server.
#[inline]
fn read_pusher(event: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
    let holds = |part: &[u8]| memchr::memmem::find(event, part).is_some();
    let names_another = event.starts_with(br#"{"event":""#) && !event[10..].starts_with(b"pusher");
    if names_another || !(holds(br#""pusher:"#) || holds(br#""pusher_internal:"#)) {
        on_event(Event::Message(event));
    } else if holds(br#""pusher:ping""#) {
        let pong = br#"{"event":"pusher:pong","data":{}}"#;
        on_event(Event::Answer(client_frame(websocket::TEXT, pong).0));
    } else if holds(br#""pusher:error""#) || holds(br#""pusher:subscription_error""#) {
        on_event(Event::Ended(format!("the server says {}", String::from_utf8_lossy(event))));
    }
}

#[cold]
fn read_rare_frame(frame: Result<ServerFrame, String>, on_event: &mut impl FnMut(Event<'_>)) {
    match frame {
        Ok(ServerFrame::Message(_)) => {
            on_event(Event::Ended("a message frame does not begin with its type".into()));
        }
        Ok(ServerFrame::Error { code, message, .. }) => {
            on_event(Event::Ended(format!("the server answered with the error {code}: {message}")));
        }
        Ok(ServerFrame::Closing { code, reason, .. }) => {
            on_event(Event::Ended(format!("the server closes the session with {code}: {reason}")));
        }
        Ok(ServerFrame::Lagged { missed, .. }) => {
            on_event(Event::Ended(format!("the server skipped {missed} messages for this session")));
        }
        Ok(_) => {}
        Err(error) => on_event(Event::Ended(format!("the server sent an unreadable frame: {error}"))),
    }
}

#[cold]
fn read_control_frame(opcode: u8, payload: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
    match opcode {
        websocket::PING => on_event(Event::Answer(client_frame(PONG, payload).0)),
        websocket::CLOSE => {
            let (code, reason) = match payload.split_first_chunk::<2>() {
                Some((code, reason)) => (u16::from_be_bytes(*code), String::from_utf8_lossy(reason)),
                None => (1005, "".into()),
            };
            on_event(Event::Ended(format!("the server closed the WebSocket with {code} {reason}")));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::{ErrorCode, Message, Payload, Position, Receipt, Reply};
    use proptest::prelude::*;

    use super::*;
    use crate::wire::websocket::{BINARY, CLOSE, PING, TEXT, server_frame};
    use crate::wire::{Decoder, transcript};

    fn frames(vocabulary: Vocabulary, payloads: &[(u8, &[u8])], step: usize) -> Vec<String> {
        let stream: Vec<u8> =
            payloads.iter().flat_map(|(opcode, payload)| server_frame(*opcode, payload).0).collect();
        transcript(&mut Decoder::Frames(Frames::new(vocabulary)), &stream, step)
    }

    proptest! {
        #[test]
        fn every_frame_is_counted_once_wherever_reads_end(
            lengths in prop::collection::vec(prop_oneof![0usize..300, 65_500usize..65_600], 1..8),
            cuts in prop::collection::vec(1usize..70_000, 1..12),
        ) {
            let payloads: Vec<Vec<u8>> = lengths.iter().map(|length| vec![b'x'; *length]).collect();
            let stream: Vec<u8> =
                payloads.iter().flat_map(|payload| server_frame(TEXT, payload).0).collect();
            let mut decoder = Frames::new(Vocabulary::Bare);
            let mut seen = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, later) = rest.split_at(rest.len().min(*cut));
                decoder.feed(piece, &mut |event| match event {
                    Event::Message(message) => seen.push(message.len()),
                    other => panic!("{other:?}"),
                });
                rest = later;
            }
            prop_assert_eq!(seen, lengths);
        }
    }

    #[test]
    fn pings_are_answered_and_closes_end_the_stream() {
        for step in [1, 3, 1000] {
            let events =
                frames(Vocabulary::Bare, &[(PING, b"hi"), (TEXT, b"a"), (CLOSE, b"\x03\xe9bye")], step);
            let pong = format!("answer {:?}", client_frame(PONG, b"hi").0);
            assert_eq!(events, [&pong, "message a", "ended the server closed the WebSocket with 1001 bye"]);
        }
    }

    #[test]
    fn fragments_and_impossible_lengths_end_the_stream() {
        let mut decoder = Decoder::Frames(Frames::new(Vocabulary::Bare));
        assert_eq!(
            transcript(&mut decoder, &[TEXT, 1, b'x'], 9),
            ["ended the server sends fragmented messages"]
        );
        let mut decoder = Decoder::Frames(Frames::new(Vocabulary::Bare));
        let events = transcript(&mut decoder, &[0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0], 1);
        assert!(events[0].starts_with("ended a frame is masked or says it has"), "{events:?}");
    }

    #[test]
    fn lines_of_centrifugo_are_distinguished() {
        let push = br#"{"push":{"channel":"a","pub":{"data":"x"}}}"#;
        let replies = b"{\"id\":3,\"publish\":{}}\n{}\n{\"id\":4,\"error\":{\"code\":103}}";
        let joined = br#"{"push":{"channel":"a","join":{}}}"#;
        let left = br#"{"push":{"disconnect":{"code":3000}}}"#;
        let payloads: [(u8, &[u8]); 4] = [(TEXT, push), (TEXT, replies), (TEXT, joined), (TEXT, left)];
        let events = frames(Vocabulary::Centrifugo, &payloads, 7);
        assert_eq!(events[0], format!("message {}", String::from_utf8_lossy(push)));
        assert_eq!(
            events[1..3],
            ["acknowledged 1".into(), format!("answer {:?}", client_frame(TEXT, b"{}").0)]
        );
        assert!(
            events[3].starts_with("ended the server says {\"id\":4") && events[4].contains("disconnect"),
            "{events:?}"
        );
        assert_eq!(frames(Vocabulary::Acknowledgements, &[(TEXT, b"queued")], 3), ["acknowledged 1"]);
    }

    #[test]
    fn events_of_pusher_are_distinguished_wherever_their_name_stands() {
        let first = br#"{"event":"bench","channel":"a","data":"x"}"#;
        let last = br#"{"channel":"a","data":"x", "event": "bench"}"#;
        let count = br#"{"event":"pusher_internal:subscription_count","channel":"a","data":"{}"}"#;
        let ping = br#"{"data":{},"event":"pusher:ping"}"#;
        let error = br#"{"event":"pusher:error","data":{"code":4201,"message":"gone"}}"#;
        let payloads = [&first[..], last, count, ping, error].map(|payload| (TEXT, payload));
        let events = frames(Vocabulary::Pusher, &payloads, 9);
        let pong = client_frame(TEXT, br#"{"event":"pusher:pong","data":{}}"#).0;
        let expected = [
            format!("message {}", String::from_utf8_lossy(first)),
            format!("message {}", String::from_utf8_lossy(last)),
            format!("answer {pong:?}"),
            format!("ended the server says {}", String::from_utf8_lossy(error)),
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn messages_receipts_and_errors_of_the_real_encoders_are_distinguished() {
        let position = Position { epoch: fanwire_protocol::Epoch::from_random(9), offset: 70_000 };
        let topic: fanwire_protocol::Topic = "bench.0".parse().unwrap();
        let message = ServerFrame::Message(Message {
            topic: topic.clone(),
            payload: Payload::text("x"),
            position: Some(position),
            ts: Some(1),
            from: Some("me".into()),
        });
        let receipt = Receipt { topic, position, duplicate: false };
        let published = ServerFrame::Reply { id: 1, reply: Reply::Published(receipt) };
        let pong = ServerFrame::Reply { id: 1, reply: Reply::Pong };
        let error = ServerFrame::Error { id: None, code: ErrorCode::Forbidden, message: "no".into() };

        for (vocabulary, opcode) in [(Vocabulary::Json, TEXT), (Vocabulary::MessagePack, BINARY)] {
            let encoded = [&message, &published, &pong, &error].map(|frame| {
                let mut bytes = Vec::new();
                match vocabulary {
                    Vocabulary::Json => json::encode_server(frame, &mut bytes),
                    _ => msgpack::encode_server(frame, &mut bytes),
                }
                bytes
            });
            let payloads: Vec<(u8, &[u8])> = encoded.iter().map(|bytes| (opcode, bytes.as_slice())).collect();
            let events = frames(vocabulary, &payloads, 7);
            assert_eq!(events.len(), 3, "{events:?}");
            assert!(events[0].starts_with("message "), "{events:?}");
            assert_eq!(events[1], "acknowledged 1");
            assert_eq!(events[2], "ended the server answered with the error forbidden: no");
        }
    }
}
