//! Sessions: what one connected client may do and receives, whatever transport it uses.
//!
//! A [`SessionRuntime`] runs the state machine of the core against the engine and the hub. Transports read bytes, make frames of them, and
//! hand them in. What is sent to the client goes into the session's writer.
//!
//! Modules from the ground up; each imports only those above it in this list:
//! `network`, `publish_meter` · `connection_limiter` · `connection_guard` · `publishing` · `lookups` · `command` · `handle` · `registry`,
//! `new_session`, `ending`, `replies`, `decision` · `worker` · `mailbox`, `reads` · `joins` · `runtime`.

mod command;
mod connection_guard;
mod connection_limiter;
mod decision;
mod ending;
mod handle;
mod joins;
mod lookups;
mod mailbox;
mod network;
mod new_session;
mod publish_meter;
mod publishing;
mod reads;
mod registry;
mod replies;
mod runtime;
mod worker;

pub(crate) use command::SessionCommand;
pub(crate) use connection_guard::ConnectionGuard;
pub(crate) use connection_limiter::{ConnectionLimiter, ConnectionLimits, Permit};
pub(crate) use handle::{ConnectionInfo, SessionHandle, direct_message};
pub(crate) use lookups::{Lookups, no_presence};
pub(crate) use mailbox::{WorkerMailbox, WorkerMailboxes};
pub(crate) use new_session::NewSession;
pub(crate) use publish_meter::PublishMeter;
pub(crate) use publishing::{ClientAddress, PublishClient, PublishPipeline};
pub(crate) use replies::ReplyWriter;
pub(crate) use runtime::{SessionEvent, SessionRuntime};
pub(crate) use worker::Worker;
