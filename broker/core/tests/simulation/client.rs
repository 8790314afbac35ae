//! A client of the simulation: it reads bytes, remembers its position, and knows what it must have seen.

use fanwire_protocol::{Cursor, Epoch, Position, Topic};

/// What one client has received of one topic.
pub(crate) struct Client {
    pub(crate) topic: Topic,
    /// The position up to which it has seen everything, once it has one.
    pub(crate) seen_to: Option<Position>,
    /// The session it is connected by: worker and key.
    pub(crate) session: Option<(usize, u32)>,
    /// The position up to which it has received what is on disk, while it is not subscribed yet.
    pub(crate) catching_up: Option<Position>,
    /// The offset up to which it receives what is on disk, its own publications included, because the disk does not keep their sender.
    pub(crate) replayed_to: u64,
    /// The bytes of an event that is not complete.
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(topic: Topic) -> Self {
        Self { topic, seen_to: None, session: None, catching_up: None, replayed_to: 0, buffer: Vec::new() }
    }

    /// Takes bytes from the connection and returns the positions of the messages completed by them.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Position>, String> {
        self.buffer.extend_from_slice(bytes);
        let mut positions = Vec::new();
        while let Some(end) = self.buffer.windows(2).position(|window| window == b"\n\n") {
            let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let event = String::from_utf8(event).map_err(|_| "an event is not UTF-8".to_owned())?;
            let id = event.lines().find_map(|line| line.strip_prefix("id: ")).ok_or("an event without id")?;
            let cursor: Cursor = id.parse().map_err(|_| format!("an id that is no cursor: {id}"))?;
            let position = cursor.position_in(&self.topic, Epoch::FOREIGN);
            // The payload contains position and topic, so that an event mixed from two is noticed.
            if !event.contains(&format!("data: {} in {}", position.offset, self.topic)) {
                return Err(format!("an event that is not what was published: {event:?}"));
            }
            positions.push(position);
        }
        Ok(positions)
    }

    /// Ends the connection, and drops what was on its way.
    pub(crate) fn disconnect(&mut self) {
        self.session = None;
        self.catching_up = None;
        self.replayed_to = 0;
        self.buffer.clear();
    }
}
