//! The tasks of HTTP/2 streams.

/// Runs the streams of an HTTP/2 connection on the thread of the connection. Each stream ends with its connection.
#[derive(Clone, Copy)]
pub(super) struct LocalTasks;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
