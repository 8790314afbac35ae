//! A whole run against the floor, which needs no server: everything that is published arrives, in order, and is
//! accounted for.

use std::time::Duration;

use fanwire_bench::{Flow, Listeners, Pacing, Peer, Plan, Programs, PusherApp, Report, Scenario, Target};

fn run(flow: Flow, frames_per_send: usize) -> Report {
    let plan = Plan {
        scenario: Scenario::Flow(flow),
        peers: vec![Peer::Floor],
        target: Target::Start(Programs {
            fanwire: "unused".into(),
            nats: "unused".into(),
            nginx: "unused".into(),
            mosquitto: "unused".into(),
        }),
        repeat: 1,
        cores: None,
        frames_per_send,
        pusher_app: PusherApp::default(),
    };
    fanwire_bench::run(&plan, |_| {}).expect("the floor needs nothing but loopback")
}

fn flow(subscribers: usize, topics: usize, pacing: Pacing, publications: u64) -> Flow {
    Flow {
        name: "fanout",
        publishers: 1,
        subscribers,
        listeners: Listeners::OneTopicEach,
        topics,
        payload_bytes: 128,
        pacing,
        warmup: Duration::ZERO,
        duration: Duration::from_secs(30),
        publications: Some(publications),
        inspect_every: 1,
    }
}

fn figure(report: &Report, name: &str) -> f64 {
    let figure = report.outcomes[0].figures.iter().find(|figure| figure.name == name);
    figure.and_then(|figure| figure.value).unwrap_or_else(|| panic!("no {name} in {report}"))
}

fn check_complete(report: &Report, publications: u64) {
    assert_eq!(figure(report, "publications"), publications as f64, "{report}");
    for name in ["lost", "surplus", "out_of_order"] {
        assert_eq!(figure(report, name), 0.0, "{report}");
    }
    assert_eq!(report.outcomes[0].notes, Vec::<String>::new());
    assert!(figure(report, "deliveries_per_second") > 0.0);
    assert!(figure(report, "latency_max_us") >= figure(report, "latency_p50_us"));
}

#[test]
fn every_publication_reaches_every_subscriber() {
    let report = run(flow(20, 1, Pacing::Window(64), 6400), 32);
    check_complete(&report, 6400);
    assert!(figure(&report, "deliveries_per_read") >= 1.0);
}

#[test]
fn every_topic_reaches_its_own_subscriber_only() {
    let report = run(flow(20, 20, Pacing::Window(64), 2010), 32);
    check_complete(&report, 2010);
}

#[test]
fn a_fixed_rate_is_kept() {
    let report = run(flow(5, 1, Pacing::Rate(2000.0), 400), 32);
    check_complete(&report, 400);
    let per_second = figure(&report, "deliveries_per_second") / 5.0;
    // The last one is due after 399 intervals, so a rate above this would mean that some were sent early.
    assert!(per_second <= 2000.0 * 400.0 / 399.0 + 1.0, "{per_second}");
}
