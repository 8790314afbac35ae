//! The listening socket while the broker drains: probes and new clients receive an answer, not a refused connection.
//!
//! The workers accept nothing any more. This file answers on the main thread until they have ended: `/healthz` with 200, every other
//! request with 503 and `Retry-After`, each with the end of its connection.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::preamble::{self, Preamble};
use crate::http::Readiness;

/// The maximum number of connections that are answered at once. Further connections wait in the backlog of the socket.
const CONNECTIONS_MAX: usize = 64;

/// The time that one connection has for its request and the answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause after a failed accept, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers every connection until the future is dropped, which ends all of them.
pub(super) async fn answer_all(listener: &TcpListener, preamble: &Preamble) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    let preamble = preamble.clone();
                    connections.spawn(async move {
                        let _out_of_time = tokio::time::timeout(CONNECTION_TIMEOUT, answer(stream, preamble)).await;
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn answer(mut stream: TcpStream, preamble: Preamble) {
    let Ok(peer) = stream.peer_addr() else { return };
    if preamble.proxies.sends_header(peer.ip()) && preamble::begin_proxied(&mut stream).await.is_err() {
        return;
    }
    let Some(certificates) = &preamble.certificates else {
        if preamble::begin_plain(&stream).await.is_ok() {
            serve_http1(stream).await;
        }
        return;
    };
    let Ok(stream) = preamble::begin_tls(stream, certificates).await else { return };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        serve_http2(stream).await;
    } else {
        serve_http1(stream).await;
    }
}

async fn serve_http1(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(respond(&request)) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _client_is_gone = connection.await;
}

async fn serve_http2(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let answered = Arc::new(Notify::new());
    let service = service_fn(|request| {
        answered.notify_one();
        async move { Ok::<_, Infallible>(respond(&request)) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = answered.notified() => connection.as_mut().graceful_shutdown(),
    }
    let _client_is_gone = connection.await;
}

fn respond<B>(request: &Request<B>) -> Response<Full<Bytes>> {
    if request.uri().path() == "/healthz" {
        let mut response = Response::new(Full::from("alive\n"));
        response.headers_mut().insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
        return response;
    }
    Readiness::draining().into_response().map(Full::new)
}
