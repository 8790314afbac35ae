//! Payloads keep their values when they go from one encoding to the other and back, up to what SPEC says is lost.

use fanwire_protocol::{ClientFrame, Payload, PayloadView, Request, json, msgpack};
use proptest::{prop_assert, prop_assert_eq, proptest};
use serde_json::Value;

use crate::generate;

/// The payload as a MessagePack session receives it.
fn through_msgpack(payload: Payload) -> Payload {
    let mut bytes = Vec::new();
    msgpack::encode_client(&carrier(payload), &mut bytes);
    carried(msgpack::decode_client(&bytes).unwrap())
}

/// The payload as a JSON session receives it.
fn through_json(payload: Payload) -> Payload {
    let mut bytes = Vec::new();
    json::encode_client(&carrier(payload), &mut bytes);
    carried(json::decode_client(std::str::from_utf8(&bytes).unwrap()).unwrap())
}

fn carrier(data: Payload) -> ClientFrame {
    ClientFrame { id: None, request: Request::Call { method: String::new(), data } }
}

fn carried(frame: ClientFrame) -> Payload {
    match frame.request {
        Request::Call { data, .. } => data,
        other => panic!("{other:?}"),
    }
}

fn value_of(payload: &Payload) -> Value {
    match payload.view() {
        PayloadView::Json(text) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?} is no JSON value"),
    }
}

/// What a MessagePack value is in JSON by the rules of SPEC §3, made with an independent reader.
fn expected_json(bytes: &mut &[u8]) -> Value {
    use rmp::Marker;
    use rmp::decode;
    let mut ahead = *bytes;
    let text = |bytes: &mut &[u8], len: usize| {
        let (taken, rest) = bytes.split_at(len);
        *bytes = rest;
        taken.to_vec()
    };
    match decode::read_marker(&mut ahead).unwrap() {
        Marker::Null => {
            *bytes = ahead;
            Value::Null
        }
        Marker::True | Marker::False => decode::read_bool(bytes).unwrap().into(),
        Marker::F32 => decode::read_f32(bytes).unwrap().into(),
        Marker::F64 => decode::read_f64(bytes).unwrap().into(),
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            let len = decode::read_str_len(bytes).unwrap() as usize;
            String::from_utf8(text(bytes, len)).unwrap().into()
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            let len = decode::read_bin_len(bytes).unwrap() as usize;
            base64(&text(bytes, len)).into()
        }
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
            let len = decode::read_array_len(bytes).unwrap();
            (0..len).map(|_| expected_json(bytes)).collect()
        }
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
            let len = decode::read_map_len(bytes).unwrap();
            let pairs = (0..len).map(|_| {
                let key = match expected_json(bytes) {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                (key, expected_json(bytes))
            });
            Value::Object(pairs.collect())
        }
        _ => {
            let number: i128 = match decode::read_int::<u64, _>(&mut &**bytes) {
                Ok(number) => number.into(),
                Err(_) => decode::read_int::<i64, _>(&mut &**bytes).unwrap().into(),
            };
            decode::read_int::<i128, _>(bytes).unwrap();
            u64::try_from(number).map_or_else(|_| Value::from(number as i64), Value::from)
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

proptest! {
    #[test]
    fn json_values_survive_a_msgpack_session(payload in generate::json_payload()) {
        let there = through_msgpack(payload.clone());
        prop_assert!(matches!(there.view(), PayloadView::MessagePack(_)));
        let back = through_json(there);
        prop_assert_eq!(value_of(&back), value_of(&payload));
    }

    #[test]
    fn msgpack_values_become_json_by_the_rules(bytes in generate::msgpack_value()) {
        let payload = Payload::from_msgpack(&bytes).unwrap();
        if let PayloadView::MessagePack(_) = payload.view() {
            let mut rest = bytes.as_slice();
            // Written and read once more, so that what serde_json rounds when it reads floats is the same on both sides.
            let expected = expected_json(&mut rest).to_string();
            let expected: Value = serde_json::from_str(&expected).unwrap();
            prop_assert_eq!(value_of(&through_json(payload.clone())), expected);
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn what_became_json_stays_the_same_from_then_on(bytes in generate::msgpack_value()) {
        let once = through_json(Payload::from_msgpack(&bytes).unwrap());
        let twice = through_json(through_msgpack(once.clone()));
        prop_assert_eq!(once.to_bare(), twice.to_bare());
    }
}
