//! Swarms of sessions over the pure core, in one thread, under one seed.
//!
//! A world of several workers publishes, delivers, writes, cuts, resumes, trims, evicts and restarts in an order that a
//! seed decides, at every point at which the broker could be interrupted. What every client sees is held against the
//! plain list of everything that was ever published. `FANWIRE_SEED` runs one seed again.

mod client;
mod disk;
#[path = "../format/mod.rs"]
mod format;
mod world;

use fastrand::Rng;

use world::{Flaw, World};

/// The number of seeds, and the number of steps of each.
const SEEDS: u64 = 4_000;
const STEPS: usize = 400;

/// One seed in `SWARM_EVERY` is a swarm: hundreds of sessions at once, for `SWARM_STEPS` times the steps.
const SWARM_EVERY: u64 = 100;
const SWARM_STEPS: usize = 20;

/// Runs one seed to its end.
///
/// # Errors
/// The promise that was broken.
fn run(seed: u64, flaw: Flaw) -> Result<(), String> {
    let mut random = Rng::with_seed(seed);
    let is_swarm = seed.is_multiple_of(SWARM_EVERY);
    let (clients, steps) = if is_swarm { (200..400, STEPS * SWARM_STEPS) } else { (2..40, STEPS) };
    let mut world = World::new(&mut random, flaw, clients);
    for step in 0..steps {
        world.step(&mut random).map_err(|broken| format!("seed {seed}, step {step}: {broken}"))?;
    }
    world.settle().map_err(|broken| format!("seed {seed}, at the end: {broken}"))
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order_and_loss_is_told_exactly_when_there_is_one() {
    if let Some(seed) = std::env::var("FANWIRE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return run(seed, Flaw::None).expect("the promises hold");
    }
    for seed in 0..SEEDS {
        if let Err(broken) = run(seed, Flaw::None) {
            panic!(
                "{broken}\nrun it again: FANWIRE_SEED={seed} cargo test -p fanwire-core --test simulation"
            );
        }
    }
}

/// A simulation that cannot fail proves nothing: each flaw must be noticed soon.
#[test]
fn every_flaw_in_the_joining_is_noticed() {
    for flaw in [
        Flaw::RegistersLate,
        Flaw::ForgetsWhereItJoined,
        Flaw::NeverTellsOfLoss,
        Flaw::AlwaysTellsOfLoss,
        Flaw::EchoesAnyway,
        Flaw::ListensWhileItCatchesUp,
        Flaw::ForgetsThatTheDiskIsAhead,
    ] {
        let noticed = (0..SEEDS).find(|seed| run(*seed, flaw).is_err());
        assert!(noticed.is_some_and(|seed| seed < 200), "{flaw:?} was noticed at seed {noticed:?}");
    }
}
