//! The bounds of a plan: what cannot be measured, or would have no end, is refused before anything is opened.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::{Churn, Flow, Pacing, Patterns, Plan, Replay, Scenario, Target};
use crate::drivers::Peer;
use crate::error::BenchError;
use crate::stamp::{PUBLISHERS_MAX, SEQUENCE_MAX, STAMP_BYTES};

const CONNECTIONS_MAX: usize = 250_000;
const TOPICS_MAX: usize = 250_000;
const RETAINED_TOPICS_MAX: usize = 10_000_000;
const PATTERNS_MAX: usize = 1_000_000;
const WORKERS_MAX: usize = 1024;
const PAYLOAD_BYTES_MAX: usize = 512 << 10;
const WINDOW_MAX: u64 = 100_000;
const RATE_MAX: f64 = 1_000_000.0;
const DURATION_MAX: Duration = Duration::from_secs(3600);
const REPEAT_MAX: usize = 100;
const REPLAY_PUBLICATIONS_MAX: u64 = 1_000_000;

impl Plan {
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
        if self.peers.contains(&Peer::FanwireTls) {
            self.require_own_server(
                "fanwire-tls trusts a certificate that is made for the run and no other",
            )?;
        }
        self.check_scenario()?;
        if self.peers.contains(&Peer::Floor) {
            let Scenario::Flow(flow) = &self.scenario else {
                return Err(BenchError::Plan(
                    "the floor is a loop of send: it can be measured by publications that flow and by nothing else"
                        .into(),
                ));
            };
            self.check_floor(flow)?;
        }
        Ok(())
    }

    fn check_scenario(&self) -> Result<(), BenchError> {
        match &self.scenario {
            Scenario::Flow(flow) => check_flow(flow),
            Scenario::Durable { flow, directory } => {
                self.require_own_server("durable topics need a server with a rule of its own")?;
                check_directory(directory)?;
                check_flow(flow)
            }
            Scenario::Stuck { flow, stuck } => {
                check_connections(*stuck, 1)?;
                check_flow(flow)
            }
            Scenario::Workers { flow, workers } => {
                self.require_own_server("servers with one and with more workers are compared")?;
                require((2..=WORKERS_MAX).contains(workers), || format!("use 2 to {WORKERS_MAX} workers"))?;
                check_flow(flow)
            }
            Scenario::Patterns(patterns) => check_patterns(patterns),
            Scenario::Idle(idle) => {
                check_connections(idle.connections, idle.topics)?;
                require(idle.hold <= DURATION_MAX, || {
                    format!("hold for at most {} s", DURATION_MAX.as_secs())
                })
            }
            Scenario::Storm(storm) => check_connections(storm.connections, 1),
            Scenario::Churn(churn) => check_churn(churn),
            Scenario::Replay(replay) => {
                self.require_own_server("a replay needs a server with a rule of its own")?;
                check_replay(replay)
            }
            Scenario::Retained(retained) => {
                self.require_own_server("topics that hold a message need a server with a rule of its own")?;
                check_payload(retained.payload_bytes)?;
                require((1..=RETAINED_TOPICS_MAX).contains(&retained.topics), || {
                    format!("use 1 to {RETAINED_TOPICS_MAX} topics")
                })
            }
        }
    }

    fn require_own_server(&self, why: &str) -> Result<(), BenchError> {
        require(matches!(self.target, Target::Start(_)), || format!("{why}: let the bench start it"))
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
}

fn check_flow(flow: &Flow) -> Result<(), BenchError> {
    check_connections(flow.subscribers, flow.topics)?;
    require((1..=PUBLISHERS_MAX).contains(&flow.publishers), || {
        format!("use 1 to {PUBLISHERS_MAX} publishers")
    })?;
    check_payload(flow.payload_bytes)?;
    match flow.pacing {
        Pacing::Window(size) => check_window(size)?,
        Pacing::Rate(rate) => require(rate > 0.0 && rate <= RATE_MAX, || {
            format!("use a rate above 0 and up to {RATE_MAX} publications per second")
        })?,
    }
    require(!flow.duration.is_zero() && flow.warmup + flow.duration <= DURATION_MAX, || {
        format!("measure for more than 0 and at most {} s", DURATION_MAX.as_secs())
    })?;
    let publications = flow.publications.unwrap_or(1);
    require((1..=SEQUENCE_MAX).contains(&publications), || format!("use 1 to {SEQUENCE_MAX} publications"))?;
    require(flow.inspect_every > 0, || "look into every 1st, 2nd, … subscriber".into())
}

