//! `fanwire bench --driver pusher` against a small server of the Pusher protocol, which checks every step and every signature by
//! itself.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use fanwire_tests::{binary, unix_seconds};
use md5::{Digest, Md5};
use ring::digest;
use serde_json::{Value, json};

const KEY: &str = "some-key";
const SECRET: &str = "a secret";
const APP: &str = "17:some-key:a secret";

/// What a server does with the connection of a publisher after each answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Keep,
    HangUp,
}

/// What the server has seen.
#[derive(Default)]
struct Seen {
    subscribers: HashMap<String, Vec<TcpStream>>,
    pongs: usize,
    signatures: HashSet<String>,
    publishing_connections: usize,
    /// What was not as the protocol has it.
    wrong: Vec<String>,
}

#[derive(Clone)]
struct Server {
    seen: Arc<Mutex<Seen>>,
    after: After,
}

impl Server {
    fn start(after: After) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let server = Self { seen: Arc::default(), after };
        let accepting = server.clone();
        // Ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = accepting.clone();
                thread::spawn(move || {
                    if let Err(error) = server.serve(stream)
                        && error.kind() == io::ErrorKind::InvalidData
                    {
                        server.seen.lock().expect("no thread panicked").wrong.push(error.to_string());
                    }
                });
            }
        });
        (server, address)
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let Some((line, fields)) = read_head(&mut reader)? else { return Ok(()) };
        if line.starts_with("POST ") {
            self.seen.lock().expect("no thread panicked").publishing_connections += 1;
            return self.publish(line, fields, reader, stream);
        }
        let key = line.strip_prefix("GET /app/").and_then(|rest| rest.split_once('?')).unwrap_or_default();
        let (key, query) = (key.0, key.1.trim_end_matches(" HTTP/1.1"));
        require(query == "protocol=7&client=fanwire-bench&version=1", || line.clone())?;
        require(fields.get("upgrade").is_some_and(|upgrade| upgrade == "websocket"), || line.clone())?;
        self.converse(key, reader, stream)
    }

    /// One subscriber, from the upgrade to the end.
    fn converse(&self, key: &str, mut reader: BufReader<TcpStream>, mut stream: TcpStream) -> io::Result<()> {
        stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        )?;
        if key != KEY {
            return send(
                &mut stream,
                &json!({"event": "pusher:error", "data": {"code": 4001, "message": "no such app"}}),
            );
        }
        let established = json!({"socket_id": "1.1", "activity_timeout": 30}).to_string();
        send(&mut stream, &json!({"event": "pusher:connection_established", "data": established}))?;
        let subscribe = read_message(&mut reader)?;
        require(subscribe["event"] == "pusher:subscribe", || subscribe.to_string())?;
        let channel = subscribe["data"]["channel"].as_str().unwrap_or_default().to_owned();
        {
            let mut seen = self.seen.lock().expect("no thread panicked");
            let succeeded =
                json!({"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": "{}"});
            send(&mut stream, &succeeded)?;
            send(&mut stream, &json!({"event": "pusher:ping", "data": {}}))?;
            seen.subscribers.entry(channel).or_default().push(stream);
        }
        loop {
            let message = read_message(&mut reader)?;
            require(message["event"] == "pusher:pong", || message.to_string())?;
            self.seen.lock().expect("no thread panicked").pongs += 1;
        }
    }

    /// One publisher, request by request.
    fn publish(
        &self,
        mut line: String,
        mut fields: HashMap<String, String>,
        mut reader: BufReader<TcpStream>,
        mut stream: TcpStream,
    ) -> io::Result<()> {
        loop {
            let length = fields.get("content-length").and_then(|digits| digits.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            require(reader.buffer().is_empty(), || {
                "a request came before the one ahead was answered".into()
            })?;
            let (status, answer) = match self.take(&line, &body) {
                Ok(()) => ("200 OK", "{\"ok\":true}"),
                Err(_) => ("401 Unauthorized", "Invalid signature"),
            };
            let close = if self.after == After::HangUp { "Connection: close\r\n" } else { "" };
            let length = answer.len();
            write!(stream, "HTTP/1.1 {status}\r\n{close}Content-Length: {length}\r\n\r\n{answer}")?;
            if self.after == After::HangUp {
                return Ok(());
            }
            let Some(next) = read_head(&mut reader)? else { return Ok(()) };
            (line, fields) = next;
        }
    }

    /// Checks a publication and hands it on.
    fn take(&self, line: &str, body: &[u8]) -> io::Result<()> {
        let signature = check_signature(line, body)?;
        let event: Value = serde_json::from_slice(body)?;
        let mut seen = self.seen.lock().expect("no thread panicked");
        require(seen.signatures.insert(signature), || "a signature came twice".into())?;
        for channel in event["channels"].as_array().into_iter().flatten() {
            let message = json!({"event": event["name"], "channel": channel, "data": event["data"]});
            for subscriber in seen.subscribers.entry(channel.as_str().unwrap_or_default().into()).or_default()
            {
                send(subscriber, &message)?;
            }
        }
        Ok(())
    }
}

fn require(holds: bool, what: impl FnOnce() -> String) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, what())) }
}

/// The first line of a request and its fields by their names in small letters; `None` at the end of the connection.
fn read_head(reader: &mut BufReader<TcpStream>) -> io::Result<Option<(String, HashMap<String, String>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut fields = HashMap::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field)?;
        let Some((name, value)) = field.trim_end().split_once(": ") else {
            return Ok(Some((line.trim_end().to_owned(), fields)));
        };
        fields.insert(name.to_ascii_lowercase(), value.to_owned());
    }
}

