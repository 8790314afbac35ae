//! How a connection begins, before HTTP: what a proxy says of it, the TLS hand-shake where there is a certificate, and an understandable answer to
//! those who speak the other of the two.

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

/// A fatal alert, `handshake_failure` (RFC 8446 §6), which clients of TLS report in words of their own.
const TLS_ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// How much of what came is thrown away before hanging up, so that the answer is not lost to a reset.
const DISCARDED_BYTES_MAX: usize = 16 * 1024;

/// The answer to plain HTTP where TLS is spoken.
const PLAIN_ON_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\
    content-length: 69\r\n\r\nthis port speaks TLS: write https:// or wss:// in place of http or ws";

/// What must be known to begin a connection.
#[derive(Clone)]
pub(super) struct Preamble {
    /// The certificate to show, if TLS is spoken.
    pub(super) certificates: Option<Arc<Certificates>>,
    /// Who may speak for others.
    pub(super) proxies: Arc<Proxies>,
}

/// Reads the header of the PROXY protocol. Returns whom the proxy speaks for, if for anybody but itself. How long it may
/// take is the caller's business.
///
/// # Errors
/// If there is none.
pub(super) async fn begin_proxied(stream: &mut TcpStream) -> Result<Option<IpAddr>, HandshakeFailure> {
    let mut header = Vec::new();
    loop {
        let needed = match proxy::read(&header) {
            Ok(Progress::Whole(client)) => return Ok(client),
            Ok(Progress::Needs(needed)) => needed,
            Err(reason) => {
                tracing::debug!(reason, "a trusted proxy did not begin as it should");
                warn_once(
                    &WARNED_OF_PROXY,
                    "a connection from a trusted proxy had no PROXY header: let the proxy send one, or set \
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

/// Makes the TLS hand-shake. How long it may take is the caller's business.
///
/// # Errors
/// Why there is no TLS connection; the client has been told.
pub(super) async fn begin_tls(
    stream: TcpStream,
    certificates: &Certificates,
) -> Result<TlsStream<TcpStream>, HandshakeFailure> {
    if first_byte(&stream).await? != TLS_HANDSHAKE {
        warn_once(
            &WARNED_OF_PLAIN,
            "plain HTTP came to a port that speaks TLS: clients must use https:// or wss://",
        );
        hang_up(&stream, PLAIN_ON_TLS);
        return Err(HandshakeFailure::PlainOnTls);
    }
    TlsAcceptor::from(certificates.current()).accept(stream).await.map_err(|error| {
        tracing::debug!(%error, "TLS hand-shake failed");
        HandshakeFailure::Tls
    })
}

/// Sees that a connection does not begin with a TLS hand-shake, which plain HTTP would answer with something no client of
/// TLS understands.
///
/// # Errors
/// If it does; the client has been told.
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

/// The first byte, left where it is.
async fn first_byte(stream: &TcpStream) -> Result<u8, HandshakeFailure> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1..) => Ok(first[0]),
        Ok(0) | Err(_) => Err(HandshakeFailure::Left),
    }
}

/// Sends a last word and nothing more.
fn hang_up(stream: &TcpStream, word: &[u8]) {
    let mut discarded = vec![0; DISCARDED_BYTES_MAX];
    let _left_already: io::Result<usize> = stream.try_read(&mut discarded);
    // One small write to an empty socket; if it does not go, it does not matter.
    let _not_told = stream.try_write(word);
}

static WARNED_OF_PLAIN: AtomicBool = AtomicBool::new(false);
static WARNED_OF_PROXY: AtomicBool = AtomicBool::new(false);
static WARNED_OF_TLS: AtomicBool = AtomicBool::new(false);

/// Says once what an operator should know, and from then on only to those who debug: strangers must not fill the log.
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
