//! WebSocket frames as they go over the wire (RFC 6455 §5), whole or broken.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use crate::http::is_hang_up;
use crate::{Http, PATIENCE, Response, Wire};

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// The next piece of a fragmented message.
    pub const CONTINUATION: Opcode = Opcode(0);
    /// Opcode of a text message.
    pub const TEXT: Opcode = Opcode(1);
    /// Opcode of a binary message.
    pub const BINARY: Opcode = Opcode(2);
    /// Opcode of a close frame.
    pub const CLOSE: Opcode = Opcode(8);
    /// Opcode of a ping frame.
    pub const PING: Opcode = Opcode(9);
    /// Opcode of a pong frame.
    pub const PONG: Opcode = Opcode(10);
}

/// A frame of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether it ends its message.
    pub is_final: bool,
    /// The opcode of the frame.
    pub opcode: Opcode,
    /// The payload of the frame, unmasked.
    pub payload: Vec<u8>,
}

/// A WebSocket that says exactly what it is told to.
pub struct WebSocket {
    stream: Wire,
    buffer: Vec<u8>,
}

/// The example key of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

impl WebSocket {
    /// Opens a WebSocket at `path`.
    pub fn open(address: SocketAddr, path: &str) -> Self {
        Self::try_open(address, path, "").unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
    }

    /// Opens `/ws` in MessagePack.
    pub fn open_msgpack(address: SocketAddr) -> Self {
        Self::try_open(address, "/ws", "Sec-WebSocket-Protocol: fanwire.v1.msgpack\r\n")
            .unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
    }

    /// Tries to open a WebSocket with more headers, each ended by CRLF.
    ///
    /// # Errors
    /// The answer, if it is any other than 101.
    pub fn try_open(address: SocketAddr, path: &str, headers: &str) -> Result<Self, Response> {
        Self::try_open_over(Http::connect(address), &address.to_string(), path, headers)
    }

    /// Tries to open a WebSocket on a connection that has been made, to a `host` of that name.
    ///
    /// # Errors
    /// The answer, if it is any other than 101.
    pub fn try_open_over(mut http: Http, host: &str, path: &str, headers: &str) -> Result<Self, Response> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
        );
        http.send(request.as_bytes());
        let head = http.read_head();
        if head.status != 101 {
            return Err(http.read_body(head));
        }
        assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let (stream, buffer) = http.into_parts();
        Ok(Self { stream, buffer })
    }

    /// Tries to open a WebSocket over a connection that may be refused, cut or slow; `None` if that comes to nothing.
    pub fn attempt(address: SocketAddr, path: &str) -> Option<Self> {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut buffer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                assert!(buffer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&buffer));
                return Some(Self { stream: Wire::Plain(stream), buffer: buffer.split_off(end + 4) });
            }
            match stream.read(&mut piece) {
                Ok(count @ 1..) => buffer.extend_from_slice(&piece[..count]),
                _ => return None,
            }
        }
    }

    /// Reads a frame of the protocol in JSON; `None` once the connection is gone.
    pub fn try_read_json(&mut self) -> Option<Value> {
        loop {
            let frame = self.try_read()?;
            match frame.opcode {
                Opcode::TEXT => {
                    return Some(serde_json::from_slice(&frame.payload).expect("a text frame is JSON"));
                }
                Opcode::CLOSE => return None,
                _ => {}
            }
        }
    }

    /// A WebSocket whose handshake has been made.
    pub fn over(stream: Wire) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Returns the TCP socket underneath.
    pub fn stream(&self) -> &TcpStream {
        self.stream.socket()
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let _hung_up = self.stream.write_all(bytes);
    }

    /// Sends one masked frame.
    pub fn send_frame(&mut self, is_final: bool, opcode: Opcode, payload: &[u8]) {
        self.send_raw(&frame(is_final, opcode, payload));
    }

    /// Sends a text message.
    pub fn send_text(&mut self, text: &str) {
        self.send_frame(true, Opcode::TEXT, text.as_bytes());
    }

    /// Sends a frame of the protocol in JSON.
    pub fn send_json(&mut self, value: &Value) {
        self.send_text(&value.to_string());
    }

    /// Sends a request in JSON and reads the reply with its `id`, throwing away what comes before.
    pub fn ask(&mut self, value: &Value) -> Value {
        self.send_json(value);
        loop {
            let reply = self.read_json();
            if reply["id"] == value["id"] {
                return reply;
            }
        }
    }

    /// Reads a frame; `None` once the broker has hung up.
    pub fn try_read(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            let mut piece = [0; 64 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(error) if is_hang_up(&error) => return None,
                Err(error) => panic!("no frame came: {error}"),
            }
        }
    }

    /// Reads one whole frame.
    pub fn read(&mut self) -> Frame {
        self.try_read().expect("a frame, but the broker has hung up")
    }

    /// Reads a frame of the protocol in JSON. Pings are not answered, and passed over.
    pub fn read_json(&mut self) -> Value {
        loop {
            let frame = self.read();
            match frame.opcode {
                Opcode::TEXT => return serde_json::from_slice(&frame.payload).expect("a text frame is JSON"),
                Opcode::PING => {}
                other => {
                    panic!("expected JSON, got {other:?}: {:?}", String::from_utf8_lossy(&frame.payload))
                }
            }
        }
    }

    /// Reads to the close frame, and checks that the broker hangs up after it. Returns its code, if it has one, and what
    /// came before it.
    pub fn read_to_close(&mut self) -> (Option<u16>, Vec<Frame>) {
        let mut before = Vec::new();
        loop {
            let Some(frame) = self.try_read() else {
                panic!("hung up without a close frame, after {before:?}")
            };
            if frame.opcode == Opcode::CLOSE {
                let code = frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                assert!(self.try_read().is_none(), "nothing comes after the close frame");
                return (code, before);
            }
            before.push(frame);
        }
    }

    /// Checks that the session is closed with `code`, that `closing` says so before, and that the broker hangs up.
    /// Returns the `closing` frame.
    pub fn check_closing(&mut self, code: u16) -> Value {
        let (got, before) = self.read_to_close();
        assert_eq!(got, Some(code));
        let last = before.last().expect("a closing frame");
        let closing: Value = serde_json::from_slice(&last.payload).expect("closing is JSON");
        assert_eq!((&closing["type"], &closing["code"]), (&"closing".into(), &code.into()), "{closing}");
        assert!(closing["reason"].as_str().is_some_and(|reason| reason.len() > 5), "{closing}");
        assert!(closing["reconnect"].is_boolean(), "{closing}");
        closing
    }

    /// Says that nothing more will be sent.
    pub fn shut_writing(&self) {
        self.stream.socket().shutdown(Shutdown::Write).expect("the connection is open");
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let [first, second] = *self.buffer.first_chunk()?;
        assert_eq!(second & 0x80, 0, "a server must not mask");
        assert_eq!(first & 0x70, 0, "no extension was agreed on");
        let (start, length) = match second & 0x7f {
            126 => (4, usize::from(u16::from_be_bytes(*self.buffer.get(2..)?.first_chunk()?))),
            127 => (10, u64::from_be_bytes(*self.buffer.get(2..)?.first_chunk()?) as usize),
            short => (2, usize::from(short)),
        };
        let payload = self.buffer.get(start..start + length)?.to_vec();
        self.buffer.drain(..start + length);
        Some(Frame { is_final: first & 0x80 != 0, opcode: Opcode(first & 0xf), payload })
    }
}

/// A masked frame as a client sends it.
fn frame(is_final: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![if is_final { 0x80 } else { 0 } | opcode.0];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ MASK[index % 4]));
    bytes
}
