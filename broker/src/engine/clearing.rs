//! Clearing the history of a topic because somebody wants it gone.
//!
//! The numbering goes on. So positions tell exactly those of the loss who have missed something: whoever has seen everything
//! up to the clearing loses nothing.

use std::sync::Arc;

use fanwire_core::access::Refusal;
use fanwire_protocol::{Position, Topic};
use tokio::sync::oneshot;

use super::Engine;
use super::stored::{no_store, refusal};
use super::topic::Locked;
use crate::store::StoreError;

impl Engine {
    /// Lets go of everything that a topic holds, in memory and on disk, and returns the position up to which that was.
    ///
    /// # Errors
    /// If the topic is durable and the disk cannot be written; then nothing has gone.
    pub(crate) async fn clear_history(self: &Arc<Self>, name: &Topic) -> Result<Position, Refusal> {
        let is_durable = self.with_topic(name, |topic, _| topic.policy().durable);
        if !is_durable {
            return Ok(self.with_topic(name, |topic, _| {
                self.clear_memory(topic);
                topic.log().head()
            }));
        }
        // Where the topic stands is known to the disk only, perhaps.
        self.load_numbering(name).await?;
        let (told, cleared) = oneshot::channel();
        let (engine, cleared_name) = (self.clone(), name.clone());
        let done = Box::new(move |result: Result<(), StoreError>| {
            let position = result.map(|()| {
                engine.with_topic(&cleared_name, |topic, _| {
                    engine.clear_memory(topic);
                    topic.log().head()
                })
            });
            // Whoever wanted it gone may have gone as well.
            let _gone = told.send(position);
        });
        let store = self.store.as_ref().ok_or_else(no_store)?;
        store.clear_topic(name, done).map_err(|error| refusal(&error))?;
        let position = cleared.await.unwrap_or(Err(StoreError::Closed));
        position.map_err(|error| refusal(&error))
    }

    /// Lets go of what memory holds of a topic.
    pub(super) fn clear_memory(&self, topic: &mut Locked<'_>) {
        let before = topic.held();
        topic.clear_history();
        self.released(before, topic.held());
    }
}
