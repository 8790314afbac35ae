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
}

#[test]
fn binary_may_be_anything() {
    let mut socket = open("binary");
    for bytes in INVALID {
        socket.send_frame(true, Opcode::BINARY, bytes);
        assert_eq!(socket.read().payload, bytes);
    }
}
