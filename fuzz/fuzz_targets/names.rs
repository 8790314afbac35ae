//! Topics and patterns, and whether one matches the other.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanwire_fuzz::names(bytes));
