//! A task that one future owns: the runtime drives it, and it ends when its owner is dropped.
//!
//! Whatever holds a shared permit across an `.await` runs here. The future of a session or of an answer is polled only as
//! long as its client reads, and a permit inside it could be held for as long as one client likes. A fair semaphore even
//! hands a permit to a waiting future that is never polled again. This module does not know what the permits are for.

use tokio::task::{JoinError, JoinSet};

/// Runs `work` in a task of its own on the runtime of the caller and returns its output. Dropping the returned future ends
/// the task, and with it the permits it holds.
///
/// # Errors
/// If `work` panics.
pub(crate) async fn run<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    let mut task = JoinSet::new();
    task.spawn(work);
    task.join_next().await.expect("the set holds the task that was just spawned")
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Poll;

    use tokio::sync::Semaphore;

    use super::*;

    fn block_on(future: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(future);
    }

    async fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) {
        poll_fn(|context| {
            let _pending = std::pin::Pin::new(&mut *future).poll(context);
            Poll::Ready(())
        })
        .await;
    }

    #[test]
    fn an_owner_that_is_never_polled_again_holds_up_no_one_who_waits_for_the_permit() {
        block_on(async {
            let permits = Arc::new(Semaphore::new(1));
            let taken = permits.clone().acquire_owned().await.unwrap();
            let in_queue = permits.clone();
            let mut unread = pin!(run(async move { drop(in_queue.acquire_owned().await) }));
            poll_once(&mut unread).await;
            tokio::task::yield_now().await;
            drop(taken);
            let turn = tokio::time::timeout(std::time::Duration::from_secs(10), permits.acquire()).await;
            assert!(turn.is_ok(), "the permit was handed to a future that is not polled");
        });
    }

    #[test]
    fn a_dropped_owner_ends_the_task_and_gives_its_permit_back() {
        block_on(async {
            let permits = Arc::new(Semaphore::new(1));
            let own = permits.clone();
            let work = async move {
                let _permit = own.acquire_owned().await;
                std::future::pending::<()>().await;
            };
            let mut owner = Box::pin(run(work));
            poll_once(&mut owner).await;
            tokio::task::yield_now().await;
            assert_eq!(permits.available_permits(), 0);
            drop(owner);
            let turn = tokio::time::timeout(std::time::Duration::from_secs(10), permits.acquire()).await;
            assert!(turn.is_ok());
        });
    }
}
