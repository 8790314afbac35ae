//! The users of an app that are signed in, and how often.
//!
//! Clients that watch a user learn when its first connection signs in and its last one ends. This file does not know how.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

/// The number of connections of each user that is signed in. There are at most as many users as connections.
#[derive(Default)]
pub(crate) struct OnlineUsers(Mutex<HashMap<Box<str>, usize, RandomState>>);

impl OnlineUsers {
    /// Adds a connection of the user. Returns whether it is the first.
    pub(crate) fn enter(&self, user: &str) -> bool {
        let mut users = self.lock();
        let connections = users.entry(Box::from(user)).or_default();
        *connections += 1;
        *connections == 1
    }

    /// Removes a connection of the user. Returns whether it was the last.
    pub(crate) fn leave(&self, user: &str) -> bool {
        let mut users = self.lock();
        let Some(connections) = users.get_mut(user) else { return false };
        *connections -= 1;
        let is_last = *connections == 0;
        if is_last {
            users.remove(user);
        }
        is_last
    }

    /// Returns whether the user is signed in.
    pub(crate) fn contains(&self, user: &str) -> bool {
        self.lock().contains_key(user)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, usize, RandomState>> {
        // No code under this lock leaves the table inconsistent, so a poisoned lock can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_online_from_the_first_connection_to_the_last() {
        let online = OnlineUsers::default();
        assert!(online.enter("7") && !online.enter("7") && online.contains("7"));
        assert!(!online.leave("7") && online.contains("7"));
        assert!(online.leave("7") && !online.contains("7"));
        assert!(!online.leave("7"), "a user that is not online");
    }
}
