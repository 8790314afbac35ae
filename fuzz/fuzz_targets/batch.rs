//! Bodies of `POST /publish`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanwire_fuzz::batch(bytes));
