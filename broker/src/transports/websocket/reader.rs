//! Reading WebSocket messages without owning a buffer while nothing is being read.
//!
//! tungstenite's sans-I/O `WebSocketContext` does the reading: frames, masks, fragments, UTF-8, control frames. It owns
//! a buffer, which most sessions need only for the instant in which a message arrives. So contexts are kept in a pool:
//! a session borrows one when bytes come and gives it back as soon as it stands between two messages, which this file
//! knows by following the frame headers itself.

use std::cell::RefCell;
use std::io::{self, Cursor, Read, Write};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::OpCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use crate::config::Limits;

/// The buffer of one context, in bytes: what an unfinished frame costs at least.
const READ_BUFFER_BYTES: usize = 4096;

/// A context that has read a frame larger than this keeps a large buffer and is not used again.
const REUSE_FRAME_BYTES_MAX: u64 = 16 * 1024;

/// The longest frame header (RFC 6455 §5.2), in bytes.
const HEADER_BYTES_MAX: usize = 14;

/// How many contexts a worker keeps for use.
const POOL_CONTEXTS_MAX: usize = 16;

/// How many frames are read at one go. What a frame costs hardly depends on its length, so bytes alone bound nothing: 64 KiB may
/// be one frame or ten thousand.
const FRAMES_AT_ONCE_MAX: usize = 512;

/// The contexts of one worker that nobody uses at the moment, and its one buffer for reading from sockets.
pub(crate) struct ReaderPool {
    config: WebSocketConfig,
    fragments_max: usize,
    spare: RefCell<Vec<WebSocketContext>>,
    scratch: RefCell<Vec<u8>>,
}

/// The largest WebSocket message for a given largest payload, in bytes: room for base64 and the frame around it.
pub(crate) fn frame_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max.saturating_add(message_bytes_max / 2).saturating_add(4096)
}

/// How many bytes are read from a socket at once.
const SCRATCH_BYTES: usize = 64 * 1024;

impl ReaderPool {
    /// An empty pool.
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

    /// The worker's one buffer for reading from sockets, to be used and left at once.
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
#[derive(Default)]
pub(crate) struct Reader {
    context: Option<Box<WebSocketContext>>,
    boundary: Boundary,
    put_off: PutOff,
    is_paused: bool,
}

/// What has been given to read and not been read yet, while the reader is paused.
#[derive(Default)]
struct PutOff {
    bytes: Vec<u8>,
    /// How many of `bytes` have been read since.
    read: usize,
    /// How many of those after that the boundary has followed already.
    followed: usize,
}

/// How to go on after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// With the next message.
    Read,
    /// Not before [`Reader::resume`].
    Pause,
    /// Not at all.
    Stop,
}

/// Why there is nothing more to read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadEnd {
    /// The peer has closed, or has broken the protocol.
    #[error(transparent)]
    WebSocket(#[from] Error),
    /// A message came in more pieces than `limits.fragments_per_message_max` allows.
    #[error("the message comes in more fragments than limits.fragments_per_message_max allows")]
    TooManyFragments,
}

/// How far one go at the bytes has come.
enum Progress {
    /// All of them are read.
    All,
    /// So many are not read yet, of which so many have been followed.
    Left { bytes: usize, followed: usize },
    /// Nothing more is to be read.
    Stopped,
}

impl Reader {
    /// Reads `bytes` and calls `visit` with every message in them; what the RFC answers by itself, pongs and the reply to
    /// a close, goes to `answers` first. Of very many frames the rest is put off, so that others get their turn. Must not be
    /// called while the reader is paused.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`] after the peer's close has been answered; others if the peer breaks the protocol or a limit.
    pub(crate) fn read(
        &mut self,
        pool: &ReaderPool,
        bytes: &[u8],
        answers: &mut Vec<u8>,
        visit: impl FnMut(Message, &mut Vec<u8>) -> Next,
    ) -> Result<(), ReadEnd> {
        if let Progress::Left { bytes: left, followed } = self.go_on(pool, bytes, 0, answers, visit)? {
            self.put_off = PutOff { bytes: bytes[bytes.len() - left..].to_vec(), read: 0, followed };
            self.is_paused = true;
        }
        Ok(())
    }

