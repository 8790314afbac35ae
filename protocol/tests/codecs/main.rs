//! Tests of the codecs from outside: the golden vectors, and properties over generated and damaged frames.

// All of this is a test, also what stands outside a function marked as one.
#![allow(clippy::unwrap_used)]

mod conversion;
mod damage;
mod generate;
mod oracle;
mod rejection;
mod round_trip;
mod vectors;
