//! The parts that all sessions of one worker share. They stay on that worker's thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use fanwire_core::limits::SessionLimits;
use fanwire_core::rules::Rules;
use fanwire_core::session::Terms;
use fanwire_core::subscribers::SessionKey;

use super::publishing::PublishPipeline;
use super::registry::SessionRegistry;
use crate::auth::SharedAuthenticator;
use crate::config::Limits;
use crate::engine::{Engine, ReceiptQueue};
use crate::hooks::Hooks;
use crate::hub::Hub;
use crate::telemetry::WorkerCounters;

/// The parts that the sessions of one worker use.
pub(crate) struct Worker {
    pub(crate) hub: Rc<Hub>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) limits: Limits,
    pub(crate) session_limits: SessionLimits,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) publishing: PublishPipeline,
    pub(crate) authenticator: Arc<SharedAuthenticator>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) registry: SessionRegistry,
    connections: Cell<u64>,
    workers: u64,
    /// The keys of sessions that have ended while one of their publications was on its way to the disk.
    lingering: RefCell<Vec<(SessionKey, Arc<ReceiptQueue>)>>,
}

impl Worker {
    /// One of `workers` workers.
    pub(crate) fn new(
        hub: Rc<Hub>,
        engine: Arc<Engine>,
        limits: Limits,
        counters: Arc<WorkerCounters>,
        authenticator: Arc<SharedAuthenticator>,
        hooks: Arc<Hooks>,
        workers: usize,
    ) -> Self {
        let session_limits = Self::session_limits(&limits);
        let publishing =
            PublishPipeline::new(engine.clone(), session_limits, &limits, hooks.clone(), counters.clone());
        Self {
            hub,
            engine,
            limits,
            session_limits,
            counters,
            publishing,
            authenticator,
            hooks,
            registry: SessionRegistry::default(),
            connections: Cell::new(0),
            workers: workers as u64,
            lingering: RefCell::default(),
        }
    }

    /// Returns the limits of the configuration that concern one session.
    pub(crate) fn session_limits(limits: &Limits) -> SessionLimits {
        SessionLimits {
            message_bytes_max: limits.message_bytes_max,
            subscriptions_max: limits.subscriptions_per_session_max,
            history_limit_max: limits.history_limit_max,
            ping_interval_s: limits.ping_interval.as_secs().max(1) as u32,
        }
    }

    /// Returns what holds for every session of this worker under `rules`.
    pub(crate) fn terms<'a>(&'a self, rules: &'a Rules) -> Terms<'a> {
        let has_authentication = self.authenticator.has_authentication();
        Terms { limits: &self.session_limits, rules, has_authentication }
    }

    /// Returns a number for a new connection that no other connection of this broker has had.
    pub(crate) fn next_connection(&self) -> u64 {
        let number = self.connections.get() + 1;
        self.connections.set(number);
        number * self.workers + self.hub.worker() as u64
    }

    /// Lets the key of a session that has ended be given to another, once all receipts that the session was owed have come.
    pub(super) fn release_key(&self, key: SessionKey, receipts: Option<Arc<ReceiptQueue>>) {
        match receipts.filter(|receipts| receipts.is_owed()) {
            Some(receipts) => self.lingering.borrow_mut().push((key, receipts)),
            None => self.hub.release(key),
        }
    }

    /// Lets the keys be given to others for which the last receipt has come meanwhile.
    pub(super) fn release_keys(&self) {
        self.lingering.borrow_mut().retain(|(key, receipts)| {
            let is_kept = receipts.is_owed();
            if !is_kept {
                self.hub.release(*key);
            }
            is_kept
        });
    }
}
