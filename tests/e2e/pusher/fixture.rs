//! A client of the Pusher protocol that sends exactly what it is given, and requests to the REST API with their signatures.

use std::fmt::Write;
use std::net::SocketAddr;

use fanwire_tests::{Broker, Http, Opcode, Response, WebSocket, unix_seconds};
use md5::{Digest, Md5};
use serde_json::{Value, json};

/// The id of the app of these tests.
pub(super) const ID: &str = "3";

/// The key of the app, which is that of Pusher's documentation.
pub(super) const KEY: &str = "278d425bdf160c739803";

/// The secret of the app, likewise.
pub(super) const SECRET: &str = "7ad3773142a6692b25b8";

/// A configuration with the app.
pub(super) const APP: &str =
    "[[pusher.app]]\nid = '3'\nkey = '278d425bdf160c739803'\nsecret = '7ad3773142a6692b25b8'\n";

/// Starts a broker with the app, and what `more` adds to its table and behind it.
pub(super) fn broker(more: &str) -> Broker {
    Broker::with_file(&format!("{APP}{more}"), &[])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// Returns the signature of a text with the secret of the app.
pub(super) fn sign(text: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    hex(ring::hmac::sign(&key, text.as_bytes()).as_ref())
}

/// One connection of the protocol.
pub(super) struct Pusher {
    pub(super) socket: WebSocket,
    pub(super) socket_id: String,
}

impl Pusher {
    /// Connects as pusher-js does.
    pub(super) fn connect(address: SocketAddr) -> Self {
        let mut socket =
            WebSocket::open(address, &format!("/app/{KEY}?protocol=7&client=js&version=8.4.0&flash=false"));
        let first = socket.read_json();
        assert_eq!(first["event"], "pusher:connection_established", "{first}");
        let data = data_of(&first);
        let timeout = data["activity_timeout"].as_u64().expect("a number");
        assert!((1..=120).contains(&timeout), "{data}");
        let socket_id = data["socket_id"].as_str().expect("a text").to_owned();
        Self { socket, socket_id }
    }

    /// Sends an event of the protocol.
    pub(super) fn send(&mut self, event: &str, data: Value) {
        self.socket.send_json(&json!({"event": event, "data": data}));
    }

    /// Reads the next event.
    pub(super) fn next(&mut self) -> Value {
        self.socket.read_json()
    }

    /// Reads the next event, and checks its name and channel.
    pub(super) fn expect(&mut self, event: &str, channel: &str) -> Value {
        let next = self.next();
        assert_eq!((&next["event"], &next["channel"]), (&event.into(), &channel.into()), "{next}");
        next
    }

    /// Returns the `auth` of a subscription to `channel`.
    pub(super) fn auth(&self, channel: &str, channel_data: Option<&str>) -> String {
        let data = channel_data.map_or(String::new(), |data| format!(":{data}"));
        format!("{KEY}:{}", sign(&format!("{}:{channel}{data}", self.socket_id)))
    }

    /// Asks for a subscription with a good signature.
    pub(super) fn ask(&mut self, channel: &str, channel_data: Option<&str>) {
        let auth = self.auth(channel, channel_data);
        let mut data = json!({"channel": channel, "auth": auth});
        if let Some(channel_data) = channel_data {
            data["channel_data"] = channel_data.into();
        }
        self.send("pusher:subscribe", data);
    }

    /// Subscribes with a good signature, and returns the data of the success.
    pub(super) fn subscribe(&mut self, channel: &str, channel_data: Option<&str>) -> Value {
        self.ask(channel, channel_data);
        data_of(&self.expect("pusher_internal:subscription_succeeded", channel))
    }

    /// Signs in as the user that `user_data` describes.
    pub(super) fn sign_in(&mut self, user_data: &str) -> Value {
        let auth = format!("{KEY}:{}", sign(&format!("{}::user::{user_data}", self.socket_id)));
        self.send("pusher:signin", json!({"auth": auth, "user_data": user_data}));
        self.next()
    }

    /// Checks that nothing is on the way: the next event is the answer to a ping.
    pub(super) fn expect_nothing(&mut self) {
        self.send("pusher:ping", json!({}));
        let next = self.next();
        assert_eq!(next["event"], "pusher:pong", "{next}");
    }

    /// Returns the message of the next event, which is an error, and its code.
    pub(super) fn expect_error(&mut self) -> (String, Value) {
        let next = self.next();
        assert_eq!(next["event"], "pusher:error", "{next}");
        let data = data_of(&next);
        let message = data["message"].as_str().expect("an error has a message").to_owned();
        assert!(message.len() > 10, "{message}");
        (message, data["code"].clone())
    }

    /// Returns the data of the next event, which refuses a subscription to `channel`.
    pub(super) fn expect_refused(&mut self, channel: &str) -> Value {
        data_of(&self.expect("pusher:subscription_error", channel))
    }

    /// Reads the close frame, and returns its code and reason.
    pub(super) fn closed(mut self) -> (u16, String) {
        close_of(&mut self.socket)
    }
}

/// Reads to the close frame, and returns its code and reason.
pub(super) fn close_of(socket: &mut WebSocket) -> (u16, String) {
    loop {
        let frame = socket.try_read().expect("a close frame");
        if frame.opcode == Opcode::CLOSE {
            let code = u16::from_be_bytes(*frame.payload.first_chunk().expect("a code"));
            return (code, String::from_utf8_lossy(&frame.payload[2..]).into_owned());
        }
        assert_ne!(frame.opcode, Opcode::TEXT, "{}", String::from_utf8_lossy(&frame.payload));
    }
}

/// Returns the data of an event, which is the text of JSON.
pub(super) fn data_of(event: &Value) -> Value {
    let text = event["data"].as_str().unwrap_or_else(|| panic!("data is a string: {event}"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A request to the REST API, whose parts can be changed before it is sent.
pub(super) struct Rest {
    pub(super) method: &'static str,
    pub(super) path: String,
    /// Parameters beside those of the signature.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) timestamp: u64,
    pub(super) key: String,
    pub(super) version: String,
    pub(super) headers: String,
    /// What replaces the right signature and digest.
    pub(super) signature: Option<String>,
    pub(super) body_md5: Option<String>,
}

impl Rest {
    pub(super) fn get(path: &str) -> Self {
        let (path, parameters) = path.split_once('?').map_or((path, ""), |(path, query)| (path, query));
        let parameters = parameters.split('&').filter_map(|pair| pair.split_once('='));
        Self {
            method: "GET",
            path: format!("/apps/{ID}{path}"),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: String::new(),
            timestamp: unix_seconds(),
            key: KEY.to_owned(),
            version: "1.0".to_owned(),
            headers: String::new(),
            signature: None,
            body_md5: None,
        }
    }

    pub(super) fn post(path: &str, body: &Value) -> Self {
        Self { method: "POST", body: body.to_string(), ..Self::get(path) }
    }

    /// Returns the query with its signature.
    pub(super) fn query(&self) -> String {
        let mut all = self.parameters.clone();
        all.push(("auth_key".to_owned(), self.key.clone()));
        all.push(("auth_timestamp".to_owned(), self.timestamp.to_string()));
        all.push(("auth_version".to_owned(), self.version.clone()));
        if !self.body.is_empty() {
            let digest = hex(&Md5::digest(self.body.as_bytes()));
            all.push(("body_md5".to_owned(), self.body_md5.clone().unwrap_or(digest)));
        }
        all.retain(|(_, value)| !value.is_empty());
        all.sort();
        let query: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = query.join("&");
        let signature = sign(&format!("{}\n{}\n{query}", self.method, self.path));
        format!("{query}&auth_signature={}", self.signature.clone().unwrap_or(signature))
    }

    /// Returns the text of the request.
    pub(super) fn text(&self) -> String {
        format!(
            "{} {}?{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n{}",
            self.method,
            self.path,
            self.query(),
            self.body.len(),
            self.headers,
            self.body
        )
    }

    /// Sends the request and reads the answer.
    pub(super) fn send(&self, address: SocketAddr) -> Response {
        let mut http = Http::connect(address);
        http.send(self.text().as_bytes());
        http.read()
    }

    /// Sends the request, and checks that the answer is 200 and exactly this body.
    pub(super) fn expect(&self, address: SocketAddr, body: &str) {
        let answer = self.send(address);
        assert_eq!((answer.status, answer.text().as_str()), (200, body));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }

    /// Sends the request, and returns the text of the refusal, whose status is this.
    pub(super) fn refused(&self, address: SocketAddr, status: u16) -> String {
        let answer = self.send(address);
        assert_eq!(answer.status, status, "{}", answer.text());
        answer.text()
    }
}

/// Publishes an event to one channel.
pub(super) fn trigger(address: SocketAddr, channel: &str, event: &str, data: &str) {
    Rest::post("/events", &json!({"name": event, "channels": [channel], "data": data})).expect(address, "{}");
}
