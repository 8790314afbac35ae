//! The HTTP client of the broker: for key sets, and for the application behind hooks.
//!
//! It follows no redirects, sends no cookies, and bounds its answers in time and bytes, so that it calls exactly the URLs that the
//! operator configured. Its connections live on the runtime of the first caller.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The maximum number of bytes that are read of an answer of which only the status counts.
const UNREAD_BYTES_MAX: usize = 64 * 1024;

/// An HTTP client for requests to the application.
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// An error that says why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The server cannot be reached, or its certificate is not trusted.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// The answer did not arrive completely in time.
    #[error("no whole answer came within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// A status other than 200. Redirects are not followed.
    #[error("it answered {0} instead of 200 (redirects are not followed)")]
    Status(StatusCode),
    /// The answer is larger than the bound.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

impl HttpClient {
    /// Creates a client that trusts the authorities that browsers trust, and those in `authorities` (PEM).
    ///
    /// # Errors
    /// If `authorities` holds something other than certificates.
    pub(crate) fn new(authorities: Option<&[u8]>) -> io::Result<Self> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let wrong =
            |error: &dyn std::fmt::Display| io::Error::other(format!("no certificate (PEM): {error}"));
        for certificate in authorities.into_iter().flat_map(CertificateDer::pem_slice_iter) {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Fetches `uri` within `timeout` and `bytes_max`.
    ///
    /// # Errors
    /// If the answer does not arrive completely.
    pub(crate) async fn get(
        &self,
        uri: &Uri,
        timeout: Duration,
        bytes_max: usize,
    ) -> Result<Bytes, FetchError> {
        let all = self.get_unhurried(uri, bytes_max);
        tokio::time::timeout(timeout, all).await.unwrap_or(Err(FetchError::TimedOut(timeout)))
    }

    async fn get_unhurried(&self, uri: &Uri, bytes_max: usize) -> Result<Bytes, FetchError> {
        let request = Request::get(uri.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("fanwire/", env!("CARGO_PKG_VERSION")))
            .body(Full::default())
            .map_err(|error| FetchError::Unreachable(error.to_string()))?;
        self.ask(request, bytes_max).await
    }

    /// Sends `body` to `uri` and reads the answer of at most `bytes_max`. The caller bounds the time.
    ///
    /// # Errors
    /// If the answer does not arrive completely.
    pub(crate) async fn post<const N: usize>(
        &self,
        uri: &Uri,
        headers: [(HeaderName, HeaderValue); N],
        body: Bytes,
        bytes_max: usize,
    ) -> Result<Bytes, FetchError> {
        self.ask(post_request(uri, headers, body)?, bytes_max).await
    }

    /// Sends `body` to `uri` and returns the status and `Retry-After` of the answer. The rest of the answer is read, up to a bound, and
    /// thrown away, so that the connection can be used again. The caller bounds the time.
    ///
    /// # Errors
    /// If no answer arrives.
    pub(crate) async fn post_for_status<const N: usize>(
        &self,
        uri: &Uri,
        headers: [(HeaderName, HeaderValue); N],
        body: Bytes,
    ) -> Result<(StatusCode, Option<HeaderValue>), FetchError> {
        let request = post_request(uri, headers, body)?;
        let response = self.client.request(request).await.map_err(|error| unreachable(&error))?;
        let (status, retry_after) = (response.status(), response.headers().get(header::RETRY_AFTER).cloned());
        // Only the status counts. An answer that breaks off costs only the connection.
        let _unread = Limited::new(response.into_body(), UNREAD_BYTES_MAX).collect().await;
        Ok((status, retry_after))
    }

    async fn ask(&self, request: Request<Full<Bytes>>, bytes_max: usize) -> Result<Bytes, FetchError> {
        let response = self.client.request(request).await.map_err(|error| unreachable(&error))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        match Limited::new(response.into_body(), bytes_max).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLarge(bytes_max)),
            Err(error) => Err(FetchError::Unreachable(error.to_string())),
        }
    }
}

fn post_request<const N: usize>(
    uri: &Uri,
    headers: [(HeaderName, HeaderValue); N],
    body: Bytes,
) -> Result<Request<Full<Bytes>>, FetchError> {
    let mut request = Request::post(uri.clone())
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("fanwire/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(body))
        .map_err(|error| FetchError::Unreachable(error.to_string()))?;
    request.headers_mut().extend(headers);
    Ok(request)
}

/// Returns the whole chain of causes, because the outermost error names no reason.
fn unreachable(error: &dyn std::error::Error) -> FetchError {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    FetchError::Unreachable(causes.join(": "))
}
