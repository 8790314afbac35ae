//! The one task behind a client: runs the exchange over one connection after the other.
//!
//! It owns the sockets, the clock and the dice. What is said is decided by [`crate::exchange`].

use std::sync::Arc;
use std::time::Duration;

use fanwire_protocol::{CloseCode, ServerFrame};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use crate::backoff::Backoff;
use crate::close::{Closing, Verdict, verdict_of_code};
use crate::dial::{Connection, Dialer};
use crate::error::Error;
use crate::exchange::{Blocked, Command, Exchange};
use crate::socket::{Heard, Reading, Socket};
use crate::status::Status;

/// The time for which an unread subscription may block the whole connection, before it is paused.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(5);

/// The same while the application waits for an answer, which may be behind what is not read. An application that reads
/// and asks in one task could otherwise wait for itself.
pub(crate) const STALL_MAX_WHILE_ASKED: Duration = Duration::from_millis(200);

/// A connection that held this long has proved itself: the next one to break is retried at once.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// The time in which a broker must answer a ping.
const PONG_WAIT: Duration = Duration::from_secs(10);

/// The time-out of closing, including what is still to be sent.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

pub(crate) struct Driver {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) backoff: Backoff,
    pub(crate) exchange: Exchange,
    pub(crate) controls: Controls,
    pub(crate) status: watch::Sender<Status>,
}

/// The channel from the application to the driver.
pub(crate) struct Controls {
    /// Unbounded, because every command holds a part of a bounded budget. Ends when the application let go of the
    /// client and all its subscriptions.
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    /// A subscription was dropped or has room again.
    pub(crate) attention: Arc<Notify>,
    /// The application wants to close.
    pub(crate) close: Arc<Notify>,
}

/// The end of a connection.
enum Outcome {
    CloseRequested,
    Broken { cause: Error, verdict: Verdict },
}

/// A request of the application to the driver.
enum Demand {
    Close,
    Command(Command),
    Attention,
}

/// The subscription that keeps the socket from being read.
struct Stall {
    blocked: Blocked,
    since: Instant,
}

impl Controls {
    /// Waits for the next demand. Cancel-safe.
    async fn next(&mut self) -> Demand {
        tokio::select! {
            () = self.close.notified() => Demand::Close,
            () = self.attention.notified() => Demand::Attention,
            command = self.commands.recv() => command.map_or(Demand::Close, Demand::Command),
        }
    }
}

impl Driver {
    /// Runs until the application closes the client or there is no coming back.
    pub(crate) async fn run(mut self, mut connection: Connection) {
        let error = loop {
            let (cause, verdict) = match self.converse(&mut connection).await {
                Outcome::CloseRequested => {
                    self.say_goodbye(connection.socket).await;
                    break Error::Closed;
                }
                Outcome::Broken { cause, verdict } => (cause, verdict),
            };
            let verdict = self.reconsidered(&cause, verdict);
            // If the client does not reconnect, pending requests receive the reason, not only that the connection is gone.
            let Verdict::Reconnect { after } = verdict else { break cause };
            self.exchange.disconnected();
            match self.reconnect(after, cause).await {
                Ok(next) => {
                    connection = next;
                    let (id, server) = (connection.id.clone(), connection.server.clone());
                    self.status.send_replace(Status::Connected { connection: id, server });
                }
                Err(error) => break error,
            }
        };
        // No command may slip in between the last one answered here and the end.
        self.controls.commands.close();
        while let Ok(command) = self.controls.commands.try_recv() {
            self.exchange.command(command);
        }
        // The status goes first: a reader that finds the end of the stream can then read the reason.
        self.status.send_replace(Status::Closed(error.clone()));
        self.exchange.end(&error);
    }

    /// A session that ends because its token does is worth coming back to, if there is a new one to be had.
    fn reconsidered(&self, cause: &Error, verdict: Verdict) -> Verdict {
        let unauthorized = Some(CloseCode::Unauthorized.number());
        match cause {
            Error::Disconnected { code, .. } if *code == unauthorized && self.dialer.token.renews() => {
                Verdict::Reconnect { after: None }
            }
            _ => verdict,
        }
    }

    /// Runs one connection to its end.
    async fn converse(&mut self, connection: &mut Connection) -> Outcome {
        let began = Instant::now();
        self.exchange.connected();
        let outcome = self.talk(&mut connection.socket, connection.ping_interval).await;
        if began.elapsed() >= STABLE_AFTER {
            self.backoff.reset();
        }
        outcome
    }

    async fn talk(&mut self, socket: &mut Socket, ping_interval: Duration) -> Outcome {
        let mut closing: Option<Closing> = None;
        let mut life = Life::new(ping_interval);
        let mut stall: Option<Stall> = None;
        loop {
            stall = self.deliver(stall);
            let (reading, deadline) = match &stall {
                Some(stall) => (Reading::Off, stall.since + self.patience()),
                None => (Reading::On, life.deadline()),
            };
            let exchange = &mut self.exchange;
            tokio::select! {
                heard = socket.turn(|| exchange.next_outgoing(), reading) => match heard {
                    Ok(Heard::Frame(ServerFrame::Closing { code, reason, reconnect, after_ms })) => {
                        closing = Some(Closing { code, reason, reconnect, after_ms });
                    }
                    Ok(Heard::Frame(frame)) => {
                        life.heard();
                        self.exchange.received(frame);
                    }
                    Ok(Heard::Life) => life.heard(),
                    Ok(Heard::Close { code, reason }) => return closed_by_broker(closing, code, reason),
                    Err(reason) => return broken(closing, reason),
                },
                demand = self.controls.next() => match demand {
                    Demand::Close => return Outcome::CloseRequested,
                    Demand::Command(command) => self.exchange.command(command),
                    Demand::Attention => self.exchange.sweep(),
                },
                () = room(stall.as_ref()) => {}
                () = sleep_until(deadline) => if stall.is_some() {
                    self.exchange.pause_blocked();
                } else if !life.ping() {
                    return broken(closing, "the broker went silent".to_owned());
                } else {
                    socket.ping();
                },
            }
            if stall.is_some() {
                // While nothing is read, nothing can be heard.
                life.heard();
            }
        }
    }

