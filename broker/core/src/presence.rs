//! Who is present in one topic: users, each counted once over all connections.
//!
//! A user is there from the first connection to the end of the last. When the last one breaks, the user stays for a while,
//! because a phone that changes cells comes right back; whoever leaves on purpose is gone at once. A session without a user id
//! counts by itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fanwire_protocol::{Member, Payload};
use foldhash::fast::RandomState;

/// How a session ended its stay in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// On purpose: it unsubscribed, closed in good order, or was sent away for good.
    Left,
    /// Its connection broke, or it was asked to come back.
    Broken,
}

/// One session, as others are shown it.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberSession {
    /// The user's id, if it has one.
    pub user: Option<Arc<str>>,
    /// The number of the connection.
    pub connection: u64,
    /// What others are shown of the user.
    pub info: Option<Payload>,
}

/// What all others are told.
#[derive(Debug, Clone, PartialEq)]
pub enum PresenceEvent {
    /// A user has come.
    Join(Member),
    /// A user has gone.
    Leave(Member),
}

/// The members of one topic.
#[derive(Debug, Default)]
pub struct Presence {
    members: HashMap<MemberId, MemberState, RandomState>,
}

/// What a member is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum MemberId {
    User(Arc<str>),
    /// A session without a user id.
    Connection(u64),
}

#[derive(Debug)]
struct MemberState {
    /// As it was told when the user came.
    member: Member,
    connections: BTreeSet<u64>,
    /// When a user whose connections have all broken is taken for gone, in milliseconds of the monotonic clock.
    gone_at_ms: Option<u64>,
}

impl MemberId {
    fn of(user: Option<&Arc<str>>, connection: u64) -> Self {
        user.map_or(MemberId::Connection(connection), |user| MemberId::User(user.clone()))
    }
}

impl Presence {
    /// Notes that a session has come. Tells of it if its user was not there.
    pub fn enter(&mut self, member_session: &MemberSession) -> Option<PresenceEvent> {
        let MemberSession { user, connection, info } = member_session;
        let who = MemberId::of(user.as_ref(), *connection);
        if let Some(state) = self.members.get_mut(&who) {
            state.connections.insert(*connection);
            state.gone_at_ms = None;
            return None;
        }
        let member = Member {
            user: user.as_deref().unwrap_or_default().to_owned(),
            connection: format!("{connection:x}"),
            info: info.clone(),
        };
        let connections = BTreeSet::from([*connection]);
        self.members.insert(who, MemberState { member: member.clone(), connections, gone_at_ms: None });
        Some(PresenceEvent::Join(member))
    }

    /// Notes that a session has gone. Tells of it if it was its user's last and left on purpose; if it broke, the user is
    /// taken for gone at `gone_at_ms` unless it comes back before, and [`Presence::expire`] tells of it.
    pub fn exit(
        &mut self,
        user: Option<&Arc<str>>,
        connection: u64,
        departure: Departure,
        gone_at_ms: u64,
    ) -> Option<PresenceEvent> {
        let who = MemberId::of(user, connection);
        let state = self.members.get_mut(&who)?;
        if !state.connections.remove(&connection) || !state.connections.is_empty() {
            return None;
        }
        match departure {
            Departure::Left => self.members.remove(&who).map(|state| PresenceEvent::Leave(state.member)),
            Departure::Broken => {
                state.gone_at_ms = Some(gone_at_ms);
                None
            }
        }
    }

    /// Takes those for gone whose time to come back is up at `now_ms`, and tells of them.
    pub fn expire(&mut self, now_ms: u64) -> Vec<PresenceEvent> {
        let is_gone = |_: &MemberId, state: &mut MemberState| {
            state.gone_at_ms.is_some_and(|gone_at_ms| gone_at_ms <= now_ms)
        };
        let mut gone: Vec<Member> = self.members.extract_if(is_gone).map(|(_, state)| state.member).collect();
        gone.sort_by(|one, other| (&one.user, &one.connection).cmp(&(&other.user, &other.connection)));
        gone.into_iter().map(PresenceEvent::Leave).collect()
    }

    /// At most `limit` members, and whether there are more.
    pub fn members(&self, limit: usize) -> (Vec<Member>, bool) {
        let members = self.members.values().take(limit).map(|state| state.member.clone()).collect();
        (members, self.members.len() > limit)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is there, nor expected back.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
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
        assert_eq!(presence.exit(Some(&ann()), 1, Departure::Left, 0), None);
        assert_eq!(presence.members(9), (vec![member("ann", 1)], false));
        let left = presence.exit(Some(&ann()), 2, Departure::Left, 0);
        assert_eq!(left, Some(PresenceEvent::Leave(member("ann", 1))), "the same member that came");
        assert!(presence.is_empty());
    }

