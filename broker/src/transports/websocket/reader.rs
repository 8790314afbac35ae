//! Reads WebSocket messages without owning a buffer between messages.
//!
//! tungstenite's sans-I/O `WebSocketContext` reads frames, masks, fragments, UTF-8 and control frames. It owns a buffer, which a session
//! needs only while a message arrives. Contexts are therefore kept in a pool: a session borrows one when bytes arrive and returns it
//! between two messages. To know where that is, this file follows the frame headers itself. It does not know what a message means.

use std::cell::RefCell;
use std::io::{self, Cursor, Read, Write};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use crate::config::Limits;

/// The buffer of one context, in bytes: what an unfinished frame costs at least.
const READ_BUFFER_BYTES: usize = 4096;

/// A context that has read a frame larger than this keeps a large buffer and is not used again.
const REUSE_FRAME_BYTES_MAX: u64 = 16 * 1024;

/// The longest frame header (RFC 6455 §5.2), in bytes.
const HEADER_BYTES_MAX: usize = 14;

/// The maximum number of unused contexts that a worker keeps.
const POOL_CONTEXTS_MAX: usize = 16;

/// The maximum number of frames that one call reads. The cost of a frame hardly depends on its length, so a bound in bytes is not
/// enough: 64 KiB may hold one frame or ten thousand.
const FRAMES_AT_ONCE_MAX: usize = 512;

/// The unused contexts of one worker, and its one buffer for reading from sockets.
pub(crate) struct ReaderPool {
    config: WebSocketConfig,
    fragments_max: usize,
    spare: RefCell<Vec<WebSocketContext>>,
    scratch: RefCell<Vec<u8>>,
}

/// Returns the largest frame of the protocol for a given largest payload, in bytes: room for base64 and the fields of the frame.
pub(crate) fn frame_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max.saturating_add(message_bytes_max / 2).saturating_add(4096)
}

/// The maximum number of bytes that one read takes from a socket.
const SCRATCH_BYTES: usize = 64 * 1024;

impl ReaderPool {
    /// Creates an empty pool of contexts.
    pub(crate) fn new(limits: &Limits) -> Self {
        let frame_max = Some(frame_bytes_max(limits.message_bytes_max));
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(frame_max)
            .max_frame_size(frame_max);
        Self {
            config,
            fragments_max: limits.fragments_per_message_max,
            spare: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES]),
        }
    }

    /// Returns the worker's one buffer for reading from sockets. A caller must not hold it across calls.
    pub(crate) fn scratch(&self) -> &RefCell<Vec<u8>> {
        &self.scratch
    }

    fn borrow_context(&self) -> Box<WebSocketContext> {
        let spare = self.spare.borrow_mut().pop();
        Box::new(spare.unwrap_or_else(|| WebSocketContext::new(Role::Server, Some(self.config))))
    }

    fn give_back(&self, context: WebSocketContext) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < POOL_CONTEXTS_MAX {
            spare.push(context);
        }
    }
}

/// The reading half of one WebSocket.
pub(crate) struct Reader {
    context: Option<Box<WebSocketContext>>,
    boundary: Boundary,
    backlog: Backlog,
    is_paused: bool,
}

/// Bytes that were given to a reader and are not read yet, while the reader is paused.
#[derive(Default)]
struct Backlog {
    bytes: Vec<u8>,
    /// The number of bytes at the front of `bytes` that have been read since.
    read: usize,
    /// The number of bytes after those that the boundary has followed.
    followed: usize,
}

/// The instruction to a reader after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It reads the next message.
    Read,
    /// It keeps the rest for [`Reader::read_backlog`].
    Pause,
    /// It drops the rest.
    Stop,
}

