//! What to measure, against whom, and within which bounds. Checked before anything is opened.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::drivers::{Peer, Programs};
use crate::error::BenchError;
use crate::server::Cores;
use crate::stamp::{PUBLISHERS_MAX, SEQUENCE_MAX, STAMP_BYTES};

const CONNECTIONS_MAX: usize = 250_000;
const TOPICS_MAX: usize = 250_000;
const PAYLOAD_BYTES_MAX: usize = 512 << 10;
const WINDOW_MAX: u64 = 100_000;
const RATE_MAX: f64 = 1_000_000.0;
const DURATION_MAX: Duration = Duration::from_secs(3600);
const REPEAT_MAX: usize = 100;
const REPLAY_PUBLICATIONS_MAX: u64 = 1_000_000;

/// One benchmark.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What to measure.
    pub scenario: Scenario,
    /// Against whom, in this order.
    pub peers: Vec<Peer>,
    /// Where the servers come from.
    pub target: Target,
    /// How often to go through all peers.
    pub repeat: usize,
    /// Which cores to pin the server and the load to; `None` leaves that to the kernel.
    pub cores: Option<Cores>,
    /// How many frames the floor sends in one call; ignored by all other peers.
    pub frames_per_send: usize,
}

/// Where servers come from.
#[derive(Debug, Clone)]
pub enum Target {
    /// The bench starts each one on a free port and stops it after its run.
    Start(Programs),
    /// One that runs already.
    Running {
        /// Where it listens, on loopback.
        address: SocketAddr,
        /// Its process id, without which its processor time and memory are unknown.
        pid: Option<u32>,
    },
}

/// What to measure.
#[derive(Debug, Clone)]
pub enum Scenario {
    /// Publications flow from publishers to subscribers.
    Flow(Flow),
    /// Publications flow, and each is on disk before it is acknowledged.
    Durable {
        /// How they flow.
        flow: Flow,
        /// Where the server's data directory is made for the time of the run.
        directory: PathBuf,
    },
    /// Subscribed connections do nothing.
    Idle(Idle),
    /// Sessions are given what a topic holds.
    Replay(Replay),
}

/// A flow of publications.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The name in reports.
    pub name: &'static str,
    /// Connections that publish, each to all topics in turn.
    pub publishers: usize,
    /// Connections that are subscribed; number `n` to topic `n % topics`.
    pub subscribers: usize,
    /// Topics.
    pub topics: usize,
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// How fast.
    pub pacing: Pacing,
    /// Publishing before anything is measured.
    pub warmup: Duration,
    /// Publishing while measuring.
    pub duration: Duration,
    /// Stops earlier, after so many publications of all publishers together.
    pub publications: Option<u64>,
    /// Every so-manieth subscriber's messages are looked into for order and latency; all are counted.
    pub inspect_every: usize,
}

/// How fast publishers publish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pacing {
    /// As fast as it goes, each publisher with at most so many publications unacknowledged.
    Window(u64),
    /// So many publications per second, of all publishers together.
    Rate(f64),
}

/// Idle connections.
#[derive(Debug, Clone)]
pub struct Idle {
    /// How many.
    pub connections: usize,
    /// Topics they are subscribed to; connection `n` to topic `n % topics`.
    pub topics: usize,
    /// How long they stay, before memory is read again.
    pub hold: Duration,
}

/// A topic that holds much, and sessions that come back to it one after the other.
#[derive(Debug, Clone)]
pub struct Replay {
    /// How many publications the topic holds.
    pub publications: u64,
    /// How many sessions read all of them.
    pub sessions: usize,
    /// Bytes of each payload.
    pub payload_bytes: usize,
}

impl Scenario {
    /// The name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Flow(flow) | Self::Durable { flow, .. } => flow.name,
            Self::Idle(_) => "idle",
            Self::Replay(_) => "replay",
        }
    }
}

impl Plan {
    /// The connections of one run.
    pub(crate) fn connections(&self) -> usize {
        match &self.scenario {
            // The floor is served by this process, so both ends are its files.
            Scenario::Flow(flow) if self.peers.contains(&Peer::Floor) => {
                2 * (flow.subscribers + flow.publishers)
            }
            Scenario::Flow(flow) | Scenario::Durable { flow, .. } => flow.subscribers + flow.publishers,
            Scenario::Idle(idle) => idle.connections,
            Scenario::Replay(replay) => replay.sessions,
        }
    }

