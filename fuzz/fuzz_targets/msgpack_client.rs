//! Frames of clients in MessagePack.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanwire_fuzz::msgpack_client(bytes));
