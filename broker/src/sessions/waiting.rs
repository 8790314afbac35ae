//! A session and what it waits for: receipts of what is on its way to the disk, and what it missed and only the disk holds.

use std::task::{Context, Poll};

use fanwire_core::access::Refusal;
use fanwire_core::presence::Departure;
use fanwire_protocol::{Pattern, Topic};

use super::command::Initiator;
use super::work::{READINGS_MAX, Read, Reading as Work};
use super::{LiveSession, Opened};
use crate::engine::{Joined, LateReceipt, Resumed};

/// What a session waits for while it goes on.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) readings: Vec<Work>,
    /// The topics whose place is held: the engine does not know yet that the session listens.
    pub(super) catching_up: Vec<Topic>,
}

impl LiveSession {
    /// Notes the subscription to a topic, of which the session hears nothing before it has been given what it missed.
    pub(super) fn hold_place(&mut self, pattern: &Pattern) -> Topic {
        let topic = pattern.to_topic().expect("only plain topics are read from the disk");
        let key = self.worker.hub.hold_place(pattern, self.key, self.format);
        self.note_subscription(pattern.clone(), key);
        self.waiting.get_or_insert_default().catching_up.push(topic.clone());
        topic
    }

    /// Begins to give the session what it missed.
    pub(super) fn begin_catching_up(
        &mut self,
        topic: Topic,
        resumed: Result<Resumed, Refusal>,
    ) -> Result<Opened, Refusal> {
        match resumed {
            Ok(Resumed { head, recovered, piece }) => {
                let (worker, writer) = (self.worker.clone(), self.writer.clone());
                let work = Work::catch_up(worker, writer, topic, piece.at);
                self.waiting.get_or_insert_default().readings.push(work);
                Ok(Opened { head: Some(head), recovered, missed: piece.publications })
            }
            Err(refusal) => {
                let pattern = Pattern::from(topic);
                if let Some(key) = self.session.unsubscribed(&pattern) {
                    self.leave(&pattern, key, Departure::Left);
                }
                Err(refusal)
            }
        }
    }

    /// Lets a session that has been given everything before hear the rest.
    fn caught_up(&mut self, topic: Topic, joined: Joined) {
        if let Some(waiting) = &mut self.waiting {
            waiting.catching_up.retain(|catching_up| *catching_up != topic);
        }
        if joined.has_presence {
            let member_session = self.session.member_session();
            self.worker.engine.enter(&topic, &member_session, (self.worker.hub.worker(), self.key));
            self.present.push((topic.clone(), member_session));
        }
        let pattern = Pattern::from(topic);
        let key = self.session.subscriptions().find(|(subscribed, _)| **subscribed == pattern);
        if let Some((_, key)) = key {
            self.worker.hub.resume(&pattern, key, joined.head.offset);
        }
        self.replay(joined.missed);
    }

    /// Goes on with what the session waits for. Called whenever its task runs; returns why the session has to end, if a
    /// publication of a session that has no frames to be told in was not accepted.
    pub(crate) fn poll_waiting(&mut self, context: &mut Context<'_>) -> Option<Refusal> {
        self.run_commands();
        let mut refused = None;
        let arrived = self.receipts.as_ref().map_or_else(Vec::new, |receipts| receipts.take(context));
        for LateReceipt { id, topic, result } in arrived {
            match result {
                Err(refusal) if self.format.refuses_by_close => refused = Some(refusal),
                result => self.send_receipt(id, topic, result),
            }
        }
        let mut read = Vec::new();
        let readings = self.waiting.as_mut().map(|waiting| &mut waiting.readings);
        readings.into_iter().for_each(|readings| {
            readings.retain_mut(|reading| match reading.poll(context) {
                Poll::Ready(done) => {
                    read.push(done);
                    false
                }
                Poll::Pending => true,
            })
        });
        // What has just begun has to be polled once, or it would never wake anybody.
        let has_begun = !read.is_empty();
        for done in read {
            match done {
                Read::Resumed { initiator, topic, result } => {
                    self.answer_subscribe(initiator, topic, result);
                }
                Read::CaughtUp { topic, joined } => self.caught_up(topic, joined),
                Read::Answered(Some(frame)) => self.send(&frame),
                Read::Answered(None) => {}
            }
        }
        self.flush_replies();
        if has_begun { self.poll_waiting(context).or(refused) } else { refused }
    }

    fn answer_subscribe(&mut self, initiator: Initiator, topic: Topic, resumed: Result<Resumed, Refusal>) {
        let pattern = Pattern::from(topic.clone());
        match self.begin_catching_up(topic, resumed) {
            Ok(opened) => self.announce(initiator, pattern, opened),
            Err(refusal) => self.refuse_subscription(initiator, pattern, refusal),
        }
    }

    /// Whether receipts are still on their way to this session.
    pub(crate) fn is_owed_receipts(&self) -> bool {
        self.receipts.as_ref().is_some_and(|receipts| receipts.has_any())
    }

    /// Whether something is being read for this session that it has not been given yet.
    pub(crate) fn is_reading(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| !waiting.readings.is_empty())
    }

    /// Whether so much is being read for this session that no more of its requests should be handled for now.
    pub(crate) fn is_reading_enough(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.readings.len() >= READINGS_MAX)
    }

    /// Begins to read something for the session.
    pub(super) fn read(&mut self, work: Work) {
        self.waiting.get_or_insert_default().readings.push(work);
    }
}
