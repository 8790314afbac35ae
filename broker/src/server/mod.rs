//! The broker put together: the only place that knows all the parts.
//!
//! The main thread accepts connections and tidies up; each worker, a thread with a runtime of its own, serves the
//! connections that are dealt to it from beginning to end.

mod accept;
mod application;
mod connection;
mod credentials;
mod dispatch;
mod handshakes;
mod key_keeper;
mod open_connections;
mod preamble;
mod reload;
mod storage;
mod webhook_thread;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use fanwire_core::limits::HistoryLimits;
use fanwire_core::rate::Rate;
use fanwire_core::rules::{Rule, Rules, SlowPolicy, TopicPolicy};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::auth::{SharedAuthenticator, SharedOrigins};
use crate::clock;
use crate::config::{Config, HistoryRule, ProxyProtocol, RateLimit, SlowRule};
use crate::engine::Engine;
use crate::hooks::Hooks;
use crate::http::Readiness;
use crate::hub::{Inbox, Pressure};
use crate::log_limit;
use crate::proxy::Proxies;
use crate::sessions::WorkerMailboxes;
use crate::store::Store;
use crate::telemetry::{Facts, Metrics, Overview, Shared, WorkerCounters};
use crate::tls::{CertificateFiles, Certificates, TlsError};
use accept::Acceptor;
use credentials::{authenticator_of, reach_of, unruled_access};
use key_keeper::{KeyKeeper, client_of};
use preamble::Preamble;
use reload::Reloader;
use worker::{WorkerHandle, WorkerParts};

/// How often history is trimmed and idle topics are dropped.
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

/// How often durable topics are looked after on disk.
const TIDY_STORE_INTERVAL: Duration = Duration::from_secs(60);

/// How often what waits for the disk is counted.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);

/// How often the files of the certificate are looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(5);

/// Why the broker did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It would be open to everybody who can reach it.
    #[error(
        "{0} can be reached from other machines and nobody would be asked for credentials: write \
         [auth] with a secret_file or public_key_file into the configuration, listen on a loopback address (the default, \
         127.0.0.1:7400), or say --open if everybody may publish and subscribe"
    )]
    OpenToAll(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// What is to be accepted as credentials cannot be read. The text is a whole sentence.
    #[error("{0}")]
    Auth(String),
    /// The certificate cannot be shown.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// The application behind hooks cannot be called. The text is a whole sentence.
    #[error("{0}")]
    Hooks(String),
    /// A `[[topic]]` pattern is none.
    #[error("topic.match '{pattern}': {source}")]
    Pattern {
        /// The pattern as configured.
        pattern: String,
        /// What is wrong with it.
        source: fanwire_core::rule_pattern::RulePatternError,
    },
    /// The data directory cannot be made.
    #[error("the data directory {} cannot be made: {source}", .directory.display())]
    DataDirectory {
        /// Which.
        directory: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error("{0}")]
    Store(String),
    /// A thread, runtime or metric could not be made.
    #[error("cannot start: {0}")]
    Start(String),
}

/// What a running broker is told.
#[derive(Debug)]
pub enum Order {
    /// Take over from this configuration what can change while it runs, and say what cannot.
    Reload(Box<Config>),
    /// Drain and stop.
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
    store: Option<Store>,
}

/// A broker whose workers serve.
struct Running {
    engine: Arc<Engine>,
    overview: Arc<Overview>,
    workers: Vec<WorkerHandle>,
}

impl Server {
    /// Whether a broker would start with this configuration, as far as that can be told without starting it: the files that it
    /// names are read.
    ///
    /// # Errors
    /// If the configuration would leave the broker open to all without saying so, or names something that will not do.
    pub fn check(config: &Config) -> Result<(), ServeError> {
        let is_decided = config.open || config.asks_for_credentials();
        if !is_decided && !config.listen.ip().is_loopback() {
            return Err(ServeError::OpenToAll(config.listen));
        }
        rules_of(config)?;
        authenticator_of(config, None)?;
        certificate_files(config).map(Certificates::load).transpose()?;
        client_of(&config.auth)?;
        application::trust_of(&config.hooks)?;
        Ok(())
    }

    /// Begins to listen. Connections are served once [`Server::run`] is called.
    ///
    /// # Errors
    /// If the configuration would leave the broker open to all without saying so, or the address or the data directory is
    /// not to be had.
    pub fn bind(config: Config) -> Result<Self, ServeError> {
        Self::check(&config)?;
        let certificates = certificate_files(&config).map(Certificates::load).transpose()?.map(Arc::new);
        let listen = |source| ServeError::Listen { address: config.listen, source };
        let listener = accept::listen(config.listen).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (shared, readiness): (Arc<Shared>, Arc<Readiness>) = Default::default();
        let pressure = Arc::new(Pressure::new(config.limits.inbox_bytes_max, shared.clone()));
        let store = storage::open(&config, &pressure, &readiness, &shared)?;
        Ok(Self { config, listener, certificates, address, shared, pressure, readiness, store })
    }

