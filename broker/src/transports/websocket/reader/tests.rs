//! What a reader makes of the bytes of a WebSocket.

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

/// A reader whose bound is that of the default configuration.
fn reader() -> Reader {
    Reader::new(frame_bytes_max(Limits::default().message_bytes_max))
}

fn read_all(pool: &ReaderPool, bytes: &[u8], step: usize) -> (Vec<Message>, Vec<u8>, Reader) {
    let (mut reader, mut messages, mut answers) = (reader(), Vec::new(), Vec::new());
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
            reader.read_backlog(pool, &mut answers, keep).unwrap();
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
fn a_paused_reader_continues_where_it_was() {
    let bytes: Vec<u8> = (0..3000u32).flat_map(|number| frame(0x81, number.to_string().as_bytes())).collect();
    let (pool, mut reader, mut answers, mut seen) = (pool(), reader(), Vec::new(), 0u32);
    let mut one = |message: Message, _: &mut Vec<u8>| {
        assert_eq!(message, Message::text(seen.to_string()));
        seen += 1;
        Next::Pause
    };
    reader.read(&pool, &bytes, &mut answers, &mut one).unwrap();
    while reader.is_paused() {
        reader.read_backlog(&pool, &mut answers, &mut one).unwrap();
    }
    assert_eq!(seen, 3000);
    assert!(reader.context.is_none() && reader.backlog.bytes.is_empty());
}

#[test]
fn of_very_many_frames_some_are_read_and_the_rest_is_backlog() {
    let count = 3 * FRAMES_AT_ONCE_MAX + 7;
    let mut bytes: Vec<u8> = (1..count).flat_map(|_| [frame(0x80, b""), frame(0x01, b"")].concat()).collect();
    bytes.splice(..0, frame(0x01, b""));
    bytes.extend(frame(0x80, b"end"));
    let (pool, mut reader, mut answers, mut seen) = (pool(), reader(), Vec::new(), 0);
    let mut goes = vec![];
    let mut visit = |_: Message, _: &mut Vec<u8>| {
        seen += 1;
        // A pause for another reason does not lose count.
        if seen % 100 == 99 { Next::Pause } else { Next::Read }
    };
    reader.read(&pool, &bytes, &mut answers, &mut visit).unwrap();
    while reader.is_paused() {
        goes.push(reader.backlog.bytes.len() - reader.backlog.read);
        reader.read_backlog(&pool, &mut answers, &mut visit).unwrap();
    }
    assert_eq!(seen, count);
    assert!(goes.len() >= 2 * count / FRAMES_AT_ONCE_MAX, "{goes:?}");
    assert!(goes.is_sorted_by(|more, less| more >= less), "{goes:?}");
    assert!(reader.context.is_none() && reader.backlog.bytes.is_empty());
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
    let (mut reader, mut answers, mut seen) = (reader(), Vec::new(), 0);
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
        let (mut reader, mut answers, mut seen) = (reader(), Vec::new(), 0);
        let result = reader.read(&pool(), &all, &mut answers, |_, _| {
            seen += 1;
            Next::Read
        });
        assert!(result.is_err(), "{what}");
        assert_eq!(seen, 1, "{what}");
    }
}

#[test]
fn a_message_that_is_too_large_is_refused_when_its_header_has_arrived() {
    let pool = pool();
    let header = |first: u8, length: u16| {
        let [high, low] = length.to_be_bytes();
        vec![first, 0x80 | 126, high, low, 0, 0, 0, 0]
    };
    let [in_one, begun, more] = [header(0x82, 1001), header(0x02, 600), header(0x80, 401)];
    let half = [begun.as_slice(), &[b'x'; 600]].concat();
    for (what, bytes) in [("one frame", in_one), ("fragments", [half, more].concat())] {
        for step in [1, 3, 10_000] {
            let all = [frame(0x81, b"fine"), frame(0x82, &[b'y'; 1000]), bytes.clone()].concat();
            let (mut reader, mut seen) = (Reader::new(1000), 0);
            let result = all.chunks(step).try_for_each(|piece| {
                reader.read(&pool, piece, &mut Vec::new(), |_, _| {
                    seen += 1;
                    Next::Read
                })
            });
            assert!(matches!(result, Err(ReadEnd::TooLarge)), "{what}, step {step}");
            assert_eq!(seen, 2, "{what}: messages before it are handled, step {step}");
        }
    }
}
