//! Our MessagePack against an independent reader and writer: `rmp-serde`.

use std::collections::BTreeMap;

use fanwire_protocol::{ClientFrame, Payload, json, msgpack};
use proptest::strategy::Strategy;
use proptest::{prop_assert_eq, proptest};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::generate;

/// Any MessagePack value without ext, as serde sees it.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Nil,
    Boolean(bool),
    Integer(i128),
    Float(Nearly),
    Text(String),
    Binary(Vec<u8>),
    Array(Vec<Seen>),
    Map(Vec<(Seen, Seen)>),
}

/// A float, equal to its neighbours: serde_json reads a float from text with an error in the last bits.
#[derive(Debug, Clone)]
struct Nearly(f64);

impl PartialEq for Nearly {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || (self.0 - other.0).abs() <= self.0.abs() * 8.0 * f64::EPSILON
    }
}

struct SeenVisitor;

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SeenVisitor)
    }
}

impl<'de> Visitor<'de> for SeenVisitor {
    type Value = Seen;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a MessagePack value")
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Nil)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Seen, E> {
        Ok(Seen::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Seen, E> {
        Ok(Seen::Integer(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Seen, E> {
        Ok(Seen::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Seen, E> {
        Ok(Seen::Float(Nearly(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Seen, E> {
        Ok(Seen::Text(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Seen, E> {
        Ok(Seen::Binary(value.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Seen, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Seen::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Seen, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Seen::Map(map))
    }
}

proptest! {
    #[test]
    fn frames_in_both_encodings_are_the_same_to_an_independent_reader(
        frame in generate::server_frame(&generate::json_value().prop_filter_map("a string is text", |value| {
            (!value.is_string()).then(|| Payload::from_json(&value.to_string()).expect("valid JSON"))
        }).boxed())
    ) {
        let (mut text, mut bytes) = (Vec::new(), Vec::new());
        json::encode_server(&frame, &mut text);
        msgpack::encode_server(&frame, &mut bytes);
        let expected = serde_json::from_slice::<Seen>(&text).expect("JSON");
        prop_assert_eq!(rmp_serde::from_slice::<Seen>(&bytes).expect("MessagePack"), expected);
    }

    #[test]
    fn frames_of_an_independent_writer_are_read(value in generate::json_value()) {
        let payload = Payload::from_json(&value.to_string()).expect("valid JSON");
        let frame = BTreeMap::from([
            ("type", Value::from("publish")),
            ("topic", Value::from("a.b")),
            ("data", value.clone()),
        ]);
        let bytes = rmp_serde::to_vec_named(&frame).expect("a map of values");
        let read = msgpack::decode_client(&bytes).expect("a publish frame");
        let ClientFrame { request: fanwire_protocol::Request::Publish { payload: seen, .. }, .. } = read else {
            panic!("not a publish");
        };
        let (mut one, mut other) = (Vec::new(), Vec::new());
        write(&payload, &mut one);
        write(&seen, &mut other);
        prop_assert_eq!(
            rmp_serde::from_slice::<Seen>(&one).expect("MessagePack"),
            rmp_serde::from_slice::<Seen>(&other).expect("MessagePack")
        );
    }
}

/// Writes the payload as a MessagePack frame has it.
fn write(payload: &Payload, out: &mut Vec<u8>) {
    let request = fanwire_protocol::Request::Call { method: "m".to_owned(), data: payload.clone() };
    msgpack::encode_client(&ClientFrame { id: None, request }, out);
}

#[test]
fn a_typed_binary_field_is_bin() {
    #[derive(Serialize)]
    struct Picture<'a> {
        #[serde(with = "bytes")]
        data: &'a [u8],
    }
    mod bytes {
        pub(super) fn serialize<S: serde::Serializer>(bytes: &&[u8], to: S) -> Result<S::Ok, S::Error> {
            to.serialize_bytes(bytes)
        }
    }
    let payload = Payload::msgpack_of(&Picture { data: &[1, 2] }).expect("a payload");
    assert_eq!(payload.to_bare(), br#"{"data":"AQI="}"#.as_slice());
}
