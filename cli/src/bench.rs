//! `fanwire bench`: turns a command line into a plan for the load generator, and prints its report.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use fanwire_bench::{
    BenchError, Churn, Cores, Flow, Idle, Listeners, Pacing, Patterns, Peer, Plan, Programs, PusherApp,
    Replay, Retained, Scenario, Storm, Target, loopback_address,
};

const EXAMPLES: &str = "\
Examples:
  1 publisher to 100 subscribers, as fast as it goes:
    fanwire bench fanout
  Beside nats-server and a bare loop of send, medians of 3 runs in alternation:
    fanwire bench fanout --driver fanwire,nats,floor --repeat 3 --window 256
  Latency at 100 publications a second:
    fanwire bench fanout --subscribers 1000 --rate 100
  A broker that runs already:
    fanwire bench fanout --url ws://127.0.0.1:7400 --pid 4711
  A soketi, or another server of the Pusher protocol, that runs already:
    fanwire bench fanout --driver pusher --url ws://127.0.0.1:6001 --pid 4711
  1000 topics with a subscriber each:
    fanwire bench topics --topics 1000 --driver fanwire,nats
  What TLS costs, by a certificate made for the run:
    fanwire bench fanout --payload 1024 --driver fanwire,fanwire-tls
  Memory of each of 10,000 idle connections, as JSON:
    fanwire bench idle --connections 10000 --json
  Ten publishers with a hundred publications each on their way to the disk:
    fanwire bench durable --publishers 10 --window 100 --no-pin
  10,000 connections that come at once, and subscriptions that come and go:
    fanwire bench storm --driver fanwire,nats
    fanwire bench churn --driver fanwire,nats
  A tenth of 1000 subscribers no longer reads; 10,000 patterns match nothing:
    fanwire bench stuck --rate 100
    fanwire bench patterns --driver fanwire,nats
  Memory of each of a million topics that hold one message of 32 bytes:
    fanwire bench retained
  What it costs to give 100,000 held messages to a session that resumes:
    fanwire bench replay --driver fanwire,fanwire-msgpack

The server runs on one core and the load on another: see --server-core,
--load-core and --no-pin. CPU is the server's own time, user and system, over
all its threads. What lets a publisher send its next publication is fanwire's
receipt; with nats-server its own publication coming back, or +OK where it is
not alone in one topic; and the floor's own answer. With pusher it is the HTTP
answer, and a publisher has one request on its way at most: for more at a time,
take more --publishers.";

/// Measure the broker, its peers and the machine's own limit.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    scenario: ScenarioArgs,
}

