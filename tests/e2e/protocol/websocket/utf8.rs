//! Text is UTF-8 or the connection fails (RFC 6455 §8.1), as soon as that is certain.

use fanwire_tests::Opcode;

use super::open;

/// What every implementation has to refuse, from Markus Kuhn's stress test: lone continuations, overlong forms, surrogates,
/// beyond the last code point, impossible bytes.
const INVALID: [&[u8]; 14] = [
    b"\x80",
    b"\xbf",
    b"\xc3",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
];

/// What every implementation has to take.
const VALID: [&str; 8] = [
    "",
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\u{0}",
    "\u{7f}\u{80}",
    "\u{7ff}\u{800}",
    "\u{ffff}\u{10000}",
    "\u{10ffff}",
];

#[test]
fn valid_text_comes_back_however_it_is_cut() {
    let mut socket = open("valid");
    for text in VALID {
        socket.send_text(text);
        assert_eq!(socket.read().payload, text.as_bytes());
        for cut in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            socket.send_frame(false, Opcode::TEXT, first);
            socket.send_frame(true, Opcode::CONTINUATION, second);
            assert_eq!(socket.read().payload, text.as_bytes(), "cut at {cut}");
        }
    }
}

#[test]
fn invalid_text_fails_the_connection_with_1007() {
    for bytes in INVALID {
        let mut socket = open("invalid");
        socket.send_frame(true, Opcode::TEXT, bytes);
        assert_eq!(socket.read_to_close().0, Some(1007), "{bytes:?}");
    }
}

#[test]
fn invalid_text_fails_fast_before_the_message_ends() {
    let mut socket = open("fast");
    socket.send_frame(false, Opcode::TEXT, b"fine so far ");
    socket.send_frame(false, Opcode::CONTINUATION, b"and not any more \xed\xa0\x80");
    let (code, before) = socket.read_to_close();
    assert_eq!((code, before.len()), (Some(1007), 0));
    for bytes in INVALID.into_iter().filter(|bytes| !is_unfinished(bytes)) {
        let mut socket = open("fast");
        socket.send_frame(false, Opcode::TEXT, bytes);
        assert_eq!(socket.read_to_close().0, Some(1007), "{bytes:?} in the first fragment");
    }
}

/// Whether more bytes could still make a character of these.
fn is_unfinished(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[test]
fn a_character_left_unfinished_fails_when_the_message_ends() {
    for unfinished in [&b"\xc3"[..], b"\xce\xba\xe1\xbd", b"\xf4\x8f\xbf"] {
        let mut socket = open("unfinished");
        socket.send_frame(false, Opcode::TEXT, unfinished);
        socket.send_frame(true, Opcode::PING, b"still open");
        assert_eq!(socket.read().opcode, Opcode::PONG, "it could become a character");
        socket.send_frame(true, Opcode::CONTINUATION, b"");
        assert_eq!(socket.read_to_close().0, Some(1007), "{unfinished:?}");
    }
}

#[test]
fn a_frame_of_bad_text_fails_whatever_pieces_it_arrives_in() {
    let text = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited";
    let frame = [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], &text[..]].concat();
    for cut in [6, 7, 17, 18, 19, frame.len() - 1] {
        let mut socket = open("pieces");
        socket.send_raw(&frame[..cut]);
        socket.send_raw(&frame[cut..]);
        assert_eq!(socket.read_to_close().0, Some(1007), "cut at {cut}");
    }
}

#[test]
fn binary_may_be_anything() {
    let mut socket = open("binary");
    for bytes in INVALID {
        socket.send_frame(true, Opcode::BINARY, bytes);
        assert_eq!(socket.read().payload, bytes);
    }
}
