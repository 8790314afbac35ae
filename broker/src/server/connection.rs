//! One TCP connection: HTTP requests, one after the other, until it becomes a WebSocket or ends.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::dispatch::Dispatch;
use super::handshakes::Handshake;
use super::population::Inhabitant;
use crate::sessions::ConnectionTicket;
use crate::telemetry::HandshakeFailure;

/// What a connection counts as while it is there.
pub(super) struct Presence {
    /// Held for its drop: the worker waits for it when it drains.
    pub(super) inhabitant: Inhabitant,
    /// Dropped with the first request.
    pub(super) handshake: Handshake,
}

/// Serves one connection. WebSockets that it becomes go on in a task of their own.
pub(super) async fn serve(
    stream: std::net::TcpStream,
    ticket: Rc<ConnectionTicket>,
    dispatch: Rc<Dispatch>,
    mut draining: watch::Receiver<Option<Instant>>,
    presence: Presence,
) {
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::error!(%error, "a connection could not be registered"),
    };
    let limits = dispatch.limits();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake_timeout)
        .max_buf_size(limits.header_bytes_max);
    let Presence { inhabitant: _inhabitant, handshake } = presence;
    let handshake = RefCell::new(Some(handshake));
    let service = service_fn(|request: Request<Incoming>| {
        handshake.take();
        let (dispatch, ticket) = (dispatch.clone(), ticket.clone());
        async move { Ok::<_, Infallible>(dispatch.answer(request, ticket).await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let mut is_draining = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    if handshake.borrow().is_some() {
                        ticket.counters().handshake_failed(failure_of(&error));
                    }
                    tracing::debug!(%error, "HTTP connection ended");
                }
                return;
            }
            () = ticket.abort().notified() => {
                return tracing::debug!("HTTP connection given up: its client neither sends a request nor reads an answer");
            }
            _ = draining.changed(), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Why a connection ended that had not sent its first request.
fn failure_of(error: &hyper::Error) -> HandshakeFailure {
    if error.is_timeout() { HandshakeFailure::TimedOut } else { HandshakeFailure::Malformed }
}
