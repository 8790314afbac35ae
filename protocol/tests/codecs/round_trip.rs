//! Every frame is read back as it was written, in both encodings.

use fanwire_protocol::{ServerFrame, json, msgpack};
use proptest::{prop_assert_eq, proptest};

use crate::generate;

proptest! {
    #[test]
    fn client_frames_survive_json(frame in generate::client_frame(&generate::payload_in_json())) {
        let mut bytes = Vec::new();
        json::encode_client(&frame, &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(json::decode_client(&text), Ok(frame), "{}", text);
    }

    #[test]
    fn client_frames_survive_msgpack(frame in generate::client_frame(&generate::payload_in_msgpack())) {
        let mut bytes = Vec::new();
        msgpack::encode_client(&frame, &mut bytes);
        prop_assert_eq!(msgpack::decode_client(&bytes), Ok(frame), "{:02x?}", bytes);
    }

    #[test]
    fn server_frames_survive_json(frame in generate::server_frame(&generate::payload_in_json())) {
        let mut bytes = Vec::new();
        json::encode_server(&frame, &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(json::decode_server(&text), Ok(frame), "{}", text);
    }

    #[test]
    fn server_frames_survive_msgpack(frame in generate::server_frame(&generate::payload_in_msgpack())) {
        let mut bytes = Vec::new();
        msgpack::encode_server(&frame, &mut bytes);
        prop_assert_eq!(msgpack::decode_server(&bytes), Ok(frame), "{:02x?}", bytes);
    }

    #[test]
    fn an_entry_of_history_is_the_message_without_its_type(message in generate::message(&generate::payload_in_json())) {
        let (mut frame, mut alone, mut entry) = (Vec::new(), Vec::new(), Vec::new());
        json::encode_server(&ServerFrame::Message(message.clone()), &mut frame);
        json::encode_message(&message, &mut alone);
        json::encode_message_entry(&message, &mut entry);
        let frame = String::from_utf8(frame).unwrap();
        prop_assert_eq!(&frame, &String::from_utf8(alone).unwrap());
        prop_assert_eq!(frame.replacen(r#""type":"message","#, "", 1), String::from_utf8(entry).unwrap());
    }

    #[test]
    fn json_frames_are_json_and_are_appended(frame in generate::server_frame(&generate::payload_in_msgpack())) {
        let mut bytes = b"{".to_vec();
        json::encode_server(&frame, &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let parsed = serde_json::from_str::<serde_json::Value>(&text[1..]);
        assert!(parsed.is_ok(), "{text}");
    }
}