    /// Whether there may be messages left that were put off.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Reads what was put off, as [`Reader::read`] does.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub(crate) fn resume(
        &mut self,
        pool: &ReaderPool,
        answers: &mut Vec<u8>,
        visit: impl FnMut(Message, &mut Vec<u8>) -> Next,
    ) -> Result<(), ReadEnd> {
        let mut put_off = std::mem::take(&mut self.put_off);
        self.is_paused = false;
        let bytes = &put_off.bytes[put_off.read..];
        if let Progress::Left { bytes: left, followed } =
            self.go_on(pool, bytes, put_off.followed, answers, visit)?
        {
            put_off.read = put_off.bytes.len() - left;
            put_off.followed = followed;
            self.put_off = put_off;
            self.is_paused = true;
        }
        Ok(())
    }

    /// Reads what is in `bytes`, of which the boundary has followed the first `followed` already, up to the first pause or to
    /// [`FRAMES_AT_ONCE_MAX`] frames.
    fn go_on(
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

/// What a context reads from and writes to.
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

/// Follows frame headers to know whether a stream stands between two messages.
#[derive(Default)]
struct Boundary {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    payload_left: u64,
    /// How many frames of an unfinished message have begun.
    fragments: usize,
    /// Set once the headers make no sense; the context will say so too.
    is_lost: bool,
    largest_frame: u64,
}

impl Boundary {
    fn is_between_messages(&self) -> bool {
        self.header_bytes == 0 && self.payload_left == 0 && self.fragments == 0 && !self.is_lost
    }

    /// Follows `bytes` through [`FRAMES_AT_ONCE_MAX`] frames at most, and not past a message of more fragments than
    /// `fragments_max`. Returns how far it came.
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
            self.take_header(&mut left);
        }
        bytes.len() - left.len()
    }

    /// Reads a header from what is left of the last read and the beginning of `bytes`, and moves `bytes` past it.
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
                if matches!(header.opcode, OpCode::Data(_)) {
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
mod tests {
    use super::*;

    /// A masked frame as a client sends it; the mask is zero, so that the payload stays readable.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(0x80 | length as u8),
            length => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn pool() -> ReaderPool {
        ReaderPool::new(&Limits::default())
    }

    fn read_all(pool: &ReaderPool, bytes: &[u8], step: usize) -> (Vec<Message>, Vec<u8>, Reader) {
        let (mut reader, mut messages, mut answers) = (Reader::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(step) {
            let keep = |message, _: &mut Vec<u8>| {
                messages.push(message);
                Next::Read
            };
            reader.read(pool, piece, &mut answers, keep).unwrap();
            while reader.is_paused() {
                let keep = |message, _: &mut Vec<u8>| {
                    messages.push(message);
                    Next::Read
                };
                reader.resume(pool, &mut answers, keep).unwrap();
            }
        }
        (messages, answers, reader)
    }

    #[test]
    fn messages_come_out_whole_however_the_bytes_are_cut() {
        let long = vec![b'x'; 10_000];
        let mut bytes = frame(0x81, b"hello");
        bytes.extend(frame(0x01, b"frag"));
        bytes.extend(frame(0x89, b"ping"));
        bytes.extend(frame(0x80, b"ment"));
        bytes.extend(frame(0x82, &long));
        let pool = pool();
        for step in [1, 2, 3, 7, 13, 14, 15, 1000, 100_000] {
            let (messages, answers, reader) = read_all(&pool, &bytes, step);
            let expected = [
                Message::text("hello"),
                Message::Ping(b"ping".as_slice().into()),
                Message::text("fragment"),
                Message::binary(long.clone()),
            ];
            assert_eq!(messages, expected, "step {step}");
            assert_eq!(answers, b"\x8a\x04ping", "step {step}");
            assert!(reader.context.is_none(), "an idle reader owns nothing, step {step}");
        }
    }

    #[test]
    fn a_reader_in_the_middle_of_a_message_keeps_its_context() {
        let pool = pool();
        for unfinished in [&frame(0x81, b"hello")[..3], &frame(0x81, b"hello")[..8], &frame(0x01, b"frag")] {
            let (messages, _, reader) = read_all(&pool, unfinished, 100);
            assert!(messages.is_empty());
            assert!(reader.context.is_some());
        }
    }

    #[test]
    fn a_paused_reader_goes_on_where_it_was() {
        let bytes: Vec<u8> =
            (0..3000u32).flat_map(|number| frame(0x81, number.to_string().as_bytes())).collect();
        let (pool, mut reader, mut answers, mut seen) = (pool(), Reader::default(), Vec::new(), 0u32);
        let mut one = |message: Message, _: &mut Vec<u8>| {
            assert_eq!(message, Message::text(seen.to_string()));
            seen += 1;
            Next::Pause
        };
        reader.read(&pool, &bytes, &mut answers, &mut one).unwrap();
        while reader.is_paused() {
            reader.resume(&pool, &mut answers, &mut one).unwrap();
        }
        assert_eq!(seen, 3000);
        assert!(reader.context.is_none() && reader.put_off.bytes.is_empty());
    }

    #[test]
    fn of_very_many_frames_some_are_read_and_the_rest_is_put_off() {
        let count = 3 * FRAMES_AT_ONCE_MAX + 7;
        let mut bytes: Vec<u8> =
            (1..count).flat_map(|_| [frame(0x80, b""), frame(0x01, b"")].concat()).collect();
        bytes.splice(..0, frame(0x01, b""));
        bytes.extend(frame(0x80, b"end"));
        let (pool, mut reader, mut answers, mut seen) = (pool(), Reader::default(), Vec::new(), 0);
        let mut goes = vec![];
        let mut visit = |_: Message, _: &mut Vec<u8>| {
            seen += 1;
            // A pause for another reason does not lose count.
            if seen % 100 == 99 { Next::Pause } else { Next::Read }
        };
        reader.read(&pool, &bytes, &mut answers, &mut visit).unwrap();
        while reader.is_paused() {
            goes.push(reader.put_off.bytes.len() - reader.put_off.read);
            reader.resume(&pool, &mut answers, &mut visit).unwrap();
        }
        assert_eq!(seen, count);
        assert!(goes.len() >= 2 * count / FRAMES_AT_ONCE_MAX, "{goes:?}");
        assert!(goes.is_sorted_by(|more, less| more >= less), "{goes:?}");
        assert!(reader.context.is_none() && reader.put_off.bytes.is_empty());
    }

    #[test]
    fn a_message_of_too_many_fragments_is_an_error_as_soon_as_that_is_clear() {
        let limits = Limits { fragments_per_message_max: 3, ..Limits::default() };
        let pool = ReaderPool::new(&limits);
        let [first, middle, last] = [frame(0x01, b"a"), frame(0x00, b"b"), frame(0x80, b"c")];
        let three = [first.as_slice(), &middle, &last].concat();
        let allowed = [three.as_slice(), &frame(0x89, b"ping"), &three, &frame(0x81, b"d")].concat();
        for step in [1, 4, 1000] {
            let (messages, _, reader) = read_all(&pool, &allowed, step);
            assert_eq!(messages.len(), 4, "step {step}");
            let (mut reader, mut seen) = (reader, 0);
            let endless = [three.as_slice(), &first, &middle, &middle].concat();
            let result = endless.chunks(step).try_for_each(|piece| {
                reader.read(&pool, piece, &mut Vec::new(), |_, _| {
                    seen += 1;
                    Next::Read
                })
            });
            assert!(matches!(result, Err(ReadEnd::TooManyFragments)), "step {step}");
            assert_eq!(seen, 1, "what came before is handled, step {step}");
        }
    }

    #[test]
    fn the_peers_close_is_answered_and_ends_the_reading() {
        let (mut reader, mut answers, mut seen) = (Reader::default(), Vec::new(), 0);
        let close = frame(0x88, &[3, 232]);
        let result = reader.read(&pool(), &close, &mut answers, |message, _| {
            seen += usize::from(message.is_close());
            Next::Read
        });
        assert!(matches!(result, Err(ReadEnd::WebSocket(Error::ConnectionClosed))));
        assert_eq!((seen, answers.as_slice()), (1, [0x88, 2, 3, 232].as_slice()));
    }

    #[test]
    fn what_breaks_the_protocol_is_an_error_whatever_came_before() {
        for (bytes, what) in [
            (vec![0x81, 5, b'h', b'e', b'l', b'l', b'o'], "unmasked"),
            (frame(0xc1, b"rsv"), "reserved bit"),
            (frame(0x83, b"op"), "reserved opcode"),
            (frame(0x8b, b"op"), "reserved control opcode"),
            (frame(0x09, b"ping"), "fragmented ping"),
            (frame(0x89, &[0; 126]), "long ping"),
            (frame(0x80, b"lost"), "continuation of nothing"),
            (frame(0x81, &[0xff]), "not UTF-8"),
            (vec![0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], "endless length"),
        ] {
            let mut all = frame(0x81, b"fine");
            all.extend(bytes);
            let (mut reader, mut answers, mut seen) = (Reader::default(), Vec::new(), 0);
            let result = reader.read(&pool(), &all, &mut answers, |_, _| {
                seen += 1;
                Next::Read
            });
            assert!(result.is_err(), "{what}");
            assert_eq!(seen, 1, "{what}");
        }
    }
}
