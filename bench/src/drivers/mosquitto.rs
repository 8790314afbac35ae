//! Mosquitto's WebSocket listener, spoken to in MQTT 3.1.1.
//!
//! Publications go out at QoS 1, so that each is acknowledged, the counterpart of fanwire's receipt; subscribers listen at
//! QoS 0, since a browser's WebSocket acknowledges nothing either. Levels are separated by `/` where fanwire has `.`.

use super::{Driver, Programs};
use crate::error::BenchError;
use crate::load::{Answer, Opening};
use crate::server::{Configured, Cores, Server};
use crate::wire::mqtt::{self, Retained};
use crate::wire::websocket::{BINARY, client_frame};
use crate::wire::{Decoder, Masked, MqttStream, Template};

/// Starts Mosquitto and speaks MQTT.
#[derive(Debug)]
pub(crate) struct Mosquitto {
    retained: Retained,
}

impl Default for Mosquitto {
    fn default() -> Self {
        Self { retained: Retained::No }
    }
}

impl Mosquitto {
    /// A driver whose publications are retained.
    pub(crate) fn retaining() -> Self {
        Self { retained: Retained::Yes }
    }
}

impl Driver for Mosquitto {
    fn start(&self, programs: &Programs, cores: Option<Cores>) -> Result<Server, BenchError> {
        Configured {
            program: &programs.mosquitto,
            arguments: &["-c"],
            // It does not start without a listener of its own protocol. Started as root it would look for a user of its own,
            // which an unpacked package has not created.
            configuration: &|port, directory| {
                format!(
                    "listener {port} 127.0.0.1\nprotocol websockets\nlistener 0 {directory}/mqtt\n\
                     allow_anonymous true\nuser root\nlog_dest stderr\n"
                )
            },
            ready: "running",
        }
        .start(cores)
    }

    fn subscriber(&self, host: &str, patterns: &[String]) -> Result<Opening, BenchError> {
        let subscribed = || Answer::Messages { marker: mqtt::SUBSCRIBED, refusal: b"\x80", count: 1 };
        Ok(patterns.iter().fold(session(host), |opening, pattern| {
            opening.then(framed(&mqtt::subscribe(&filter(pattern))), subscribed())
        }))
    }

    fn replay(&self, host: &str, topic: &str) -> Result<Opening, BenchError> {
        match self.retained {
            Retained::Yes => self.subscriber(host, &[topic.to_owned()]),
            Retained::No => {
                Err(BenchError::LeftOut("Mosquitto keeps the last message of a topic at most".into()))
            }
        }
    }

    fn publisher(&self, host: &str, _alone_in: Option<&str>) -> Result<Opening, BenchError> {
        Ok(session(host))
    }

    fn publication(&self, topic: &str, payload: &str) -> Template {
        let message = mqtt::publish(&filter(topic), payload, self.retained);
        Template::new(&message, client_frame(BINARY, &message), Masked::Yes)
    }

    fn churn(&self, topic: &str) -> Result<(Template, u64), BenchError> {
        let mut round = framed(&mqtt::subscribe(&filter(topic)));
        round.extend(framed(&mqtt::unsubscribe(&filter(topic))));
        // Of the two answers the decoder counts the one that ends the round.
        Ok((Template::unstamped(round), 1))
    }
}

fn session(host: &str) -> Opening {
    let connected = Answer::Messages { marker: mqtt::CONNECTED, refusal: b"\x20", count: 1 };
    Opening::new(Decoder::Mqtt(MqttStream::default()))
        .upgrade(host, "/mqtt", Some("mqtt"))
        .then(framed(&mqtt::connect()), connected)
}

fn framed(packet: &[u8]) -> Vec<u8> {
    client_frame(BINARY, packet).0
}

/// A topic or pattern of fanwire's as a topic filter of MQTT.
fn filter(pattern: &str) -> String {
    let levels = pattern.split('.').map(|level| match level {
        "*" => "+",
        ">" => "#",
        name => name,
    });
    levels.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_topic_filters() {
        for (pattern, expected) in [("a.b", "a/b"), ("a.*.c", "a/+/c"), ("a.>", "a/#"), (">", "#")] {
            assert_eq!(filter(pattern), expected);
        }
    }
}
