//! A proxy that cuts the connections that go over it, each after a random number of bytes from the broker.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

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

impl CuttingProxy {
    /// Begins to pass connections on to `broker`, and to cut each after 1 to `bytes_max` bytes of it.
    pub(crate) fn begin(broker: SocketAddr, bytes_max: usize, mut random: fastrand::Rng) -> Self {
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
                let (bytes, seen) = (random.usize(1..=bytes_max), seen.clone());
                passing.push(std::thread::spawn(move || pass(from_client, to_server, usize::MAX)));
                passing.push(std::thread::spawn(move || {
                    let is_cut = pass(server, client, bytes);
                    seen.cuts.fetch_add(usize::from(is_cut), Ordering::Relaxed);
                    is_cut
                }));
            }
            for thread in passing {
                let _is_cut = thread.join().expect("passing bytes on does not fail");
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
fn pass(mut from: TcpStream, mut to: TcpStream, mut left: usize) -> bool {
    let mut piece = [0; 4096];
    while left > 0
        && let Ok(count @ 1..) = from.read(&mut piece)
        && to.write_all(&piece[..count.min(left)]).is_ok()
    {
        left = left.saturating_sub(count);
    }
    for stream in [from, to] {
        // Whoever ended first has taken the other end with it.
        let _ended_already = stream.shutdown(Shutdown::Both);
    }
    left == 0
}