/// The reason why a reader reads nothing more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadEnd {
    /// The peer has closed, or has broken the protocol.
    #[error(transparent)]
    WebSocket(#[from] Error),
    /// A message has more fragments than `limits.fragments_per_message_max` allows.
    #[error("the message has more fragments than limits.fragments_per_message_max allows")]
    TooManyFragments,
    /// The frame headers announce a message that is larger than the reader's bound.
    #[error("the message is larger than limits.message_bytes_max allows")]
    TooLarge,
}

/// The progress of one call.
enum Progress {
    /// All bytes are read.
    All,
    /// The last `bytes` bytes are not read. The boundary has followed the first `followed` of them.
    Left { bytes: usize, followed: usize },
    /// Nothing more is to be read.
    Stopped,
}

impl Reader {
    /// A reader of messages of at most `message_bytes_max` bytes.
    pub(crate) fn new(message_bytes_max: usize) -> Self {
        let boundary = Boundary { message_bytes_max: message_bytes_max as u64, ..Boundary::default() };
        Self { context: None, boundary, backlog: Backlog::default(), is_paused: false }
    }

    /// Drops an unfinished message and the backlog. Nothing is read after this.
    pub(crate) fn discard(&mut self) {
        (self.context, self.backlog, self.is_paused) = (None, Backlog::default(), false);
    }

    /// Reads `bytes` and calls `visit` with every message in them. Answers that RFC 6455 demands, pongs and the reply to a close,
    /// are appended to `answers` first. If there are very many frames, the rest is kept for [`Reader::read_backlog`], so that the
    /// worker can serve other connections in between. Must not be called while the reader is paused.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`] after the peer's close has been answered; others if the peer breaks the protocol or a limit. A
    /// message beyond a limit is refused as soon as a frame header shows that, not when its payload has arrived.
    pub(crate) fn read(
        &mut self,
        pool: &ReaderPool,
        bytes: &[u8],
        answers: &mut Vec<u8>,
        visit: impl FnMut(Message, &mut Vec<u8>) -> Next,
    ) -> Result<(), ReadEnd> {
        if let Progress::Left { bytes: left, followed } = self.advance(pool, bytes, 0, answers, visit)? {
            self.backlog = Backlog { bytes: bytes[bytes.len() - left..].to_vec(), read: 0, followed };
            self.is_paused = true;
        }
        Ok(())
    }