    /// Refuses what cannot be measured or has no bounds.
    pub(crate) fn check(&self) -> Result<(), BenchError> {
        require((1..=REPEAT_MAX).contains(&self.repeat), || format!("repeat 1 to {REPEAT_MAX} times"))?;
        require(!self.peers.is_empty(), || "name at least one driver".into())?;
        if let Target::Running { address, .. } = &self.target {
            check_loopback(address.ip())?;
            require(self.peers.len() == 1 && self.peers[0] != Peer::Floor, || {
                "a server that runs already is measured with exactly one driver, which is not the floor"
                    .into()
            })?;
        }
        match &self.scenario {
            Scenario::Flow(flow) => self.check_flow(flow),
            Scenario::Durable { flow, directory } => {
                require(matches!(self.target, Target::Start(_)), || {
                    "durable topics need a server with a rule of its own: let the bench start it".into()
                })?;
                require(self.peers.iter().all(|peer| peer.keeps_history()), || {
                    "only fanwire's drivers keep anything on disk".into()
                })?;
                require(directory.is_dir(), || format!("{} is no directory", directory.display()))?;
                self.check_flow(flow)
            }
            Scenario::Idle(idle) => {
                check_connections(idle.connections, idle.topics)?;
                require(idle.hold <= DURATION_MAX, || {
                    format!("hold for at most {} s", DURATION_MAX.as_secs())
                })?;
                require(!self.peers.contains(&Peer::Floor), || {
                    "the floor keeps no connections, so it has nothing to be idle with".into()
                })
            }
            Scenario::Replay(replay) => {
                check_connections(replay.sessions, 1)?;
                check_payload(replay.payload_bytes)?;
                require((1..=REPLAY_PUBLICATIONS_MAX).contains(&replay.publications), || {
                    format!("replay 1 to {REPLAY_PUBLICATIONS_MAX} publications")
                })?;
                require(matches!(self.target, Target::Start(_)), || {
                    "a replay needs a server with a rule of its own: let the bench start it".into()
                })?;
                require(self.peers.iter().all(|peer| peer.keeps_history()), || {
                    "only fanwire's drivers have a history to replay".into()
                })
            }
        }
    }

    fn check_flow(&self, flow: &Flow) -> Result<(), BenchError> {
        check_connections(flow.subscribers, flow.topics)?;
        require((1..=PUBLISHERS_MAX).contains(&flow.publishers), || {
            format!("use 1 to {PUBLISHERS_MAX} publishers")
        })?;
        check_payload(flow.payload_bytes)?;
        match flow.pacing {
            Pacing::Window(size) => {
                require((1..=WINDOW_MAX).contains(&size), || format!("use a window of 1 to {WINDOW_MAX}"))?
            }
            Pacing::Rate(rate) => require(rate > 0.0 && rate <= RATE_MAX, || {
                format!("use a rate above 0 and up to {RATE_MAX} publications per second")
            })?,
        }
        require(!flow.duration.is_zero() && flow.warmup + flow.duration <= DURATION_MAX, || {
            format!("measure for more than 0 and at most {} s", DURATION_MAX.as_secs())
        })?;
        let publications = flow.publications.unwrap_or(1);
        require((1..=SEQUENCE_MAX).contains(&publications), || {
            format!("use 1 to {SEQUENCE_MAX} publications")
        })?;
        require(flow.inspect_every > 0, || "look into every 1st, 2nd, … subscriber".into())?;
        if self.peers.contains(&Peer::Floor) {
            self.check_floor(flow)?;
        }
        Ok(())
    }

    fn check_floor(&self, flow: &Flow) -> Result<(), BenchError> {
        require((1..=WINDOW_MAX as usize).contains(&self.frames_per_send), || {
            format!("send 1 to {WINDOW_MAX} frames at once")
        })?;
        require(flow.publishers == 1, || "the floor has one publisher".into())?;
        require(flow.topics == 1 || flow.topics == flow.subscribers, || {
            "the floor has one topic, or one for each subscriber".into()
        })
    }

