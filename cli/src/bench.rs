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
  1 publisher to 100 subscribers, as fast as possible:
    fanwire bench fanout
  Beside nats-server and a bare loop of send, medians of 3 runs in alternation:
    fanwire bench fanout --driver fanwire,nats,floor --repeat 3 --window 256
  Latency at 100 publications a second:
    fanwire bench fanout --subscribers 1000 --rate 100
  A running broker:
    fanwire bench fanout --url ws://127.0.0.1:7400 --pid 4711
  A running soketi, or another server of the Pusher protocol:
    fanwire bench fanout --driver pusher --url ws://127.0.0.1:6001 --pid 4711
  1000 topics with one subscriber each:
    fanwire bench topics --topics 1000 --driver fanwire,nats
  The cost of TLS, with a certificate made for the run:
    fanwire bench fanout --payload 1024 --driver fanwire,fanwire-tls
  Memory of each of 10,000 idle connections, as JSON:
    fanwire bench idle --connections 10000 --json
  Ten publishers with 100 publications each in progress to the disk:
    fanwire bench durable --publishers 10 --window 100 --no-pin
  10,000 connections at once; subscriptions that begin and end:
    fanwire bench storm --driver fanwire,nats
    fanwire bench churn --driver fanwire,nats
  A tenth of 1000 subscribers does not read; 10,000 patterns match nothing:
    fanwire bench stuck --rate 100
    fanwire bench patterns --driver fanwire,nats
  Memory of each of a million topics that hold one message of 32 bytes:
    fanwire bench retained
  The cost of replaying 100,000 held messages to a session that resumes:
    fanwire bench replay --driver fanwire,fanwire-msgpack

