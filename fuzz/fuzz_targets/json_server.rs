//! Frames of the broker in JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanwire_fuzz::json_server(bytes));
