//! A publisher that counts: the numbers 0, 1, 2, … as text, at full speed, but never further ahead than it is allowed to be.
//!
//! Allowing some more at each cut keeps it publishing for as long as the readers are being cut, and no longer.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

use fanwire_tests::{Opcode, WebSocket};

/// A thread that publishes numbers, over one bare WebSocket for each of its topics.
pub(crate) struct Numbers {
    /// How many may have been published by now.
    pub(crate) allowed: usize,
    allowances: Option<mpsc::Sender<usize>>,
    thread: Option<JoinHandle<()>>,
}

impl Numbers {
    /// Begins with nothing allowed. Number `n` goes to topic `n % topics.len()`.
    pub(crate) fn begin(address: SocketAddr, topics: &[&str]) -> Self {
        let mut sockets: Vec<_> = topics
            .iter()
            .map(|topic| WebSocket::open(address, &format!("/topics/{topic}?echo=false")))
            .collect();
        let (allowances, allowed) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut next = 0;
            for more in allowed {
                for number in next..next + more {
                    let turn = number % sockets.len();
                    sockets[turn].send_text(&number.to_string());
                }
                next += more;
            }
            for socket in &mut sockets {
                socket.send_frame(true, Opcode::CLOSE, b"");
                assert_eq!(
                    socket.read().opcode,
                    Opcode::CLOSE,
                    "the publisher was listened to until the end"
                );
            }
        });
        Self { allowed: 0, allowances: Some(allowances), thread: Some(thread) }
    }

    /// Lets `more` numbers be published, and does not wait for it.
    pub(crate) fn allow(&mut self, more: usize) {
        self.allowed += more;
        let allowances = self.allowances.as_ref().expect("the publisher has not ended");
        allowances.send(more).expect("the publisher goes on");
    }

    /// Waits until everything allowed has been published.
    pub(crate) fn finish(mut self) {
        drop(self.allowances.take());
        let thread = self.thread.take().expect("the publisher has not ended");
        thread.join().expect("the publisher publishes all");
    }
}

/// Random numbers of one test, from a seed that is shown when the test fails: `FANWIRE_SEED` runs it again.
pub(crate) fn random() -> fastrand::Rng {
    let given = std::env::var("FANWIRE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("FANWIRE_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}
