//! Ends a connection whose client takes nothing of an answer for too long.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fanwire_protocol::CloseCode;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::clock;
use crate::hub::MemoryShort;
use crate::telemetry::WorkerCounters;

/// The longest time without progress of an answer while memory is short.
const SHORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Watches over one answer until it is dropped. Only the time without progress counts, however long the whole takes.
pub(super) struct WriteWatch {
    progress_ms: Rc<Cell<u64>>,
    task: JoinHandle<()>,
}

impl WriteWatch {
    /// Begins to watch. After `timeout` without progress, `abort` ends the connection; when memory is short, a second is enough.
    pub(super) fn begin(
        timeout: Duration,
        abort: Rc<Notify>,
        memory: Rc<MemoryShort>,
        counters: Arc<WorkerCounters>,
    ) -> Self {
        let progress_ms = Rc::new(Cell::new(clock::monotonic_ms()));
        let watched = progress_ms.clone();
        let task = tokio::task::spawn_local(async move {
            loop {
                let idle = Duration::from_millis(clock::monotonic_ms().saturating_sub(watched.get()));
                let Some(left) = timeout.checked_sub(idle).filter(|left| !left.is_zero()) else { break };
                tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    () = memory.notified(), if idle >= SHORT_TIMEOUT => break,
                    () = tokio::time::sleep(SHORT_TIMEOUT.saturating_sub(idle)), if idle < SHORT_TIMEOUT => {}
                }
            }
            tracing::debug!("a connection is ended: its client took nothing of an answer for too long");
            counters.close(CloseCode::TooSlow);
            abort.notify_one();
        });
        Self { progress_ms, task }
    }

    /// Notes that the client has taken something.
    pub(super) fn progressed(&self) {
        self.progress_ms.set(clock::monotonic_ms());
    }
}

impl Drop for WriteWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
