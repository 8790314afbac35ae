//! A socket that is lent to the HTTP library and returned, and that counts the bytes that pass through it.
//!
//! A leaf. hyper drops a socket when a connection ends, also while the client still sends a body that is not read. Then the
//! operating system resets the connection, and the client may never read the answer. A [`LentSocket`] goes back to its
//! [`Lender`] instead, which can close it in an orderly way.
//!
//! It also bounds how long a peer may take none of the bytes that wait for it: an answer that is never read must not be held
//! for as long as the client likes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The number of bytes that are thrown away at a time.
const DISCARDED_AT_ONCE: usize = 8 * 1024;

/// A socket on loan. Dropping it returns the stream to its [`Lender`].
pub(crate) struct LentSocket<S> {
    /// There until the socket is dropped or taken over.
    stream: Option<S>,
    shared: Arc<Shared<S>>,
    /// There while the stream takes no bytes, with the time-out that it was made for.
    stall: Option<(Pin<Box<Sleep>>, u64)>,
}

/// The owner of a [`LentSocket`].
pub(crate) struct Lender<S>(Arc<Shared<S>>);

struct Shared<S> {
    stall_timeout_ms: AtomicU64,
    moved_bytes: AtomicU64,
    returned: Mutex<Option<Box<S>>>,
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Reads what a peer still sends, and throws it away, until the peer has ended or has sent more than `bytes_max`. A socket that is
/// closed with unread bytes is reset, and an answer on its way with it.
pub(crate) async fn discard(stream: &mut (impl AsyncRead + Unpin), bytes_max: usize) {
    let mut thrown_away = vec![0; DISCARDED_AT_ONCE];
    let mut bytes = 0;
    while let Ok(count @ 1..) = stream.read(&mut thrown_away).await {
        bytes += count;
        if bytes > bytes_max {
            return;
        }
    }
}

/// Lends `stream`. A write fails once the peer has taken no byte for `stall_timeout`, however much it took before.
pub(crate) fn lend<S>(stream: S, stall_timeout: Duration) -> (LentSocket<S>, Lender<S>) {
    let shared = Arc::new(Shared {
        stall_timeout_ms: AtomicU64::new(milliseconds(stall_timeout)),
        moved_bytes: AtomicU64::new(0),
        returned: Mutex::new(None),
    });
    let socket = LentSocket { stream: Some(stream), shared: shared.clone(), stall: None };
    (socket, Lender(shared))
}

impl<S> Lender<S> {
    /// Returns the number of bytes read and written so far.
    pub(crate) fn moved_bytes(&self) -> u64 {
        self.0.moved_bytes.load(Ordering::Relaxed)
    }

    /// Lets the peer take no byte for at most `timeout` from now on. Takes effect when the socket is written to or flushed again.
    pub(crate) fn hurry(&self, timeout: Duration) {
        self.0.stall_timeout_ms.fetch_min(milliseconds(timeout), Ordering::Relaxed);
    }

    /// Takes the stream back. Returns `None` while it is on loan, and after another owner has taken it over.
    pub(crate) fn take(&self) -> Option<Box<S>> {
        self.0.returned.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<S> LentSocket<S> {
    /// Takes the stream over for good: it does not go back to the lender.
    pub(crate) fn into_inner(mut self) -> Option<S> {
        self.stream.take()
    }

    fn count(&self, bytes: usize) {
        self.shared.moved_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts what was written, or fails once nothing was for too long.
    fn watch(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.stall = None;
            self.count(*written.as_ref().unwrap_or(&0));
            return Poll::Ready(written);
        }
        let timeout_ms = self.shared.stall_timeout_ms.load(Ordering::Relaxed);
        if self.stall.as_ref().is_none_or(|(_, made_for_ms)| *made_for_ms != timeout_ms) {
            let sleep = tokio::time::sleep(Duration::from_millis(timeout_ms));
            self.stall = Some((Box::pin(sleep), timeout_ms));
        }
        if let Some((stall, _)) = &mut self.stall {
            ready!(stall.as_mut().poll(context));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S> Drop for LentSocket<S> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            *self.shared.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(stream));
        }
    }
}

impl<S: Unpin> LentSocket<S> {
    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LentSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.stream()?.poll_read(context, buffer);
        self.count(buffer.filled().len() - before);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LentSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write(context, bytes);
        self.watch(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(context, slices);
        self.watch(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    /// Only flushes: the lender shuts the stream down, within a time of its own.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    const STALL: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_peer_that_takes_nothing_for_too_long_ends_the_write_and_a_slow_one_does_not() {
        let (near, mut far) = tokio::io::duplex(16);
        let (mut socket, _lender) = lend(near, Duration::from_millis(300));
        let slow = async {
            let mut piece = [0; 4];
            for _ in 0..16 {
                tokio::time::sleep(Duration::from_millis(30)).await;
                far.read_exact(&mut piece).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(socket.write_all(&[0; 64]), slow);
        written.expect("it was slow, not stuck");
        let error = socket.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_has_less_time_once_its_connection_is_hurried() {
        let (near, _far) = tokio::io::duplex(16);
        let (mut socket, lender) = lend(near, STALL);
        let mut writing = std::pin::pin!(socket.write_all(&[0; 64]));
        tokio::select! {
            _ = &mut writing => panic!("there is no room"),
            () = tokio::task::yield_now() => lender.hurry(Duration::from_millis(10)),
        }
        assert_eq!(writing.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_dropped_socket_goes_back_and_one_that_was_taken_over_does_not() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut socket, lender) = lend(near, STALL);
        socket.write_all(b"hello").await.unwrap();
        let mut read = [0; 5];
        far.read_exact(&mut read).await.unwrap();
        far.write_all(b"abc").await.unwrap();
        socket.read_exact(&mut read[..3]).await.unwrap();
        assert_eq!(lender.moved_bytes(), 8);
        assert!(lender.take().is_none(), "it is on loan");
        socket.shutdown().await.unwrap();
        drop(socket);
        let mut stream = lender.take().expect("it came back");
        stream.write_all(b"open").await.expect("it was not shut down");
        let (socket, lender) = lend(*stream, STALL);
        assert!(socket.into_inner().is_some());
        assert!(lender.take().is_none());
    }
}