/// The signature of a request, if it is right: the parameters sorted by name, in a line of their own after the method and the path.
fn check_signature(line: &str, body: &[u8]) -> io::Result<String> {
    let target =
        line.strip_prefix("POST ").and_then(|rest| rest.strip_suffix(" HTTP/1.1")).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or_default();
    require(path == "/apps/17/events", || line.to_owned())?;
    let mut parameters: Vec<(&str, &str)> =
        query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    parameters.sort_unstable();
    let value = |name| parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
    let age = unix_seconds().abs_diff(value("auth_timestamp").parse().unwrap_or(0));
    require(value("auth_key") == KEY && value("auth_version") == "1.0" && age < 600, || line.to_owned())?;
    require(value("body_md5") == hex(&Md5::digest(body)), || line.to_owned())?;
    let signed: Vec<String> = parameters
        .iter()
        .filter(|(name, _)| *name != "auth_signature")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let expected = hex(&hmac_sha256(SECRET.as_bytes(), &format!("POST\n{path}\n{}", signed.join("&"))));
    require(value("auth_signature") == expected, || line.to_owned())?;
    Ok(expected)
}

/// HMAC as RFC 2104 §2 writes it down, for keys of at most 64 bytes.
fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect() };
    let hash = |parts: [&[u8]; 2]| digest::digest(&digest::SHA256, &parts.concat()).as_ref().to_vec();
    hash([&pad(0x5c), &hash([&pad(0x36), text.as_bytes()])])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn send(stream: &mut TcpStream, message: &Value) -> io::Result<()> {
    let text = message.to_string();
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(length @ 0..126) => frame.push(length),
        _ => {
            frame.push(126);
            frame.extend((text.len() as u16).to_be_bytes());
        }
    }
    frame.extend(text.as_bytes());
    stream.write_all(&frame)
}

/// The next frame of a client: short, masked, and in one piece.
fn read_message(reader: &mut BufReader<TcpStream>) -> io::Result<Value> {
    let mut head = [0; 6];
    reader.read_exact(&mut head)?;
    require(head[0] == 0x81 && (0x80..0x80 + 126).contains(&head[1]), || format!("frame {head:?}"))?;
    let mut payload = vec![0; usize::from(head[1] & 0x7f)];
    reader.read_exact(&mut payload)?;
    for (byte, mask) in payload.iter_mut().zip(head[2..].iter().cycle()) {
        *byte ^= mask;
    }
    Ok(serde_json::from_slice(&payload)?)
}

fn bench(address: SocketAddr, app: &str, arguments: &[&str]) -> Output {
    Command::new(binary())
        .arg("bench")
        .args(arguments)
        .args(["--driver=pusher", "--no-pin", "--json", "--url", &format!("ws://{address}")])
        .env("FANWIRE_PUSHER_APP", app)
        .output()
        .expect("it starts")
}

fn check(after: After, arguments: &[&str], expected: &[(&str, f64)]) -> Arc<Mutex<Seen>> {
    let (server, address) = Server::start(after);
    let output = bench(address, APP, arguments);
    assert!(output.status.success(), "{after:?}: {}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    assert_eq!(report["runs"][0]["notes"], json!([]), "{report}");
    for (name, value) in expected {
        assert_eq!(report["runs"][0]["figures"][name], *value, "{name} in {report}");
    }
    assert_eq!(server.seen.lock().expect("no thread panicked").wrong, Vec::<String>::new());
    server.seen
}

#[test]
fn every_signed_publication_reaches_the_subscribers_of_its_channel() {
    for (after, connections) in [(After::Keep, 2), (After::HangUp, 200)] {
        let arguments =
            ["fanout", "--publications=200", "--subscribers=5", "--publishers=2", "--inspect-every=1"];
        let whole = [("publications", 200.0), ("lost", 0.0), ("surplus", 0.0), ("out_of_order", 0.0)];
        let seen = check(after, &arguments, &whole);
        let seen = seen.lock().expect("no thread panicked");
        assert_eq!((seen.signatures.len(), seen.pongs), (200, 5), "{after:?}");
        // A connection that is opened ahead for a publication that does not come sends no request.
        assert_eq!(seen.publishing_connections, connections, "{after:?}");
    }
}

#[test]
fn channels_rates_and_idle_subscribers_are_measured() {
    let none_lost = [("lost", 0.0), ("out_of_order", 0.0)];
    check(After::Keep, &["topics", "--publications=60", "--topics=6", "--inspect-every=1"], &none_lost);
    check(After::HangUp, &["fanout", "--publications=20", "--rate=500", "--subscribers=3"], &none_lost);
    check(After::Keep, &["idle", "--connections=10", "--topics=2", "--seconds=0.1"], &[("closed", 0.0)]);
    check(After::Keep, &["storm", "--connections=10"], &[("served", 10.0)]);
}

#[test]
fn a_refusal_is_told_in_the_servers_words_and_without_the_secret() {
    let (_server, address) = Server::start(After::Keep);
    for (app, arguments, expected) in [
        (
            "17:some-key:hush",
            ["fanout", "--subscribers=1", "--publications=1"],
            "401 Unauthorized Invalid signature",
        ),
        ("17:other-key:hush", ["idle", "--connections=1", "--seconds=0.1"], "no such app"),
        ("hush", ["idle", "--connections=1", "--seconds=0.1"], "ID:KEY:SECRET"),
    ] {
        let output = bench(address, app, &arguments);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && complaint.contains(expected), "{app}: {complaint}");
        assert!(!complaint.contains("hush"), "{complaint}");
    }
    let output =
        Command::new(binary()).args(["bench", "storm", "--driver=pusher"]).output().expect("it starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("give its --url"), "{complaint}");
}
