//! The thread that delivers webhook events, with a runtime of its own, so that a slow application delays nothing else.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use super::application::WebhookSenders;

/// The divisor of `limits.drain_timeout` whose quotient is kept for the last webhook events.
const DRAIN_SHARE: u32 = 4;

/// A handle of the thread; it is empty if there are no webhooks.
pub(super) struct WebhookThread(Option<(watch::Sender<Option<Instant>>, JoinHandle<()>)>);

/// Starts the thread.
///
/// # Errors
/// If the system gives no thread or no runtime.
pub(super) fn start(senders: WebhookSenders) -> io::Result<WebhookThread> {
    let WebhookSenders { own, of_pusher } = senders;
    if own.is_none() && of_pusher.is_empty() {
        return Ok(WebhookThread(None));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopping) = watch::channel(None);
    let thread = std::thread::Builder::new().name("fanwire-webhooks".to_owned()).spawn(move || {
        runtime.block_on(LocalSet::new().run_until(async {
            let mut running = JoinSet::new();
            for sender in of_pusher {
                running.spawn_local(sender.run(stopping.clone()));
            }
            if let Some(sender) = own {
                sender.run(stopping).await;
            }
            while let Some(ended) = running.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "the delivery of Pusher webhooks ended early");
                }
            }
        }));
        // A lookup of the application's name may still be in progress; its result is not needed.
        runtime.shutdown_background();
    })?;
    Ok(WebhookThread(Some((stop, thread))))
}

impl WebhookThread {
    /// Returns the part of `drain_timeout` that is needed after the sessions have ended.
    pub(super) fn share_of(&self, drain_timeout: Duration) -> Duration {
        if self.0.is_some() { drain_timeout / DRAIN_SHARE } else { Duration::ZERO }
    }

    /// Waits until all events are delivered, or until `deadline`.
    pub(super) fn finish(self, deadline: Instant) {
        let Some((stop, thread)) = self.0 else { return };
        stop.send_replace(Some(deadline));
        if thread.join().is_err() {
            tracing::error!("the thread of webhooks panicked");
        }
    }
}
