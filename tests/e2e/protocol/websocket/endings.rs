//! How a connection ends underneath: which codes a close may carry, what cuts a message short, and that TCP is hung up in
//! good order, so that the last word arrives (RFC 6455 §7.1.1).

use std::io::Read;

use fanwire_tests::{Broker, Frame, Opcode, WebSocket};

use super::open;

/// Reads to the close frame and then the bare end of the stream: a reset would be an error here.
fn read_to_clean_end(socket: &mut WebSocket) -> (Option<u16>, Vec<Frame>) {
    let mut before = Vec::new();
    loop {
        let frame = socket.read();
        if frame.opcode == Opcode::CLOSE {
            let mut stream = socket.stream();
            let end = stream.read(&mut [0; 16]).expect("the connection ends without a reset");
            assert_eq!(end, 0, "nothing comes after the close frame");
            return (frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code)), before);
        }
        before.push(frame);
    }
}

#[test]
fn every_code_that_may_be_sent_is_echoed_and_tcp_ends_cleanly() {
    // 1012 and 1013 came after the RFC, through the registry of §11.7; the others are Autobahn's 7.7.
    for code in [1000u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]
    {
        let mut socket = open("codes");
        socket.send_frame(true, Opcode::CLOSE, &code.to_be_bytes());
        assert_eq!(read_to_clean_end(&mut socket), (Some(code), vec![]));
    }
}

#[test]
fn a_code_that_only_stands_for_an_event_is_never_sent() {
    // 1015 is what a program is told of a failed TLS handshake (RFC 6455 §7.4.1).
    let mut socket = open("tls");
    socket.send_frame(true, Opcode::CLOSE, &1015u16.to_be_bytes());
    assert_eq!(read_to_clean_end(&mut socket).0, Some(1002));
}

#[test]
fn the_longest_reason_is_echoed_and_a_longer_one_is_a_protocol_error() {
    let reason = |length: usize| [&1000u16.to_be_bytes()[..], &vec![b'*'; length]].concat();
    let mut socket = open("reason.longest");
    socket.send_frame(true, Opcode::CLOSE, &reason(123));
    let close = socket.read();
    assert_eq!((close.opcode, close.payload), (Opcode::CLOSE, reason(123)));
    let mut socket = open("reason.longer");
    socket.send_frame(true, Opcode::CLOSE, &reason(124));
    assert_eq!(read_to_clean_end(&mut socket).0, Some(1002));
}

#[test]
fn a_close_may_not_come_in_fragments() {
    let mut socket = open("fragmented");
    socket.send_frame(false, Opcode::CLOSE, &1000u16.to_be_bytes());
    assert_eq!(read_to_clean_end(&mut socket).0, Some(1002));
}

#[test]
fn a_close_between_fragments_ends_the_message_unheard() {
    let mut other = open("cut");
    let mut socket = open("cut");
    socket.send_frame(false, Opcode::TEXT, b"fragment 1");
    socket.send_frame(true, Opcode::CLOSE, &1000u16.to_be_bytes());
    socket.send_frame(true, Opcode::CONTINUATION, b"fragment 2");
    assert_eq!(read_to_clean_end(&mut socket), (Some(1000), vec![]));
    other.send_text("only this");
    assert_eq!(other.read().payload, b"only this");
}

#[test]
fn a_second_close_is_not_answered() {
    let mut socket = open("twice");
    socket.send_frame(true, Opcode::CLOSE, &1000u16.to_be_bytes());
    socket.send_frame(true, Opcode::CLOSE, &1001u16.to_be_bytes());
    assert_eq!(read_to_clean_end(&mut socket).0, Some(1000));
}

#[test]
fn the_last_word_arrives_although_much_is_still_unread() {
    for broken in [&b"\xc1\x80\0\0\0\0"[..], b"\x81\x81\0\0\0\0\xff", b"\x83\x80\0\0\0\0"] {
        let mut socket = open("unread");
        // A reset would throw the close frame away, and hanging up with these bytes unread would cause one.
        socket.send_raw(&[broken, &vec![0x5a; 4 << 20]].concat());
        let (code, before) = read_to_clean_end(&mut socket);
        assert!(matches!(code, Some(1002 | 1007)), "{code:?}");
        assert_eq!(before, []);
    }
}

#[test]
fn a_client_that_never_hangs_up_is_not_waited_for() {
    let broker = Broker::with(&["limits.close_timeout=1s"]);
    let mut closed = WebSocket::open(broker.address(), "/topics/a");
    closed.send_frame(true, Opcode::CLOSE, &1000u16.to_be_bytes());
    assert_eq!(closed.read().opcode, Opcode::CLOSE);
    let mut failed = WebSocket::open(broker.address(), "/topics/a");
    failed.send_raw(b"\x83\x80\0\0\0\0");
    assert_eq!(failed.read().opcode, Opcode::CLOSE);
    broker.await_metric("fanwire_connections{transport=\"bare\"}", 0.0);
    assert!(closed.try_read().is_none());
    assert!(failed.try_read().is_none());
}

#[test]
fn a_client_that_hangs_up_without_a_word_is_gone() {
    let broker = Broker::start(&[]);
    for said in [&b""[..], b"\x81", b"\x81\xfe\x01", b"\x01\x81\0\0\0\0a", b"\x88\x82\0\0"] {
        let mut socket = WebSocket::open(broker.address(), "/topics/a");
        broker.await_metric("fanwire_connections{transport=\"bare\"}", 1.0);
        socket.send_raw(said);
        socket.shut_writing();
        broker.await_metric("fanwire_connections{transport=\"bare\"}", 0.0);
        broker.await_metric("fanwire_subscriptions", 0.0);
    }
}
