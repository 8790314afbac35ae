//! The application that a broker calls: an HTTP server that answers as the test says, or not at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::eventually;

/// The secret of every broker in these tests that calls an application.
pub const HOOKS_SECRET: &str = "a secret of hooks in these tests";

/// One call, as the application sees it.
#[derive(Debug, Clone)]
pub struct HookCall {
    /// The value of the `fanwire-signature` header.
    pub signature: String,
    /// All headers: names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: String,
}

impl HookCall {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// Whether the signature is the one of this secret over this body, and its time is about now.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let parts = self.signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1="));
        let Some((time, signature)) = parts else { return false };
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let expected = ring::hmac::sign(&key, format!("{time}.{}", self.body).as_bytes());
        let expected: String = expected.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let age = time.parse::<u64>().map_or(u64::MAX, |time| crate::unix_seconds().abs_diff(time));
        expected == signature && age < 60
    }
}

/// What the application does about a call.
#[derive(Debug, Clone)]
pub enum HookAnswer {
    /// 200 with this JSON.
    Json(Value),
    /// Exactly these bytes, then the end.
    Raw(String),
    /// Nothing, for as long as the caller is there.
    Silence,
}

type Handler = dyn Fn(&HookCall) -> HookAnswer + Send + Sync;

#[derive(Default)]
struct Seen {
    calls: Mutex<Vec<HookCall>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A running application. It stops with the test's process.
pub struct Application {
    address: SocketAddr,
    seen: Arc<Seen>,
}

impl Application {
    /// Starts an application that answers every call with what `handler` says.
    pub fn start(handler: impl Fn(&HookCall) -> HookAnswer + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), handler)
    }

    /// Starts one at an address that was found free before.
    pub fn start_at(
        address: SocketAddr,
        handler: impl Fn(&HookCall) -> HookAnswer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("a listener has an address");
        let seen = Arc::<Seen>::default();
        let (handler, shared): (Arc<Handler>, _) = (Arc::new(handler), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (handler, seen) = (handler.clone(), shared.clone());
                std::thread::spawn(move || serve(&stream, &*handler, &seen));
            }
        });
        Self { address, seen }
    }

    /// Returns the configuration of a broker that calls this application, with further keys of `[hooks]`.
    pub fn config(&self, keys: &str) -> String {
        Self::config_of(self.address, keys)
    }

    /// Returns the configuration of a broker that calls an application at `address`.
    pub fn config_of(address: SocketAddr, keys: &str) -> String {
        format!("[hooks]\nurl = 'http://{address}/hook'\nsecret = '{HOOKS_SECRET}'\n{keys}\n")
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<HookCall> {
        self.lock().clone()
    }

    /// Returns all webhook events so far, in order, each once.
    pub fn events(&self) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        for call in self.calls() {
            let call = call.json();
            for event in call["events"].as_array().into_iter().flatten() {
                if !events.iter().any(|known| known["id"] == event["id"]) {
                    events.push(event.clone());
                }
            }
        }
        events
    }

    /// Waits for this number of webhook events, and returns them.
    pub fn await_events(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} webhook events"), || {
            let events = self.events();
            (events.len() >= count).then_some(events)
        })
    }

    /// Waits until there have been so many calls, and returns them.
    pub fn await_calls(&self, count: usize) -> Vec<HookCall> {
        eventually(&format!("{count} calls of the application"), || {
            let calls = self.calls();
            (calls.len() >= count).then_some(calls)
        })
    }

    /// How many calls there were at the same time, at most.
    pub fn calls_at_once(&self) -> usize {
        self.seen.most.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<HookCall>> {
        self.seen.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers the calls on one connection until the caller hangs up.
fn serve(stream: &TcpStream, handler: &Handler, seen: &Seen) {
    let mut reader = BufReader::new(stream);
    while let Some(call) = read_call(&mut reader) {
        seen.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
        seen.most.fetch_max(seen.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let answer = handler(&call);
        // It is over before it is answered: the next call may come the moment the answer is read.
        seen.now.fetch_sub(1, Ordering::SeqCst);
        let mut stream = stream;
        match answer {
            HookAnswer::Json(value) => {
                let body = value.to_string();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                    return;
                }
            }
            HookAnswer::Raw(text) => {
                // That the caller does not read to the end is its right.
                let _hung_up = stream.write_all(text.as_bytes());
                return;
            }
            HookAnswer::Silence => {
                let _hung_up = reader.read(&mut [0]);
                return;
            }
        }
    }
}

fn read_call(reader: &mut impl BufRead) -> Option<HookCall> {
    let (mut signature, mut length, mut headers) = (String::new(), 0, Vec::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let header = line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim()));
        headers.extend(header.clone().map(|(name, value)| (name, value.to_owned())));
        match header {
            Some((name, value)) if name == "content-length" => length = value.parse().ok()?,
            Some((name, value)) if name == "fanwire-signature" => value.clone_into(&mut signature),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(HookCall { signature, headers, body: String::from_utf8(body).ok()? })
}
