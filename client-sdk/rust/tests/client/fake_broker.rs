//! A broker that does exactly what a test says, and so can break in every way a real one might.

use std::time::Duration;

use fanwire_client::{Encoding, Payload, Position};
use fanwire_protocol::{
    ClientFrame, Epoch, Message, Receipt, Reply, Request, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, ServerFrame,
    SubscribeOptions, json, msgpack,
};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Handshake, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, http};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// How long anything in a test may take: long enough for a busy machine, and never waited for in vain.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct FakeBroker {
    listener: TcpListener,
    pub(crate) url: String,
}

/// One connection, after its greeting.
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
    encoding: Encoding,
    /// The token the client showed.
    pub(crate) token: Option<String>,
}

pub(crate) fn at(offset: u64) -> Position {
    in_epoch(7, offset)
}

pub(crate) fn in_epoch(epoch: u64, offset: u64) -> Position {
    Position { epoch: Epoch::from_random(epoch), offset }
}

pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("this took too long")
}

impl FakeBroker {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// Takes the next connection and greets it.
    pub(crate) async fn accept(&self) -> Peer {
        let mut peer = self.accept_silently().await;
        let ClientFrame { id: Some(id), request: Request::Connect { token, .. } } = peer.read().await else {
            panic!("a client greets first");
        };
        peer.token = token;
        peer.reply(
            id,
            Reply::Connected {
                connection: "c1".to_owned(),
                user: None,
                ping_interval: 25,
                server: "fake".to_owned(),
            },
        )
        .await;
        peer
    }

    /// Takes the next connection and leaves its greeting unread.
    pub(crate) async fn accept_silently(&self) -> Peer {
        let (stream, _) = in_time(self.listener.accept()).await.unwrap();
        // Small frames would wait for each other otherwise.
        stream.set_nodelay(true).unwrap();
        let mut encoding = Encoding::Json;
        let choose = |asked: &Handshake, mut answer: Response| {
            let protocol = asked.headers()[http::header::SEC_WEBSOCKET_PROTOCOL].clone();
            encoding = match protocol.to_str().unwrap() {
                SUBPROTOCOL_JSON => Encoding::Json,
                SUBPROTOCOL_MSGPACK => Encoding::MessagePack,
                other => panic!("unknown subprotocol {other}"),
            };
            assert_eq!(asked.uri().path(), "/ws");
            assert_eq!(asked.uri().query(), None, "nothing secret may be in a URL");
            answer.headers_mut().insert(http::header::SEC_WEBSOCKET_PROTOCOL, protocol);
            Ok(answer)
        };
        let socket = in_time(accept_hdr_async(stream, choose)).await.unwrap();
        Peer { socket, encoding, token: None }
    }

    /// Answers the next connection with a plain HTTP error.
    pub(crate) async fn refuse(&self, status: u16) {
        let (stream, _) = in_time(self.listener.accept()).await.unwrap();
        let refuse = |_: &Handshake, _: Response| {
            let body = Some("no entry".to_owned());
            Err::<Response, ErrorResponse>(http::Response::builder().status(status).body(body).unwrap())
        };
        assert!(in_time(accept_hdr_async(stream, refuse)).await.is_err());
    }
}

impl Peer {
    /// The next frame of the client; panics when it closes instead.
    pub(crate) async fn read(&mut self) -> ClientFrame {
        self.try_read().await.expect("the client closed the connection")
    }

    /// The next frame of the client; `None` when it closes.
    pub(crate) async fn try_read(&mut self) -> Option<ClientFrame> {
        loop {
            match in_time(self.socket.next()).await?.ok()? {
                tungstenite::Message::Text(text) => return Some(json::decode_client(&text).unwrap()),
                tungstenite::Message::Binary(bytes) => return Some(msgpack::decode_client(&bytes).unwrap()),
                tungstenite::Message::Close(_) => {
                    // The answer to it lies in the socket's buffer; an error means that the client did not wait for it.
                    let _ = in_time(self.socket.flush()).await;
                    return None;
                }
                _ => {}
            }
        }
    }

    pub(crate) async fn say(&mut self, frame: &ServerFrame) {
        let mut bytes = Vec::new();
        let message = match self.encoding {
            Encoding::Json => {
                json::encode_server(frame, &mut bytes);
                tungstenite::Message::text(String::from_utf8(bytes).unwrap())
            }
            Encoding::MessagePack => {
                msgpack::encode_server(frame, &mut bytes);
                tungstenite::Message::binary(bytes)
            }
        };
        in_time(self.socket.send(message)).await.unwrap();
    }

    pub(crate) async fn reply(&mut self, id: u32, reply: Reply) {
        self.say(&ServerFrame::Reply { id, reply }).await;
    }

    pub(crate) async fn message(&mut self, topic: &str, offset: u64, payload: Payload) {
        let message = Message {
            topic: topic.parse().unwrap(),
            payload,
            position: Some(at(offset)),
            ts: Some(1),
            from: None,
        };
        self.say(&ServerFrame::Message(message)).await;
    }

    /// Answers the subscribe that comes next; returns what was asked for.
    pub(crate) async fn accept_subscribe(
        &mut self,
        head: Option<Position>,
        recovered: bool,
    ) -> (String, SubscribeOptions) {
        let ClientFrame { id: Some(id), request: Request::Subscribe { pattern, options } } =
            self.read().await
        else {
            panic!("expected a subscribe");
        };
        let topic = pattern.to_string();
        self.reply(id, Reply::Subscribed { pattern, position: head, recovered }).await;
        (topic, options)
    }

    /// Reads the publish that comes next; returns its id and key.
    pub(crate) async fn read_publish(&mut self) -> (u32, Option<String>) {
        let ClientFrame { id: Some(id), request: Request::Publish { key, .. } } = self.read().await else {
            panic!("expected an acknowledged publish");
        };
        (id, key)
    }

    pub(crate) async fn receipt(&mut self, id: u32, offset: u64) {
        let receipt = Receipt { topic: "a".parse().unwrap(), position: at(offset), duplicate: false };
        self.reply(id, Reply::Published(receipt)).await;
    }

    /// Breaks the connection as a failing network does: without a word.
    pub(crate) fn cut(self) {
        self.socket.get_ref().set_zero_linger().unwrap();
    }

    pub(crate) async fn close(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "as the test says".into() };
        in_time(self.socket.close(Some(frame))).await.unwrap();
    }
}
