//! Damaged frames and requests from a seed, while an honest publisher and subscriber miss nothing.
//!
//! What the broker answers to them must itself be beyond reproach: whole frames that its own codec can read, one close frame,
//! and nothing after it.

use std::sync::atomic::{AtomicBool, Ordering};

use fanwire_protocol::{json, msgpack};
use fanwire_tests::{Broker, Frame, Http, Opcode, WebSocket};
use fastrand::Rng;
use serde_json::Value;

use super::errors::to_msgpack;

/// How many connections are made, each with a few messages.
const CONNECTIONS: usize = 400;

const FRAMES: [&str; 8] = [
    r#"{"type":"connect","id":1,"token":"abc","name":"é\u0000\ud83d\ude00"}"#,
    r#"{"type":"subscribe","id":2,"topic":"r.*.>","token":"t"}"#,
    r#"{"type":"subscribe","id":3,"topic":"r.a","since":{"epoch":"1f","offset":18446744073709551615}}"#,
    r#"{"type":"publish","id":4,"topic":"r.a","key":"k","echo":false,"data":{"x":[1,-2.5e3,null,true,"\n"]}}"#,
    r#"{"type":"publish","id":5,"topic":"r.a.b","data_base64":"AAEC/f7/"}"#,
    r#"{"type":"history","id":6,"topic":"r.a","since":"earliest","limit":10,"reverse":true}"#,
    r#"{"type":"unsubscribe","id":7,"topic":"r.a"}"#,
    r#"{"type":"request","id":8,"method":"m","data":[[[[{}]]]]}"#,
];

const REQUESTS: [&str; 5] = [
    "GET /topics/r.a?since=earliest&limit=3 HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n",
    "GET /stream?topic=r.a&topic=r.%3E HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nLast-Event-ID: 1f:7\r\n\r\n",
    "POST /topics/r.a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    "POST /publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n24\r\n{\"messages\":[{\"topic\":\"r\",\"data\":1}]}\r\n0\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\u{1}",
];

/// Changes some bytes, or many, or none.
fn damage(bytes: &mut Vec<u8>, random: &mut Rng) {
    for _ in 0..random.usize(0..4) {
        let at = random.usize(0..=bytes.len());
        let until = random.usize(at..=bytes.len().min(at + 16));
        match random.u8(0..6) {
            0 => bytes.insert(at, random.u8(..)),
            1 => drop(bytes.drain(at..until)),
            2 => {
                let again = bytes[at..until].to_vec();
                bytes.splice(at..at, again);
            }
            3 => bytes.truncate(at),
            4 => bytes[at..until].fill_with(|| random.u8(..)),
            _ => {
                for byte in &mut bytes[at..until] {
                    *byte ^= 1 << random.u8(0..8);
                }
            }
        }
    }
}

fn damaged(texts: &[&str], random: &mut Rng) -> Vec<u8> {
    let mut bytes = texts[random.usize(..texts.len())].as_bytes().to_vec();
    damage(&mut bytes, random);
    bytes
}

/// Checks that a frame of the broker can be read, whatever it was an answer to.
fn check_readable(frame: &Frame, sent: &[Vec<u8>]) {
    let read = match frame.opcode {
        Opcode::TEXT => std::str::from_utf8(&frame.payload)
            .map_err(|error| error.to_string())
            .and_then(|text| json::decode_server(text).map_err(|error| format!("{error:?}"))),
        Opcode::BINARY => msgpack::decode_server(&frame.payload).map_err(|error| format!("{error:?}")),
        _ => return,
    };
    assert!(read.is_ok(), "{read:?} after {sent:?}");
}

/// Sends damaged messages, then takes leave, and reads everything to the end of the connection.
fn disturb_session(broker: &Broker, random: &mut Rng) {
    let is_msgpack = random.bool();
    let mut socket = if is_msgpack {
        WebSocket::open_msgpack(broker.address())
    } else {
        WebSocket::open(broker.address(), "/ws")
    };
    let mut sent = Vec::new();
    for _ in 0..random.usize(1..5) {
        let bytes = if is_msgpack {
            let frame: Value =
                serde_json::from_str(FRAMES[random.usize(..FRAMES.len())]).expect("the samples are JSON");
            let mut bytes = to_msgpack(&frame);
            damage(&mut bytes, random);
            bytes
        } else {
            damaged(&FRAMES, random)
        };
        if random.u8(0..4) == 0 {
            // Without a frame around it, this is a frame by chance or none.
            socket.send_raw(&bytes);
        } else {
            socket.send_frame(true, if is_msgpack { Opcode::BINARY } else { Opcode::TEXT }, &bytes);
        }
        sent.push(bytes);
    }
    socket.send_frame(true, Opcode::CLOSE, &1000u16.to_be_bytes());
    socket.shut_writing();
    let mut is_closed = false;
    while let Some(frame) = socket.try_read() {
        assert!(!is_closed, "nothing follows a close: {frame:?} after {sent:?}");
        is_closed = frame.opcode == Opcode::CLOSE;
        check_readable(&frame, &sent);
    }
}

/// Sends a damaged request, says that this was all, and reads what comes.
fn disturb_http(broker: &Broker, random: &mut Rng) {
    let mut http = Http::connect(broker.address());
    let bytes = damaged(&REQUESTS, random);
    http.send(&bytes);
    let _gone = http.stream().shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    while let Some(piece) = http.read_raw() {
        answer.extend(piece);
        // Bytes after the request may hide from the broker that this was all, and a stream of events has no end.
        if answer.windows(17).any(|window| window == b"text/event-stream") {
            break;
        }
    }
    let sent = String::from_utf8_lossy(&bytes);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{sent:?} got {answer:?}");
    assert!(!answer.starts_with(b"HTTP/1.1 500"), "{sent:?} got {:?}", String::from_utf8_lossy(&answer));
}

/// Publishes numbers and sees each arrive, until told to stop; returns how many.
fn run_honest_pair(broker: &Broker, is_over: &AtomicBool) -> usize {
    let mut subscriber = WebSocket::open(broker.address(), "/ws");
    let subscribe = serde_json::json!({"type": "subscribe", "id": 1, "topic": "pair.numbers"});
    assert_eq!(subscriber.ask(&subscribe)["type"], "subscribed");
    let mut publisher = WebSocket::open(broker.address(), "/ws");
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        let publish = serde_json::json!({"type": "publish", "id": 1, "topic": "pair.numbers", "data": count});
        assert_eq!(publisher.ask(&publish)["type"], "published");
        let message = subscriber.read_json();
        assert_eq!((&message["type"], &message["data"]), (&"message".into(), &count.into()));
        count += 1;
    }
    count
}

#[test]
fn whatever_is_sent_the_honest_pair_misses_nothing() {
    let seed = std::env::var("FANWIRE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("FANWIRE_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let broker = Broker::start(&[]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pair = scope.spawn(|| run_honest_pair(&broker, &is_over));
        let disturbed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..CONNECTIONS {
                if random.u8(0..4) == 0 {
                    disturb_http(&broker, &mut random);
                } else {
                    disturb_session(&broker, &mut random);
                }
            }
        }));
        // The pair must end even if something was found, or the scope would never be left.
        is_over.store(true, Ordering::Relaxed);
        let published = pair.join().expect("the honest pair is served to the end");
        if let Err(found) = disturbed {
            std::panic::resume_unwind(found);
        }
        assert!(published > 0);
    });
    broker.await_metric("fanwire_connections{transport=\"ws\"}", 0.0);
    broker.await_metric("fanwire_errors_total{code=\"internal\"}", 0.0);
}
