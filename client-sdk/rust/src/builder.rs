//! The builder of a client.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::address::Address;
use crate::backoff::Backoff;
use crate::backoff::Reconnect;
use crate::client::Client;
use crate::dial::Dialer;
use crate::driver::{Controls, Driver};
use crate::error::Error;
use crate::exchange::Exchange;
use crate::idempotency_key::KeyMaker;
use crate::link::{Link, REQUEST_BUFFER_BYTES};
use crate::status::Status;
use crate::tls::Trust;
use crate::token::TokenSource;
use crate::wire::Encoding;

/// The default time-out of connecting, including the `connect` frame.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The default time-out of a request, including reconnecting.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Sets up a [`Client`].
#[derive(Debug)]
pub struct Builder {
    encoding: Encoding,
    authorities: Option<Vec<u8>>,
    token: TokenSource,
    name: String,
    reconnect: Reconnect,
    connect_timeout: Duration,
    request_timeout: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            encoding: Encoding::default(),
            authorities: None,
            token: TokenSource::default(),
            name: concat!("fanwire-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            reconnect: Reconnect::default(),
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
        }
    }
}

impl Client {
    /// Connects with the defaults: JSON frames, no token. See [`Builder::connect`].
    ///
    /// # Errors
    /// If the address is none, or no broker can be reached there. The first connection is tried once.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }

    /// Sets up a connection that is not the default one.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Sets the encoding; JSON by default.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Sets the certificates (PEM) to trust under `wss://` and `https://`: the broker's certificate must be one of these, or signed by
    /// one of these, and no other is trusted. For a private authority, or a self-signed certificate. If not set, the client
    /// trusts the authorities that browsers trust.
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// The token to show to the broker, at every connection. It travels in the first frame, never in the URL.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = TokenSource::keeping(token.into());
        self
    }

    /// Calls the application for a token at every connection, so that a client may live longer than its tokens: when the
    /// broker ends a session because its token has ended, the client reconnects with the next one and resumes. The tokens must all be
    /// of the same user. An error of the source counts as a failed attempt to connect.
    ///
    /// To continue without reconnecting, send the next token in time with [`Client::refresh`].
    pub fn token_source<S, F, E>(mut self, source: S) -> Self
    where
        S: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.token = TokenSource::asking(source);
        self
    }

    /// Sets the name that operators of the broker see; by default the name and version of this library.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets how the client waits between attempts to reconnect.
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Sets the time-out of one attempt to connect, including the `connect` frame; 10 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the time after which a request fails with [`Error::TimedOut`]; 10 s by default. Requests made while the
    /// connection is broken wait for the next one within this time.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Connects, once: only a connection that was there is made again. `url` is `ws://host:port/ws`,
    /// `http://host:port` or `host:port`; with `wss` or `https` in place of `ws` or `http` under TLS.
    ///
    /// # Errors
    /// If the address is none, no broker can be reached there, or it refuses the token.
    pub async fn connect(self, url: &str) -> Result<Client, Error> {
        let token = Arc::new(self.token);
        let address: Address = url.parse()?;
        let authorities = self.authorities.as_deref();
        let trust = address.has_tls().then(|| Trust::of(authorities)).transpose()?;
        let dialer = Arc::new(Dialer {
            address,
            trust,
            encoding: self.encoding,
            token: token.clone(),
            name: self.name,
            timeout: self.connect_timeout,
        });
        let connection = dialer.dial().await.map_err(|failure| failure.error)?;
        let (commands_sender, commands) = mpsc::unbounded_channel();
        let (attention, close): (Arc<Notify>, Arc<Notify>) = Default::default();
        let (status_sender, status) = watch::channel(Status::Connected {
            connection: connection.id.clone(),
            server: connection.server.clone(),
        });
        let driver = Driver {
            dialer,
            backoff: Backoff::new(self.reconnect),
            exchange: Exchange::default(),
            controls: Controls { commands, attention: attention.clone(), close: close.clone() },
            status: status_sender,
        };
        // Ends when the client is closed or let go of: see `Controls`.
        tokio::spawn(Box::pin(driver.run(connection)));
        let link = Link {
            commands: commands_sender,
            attention,
            close,
            status,
            budget: Arc::new(Semaphore::new(REQUEST_BUFFER_BYTES as usize)),
            timeout: self.request_timeout,
            keys: KeyMaker::new(fastrand::u64(..)),
            token,
            encoding: self.encoding,
        };
        Ok(Client { link: Arc::new(link) })
    }
}
