//! JSON payloads, and what they become in MessagePack.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanwire_fuzz::json_to_msgpack(bytes));
