//! How messages look on standard output, and writing them without ever holding up the connection.

use std::io::{self, Write};

use fanwire_client::Message;
use fanwire_protocol::json;

use crate::connection::Failure;

/// How much is gathered before it is written, when messages come faster than they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// How a message looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The bare payload and a line end.
    Payload,
    /// The topic, a tab, the bare payload and a line end.
    TopicAndPayload,
    /// The protocol's `message` object and a line end.
    Json,
}

/// Messages on their way to standard output.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    buffer: Vec<u8>,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self { format, buffer: Vec::new() }
    }

    pub(super) fn add(&mut self, message: &Message) {
        match self.format {
            Format::Payload => self.buffer.extend_from_slice(&message.payload.to_bare()),
            Format::TopicAndPayload => {
                self.buffer.extend_from_slice(message.topic.as_str().as_bytes());
                self.buffer.push(b'\t');
                self.buffer.extend_from_slice(&message.payload.to_bare());
            }
            Format::Json => {
                let start = self.buffer.len();
                json::encode_message(message, &mut self.buffer);
                // A line end in JSON text is white space between tokens, never part of a string.
                for byte in &mut self.buffer[start..] {
                    if matches!(byte, b'\n' | b'\r') {
                        *byte = b' ';
                    }
                }
            }
        }
        self.buffer.push(b'\n');
    }

    /// Whether it is time to write.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= BUFFER_BYTES
    }

    /// Writes what was gathered; whether there is still somebody who reads. The writing happens on another thread: a
    /// pager may keep it waiting for hours, and the connection has pings to answer meanwhile.
    pub(super) async fn flush(&mut self) -> Result<bool, Failure> {
        if self.buffer.is_empty() {
            return Ok(true);
        }
        let buffer = std::mem::take(&mut self.buffer);
        let written = tokio::task::spawn_blocking(move || {
            let mut output = io::stdout().lock();
            output.write_all(&buffer).and_then(|()| output.flush())
        })
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::new(format!("cannot write to standard output: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use fanwire_client::{Epoch, Payload, Position};

    use super::*;

    fn check(format: Format, payload: Payload, expected: &[u8]) {
        let position = Some(Position { epoch: Epoch::from_random(0xab), offset: 7 });
        let topic = "a.b".parse().unwrap();
        let mut output = Output::new(format);
        output.add(&Message { topic, payload, position, ts: Some(5), from: None });
        assert_eq!(output.buffer.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn a_payload_is_printed_byte_for_byte() {
        check(Format::Payload, Payload::text("hällo"), "hällo\n".as_bytes());
        check(Format::Payload, Payload::binary([0u8, 255, 10].as_slice()), b"\x00\xff\n\n");
        check(Format::Payload, Payload::from_json("{\"a\": 1}").unwrap(), b"{\"a\": 1}\n");
        check(Format::TopicAndPayload, Payload::text("x"), b"a.b\tx\n");
    }

    #[test]
    fn a_json_object_is_one_line_whatever_was_published() {
        let object = |data: &str| {
            format!(
                "{{\"type\":\"message\",\"topic\":\"a.b\",\"offset\":7,\"epoch\":\"ab\",\"ts\":5,{data}}}\n"
            )
        };
        let parse = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
        for (payload, data) in [
            (Payload::text("two\nlines"), "\"data\":\"two\\nlines\""),
            (Payload::binary([255u8].as_slice()), "\"data_base64\":\"/w==\""),
            (Payload::from_json("{\"a\":\n[1,\r\n2]}").unwrap(), "\"data\":{\"a\":[1,2]}"),
        ] {
            let mut output = Output::new(Format::Json);
            let position = Some(Position { epoch: Epoch::from_random(0xab), offset: 7 });
            let topic = "a.b".parse().unwrap();
            output.add(&Message { topic, payload, position, ts: Some(5), from: None });
            assert_eq!(output.buffer.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(parse(&output.buffer), parse(object(data).as_bytes()));
        }
    }
}
