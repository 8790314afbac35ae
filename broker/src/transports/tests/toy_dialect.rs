//! A dialect and a format that only this file knows: they register themselves, subscribe, publish and receive. So adding a
//! dialect needs no change to the core's session or to `sessions/`.

use std::net::{Ipv4Addr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fanwire_core::format::{DeliveryMode, Encoder, Format};
use fanwire_core::rules::Rules;
use fanwire_core::session::Close;
use fanwire_formats::{SLOT_FREE, text_message};
use fanwire_protocol::{
    ClientFrame, CloseCode, DecodeError, ErrorCode, Message, Payload, Reply, Request, ServerFrame,
    SubscribeOptions,
};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;

use crate::auth::{Admission, SharedAuthenticator};
use crate::config::Limits;
use crate::engine::{Engine, EngineParts};
use crate::hooks::Hooks;
use crate::hub::{Hub, Inbox, PinnedBound, Pressure};
use crate::sessions::{ConnectionGuard, ConnectionInfo, ConnectionLimiter, ConnectionLimits, Permit, Worker};
use crate::socket::lend;
use crate::telemetry::{Shared, Transport, WorkerCounters};
use crate::transports::websocket::dialect::{Dialect, Subprotocol};
use crate::transports::{TransportRequest, Transports};

/// Writes `topic: payload`, and for the rest a word each.
struct ToyEncoder;

static TOY: Format = Format {
    slot: SLOT_FREE,
    label: "toy",
    delivery: DeliveryMode::Joined,
    has_frames: true,
    refuses_by_close: false,
    keeps_messagepack: false,
    encoder: &ToyEncoder,
};

impl Encoder for ToyEncoder {
    fn message(&self, message: &Message, out: &mut Vec<u8>) {
        text_message(out, |out| {
            out.extend_from_slice(format!("{}: ", message.topic).as_bytes());
            out.extend_from_slice(&message.payload.to_bare());
        });
    }

    fn frame(&self, frame: &ServerFrame, out: &mut Vec<u8>) {
        let word = match frame {
            ServerFrame::Reply { reply: Reply::Subscribed { pattern, .. }, .. } => {
                format!("subscribed {pattern}")
            }
            ServerFrame::Reply { reply: Reply::Published(receipt), .. } => {
                format!("published {}", receipt.position.offset)
            }
            ServerFrame::Error { code, .. } => format!("refused {}", code.as_str()),
            _ => return,
        };
        text_message(out, |out| out.extend_from_slice(word.as_bytes()));
    }
}

/// Reads `+topic` and `topic=payload`.
struct ToyDialect;

static TOY_DIALECTS: [Subprotocol; 1] = [Subprotocol { name: "toy", dialect: || Box::new(ToyDialect) }];

impl Dialect for ToyDialect {
    fn read(&self, message: &tungstenite::Message) -> Result<Result<ClientFrame, DecodeError>, Close> {
        let tungstenite::Message::Text(text) = message else {
            return Err(Close::new(CloseCode::Unsupported, "the toy dialect is text"));
        };
        let bad_topic = |_| DecodeError::Rejected {
            id: Some(1),
            code: ErrorCode::BadTopic,
            message: "no topic".to_owned(),
        };
        let request = match (text.strip_prefix('+'), text.split_once('=')) {
            (Some(topic), _) => topic
                .parse()
                .map(|pattern| Request::Subscribe { pattern, options: SubscribeOptions::default() })
                .map_err(bad_topic),
            (None, Some((topic, payload))) => topic
                .parse()
                .map(|topic| Request::Publish {
                    topic,
                    payload: Payload::text(payload),
                    key: None,
                    echo: true,
                })
                .map_err(bad_topic),
            (None, None) => Err(DecodeError::Unreadable("neither + nor =".to_owned())),
        };
        Ok(request.map(|request| ClientFrame { id: Some(1), request }))
    }

    fn format(&self) -> &'static Format {
        &TOY
    }

    fn label(&self) -> Transport {
        Transport::WebSocket
    }
}