    /// Returns whether messages may be left in the backlog.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Reads the backlog as [`Reader::read`] does.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub(crate) fn read_backlog(
        &mut self,
        pool: &ReaderPool,
        answers: &mut Vec<u8>,
        visit: impl FnMut(Message, &mut Vec<u8>) -> Next,
    ) -> Result<(), ReadEnd> {
        let mut backlog = std::mem::take(&mut self.backlog);
        self.is_paused = false;
        let bytes = &backlog.bytes[backlog.read..];
        if let Progress::Left { bytes: left, followed } =
            self.advance(pool, bytes, backlog.followed, answers, visit)?
        {
            backlog.read = backlog.bytes.len() - left;
            backlog.followed = followed;
            self.backlog = backlog;
            self.is_paused = true;
        }
        Ok(())
    }

    /// Reads `bytes`, of which the boundary has followed the first `followed`, up to the first pause or to
    /// [`FRAMES_AT_ONCE_MAX`] frames.
    fn advance(
        &mut self,
        pool: &ReaderPool,
        bytes: &[u8],
        followed: usize,
        answers: &mut Vec<u8>,
        mut visit: impl FnMut(Message, &mut Vec<u8>) -> Next,
    ) -> Result<Progress, ReadEnd> {
        let end = followed + self.boundary.follow(&bytes[followed..], pool.fragments_max);
        let mut context = self.context.take().unwrap_or_else(|| pool.borrow_context());
        let mut stream = Stream { input: &bytes[..end], answers };
        loop {
            match context.read(&mut stream) {
                Ok(message) => match visit(message, stream.answers) {
                    Next::Read => {}
                    Next::Pause => {
                        let followed = stream.input.len();
                        self.context = Some(context);
                        return Ok(Progress::Left { bytes: bytes.len() - end + followed, followed });
                    }
                    Next::Stop => return Ok(Progress::Stopped),
                },
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        if self.boundary.fragments >= pool.fragments_max {
            return Err(ReadEnd::TooManyFragments);
        }
        if self.boundary.is_too_large() {
            return Err(ReadEnd::TooLarge);
        }
        if !self.boundary.is_between_messages() {
            self.context = Some(context);
        } else if self.boundary.largest_frame <= REUSE_FRAME_BYTES_MAX {
            pool.give_back(*context);
        }
        self.boundary.largest_frame = 0;
        let left = bytes.len() - end;
        Ok(if left == 0 { Progress::All } else { Progress::Left { bytes: left, followed: 0 } })
    }
}

/// The bytes that a context reads, and the buffer that it writes to.
struct Stream<'a, 'b> {
    input: &'a [u8],
    answers: &'b mut Vec<u8>,
}

impl Read for Stream<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Stream<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Follows frame headers to know whether a stream stands between two messages, and how large the present message is.
#[derive(Default)]
struct Boundary {
    /// The largest message, in bytes.
    message_bytes_max: u64,
    /// The bytes that the frame headers of the present message have announced.
    message_bytes: u64,
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    payload_left: u64,
    /// The number of frames of the present message that have begun, if it has more than one.
    fragments: usize,
    /// Whether a header was invalid. The context reports the error.
    is_lost: bool,
    largest_frame: u64,
}

impl Boundary {
    fn is_between_messages(&self) -> bool {
        self.header_bytes == 0 && self.payload_left == 0 && self.fragments == 0 && !self.is_lost
    }

    fn is_too_large(&self) -> bool {
        self.message_bytes > self.message_bytes_max
    }

    /// Follows `bytes` through at most [`FRAMES_AT_ONCE_MAX`] frames, and not beyond the header that shows that a message is too large
    /// or has more fragments than `fragments_max`. Returns the number of bytes that the context may read.
    fn follow(&mut self, bytes: &[u8], fragments_max: usize) -> usize {
        let mut left = bytes;
        for _ in 0..FRAMES_AT_ONCE_MAX {
            let payload = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(left.len());
            self.payload_left -= payload as u64;
            left = &left[payload..];
            if self.is_lost {
                return bytes.len();
            }
            if left.is_empty() || self.fragments >= fragments_max {
                break;
            }
            let before = left.len();
            self.take_header(&mut left);
            if self.is_too_large() {
                // The context reads what came before the header, which is handled before the connection is closed.
                return bytes.len() - before;
            }
        }
        bytes.len() - left.len()
    }

    /// Reads a header from the rest of the last read and the beginning of `bytes`, and moves `bytes` past it.
    fn take_header(&mut self, bytes: &mut &[u8]) {
        let before = self.header_bytes;
        let more = bytes.len().min(HEADER_BYTES_MAX - before);
        self.header[before..before + more].copy_from_slice(&bytes[..more]);
        let mut cursor = Cursor::new(&self.header[..before + more]);
        match FrameHeader::parse(&mut cursor) {
            Ok(Some((header, length))) => {
                let used = cursor.position() as usize;
                *bytes = &bytes[used - before..];
                self.header_bytes = 0;
                self.payload_left = length;
                self.largest_frame = self.largest_frame.max(length);
                if let OpCode::Data(opcode) = header.opcode {
                    // A data frame that continues nothing begins a message, whatever the frames before it say.
                    let before = if opcode == Data::Continue { self.message_bytes } else { 0 };
                    self.message_bytes = before.saturating_add(length);
                    self.fragments = if header.is_final { 0 } else { self.fragments + 1 };
                }
            }
            Ok(None) => {
                self.header_bytes = before + more;
                *bytes = &[];
            }
            Err(_) => self.is_lost = true,
        }
    }
}

#[cfg(test)]
mod tests;
