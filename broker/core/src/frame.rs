//! One encoded publication with what a transport must know of it.

use bytes::Bytes;
use fanwire_protocol::{Position, Topic};

use crate::format::Format;
use crate::publication::Publication;

/// One encoded publication for a session of [`DeliveryMode::Separate`](crate::format::DeliveryMode::Separate). It does not keep
/// the publication in memory.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The topic it was published to.
    pub topic: Topic,
    /// Its position, if the topic keeps history.
    pub position: Option<Position>,
    /// Its offset, which topics without history have too.
    pub offset: u64,
    /// The frame as encoded bytes.
    pub bytes: Bytes,
}

impl Frame {
    /// A frame of `publication` in `bytes`.
    pub fn new(publication: &Publication, bytes: Bytes) -> Self {
        let Publication { message, offset, .. } = publication;
        Self { topic: message.topic.clone(), position: message.position, offset: *offset, bytes }
    }

    /// Encodes `publication`, whose payload must be one that `format` can write as it is or converts itself.
    pub fn encode(publication: &Publication, format: &Format) -> Self {
        let mut bytes = Vec::with_capacity(publication.message.payload.len() + 192);
        format.encoder.message(&publication.message, &mut bytes);
        Self::new(publication, publication.held().bytes_of(bytes))
    }

    /// Moves a reader's position in the topic, `at`, to this publication.
    pub fn advance(&self, at: &mut Position) {
        match self.position {
            Some(position) => *at = position,
            None => at.offset = self.offset,
        }
    }
}
