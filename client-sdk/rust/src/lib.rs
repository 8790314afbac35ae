//! Client for the fanwire publish/subscribe broker: connect, subscribe, publish.
//!
//! The files, in the order in which to read them: [`client`](Client) (what the application holds) sends commands to
//! `driver` (the one task behind it: sockets, clock, back-off), which runs `exchange` (the state machine: requests,
//! subscriptions, what to say again on a new connection) over `socket`. `progress` knows how far one subscription has
//! come, `queue` bounds what its reader has not read, `close` and `backoff` decide on coming back.
//!
#![doc = include_str!("../README.md")]

mod address;
mod backoff;
mod builder;
mod client;
mod close;
mod dial;
mod driver;
mod error;
mod event;
mod exchange;
mod history;
mod idempotency_key;
mod link;
mod progress;
mod publish;
mod queue;
mod socket;
mod status;
mod subscription;
mod tls;
mod token;
mod wire;

pub use backoff::Reconnect;
pub use builder::Builder;
pub use client::{Client, Presence};
pub use error::Error;
pub use event::Event;
pub use fanwire_protocol::{
    CloseCode, Cursor, Epoch, ErrorCode, Member, Message, Pattern, Payload, PayloadError, PayloadView,
    Position, Receipt, Since, SinceError, Topic, TopicError,
};
pub use history::{History, HistoryPage, HistoryStream};
pub use publish::{IntoPayload, Publish};
pub use status::{Status, StatusWatch};
pub use subscription::{Subscribe, Subscription};
pub use wire::Encoding;
