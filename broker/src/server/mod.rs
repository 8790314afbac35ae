//! The assembled broker: the only place that knows all parts.
//!
//! The main thread accepts connections and does periodic work. Each worker is a thread with a runtime of its own, which
//! serves the connections that it receives from their first byte to their last.
//!
//! Imports inside this folder point downward: this file → `accept`, `workers` → `worker` → `connection` → `unserved`, `dispatch` →
//! `origin_check`, `http2_streams` → `cors`, `head_limit`, `preamble`, `refusal`, `request_body`; `application`, `credentials`, `key_keeper`, `pusher` → `rules` → `error`.

mod accept;
mod application;
mod connection;
mod cors;
mod credentials;
mod dispatch;
mod error;
mod handshakes;
mod head_limit;
mod housekeeping;
mod http2_streams;
mod key_keeper;
mod open_connections;
mod origin_check;
mod preamble;
mod pusher;
mod refusal;
mod reload;
mod request_body;
mod rules;
mod storage;
mod unserved;
mod webhook_thread;
mod worker;
mod workers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

pub use error::ServeError;

use crate::auth::{SharedAuthenticator, SharedOrigins};
use crate::config::{Config, ProxyProtocol};
use crate::engine::{Archive, Engine};
use crate::hooks::Webhooks;
use crate::http::Readiness;
use crate::hub::Pressure;
use crate::proxy::Proxies;
use crate::pusher::SharedPusherApps;
use crate::telemetry::Shared;
use crate::tls::{CertificateFiles, Certificates};
use accept::Acceptor;
use credentials::{authenticator_of, check_origins, reach_of};
use head_limit::HeadLimit;
use key_keeper::{KeyKeeper, client_of};
use origin_check::OriginCheck;
use preamble::Preamble;
use pusher::pusher_apps_of;
use reload::Reloader;
use unserved::UnservedConnections;
use worker::WorkerHandle;
use workers::{Running, SharedParts};

/// The time that threads which read files may take when the broker stops. A file system that does not answer must not keep
/// the process alive.
const BLOCKING_TIMEOUT: Duration = Duration::from_millis(500);

/// An instruction to a running broker.
#[derive(Debug)]
pub enum Instruction {
    /// Apply the settings of this configuration that can change while the broker runs, and log the others.
    Reload(Box<Config>),
    /// Drain the broker and stop it.
    Stop,
}

/// A broker that listens but does not serve yet.
pub struct Server {
    config: Config,
    listener: std::net::TcpListener,
    certificates: Option<Arc<Certificates>>,
    address: SocketAddr,
    shared: Arc<Shared>,
    pressure: Arc<Pressure>,
    readiness: Arc<Readiness>,
    archive: Option<Arc<dyn Archive>>,
}

impl Server {
    /// Checks whether a broker would start with this configuration, as far as that is known without a start. Reads the files
    /// that the configuration names.
    ///
    /// # Errors
    /// If the configuration would open the broker to the network without saying so, or names a file that cannot be used.
    pub fn check(config: &Config) -> Result<(), ServeError> {
        let is_decided = config.open || config.has_authentication();
        if !is_decided && !config.listen.ip().is_loopback() {
            return Err(ServeError::OpenToAll(config.listen));
        }
        rules::rules_of(config)?;
        check_origins(config)?;
        authenticator_of(config, None)?;
        certificate_files(config).map(Certificates::load).transpose()?;
        client_of(&config.auth)?;
        application::security_of(&config.hooks)?;
        pusher_apps_of(config)?;
        Ok(())
    }

    /// Starts to listen. Connections are served once [`Server::run`] is called.
    ///
    /// # Errors
    /// As [`Server::check`]; or if the broker cannot listen on the address or use the data directory.
    pub fn bind(config: Config) -> Result<Self, ServeError> {
        Self::check(&config)?;
        let certificates = certificate_files(&config).map(Certificates::load).transpose()?.map(Arc::new);
        let listen = |source| ServeError::Listen { address: config.listen, source };
        let listener = accept::listen(config.listen).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (shared, readiness): (Arc<Shared>, Arc<Readiness>) = Default::default();
        let pressure = Arc::new(Pressure::new(config.limits.inbox_bytes_max, shared.clone()));
        let archive = storage::open(&config, &pressure, &readiness, &shared)?;
        Ok(Self { config, listener, certificates, address, shared, pressure, readiness, archive })
    }

    /// Returns the address on which the broker listens, with the real port if the configuration says port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns whether the broker speaks TLS.
    pub fn has_tls(&self) -> bool {
        self.certificates.is_some()
    }

    /// Returns the number of workers that will run.
    pub fn workers(&self) -> usize {
        match self.config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }

    /// Serves and follows the instructions of `next_instruction` until one says stop. Then it drains: it closes all sessions
    /// with a request to reconnect, writes what waits, and returns within `limits.drain_timeout`.
    ///
    /// `next_instruction` is called on a runtime. Its future may be dropped, and called again, at any time.
    ///
    /// # Errors
    /// If the broker cannot start.
    pub fn run(self, next_instruction: impl AsyncFnMut() -> Instruction) -> Result<(), ServeError> {
        accept::raise_open_files_limit();
        let start = |error: io::Error| ServeError::Start(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(start)?;
        let result = runtime.block_on(self.serve(next_instruction));
        runtime.shutdown_timeout(BLOCKING_TIMEOUT);
        result
    }

    async fn serve(mut self, next_instruction: impl AsyncFnMut() -> Instruction) -> Result<(), ServeError> {
        let start = |error: &dyn std::error::Error| ServeError::Start(error.to_string());
        let listener = self.listener.try_clone().and_then(TcpListener::from_std).map(Arc::new);
        let listener = listener.map_err(|error| start(&error))?;
        let rules = rules::rules_of(&self.config)?;
        let origins = Arc::new(SharedOrigins::new(self.config.origins.clone(), reach_of(&self.config)));
        let keeper = KeyKeeper::new(&self.config.auth, self.shared.clone())?;
        let key_set = keeper.as_ref().map(|keeper| keeper.keys().clone());
        let authenticator = authenticator_of(&self.config, key_set.clone()).map(SharedAuthenticator::new)?;
        let authenticator = Arc::new(authenticator);
        let pusher_apps = Arc::new(SharedPusherApps::new(pusher_apps_of(&self.config)?));
        let (hooks, senders) = application::hooks_of(&self.config, &self.shared, &pusher_apps)?;
        let webhook_thread = webhook_thread::start(senders).map_err(|error| start(&error))?;
        let preamble =
            Preamble { certificates: self.certificates.clone(), proxies: proxies_of(&self.config) };
        let origin_check = OriginCheck::new(
            origins.clone(),
            authenticator.clone(),
            &preamble,
            HeadLimit::new(&self.config.limits),
        );
        let unserved = self.answer_unserved(&preamble, &origin_check)?;
        let (count, archive) = (self.workers(), self.archive.take());
        let parts = SharedParts {
            config: &self.config,
            shared: &self.shared,
            pressure: &self.pressure,
            readiness: &self.readiness,
            origin_check: &origin_check,
            unserved: &unserved,
            authenticator: &authenticator,
            hooks: &hooks,
            preamble: &preamble,
            pusher_apps: &pusher_apps,
        };
        let Running { engine, overview, workers } = workers::start(&parts, count, rules, archive)?;
        let reloader = Reloader {
            current: self.config.clone(),
            engine: engine.clone(),
            origins,
            authenticator,
            key_set,
            certificates: self.certificates.clone(),
            hooks: hooks.clone(),
            pusher_apps,
        };
        let mut acceptor = Acceptor::new(
            listener.clone(),
            &self.config.limits,
            preamble.proxies.clone(),
            unserved.clone(),
            self.shared.clone(),
        );
        tokio::select! {
            () = follow(next_instruction, reloader) => {}
            () = acceptor.run(&workers) => {}
            () = housekeeping::keep_tidy(&engine, &overview) => {}
            () = housekeeping::watch_certificates(self.certificates.clone(), &self.shared) => {}
            () = KeyKeeper::run_if_any(keeper.as_ref()) => {}
        }
        let drain_timeout = self.config.limits.drain_timeout;
        let deadline = Instant::now() + drain_timeout;
        self.drain(workers, &listener, &unserved, deadline - webhook_thread.share_of(drain_timeout)).await;
        drop((listener, self.listener));
        conclude(&engine, hooks.webhooks().map(|webhooks| &**webhooks));
        webhook_thread.finish(deadline);
        Ok(())
    }

    /// Starts the thread that answers connections that no worker serves.
    fn answer_unserved(
        &self,
        preamble: &Preamble,
        origin_check: &OriginCheck,
    ) -> Result<UnservedConnections, ServeError> {
        unserved::start(preamble.clone(), origin_check.clone(), self.shared.clone())
            .map_err(|error| ServeError::Start(error.to_string()))
    }

    /// Waits until all workers have ended, and answers new connections meanwhile.
    async fn drain(
        &self,
        workers: Vec<WorkerHandle>,
        listener: &TcpListener,
        unserved: &UnservedConnections,
        deadline: Instant,
    ) {
        self.readiness.drain();
        tokio::select! {
            () = workers::drain(workers, deadline) => {}
            () = accept::answer_while_draining(listener, unserved) => {}
        }
    }
}

/// Follows the instructions until one says stop.
async fn follow(mut next_instruction: impl AsyncFnMut() -> Instruction, mut reloader: Reloader) {
    loop {
        match next_instruction().await {
            Instruction::Stop => return,
            Instruction::Reload(config) => reloader.apply(*config).await,
        }
    }
}

/// Reports that all sessions have ended: no user stays a member, and no topic is occupied.
fn conclude(engine: &Engine, webhooks: Option<&Webhooks>) {
    engine.members().expire(u64::MAX);
    if let Some(webhooks) = webhooks {
        webhooks.conclude();
    }
}

fn proxies_of(config: &Config) -> Arc<Proxies> {
    let has_header = config.proxy.protocol == ProxyProtocol::V1V2;
    Arc::new(Proxies::new(config.proxy.trusted.clone(), has_header))
}

fn certificate_files(config: &Config) -> Option<CertificateFiles> {
    let (certificate, key) = config.tls.certificate.clone().zip(config.tls.key.clone())?;
    Some(CertificateFiles { certificate, key })
}