fn check_patterns(patterns: &Patterns) -> Result<(), BenchError> {
    require((10..=PATTERNS_MAX).contains(&patterns.patterns), || {
        format!("use 10 to {PATTERNS_MAX} patterns")
    })?;
    check_flow(&patterns.flow)
}

fn check_churn(churn: &Churn) -> Result<(), BenchError> {
    check_connections(churn.sessions, churn.topics)?;
    require(churn.sessions <= PUBLISHERS_MAX, || format!("use 1 to {PUBLISHERS_MAX} sessions"))?;
    check_window(churn.window)?;
    require(!churn.duration.is_zero() && churn.duration <= DURATION_MAX, || {
        format!("measure for more than 0 and at most {} s", DURATION_MAX.as_secs())
    })
}

fn check_replay(replay: &Replay) -> Result<(), BenchError> {
    check_connections(replay.sessions, 1)?;
    check_payload(replay.payload_bytes)?;
    require((1..=REPLAY_PUBLICATIONS_MAX).contains(&replay.publications), || {
        format!("replay 1 to {REPLAY_PUBLICATIONS_MAX} publications")
    })?;
    replay.directory.as_deref().map_or(Ok(()), check_directory)
}

fn check_directory(directory: &Path) -> Result<(), BenchError> {
    require(directory.is_dir(), || format!("{} is no directory", directory.display()))
}

fn check_window(size: u64) -> Result<(), BenchError> {
    require((1..=WINDOW_MAX).contains(&size), || format!("use a window of 1 to {WINDOW_MAX}"))
}

pub(super) fn check_loopback(ip: IpAddr) -> Result<(), BenchError> {
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
    use std::net::SocketAddr;

    use super::*;
    use crate::drivers::{Programs, PusherApp};
    use crate::plan::{Listeners, Retained, Storm, loopback_address};

    fn fanout() -> Flow {
        Flow {
            name: "fanout",
            publishers: 1,
            subscribers: 100,
            listeners: Listeners::OneTopicEach,
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
        let programs = Programs {
            fanwire: "fanwire".into(),
            nats: "nats-server".into(),
            nginx: "nginx".into(),
            mosquitto: "mosquitto".into(),
        };
        Plan {
            scenario: Scenario::Flow(flow),
            peers: vec![Peer::Nats, Peer::Floor],
            target: Target::Start(programs),
            repeat: 1,
            cores: None,
            frames_per_send: 64,
            pusher_app: PusherApp::default(),
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
            scenario: Scenario::Replay(Replay {
                publications,
                sessions: 1,
                payload_bytes: 128,
                directory: None,
            }),
            peers: vec![peer],
            ..plan(fanout())
        };
        assert!(replay(1000, Peer::FanwireEvents).check().is_ok());
        assert!(refusal(&replay(0, Peer::Fanwire)).contains("publications"));
        assert!(refusal(&replay(1000, Peer::Floor)).contains("a loop of send"));
        let target = Target::Running { address: "127.0.0.1:1".parse().unwrap(), pid: None };
        assert!(refusal(&Plan { target, ..replay(1000, Peer::Fanwire) }).contains("let the bench start it"));
    }

    #[test]
    fn scenarios_without_bounds_are_refused() {
        let check = |scenario, expected: &str| {
            let refusal = refusal(&Plan { scenario, peers: vec![Peer::Fanwire], ..plan(fanout()) });
            assert!(refusal.contains(expected), "{refusal} has no {expected}");
        };
        let patterns = |patterns| Scenario::Patterns(Patterns { flow: fanout(), patterns });
        check(patterns(9), "patterns");
        check(patterns(10_000_000), "patterns");
        check(Scenario::Stuck { flow: fanout(), stuck: 0 }, "subscribed connections");
        check(Scenario::Workers { flow: fanout(), workers: 1 }, "2 to 1024 workers");
        check(Scenario::Storm(Storm { connections: 0 }), "subscribed connections");
        check(Scenario::Retained(Retained { topics: 0, payload_bytes: 32 }), "topics");
        check(Scenario::Retained(Retained { topics: 1, payload_bytes: 8 }), "payloads of 16");
        let churn = Churn { sessions: 1, topics: 1, window: 1, duration: Duration::from_secs(1) };
        check(Scenario::Churn(Churn { sessions: 5000, ..churn.clone() }), "sessions");
        check(Scenario::Churn(Churn { window: 0, ..churn.clone() }), "window");
        check(Scenario::Churn(Churn { duration: Duration::ZERO, ..churn }), "measure for more than 0");
        let directory = std::path::PathBuf::from("/nowhere");
        check(Scenario::Durable { flow: fanout(), directory }, "is no directory");
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
        assert!(refusal(&running("127.0.0.1:1", vec![Peer::FanwireTls])).contains("let the bench start it"));
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
