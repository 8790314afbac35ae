//! Close handshakes (RFC 6455 §7), and everything that ends a connection at once.

use fanwire_tests::Opcode;

use super::open;

fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

#[test]
fn a_close_is_answered_with_the_same_code_and_the_connection_ends() {
    for (payload, code) in [
        (vec![], None),
        (close_payload(1000, b""), Some(1000)),
        (close_payload(1000, b"done for today"), Some(1000)),
        (close_payload(1001, b""), Some(1001)),
        (close_payload(1011, "ä".repeat(61).as_bytes()), Some(1011)),
        (close_payload(3000, b""), Some(3000)),
        (close_payload(3999, b""), Some(3999)),
        (close_payload(4000, b""), Some(4000)),
        (close_payload(4999, b""), Some(4999)),
    ] {
        let mut socket = open("close");
        socket.send_frame(true, Opcode::CLOSE, &payload);
        let (got, before) = socket.read_to_close();
        assert_eq!((got, before.len()), (code, 0), "{payload:?}");
    }
}

#[test]
#[cfg_attr(feature = "stepped-archive", ignore = "is about topics in memory")]
fn what_was_sent_before_a_close_is_echoed_before_its_answer() {
    for code in [1000, 1001, 4999] {
        let mut socket = open("last");
        socket.send_text("last words");
        socket.send_frame(true, Opcode::CLOSE, &close_payload(code, b""));
        let (got, before) = socket.read_to_close();
        assert_eq!((got, before.len()), (Some(code), 1));
    }
}

#[test]
fn a_close_that_breaks_the_rules_is_a_protocol_error() {
    for payload in [
        vec![3],
        close_payload(0, b""),
        close_payload(999, b""),
        close_payload(1004, b""),
        close_payload(1005, b""),
        close_payload(1006, b""),
        close_payload(1016, b""),
        close_payload(1100, b""),
        close_payload(2000, b""),
        close_payload(2999, b""),
        close_payload(5000, b""),
        close_payload(65_535, b""),
    ] {
        let mut socket = open("badclose");
        socket.send_frame(true, Opcode::CLOSE, &payload);
        assert_eq!(socket.read_to_close().0, Some(1002), "{payload:?}");
    }
}

#[test]
fn a_close_reason_that_is_not_utf8_fails_the_connection() {
    let mut socket = open("reason");
    socket.send_frame(true, Opcode::CLOSE, &close_payload(1000, b"\xed\xa0\x80"));
    let code = socket.read_to_close().0;
    assert!(matches!(code, Some(1002 | 1007)), "{code:?}");
}

#[test]
fn nothing_after_a_close_is_taken_notice_of() {
    let mut other = open("after");
    let mut socket = open("after");
    socket.send_frame(true, Opcode::CLOSE, &close_payload(1000, b""));
    socket.send_text("too late");
    socket.send_frame(true, Opcode::PING, b"too late");
    let (code, before) = socket.read_to_close();
    assert_eq!((code, before.len()), (Some(1000), 0));
    other.send_text("in time");
    assert_eq!(other.read().payload, b"in time");
}

#[test]
fn frames_that_break_the_rules_fail_the_connection_with_1002() {
    let long = [&[0x89, 0x80 | 126, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat();
    let cases: [(&str, &[u8]); 12] = [
        ("an unmasked frame", b"\x81\x05hello"),
        ("reserved bit 1", b"\xc1\x80\0\0\0\0"),
        ("reserved bit 2", b"\xa1\x80\0\0\0\0"),
        ("reserved bit 3", b"\x91\x80\0\0\0\0"),
        ("reserved bits on a ping", b"\xd9\x80\0\0\0\0"),
        ("a reserved data opcode", b"\x83\x80\0\0\0\0"),
        ("a reserved control opcode", b"\x8b\x80\0\0\0\0"),
        ("a fragmented ping", b"\x09\x80\0\0\0\0"),
        ("a ping of 126 bytes", &long),
        ("a continuation of nothing", b"\x80\x80\0\0\0\0"),
        ("an unfinished continuation of nothing", b"\x00\x80\0\0\0\0"),
        ("a new message within a fragmented one", b"\x01\x81\0\0\0\0a\x81\x81\0\0\0\0b"),
    ];
    for (what, bytes) in cases {
        let mut socket = open("broken");
        socket.send_text("fine");
        assert_eq!(socket.read().payload, b"fine");
        socket.send_raw(bytes);
        let (code, before) = socket.read_to_close();
        assert_eq!((code, before.len()), (Some(1002), 0), "{what}");
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_it_arrives() {
    for length in [[0, 0, 0, 0, 0x10, 0, 0, 0], [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0xff; 8]] {
        let mut socket = open("length");
        socket.send_raw(&[&[0x82, 0xff][..], &length, &[0; 4], b"only the beginning"].concat());
        let code = socket.read_to_close().0;
        assert!(matches!(code, Some(1002 | 1009)), "{length:?}: {code:?}");
    }
}
