//! The packets of MQTT 3.1.1 that a load needs (OASIS MQTT 3.1.1, §2 and §3), inside WebSocket frames (§6).

use super::Event;
use super::inner::InnerStream;

const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const UNSUBSCRIBE: u8 = 0xa2;

/// Of a server's packets, by the upper half of the first byte.
const PUBLISHED: u8 = 0x30;
const PUBLISH_ACKNOWLEDGED: u8 = 0x40;
const UNSUBSCRIBE_ACKNOWLEDGED: u8 = 0xb0;

const QOS_1: u8 = 0x02;
const RETAIN: u8 = 0x01;

/// Identifies every packet: answers are counted, not matched.
const PACKET_ID: [u8; 2] = [0, 1];

/// The content of `CONNACK` of an accepted connection (§3.2).
pub(crate) const CONNECTED: &[u8] = &[0x20, 2, 0, 0];

/// The beginning of `SUBACK` for one topic (§3.9).
pub(crate) const SUBSCRIBED: &[u8] = &[0x90, 3, 0, 1];

/// Whether the server keeps a publication for those who subscribe later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retained {
    /// The server keeps the publication.
    Yes,
    /// The server does not keep the publication.
    No,
}

/// `CONNECT`: a clean session without a name and without a time after which silence ends it.
pub(crate) fn connect() -> Vec<u8> {
    packet(CONNECT, &[0, 4, b'M', b'Q', b'T', b'T', 4, 0x02, 0, 0, 0, 0])
}

/// `SUBSCRIBE` to one topic filter at QoS 0.
pub(crate) fn subscribe(filter: &str) -> Vec<u8> {
    packet(SUBSCRIBE, &[&PACKET_ID, &string(filter)[..], &[0]].concat())
}

/// `UNSUBSCRIBE` from one topic filter.
pub(crate) fn unsubscribe(filter: &str) -> Vec<u8> {
    packet(UNSUBSCRIBE, &[&PACKET_ID, &string(filter)[..]].concat())
}

/// `PUBLISH` at QoS 1, so that it is acknowledged.
pub(crate) fn publish(topic: &str, payload: &str, retained: Retained) -> Vec<u8> {
    let flags = QOS_1 | if retained == Retained::Yes { RETAIN } else { 0 };
    packet(PUBLISH | flags, &[&string(topic), &PACKET_ID[..], payload.as_bytes()].concat())
}

fn string(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("the scenarios name topics shorter than 64 KiB");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = rest.len();
    loop {
        let more = if left > 127 { 0x80 } else { 0 };
        packet.push((left & 0x7f) as u8 | more);
        left >>= 7;
        if left == 0 {
            break;
        }
    }
    packet.extend_from_slice(rest);
    packet
}

/// Reads publications and acknowledgements; passes over the rest.
#[derive(Debug, Default)]
pub(crate) struct MqttStream(InnerStream);

impl MqttStream {
    pub(super) fn feed(&mut self, input: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        self.0.feed(input, on_event, packet_bytes, |packet, on_event| match packet[0] & 0xf0 {
            PUBLISHED => on_event(Event::Message(packet)),
            PUBLISH_ACKNOWLEDGED | UNSUBSCRIBE_ACKNOWLEDGED => on_event(Event::Acknowledged(1)),
            _ => {}
        });
    }
}

/// The length of a packet: one byte, the length of the rest in one to four bytes of seven bits, the rest (§2.2.3).
#[inline]
fn packet_bytes(held: &[u8], more: &[u8]) -> usize {
    let seen = if held.is_empty() { more } else { held };
    let mut rest = 0;
    for (index, byte) in seen.iter().skip(1).take(4).enumerate() {
        rest |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return 2 + index + rest;
        }
    }
    // Four bytes that all say that another comes are no length.
    if seen.len() > 4 { usize::MAX } else { seen.len() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::websocket::{BINARY, PING, server_frame};
    use crate::wire::{Decoder, transcript};

    #[test]
    fn packets_are_as_the_standard_has_them() {
        assert_eq!(connect(), b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00");
        assert_eq!(subscribe("a/b"), b"\x82\x08\x00\x01\x00\x03a/b\x00");
        assert_eq!(unsubscribe("a/b"), b"\xa2\x07\x00\x01\x00\x03a/b");
        assert_eq!(publish("a", "hi", Retained::No), b"\x32\x07\x00\x01a\x00\x01hi");
        assert_eq!(publish("a", "hi", Retained::Yes)[0], 0x33);
        assert_eq!(publish("a", &"x".repeat(200), Retained::No)[1..3], [0xcd, 0x01]);
    }

    #[test]
    fn packets_are_found_across_frames_and_reads() {
        let long = "x".repeat(300);
        let mut inner = CONNECTED.to_vec();
        inner.extend(packet(PUBLISHED, &[&string("a"), long.as_bytes()].concat()));
        inner.extend([0x40, 2, 0, 1, 0xd0, 0, 0xb0, 2, 0, 1]);
        for frame in [1, 2, 3, 5, 100, 1000] {
            let mut stream: Vec<u8> =
                inner.chunks(frame).flat_map(|part| server_frame(BINARY, part).0).collect();
            stream.extend(server_frame(PING, b"").0);
            for step in [1, 2, 7, 5000] {
                let events = transcript(&mut Decoder::Mqtt(MqttStream::default()), &stream, step);
                assert!(events[0].starts_with("message 0") && events[0].ends_with(&long), "{events:?}");
                // An empty ping carries nothing to be sent back.
                assert_eq!(
                    events[1..],
                    ["acknowledged 1", "acknowledged 1"],
                    "frames of {frame}, reads of {step}"
                );
            }
        }
    }

    #[test]
    fn an_impossible_length_ends_the_stream() {
        let (stream, _) = server_frame(BINARY, b"\x30\xff\xff\xff\xff\xff");
        let events = transcript(&mut Decoder::Mqtt(MqttStream::default()), &stream, 100);
        assert!(events[0].starts_with("ended a message says it has"), "{events:?}");
    }
}
