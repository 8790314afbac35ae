//! The servers that are measured: one driver per kind of server. A driver knows how its server is started, how subscribers and
//! publishers are opened, and how a publication looks; it does not know what is measured.

mod centrifugo;
mod fanwire;
mod floor;
mod mosquitto;
mod nats;
mod nchan;
mod pusher;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

pub(crate) use centrifugo::Centrifugo;
pub(crate) use fanwire::{Fanwire, Transport};
pub(crate) use floor::Floor;
pub(crate) use mosquitto::Mosquitto;
pub(crate) use nats::Nats;
pub(crate) use nchan::Nchan;
pub(crate) use pusher::Pusher;
pub use pusher::PusherApp;

use crate::error::BenchError;
use crate::load::Opening;
use crate::server::{Cores, Server};
use crate::wire::Template;

/// A kind of server, and the way its subscribers listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// fanwire, subscribers on `/ws` in JSON.
    Fanwire,
    /// fanwire, subscribers and publishers on `/ws` in MessagePack.
    FanwireMessagePack,
    /// fanwire, subscribers and publishers on `/ws` in JSON under TLS.
    FanwireTls,
    /// fanwire, subscribers on bare WebSockets.
    FanwireBare,
    /// fanwire, subscribers on Server-Sent Events.
    FanwireEvents,
    /// The nats-server, over its WebSocket.
    Nats,
    /// nginx with nchan, over WebSocket.
    Nchan,
    /// Mosquitto, MQTT over WebSocket.
    Mosquitto,
    /// A Centrifugo that runs already, over WebSocket.
    Centrifugo,
    /// A server of the Pusher protocol that runs already, over WebSocket and its HTTP API.
    Pusher,
    /// A bare loop of `send`.
    Floor,
}

impl Peer {
    /// Every peer, with its name for command lines and reports.
    pub const ALL: [(Peer, &'static str); 11] = [
        (Peer::Fanwire, "fanwire"),
        (Peer::FanwireMessagePack, "fanwire-msgpack"),
        (Peer::FanwireTls, "fanwire-tls"),
        (Peer::FanwireBare, "fanwire-bare"),
        (Peer::FanwireEvents, "fanwire-sse"),
        (Peer::Nats, "nats"),
        (Peer::Nchan, "nchan"),
        (Peer::Mosquitto, "mosquitto"),
        (Peer::Centrifugo, "centrifugo"),
        (Peer::Pusher, "pusher"),
        (Peer::Floor, "floor"),
    ];

    /// Returns the peer's name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(peer, _)| *peer == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Peer {
    type Err = BenchError;

    fn from_str(name: &str) -> Result<Self, BenchError> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(peer, _)| peer).ok_or_else(|| {
            let known = Self::ALL.map(|(_, name)| name).join(", ");
            BenchError::Plan(format!("there is no driver '{name}': the drivers are {known}"))
        })
    }
}

/// The paths of the servers' programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The path of the `fanwire` binary.
    pub fanwire: PathBuf,
    /// The path of the `nats-server` binary.
    pub nats: PathBuf,
    /// The `nginx` binary, which finds nchan as `modules/ngx_nchan_module.so`.
    pub nginx: PathBuf,
    /// The path of the `mosquitto` binary.
    pub mosquitto: PathBuf,
}

/// A server, as a load needs it.
pub(crate) trait Driver {
    /// Starts the server with its default configuration, on its core.
    fn start(&self, programs: &Programs, cores: Option<Cores>) -> Result<Server, BenchError>;

    /// Returns the opening of a connection to `host` that is subscribed to all of `patterns`, topics or fanwire's patterns.
    ///
    /// # Errors
    /// If the server has no such subscriptions.
    fn subscriber(&self, host: &str, patterns: &[String]) -> Result<Opening, BenchError>;

    /// The same for one topic, but beginning with everything that it still holds.
    ///
    /// # Errors
    /// Also if the server keeps nothing.
    fn replay(&self, _host: &str, topic: &str) -> Result<Opening, BenchError> {
        Err(BenchError::LeftOut(format!("this server keeps nothing of '{topic}' to replay")))
    }

    /// Returns the opening of a connection to `host` for publishing. Publishers are opened after all subscribers. `alone_in` is
    /// the run's topic, if it has one topic and one publisher: then whatever comes back from it is an acknowledgement.
    fn publisher(&self, host: &str, alone_in: Option<&str>) -> Result<Opening, BenchError>;

    /// The publication of `payload`, made by [`Template::payload`], to `topic`.
    fn publication(&self, topic: &str, payload: &str) -> Template;

    /// A subscription to `topic` and its end, for a connection opened by [`Driver::publisher`], and how many
    /// acknowledgements that is answered with.
    ///
    /// # Errors
    /// If a connection of this server cannot change what it is subscribed to.
    fn churn(&self, _topic: &str) -> Result<(Template, u64), BenchError> {
        Err(BenchError::LeftOut("a connection to this server is one subscription for good".into()))
    }

    /// Returns the maximum number of unanswered publications of one connection, whatever the plan says.
    fn outstanding_max(&self) -> u64 {
        u64::MAX
    }

    /// The server serves only whole groups of so many publications.
    fn group(&self) -> u64 {
        1
    }
}