    /// The settings as a report shows them.
    pub(crate) fn settings(&self) -> Value {
        let mut settings = match &self.scenario {
            Scenario::Flow(flow) | Scenario::Durable { flow, .. } => json!({
                "publishers": flow.publishers,
                "subscribers": flow.subscribers,
                "topics": flow.topics,
                "payload_bytes": flow.payload_bytes,
                "window": match flow.pacing { Pacing::Window(size) => Some(size), Pacing::Rate(_) => None },
                "rate_per_second": match flow.pacing { Pacing::Rate(rate) => Some(rate), Pacing::Window(_) => None },
                "warmup_seconds": flow.warmup.as_secs_f64(),
                "seconds": flow.duration.as_secs_f64(),
                "publications_max": flow.publications,
                "inspect_every": flow.inspect_every,
            }),
            Scenario::Idle(idle) => json!({
                "connections": idle.connections,
                "topics": idle.topics,
                "seconds": idle.hold.as_secs_f64(),
            }),
            Scenario::Replay(replay) => json!({
                "publications": replay.publications,
                "sessions": replay.sessions,
                "payload_bytes": replay.payload_bytes,
            }),
        };
        settings["scenario"] = self.scenario.name().into();
        settings["repeat"] = self.repeat.into();
        settings["server_core"] = self.cores.map(|cores| cores.server).into();
        settings["load_core"] = self.cores.map(|cores| cores.load).into();
        if self.peers.contains(&Peer::Floor) {
            settings["floor_frames_per_send"] = self.frames_per_send.into();
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

fn check_loopback(ip: IpAddr) -> Result<(), BenchError> {
    require(ip.is_loopback(), || {
        format!("{ip} is not a loopback address: the load generator measures servers on its own machine only")
    })
}

fn check_payload(bytes: usize) -> Result<(), BenchError> {
    require((STAMP_BYTES..=PAYLOAD_BYTES_MAX).contains(&bytes), || {
        format!("use payloads of {STAMP_BYTES} to {PAYLOAD_BYTES_MAX} bytes")
    })
}

fn check_connections(connections: usize, topics: usize) -> Result<(), BenchError> {
    require((1..=CONNECTIONS_MAX).contains(&connections), || {
        format!("use 1 to {CONNECTIONS_MAX} subscribed connections")
    })?;
    require((1..=TOPICS_MAX).contains(&topics), || format!("use 1 to {TOPICS_MAX} topics"))
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), BenchError> {
    if holds { Ok(()) } else { Err(BenchError::Plan(otherwise())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fanout() -> Flow {
        Flow {
            name: "fanout",
            publishers: 1,
            subscribers: 100,
            topics: 1,
            payload_bytes: 128,
            pacing: Pacing::Window(64),
            warmup: Duration::ZERO,
            duration: Duration::from_secs(1),
            publications: None,
            inspect_every: 1,
        }
    }

    fn plan(flow: Flow) -> Plan {
        let programs = Programs { fanwire: "fanwire".into(), nats: "nats-server".into() };
        Plan {
            scenario: Scenario::Flow(flow),
            peers: vec![Peer::Nats, Peer::Floor],
            target: Target::Start(programs),
            repeat: 1,
            cores: None,
            frames_per_send: 64,
        }
    }

    fn refusal(plan: &Plan) -> String {
        plan.check().unwrap_err().to_string()
    }

    #[test]
    fn plans_without_bounds_are_refused() {
        assert!(plan(fanout()).check().is_ok());
        for (flow, expected) in [
            (Flow { subscribers: 0, ..fanout() }, "subscribed connections"),
            (Flow { subscribers: 300_000, ..fanout() }, "subscribed connections"),
            (Flow { topics: 0, ..fanout() }, "topics"),
            (Flow { publishers: 5000, ..fanout() }, "publishers"),
            (Flow { payload_bytes: 15, ..fanout() }, "payloads of 16 to"),
            (Flow { pacing: Pacing::Window(0), ..fanout() }, "a window of 1 to"),
            (Flow { pacing: Pacing::Rate(f64::NAN), ..fanout() }, "a rate above 0"),
            (Flow { duration: Duration::ZERO, ..fanout() }, "measure for more than 0"),
            (Flow { duration: Duration::from_secs(4000), ..fanout() }, "at most 3600 s"),
            (Flow { publications: Some(1 << 40), ..fanout() }, "publications"),
            (Flow { publishers: 2, ..fanout() }, "the floor has one publisher"),
            (Flow { topics: 7, ..fanout() }, "the floor has one topic"),
        ] {
            let refusal = refusal(&plan(flow));
            assert!(refusal.contains(expected), "{refusal} has no {expected}");
        }
    }

    #[test]
    fn a_replay_needs_a_server_that_keeps_it() {
        let replay = |publications, peer| Plan {
            scenario: Scenario::Replay(Replay { publications, sessions: 1, payload_bytes: 128 }),
            peers: vec![peer],
            ..plan(fanout())
        };
        assert!(replay(1000, Peer::FanwireEvents).check().is_ok());
        assert!(refusal(&replay(0, Peer::Fanwire)).contains("publications"));
        assert!(refusal(&replay(1000, Peer::Nats)).contains("history"));
        let target = Target::Running { address: "127.0.0.1:1".parse().unwrap(), pid: None };
        assert!(refusal(&Plan { target, ..replay(1000, Peer::Fanwire) }).contains("let the bench start it"));
    }

    #[test]
    fn a_running_server_is_measured_by_one_driver_on_loopback() {
        let running = |address: &str, peers| Plan {
            target: Target::Running { address: address.parse().unwrap(), pid: None },
            peers,
            ..plan(fanout())
        };
        assert!(running("127.0.0.1:1", vec![Peer::Nats]).check().is_ok());
        assert!(refusal(&running("127.0.0.1:1", vec![Peer::Floor])).contains("exactly one driver"));
        assert!(
            refusal(&running("127.0.0.1:1", vec![Peer::Nats, Peer::Fanwire])).contains("exactly one driver")
        );
        assert!(refusal(&running("10.0.0.1:1", vec![Peer::Nats])).contains("is not a loopback address"));
    }

    #[test]
    fn addresses_are_read_from_urls_and_kept_to_loopback() {
        let expected: SocketAddr = "127.0.0.1:7400".parse().unwrap();
        for url in
            ["127.0.0.1:7400", "ws://127.0.0.1:7400", "http://localhost:7400/", "ws://127.0.0.1:7400/ws"]
        {
            assert_eq!(loopback_address(url).unwrap(), expected, "{url}");
        }
        assert_eq!(loopback_address("ws://[::1]:7400").unwrap(), "[::1]:7400".parse().unwrap());
        for url in ["", "ws://", "127.0.0.1", "example.org:80", "192.168.1.1:7400", "0.0.0.0:7400"] {
            assert!(loopback_address(url).is_err(), "{url}");
        }
    }
}