    #[test]
    fn who_comes_right_back_has_not_been_away() {
        let mut presence = Presence::default();
        enter(&mut presence, Some(ann()), 1);
        assert_eq!(presence.exit(Some(&ann()), 1, Departure::Broken, 100), None);
        assert_eq!(presence.expire(99), []);
        assert_eq!(enter(&mut presence, Some(ann()), 2), None);
        assert_eq!(presence.expire(1000), []);
        presence.exit(Some(&ann()), 2, Departure::Broken, 1100);
        assert_eq!(presence.expire(1100), [PresenceEvent::Leave(member("ann", 1))]);
    }

    #[test]
    fn sessions_without_a_user_count_by_themselves() {
        let mut presence = Presence::default();
        assert_eq!(enter(&mut presence, None, 1), Some(PresenceEvent::Join(member("", 1))));
        assert_eq!(enter(&mut presence, None, 2), Some(PresenceEvent::Join(member("", 2))));
        assert!(presence.members(1).1, "one is not named");
        assert_eq!(presence.exit(None, 1, Departure::Left, 0), Some(PresenceEvent::Leave(member("", 1))));
    }

    #[test]
    fn who_was_never_there_cannot_leave() {
        let mut presence = Presence::default();
        assert_eq!(presence.exit(Some(&ann()), 1, Departure::Left, 0), None);
        enter(&mut presence, Some(ann()), 1);
        assert_eq!(presence.exit(Some(&ann()), 7, Departure::Left, 0), None);
        assert_eq!(presence.len(), 1);
    }

    proptest! {
        /// After any order of events, each user has been told of by turns, and those who are told to be there are those
        /// with a connection or a broken one not yet given up.
        #[test]
        fn what_was_told_is_what_is(steps in prop::collection::vec((0u64..6, 0u8..4, any::<bool>(), 0u64..30), 0..120)) {
            const GRACE_MS: u64 = 20;
            let mut presence = Presence::default();
            let mut told: BTreeMap<String, bool> = BTreeMap::new();
            let mut live: BTreeSet<u64> = BTreeSet::new();
            let mut broken_at: BTreeMap<u64, u64> = BTreeMap::new();
            let mut now = 0;
            let mut next_connection = 0;
            let mut owner: BTreeMap<u64, u64> = BTreeMap::new();
            for (user, what, is_clean, pause) in steps {
                now += pause;
                let name: Arc<str> = Arc::from(format!("u{user}"));
                let mut movements = presence.expire(now);
                broken_at.retain(|_, at| *at + GRACE_MS > now);
                let last = live.iter().copied().find(|connection| owner[connection] == user);
                match (what, last) {
                    (0..=1, _) => {
                        next_connection += 1;
                        owner.insert(next_connection, user);
                        live.insert(next_connection);
                        broken_at.remove(&user);
                        movements.extend(enter(&mut presence, Some(name), next_connection));
                    }
                    (_, Some(connection)) => {
                        live.remove(&connection);
                        let departure = if is_clean { Departure::Left } else { Departure::Broken };
                        let is_last = !live.iter().any(|connection| owner[connection] == user);
                        if is_last && !is_clean {
                            broken_at.insert(user, now);
                        }
                        movements.extend(presence.exit(Some(&name), connection, departure, now + GRACE_MS));
                    }
                    (_, None) => {}
                }
                for movement in movements {
                    let (member, is_there) = match movement {
                        PresenceEvent::Join(member) => (member, true),
                        PresenceEvent::Leave(member) => (member, false),
                    };
                    assert_ne!(told.insert(member.user, is_there).unwrap_or(false), is_there, "by turns");
                }
                let expected: BTreeSet<String> = live.iter().map(|connection| owner[connection])
                    .chain(broken_at.keys().copied()).map(|user| format!("u{user}")).collect();
                let there: BTreeSet<String> = presence.members(99).0.into_iter().map(|member| member.user).collect();
                let told: BTreeSet<String> =
                    told.iter().filter(|(_, is_there)| **is_there).map(|(user, _)| user.clone()).collect();
                assert_eq!(there, expected);
                assert_eq!(told, expected);
            }
        }
    }
}
