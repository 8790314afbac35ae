//! HTTP as it goes over the wire, one request or many on a connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::{PATIENCE, Wire};

/// A connection to the broker.
pub struct Http {
    stream: Wire,
    buffer: Vec<u8>,
}

/// One HTTP response, read to its end.
#[derive(Debug)]
pub struct Response {
    /// The status code, such as 200.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, of any transfer encoding.
    pub body: Vec<u8>,
}

/// Asks for a path on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> Response {
    request(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

/// Publishes `body` on a connection of its own.
pub fn post(address: SocketAddr, path: &str, content_type: &str, body: &[u8]) -> Response {
    let mut http = Http::connect(address);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    http.send(head.as_bytes());
    http.send(body);
    http.read()
}

/// Sends exactly `text` on a connection of its own and reads one answer.
pub fn request(address: SocketAddr, text: &str) -> Response {
    let mut http = Http::connect(address);
    http.send(text.as_bytes());
    http.read()
}

impl Http {
    /// Connects and says nothing yet.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the broker accepts connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        stream.set_nodelay(true).expect("delay can be switched off");
        Self::over(Wire::Plain(stream))
    }

    /// A connection that has been made, in the clear or under TLS.
    pub fn over(stream: Wire) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Sends bytes. That the broker has hung up meanwhile shows when reading.
    pub fn send(&mut self, bytes: &[u8]) {
        let _hung_up = self.stream.write_all(bytes);
    }

    /// The socket and what has been read from it ahead of time.
    pub fn into_parts(self) -> (Wire, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// Returns the TCP socket underneath.
    pub fn stream(&self) -> &TcpStream {
        self.stream.socket()
    }

    /// Reads the head of an answer.
    pub fn read_head(&mut self) -> Response {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 4);
                return parse_head(&head);
            }
            assert!(
                self.more(),
                "hung up in the head of an answer: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    /// Reads an answer to its end.
    pub fn read(&mut self) -> Response {
        let head = self.read_head();
        self.read_body(head)
    }

    /// Reads what follows the head of an answer.
    pub fn read_body(&mut self, mut response: Response) -> Response {
        if let Some(length) = response.header("content-length") {
            let length: usize = length.parse().expect("a length is a number");
            while self.buffer.len() < length {
                assert!(self.more(), "hung up in the body of an answer");
            }
            response.body = self.buffer.drain(..length).collect();
        } else if response.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.read_chunk() {
                response.body.extend(chunk);
            }
        } else if !matches!(response.status, 101 | 204 | 304) {
            while self.more() {}
            response.body = std::mem::take(&mut self.buffer);
        }
        response
    }

    /// Reads one chunk of a chunked body (RFC 9112 §7.1); `None` at its end, or if the broker has hung up.
    pub fn read_chunk(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let size = usize::from_str_radix(&String::from_utf8_lossy(&self.buffer[..end]), 16).ok()?;
                if self.buffer.len() >= end + 2 + size + 2 {
                    let chunk = self.buffer[end + 2..end + 2 + size].to_vec();
                    self.buffer.drain(..end + 2 + size + 2);
                    return (size > 0).then_some(chunk);
                }
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// Reads whatever comes next; `None` once the broker has hung up.
    pub fn read_raw(&mut self) -> Option<Vec<u8>> {
        if self.buffer.is_empty() && !self.more() {
            return None;
        }
        Some(std::mem::take(&mut self.buffer))
    }

    /// Whether the broker has hung up without another word.
    pub fn is_hung_up(&mut self) -> bool {
        self.buffer.is_empty() && !self.more()
    }

    fn more(&mut self) -> bool {
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                true
            }
            Err(error) if is_hang_up(&error) => false,
            Err(error) => panic!("nothing came: {error}; so far {:?}", String::from_utf8_lossy(&self.buffer)),
        }
    }
}

impl Response {
    /// The value of a header, its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// Checks that this is a problem with this status and code, that says something.
    pub fn check_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{body}");
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn parse_head(head: &str) -> Response {
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or("");
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status line: {status_line:?}"));
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header has a colon");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Response { status, headers: lines.map(header).collect(), body: Vec::new() }
}

/// Whether an error of reading only says that the broker has hung up, under TLS perhaps without saying so.
pub(crate) fn is_hang_up(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof)
}