/// One worker with everything that its transports need.
fn worker() -> (Rc<Worker>, Arc<Shared>) {
    let shared: Arc<Shared> = Arc::default();
    let pressure = Arc::new(Pressure::new(1 << 20, shared.clone()));
    let inbox = Arc::new(Inbox::new(pressure.clone()));
    let engine = Engine::new(EngineParts {
        inboxes: vec![inbox.clone()],
        pressure,
        rules: Rules::default(),
        topics_max: 100,
        memory_bytes_max: 1 << 20,
        replay_bytes_max: 1 << 20,
        counters: shared.clone(),
        archive: None,
        observer: None,
        presence_grace: Duration::ZERO,
    });
    let counters: Arc<WorkerCounters> = Arc::default();
    let pinned = Arc::new(PinnedBound::new(1 << 20, 1 << 20, shared.clone()));
    let hub = Rc::new(Hub::new(0, inbox, pinned, counters.clone()));
    let authenticator: Arc<SharedAuthenticator> = Arc::default();
    let hooks: Arc<Hooks> = Arc::default();
    let worker = Worker::new(hub, Arc::new(engine), Limits::default(), counters, authenticator, hooks, 1);
    (Rc::new(worker), shared)
}

/// Serves one connection after the other.
async fn serve(listener: tokio::net::TcpListener) {
    let (worker, shared) = worker();
    let limits = ConnectionLimits { total_max: 10, per_network_max: 0, total_rate: None, arrival_rate: None };
    let limiter = ConnectionLimiter::new(limits, shared);
    tokio::task::spawn_local(worker.hub.clone().run());
    let transports = Rc::new(Transports::with_dialects(worker.clone(), &TOY_DIALECTS));
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        let permit = Permit::take(&limiter, Some(peer.ip().into()), 0).unwrap();
        let guard = ConnectionGuard::new(permit, peer.ip(), worker.counters.clone());
        let (transports, worker) = (transports.clone(), worker.clone());
        let service = service_fn(move |request: http::Request<Incoming>| {
            let connection = worker.next_connection();
            let asked = TransportRequest {
                request: request.map(drop),
                guard: guard.clone(),
                admission: Admission::Open,
                connection_info: ConnectionInfo { connection, client: Ipv4Addr::LOCALHOST.into() },
                disconnect_report: None,
            };
            let transports = transports.clone();
            async move {
                transports
                    .serve(asked)
                    .await
                    .map_err(|problem| std::io::Error::other(format!("{:?}", problem.code())))
            }
        });
        let (socket, _lender) = lend(stream, Duration::from_secs(60));
        let served = http1::Builder::new().serve_connection(TokioIo::new(socket), service).with_upgrades();
        tokio::task::spawn_local(served);
    }
}

/// A client of the toy dialect.
struct Client(tungstenite::WebSocket<TcpStream>);

impl Client {
    fn connect(address: std::net::SocketAddr) -> Self {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("toy"));
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(tungstenite::client(request, stream).unwrap().0)
    }

    fn send(&mut self, text: &str) {
        self.0.send(tungstenite::Message::text(text)).unwrap();
    }

    fn next(&mut self) -> String {
        self.0.read().unwrap().into_text().unwrap().to_string()
    }
}

#[test]
fn a_dialect_and_a_format_that_register_themselves_publish_and_receive() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    // The thread ends with the test.
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
        runtime
            .unwrap()
            .block_on(async { serve(tokio::net::TcpListener::from_std(listener).unwrap()).await });
    });
    let (mut listens, mut publishes) = (Client::connect(address), Client::connect(address));
    listens.send("+room.*");
    assert_eq!(listens.next(), "subscribed room.*");
    publishes.send("room.1=hello");
    assert_eq!(publishes.next(), "published 1");
    assert_eq!(listens.next(), "room.1: hello");
    publishes.send("a b=hello");
    assert_eq!(publishes.next(), "refused bad_topic");
}
