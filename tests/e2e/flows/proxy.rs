//! A proxy that is a bad network: it cuts the connections that go over it, each after a random number of bytes, and if it is
//! rough also delays what it passes on, or lets it trickle.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A proxy before a broker. Dropping it cuts everything off.
pub(crate) struct CuttingProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    is_over: AtomicBool,
    cuts: AtomicUsize,
}

/// How bytes are passed on.
#[derive(Clone, Copy)]
enum Manner {
    AsTheyCome,
    /// A few at a time.
    Trickling,
    /// Some time later.
    Delayed,
}

impl CuttingProxy {
    /// Begins to pass connections on to `broker`, and to cut each after 1 to `bytes_max` bytes of it.
    pub(crate) fn begin(broker: SocketAddr, bytes_max: usize, random: fastrand::Rng) -> Self {
        Self::begin_with(broker, random, move |random| {
            let cut_after = [usize::MAX, random.usize(1..=bytes_max)];
            (cut_after, [Manner::AsTheyCome; 2])
        })
    }

    /// The same, but what the client says is cut too, and each way bytes come at once, late or little by little.
    pub(crate) fn begin_rough(broker: SocketAddr, bytes_max: usize, random: fastrand::Rng) -> Self {
        Self::begin_with(broker, random, move |random| {
            let manners = [Manner::AsTheyCome, Manner::Trickling, Manner::Delayed];
            let mut manner = || manners[random.usize(..manners.len())];
            let manners = [manner(), manner()];
            ([random.usize(1..=bytes_max), random.usize(1..=bytes_max)], manners)
        })
    }

    /// `choose` says for each connection after how many bytes it is cut and how bytes are passed on, to and from the broker.
    fn begin_with(
        broker: SocketAddr,
        mut random: fastrand::Rng,
        choose: impl Fn(&mut fastrand::Rng) -> ([usize; 2], [Manner; 2]) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared { is_over: AtomicBool::new(false), cuts: AtomicUsize::new(0) });
        let seen = shared.clone();
        let acceptor = std::thread::spawn(move || {
            let mut passing = Vec::new();
            for client in listener.incoming() {
                if seen.is_over.load(Ordering::Acquire) {
                    break;
                }
                let client = client.expect("a connection comes");
                let server = TcpStream::connect(broker).expect("the broker accepts connections");
                let both = |stream: &TcpStream| stream.try_clone().expect("a socket has two ends");
                let (from_client, to_server) = (both(&client), both(&server));
                let (cut_after, manners) = choose(&mut random);
                let ways = [(from_client, to_server), (server, client)];
                for ((from, to), (bytes, manner)) in ways.into_iter().zip(cut_after.into_iter().zip(manners))
                {
                    let (seen, random) = (seen.clone(), random.fork());
                    passing.push(std::thread::spawn(move || {
                        let is_cut = pass(from, to, bytes, manner, random);
                        seen.cuts.fetch_add(usize::from(is_cut), Ordering::Relaxed);
                    }));
                }
            }
            for thread in passing {
                thread.join().expect("passing bytes on does not fail");
            }
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Where the proxy listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has cut so far.
    pub(crate) fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // The acceptor waits for a connection; this is the last.
        let _last = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ended = acceptor.join();
        }
    }
}

/// Passes bytes on until either side ends or `left` bytes have gone, and ends both. Returns whether it was the bytes.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    mut left: usize,
    manner: Manner,
    mut random: fastrand::Rng,
) -> bool {
    let _late_if_not = to.set_nodelay(true);
    let mut buffer = [0; 4096];
    while left > 0 {
        let at_once = if let Manner::Trickling = manner { random.usize(1..=40) } else { buffer.len() };
        let piece = &mut buffer[..at_once.min(left)];
        let Ok(count @ 1..) = from.read(piece) else { break };
        if let Manner::Delayed = manner {
            // Not a wait for something: this is what the network is like.
            std::thread::sleep(Duration::from_millis(random.u64(..8)));
        }
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
        left -= count;
    }
    for stream in [from, to] {
        // Whoever ended first has taken the other end with it.
        let _ended_already = stream.shutdown(Shutdown::Both);
    }
    left == 0
}
