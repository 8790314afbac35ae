//! The bytes of servers, cut into messages at the lowest cost: headers are read, payloads are not.
//!
//! One decoder per kind of stream. All take bytes cut anywhere and give [`Event`]s; none does I/O. The other direction
//! is small: requests are written by the drivers, publications are ready-made [`Template`]s.

mod acknowledgements;
mod carry;
mod event_stream;
mod frames;
mod http_answers;
mod inner;
pub(crate) mod mqtt;
mod nats;
mod template;
pub(crate) mod websocket;

pub(crate) use acknowledgements::AcknowledgementBytes;
pub(crate) use event_stream::{EventStream, Framing};
pub(crate) use frames::{Frames, Vocabulary};
pub(crate) use http_answers::HttpAnswers;
pub(crate) use mqtt::MqttStream;
pub(crate) use nats::NatsStream;
pub(crate) use template::{Finish, Masked, Template};

/// An event read from a stream of bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A publication was delivered: the message, with whatever envelope it has.
    Message(&'a [u8]),
    /// So many publications of this connection were acknowledged.
    Acknowledged(u64),
    /// The server wants these bytes back, as a sign of life.
    Answer(Vec<u8>),
    /// The server takes nothing more on this connection, and the next publication on another.
    HungUp,
    /// The server ended the connection or broke its protocol; nothing after this is read.
    Ended(String),
}

/// Reads one kind of stream.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// WebSocket frames that are messages.
    Frames(Frames),
    /// The NATS protocol inside WebSocket frames.
    Nats(NatsStream),
    /// MQTT inside WebSocket frames.
    Mqtt(MqttStream),
    /// Frames of Server-Sent Events.
    EventStream(EventStream),
    /// Answers of an HTTP API.
    HttpAnswers(HttpAnswers),
    /// One byte for each publication.
    AcknowledgementBytes(AcknowledgementBytes),
}

impl Decoder {
    /// Reads the next bytes of the stream.
    pub(crate) fn feed(&mut self, input: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        match self {
            Self::Frames(decoder) => decoder.feed(input, on_event),
            Self::Nats(decoder) => decoder.feed(input, on_event),
            Self::Mqtt(decoder) => decoder.feed(input, on_event),
            Self::EventStream(decoder) => decoder.feed(input, on_event),
            Self::HttpAnswers(decoder) => decoder.feed(input, on_event),
            Self::AcknowledgementBytes(decoder) => decoder.feed(input, on_event),
        }
    }
}

/// Feeds a stream to a decoder cut at every `step` bytes, for the decoders' tests.
#[cfg(test)]
fn transcript(decoder: &mut Decoder, stream: &[u8], step: usize) -> Vec<String> {
    let mut events = Vec::new();
    for piece in stream.chunks(step) {
        decoder.feed(piece, &mut |event| {
            events.push(match event {
                Event::Message(message) => format!("message {}", String::from_utf8_lossy(message)),
                Event::Acknowledged(count) => format!("acknowledged {count}"),
                Event::Answer(answer) => format!("answer {answer:?}"),
                Event::HungUp => "hung up".into(),
                Event::Ended(reason) => format!("ended {reason}"),
            });
        });
    }
    events
}
