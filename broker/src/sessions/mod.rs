//! Sessions: what one connected client may do and is given, whatever it is connected over.
//!
//! A [`LiveSession`] runs the state machine of the core against the engine and the hub. Transports read bytes, make
//! frames of them, and hand them in here; what is to be sent goes into the session's outlet.

mod admission;
mod command;
mod connection_guard;
mod connection_limiter;
mod handle;
mod inquiry;
mod live;
mod mailbox;
mod network;
mod new_session;
mod pending_callout;
mod publish_meter;
mod publishing;
mod registry;
mod waiting;
mod work;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use fanwire_core::limits::SessionLimits;
use fanwire_core::rules::Rules;
use fanwire_core::session::Terms;
use fanwire_core::subscribers::SessionKey;

pub(crate) use command::{SessionCommand, direct_message};
pub(crate) use connection_guard::ConnectionGuard;
pub(crate) use connection_limiter::{ConnectionLimiter, ConnectionLimits, Permit};
pub(crate) use handle::{ConnectionInfo, SessionHandle};
pub(crate) use inquiry::{Inquiry, no_presence};
pub(crate) use live::LiveSession;
pub(crate) use mailbox::{WorkerMailbox, WorkerMailboxes};
pub(crate) use network::Network;
pub(crate) use new_session::{NewSession, Opened};
pub(crate) use pending_callout::Ending;
pub(crate) use publish_meter::PublishMeter;
pub(crate) use publishing::{ClientAddress, PublishClient, PublishPipeline};

use network::ConnectionRateMeters;
use registry::SessionRegistry;

use crate::auth::SharedAuthenticator;
use crate::config::Limits;
use crate::engine::{Engine, ReceiptQueue};
use crate::hooks::Hooks;
use crate::hub::Hub;
use crate::telemetry::WorkerCounters;

/// What all sessions of one worker share. It lives on that worker's thread.
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
    /// The keys of sessions that have ended while something they published was on its way to the disk.
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
        let connections = Cell::new(0);
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
            connections,
            workers: workers as u64,
            lingering: RefCell::default(),
        }
    }

    /// The limits of the configuration that concern one session.
    pub(crate) fn session_limits(limits: &Limits) -> SessionLimits {
        SessionLimits {
            message_bytes_max: limits.message_bytes_max,
            subscriptions_max: limits.subscriptions_per_session_max,
            history_limit_max: limits.history_limit_max,
            ping_interval_s: limits.ping_interval.as_secs().max(1) as u32,
        }
    }

    /// What holds for every session of this worker under `rules`.
    pub(crate) fn terms<'a>(&'a self, rules: &'a Rules) -> Terms<'a> {
        let asks_for_credentials = self.authenticator.asks_for_credentials();
        Terms { limits: &self.session_limits, rules, asks_for_credentials }
    }

    /// Keeps the key of a session that has ended from being given again until `receipts` have come.
    fn linger(&self, key: SessionKey, receipts: Arc<ReceiptQueue>) {
        self.lingering.borrow_mut().push((key, receipts));
    }

    /// Lets the keys be given again that nothing keeps any more.
    fn release_keys(&self) {
        self.lingering.borrow_mut().retain(|(key, receipts)| {
            let is_kept = receipts.is_owed();
            if !is_kept {
                self.hub.release(*key);
            }
            is_kept
        });
    }

    /// A number for a new connection that no other connection of this broker has had.
    pub(crate) fn next_connection(&self) -> u64 {
        let number = self.connections.get() + 1;
        self.connections.set(number);
        number * self.workers + self.hub.worker() as u64
    }
}
