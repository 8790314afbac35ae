//! One TCP connection: HTTP requests, one after the other, until it becomes a WebSocket or ends.

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
use super::population::Inhabitant;
use crate::sessions::ConnectionTicket;

/// Serves one connection. WebSockets that it becomes go on in a task of their own.
pub(super) async fn serve(
    stream: std::net::TcpStream,
    ticket: Rc<ConnectionTicket>,
    dispatch: Rc<Dispatch>,
    mut draining: watch::Receiver<Option<Instant>>,
    _inhabitant: Inhabitant,
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
    let service = service_fn(|request: Request<Incoming>| {
        let (dispatch, ticket) = (dispatch.clone(), ticket.clone());
        async move { Ok::<_, Infallible>(dispatch.answer(request, ticket).await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let mut is_draining = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "HTTP connection ended");
                }
                return;
            }
            () = ticket.abort().notified() => return tracing::debug!("HTTP connection given up: its client does not read"),
            _ = draining.changed(), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
