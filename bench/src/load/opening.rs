//! Opening a connection as a list of steps: what is sent, and what must have come back before the next is.
//!
//! Pure: bytes in, bytes out, so that the same steps open one connection that is waited for, and ten thousand at once.

use std::collections::VecDeque;

use crate::error::BenchError;
use crate::wire::websocket::{self, Header};
use crate::wire::{Decoder, EventStream, Framing};

/// The longest head of a response and the longest reply while connecting.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A connection that is yet to be opened.
#[derive(Debug)]
pub(crate) struct Opening {
    steps: VecDeque<Step>,
    decoder: Decoder,
}

#[derive(Debug)]
struct Step {
    send: Vec<u8>,
    answer: Answer,
}

/// The frames that a step waits for.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A WebSocket at this path.
    Upgrade(String),
    /// The head of an event stream.
    EventStream,
    /// WebSocket messages, of which some carry a marker.
    Messages {
        /// The text in frames that are waited for.
        marker: &'static [u8],
        /// The text in a frame that refuses.
        refusal: &'static [u8],
        /// The number of frames that are waited for.
        count: usize,
    },
    /// One byte with this value.
    Byte(u8),
}

/// The progress of an opening.
#[derive(Debug)]
pub(crate) enum Progress {
    /// More must be received.
    Waiting,
    /// This is to be sent.
    Send(Vec<u8>),
    /// The connection is open.
    Open,
}

impl Opening {
    /// An opening without steps, of a connection that is read by `decoder`.
    pub(crate) fn new(decoder: Decoder) -> Self {
        Self { steps: VecDeque::new(), decoder }
    }

    /// The same with one more step: send `bytes`, then wait for `answer`.
    #[must_use]
    pub(crate) fn then(mut self, bytes: impl Into<Vec<u8>>, answer: Answer) -> Self {
        self.steps.push_back(Step { send: bytes.into(), answer });
        self
    }

    /// The same with the request for a WebSocket.
    #[must_use]
    pub(crate) fn upgrade(self, host: &str, path: &str, subprotocol: Option<&str>) -> Self {
        let request = websocket::upgrade_request(host, path, subprotocol);
        self.then(request, Answer::Upgrade(path.to_owned()))
    }

    /// The bytes to send first.
    pub(crate) fn begin(&mut self) -> Vec<u8> {
        self.steps.front_mut().map(|step| std::mem::take(&mut step.send)).unwrap_or_default()
    }

    /// Takes what it waits for out of `received`.
    ///
    /// # Errors
    /// If the server says no, or something else than was asked for.
    pub(crate) fn advance(&mut self, received: &mut Vec<u8>) -> Result<Progress, BenchError> {
        while let Some(step) = self.steps.front_mut() {
            if !step.answer.take(received, &mut self.decoder)? {
                let endless = received.len() > ANSWER_BYTES_MAX;
                return if endless {
                    Err(refused("the server's answer has no end"))
                } else {
                    Ok(Progress::Waiting)
                };
            }
            self.steps.pop_front();
            let next = self.begin();
            if !next.is_empty() {
                return Ok(Progress::Send(next));
            }
        }
        Ok(Progress::Open)
    }

    /// Sets the decoder of the connection once it is open.
    pub(crate) fn into_decoder(self) -> Decoder {
        self.decoder
    }
}

impl Answer {
    /// Takes the answer out of `received`; `false` as long as it is not all there.
    fn take(&mut self, received: &mut Vec<u8>, decoder: &mut Decoder) -> Result<bool, BenchError> {
        match self {
            Self::Upgrade(path) => {
                let Some(head) = take_head(received) else { return Ok(false) };
                if head.starts_with("HTTP/1.1 101") {
                    return Ok(true);
                }
                let line = head.lines().next().unwrap_or_default();
                Err(refused(&format!("the server did not grant a WebSocket at {path}: {line}")))
            }
            Self::EventStream => {
                let Some(head) = take_head(received) else { return Ok(false) };
                let head = head.to_ascii_lowercase();
                if !head.starts_with("http/1.1 200") || !head.contains("\r\ncontent-type: text/event-stream")
                {
                    let line = head.lines().next().unwrap_or_default();
                    return Err(refused(&format!("the server did not begin an event stream: {line}")));
                }
                let chunked = head.contains("\r\ntransfer-encoding: chunked");
                let framing = if chunked { Framing::Chunked } else { Framing::UntilClose };
                *decoder = Decoder::EventStream(EventStream::new(framing));
                Ok(true)
            }
            Self::Messages { marker, refusal, count } => {
                while *count > 0 {
                    let Some(message) = take_message(received)? else { return Ok(false) };
                    let holds = |part: &[u8]| memchr::memmem::find(&message, part).is_some();
                    if holds(marker) {
                        *count -= 1;
                    } else if holds(refusal) {
                        return Err(refused(&format!(
                            "the server answered {}",
                            String::from_utf8_lossy(&message).trim()
                        )));
                    }
                }
                Ok(true)
            }
            Self::Byte(expected) => {
                let Some(byte) = received.first().copied() else { return Ok(false) };
                received.remove(0);
                if byte == *expected {
                    Ok(true)
                } else {
                    Err(refused(&format!("the server answered {byte}")))
                }
            }
        }
    }
}

