//! What a client is told about a frame that is wrong: the field, and what it must be. And input made to hurt.

use fanwire_protocol::{DecodeError, Payload, json, msgpack};

fn check(text: &str, expected: &str) {
    match json::decode_client(text) {
        Err(DecodeError::Rejected { message, .. }) => assert_eq!(message, expected, "{text}"),
        other => panic!("{text} gave {other:?}"),
    }
}

#[test]
fn messages_name_the_field_and_what_it_must_be() {
    check(r#"{"type":"subscribe"}"#, "`topic` is missing: it must be text");
    check(r#"{"type":"subscribe","topic":1}"#, "`topic` must be text");
    check(
        r#"{"type":"subscribe","topic":"a..b"}"#,
        "`topic`: a topic has no empty level: remove the leading, trailing or doubled '.'",
    );
    check(
        r#"{"type":"subscribe","topic":"a","since":{"epoch":"1","offset":-1}}"#,
        "`since.offset` must be a whole number from 0 to 18446744073709551615, without fraction or exponent",
    );
    check(
        r#"{"type":"publish","topic":"a"}"#,
        "`data` is missing: it must be the payload; binary may go in `data_base64` instead",
    );
    check(
        r#"{"type":"publish","topic":"a","data_base64":"!"}"#,
        "`data_base64` must be standard base64 with padding (RFC 4648 section 4)",
    );
    check(r#"{"type":"publish","topic":"a","data":1,"echo":"no"}"#, "`echo` must be true or false");
    check(r#"{"type":"ping","id":-1}"#, "`id` must be a whole number from 0 to 4294967295");
}

#[test]
fn the_input_is_not_repeated_in_what_is_said_of_it() {
    let secret = "s3cret";
    for text in [
        format!(r#"{{"type":"{secret}"}}"#),
        format!(r#"{{"type":"connect","token":["{secret}"]}}"#),
        format!(r#"{{"type":"subscribe","topic":"a","since":"{secret}"}}"#),
        format!(r#"{{"type":"publish","topic":"{secret} x","data":1}}"#),
        format!(r#""{secret}""#),
    ] {
        let error = json::decode_client(&text).unwrap_err();
        assert!(!error.to_string().contains(secret), "{text}: {error}");
    }
}

#[test]
fn nesting_anywhere_costs_no_stack() {
    const DEEP: usize = 500_000;
    let (open, close) = ("[".repeat(DEEP), "]".repeat(DEEP));
    let ok = |text: String| json::decode_client(&text).unwrap();
    ok(format!(r#"{{"type":"ping","unknown":{open}{close}}}"#));
    ok(format!(r#"{{"type":"ping","token":{open}{close}}}"#));
    for field in ["id", "topic", "since", "data", "type"] {
        let text = format!(r#"{{"type":"subscribe","topic":"a","{field}":{open}{close}}}"#);
        // A `subscribe` has no `data`, so that one is ignored.
        assert_eq!(json::decode_client(&text).is_ok(), field == "data", "{field}");
        let mut bytes = b"\x83\xa4type\xa9subscribe\xa5topic\xa1a".to_vec();
        rmp::encode::write_str(&mut bytes, field).unwrap();
        bytes.extend(vec![0x91; DEEP]);
        bytes.push(0xc0);
        assert_eq!(msgpack::decode_client(&bytes).is_ok(), field == "data", "{field}");
    }
    let objects = format!("{}1{}", r#"{"messages":"#.repeat(DEEP), "}".repeat(DEEP));
    assert!(json::decode_batch(&objects, 1000).is_err());
    assert!(Payload::from_json(&objects).is_err());
}
