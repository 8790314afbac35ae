//! The joins of one session: its subscriptions in the hub and in the engine, and its presence.
//!
//! A subscription that needs the disk is held first: the hub knows it but delivers nothing, until the session has read what it missed.
//! This file does not know why a session subscribes, nor what it is sent about it.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use fanwire_core::access::Refusal;
use fanwire_core::identity::Holder;
use fanwire_core::presence::{Departure, MemberSession};
use fanwire_core::publication::Publication;
use fanwire_core::session::Start;
use fanwire_core::subscribers::{SessionKey, SubscriptionKey};
use fanwire_protocol::{Pattern, Position, Topic};

use super::handle::SessionHandle;
use super::reads::{Read, ReadResult, Reads};
use super::worker::Worker;
use crate::engine::{Joined, Resumed, Role, Seat};

/// The beginning of a subscription.
pub(super) struct Opened {
    /// The topic's newest position; `None` for a pattern.
    pub(super) head: Option<Position>,
    /// `false` when something that the session missed is no longer held.
    pub(super) recovered: bool,
    /// The publications that the session missed, oldest first.
    pub(super) missed: Vec<Arc<Publication>>,
}

/// The joins of one session. Dropping them does not end them: [`Joins::end`] does.
pub(super) struct Joins {
    worker: Rc<Worker>,
    handle: Rc<SessionHandle>,
    key: SessionKey,
    role: Role,
    /// The topics in which the session is present.
    members: Vec<(Topic, MemberSession)>,
    /// Most sessions never read anything.
    reads: Option<Box<Reads>>,
}

impl Joins {
    /// Opens the session in the hub.
    pub(super) fn new(worker: Rc<Worker>, handle: Rc<SessionHandle>, role: Role) -> Self {
        let key = worker.hub.open(handle.writer().clone());
        handle.set_key(key);
        Self { worker, handle, key, role, members: Vec::new(), reads: None }
    }

    /// Returns the worker and role with which the engine counts the session.
    fn seat(&self) -> Seat {
        Seat { worker: self.worker.hub.worker(), role: self.role }
    }

    /// Takes a subscription of an observer out of the hub's count of subscriptions, after it has begun, or puts it back before it ends.
    fn count_observer(&self, begins: bool) {
        match (self.role, begins) {
            (Role::Observer, true) => self.worker.counters.subscriptions.subtract(1),
            (Role::Observer, false) => self.worker.counters.subscriptions.add(1),
            (Role::Subscriber, _) => {}
        }
    }

    /// Returns the session's key in its worker.
    pub(super) fn key(&self) -> SessionKey {
        self.key
    }

    /// Joins a topic or pattern, which `permit` allows if the session itself may not. Returns `None`, and changes nothing, if the
    /// disk has to be read first.
    pub(super) fn join(
        &mut self,
        pattern: &Pattern,
        start: &Start,
        permit: Option<&Arc<Holder>>,
    ) -> Option<Opened> {
        let (opened, after, has_presence) = match pattern.to_topic() {
            Some(topic) => {
                let joined = self.worker.engine.join(&topic, self.seat(), start)?;
                let Joined { head, missed, recovered, has_presence } = joined;
                (Opened { head: Some(head), recovered, missed }, head.offset, has_presence)
            }
            None => {
                self.worker.engine.join_pattern(pattern, self.seat());
                (Opened { head: None, recovered: true, missed: Vec::new() }, 0, false)
            }
        };
        let hub = &self.worker.hub;
        let key = hub.join(pattern, self.key, self.handle.writer().format(), after);
        if *start != Start::Now {
            hub.deliver_after(pattern, key, after);
        }
        self.count_observer(true);
        self.note(pattern, key, permit);
        if let Some(topic) = pattern.to_topic().filter(|_| has_presence) {
            self.enter_as_member(&topic);
        }
        Some(opened)
    }

    /// Notes a subscription, and its permit before anything is decided by it.
    fn note(&self, pattern: &Pattern, key: SubscriptionKey, permit: Option<&Arc<Holder>>) {
        let mut session = self.handle.session_mut();
        session.subscribed(pattern.clone(), key);
        session.permit(pattern, permit.cloned());
    }

    /// Subscribes to a topic without joining it: nothing of it is delivered until the session has read what it missed.
    pub(super) fn hold(&mut self, pattern: &Pattern, permit: Option<&Arc<Holder>>) -> Topic {
        let topic = pattern.to_topic().expect("only plain topics are read from the disk");
        let key = self.worker.hub.join_held(pattern, self.key, self.handle.writer().format());
        self.count_observer(true);
        self.note(pattern, key, permit);
        self.reads().hold(topic.clone());
        topic
    }

