//! The members of one topic: users, each counted once over all connections.
//!
//! A user is a member from its first connection to the end of its last. A connection that breaks leaves a grace behind: until it
//! elapses, the user stays a member even without a connection, because a phone that changes cells reconnects at once. A user
//! whose connections all left on purpose leaves at once. A session without a user id counts by itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fanwire_protocol::{Member, Payload};
use foldhash::fast::RandomState;

/// The maximum number of graces of one member that run at the same time; beyond it the one that elapses first is dropped.
const GRACES_MAX: usize = 16;

/// The memory accounted for one member beside its name and info: its entry in the table and its first connection.
const MEMBER_BYTES: usize = 320;

/// The memory accounted for one more connection of a member.
const CONNECTION_BYTES: usize = 32;

/// The way in which a session ended its membership in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// On purpose: it unsubscribed, closed in good order, or was disconnected for good.
    Left,
    /// Its connection broke, or it was asked to reconnect.
    Broken,
}

/// One session, as the other members see it.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberSession {
    /// The user's id, if it has one.
    pub user: Option<Arc<str>>,
    /// The number of the connection.
    pub connection: u64,
    /// The info of the user that other members see.
    pub info: Option<Payload>,
}

/// A change of the members, as all subscribers receive it.
#[derive(Debug, Clone, PartialEq)]
pub enum PresenceEvent {
    /// A user became a member.
    Join(Member),
    /// A user is no member any more.
    Leave(Member),
}

/// The members of one topic.
#[derive(Debug, Default)]
pub struct Presence {
    members: HashMap<MemberId, MemberState, RandomState>,
    bytes: usize,
}

/// The identity of a member.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum MemberId {
    User(Arc<str>),
    /// A session without a user id.
    Connection(u64),
}

#[derive(Debug)]
struct MemberState {
    /// The member as it was announced when it joined.
    member: Member,
    connections: BTreeSet<u64>,
    /// The ends of the graces of broken connections, in milliseconds of the monotonic clock, the earliest first.
    graces_ms: Vec<u64>,
}

impl MemberId {
    fn of(user: Option<&Arc<str>>, connection: u64) -> Self {
        user.map_or(MemberId::Connection(connection), |user| MemberId::User(user.clone()))
    }
}

impl MemberState {
    fn bytes(&self) -> usize {
        let info = self.member.info.as_ref().map_or(0, Payload::len);
        let more = self.connections.len() + self.graces_ms.len();
        MEMBER_BYTES + 2 * self.member.user.len() + info + CONNECTION_BYTES * more
    }

    /// Ends the graces that have elapsed at `now_ms`. Returns whether nothing keeps the user a member any more.
    fn is_gone(&mut self, now_ms: u64) -> bool {
        self.graces_ms.retain(|due_ms| *due_ms > now_ms);
        self.connections.is_empty() && self.graces_ms.is_empty()
    }
}

impl Presence {
    /// Adds a session. Returns the event if its user was no member before. A connection of a known user ends the grace of one
    /// broken connection, because it is the reconnect that the grace waits for.
    pub fn enter(&mut self, member_session: &MemberSession) -> Option<PresenceEvent> {
        let MemberSession { user, connection, info } = member_session;
        let id = MemberId::of(user.as_ref(), *connection);
        if let Some(state) = self.members.get_mut(&id) {
            let before = state.bytes();
            if state.connections.insert(*connection) && !state.graces_ms.is_empty() {
                state.graces_ms.remove(0);
            }
            self.bytes = self.bytes - before + state.bytes();
            return None;
        }
        let member = Member {
            user: user.as_deref().unwrap_or_default().to_owned(),
            connection: format!("{connection:x}"),
            info: info.clone(),
        };
        let connections = BTreeSet::from([*connection]);
        let state = MemberState { member: member.clone(), connections, graces_ms: Vec::new() };
        self.bytes += state.bytes();
        self.members.insert(id, state);
        Some(PresenceEvent::Join(member))
    }

    /// Removes a session at `now_ms`. If it was the last of its user, it left on purpose, and no grace of another connection
    /// runs, the user leaves, and the event is returned. A session that broke begins a grace of `grace_ms`: at its end
    /// [`Presence::expire`] returns the event, unless the user has a connection then.
    pub fn exit(
        &mut self,
        user: Option<&Arc<str>>,
        connection: u64,
        departure: Departure,
        now_ms: u64,
        grace_ms: u64,
    ) -> Option<PresenceEvent> {
        let id = MemberId::of(user, connection);
        let state = self.members.get_mut(&id)?;
        let before = state.bytes();
        if !state.connections.remove(&connection) {
            return None;
        }
        if departure == Departure::Broken {
            if state.graces_ms.len() >= GRACES_MAX {
                state.graces_ms.remove(0);
            }
            state.graces_ms.push(now_ms.saturating_add(grace_ms));
        }
        let is_gone = departure == Departure::Left && state.is_gone(now_ms);
        self.bytes = self.bytes - before + state.bytes();
        if is_gone { self.remove(&id) } else { None }
    }

