//! Whatever bytes arrive, the decoders answer; and what they accept can be written and read again.

use fanwire_protocol::{DecodeError, Payload, json, msgpack};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::Index;
use proptest::{prop_assert, prop_assert_eq, proptest};

use crate::generate;

/// One way to damage a frame.
#[derive(Debug, Clone)]
enum Damage {
    Set(Index, u8),
    Cut(Index),
    Repeat(Index, Index),
    Remove(Index),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one =
        (any::<u8>(), any::<Index>(), any::<Index>(), any::<u8>()).prop_map(|(kind, first, second, byte)| {
            match kind % 8 {
                0 => Damage::Cut(first),
                1 => Damage::Repeat(first, second),
                2 | 3 => Damage::Remove(first),
                _ => Damage::Set(first, byte),
            }
        });
    vec(one, 1..4)
}

fn apply(damage: &[Damage], bytes: &mut Vec<u8>) {
    for damage in damage {
        let len = bytes.len();
        if len == 0 {
            return;
        }
        match damage {
            Damage::Set(at, byte) => bytes[at.index(len)] = *byte,
            Damage::Cut(at) => bytes.truncate(at.index(len)),
            Damage::Remove(at) => drop(bytes.remove(at.index(len))),
            Damage::Repeat(first, second) => {
                let [first, second] = [first, second].map(|at| at.index(len));
                bytes.extend_from_within(first.min(second)..first.max(second));
            }
        }
    }
}

/// Reads `bytes` with every decoder, and again what each of them took for a frame.
fn read_with_all(bytes: &[u8]) {
    if let Ok(frame) = msgpack::decode_client(bytes) {
        let mut out = Vec::new();
        msgpack::encode_client(&frame, &mut out);
        assert_eq!(msgpack::decode_client(&out), Ok(frame));
    }
    if let Ok(frame) = msgpack::decode_server(bytes) {
        let mut out = Vec::new();
        msgpack::encode_server(&frame, &mut out);
        assert_eq!(msgpack::decode_server(&out), Ok(frame));
    }
    if let Ok(payload) = Payload::from_msgpack(bytes) {
        assert!(std::str::from_utf8(&payload.to_bare()).is_ok() || payload.is_binary());
    }
    let text = &String::from_utf8_lossy(bytes);
    if let Ok(frame) = json::decode_client(text) {
        let mut out = Vec::new();
        json::encode_client(&frame, &mut out);
        assert_eq!(json::decode_client(std::str::from_utf8(&out).unwrap()), Ok(frame));
    }
    if let Ok(frame) = json::decode_server(text) {
        let mut out = Vec::new();
        json::encode_server(&frame, &mut out);
        assert_eq!(json::decode_server(std::str::from_utf8(&out).unwrap()), Ok(frame));
    }
    // Reading is what is tested: any answer will do, as long as there is one.
    let _ = json::decode_batch(text, 1000);
    let _ = Payload::from_json(text);
}

proptest! {
    #[test]
    fn random_bytes_are_answered(bytes in vec(any::<u8>(), 0..200)) {
        read_with_all(&bytes);
    }

    #[test]
    fn random_maps_are_answered(bytes in vec(generate::msgpack_value(), 2..4)) {
        let mut map = vec![0x80 | (bytes.len() as u8 / 2 + 1)];
        map.extend_from_slice(b"\xa4type\xa7publish");
        map.extend(bytes.concat());
        read_with_all(&map);
    }

    #[test]
    fn damaged_client_frames_are_answered(
        frame in generate::client_frame(&generate::payload_in_msgpack()),
        damage in damage(),
    ) {
        let (mut text, mut bytes) = (Vec::new(), Vec::new());
        json::encode_client(&frame, &mut text);
        msgpack::encode_client(&frame, &mut bytes);
        for mut bytes in [text, bytes] {
            apply(&damage, &mut bytes);
            read_with_all(&bytes);
        }
    }

    #[test]
    fn damaged_server_frames_are_answered(
        frame in generate::server_frame(&generate::payload_in_msgpack()),
        damage in damage(),
    ) {
        let (mut text, mut bytes) = (Vec::new(), Vec::new());
        json::encode_server(&frame, &mut text);
        msgpack::encode_server(&frame, &mut bytes);
        for mut bytes in [text, bytes] {
            apply(&damage, &mut bytes);
            read_with_all(&bytes);
        }
    }

    #[test]
    fn every_beginning_of_a_frame_is_unreadable(frame in generate::client_frame(&generate::payload_in_msgpack())) {
        let mut bytes = Vec::new();
        msgpack::encode_client(&frame, &mut bytes);
        for len in 0..bytes.len() {
            prop_assert!(matches!(msgpack::decode_client(&bytes[..len]), Err(DecodeError::Unreadable(_))));
        }
    }

    #[test]
    fn cursors_and_names_are_parsed_or_refused(text in any::<String>(), cursor in generate::cursor()) {
        let _ = text.parse::<fanwire_protocol::Cursor>();
        let _ = text.parse::<fanwire_protocol::Pattern>();
        prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}
