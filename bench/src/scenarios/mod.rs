//! What is measured. A scenario opens connections through a driver, lets the load run, and turns what it saw into
//! figures; how these are shown is the report's business.

mod durable;
mod flow;
mod idle;
mod replay;

use crate::drivers::{Driver, Fanwire, Floor, Nats, Peer, Transport};
use crate::error::BenchError;
use crate::load::Waiting;
use crate::plan::{Pacing, Plan, Scenario, Target};
use crate::report::Figure;
use crate::server::{Cores, Owned, Probe, Server, pin_this_thread};
use crate::wire::Template;

/// What one run of one peer gave.
#[derive(Debug)]
pub(crate) struct Measurement {
    /// The numbers.
    pub(crate) figures: Vec<Figure>,
    /// What a reader of the numbers must know.
    pub(crate) notes: Vec<String>,
}

/// Measures one peer once: starts it, unless it runs already, and stops it afterwards.
pub(crate) fn measure(plan: &Plan, peer: Peer, cores: Option<Cores>) -> Result<Measurement, BenchError> {
    // Declared before the server, so that it is removed after that has stopped.
    let scratch = match &plan.scenario {
        Scenario::Durable { directory, .. } => Some(durable::Scratch::within(directory)),
        _ => None,
    };
    let driver = driver(plan, peer, scratch.as_ref());
    let server = match &plan.target {
        Target::Start(programs) => driver.start(programs, cores)?,
        Target::Running { address, pid } => {
            if let Some(cores) = cores {
                pin_this_thread(cores.load)?;
            }
            Server { address: *address, probe: pid.map(Probe::of_process), _owned: Owned::Nothing }
        }
    };
    // Without a core of its own, a load that waits awake would take the server's time.
    let waiting = if cores.is_some() { Waiting::Awake } else { Waiting::Asleep };
    match &plan.scenario {
        Scenario::Flow(flow) => flow::measure(flow, driver.as_ref(), &server, waiting),
        Scenario::Durable { flow, .. } => durable::measure(flow, driver.as_ref(), &server, waiting),
        Scenario::Idle(idle) => idle::measure(idle, driver.as_ref(), &server),
        Scenario::Replay(replay) => replay::measure(replay, driver.as_ref(), &server, waiting),
    }
}

fn driver(plan: &Plan, peer: Peer, scratch: Option<&durable::Scratch>) -> Box<dyn Driver> {
    let fanwire = |transport| -> Box<dyn Driver> {
        let driver = Fanwire::new(transport);
        Box::new(match (&plan.scenario, scratch) {
            (Scenario::Replay(replay), _) => driver.holding(replay.publications),
            (Scenario::Durable { .. }, Some(scratch)) => driver.durable(scratch.path()),
            _ => driver,
        })
    };
    match peer {
        Peer::Fanwire => fanwire(Transport::Json),
        Peer::FanwireMessagePack => fanwire(Transport::MessagePack),
        Peer::FanwireBare => fanwire(Transport::Bare),
        Peer::FanwireEvents => fanwire(Transport::Events),
        Peer::Nats => Box::new(Nats),
        Peer::Floor => Box::new(floor(plan)),
    }
}

/// At a fixed rate nothing gathers, so the floor sends every publication by itself, as it does where each one has a
/// topic, and so a subscriber, of its own.
fn floor(plan: &Plan) -> Floor {
    match &plan.scenario {
        Scenario::Flow(flow) => {
            let gathers = matches!(flow.pacing, Pacing::Window(_)) && flow.topics == 1;
            let frames_per_send = if gathers { plan.frames_per_send } else { 1 };
            Floor::new(frames_per_send, &Template::payload(flow.payload_bytes), flow.topics)
        }
        Scenario::Durable { .. } | Scenario::Idle(_) | Scenario::Replay(_) => {
            Floor::new(1, &Template::payload(0), 1)
        }
    }
}

/// The name of topic number `number`. All are of one length, so that all frames of a run are.
fn topic_name(number: usize) -> String {
    format!("bench.{number:06}")
}
