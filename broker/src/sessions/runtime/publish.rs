//! Publishing for a session: the request goes through the publish pipeline, and its receipt becomes a reply.

use fanwire_core::access::Refusal;
use fanwire_core::session::{Close, PublishRequest};
use fanwire_protocol::{CloseCode, ErrorCode, Receipt, Reply, Topic};

use super::SessionRuntime;
use crate::engine::{Accepted, ReceiptTo};
use crate::sessions::decision::Decision;
use crate::sessions::publishing::{PublishClient, Publishing};

impl SessionRuntime {
    /// Publishes, and replies to the request `id` now, or when the publication is on disk or the application has decided.
    pub(super) fn publish(&mut self, id: Option<u32>, request: PublishRequest) -> Option<Close> {
        let publish = request.into_publish(self.worker.hub.worker(), self.joins.key());
        let topic = publish.topic.clone();
        let receipt_to = ReceiptTo::Session { queue: self.receipts.get_or_insert_default().clone(), id };
        let publishing = {
            let session = self.handle.session();
            let client = PublishClient {
                identity: session.identity(),
                meter: &self.meter,
                address: self.handle.client(),
                connection: Some(session.connection_number()),
            };
            self.worker.publishing.publish(publish, client, receipt_to)
        };
        match publishing {
            Ok(Publishing::Accepted(accepted)) => self.settle_publish(id, topic, Ok(accepted)),
            Ok(Publishing::ReceiptFollows) => None,
            Ok(Publishing::Callout(callout)) => {
                self.decision.begin(Decision::Publish { id, topic, callout });
                None
            }
            Err(refusal) => self.refuse_publish(id, refusal),
        }
    }

    /// Replies with a receipt, or with the reason why the publication was not accepted.
    pub(super) fn settle_publish(
        &mut self,
        id: Option<u32>,
        topic: Topic,
        result: Result<Accepted, Refusal>,
    ) -> Option<Close> {
        match result {
            Ok(Accepted { position, is_duplicate: duplicate, .. }) => {
                self.replies.reply(id, || Reply::Published(Receipt { topic, position, duplicate }));
                None
            }
            Err(refusal) => self.refuse(id, refusal),
        }
    }

    /// Refuses a publish. Returns how to close a session that has ignored too many refusals for its rate.
    fn refuse_publish(&mut self, id: Option<u32>, refusal: Refusal) -> Option<Close> {
        let is_flooding = refusal.code == ErrorCode::RateLimited && self.meter.is_flooding();
        self.refuse(id, refusal).or_else(|| {
            is_flooding.then(|| {
                let reason = "the session publishes faster than its rate and has ignored many refusals";
                Close::new(CloseCode::RateLimited, reason)
            })
        })
    }
}
