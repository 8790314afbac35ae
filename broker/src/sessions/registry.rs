//! The session registry: the sessions of one worker by connection, and an index of them by user.
//!
//! It does not know what the sessions do.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use super::handle::SessionHandle;

/// All sessions of one worker.
#[derive(Default)]
pub(crate) struct SessionRegistry {
    /// By connection, so that a list can continue after the last session seen.
    sessions: RefCell<BTreeMap<u64, Rc<SessionHandle>>>,
    /// The index. One set for all, because most users have one session and a set of their own would cost more.
    users: RefCell<BTreeSet<(Arc<str>, u64)>>,
}

impl SessionRegistry {
    /// Adds a session that begins.
    pub(super) fn enter(&self, handle: Rc<SessionHandle>) {
        if let Some(user) = handle.user() {
            self.users.borrow_mut().insert((user, handle.connection()));
        }
        self.sessions.borrow_mut().insert(handle.connection(), handle);
    }

    /// Moves a session in the index whose user was `before`.
    pub(super) fn reindex(&self, handle: &SessionHandle, before: Option<Arc<str>>) {
        let user = handle.user();
        if before == user {
            return;
        }
        let mut users = self.users.borrow_mut();
        if let Some(before) = before {
            users.remove(&(before, handle.connection()));
        }
        if let Some(user) = user {
            users.insert((user, handle.connection()));
        }
    }

    /// Removes a session that ends.
    pub(super) fn leave(&self, handle: &SessionHandle) {
        if let Some(user) = handle.user() {
            self.users.borrow_mut().remove(&(user, handle.connection()));
        }
        self.sessions.borrow_mut().remove(&handle.connection());
    }

    /// Returns the session of this connection.
    pub(crate) fn session(&self, connection: u64) -> Option<Rc<SessionHandle>> {
        self.sessions.borrow().get(&connection).cloned()
    }

    /// Returns all sessions of one user on this worker.
    pub(crate) fn sessions_of(&self, user: &str) -> Vec<Rc<SessionHandle>> {
        let user: Arc<str> = Arc::from(user);
        let all = (user.clone(), 0)..=(user, u64::MAX);
        let users = self.users.borrow();
        users.range(all).filter_map(|(_, connection)| self.session(*connection)).collect()
    }

    /// Returns at most `limit` sessions in the order of their connections, beginning after `after`.
    pub(crate) fn page(&self, after: Option<u64>, limit: usize) -> Vec<Rc<SessionHandle>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let sessions = self.sessions.borrow();
        sessions.range((start, Bound::Unbounded)).take(limit).map(|(_, handle)| handle.clone()).collect()
    }

    /// Returns the number of sessions.
    pub(crate) fn len(&self) -> usize {
        self.sessions.borrow().len()
    }
}

#[cfg(test)]
mod tests {
    use fanwire_core::identity::Identity;
    use fanwire_core::limits::SessionLimits;
    use fanwire_core::rules::Rules;
    use fanwire_core::session::{Purpose, Session, Terms};
    use fanwire_formats::JSON;

    use super::*;
    use crate::hub::{Keepalive, SessionWriter, Sink};
    use crate::telemetry::Transport;

    fn handle(connection: u64, user: Option<&str>) -> Rc<SessionHandle> {
        let keepalive = Keepalive {
            bytes: b"",
            interval_ms: u64::MAX / 4,
            timeout_ms: None,
            write_timeout_ms: u64::MAX,
            close_timeout_ms: 0,
        };
        let writer = SessionWriter::new(Sink::Task(Rc::default()), &JSON, 1024, keepalive);
        let session = Session::new(connection, user.map_or(Identity::Anonymous, Identity::user_named));
        let client = std::net::Ipv4Addr::LOCALHOST.into();
        Rc::new(SessionHandle::new(session, client, Transport::WebSocket, Rc::new(writer)))
    }

    fn connections(handles: &[Rc<SessionHandle>]) -> Vec<u64> {
        handles.iter().map(|handle| handle.connection()).collect()
    }

    #[test]
    fn sessions_are_found_by_connection_and_by_user() {
        let registry = SessionRegistry::default();
        let ada = handle(4, Some("ada"));
        let unknown = handle(2, None);
        registry.enter(ada.clone());
        registry.enter(handle(9, Some("ada")));
        registry.enter(handle(3, Some("adam")));
        registry.enter(unknown.clone());
        assert_eq!(connections(&registry.sessions_of("ada")), [4, 9]);
        assert!(registry.sessions_of("ad").is_empty());
        let limits = SessionLimits {
            message_bytes_max: 1,
            subscriptions_max: 1,
            history_limit_max: 1,
            ping_interval_s: 1,
        };
        let (rules, ada_again) = (Rules::default(), Ok(Identity::user_named("ada")));
        let terms = Terms { limits: &limits, rules: &rules, has_authentication: true };
        let _effect = unknown.session_mut().authenticated(None, Purpose::Connect, ada_again, terms);
        registry.reindex(&unknown, None);
        assert_eq!(connections(&registry.sessions_of("ada")), [2, 4, 9]);
        registry.leave(&ada);
        assert_eq!(connections(&registry.sessions_of("ada")), [2, 9]);
        assert!(registry.session(4).is_none());
        assert_eq!(registry.len(), 3);
    }

    #[test]
    fn pages_continue_after_the_last_session_seen() {
        let registry = SessionRegistry::default();
        for connection in [5, 1, 3] {
            registry.enter(handle(connection, None));
        }
        assert_eq!(connections(&registry.page(None, 2)), [1, 3]);
        assert_eq!(connections(&registry.page(Some(3), 2)), [5]);
        registry.leave(&handle(3, None));
        assert_eq!(connections(&registry.page(Some(2), 9)), [5]);
    }
}
