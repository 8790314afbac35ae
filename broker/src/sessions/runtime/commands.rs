//! Carrying out the commands of the application.

use std::sync::Arc;

use fanwire_core::access::Refusal;
use fanwire_core::identity::{Grants, Holder};
use fanwire_core::presence::Departure;
use fanwire_core::session::Start;
use fanwire_protocol::{ErrorCode, Pattern, ServerFrame};

use super::SessionRuntime;
use crate::sessions::command::{RequestedBy, SessionCommand};
use crate::sessions::handle::not_subscribed;

impl SessionRuntime {
    /// Carries out the commands that wait. None is carried out while a decision is pending, which may concern the same subscription.
    pub(super) fn run_commands(&mut self) {
        while !self.decision.is_pending()
            && let Some((command, reply)) = self.handle.commands().pop()
        {
            let outcome = match command {
                SessionCommand::Subscribe { pattern, start } => self.subscribe_by_command(&pattern, start),
                SessionCommand::Unsubscribe { pattern, reason } => {
                    self.unsubscribe_by_command(pattern, &reason)
                }
            };
            // The caller may have given up waiting.
            let _given_up = reply.send(outcome);
            self.replies.flush();
        }
    }

    fn subscribe_by_command(&mut self, pattern: &Pattern, start: Start) -> Result<(), Refusal> {
        {
            let session = self.handle.session();
            if session.owes_credentials() {
                let message = "this session has not shown a token yet".to_owned();
                return Err(Refusal { code: ErrorCode::Unauthorized, message });
            }
            if session.is_subscribed(pattern) {
                return Ok(());
            }
            let rules = self.worker.engine.rules();
            session.check_start(pattern, &start, self.worker.terms(&rules))?;
        }
        // This counts as a token for the one subscription, so that it outlives the session's own next token.
        let grants = Grants { publish: Vec::new(), subscribe: vec![pattern.clone()] };
        let permit = Arc::new(Holder { grants, ..Holder::default() });
        self.subscribe_for(RequestedBy::Application, pattern, start, Some(&permit));
        Ok(())
    }

    fn unsubscribe_by_command(&mut self, pattern: Pattern, reason: &str) -> Result<(), Refusal> {
        let key = self.handle.session_mut().unsubscribed(&pattern);
        let Some(key) = key else { return Err(not_subscribed(&pattern)) };
        self.joins.leave(&pattern, key, Departure::Left);
        let (code, reason) = (ErrorCode::Forbidden, reason.to_owned());
        self.replies.send(&ServerFrame::Unsubscribed { pattern, code, reason });
        Ok(())
    }
}
