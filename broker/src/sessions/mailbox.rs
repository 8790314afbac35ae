//! Worker mailboxes: the way for other threads to read or change the sessions of a worker.
//!
//! A worker owns its sessions, and none of them leaves its thread. A command is a closure that is sent to the worker, runs between two
//! tasks, and sends its answer back. It must be quick and cannot wait. If the answer takes time, as when a session has to do something,
//! the command returns a channel for it. This file does not know what the commands do.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fanwire_core::access::Refusal;
use fanwire_protocol::ErrorCode;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::worker::Worker;

/// The maximum number of commands that wait for one worker. At the maximum, a caller waits for room.
const MAILBOX_COMMANDS_MAX: usize = 256;

/// The time after which a caller gives up waiting for an answer.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// A command on its way to a worker.
type WorkerCommand = Box<dyn FnOnce(&Rc<Worker>) + Send>;

/// The senders of all mailboxes. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct WorkerMailboxes {
    workers: Arc<[mpsc::Sender<WorkerCommand>]>,
}

/// The receiver of one worker's mailbox.
pub(crate) struct WorkerMailbox(mpsc::Receiver<WorkerCommand>);

impl WorkerMailboxes {
    /// Returns the senders to `workers` mailboxes, and the mailboxes in the order of the workers.
    pub(crate) fn new(workers: usize) -> (Self, Vec<WorkerMailbox>) {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| mpsc::channel(MAILBOX_COMMANDS_MAX)).unzip();
        (Self { workers: senders.into() }, receivers.into_iter().map(WorkerMailbox).collect())
    }

    /// Runs `command` on the worker that owns the connection of this number, whether the connection is still open or not.
    ///
    /// # Errors
    /// If there is no answer in time. The command may run all the same.
    pub(crate) async fn run_on_owner<T: Send + 'static>(
        &self,
        connection: u64,
        command: impl FnOnce(&Rc<Worker>) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        let answer = self.send((connection % self.workers.len() as u64) as usize, command, deadline).await?;
        receive(answer, deadline).await
    }

    /// Runs `command` on every worker and returns the answers in the order of the workers.
    ///
    /// # Errors
    /// If a worker does not answer in time. The command may run all the same.
    pub(crate) async fn run_on_all<T: Send + 'static>(
        &self,
        command: impl Fn(&Rc<Worker>) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, Refusal> {
        let deadline = Instant::now() + COMMAND_TIMEOUT;
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
            // A caller that has given up needs no answer.
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
        "the broker is shutting down: use another one, or try again when it has restarted".to_owned();
    Refusal { code: ErrorCode::Unavailable, message }
}

fn too_late() -> Refusal {
    let message = format!(
        "a worker of the broker did not answer within {} s, so it is not known what was done: try again",
        COMMAND_TIMEOUT.as_secs()
    );
    Refusal { code: ErrorCode::Unavailable, message }
}

impl WorkerMailbox {
    /// Runs commands for as long as the worker runs.
    pub(crate) async fn answer(mut self, worker: Rc<Worker>) {
        while let Some(command) = self.0.recv().await {
            // A publication that was accepted before the command is delivered before the command has its effect.
            worker.hub.deliver_waiting();
            command(&worker);
        }
    }
}