    fn remove(&mut self, id: &MemberId) -> Option<PresenceEvent> {
        let state = self.members.remove(id)?;
        self.bytes -= state.bytes();
        Some(PresenceEvent::Leave(state.member))
    }

    /// Removes the members that have no connection, and whose graces have all elapsed at `now_ms`. Returns the events.
    pub fn expire(&mut self, now_ms: u64) -> Vec<PresenceEvent> {
        let mut gone: Vec<Member> = Vec::new();
        for (_, state) in self.members.extract_if(|_, state| state.is_gone(now_ms)) {
            gone.push(state.member);
        }
        self.bytes = self.members.values().map(MemberState::bytes).sum();
        gone.sort_by(|one, other| (&one.user, &one.connection).cmp(&(&other.user, &other.connection)));
        gone.into_iter().map(PresenceEvent::Leave).collect()
    }

    /// Returns at most `limit` members, and whether there are more.
    pub fn members(&self, limit: usize) -> (Vec<Member>, bool) {
        let members = self.members.values().take(limit).map(|state| state.member.clone()).collect();
        (members, self.members.len() > limit)
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the memory accounted for the members, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn ann() -> Arc<str> {
        Arc::from("ann")
    }

    fn enter(presence: &mut Presence, user: Option<Arc<str>>, connection: u64) -> Option<PresenceEvent> {
        presence.enter(&MemberSession { user, connection, info: None })
    }

    fn member(user: &str, connection: u64) -> Member {
        Member { user: user.to_owned(), connection: format!("{connection:x}"), info: None }
    }

    #[test]
    fn several_tabs_are_one_user() {
        let mut presence = Presence::default();
        assert_eq!(enter(&mut presence, Some(ann()), 1), Some(PresenceEvent::Join(member("ann", 1))));
        assert_eq!(enter(&mut presence, Some(ann()), 2), None);
        assert_eq!(presence.exit(Some(&ann()), 1, Departure::Left, 0, 0), None);
        assert_eq!(presence.members(9), (vec![member("ann", 1)], false));
        let left = presence.exit(Some(&ann()), 2, Departure::Left, 0, 0);
        assert_eq!(left, Some(PresenceEvent::Leave(member("ann", 1))), "the same member that came");
        assert!(presence.is_empty());
    }

    #[test]
    fn a_user_that_reconnects_within_the_grace_never_left() {
        let mut presence = Presence::default();
        enter(&mut presence, Some(ann()), 1);
        assert_eq!(presence.exit(Some(&ann()), 1, Departure::Broken, 0, 100), None);
        assert_eq!(presence.expire(99), []);
        assert_eq!(enter(&mut presence, Some(ann()), 2), None);
        assert_eq!(presence.expire(1000), []);
        presence.exit(Some(&ann()), 2, Departure::Broken, 1000, 100);
        assert_eq!(presence.expire(1100), [PresenceEvent::Leave(member("ann", 1))]);
    }

    #[test]
    fn sessions_without_a_user_count_by_themselves() {
        let mut presence = Presence::default();
        assert_eq!(enter(&mut presence, None, 1), Some(PresenceEvent::Join(member("", 1))));
        assert_eq!(enter(&mut presence, None, 2), Some(PresenceEvent::Join(member("", 2))));
        assert!(presence.members(1).1, "one is not named");
        assert_eq!(presence.exit(None, 1, Departure::Left, 0, 0), Some(PresenceEvent::Leave(member("", 1))));
    }

    #[test]
    fn a_session_that_never_entered_cannot_leave() {
        let mut presence = Presence::default();
        assert_eq!(presence.exit(Some(&ann()), 1, Departure::Left, 0, 0), None);
        enter(&mut presence, Some(ann()), 1);
        assert_eq!(presence.exit(Some(&ann()), 7, Departure::Left, 0, 0), None);
        assert_eq!(presence.len(), 1);
    }

    #[test]
    fn a_grace_outlives_another_connection_that_leaves_on_purpose() {
        let mut presence = Presence::default();
        enter(&mut presence, Some(ann()), 1);
        enter(&mut presence, Some(ann()), 2);
        assert_eq!(presence.exit(Some(&ann()), 2, Departure::Broken, 0, 100), None);
        assert_eq!(presence.exit(Some(&ann()), 1, Departure::Left, 50, 100), None);
        assert_eq!(presence.expire(99), []);
        assert_eq!(enter(&mut presence, Some(ann()), 3), None, "no join without a leave");
        assert_eq!(presence.expire(1000), []);
        let left = presence.exit(Some(&ann()), 3, Departure::Left, 1000, 100);
        assert_eq!(left, Some(PresenceEvent::Leave(member("ann", 1))), "the reconnect has ended the grace");
    }

    #[test]
    fn a_grace_that_has_elapsed_keeps_no_user_that_leaves() {
        let mut presence = Presence::default();
        enter(&mut presence, Some(ann()), 1);
        enter(&mut presence, Some(ann()), 2);
        presence.exit(Some(&ann()), 2, Departure::Broken, 0, 100);
        let left = presence.exit(Some(&ann()), 1, Departure::Left, 100, 100);
        assert_eq!(left, Some(PresenceEvent::Leave(member("ann", 1))));
    }

    #[test]
    fn the_memory_of_members_is_accounted_for() {
        let mut presence = Presence::default();
        let info = Some(Payload::text("x".repeat(1000)));
        presence.enter(&MemberSession { user: Some(ann()), connection: 1, info });
        assert!(presence.bytes() > 1000);
        for connection in 2..100 {
            enter(&mut presence, Some(ann()), connection);
            presence.exit(Some(&ann()), connection, Departure::Broken, 0, 100);
        }
        assert!(presence.bytes() < 3000, "graces are bounded: {}", presence.bytes());
        presence.exit(Some(&ann()), 1, Departure::Left, 0, 100);
        assert_eq!(presence.expire(100).len(), 1);
        assert_eq!(presence.bytes(), 0);
    }

    proptest! {
        /// After any order of events, the events of each user alternate, and the members are the users with a connection or with
        /// a grace that runs.
        #[test]
        fn events_follow_from_connections_and_graces(
            steps in prop::collection::vec((0u64..6, 0u8..4, any::<bool>(), 0u64..30), 0..120),
        ) {
            const GRACE_MS: u64 = 20;
            let mut presence = Presence::default();
            let mut announced: BTreeMap<String, bool> = BTreeMap::new();
            let mut live: BTreeMap<u64, u64> = BTreeMap::new();
            let mut graces: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            let mut next_connection = 0;
            for (user, what, is_clean, pause) in steps {
                now += pause;
                let name: Arc<str> = Arc::from(format!("u{user}"));
                let mut events = presence.expire(now);
                graces.retain(|(_, due_ms)| *due_ms > now);
                let last = live.iter().find(|(_, owner)| **owner == user).map(|(connection, _)| *connection);
                match (what, last) {
                    (0..=1, _) => {
                        next_connection += 1;
                        live.insert(next_connection, user);
                        if let Some(index) = graces.iter().position(|(owner, _)| *owner == user) {
                            graces.remove(index);
                        }
                        events.extend(enter(&mut presence, Some(name), next_connection));
                    }
                    (_, Some(connection)) => {
                        live.remove(&connection);
                        let departure = if is_clean { Departure::Left } else { Departure::Broken };
                        if !is_clean {
                            graces.push((user, now + GRACE_MS));
                        }
                        events.extend(presence.exit(Some(&name), connection, departure, now, GRACE_MS));
                    }
                    (_, None) => {}
                }
                for event in events {
                    let (member, is_member) = match event {
                        PresenceEvent::Join(member) => (member, true),
                        PresenceEvent::Leave(member) => (member, false),
                    };
                    assert_ne!(announced.insert(member.user, is_member).unwrap_or(false), is_member);
                }
                let expected: BTreeSet<String> = live.values().chain(graces.iter().map(|(owner, _)| owner))
                    .map(|user| format!("u{user}")).collect();
                let members: BTreeSet<String> =
                    presence.members(99).0.into_iter().map(|member| member.user).collect();
                let announced: BTreeSet<String> =
                    announced.iter().filter(|(_, is_member)| **is_member).map(|(user, _)| user.clone()).collect();
                assert_eq!(members, expected);
                assert_eq!(announced, expected);
                assert_eq!(presence.bytes() == 0, expected.is_empty());
            }
        }
    }
}
