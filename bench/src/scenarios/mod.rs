//! The scenarios. A scenario opens connections through a driver, lets the load run, and turns what it saw into
//! figures; how these are shown is the report's business.

mod churn;
mod durable;
mod flow;
mod idle;
mod patterns;
mod replay;
mod retained;
mod storm;
mod stuck;
mod workers;

use std::time::Duration;

use crate::drivers::{Centrifugo, Driver, Fanwire, Floor, Mosquitto, Nats, Nchan, Peer, Pusher, Transport};
use crate::error::BenchError;
use crate::load::{Connection, Waiting};
use crate::plan::{Pacing, Plan, Scenario, Target};
use crate::report::Figure;
use crate::server::{Cores, Endpoint, Owned, Probe, Server, pin_this_thread};
use crate::wire::Template;

/// The figures of one run of one peer.
#[derive(Debug)]
pub(crate) struct Measurement {
    /// The figures of the run.
    pub(crate) figures: Vec<Figure>,
    /// The notes for the reader of the figures.
    pub(crate) notes: Vec<String>,
}

/// The pattern that matches every topic of a run.
const EVERY_TOPIC: &str = "bench.>";

/// Measures one peer once: starts it, unless it runs already, and stops it afterwards.
pub(crate) fn measure(plan: &Plan, peer: Peer, cores: Option<Cores>) -> Result<Measurement, BenchError> {
    // Declared before the server, so that it is removed after that has stopped.
    let scratch = plan.scenario.directory().map(durable::Scratch::within);
    // Without a core of its own, a load that waits awake would take the server's time.
    let waiting = if cores.is_some() { Waiting::Awake } else { Waiting::Asleep };
    if let Scenario::Workers { flow, workers } = &plan.scenario {
        return workers::measure(flow, *workers, waiting, |workers| {
            let driver = driver(plan, peer, None, Some(workers))?;
            let server = serve(&plan.target, driver.as_ref(), cores)?;
            Ok((driver, server))
        });
    }
    let driver = driver(plan, peer, scratch.as_ref(), None)?;
    let server = serve(&plan.target, driver.as_ref(), cores)?;
    let driver = driver.as_ref();
    match &plan.scenario {
        Scenario::Flow(flow) | Scenario::Workers { flow, .. } => {
            flow::measure(flow, driver, &server, waiting)
        }
        Scenario::Durable { flow, .. } => durable::measure(flow, driver, &server, waiting),
        Scenario::Stuck { flow, stuck } => stuck::measure(flow, *stuck, driver, &server, waiting),
        Scenario::Patterns(patterns) => patterns::measure(patterns, driver, &server, waiting),
        Scenario::Idle(idle) => idle::measure(idle, driver, &server),
        Scenario::Storm(storm) => storm::measure(storm, driver, &server),
        Scenario::Churn(churn) => churn::measure(churn, driver, &server),
        Scenario::Replay(replay) => replay::measure(replay, driver, &server, waiting),
        Scenario::Retained(retained) => retained::measure(retained, driver, &server, waiting),
    }
}

fn serve(target: &Target, driver: &dyn Driver, cores: Option<Cores>) -> Result<Server, BenchError> {
    match target {
        Target::Start(programs) => driver.start(programs, cores),
        Target::Running { address, pid } => {
            if let Some(cores) = cores {
                pin_this_thread(cores.load)?;
            }
            let endpoint = Endpoint::plain(*address);
            Ok(Server { endpoint, probe: pid.map(Probe::of_process), _owned: Owned::Nothing })
        }
    }
}

fn driver(
    plan: &Plan,
    peer: Peer,
    scratch: Option<&durable::Scratch>,
    workers: Option<usize>,
) -> Result<Box<dyn Driver>, BenchError> {
    let fanwire = |mut driver: Fanwire| -> Box<dyn Driver> {
        match &plan.scenario {
            Scenario::Replay(replay) => driver = driver.holding(replay.publications),
            Scenario::Retained(_) => driver = driver.holding(1),
            _ => {}
        }
        if let Some(scratch) = scratch {
            driver = driver.durable(scratch.path());
        }
        Box::new(workers.map_or(driver.clone(), |workers| driver.with_workers(workers)))
    };
    let is_ours_alone = scratch.is_some() || workers.is_some();
    Ok(match peer {
        Peer::Fanwire => fanwire(Fanwire::new(Transport::Json)),
        Peer::FanwireTls => fanwire(Fanwire::new(Transport::Json).over_tls()),
        Peer::FanwireMessagePack => fanwire(Fanwire::new(Transport::MessagePack)),
        Peer::FanwireBare => fanwire(Fanwire::new(Transport::Bare)),
        Peer::FanwireEvents => fanwire(Fanwire::new(Transport::Events)),
        _ if is_ours_alone => {
            return Err(BenchError::LeftOut("only fanwire's drivers know this scenario".into()));
        }
        Peer::Nats => Box::new(Nats),
        Peer::Mosquitto => Box::new(if matches!(plan.scenario, Scenario::Retained(_)) {
            Mosquitto::retaining()
        } else {
            Mosquitto::default()
        }),
        Peer::Nchan => Box::new(Nchan),
        Peer::Centrifugo => Box::new(Centrifugo),
        Peer::Pusher => Box::new(Pusher::new(plan.pusher_app.clone())),
        Peer::Floor => Box::new(floor(plan)),
    })
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
        _ => Floor::new(1, &Template::payload(0), 1),
    }
}

/// Opens connection `number` of the run and subscribes it.
fn open_subscriber(
    driver: &dyn Driver,
    server: &Server,
    number: usize,
    pattern: String,
) -> Result<Connection, BenchError> {
    Connection::open(&server.endpoint, number, driver.subscriber(&server.host(), &[pattern])?)
}

/// The server's use of the machine at one moment.
struct Reading {
    resident: Option<u64>,
    cpu: Option<Duration>,
}

impl Reading {
    fn of(probe: Option<&Probe>) -> Result<Self, BenchError> {
        Ok(Self {
            resident: probe.map(Probe::resident_bytes).transpose()?.flatten(),
            cpu: probe.map(Probe::cpu).transpose()?,
        })
    }

    /// Microseconds of processor time since `before`, for each of `count`.
    fn cpu_us_each(&self, before: &Self, count: usize) -> Option<f64> {
        let (after, before) = self.cpu.zip(before.cpu)?;
        (count > 0).then(|| (after - before).as_secs_f64() * 1e6 / count as f64)
    }

    /// Bytes of memory more than `before`, for each of `count`.
    fn bytes_each(&self, before: &Self, count: usize) -> Option<f64> {
        let (after, before) = self.resident.zip(before.resident)?;
        (count > 0).then(|| (after as f64 - before as f64) / count as f64)
    }
}

/// The name of topic number `number`. All are of one length, so that all frames of a run are.
fn topic_name(number: usize) -> String {
    format!("bench.{number:06}")
}