    /// Continues a subscription that is held, with the result of the first read. What the session missed beyond the first piece is
    /// read in the background.
    ///
    /// # Errors
    /// If the disk could not be read. The subscription has ended then.
    pub(super) fn begin_catching_up(
        &mut self,
        topic: Topic,
        resumed: Result<Resumed, Refusal>,
    ) -> Result<Opened, Refusal> {
        match resumed {
            Ok(Resumed { head, recovered, piece }) => {
                let (worker, writer) = (self.worker.clone(), self.handle.writer().clone());
                self.begin_read(Read::catch_up(worker, writer, (topic, self.seat()), piece.at));
                Ok(Opened { head: Some(head), recovered, missed: piece.publications })
            }
            Err(refusal) => {
                let pattern = Pattern::from(topic);
                let key = self.handle.session_mut().unsubscribed(&pattern);
                if let Some(key) = key {
                    self.leave(&pattern, key, Departure::Left);
                }
                Err(refusal)
            }
        }
    }

    /// Begins to deliver a topic that the session has caught up with, and returns the rest of what it missed.
    pub(super) fn caught_up(&mut self, topic: &Topic, joined: Joined) -> Vec<Arc<Publication>> {
        self.reads().release(topic);
        if joined.has_presence {
            self.enter_as_member(topic);
        }
        let pattern = Pattern::from(topic.clone());
        let key = self.handle.session().key_of(&pattern);
        if let Some(key) = key {
            self.worker.hub.deliver_after(&pattern, key, joined.head.offset);
        }
        joined.missed
    }

    /// Enters the topics that the session has joined before their rule kept presence, unless it observes them. Called after
    /// the rules have changed.
    pub(super) fn enter_missing(&mut self) {
        if self.role == Role::Observer {
            return;
        }
        let topics: Vec<Topic> =
            self.handle.session().subscriptions().filter_map(|(pattern, _)| pattern.to_topic()).collect();
        for topic in topics {
            let is_held = self.reads.as_ref().is_some_and(|reads| reads.holds(&topic));
            let is_member = self.members.iter().any(|(member_of, _)| *member_of == topic);
            if !is_held && !is_member && self.worker.engine.members().are_kept(&topic) {
                self.enter_as_member(&topic);
            }
        }
    }

    fn enter_as_member(&mut self, topic: &Topic) {
        if self.role == Role::Observer {
            return;
        }
        let member_session = self.handle.session().member_session_in(&topic.clone().into());
        self.worker.engine.members().enter(topic, &member_session, (self.worker.hub.worker(), self.key));
        self.members.push((topic.clone(), member_session));
    }

    /// Leaves a topic or pattern whose subscription the core has ended.
    pub(super) fn leave(&mut self, pattern: &Pattern, key: SubscriptionKey, departure: Departure) {
        self.count_observer(false);
        self.worker.hub.leave(pattern, key);
        let (engine, seat) = (&self.worker.engine, self.seat());
        let Some(topic) = pattern.to_topic() else { return engine.leave_pattern(pattern, seat) };
        // The engine does not know a session that is still held.
        let was_held = self.reads.as_mut().is_some_and(|reads| reads.release(&topic));
        if !was_held {
            let index = self.members.iter().position(|(member_of, _)| *member_of == topic);
            let member_session = index.map(|index| self.members.swap_remove(index).1);
            engine.leave(&topic, seat, member_session.as_ref(), departure);
        }
    }

    /// Leaves everything, at the end of the session. The session's key stays taken until [`Worker::release_key`].
    pub(super) fn end(&mut self, departure: Departure) {
        let subscriptions: Vec<_> = self.handle.session_mut().end().collect();
        for (pattern, key) in subscriptions {
            self.leave(&pattern, key, departure);
        }
        self.worker.hub.close(self.key);
    }

    fn reads(&mut self) -> &mut Reads {
        self.reads.get_or_insert_default()
    }

    /// Begins a background read.
    pub(super) fn begin_read(&mut self, read: Read) {
        self.reads().begin(read);
    }

    /// Continues all background reads and returns the results of those that have ended.
    pub(super) fn poll_reads(&mut self, context: &mut Context<'_>) -> Vec<ReadResult> {
        self.reads.as_mut().map_or_else(Vec::new, |reads| reads.poll(context))
    }

    /// Returns whether anything is being read.
    pub(super) fn are_reading(&self) -> bool {
        self.reads.as_ref().is_some_and(|reads| reads.are_under_way())
    }

    /// Returns whether so much is being read that the session's requests should wait.
    pub(super) fn are_reading_enough(&self) -> bool {
        self.reads.as_ref().is_some_and(|reads| reads.are_enough())
    }
}
