//! Calls to the workers: what somebody on another thread wants to know of a worker's sessions, or wants done to them.
//!
//! A worker owns its sessions, and nothing of them leaves its thread. So a call is a piece of code that is sent there, runs
//! between two tasks, and sends its answer back. It must be quick and cannot wait; what has to wait, as for a session to do
//! something, is answered by a channel that the call returns.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fanwire_core::access::Refusal;
use fanwire_protocol::ErrorCode;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::Worker;

/// How many calls may wait for one worker; while they do, whoever has another one waits, too.
const MAILBOX_COMMANDS_MAX: usize = 256;

/// How long a caller waits for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// One call on its way to a worker.
type WorkerCommand = Box<dyn FnOnce(&Rc<Worker>) + Send>;

/// The way to all workers. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct WorkerMailboxes {
    workers: Arc<[mpsc::Sender<WorkerCommand>]>,
}

/// The calls that come to one worker.
pub(crate) struct WorkerMailbox(mpsc::Receiver<WorkerCommand>);

impl WorkerMailboxes {
    /// The way to so many workers, and what each of them listens to.
    pub(crate) fn new(workers: usize) -> (Self, Vec<WorkerMailbox>) {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| mpsc::channel(MAILBOX_COMMANDS_MAX)).unzip();
        (Self { workers: senders.into() }, receivers.into_iter().map(WorkerMailbox).collect())
    }

    /// Asks the worker that owns the connection of this number, whether it is still there or not.
    ///
    /// # Errors
    /// If there is no answer in time. What was asked for may happen all the same.
    pub(crate) async fn run_on_owner<T: Send + 'static>(
        &self,
        connection: u64,
        command: impl FnOnce(&Rc<Worker>) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        let answer = self.send((connection % self.workers.len() as u64) as usize, command, deadline).await?;
        receive(answer, deadline).await
    }

    /// Asks every worker and gathers the answers, in the order of the workers.
    ///
    /// # Errors
    /// If one of them does not answer in time. What was asked for may happen all the same.
    pub(crate) async fn run_on_all<T: Send + 'static>(
        &self,
        command: impl Fn(&Rc<Worker>) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, Refusal> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        let mut answers = Vec::with_capacity(self.workers.len());
        for worker in 0..self.workers.len() {
            answers.push(self.send(worker, command.clone(), deadline).await?);
        }
        let mut all = Vec::with_capacity(answers.len());
        for answer in answers {
            all.push(receive(answer, deadline).await?);
        }
        Ok(all)
    }

    async fn send<T: Send + 'static>(
        &self,
        worker: usize,
        command: impl FnOnce(&Rc<Worker>) -> T + Send + 'static,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<T>, Refusal> {
        let (sender, answer) = oneshot::channel();
        let command: WorkerCommand = Box::new(move |worker| {
            // Whoever asked may have gone; what was asked for is done all the same.
            let _gone = sender.send(command(worker));
        });
        match timeout_at(deadline, self.workers[worker].send(command)).await {
            Ok(Ok(())) => Ok(answer),
            Ok(Err(_)) => Err(stopping()),
            Err(_) => Err(too_late()),
        }
    }
}

async fn receive<T>(answer: oneshot::Receiver<T>, deadline: Instant) -> Result<T, Refusal> {
    match timeout_at(deadline, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(stopping()),
        Err(_) => Err(too_late()),
    }
}

fn stopping() -> Refusal {
    let message =
        "the broker is shutting down: use another one, or come back when it has restarted".to_owned();
    Refusal { code: ErrorCode::Unavailable, message }
}

fn too_late() -> Refusal {
    let message = format!(
        "a worker of the broker did not answer within {} s, so it is not known what was done: ask again",
        CALL_TIMEOUT.as_secs()
    );
    Refusal { code: ErrorCode::Unavailable, message }
}

impl WorkerMailbox {
    /// Answers calls for as long as the worker runs.
    pub(crate) async fn answer(mut self, worker: Rc<Worker>) {
        while let Some(command) = self.0.recv().await {
            // What was published before the call is delivered before it has its effect.
            worker.hub.deliver_waiting();
            command(&worker);
        }
    }
}
