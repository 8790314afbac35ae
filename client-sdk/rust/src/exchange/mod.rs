//! The state that this client shares with the broker: requests waiting for replies, subscriptions and how far they have
//! come, and what must be said again on a new connection.
//!
//! This is the client as a state machine: frames and commands go in, frames and events come out. It knows no sockets,
//! no clock and no back-off; [`crate::driver`] runs it.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};

use fanwire_protocol::{
    ClientFrame, ErrorCode, Message, Pattern, Reply, Request, ServerFrame, SubscribeOptions, Topic,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::{debug, warn};

use crate::error::Error;
use crate::event::Event;
use crate::queue::{Pushed, Sender};
use entry::{Entry, State};

/// The receiver of the answer to a request.
pub(crate) type Answer = oneshot::Sender<Result<Reply, Error>>;

/// A command of the application to its client. Each command holds a part of the client's request budget until it is done
/// with, so that any number of them is bounded in bytes.
#[derive(Debug)]
pub(crate) enum Command {
    /// A request whose answer the caller waits for.
    Ask { request: Request, answer: Answer, charge: OwnedSemaphorePermit },
    /// A frame without an answer.
    Tell { request: Request, charge: OwnedSemaphorePermit },
    /// Starts a subscription whose events go to `sender`.
    Subscribe {
        pattern: Pattern,
        options: SubscribeOptions,
        sender: Sender,
        answer: oneshot::Sender<Result<(), Error>>,
    },
}

/// A subscription whose queue is full, and the room its next event needs.
#[derive(Debug)]
pub(crate) struct Blocked {
    pub(crate) sender: Sender,
    pub(crate) cost: u32,
}

/// The state of the conversation over all connections.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    online: bool,
    id_last: u32,
    sequence_last: u64,
    pending: HashMap<u32, Pending>,
    /// The frames to send, in order.
    outgoing: VecDeque<Outgoing>,
    entries: HashMap<Pattern, Entry>,
    /// The number of entries with wildcards. While there is none, a message is looked up rather than matched.
    wild: usize,
    /// The received events that are not yet in the queues of their subscriptions.
    deliveries: VecDeque<Delivery>,
}

/// A request that is to be answered.
#[derive(Debug)]
struct Pending {
    sequence: u64,
    request: Request,
    sent: bool,
    waiter: Waiter,
}

#[derive(Debug)]
enum Waiter {
    Application { answer: Answer, _charge: OwnedSemaphorePermit },
    Subscription(Key),
}

#[derive(Debug)]
struct Outgoing {
    sequence: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    /// The pending request of this id.
    Ask(u32),
    Tell {
        request: Request,
        charge: Option<OwnedSemaphorePermit>,
    },
}

/// One subscription. The serial tells it from an earlier one to the same pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    pattern: Pattern,
    serial: u64,
}

#[derive(Debug)]
struct Delivery {
    key: Key,
    event: Event,
}

impl Exchange {
    /// Takes in what the application wants.
    pub(crate) fn command(&mut self, command: Command) {
        match command {
            Command::Ask { request, answer, charge } => {
                self.ask(request, Waiter::Application { answer, _charge: charge });
            }
            Command::Tell { request, charge } => self.tell(request, Some(charge)),
            Command::Subscribe { pattern, options, sender, answer } => {
                // One to the same pattern may have been dropped a moment ago.
                self.sweep();
                if self.entries.contains_key(&pattern) {
                    let _ = answer.send(Err(Error::AlreadySubscribed(pattern)));
                    return;
                }
                let serial = self.next_sequence();
                let entry = Entry::new(serial, &pattern, options, sender, answer);
                self.wild += usize::from(pattern.is_wild());
                self.entries.insert(pattern.clone(), entry);
                if self.online {
                    self.join(&pattern);
                }
            }
        }
    }

