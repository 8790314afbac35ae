//! Public keys as certificates write them: SubjectPublicKeyInfo in DER (RFC 5280 §4.1.2.7).
//!
//! `x509-parser` reads the structure. This file tells the three kinds of keys apart. Whether a key is sound is judged by the
//! cryptography that uses it.

use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    P256,
    Ed25519,
}

/// Splits a SubjectPublicKeyInfo into the kind of the key and the key. Returns `None` if it is damaged or of another kind.
pub(super) fn parse(der: &[u8]) -> Option<(Kind, Vec<u8>)> {
    let (rest, info) = SubjectPublicKeyInfo::from_der(der).ok()?;
    let key = &info.subject_public_key;
    if !rest.is_empty() || key.unused_bits != 0 {
        return None;
    }
    let identifier = &info.algorithm.algorithm;
    let curve = || info.algorithm.parameters.as_ref()?.as_oid().ok();
    let kind = if *identifier == OID_PKCS1_RSAENCRYPTION {
        Kind::Rsa
    } else if *identifier == OID_SIG_ED25519 {
        Kind::Ed25519
    } else if *identifier == OID_KEY_TYPE_EC_PUBLIC_KEY && curve()? == OID_EC_P256 {
        Kind::P256
    } else {
        return None;
    };
    Some((kind, key.data.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8410 §10.1.
    const EXAMPLE: [u8; 44] = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0x19, 0xbf, 0x44, 0x09, 0x69,
        0x84, 0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96, 0xc8, 0x50, 0x86, 0xaa, 0x30, 0xb6,
        0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31, 0x66, 0xe1,
    ];

    #[test]
    fn the_example_of_the_rfc_is_read() {
        let (kind, key) = parse(&EXAMPLE).unwrap();
        assert_eq!((kind, key.as_slice()), (Kind::Ed25519, &EXAMPLE[12..]));
    }

    #[test]
    fn damaged_keys_are_none() {
        for end in 0..EXAMPLE.len() {
            assert_eq!(parse(&EXAMPLE[..end]), None, "cut at {end}");
        }
        // The lengths, the identifier and the number of unused bits. The parser does not compare the tags between them.
        for index in [1, 3, 5, 6, 7, 8, 10, 11] {
            let mut damaged = EXAMPLE;
            damaged[index] ^= 0x40;
            assert_eq!(parse(&damaged), None, "damaged at {index}");
        }
        assert_eq!(parse(&[&EXAMPLE[..], b"x"].concat()), None);
    }
}
