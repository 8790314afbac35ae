//! Messages come back as they went, however they are cut; pings are answered.

use fanwire_tests::{Frame, Opcode, WebSocket};

use super::open;

fn check_echo(socket: &mut WebSocket, opcode: Opcode, payload: &[u8]) {
    let frame = socket.read();
    assert_eq!((frame.is_final, frame.opcode, frame.payload.len()), (true, opcode, payload.len()));
    assert!(frame.payload == payload, "{} bytes come back as they went", payload.len());
}

#[test]
fn text_and_binary_of_every_length_come_back_as_they_went() {
    let mut socket = open("lengths");
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, 1 << 20, 16 << 20] {
        let text = "*".repeat(length);
        socket.send_text(&text);
        check_echo(&mut socket, Opcode::TEXT, text.as_bytes());
        let bytes: Vec<u8> = (0..length).map(|index| index as u8).collect();
        socket.send_frame(true, Opcode::BINARY, &bytes);
        check_echo(&mut socket, Opcode::BINARY, &bytes);
    }
}

#[test]
fn a_message_may_arrive_byte_by_byte() {
    let mut socket = open("dribble");
    let text = "slow but steady";
    let mut bytes = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    bytes.extend_from_slice(text.as_bytes());
    for byte in bytes {
        socket.send_raw(&[byte]);
    }
    check_echo(&mut socket, Opcode::TEXT, text.as_bytes());
}

#[test]
fn fragments_are_put_together_with_pings_in_between() {
    let mut socket = open("fragments");
    socket.send_frame(false, Opcode::TEXT, b"one ");
    socket.send_frame(true, Opcode::PING, b"still there?");
    socket.send_frame(false, Opcode::CONTINUATION, b"");
    socket.send_frame(false, Opcode::CONTINUATION, b"two ");
    socket.send_frame(true, Opcode::PONG, b"unsolicited");
    socket.send_frame(true, Opcode::CONTINUATION, b"three");
    check_echo(&mut socket, Opcode::PONG, b"still there?");
    check_echo(&mut socket, Opcode::TEXT, b"one two three");
    for _ in 0..100 {
        socket.send_frame(false, Opcode::BINARY, b"");
        for _ in 0..10 {
            socket.send_frame(false, Opcode::CONTINUATION, &[7]);
        }
        socket.send_frame(true, Opcode::CONTINUATION, &[]);
        check_echo(&mut socket, Opcode::BINARY, &[7; 10]);
    }
}

#[test]
fn pings_are_answered_in_order_and_pongs_are_not() {
    let mut socket = open("pings");
    socket.send_frame(true, Opcode::PING, b"");
    check_echo(&mut socket, Opcode::PONG, b"");
    socket.send_frame(true, Opcode::PONG, b"unsolicited");
    let binary: Vec<u8> = (0..125).map(|index| 255 - index).collect();
    socket.send_frame(true, Opcode::PING, &binary);
    check_echo(&mut socket, Opcode::PONG, &binary);
    for number in 0..10u8 {
        socket.send_frame(true, Opcode::PING, &[number]);
    }
    for number in 0..10u8 {
        check_echo(&mut socket, Opcode::PONG, &[number]);
    }
}

#[test]
fn two_sockets_hear_each_other_and_no_echo_hears_only_the_other() {
    let mut with_echo = open("pair");
    let mut without = open("pair?echo=false");
    without.send_text("from without");
    check_echo(&mut with_echo, Opcode::TEXT, b"from without");
    with_echo.send_text("from with");
    check_echo(&mut with_echo, Opcode::TEXT, b"from with");
    let heard: Frame = without.read();
    assert_eq!(heard.payload, b"from with", "what it sent itself did not come back");
}

#[test]
fn a_long_message_may_come_in_fragments_of_any_size() {
    let mut socket = open("cut.long");
    let payload: Vec<u8> = (0..1u32 << 20).map(|index| b'a' + (index % 26) as u8).collect();
    for opcode in [Opcode::TEXT, Opcode::BINARY] {
        for size in [64, 1_000, 4_096, 65_536, 1 << 19] {
            let mut pieces = payload.chunks(size).peekable();
            let mut kind = opcode;
            while let Some(piece) = pieces.next() {
                socket.send_frame(pieces.peek().is_none(), kind, piece);
                kind = Opcode::CONTINUATION;
            }
            check_echo(&mut socket, opcode, &payload);
        }
    }
}

#[test]
fn a_ping_after_every_fragment_is_answered_before_the_message() {
    let mut socket = open("cut.pings");
    for number in 0..100u8 {
        let opcode = if number == 0 { Opcode::TEXT } else { Opcode::CONTINUATION };
        socket.send_frame(number == 99, opcode, b"piece");
        if number < 99 {
            socket.send_frame(true, Opcode::PING, &[number; 125]);
        }
    }
    for number in 0..99u8 {
        check_echo(&mut socket, Opcode::PONG, &[number; 125]);
    }
    check_echo(&mut socket, Opcode::TEXT, &b"piece".repeat(100));
}

#[test]
fn many_messages_come_back_in_order() {
    let mut socket = open("order");
    for length in [4, 16, 64, 256, 1_024, 4_096] {
        let message = |number: usize| format!("{number:04}").repeat(length / 4);
        for batch in 0..10 {
            for number in batch * 100..(batch + 1) * 100 {
                socket.send_text(&message(number));
            }
            for number in batch * 100..(batch + 1) * 100 {
                check_echo(&mut socket, Opcode::TEXT, message(number).as_bytes());
            }
        }
    }
}

#[test]
fn a_ping_may_arrive_byte_by_byte() {
    let mut socket = open("pings.dribble");
    let payload = [0xfe; 125];
    let mut bytes = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
    bytes.extend_from_slice(&payload);
    for byte in bytes {
        socket.send_raw(&[byte]);
    }
    check_echo(&mut socket, Opcode::PONG, &payload);
}