    /// Whether the application waits for the answer to a request.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.pending.values().any(|pending| match &pending.waiter {
            Waiter::Application { answer, .. } => !answer.is_closed(),
            Waiter::Subscription(key) => self.entry(key).is_some_and(Entry::is_awaited),
        })
    }

    /// A connection is there and greeted: subscriptions go first, so that they see what is published after them.
    pub(crate) fn connected(&mut self) {
        self.online = true;
        let waiting = std::mem::take(&mut self.outgoing);
        let mut offline: Vec<(u64, Pattern)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state == State::Offline)
            .map(|(pattern, entry)| (entry.serial, pattern.clone()))
            .collect();
        offline.sort_unstable_by_key(|(serial, _)| *serial);
        for (_, pattern) in offline {
            self.join(&pattern);
        }
        self.outgoing.extend(waiting);
    }

    /// The connection is gone. What may be asked twice without harm will be; the rest is answered with
    /// [`Error::ConnectionLost`], if it had been sent.
    pub(crate) fn disconnected(&mut self) {
        self.online = false;
        let mut again: BTreeMap<u64, Outgoing> = BTreeMap::new();
        for outgoing in std::mem::take(&mut self.outgoing) {
            if !matches!(outgoing.what, What::Tell { request: Request::Unsubscribe { .. }, .. }) {
                again.insert(outgoing.sequence, outgoing);
            }
        }
        for (id, mut pending) in std::mem::take(&mut self.pending) {
            let Waiter::Application { answer, .. } = &pending.waiter else {
                again.remove(&pending.sequence);
                continue;
            };
            if answer.is_closed() {
                again.remove(&pending.sequence);
            } else if pending.sent && !is_repeatable(&pending.request) {
                settle(pending, Err(Error::ConnectionLost));
            } else {
                pending.sent = false;
                let sequence = pending.sequence;
                again.insert(sequence, Outgoing { sequence, what: What::Ask(id) });
                self.pending.insert(id, pending);
            }
        }
        self.outgoing = again.into_values().collect();
        for entry in self.entries.values_mut().filter(|entry| entry.state != State::Paused) {
            entry.state = State::Offline;
        }
    }

    /// Returns the next frame to send. The caller must send it or call [`Exchange::disconnected`].
    pub(crate) fn next_outgoing(&mut self) -> Option<ClientFrame> {
        while let Some(outgoing) = self.outgoing.pop_front() {
            let id = match outgoing.what {
                What::Tell { request, charge } => {
                    drop(charge);
                    return Some(ClientFrame { id: None, request });
                }
                What::Ask(id) => id,
            };
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            if matches!(&pending.waiter, Waiter::Application { answer, .. } if answer.is_closed()) {
                self.pending.remove(&id);
                continue;
            }
            pending.sent = true;
            return Some(ClientFrame { id: Some(id), request: pending.request.clone() });
        }
        None
    }

    /// Takes in a frame of the broker. `closing` is for the driver and does nothing here.
    pub(crate) fn received(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Message(message) => self.route(message),
            ServerFrame::Reply { id, reply } => match self.pending.remove(&id) {
                Some(pending) => self.answered(id, pending, reply),
                None => debug!(id, "a reply without a waiting request"),
            },
            ServerFrame::Error { id, code, message } => self.failed(id, code, message),
            // A subscription that the application began through the server API: no reader here waits for it.
            ServerFrame::Subscribed { pattern, .. } => debug!(%pattern, "subscribed by the application"),
            ServerFrame::Unsubscribed { pattern, code, reason } => {
                self.end_subscription(&pattern, Error::Rejected { code, message: reason });
            }
            ServerFrame::Lagged { topic, missed } => self.lagged(topic.as_ref(), missed),
            ServerFrame::Join { topic, member } => {
                self.deliver_to_all(&topic, || Event::Join { topic: topic.clone(), member: member.clone() });
            }
            ServerFrame::Leave { topic, member } => {
                self.deliver_to_all(&topic, || Event::Leave { topic: topic.clone(), member: member.clone() });
            }
            ServerFrame::Closing { .. } => {}
        }
    }

    /// Moves what was received into the subscriptions' queues, up to the first that is full.
    pub(crate) fn deliver(&mut self) -> Option<Blocked> {
        while let Some(Delivery { key, event }) = self.deliveries.pop_front() {
            let Some(entry) = self.entries.get_mut(&key.pattern).filter(|entry| entry.serial == key.serial)
            else {
                continue;
            };
            match entry.push(event) {
                Pushed::Done => {}
                Pushed::Full(event) => {
                    let blocked = Blocked { sender: entry.sender.clone(), cost: entry.sender.cost(&event) };
                    self.deliveries.push_front(Delivery { key, event });
                    return Some(blocked);
                }
                Pushed::Closed => self.leave(&key.pattern),
            }
        }
        None
    }

    /// Returns the number of events that are not in their queues yet.
    pub(crate) fn undelivered(&self) -> usize {
        self.deliveries.len()
    }

    /// Takes the subscription that blocks the others off the broker until its reader has caught up. It will then be
    /// resumed from its last message, as after a broken connection.
    pub(crate) fn pause_blocked(&mut self) {
        let Some(key) = self.deliveries.front().map(|delivery| delivery.key.clone()) else { return };
        let Some(entry) = self.entries.get_mut(&key.pattern) else { return };
        warn!(topic = %key.pattern, "a subscription is not being read; it is paused until its buffer is half empty");
        let known_to_broker = entry.is_known_to_broker();
        entry.state = State::Paused;
        for delivery in self.deliveries.iter().filter(|delivery| delivery.key == key) {
            entry.loses |= is_unrepeatable(&delivery.event);
        }
        entry.sender.set_paused(true);
        self.deliveries.retain(|delivery| delivery.key != key);
        if known_to_broker {
            self.tell(Request::Unsubscribe { pattern: key.pattern }, None);
        }
        // The reader may have emptied its queue before it was asked to call.
        self.sweep();
    }

    /// Ends the subscriptions whose reader is gone, and resumes the paused ones that have room.
    pub(crate) fn sweep(&mut self) {
        let dropped = |entry: &Entry| entry.sender.is_closed();
        let ready = |entry: &Entry| entry.state == State::Paused && entry.sender.is_half_empty();
        let due: Vec<Pattern> = self
            .entries
            .iter()
            .filter(|(_, entry)| dropped(entry) || ready(entry))
            .map(|(pattern, _)| pattern.clone())
            .collect();
        for pattern in due {
            match self.entries.get_mut(&pattern) {
                Some(entry) if !dropped(entry) => {
                    entry.sender.set_paused(false);
                    entry.state = State::Offline;
                    if self.online {
                        self.join(&pattern);
                    }
                }
                _ => self.leave(&pattern),
            }
        }
    }

    /// Ends everything: requests fail with `error`; subscriptions too, unless the application itself closed the client.
    pub(crate) fn end(&mut self, error: &Error) {
        for (_, pending) in std::mem::take(&mut self.pending) {
            settle(pending, Err(error.clone()));
        }
        self.outgoing.clear();
        // One frame's worth at most, as nothing is read while something is blocked.
        for Delivery { key, event } in std::mem::take(&mut self.deliveries) {
            if let Some(entry) = self.entry(&key) {
                entry.sender.push_last(event);
            }
        }
        for (_, entry) in std::mem::take(&mut self.entries) {
            entry.end(error.clone());
        }
        self.wild = 0;
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence_last += 1;
        self.sequence_last
    }

    fn entry(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(&key.pattern).filter(|entry| entry.serial == key.serial)
    }

    /// Queues a request and gives it an id.
    fn ask(&mut self, request: Request, waiter: Waiter) -> u32 {
        let sequence = self.next_sequence();
        loop {
            self.id_last = self.id_last.wrapping_add(1);
            if !self.pending.contains_key(&self.id_last) {
                break;
            }
        }
        self.pending.insert(self.id_last, Pending { sequence, request, sent: false, waiter });
        self.outgoing.push_back(Outgoing { sequence, what: What::Ask(self.id_last) });
        self.id_last
    }

    fn tell(&mut self, request: Request, charge: Option<OwnedSemaphorePermit>) {
        let sequence = self.next_sequence();
        self.outgoing.push_back(Outgoing { sequence, what: What::Tell { request, charge } });
    }

    /// Sends a `subscribe` frame that begins at the subscription's progress.
    fn join(&mut self, pattern: &Pattern) {
        let Some(entry) = self.entries.get(pattern) else { return };
        let request = Request::Subscribe { pattern: pattern.clone(), options: entry.progress.options() };
        let key = Key { pattern: pattern.clone(), serial: entry.serial };
        let id = self.ask(request, Waiter::Subscription(key));
        if let Some(entry) = self.entries.get_mut(pattern) {
            entry.state = State::Asked { id };
        }
    }

    /// Forgets a subscription and tells the broker, if it knows of it.
    fn leave(&mut self, pattern: &Pattern) {
        let Some(entry) = self.entries.remove(pattern) else { return };
        self.wild -= usize::from(pattern.is_wild());
        if entry.is_known_to_broker() {
            self.tell(Request::Unsubscribe { pattern: pattern.clone() }, None);
        }
    }

    fn end_subscription(&mut self, pattern: &Pattern, error: Error) {
        let Some(entry) = self.entries.remove(pattern) else { return };
        self.wild -= usize::from(pattern.is_wild());
        for Delivery { key, event } in std::mem::take(&mut self.deliveries) {
            if key.pattern == *pattern && key.serial == entry.serial {
                entry.sender.push_last(event);
            } else {
                self.deliveries.push_back(Delivery { key, event });
            }
        }
        entry.end(error);
    }

    fn answered(&mut self, id: u32, pending: Pending, reply: Reply) {
        let Waiter::Subscription(key) = &pending.waiter else {
            return settle(pending, Ok(reply));
        };
        let Reply::Subscribed { position, recovered, .. } = reply else {
            return debug!("a subscribe was answered with something else");
        };
        // The subscription may have been dropped, paused or asked for anew since.
        let current = |entry: &&mut Entry| entry.serial == key.serial && entry.state == State::Asked { id };
        let Some(entry) = self.entries.get_mut(&key.pattern).filter(current) else { return };
        if entry.joined(position, recovered) {
            self.deliveries.push_back(Delivery { key: key.clone(), event: Event::Lost { missed: None } });
        }
    }

    fn failed(&mut self, id: Option<u32>, code: ErrorCode, message: String) {
        let Some((id, pending)) = id.and_then(|id| self.pending.remove_entry(&id)) else {
            // Of an unsubscribe that crossed the broker's own, or an unacknowledged publish.
            return match code {
                ErrorCode::NotSubscribed => debug!(%code, message, "the broker refused"),
                _ => warn!(%code, message, "the broker refused something that was said without asking"),
            };
        };
        let Waiter::Subscription(key) = &pending.waiter else {
            return settle(pending, Err(Error::Rejected { code, message }));
        };
        let current = |entry: &&mut Entry| entry.serial == key.serial && entry.state == State::Asked { id };
        let Some(entry) = self.entries.get_mut(&key.pattern).filter(current) else { return };
        if code == ErrorCode::HistoryOff && entry.was_joined() {
            // The topic's rule changed while the client was away: live it is, with a hole.
            entry.progress.forget();
            entry.loses = true;
            self.join(&key.pattern.clone());
        } else {
            self.end_subscription(&key.pattern.clone(), Error::Rejected { code, message });
        }
    }

    fn route(&mut self, message: Message) {
        let plain = Pattern::from(message.topic.clone());
        if self.wild == 0 {
            if let Some(key) = self.entries.get(&plain).and_then(|entry| entry.live_key(&plain)) {
                self.deliveries.push_back(Delivery { key, event: Event::Message(message) });
            }
            return;
        }
        self.deliver_to_all(&message.topic, || Event::Message(message.clone()));
    }

    /// Delivers an event of a topic to every subscription that matches it.
    fn deliver_to_all(&mut self, topic: &Topic, event: impl Fn() -> Event) {
        let matching =
            self.entries.iter().filter(|(pattern, _)| pattern.matches(topic)).filter_map(
                |(pattern, entry)| Some(Delivery { key: entry.live_key(pattern)?, event: event() }),
            );
        self.deliveries.extend(matching);
    }

    fn lagged(&mut self, topic: Option<&Topic>, missed: u64) {
        let concerned = self.entries.iter().filter_map(|(pattern, entry)| {
            if topic.is_some_and(|topic| !pattern.matches(topic)) {
                return None;
            }
            let event = Event::Lost { missed: Some(missed) };
            Some(Delivery { key: entry.live_key(pattern)?, event })
        });
        self.deliveries.extend(concerned);
    }
}

/// Whether asking twice is the same as asking once.
fn is_repeatable(request: &Request) -> bool {
    !matches!(request, Request::Publish { key: None, .. } | Request::Call { .. })
}

/// Whether a resumption cannot bring this event again.
fn is_unrepeatable(event: &Event) -> bool {
    match event {
        Event::Message(message) => message.position.is_none(),
        _ => true,
    }
}

fn settle(pending: Pending, outcome: Result<Reply, Error>) {
    if let Waiter::Application { answer, .. } = pending.waiter {
        // The waiter may have stopped waiting.
        let _ = answer.send(outcome);
    }
}
