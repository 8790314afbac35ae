//! The plan: the scenario, the peers, and the bounds. Checked before anything is opened.

mod check;
mod scenario;

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use crate::drivers::{Peer, Programs, PusherApp};
use crate::error::BenchError;
use crate::server::Cores;
use check::check_loopback;

pub use scenario::{Churn, Flow, Idle, Listeners, Pacing, Patterns, Replay, Retained, Scenario, Storm};

/// One benchmark: a scenario, its peers, and their programs.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scenario to measure.
    pub scenario: Scenario,
    /// The peers to measure, in this order.
    pub peers: Vec<Peer>,
    /// The source of the servers.
    pub target: Target,
    /// The number of rounds over all peers.
    pub repeat: usize,
    /// Which cores to pin the server and the load to; `None` leaves that to the kernel.
    pub cores: Option<Cores>,
    /// The number of frames that the floor sends in one call; ignored by all other peers.
    pub frames_per_send: usize,
    /// Whose clients those of a Pusher server are; ignored by all other peers.
    pub pusher_app: PusherApp,
}

/// The source of servers.
#[derive(Debug, Clone)]
pub enum Target {
    /// The bench starts each one on a free port and stops it after its run.
    Start(Programs),
    /// One that runs already.
    Running {
        /// Its address, on loopback.
        address: SocketAddr,
        /// Its process id, without which its processor time and memory are unknown.
        pid: Option<u32>,
    },
}

impl Plan {
    /// The connections of one run.
    pub(crate) fn connections(&self) -> usize {
        match &self.scenario {
            // The floor is served by this process, so both ends are its files.
            Scenario::Flow(flow) if self.peers.contains(&Peer::Floor) => {
                2 * (flow.subscribers + flow.publishers)
            }
            Scenario::Flow(flow) | Scenario::Durable { flow, .. } | Scenario::Workers { flow, .. } => {
                flow.connections()
            }
            Scenario::Stuck { flow, stuck } => flow.connections() + stuck,
            Scenario::Patterns(patterns) => patterns.flow.connections() + patterns.sessions(),
            Scenario::Idle(idle) => idle.connections,
            Scenario::Storm(storm) => storm.connections,
            Scenario::Churn(churn) => churn.sessions,
            Scenario::Replay(replay) => replay.sessions,
            Scenario::Retained(_) => 1,
        }
    }

    /// The settings as a report shows them.
    pub(crate) fn settings(&self) -> Value {
        let mut settings = self.scenario.settings();
        settings["scenario"] = self.scenario.name().into();
        settings["repeat"] = self.repeat.into();
        settings["server_core"] = self.cores.map(|cores| cores.server).into();
        settings["load_core"] = self.cores.map(|cores| cores.load).into();
        if self.peers.contains(&Peer::Floor) {
            settings["floor_frames_per_send"] = json!(self.frames_per_send);
        }
        settings
    }
}

/// The address in a URL such as `ws://127.0.0.1:7400`, or in the plain form `127.0.0.1:7400`.
///
/// # Errors
/// When it is no address, or not one of this machine's loopback: a load generator must not be pointed elsewhere.
pub fn loopback_address(url: &str) -> Result<SocketAddr, BenchError> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let address = match authority.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => authority.parse().ok(),
    };
    let address = address.ok_or_else(|| {
        BenchError::Plan(format!("'{url}' is no address: use one like ws://127.0.0.1:7400"))
    })?;
    check_loopback(address.ip())?;
    Ok(address)
}