The server runs on one core and the load on another: see --server-core,
--load-core and --no-pin. CPU is the server's own time, user and system, over
all its threads. A publisher sends its next publication after fanwire's receipt;
with nats-server after its own publication arrives, or after +OK if there are
several topics or publishers; with the floor after its answer. With pusher it is
the HTTP response, and a publisher has one request in progress at most: for
more, use more --publishers.";

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
        /// The number of connections that are subscribed.
        #[arg(long, default_value_t = 100)]
        subscribers: usize,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Publishers to many topics, each with a subscriber of its own.
    Topics {
        /// The number of topics, and of subscribers.
        #[arg(long, default_value_t = 1000)]
        topics: usize,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Publishers to topics that are on disk before a publish is acknowledged.
    Durable {
        /// The number of topics that are published to in turn, each with one subscriber.
        #[arg(long, default_value_t = 1)]
        topics: usize,
        /// The folder in which the data directory of the run is made [default: the folder for temporary files].
        #[arg(long)]
        directory: Option<PathBuf>,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Publishers to subscribers, some of which do not read: the effect on the others.
    Stuck {
        /// The number of connections that are subscribed and read.
        #[arg(long, default_value_t = 900)]
        subscribers: usize,
        /// The number of connections that are subscribed and do not read.
        #[arg(long, default_value_t = 100)]
        stuck: usize,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Publishers to many subscribers of one topic, through a server with one worker and one with more.
    Workers {
        /// The number of workers of the second server.
        #[arg(long, default_value_t = 2)]
        workers: usize,
        /// The number of connections that are subscribed.
        #[arg(long, default_value_t = 100)]
        subscribers: usize,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Publishers to many topics, beside subscriptions to patterns that match none of them.
    Patterns {
        /// The number of subscriptions to patterns.
        #[arg(long, default_value_t = 10_000)]
        patterns: usize,
        /// The number of topics; a run publishes to each of them once, unless --publications is given.
        #[arg(long, default_value_t = 100_000)]
        topics: usize,
        /// The number of connections that are subscribed to everything.
        #[arg(long, default_value_t = 1)]
        subscribers: usize,
        #[command(flatten)]
        flow: FlowArgs,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Connections that open at once, and subscribe.
    Storm {
        /// The number of connections.
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Sessions that subscribe to one topic after the other, and unsubscribe at once.
    Churn {
        /// The number of sessions.
        #[arg(long, default_value_t = 100)]
        sessions: usize,
        /// The number of topics.
        #[arg(long, default_value_t = 1000)]
        topics: usize,
        /// The maximum number of rounds of each session without an answer.
        #[arg(long, default_value_t = 16)]
        window: u64,
        /// The time of the measurement, in seconds.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// A large number of topics that hold one message each: the server's memory for each.
    Retained {
        /// The number of topics.
        #[arg(long, default_value_t = 1_000_000)]
        topics: usize,
        /// The size of each payload in bytes, at least 16.
        #[arg(long, default_value_t = 32)]
        payload: usize,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Subscribed connections that do nothing: the server's memory for each.
    Idle {
        /// The number of connections.
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
        /// The number of topics that they are spread over.
        #[arg(long, default_value_t = 1)]
        topics: usize,
        /// The time, in seconds, after which memory is read again.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Sessions that replay the whole history of a topic, one after the other.
    Replay {
        /// The number of messages in the history.
        #[arg(long, default_value_t = 100_000)]
        publications: u64,
        /// The number of sessions; processor time is measured in hundredths of a second, so one is not enough.
        #[arg(long, default_value_t = 20)]
        sessions: usize,
        /// The size of each payload in bytes, at least 16.
        #[arg(long, default_value_t = 128)]
        payload: usize,
        /// Hold the history on disk, in a data directory of the run inside this folder [default: in memory].
        #[arg(long)]
        directory: Option<PathBuf>,
        #[command(flatten)]
        common: CommonArgs,
    },
}

#[derive(Debug, clap::Args)]
struct FlowArgs {
    /// The number of connections that publish.
    #[arg(long, default_value_t = 1)]
    publishers: usize,
    /// The size of each payload in bytes, at least 16.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// Publish as fast as possible, with at most this number of unacknowledged publications per publisher.
    #[arg(long, default_value_t = 64, conflicts_with = "rate")]
    window: u64,
    /// Publications per second of all publishers together; latency counts from the due time of each.
    #[arg(long)]
    rate: Option<f64>,
    /// The time of the measurement, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// The time of publishing before the measurement, in seconds [default: 1, or 0 with --publications].
    #[arg(long)]
    warmup: Option<f64>,
    /// Stop earlier, after this number of publications.
    #[arg(long)]
    publications: Option<u64>,
    /// Check order and latency of the messages of every Nth subscriber; all messages are counted
    /// [default: 8, or 1 with --rate].
    #[arg(long)]
    inspect_every: Option<usize>,
    /// The number of frames that the floor sends at once.
    #[arg(long, default_value_t = 64)]
    frames_per_send: usize,
}

#[derive(Debug, clap::Args)]
struct CommonArgs {
    /// The drivers to measure, one after the other: fanwire, fanwire-msgpack, fanwire-tls, fanwire-bare, fanwire-sse, nats, nchan,
    /// mosquitto, centrifugo and pusher (by --url only), floor. A driver that is not installed is skipped.
    #[arg(long, value_delimiter = ',', default_value = "fanwire")]
    driver: Vec<Peer>,
    /// Start each server on a free port and stop it afterwards; the default without --url.
    #[arg(long, conflicts_with = "url")]
    start: bool,
    /// Measure a running server on this machine.
    #[arg(long)]
    url: Option<String>,
    /// The process id of that server, for its processor time and memory.
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// The application of the driver pusher. Every user of this machine can read the arguments of a program: put a secret
    /// that matters into the environment [default: app-id:app-key:app-secret, as soketi has it].
    #[arg(long, value_name = "ID:KEY:SECRET", env = "FANWIRE_PUSHER_APP", hide_env_values = true)]
    pusher_app: Option<String>,
    /// The fanwire binary to start [default: this one].
    #[arg(long, value_name = "PROGRAM")]
    fanwire: Option<PathBuf>,
    /// The nats-server binary to start.
    #[arg(long, value_name = "PROGRAM", default_value = "nats-server")]
    nats: PathBuf,
    /// The nginx binary to start; it loads nchan from modules/ngx_nchan_module.so.
    #[arg(long, value_name = "PROGRAM", default_value = "nginx")]
    nginx: PathBuf,
    /// The mosquitto binary to start.
    #[arg(long, value_name = "PROGRAM", default_value = "mosquitto")]
    mosquitto: PathBuf,
    /// Run all drivers this number of times, in alternation, and print medians.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    /// The core of the servers that are started.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of the load.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Do not pin threads to cores.
    #[arg(long)]
    no_pin: bool,
    /// Print JSON, with each single run.
    #[arg(long)]
    json: bool,
    /// Write this JSON into a file, too.
    #[arg(long, value_name = "FILE")]
    json_file: Option<PathBuf>,
    /// Draw the medians as bars into a file, too.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Runs the subcommand and returns the exit code.
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
