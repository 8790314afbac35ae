//! MessagePack payloads, and what they become in JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanwire_fuzz::msgpack_to_json(bytes));
