//! The thread that tells the application what happens, with a runtime of its own: whatever the application does to it, nobody else
//! is slowed down.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::hooks::WebhookSender;

/// Which part of the time to drain is left for telling who has gone.
const DRAIN_SHARE: u32 = 4;

/// The thread as the main thread sees it; without a courier there is none.
pub(super) struct WebhookThread(Option<(watch::Sender<Option<Instant>>, JoinHandle<()>)>);

/// Starts the thread.
///
/// # Errors
/// If the system gives no thread or no runtime.
pub(super) fn start(courier: Option<WebhookSender>) -> io::Result<WebhookThread> {
    let Some(courier) = courier else { return Ok(WebhookThread(None)) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopping) = watch::channel(None);
    let thread = std::thread::Builder::new().name("fanwire-tells".to_owned()).spawn(move || {
        runtime.block_on(courier.run(stopping));
        // The name of the application may still be being looked up, which nobody waits for any more.
        runtime.shutdown_background();
    })?;
    Ok(WebhookThread(Some((stop, thread))))
}

impl WebhookThread {
    /// How much of `drain_timeout` is needed after the sessions have gone.
    pub(super) fn share_of(&self, drain_timeout: Duration) -> Duration {
        if self.0.is_some() { drain_timeout / DRAIN_SHARE } else { Duration::ZERO }
    }

    /// Waits until the application has been told everything, or until `deadline`.
    pub(super) fn finish(self, deadline: Instant) {
        let Some((stop, thread)) = self.0 else { return };
        stop.send_replace(Some(deadline));
        if thread.join().is_err() {
            tracing::error!("the thread that tells the application what happens has panicked");
        }
    }
}