fn refused(reason: &str) -> BenchError {
    BenchError::Refused(reason.to_owned())
}

fn take_head(received: &mut Vec<u8>) -> Option<String> {
    let end = memchr::memmem::find(received, b"\r\n\r\n")?;
    let head: Vec<u8> = received.drain(..end + 4).collect();
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// The next WebSocket message. Pings are passed over: opening takes no minute.
fn take_message(received: &mut Vec<u8>) -> Result<Option<Vec<u8>>, BenchError> {
    loop {
        let Some(header) = Header::read(received).filter(|header| received.len() >= header.frame_bytes())
        else {
            return Ok(None);
        };
        let frame: Vec<u8> = received.drain(..header.frame_bytes()).collect();
        match header.opcode {
            websocket::CLOSE => return Err(refused("the server closed the WebSocket while opening")),
            websocket::PING | websocket::PONG => {}
            _ => return Ok(Some(frame[header.header_bytes..].to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::websocket::{PING, TEXT, server_frame};
    use crate::wire::{Frames, Vocabulary};

    const SUBSCRIBED: Answer = Answer::Messages { marker: b"subscribed", refusal: b"error", count: 2 };

    fn opening() -> Opening {
        let decoder = Decoder::Frames(Frames::new(Vocabulary::Bare));
        Opening::new(decoder).upgrade("localhost:1", "/ws", None).then("subscribe", SUBSCRIBED)
    }

    /// Feeds `answers` byte by byte and gives what was sent, and what is left over.
    fn walk(mut opening: Opening, answers: &[u8]) -> Result<(Vec<String>, Vec<u8>), BenchError> {
        let mut sent = vec![opening.begin()];
        let mut received = Vec::new();
        let mut rest = answers.iter();
        loop {
            match opening.advance(&mut received)? {
                Progress::Waiting => match rest.next() {
                    Some(byte) => received.push(*byte),
                    None => return Err(BenchError::Refused("nothing more comes".into())),
                },
                Progress::Send(bytes) => sent.push(bytes),
                Progress::Open => break,
            }
        }
        received.extend(rest);
        Ok((sent.into_iter().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect(), received))
    }

    fn answers(frames: &[(u8, &str)]) -> Vec<u8> {
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        bytes.extend(frames.iter().flat_map(|(opcode, text)| server_frame(*opcode, text.as_bytes()).0));
        bytes
    }

    #[test]
    fn each_step_is_sent_when_the_one_before_is_answered_and_the_rest_is_left() {
        let frames =
            [(TEXT, "connected"), (TEXT, "subscribed"), (PING, ""), (TEXT, "subscribed"), (TEXT, "news")];
        let (sent, rest) = walk(opening(), &answers(&frames)).unwrap();
        assert!(sent[0].starts_with("GET /ws HTTP/1.1\r\n"), "{sent:?}");
        assert_eq!(sent[1], "subscribe");
        assert_eq!(rest, server_frame(TEXT, b"news").0);
    }

    #[test]
    fn a_refusal_repeats_the_servers_words() {
        let check = |answers: &[u8], expected: &str| {
            let error = walk(opening(), answers).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} has no {expected}");
        };
        check(b"HTTP/1.1 404 Not Found\r\n\r\n", "did not grant a WebSocket at /ws: HTTP/1.1 404 Not Found");
        check(&answers(&[(TEXT, "error: no")]), "the server answered error: no");
        check(&answers(&[(websocket::CLOSE, "")]), "closed the WebSocket while opening");
        check(&answers(&[(TEXT, "subscribed")]), "nothing more comes");
    }

    #[test]
    fn an_event_stream_is_read_as_its_head_says() {
        let opening =
            || Opening::new(Decoder::Frames(Frames::new(Vocabulary::Bare))).then("GET", Answer::EventStream);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut opened = opening();
        assert!(matches!(opened.advance(&mut head.as_bytes().to_vec()), Ok(Progress::Open)));
        assert!(matches!(opened.into_decoder(), Decoder::EventStream(_)));
        let error = opening().advance(&mut b"HTTP/1.1 406 No\r\n\r\n".to_vec()).unwrap_err();
        assert!(error.to_string().contains("http/1.1 406 no"), "{error}");
    }
}