#[derive(Debug, Subcommand)]
enum ScenarioArgs {
    /// Publishers to many subscribers of one topic.
    Fanout {
        /// How many connections are subscribed.
        #[arg(long, default_value_t = 100)]
        subscribers: usize,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Publishers to many topics, each with a subscriber of its own.
    Topics {
        /// How many topics, and so how many subscribers.
        #[arg(long, default_value_t = 1000)]
        topics: usize,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Publishers to topics that are on disk before a publish is acknowledged.
    Durable {
        /// How many topics they publish to in turn, each with one subscriber.
        #[arg(long, default_value_t = 1)]
        topics: usize,
        /// Where the data directory is made for the time of the run [default: the folder for temporary files].
        #[arg(long)]
        directory: Option<PathBuf>,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Publishers to subscribers, some of whom have stopped reading: what that does to the others.
    Stuck {
        /// How many connections are subscribed and read.
        #[arg(long, default_value_t = 900)]
        subscribers: usize,
        /// How many are subscribed and do not.
        #[arg(long, default_value_t = 100)]
        stuck: usize,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Publishers to many subscribers of one topic, through a server with one worker and one with more.
    Workers {
        /// How many workers more is.
        #[arg(long, default_value_t = 2)]
        workers: usize,
        /// How many connections are subscribed.
        #[arg(long, default_value_t = 100)]
        subscribers: usize,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Publishers to many topics, beside subscriptions to patterns that match none of them.
    Patterns {
        /// How many subscriptions to patterns.
        #[arg(long, default_value_t = 10_000)]
        patterns: usize,
        /// How many topics; a run goes to each of them once, unless --publications says otherwise.
        #[arg(long, default_value_t = 100_000)]
        topics: usize,
        /// How many connections are subscribed to everything.
        #[arg(long, default_value_t = 1)]
        subscribers: usize,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Connections that all come at once, and subscribe.
    Storm {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Sessions that subscribe to one topic after the other and leave it at once.
    Churn {
        /// How many sessions.
        #[arg(long, default_value_t = 100)]
        sessions: usize,
        /// How many topics they go through.
        #[arg(long, default_value_t = 1000)]
        topics: usize,
        /// How many rounds of each session are unanswered at most.
        #[arg(long, default_value_t = 16)]
        window: u64,
        /// How long to measure, in seconds.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Very many topics that hold one message each: the server's memory for each.
    Retained {
        /// How many topics.
        #[arg(long, default_value_t = 1_000_000)]
        topics: usize,
        /// Bytes of each payload, 16 at least.
        #[arg(long, default_value_t = 32)]
        payload: usize,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Subscribed connections that do nothing: the server's memory for each.
    Idle {
        /// How many connections.
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
        /// How many topics they are spread over.
        #[arg(long, default_value_t = 1)]
        topics: usize,
        /// How long they are held, in seconds, before memory is read again.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Sessions that resume from the earliest of a topic that holds much, one after the other.
    Replay {
        /// How many messages the topic holds.
        #[arg(long, default_value_t = 100_000)]
        publications: u64,
        /// How many sessions read all of them; processor time is told in hundredths of a second, so one is too few.
        #[arg(long, default_value_t = 20)]
        sessions: usize,
        /// Bytes of each payload, 16 at least.
        #[arg(long, default_value_t = 128)]
        payload: usize,
        /// Hold them on disk, in a data directory made in this one for the time of the run [default: in memory].
        #[arg(long)]
        directory: Option<PathBuf>,
        #[command(flatten)]
        common: CommonArgs,
    },
}

#[derive(Debug, clap::Args)]
struct FlowArgs {
    /// How many connections publish.
    #[arg(long, default_value_t = 1)]
    publishers: usize,
    /// Bytes of each payload, 16 at least.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// As fast as it goes, with at most so many publications of each publisher unacknowledged.
    #[arg(long, default_value_t = 64, conflicts_with = "rate")]
    window: u64,
    /// So many publications a second, of all publishers together; latency counts from when each was due.
    #[arg(long)]
    rate: Option<f64>,
    /// How long to measure, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How long to publish before that, in seconds [default: 1, or 0 with --publications].
    #[arg(long)]
    warmup: Option<f64>,
    /// Stop earlier, after so many publications.
    #[arg(long)]
    publications: Option<u64>,
    /// Look into the messages of every so-manieth subscriber for order and latency; all are counted
    /// [default: 8, or 1 with --rate].
    #[arg(long)]
    inspect_every: Option<usize>,
    /// How many frames the floor sends at once.
    #[arg(long, default_value_t = 64)]
    frames_per_send: usize,
}

#[derive(Debug, clap::Args)]
struct CommonArgs {
    /// What to measure, one after the other: fanwire, fanwire-msgpack, fanwire-tls, fanwire-bare, fanwire-sse, nats, nchan,
    /// mosquitto, centrifugo and pusher (by --url only), floor. One that is not installed is left out.
    #[arg(long, value_delimiter = ',', default_value = "fanwire")]
    driver: Vec<Peer>,
    /// Start each server on a free port and stop it afterwards; this is what happens without --url.
    #[arg(long, conflicts_with = "url")]
    start: bool,
    /// Measure a server that runs already, on this machine.
    #[arg(long)]
    url: Option<String>,
    /// The process id of that server, for its processor time and memory.
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// The application that the driver pusher speaks for. Others on this machine see the arguments of a program:
    /// a secret that matters belongs into the environment [default: app-id:app-key:app-secret, as soketi has it].
    #[arg(long, value_name = "ID:KEY:SECRET", env = "FANWIRE_PUSHER_APP", hide_env_values = true)]
    pusher_app: Option<String>,
    /// The fanwire binary to start [default: this one].
    #[arg(long, value_name = "PROGRAM")]
    fanwire: Option<PathBuf>,
    /// The nats-server binary to start.
    #[arg(long, value_name = "PROGRAM", default_value = "nats-server")]
    nats: PathBuf,
    /// The nginx binary to start, which finds nchan as modules/ngx_nchan_module.so.
    #[arg(long, value_name = "PROGRAM", default_value = "nginx")]
    nginx: PathBuf,
    /// The mosquitto binary to start.
    #[arg(long, value_name = "PROGRAM", default_value = "mosquitto")]
    mosquitto: PathBuf,
    /// Go through all drivers so many times, in alternation, and show medians.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    /// The core of the servers started here.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of the load.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Pin nothing to a core.
    #[arg(long)]
    no_pin: bool,
    /// Print JSON, with every single run.
    #[arg(long)]
    json: bool,
    /// Write that JSON into this file, too.
    #[arg(long, value_name = "FILE")]
    json_file: Option<PathBuf>,
    /// Draw the medians as bars into this file, too.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Runs the subcommand.
pub(crate) fn run(args: Args) -> ExitCode {
    match measure(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanwire bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: Args) -> Result<(), BenchError> {
    let (scenario, frames_per_send, common) = scenario(args.scenario)?;
    let target = match common.url {
        Some(url) => Target::Running { address: loopback_address(&url)?, pid: common.pid },
        None => Target::Start(Programs {
            fanwire: this_program(common.fanwire)?,
            nats: common.nats,
            nginx: common.nginx,
            mosquitto: common.mosquitto,
        }),
    };
    let cores = Cores { server: common.server_core, load: common.load_core };
    let plan = Plan {
        scenario,
        peers: common.driver,
        target,
        repeat: common.repeat,
        cores: (!common.no_pin).then_some(cores),
        frames_per_send,
        // Read here and not by clap, whose complaints would show the secret.
        pusher_app: common.pusher_app.map_or_else(|| Ok(PusherApp::default()), |app| app.parse())?,
    };
    let report = fanwire_bench::run(&plan, |line| eprintln!("{line}"))?;
    let write = |file: PathBuf, text: String| {
        std::fs::write(file, text).map_err(|error| BenchError::System("writing the report", error))
    };
    common.svg.map_or(Ok(()), |file| write(file, report.to_svg()))?;
    common.json_file.map_or(Ok(()), |file| write(file, format!("{:#}\n", report.to_json())))?;
    if common.json {
        println!("{:#}", report.to_json());
    } else {
        print!("{report}");
    }
    Ok(())
}

fn scenario(args: ScenarioArgs) -> Result<(Scenario, usize, CommonArgs), BenchError> {
    Ok(match args {
        ScenarioArgs::Fanout { subscribers, flow, common } => {
            let frames_per_send = flow.frames_per_send;
            (Scenario::Flow(flow.into_flow("fanout", subscribers, 1)?), frames_per_send, common)
        }
        ScenarioArgs::Topics { topics, flow, common } => {
            let frames_per_send = flow.frames_per_send;
            (Scenario::Flow(flow.into_flow("topics", topics, topics)?), frames_per_send, common)
        }
        ScenarioArgs::Durable { topics, directory, flow, common } => {
            let flow = flow.into_flow("durable", topics, topics)?;
            let directory = directory.unwrap_or_else(std::env::temp_dir);
            (Scenario::Durable { flow, directory }, 1, common)
        }
        ScenarioArgs::Idle { connections, topics, seconds, common } => {
            (Scenario::Idle(Idle { connections, topics, hold: duration(seconds)? }), 1, common)
        }
        ScenarioArgs::Replay { publications, sessions, payload, directory, common } => {
            let replay = Replay { publications, sessions, payload_bytes: payload, directory };
            (Scenario::Replay(replay), 1, common)
        }
        ScenarioArgs::Stuck { subscribers, stuck, flow, common } => {
            let flow = flow.into_flow("stuck", subscribers, 1)?;
            (Scenario::Stuck { flow, stuck }, 1, common)
        }
        ScenarioArgs::Workers { workers, subscribers, flow, common } => {
            let flow = flow.into_flow("workers", subscribers, 1)?;
            (Scenario::Workers { flow, workers }, 1, common)
        }
        ScenarioArgs::Patterns { patterns, topics, subscribers, mut flow, common } => {
            flow.publications.get_or_insert(topics as u64);
            let flow = flow.into_flow("patterns", subscribers, topics)?;
            let flow = Flow { listeners: Listeners::Everything, ..flow };
            (Scenario::Patterns(Patterns { flow, patterns }), 1, common)
        }
        ScenarioArgs::Storm { connections, common } => (Scenario::Storm(Storm { connections }), 1, common),
        ScenarioArgs::Churn { sessions, topics, window, seconds, common } => {
            let churn = Churn { sessions, topics, window, duration: duration(seconds)? };
            (Scenario::Churn(churn), 1, common)
        }
        ScenarioArgs::Retained { topics, payload, common } => {
            (Scenario::Retained(Retained { topics, payload_bytes: payload }), 1, common)
        }
    })
}

impl FlowArgs {
    fn into_flow(self, name: &'static str, subscribers: usize, topics: usize) -> Result<Flow, BenchError> {
        let warmup = self.warmup.unwrap_or(if self.publications.is_some() { 0.0 } else { 1.0 });
        let inspect_every = self.inspect_every.unwrap_or(if self.rate.is_some() { 1 } else { 8 });
        Ok(Flow {
            name,
            publishers: self.publishers,
            subscribers,
            listeners: Listeners::OneTopicEach,
            topics,
            payload_bytes: self.payload,
            pacing: self.rate.map_or(Pacing::Window(self.window), Pacing::Rate),
            warmup: duration(warmup)?,
            duration: duration(self.seconds)?,
            publications: self.publications,
            inspect_every,
        })
    }
}

fn duration(seconds: f64) -> Result<Duration, BenchError> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| BenchError::Plan(format!("{seconds} is no number of seconds: {error}")))
}

fn this_program(given: Option<PathBuf>) -> Result<PathBuf, BenchError> {
    match given {
        Some(program) => Ok(program),
        None => std::env::current_exe().map_err(|error| BenchError::System("finding this program", error)),
    }
}
