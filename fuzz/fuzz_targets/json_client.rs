//! Frames of clients in JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanwire_fuzz::json_client(bytes));
