//! Server-Sent Events as a browser reads them (WHATWG HTML §9.2.6).

use std::net::SocketAddr;

use crate::{Http, Response};

/// One event, or a block that only sets the last event id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `message` unless the stream says otherwise.
    pub kind: String,
    /// The data lines, joined.
    pub data: String,
    /// The `id:` line of this block.
    pub id: Option<String>,
    /// Whether there was a data line at all.
    pub has_data: bool,
    /// The `retry:` line of this block.
    pub retry: Option<String>,
    /// Whether the block holds a comment.
    pub has_comment: bool,
}

/// A stream of events.
pub struct Events {
    http: Http,
    text: Vec<u8>,
    /// The id that a browser would send when it comes back.
    pub last_event_id: Option<String>,
}

impl Events {
    /// Opens a stream, with more headers, each ended by CRLF.
    pub fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        Self::try_open(address, path, headers).unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
    }

    /// Tries to open a stream.
    ///
    /// # Errors
    /// The answer, if it is any other than 200.
    pub fn try_open(address: SocketAddr, path: &str, headers: &str) -> Result<Self, Response> {
        Self::try_open_over(Http::connect(address), path, headers)
    }

    /// Tries to open a stream on a connection that has been made.
    ///
    /// # Errors
    /// The answer, if it is any other than 200.
    pub fn try_open_over(mut http: Http, path: &str, headers: &str) -> Result<Self, Response> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{headers}\r\n");
        http.send(request.as_bytes());
        let head = http.read_head();
        if head.status != 200 {
            return Err(head);
        }
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        Ok(Self { http, text: Vec::new(), last_event_id: None })
    }

    /// The next block, events or not; `None` at the end of the stream.
    pub fn next_block(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.text.windows(2).position(|window| window == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                let event = parse(&String::from_utf8(block).expect("a stream of events is UTF-8"));
                if event.id.is_some() {
                    self.last_event_id.clone_from(&event.id);
                }
                return Some(event);
            }
            let chunk = self.http.read_chunk()?;
            self.text.extend(chunk);
        }
    }

    /// The next event that a browser would fire; `None` at the end of the stream.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let block = self.next_block()?;
            if block.has_data {
                return Some(block);
            }
        }
    }

    /// The data of the next event of kind `message`.
    pub fn next_data(&mut self) -> String {
        let event = self.next_event().expect("an event, but the stream has ended");
        assert_eq!(event.kind, "message", "{event:?}");
        event.data
    }
}

fn parse(block: &str) -> Event {
    let mut event = Event { kind: "message".to_owned(), ..Event::default() };
    let mut lines = Vec::new();
    for line in block.lines().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "" => event.has_comment = true,
            "data" => lines.push(value),
            "id" => event.id = Some(value),
            "event" => event.kind = value,
            "retry" => event.retry = Some(value),
            other => panic!("a line that no browser knows: {other}"),
        }
    }
    event.has_data = !lines.is_empty();
    event.data = lines.join("\n");
    event
}
