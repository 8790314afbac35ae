//! The preamble of a connection, before HTTP: the header of a proxy, the TLS handshake if there is a certificate, and a readable answer
//! to a client that speaks TLS to a plain port or plain HTTP to a TLS port.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::proxy::{self, Progress, Proxies};
use crate::telemetry::HandshakeFailure;
use crate::tls::Certificates;

/// The first byte of every TLS connection: a record of type handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// A fatal alert, `handshake_failure` (RFC 8446 §6), which TLS clients report as an error.
const TLS_ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// The maximum number of received bytes that are thrown away before the connection closes, so that a reset does not destroy the answer.
const DISCARDED_BYTES_MAX: usize = 16 * 1024;

/// The answer to plain HTTP where TLS is spoken.
const PLAIN_ON_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\
    content-length: 69\r\n\r\nthis port speaks TLS: write https:// or wss:// in place of http or ws";

/// The settings of the preamble.
#[derive(Clone)]
pub(super) struct Preamble {
    /// The certificate, if the port speaks TLS.
    pub(super) certificates: Option<Arc<Certificates>>,
    /// The proxies whose headers are trusted.
    pub(super) proxies: Arc<Proxies>,
}

/// Reads the header of the PROXY protocol. Returns the address of the client, or `None` if the proxy connects on its own behalf. The caller
/// bounds the time.
///
/// # Errors
/// If there is no header.
pub(super) async fn begin_proxied(stream: &mut TcpStream) -> Result<Option<IpAddr>, HandshakeFailure> {
    let mut header = Vec::new();
    loop {
        let needed = match proxy::read(&header) {
            Ok(Progress::Whole(client)) => return Ok(client),
            Ok(Progress::Needs(needed)) => needed,
            Err(reason) => {
                tracing::debug!(reason, "a trusted proxy sent no valid PROXY header");
                warn_once(
                    &WARNED_OF_PROXY,
                    "a connection from a trusted proxy had no PROXY header: configure the proxy to send one, or set \
                     proxy.protocol = \"off\"",
                );
                return Err(HandshakeFailure::Proxy);
            }
        };
        let start = header.len();
        header.resize(start + needed, 0);
        if stream.read_exact(&mut header[start..]).await.is_err() {
            return Err(HandshakeFailure::Left);
        }
    }
}

/// Performs the TLS handshake. The caller bounds the time.
///
/// # Errors
/// If there is no TLS connection. The client has received an answer.
pub(super) async fn begin_tls(
    stream: TcpStream,
    certificates: &Certificates,
) -> Result<TlsStream<TcpStream>, HandshakeFailure> {
    if first_byte(&stream).await? != TLS_HANDSHAKE {
        warn_once(
            &WARNED_OF_PLAIN,
            "a client sent plain HTTP to a port that speaks TLS: clients must use https:// or wss://",
        );
        hang_up(&stream, PLAIN_ON_TLS);
        return Err(HandshakeFailure::PlainOnTls);
    }
    TlsAcceptor::from(certificates.current()).accept(stream).await.map_err(|error| {
        tracing::debug!(%error, "TLS handshake failed");
        HandshakeFailure::Tls
    })
}

/// Checks that a connection does not begin with a TLS handshake, which plain HTTP would answer with bytes that no TLS client
/// understands.
///
/// # Errors
/// If it does. The client has received an alert.
pub(super) async fn begin_plain(stream: &TcpStream) -> Result<(), HandshakeFailure> {
    if first_byte(stream).await? == TLS_HANDSHAKE {
        warn_once(
            &WARNED_OF_TLS,
            "a client speaks TLS to a port that does not: set tls.certificate and tls.key, or use http:// and ws://",
        );
        hang_up(stream, &TLS_ALERT);
        return Err(HandshakeFailure::TlsOnPlain);
    }
    Ok(())
}

/// Returns the first byte without consuming it.
async fn first_byte(stream: &TcpStream) -> Result<u8, HandshakeFailure> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1..) => Ok(first[0]),
        Ok(0) | Err(_) => Err(HandshakeFailure::Left),
    }
}

/// Sends a last answer.
fn hang_up(stream: &TcpStream, word: &[u8]) {
    let mut discarded = vec![0; DISCARDED_BYTES_MAX];
    let _client_is_gone: io::Result<usize> = stream.try_read(&mut discarded);
    // One small write to an empty socket. If it fails, the client is gone.
    let _client_is_gone = stream.try_write(word);
}

static WARNED_OF_PLAIN: AtomicBool = AtomicBool::new(false);
static WARNED_OF_PROXY: AtomicBool = AtomicBool::new(false);
static WARNED_OF_TLS: AtomicBool = AtomicBool::new(false);

/// Logs a warning once, and then at debug level only: clients must not fill the log.
fn warn_once(warned: &AtomicBool, sentence: &str) {
    if warned.swap(true, Ordering::Relaxed) {
        tracing::debug!("{sentence}");
    } else {
        tracing::warn!("{sentence}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_is_as_long_as_it_says() {
        let text = std::str::from_utf8(PLAIN_ON_TLS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
