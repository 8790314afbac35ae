//! The form of messages on standard output. Writing them does not delay the connection.

use std::io::{self, Write};

use fanwire_client::Message;
use fanwire_protocol::json;

use crate::connection::Failure;
use crate::terminal;

/// The number of bytes that are gathered before they are written, when messages arrive faster than they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// The form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The payload and a line end.
    Payload,
    /// The topic, a tab, the payload and a line end.
    TopicAndPayload,
    /// The protocol's `message` object and a line end.
    Json,
}

/// Whether control characters in payloads are written as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controls {
    /// They are written as they are: for pipes, files, and `--raw`.
    Raw,
    /// They are written as escapes: for terminals. A payload is one line then, so that it cannot imitate further messages.
    Visible,
}

/// Messages that wait to be written to standard output.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    controls: Controls,
    buffer: Vec<u8>,
}

impl Output {
    pub(super) fn new(format: Format, controls: Controls) -> Self {
        Self { format, controls, buffer: Vec::new() }
    }

    pub(super) fn add(&mut self, message: &Message) {
        match self.format {
            Format::Payload => self.add_payload(message),
            Format::TopicAndPayload => {
                self.buffer.extend_from_slice(terminal::visible(message.topic.as_str()).as_bytes());
                self.buffer.push(b'\t');
                self.add_payload(message);
            }
            Format::Json => {
                let mut line = Vec::new();
                json::encode_message(message, &mut line);
                terminal::escape_json(&mut line);
                self.buffer.append(&mut line);
            }
        }
        self.buffer.push(b'\n');
    }

    fn add_payload(&mut self, message: &Message) {
        let payload = message.payload.to_bare();
        match self.controls {
            Controls::Raw => self.buffer.extend_from_slice(&payload),
            Controls::Visible => {
                self.buffer.extend_from_slice(terminal::visible_payload(&payload).as_bytes());
            }
        }
    }

    /// Returns whether the buffer is large enough to be written.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= BUFFER_BYTES
    }

    /// Writes the buffer, and returns whether standard output is still read. It is written on another thread: a pager may
    /// block it for hours, and the connection must answer pings meanwhile.
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
        let mut output = Output::new(format, Controls::Raw);
        output.add(&Message { topic, payload, position, ts: Some(5), from: None });
        assert_eq!(output.buffer.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn payload_in_a_pipe_is_printed_byte_for_byte() {
        check(Format::Payload, Payload::text("hällo"), "hällo\n".as_bytes());
        check(Format::Payload, Payload::binary([0u8, 255, 10].as_slice()), b"\x00\xff\n\n");
        check(Format::Payload, Payload::from_json("{\"a\": 1}").unwrap(), b"{\"a\": 1}\n");
        check(Format::TopicAndPayload, Payload::text("x"), b"a.b\tx\n");
    }

    #[test]
    fn json_object_is_one_line_without_control_characters() {
        let object = |data: &str| {
            format!(
                "{{\"type\":\"message\",\"topic\":\"a.b\",\"offset\":7,\"epoch\":\"ab\",\"ts\":5,{data}}}\n"
            )
        };
        let parse = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
        for (payload, data) in [
            (Payload::text("two\nlines"), "\"data\":\"two\\nlines\""),
            (Payload::binary([255u8].as_slice()), "\"data_base64\":\"/w==\""),
            (Payload::from_json("{\"a\":\n[1,\r\n\t2]}").unwrap(), "\"data\":{\"a\":[1,2]}"),
            (Payload::from_json("\"\u{9b}2J\u{202e}\"").unwrap(), "\"data\":\"\\u009b2J\\u202e\""),
            (Payload::text("\u{1b}]0;x\u{7}\u{85}"), "\"data\":\"\\u001b]0;x\\u0007\\u0085\""),
        ] {
            let mut output = Output::new(Format::Json, Controls::Raw);
            let position = Some(Position { epoch: Epoch::from_random(0xab), offset: 7 });
            let topic = "a.b".parse().unwrap();
            output.add(&Message { topic, payload, position, ts: Some(5), from: None });
            let line = String::from_utf8(output.buffer.clone()).unwrap();
            assert!(!line.trim_end_matches('\n').contains(terminal::is_obeyed), "{line:?}");
            assert_eq!(parse(&output.buffer), parse(object(data).as_bytes()));
        }
    }

    #[test]
    fn payload_on_a_terminal_is_one_line_of_visible_characters() {
        for (payload, expected) in [
            (Payload::text("\u{1b}]52;c;eA==\u{7}"), "\\u{1b}]52;c;eA==\\u{7}"),
            (Payload::text("one\nbank.alerts\tpaid"), "one\\nbank.alerts\tpaid"),
            (Payload::binary([0u8, 0x9b, 255].as_slice()), "\\u{0}\\x9b\\xff"),
            (Payload::text("größe"), "größe"),
        ] {
            let mut output = Output::new(Format::TopicAndPayload, Controls::Visible);
            let topic = "a.b".parse().unwrap();
            output.add(&Message { topic, payload, position: None, ts: None, from: None });
            assert_eq!(String::from_utf8(output.buffer).unwrap(), format!("a.b\t{expected}\n"));
        }
    }
}
