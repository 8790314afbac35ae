//! Making a connection: TCP, TLS, the WebSocket handshake, and the greeting.

use std::sync::Arc;
use std::time::Duration;

use fanwire_protocol::{ClientFrame, ErrorCode, Reply, Request, ServerFrame};
use http::Uri;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder};

use crate::address::Address;
use crate::close::{Closing, Verdict, verdict_of_error};
use crate::error::Error;
use crate::socket::{Heard, Reading, Socket};
use crate::tls::{Carrier, Trust};
use crate::token::TokenSource;
use crate::wire::Encoding;

/// The largest frame taken from a broker. A page of history is one frame.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// The id of the greeting; no request of the exchange is under way yet.
const GREETING_ID: u32 = 0;

/// The assumed ping interval of a broker that announces none.
const PING_INTERVAL_DEFAULT: Duration = Duration::from_secs(25);

/// The maximum length of a plain HTTP answer in an error, in bytes.
const REASON_BYTES_MAX: usize = 300;

/// All that is needed to connect, again and again.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) address: Address,
    /// The certificates to trust, if the address asks for TLS.
    pub(crate) trust: Option<Trust>,
    pub(crate) encoding: Encoding,
    pub(crate) token: Arc<TokenSource>,
    pub(crate) name: String,
    pub(crate) timeout: Duration,
}

/// A connection that was greeted.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    pub(crate) id: String,
    pub(crate) server: String,
    pub(crate) ping_interval: Duration,
}

/// The reason why there is no connection, and whether to try again.
#[derive(Debug)]
pub(crate) struct DialError {
    pub(crate) error: Error,
    pub(crate) verdict: Verdict,
}

impl From<Error> for DialError {
    fn from(error: Error) -> Self {
        let verdict = verdict_of_error(&error);
        Self { error, verdict }
    }
}

impl Dialer {
    /// Connects and greets, within the time-out.
    pub(crate) async fn dial(&self) -> Result<Connection, DialError> {
        let late = || Error::Unreachable {
            url: self.address.to_string(),
            source: Arc::new(std::io::ErrorKind::TimedOut.into()),
        };
        match tokio::time::timeout(self.timeout, Box::pin(self.dial_patiently())).await {
            Ok(outcome) => outcome,
            Err(_) => Err(late().into()),
        }
    }

    async fn dial_patiently(&self) -> Result<Connection, DialError> {
        let token = self.token.token().await?;
        let unreachable =
            |error| Error::Unreachable { url: self.address.to_string(), source: Arc::new(error) };
        let stream = TcpStream::connect(self.address.socket()).await.map_err(unreachable)?;
        // Small frames are the rule here; Nagle's algorithm would hold each back for the last one's acknowledgement.
        stream.set_nodelay(true).map_err(unreachable)?;
        let stream = self.secure(stream).await?;
        let url = self.address.to_string();
        let uri: Uri = url.parse().map_err(|_| self.refused(None, "its URL cannot be asked for"))?;
        let request = ClientRequestBuilder::new(uri).with_sub_protocol(self.encoding.subprotocol());
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let (stream, _) = client_async_with_config(request, stream, Some(config))
            .await
            .map_err(|error| self.handshake_error(error))?;
        self.greet(Socket::new(stream, self.encoding), token).await
    }

    /// Puts the connection under TLS, if that is asked for.
    async fn secure(&self, stream: TcpStream) -> Result<Carrier, Error> {
        let Some(trust) = &self.trust else { return Ok(Carrier::Plain(stream)) };
        let url = || self.address.to_string();
        match trust.shake_hands(self.address.host(), stream).await {
            Ok(Ok(stream)) => Ok(Carrier::Tls(Box::new(stream))),
            Ok(Err(reason)) => Err(Error::Untrusted { url: url(), reason }),
            Err(error) => Err(Error::Unreachable { url: url(), source: Arc::new(error) }),
        }
    }

    /// Sends the `connect` frame and waits for `connected`. The token is sent here and not in the URL, because
    /// URLs end up in the logs of everything on the way.
    async fn greet(&self, mut socket: Socket, token: Option<String>) -> Result<Connection, DialError> {
        let request = Request::Connect { token, name: Some(self.name.clone()) };
        let mut greeting = Some(ClientFrame { id: Some(GREETING_ID), request });
        let mut closing: Option<Closing> = None;
        loop {
            let heard = socket.turn(|| greeting.take(), Reading::On).await;
            match heard.map_err(|reason| self.refused(None, &reason))? {
                Heard::Frame(ServerFrame::Reply { id: GREETING_ID, reply }) => {
                    let Reply::Connected { connection, ping_interval, server, .. } = reply else { continue };
                    let ping_interval = match ping_interval {
                        0 => PING_INTERVAL_DEFAULT,
                        seconds => Duration::from_secs(u64::from(seconds)),
                    };
                    return Ok(Connection { socket, id: connection, server, ping_interval });
                }
                Heard::Frame(ServerFrame::Error { code, message, .. }) => {
                    let is_over = code == ErrorCode::TokenExpired && self.token.renews();
                    let mut failure = DialError::from(Error::Rejected { code, message });
                    if is_over {
                        failure.verdict = Verdict::Reconnect { after: None };
                    }
                    return Err(failure);
                }
                Heard::Frame(ServerFrame::Closing { code, reason, reconnect, after_ms }) => {
                    closing = Some(Closing { code, reason, reconnect, after_ms });
                }
                Heard::Close { code, reason } => {
                    return Err(match closing {
                        Some(closing) => {
                            let verdict = closing.verdict();
                            let error =
                                Error::Disconnected { code: Some(closing.code), reason: closing.reason };
                            DialError { error, verdict }
                        }
                        None => Error::Disconnected { code, reason }.into(),
                    });
                }
                Heard::Frame(_) | Heard::Life => {}
            }
        }
    }

    fn handshake_error(&self, error: tungstenite::Error) -> Error {
        match error {
            tungstenite::Error::Http(response) => {
                let status = response.status();
                let said = said_in(response.body().as_deref().unwrap_or_default());
                let colon = if said.is_empty() { "" } else { ": " };
                self.refused(Some(status.as_u16()), &format!("HTTP {status}{colon}{said}"))
            }
            tungstenite::Error::Io(error) => {
                Error::Unreachable { url: self.address.to_string(), source: Arc::new(error) }
            }
            other => self.refused(None, &other.to_string()),
        }
    }

    fn refused(&self, status: Option<u16>, reason: &str) -> Error {
        Error::Refused { url: self.address.to_string(), status, reason: reason.to_owned() }
    }
}

/// The sentence for people in the body of an HTTP error: the `detail` of a problem document (RFC 9457 §3.1.4), else the
/// beginning of the body.
fn said_in(body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    if let Some(detail) = problem.as_ref().and_then(|problem| problem["detail"].as_str()) {
        return detail.to_owned();
    }
    String::from_utf8_lossy(&body[..body.len().min(REASON_BYTES_MAX)]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_for_people_is_found() {
        assert_eq!(
            said_in(b"{\"status\":403,\"detail\":\"this origin is not allowed\"}"),
            "this origin is not allowed"
        );
        assert_eq!(said_in(b"Bad gateway\n"), "Bad gateway");
        assert_eq!(said_in(&[b'x'; 10_000]).len(), REASON_BYTES_MAX);
        assert_eq!(said_in(b""), "");
    }
}
