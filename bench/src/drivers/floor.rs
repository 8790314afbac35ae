//! The floor: what the machine itself takes to deliver the same bytes, with no broker in between.
//!
//! A thread gathers a fixed number of publications, which arrive as the very frames that subscribers get, and sends
//! them to every subscriber with one call each. That call is all it does, so no server can take less at the same number
//! of frames per call. It answers the publisher one byte for each publication.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use fanwire_protocol::{Epoch, Message, Payload, Position, json};

use super::{Driver, Programs};
use crate::error::BenchError;
use crate::load::{Answer, Opening};
use crate::server::{Cores, Endpoint, Owned, Probe, Server, pin_this_thread};
use crate::wire::websocket::{TEXT, server_frame};
use crate::wire::{AcknowledgementBytes, Decoder, Frames, Masked, Template, Vocabulary};

/// The first bytes of a connection, and the answer to them.
const SUBSCRIBER: u8 = b's';
const PUBLISHER: u8 = b'p';
const WELCOME: u8 = b'w';

/// The driver, with what its server has to know ahead.
#[derive(Debug)]
pub(crate) struct Floor {
    frames_per_send: usize,
    frame_bytes: usize,
    fan: Fan,
}

/// The subscribers that receive a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fan {
    /// Sends to every connection.
    All,
    /// One after the other: as many topics as subscribers.
    InTurn,
}

impl Floor {
    /// A floor that sends `frames_per_send` publications of `payload` in one call to each subscriber of one topic; with
    /// as many topics as subscribers, each publication goes to one of them alone.
    pub(crate) fn new(frames_per_send: usize, payload: &str, topics: usize) -> Self {
        let frame_bytes = publication("bench.000000", payload).len();
        let fan = if topics > 1 { Fan::InTurn } else { Fan::All };
        Self { frames_per_send, frame_bytes, fan }
    }
}

impl Driver for Floor {
    fn start(&self, _programs: &Programs, cores: Option<Cores>) -> Result<Server, BenchError> {
        let failed = |error| BenchError::System("starting the floor", error);
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let plan = Plan {
            group_bytes: self.frames_per_send * self.frame_bytes,
            frame_bytes: self.frame_bytes,
            fan: self.fan,
        };
        let (sender, receiver) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("floor".into())
            .spawn(move || {
                let pinned = cores.map_or(Ok(()), |cores| pin_this_thread(cores.server));
                let ready = pinned.map(|()| Probe::of_this_thread());
                let go = ready.is_ok();
                // The receiver waits below.
                let _ = sender.send(ready);
                if go {
                    // Ends with an error when the load hangs up, which is how every run ends.
                    let _ = serve(&listener, plan);
                }
            })
            .map_err(failed)?;
        let server = FloorServer { address, thread: Some(thread) };
        if let Some(cores) = cores {
            pin_this_thread(cores.load)?;
        }
        let probe =
            receiver.recv().map_err(|_| failed(io::Error::other("its thread ended at once"))).flatten()?;
        Ok(Server {
            endpoint: Endpoint::plain(address),
            probe: Some(probe),
            _owned: Owned::Inside(Box::new(server)),
        })
    }

    fn subscriber(&self, _host: &str, patterns: &[String]) -> Result<Opening, BenchError> {
        if patterns.len() > 1 {
            return Err(BenchError::LeftOut("the floor knows no patterns".into()));
        }
        Ok(opening(Decoder::Frames(Frames::new(Vocabulary::Json)), SUBSCRIBER))
    }

    fn publisher(&self, _host: &str, _alone_in: Option<&str>) -> Result<Opening, BenchError> {
        Ok(opening(Decoder::AcknowledgementBytes(AcknowledgementBytes), PUBLISHER))
    }

    fn publication(&self, topic: &str, payload: &str) -> Template {
        publication(topic, payload)
    }

    fn group(&self) -> u64 {
        self.frames_per_send as u64
    }
}

/// The frame a fanwire subscriber would get, so that the floor moves as many bytes.
fn publication(topic: &str, payload: &str) -> Template {
    let message = Message {
        topic: topic.parse().expect("the scenarios name topics by the rules"),
        payload: Payload::text(payload),
        position: Some(Position { epoch: Epoch::from_random(u64::MAX), offset: 1_000_000 }),
        ts: Some(1_800_000_000_000),
        from: None,
    };
    let mut bytes = Vec::new();
    json::encode_message(&message, &mut bytes);
    Template::new(&bytes, server_frame(TEXT, &bytes), Masked::No)
}

fn opening(decoder: Decoder, role: u8) -> Opening {
    Opening::new(decoder).then([role], Answer::Byte(WELCOME))
}

/// The thread of a floor; dropping it ends and joins it.
#[derive(Debug)]
struct FloorServer {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Drop for FloorServer {
    fn drop(&mut self) {
        // The load has hung up by now. A thread that still waits for its publisher takes this for one, and reads its end.
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let _ = stream.write_all(&[PUBLISHER]);
            let _ = stream.shutdown(Shutdown::Write);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    group_bytes: usize,
    frame_bytes: usize,
    fan: Fan,
}

fn serve(listener: &TcpListener, plan: Plan) -> io::Result<()> {
    let mut subscribers = Vec::new();
    let mut publisher = loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut role = [0];
        stream.read_exact(&mut role)?;
        stream.write_all(&[WELCOME])?;
        match role[0] {
            PUBLISHER => break stream,
            _ => subscribers.push(stream),
        }
    };
    let mut group = vec![0; plan.group_bytes];
    let acknowledgement = vec![WELCOME; plan.group_bytes / plan.frame_bytes];
    let mut turn = 0;
    loop {
        publisher.read_exact(&mut group)?;
        match plan.fan {
            Fan::All => {
                for subscriber in &mut subscribers {
                    subscriber.write_all(&group)?;
                }
            }
            Fan::InTurn => {
                for frame in group.chunks(plan.frame_bytes) {
                    let next = turn % subscribers.len().max(1);
                    if let Some(subscriber) = subscribers.get_mut(next) {
                        subscriber.write_all(frame)?;
                    }
                    turn += 1;
                }
            }
        }
        publisher.write_all(&acknowledgement)?;
    }
}
