//! The sessions of one worker, to be found by their connection or by their user.
//!
//! It knows who is there and nothing of what they do.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use super::handle::SessionHandle;

/// Everybody who is connected to one worker.
#[derive(Default)]
pub(crate) struct SessionRegistry {
    /// By connection, so that whoever lists them can go on after the last one seen.
    sessions: RefCell<BTreeMap<u64, Rc<SessionHandle>>>,
    /// One set for all, because most users have one session and a set of their own would cost each more than this.
    users: RefCell<BTreeSet<(Arc<str>, u64)>>,
}

impl SessionRegistry {
    pub(super) fn enter(&self, handle: Rc<SessionHandle>) {
        if let Some(user) = handle.user() {
            self.users.borrow_mut().insert((user, handle.connection()));
        }
        self.sessions.borrow_mut().insert(handle.connection(), handle);
    }

    /// Notes whose session this has turned out to be.
    pub(super) fn identify(&self, handle: &SessionHandle, user: Option<&Arc<str>>) {
        let known = handle.user();
        if known.as_ref() == user {
            return;
        }
        let mut users = self.users.borrow_mut();
        if let Some(known) = known {
            users.remove(&(known, handle.connection()));
        }
        if let Some(user) = user {
            users.insert((user.clone(), handle.connection()));
        }
        handle.identify(user.cloned());
    }

    pub(super) fn leave(&self, handle: &SessionHandle) {
        self.identify(handle, None);
        self.sessions.borrow_mut().remove(&handle.connection());
    }

    /// The session of this connection.
    pub(crate) fn session(&self, connection: u64) -> Option<Rc<SessionHandle>> {
        self.sessions.borrow().get(&connection).cloned()
    }

    /// All sessions of one user here.
    pub(crate) fn sessions_of(&self, user: &str) -> Vec<Rc<SessionHandle>> {
        let user: Arc<str> = Arc::from(user);
        let all = (user.clone(), 0)..=(user, u64::MAX);
        let users = self.users.borrow();
        users.range(all).filter_map(|(_, connection)| self.session(*connection)).collect()
    }

    /// At most `limit` sessions in the order of their connections, beginning after `after`.
    pub(crate) fn page(&self, after: Option<u64>, limit: usize) -> Vec<Rc<SessionHandle>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let sessions = self.sessions.borrow();
        sessions.range((start, Bound::Unbounded)).take(limit).map(|(_, handle)| handle.clone()).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.borrow().len()
    }
}

#[cfg(test)]
mod tests {
    use fanwire_formats::JSON;

    use super::*;
    use crate::hub::{Keepalive, SessionWriter, Sink};
    use crate::sessions::ConnectionInfo;
    use crate::telemetry::Transport;

    fn handle(connection: u64, user: Option<&str>) -> Rc<SessionHandle> {
        let keepalive =
            Keepalive { bytes: b"", interval_ms: u64::MAX / 4, timeout_ms: None, close_timeout_ms: 0 };
        let writer = SessionWriter::new(Sink::Task(Rc::default()), &JSON, 1024, keepalive);
        let connection_info = ConnectionInfo { connection, client: std::net::Ipv4Addr::LOCALHOST.into() };
        Rc::new(SessionHandle::new(
            connection_info,
            Transport::WebSocket,
            user.map(Arc::from),
            Rc::new(writer),
        ))
    }

    fn connections(profiles: &[Rc<SessionHandle>]) -> Vec<u64> {
        profiles.iter().map(|handle| handle.connection()).collect()
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
        registry.identify(&unknown, Some(&Arc::from("ada")));
        assert_eq!(connections(&registry.sessions_of("ada")), [2, 4, 9]);
        registry.leave(&ada);
        assert_eq!(connections(&registry.sessions_of("ada")), [2, 9]);
        assert!(registry.session(4).is_none());
        assert_eq!(registry.len(), 3);
    }

    #[test]
    fn pages_go_on_after_the_last_session_seen() {
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