    /// Moves events on; the stall there is now, with the time of the last progress.
    fn deliver(&mut self, before: Option<Stall>) -> Option<Stall> {
        let waiting = self.exchange.undelivered();
        let blocked = self.exchange.deliver()?;
        let unmoved = self.exchange.undelivered() == waiting;
        let since = before.filter(|_| unmoved).map_or_else(Instant::now, |stall| stall.since);
        Some(Stall { blocked, since })
    }

    fn patience(&self) -> Duration {
        if self.exchange.awaits_answer() { STALL_MAX_WHILE_ASKED } else { STALL_MAX }
    }

    /// Connects again, waiting as the broker or the back-off says; the error with which it was given up.
    async fn reconnect(&mut self, mut after: Option<Duration>, cause: Error) -> Result<Connection, Error> {
        let mut cause = cause;
        loop {
            let Some(jittered) = self.backoff.next_wait(fastrand::f64()) else {
                return Err(Error::Disconnected {
                    code: None,
                    reason: format!("{cause}; reconnecting was given up"),
                });
            };
            let wait = after.take().unwrap_or(jittered);
            let attempt = self.backoff.attempts();
            debug!(attempt, ?wait, %cause, "reconnecting");
            self.status.send_replace(Status::Reconnecting { attempt, wait, cause: cause.to_string() });
            let dialer = self.dialer.clone();
            let attempt = async move {
                tokio::time::sleep(wait).await;
                dialer.dial().await
            };
            match self.meanwhile(attempt).await.ok_or(Error::Closed)? {
                Ok(connection) => return Ok(connection),
                Err(failure) => match failure.verdict {
                    Verdict::End => return Err(failure.error),
                    Verdict::Reconnect { after: named } => (after, cause) = (named, failure.error),
                },
            }
        }
    }

    /// Waits for `work`, and handles commands of the application meanwhile; `None` when it closes the client.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = Box::pin(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                demand = self.controls.next() => match demand {
                    Demand::Close => return None,
                    Demand::Command(command) => self.exchange.command(command),
                    Demand::Attention => self.exchange.sweep(),
                },
            }
        }
    }

    /// Sends what is still to be sent, and closes as RFC 6455 §7.1.2 wants it. Answers that arrive until then count;
    /// messages do not.
    async fn say_goodbye(&mut self, mut socket: Socket) {
        // Commands from before the close are still sent.
        while let Ok(command) = self.controls.commands.try_recv() {
            self.exchange.command(command);
        }
        let exchange = &mut self.exchange;
        let goodbye = async {
            socket.flush(|| exchange.next_outgoing()).await?;
            socket.start_close();
            loop {
                match socket.turn(|| None, Reading::On).await? {
                    Heard::Frame(frame @ (ServerFrame::Reply { .. } | ServerFrame::Error { .. })) => {
                        exchange.received(frame);
                    }
                    Heard::Close { .. } => return Ok::<(), String>(()),
                    Heard::Frame(_) | Heard::Life => {}
                }
            }
        };
        if !matches!(timeout(CLOSE_WAIT, goodbye).await, Ok(Ok(()))) {
            debug!("the broker did not answer the close");
        }
    }
}

/// Waits for the room that ends the stall; for ever when there is none.
async fn room(stall: Option<&Stall>) {
    match stall {
        Some(Stall { blocked, .. }) => blocked.sender.wait_for_room(blocked.cost).await,
        None => std::future::pending().await,
    }
}

fn closed_by_broker(closing: Option<Closing>, code: Option<u16>, reason: String) -> Outcome {
    match closing {
        Some(closing) => ended_as_announced(closing),
        None => {
            let reason =
                if reason.is_empty() { "the broker closed the connection".to_owned() } else { reason };
            Outcome::Broken { cause: Error::Disconnected { code, reason }, verdict: verdict_of_code(code) }
        }
    }
}

fn broken(closing: Option<Closing>, reason: String) -> Outcome {
    let verdict = Verdict::Reconnect { after: None };
    closing.map_or(
        Outcome::Broken { cause: Error::Disconnected { code: None, reason }, verdict },
        ended_as_announced,
    )
}

fn ended_as_announced(closing: Closing) -> Outcome {
    let verdict = closing.verdict();
    Outcome::Broken {
        cause: Error::Disconnected { code: Some(closing.code), reason: closing.reason },
        verdict,
    }
}

/// Whether the broker is still there: it pings idle sessions, and this side asks when it hears nothing.
struct Life {
    interval: Duration,
    heard: Instant,
    pinged: Option<Instant>,
}

impl Life {
    fn new(interval: Duration) -> Self {
        Self { interval, heard: Instant::now(), pinged: None }
    }

    fn heard(&mut self) {
        self.heard = Instant::now();
        self.pinged = None;
    }

    fn deadline(&self) -> Instant {
        self.pinged.map_or(self.heard + self.interval, |pinged| pinged + PONG_WAIT)
    }

    /// At the deadline: whether to ping now. If not, the last ping was not answered.
    fn ping(&mut self) -> bool {
        self.pinged.replace(Instant::now()).is_none()
    }
}