    /// Where the broker listens; with the port that was found if any was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the broker speaks TLS.
    pub fn has_tls(&self) -> bool {
        self.certificates.is_some()
    }

    /// The number of workers there will be.
    pub fn workers(&self) -> usize {
        match self.config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }

    /// Serves, following what `next_order` says, until that is to stop. Then it drains: accepts nobody new, asks everybody
    /// to come back elsewhere, writes out what waits, and returns within `limits.drain_timeout`.
    ///
    /// `next_order` is called on a runtime, and its future may be dropped and asked for again at any time.
    ///
    /// # Errors
    /// If the broker cannot be started.
    pub fn run(self, next_order: impl AsyncFnMut() -> Order) -> Result<(), ServeError> {
        accept::raise_open_files_limit();
        let start = |error: io::Error| ServeError::Start(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(start)?;
        runtime.block_on(self.serve(next_order))
    }

    async fn serve(mut self, mut next_order: impl AsyncFnMut() -> Order) -> Result<(), ServeError> {
        let start = |error: &dyn std::error::Error| ServeError::Start(error.to_string());
        let listener = TcpListener::from_std(self.listener.try_clone().map_err(|error| start(&error))?)
            .map_err(|error| start(&error))?;
        let rules = rules_of(&self.config)?;
        let origins = Arc::new(SharedOrigins::new(self.config.origins.clone(), reach_of(&self.config)));
        let keeper = KeyKeeper::new(&self.config.auth, self.shared.clone())?;
        let key_set = keeper.as_ref().map(|keeper| keeper.keys().clone());
        let authenticator = authenticator_of(&self.config, key_set.clone())?;
        let authenticator = Arc::new(SharedAuthenticator::new(authenticator));
        let (hooks, courier) = application::hooks_of(&self.config, self.shared.clone())?;
        let telling = webhook_thread::start(courier).map_err(|error| start(&error))?;
        let Running { engine, overview, workers } =
            self.start_workers(rules, &origins, &authenticator, &hooks)?;
        let mut reloader = Reloader::new(
            self.config.clone(),
            engine.clone(),
            origins,
            authenticator,
            key_set,
            self.certificates.clone(),
            hooks,
        );
        let mut acceptor = Acceptor::new(
            listener,
            &self.config.limits,
            proxies_of(&self.config),
            self.has_tls(),
            self.shared.clone(),
        );
        {
            let mut accepting = pin!(acceptor.run(&workers));
            let mut tidying = pin!(keep_tidy(&engine, &overview));
            let mut watching = pin!(watch_certificates(self.certificates.as_deref(), &self.shared));
            let mut keeping = pin!(async {
                match &keeper {
                    Some(keeper) => keeper.run().await,
                    None => std::future::pending().await,
                }
            });
            loop {
                tokio::select! {
                    order = next_order() => match order {
                        Order::Stop => break,
                        Order::Reload(config) => reloader.apply(*config),
                    },
                    () = &mut accepting => break,
                    () = &mut tidying => break,
                    () = &mut watching => break,
                    () = &mut keeping => break,
                }
            }
        }
        self.readiness.drain();
        drop((acceptor, self.listener));
        let deadline = Instant::now() + self.config.limits.drain_timeout;
        drain(workers, deadline - telling.share_of(self.config.limits.drain_timeout)).await;
        engine.conclude();
        telling.finish(deadline);
        Ok(())
    }

    fn start_workers(
        &mut self,
        rules: Rules,
        origins: &Arc<SharedOrigins>,
        authenticator: &Arc<SharedAuthenticator>,
        hooks: &Arc<Hooks>,
    ) -> Result<Running, ServeError> {
        let (limits, shared, pressure) = (&self.config.limits, &self.shared, &self.pressure);
        let inboxes: Vec<_> = (0..self.workers()).map(|_| Arc::new(Inbox::new(pressure.clone()))).collect();
        let counters: Vec<Arc<WorkerCounters>> = inboxes.iter().map(|_| Arc::default()).collect();
        let history_bytes_max = self.config.history.bytes_max;
        let store = self.store.take();
        let engine = Engine::new(
            inboxes.clone(),
            pressure.clone(),
            rules,
            history_bytes_max,
            shared.clone(),
            store,
            limits.presence_grace,
        );
        let engine = Arc::new(engine.with_webhooks(hooks.webhooks().cloned()));
        let metrics = Metrics::new(counters.clone(), shared.clone())
            .map_err(|error| ServeError::Start(error.to_string()))?;
        let facts = Facts {
            history_bytes_max,
            outbox_bytes_max: limits.outbox_bytes_max as u64,
            has_hooks: self.config.hooks.url.is_some(),
            has_store: engine.has_store(),
        };
        let overview = Arc::new(Overview::new(counters.clone(), shared.clone(), facts));
        let beginning =
            Preamble { certificates: self.certificates.clone(), proxies: proxies_of(&self.config) };
        let (calls, incoming_calls) = WorkerMailboxes::new(self.workers());
        let mut workers = Vec::new();
        let each = inboxes.into_iter().zip(counters).zip(incoming_calls).enumerate();
        for (number, ((inbox, counters), incoming_calls)) in each {
            let parts = WorkerParts {
                number,
                workers: self.workers(),
                inbox,
                counters,
                engine: engine.clone(),
                limits: limits.clone(),
                origins: origins.clone(),
                authenticator: authenticator.clone(),
                hooks: hooks.clone(),
                metrics: metrics.clone(),
                overview: overview.clone(),
                readiness: self.readiness.clone(),
                beginning: beginning.clone(),
                calls: calls.clone(),
                incoming_calls,
            };
            workers.push(worker::start(parts).map_err(|error| ServeError::Start(error.to_string()))?);
        }
        Ok(Running { engine, overview, workers })
    }
}

fn rules_of(config: &Config) -> Result<Rules, ServeError> {
    let mut rules = Vec::new();
    for rule in &config.topics {
        let pattern = rule
            .pattern
            .parse()
            .map_err(|source| ServeError::Pattern { pattern: rule.pattern.clone(), source })?;
        let history = rule.history.as_ref().map_or(HistoryLimits::OFF, history_limits);
        let slow = match rule.slow {
            SlowRule::Disconnect => SlowPolicy::Disconnect,
            SlowRule::Skip => SlowPolicy::Skip,
            SlowRule::Latest => SlowPolicy::Latest,
        };
        let policy = TopicPolicy {
            history,
            slow,
            rate: rule.rate.map(rate),
            durable: rule.durable,
            presence: rule.presence,
        };
        rules.push(Rule { pattern, policy, publish: rule.publish, subscribe: rule.subscribe });
    }
    Ok(Rules::new(rules, unruled_access(config)))
}

fn proxies_of(config: &Config) -> Arc<Proxies> {
    let has_header = config.proxy.protocol == ProxyProtocol::V1V2;
    Arc::new(Proxies::new(config.proxy.trusted.clone(), has_header))
}

fn certificate_files(config: &Config) -> Option<CertificateFiles> {
    let (certificate, key) = config.tls.certificate.clone().zip(config.tls.key.clone())?;
    Some(CertificateFiles { certificate, key })
}

/// A configured rate as the core counts it.
fn rate(limit: RateLimit) -> Rate {
    Rate { per_second: limit.per_second, burst: limit.burst }
}

fn history_limits(rule: &HistoryRule) -> HistoryLimits {
    let number =
        |value: Option<u64>| value.map_or(usize::MAX, |value| usize::try_from(value).unwrap_or(usize::MAX));
    HistoryLimits {
        messages: number(rule.messages),
        bytes: number(rule.bytes),
        ttl_ms: rule.ttl.map_or(u64::MAX / 2000, |ttl| ttl.as_millis() as u64),
    }
}

/// Trims history and drops idle topics, now and then and whenever memory runs short, and works out how fast things go.
async fn keep_tidy(engine: &Arc<Engine>, overview: &Overview) {
    let ticks_of = |interval| {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks
    };
    let mut ticks = ticks_of(TIDY_INTERVAL);
    let mut store_ticks = ticks_of(TIDY_STORE_INTERVAL);
    let mut measuring = ticks_of(MEASURE_INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                engine.tidy();
                log_limit::report_left_out();
            }
            _ = store_ticks.tick() => {
                let engine = engine.clone();
                if let Err(error) = tokio::task::spawn_blocking(move || engine.tidy_store()).await {
                    tracing::error!(%error, "tidying up the store broke off");
                }
            }
            _ = measuring.tick() => {
                engine.measure_store();
                overview.measure_pace(clock::monotonic_us());
                engine.expire_presence(clock::monotonic_ms());
            }
            () = engine.outgrown() => engine.evict(),
        }
    }
}

/// Takes over a certificate that was renewed, soon after it was.
async fn watch_certificates(certificates: Option<&Certificates>, shared: &Shared) {
    let Some(certificates) = certificates else { return std::future::pending().await };
    loop {
        shared.certificate_expires_unix.store(certificates.expires_unix(), Ordering::Relaxed);
        tokio::time::sleep(CERTIFICATE_INTERVAL).await;
        certificates.reload_if_changed();
    }
}

/// Sends everybody away and waits until they have gone or the time is up.
async fn drain(workers: Vec<WorkerHandle>, deadline: Instant) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for worker in workers {
        threads.push(worker.drain(deadline).await);
    }
    for thread in threads {
        // A worker ends by itself at the deadline; joining cannot hang.
        if thread.join().is_err() {
            tracing::error!("a worker has panicked");
        }
    }
}
