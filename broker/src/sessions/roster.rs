//! The sessions of one worker, to be found by their connection or by their user.
//!
//! It knows who is there and nothing of what they do.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use super::profile::Profile;

/// Everybody who is connected to one worker.
#[derive(Default)]
pub(crate) struct Roster {
    /// By connection, so that whoever lists them can go on after the last one seen.
    sessions: RefCell<BTreeMap<u64, Rc<Profile>>>,
    /// One set for all, because most users have one session and a set of their own would cost each more than this.
    users: RefCell<BTreeSet<(Arc<str>, u64)>>,
}

impl Roster {
    pub(super) fn enter(&self, profile: Rc<Profile>) {
        if let Some(user) = profile.user() {
            self.users.borrow_mut().insert((user, profile.connection()));
        }
        self.sessions.borrow_mut().insert(profile.connection(), profile);
    }

    /// Notes whose session this has turned out to be.
    pub(super) fn identify(&self, profile: &Profile, user: Option<&Arc<str>>) {
        let known = profile.user();
        if known.as_ref() == user {
            return;
        }
        let mut users = self.users.borrow_mut();
        if let Some(known) = known {
            users.remove(&(known, profile.connection()));
        }
        if let Some(user) = user {
            users.insert((user.clone(), profile.connection()));
        }
        profile.identify(user.cloned());
    }

    pub(super) fn leave(&self, profile: &Profile) {
        self.identify(profile, None);
        self.sessions.borrow_mut().remove(&profile.connection());
    }

    /// The session of this connection.
    pub(crate) fn session(&self, connection: u64) -> Option<Rc<Profile>> {
        self.sessions.borrow().get(&connection).cloned()
    }

    /// All sessions of one user here.
    pub(crate) fn sessions_of(&self, user: &str) -> Vec<Rc<Profile>> {
        let user: Arc<str> = Arc::from(user);
        let all = (user.clone(), 0)..=(user, u64::MAX);
        let users = self.users.borrow();
        users.range(all).filter_map(|(_, connection)| self.session(*connection)).collect()
    }

    /// At most `limit` sessions in the order of their connections, beginning after `after`.
    pub(crate) fn page(&self, after: Option<u64>, limit: usize) -> Vec<Rc<Profile>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let sessions = self.sessions.borrow();
        sessions.range((start, Bound::Unbounded)).take(limit).map(|(_, profile)| profile.clone()).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.borrow().len()
    }
}

#[cfg(test)]
mod tests {
    use fanwire_core::Encoding;

    use super::*;
    use crate::hub::{Keepalive, Outlet, Sink};
    use crate::sessions::Arrival;
    use crate::telemetry::Transport;

    fn profile(connection: u64, user: Option<&str>) -> Rc<Profile> {
        let keepalive =
            Keepalive { bytes: b"", interval_ms: u64::MAX / 4, timeout_ms: None, close_timeout_ms: 0 };
        let outlet = Outlet::new(Sink::Task(Rc::default()), Encoding::Json, 1024, keepalive);
        let arrival = Arrival { connection, client: std::net::Ipv4Addr::LOCALHOST.into() };
        Rc::new(Profile::new(arrival, Transport::WebSocket, user.map(Arc::from), Rc::new(outlet)))
    }

    fn connections(profiles: &[Rc<Profile>]) -> Vec<u64> {
        profiles.iter().map(|profile| profile.connection()).collect()
    }

    #[test]
    fn sessions_are_found_by_connection_and_by_user() {
        let roster = Roster::default();
        let ada = profile(4, Some("ada"));
        let unknown = profile(2, None);
        roster.enter(ada.clone());
        roster.enter(profile(9, Some("ada")));
        roster.enter(profile(3, Some("adam")));
        roster.enter(unknown.clone());
        assert_eq!(connections(&roster.sessions_of("ada")), [4, 9]);
        assert!(roster.sessions_of("ad").is_empty());
        roster.identify(&unknown, Some(&Arc::from("ada")));
        assert_eq!(connections(&roster.sessions_of("ada")), [2, 4, 9]);
        roster.leave(&ada);
        assert_eq!(connections(&roster.sessions_of("ada")), [2, 9]);
        assert!(roster.session(4).is_none());
        assert_eq!(roster.len(), 3);
    }

    #[test]
    fn pages_go_on_after_the_last_session_seen() {
        let roster = Roster::default();
        for connection in [5, 1, 3] {
            roster.enter(profile(connection, None));
        }
        assert_eq!(connections(&roster.page(None, 2)), [1, 3]);
        assert_eq!(connections(&roster.page(Some(3), 2)), [5]);
        roster.leave(&profile(3, None));
        assert_eq!(connections(&roster.page(Some(2), 9)), [5]);
    }
}
