//! The load generator of fanwire: measures a broker, its peers, and the machine's own limit, in one run.
//!
//! Three things combine freely, each in a folder of its own:
//! - `scenarios/` say what is measured: what is opened, what is published, which figures come out;
//! - `drivers/` contain the peers: how a server is started, and how its clients speak;
//! - `report/` says how figures are shown, and compares the servers of one run.
//!
//! Below them, `load/` is the single thread that publishes and reads every subscriber, `wire/` cuts what servers send
//! into messages, and `server/` starts servers, pins them to a core and asks the kernel what they used. None of these
//! knows a scenario or a peer.
//!
//! A run touches loopback addresses only, is bounded in connections, publications and time, and stops by itself.

mod drivers;
mod error;
mod load;
mod plan;
mod report;
mod scenarios;
mod server;
mod stamp;
mod wire;

pub use drivers::{Peer, Programs, PusherApp};
pub use error::BenchError;
pub use plan::{
    Churn, Flow, Idle, Listeners, Pacing, Patterns, Plan, Replay, Retained, Scenario, Storm, Target,
    loopback_address,
};
pub use report::{Figure, Outcome, Report};
pub use server::Cores;

/// Runs a plan: every peer once, in order, and all of that as often as the plan repeats, so that whatever the machine
/// does meanwhile meets all peers alike. `on_progress` is told what happens, a line at a time.
///
/// # Errors
/// When the plan cannot be carried out, or a server cannot be started, refuses connections, or fails a publisher.
pub fn run(plan: &Plan, mut on_progress: impl FnMut(&str)) -> Result<Report, BenchError> {
    plan.check()?;
    let cores = plan.cores.map(Cores::check).transpose()?;
    load::raise_open_files(plan.connections())?;
    let mut report = Report { settings: plan.settings(), outcomes: Vec::new(), left_out: Vec::new() };
    for repetition in 1..=plan.repeat {
        for peer in &plan.peers {
            if report.left_out.iter().any(|(left_out, _)| left_out == peer) {
                continue;
            }
            on_progress(&format!("{} {peer}, run {repetition} of {}", plan.scenario.name(), plan.repeat));
            match scenarios::measure(plan, *peer, cores) {
                Ok(scenarios::Measurement { figures, notes }) => {
                    report.outcomes.push(Outcome { peer: *peer, repetition, figures, notes });
                }
                // One that cannot take part does not keep the others from it, unless there are no others.
                Err(BenchError::LeftOut(reason)) if plan.peers.len() > 1 => {
                    on_progress(&format!("{peer} is left out: {reason}"));
                    report.left_out.push((*peer, reason));
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(report)
}
