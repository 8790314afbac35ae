//! Public keys as certificates write them: SubjectPublicKeyInfo in DER (RFC 5280 §4.1.2.7).
//!
//! Only as much of DER is read as it takes to tell the three kinds of keys apart and to cut out the key itself; whether that
//! is a sound key is judged by the cryptography.

/// rsaEncryption, 1.2.840.113549.1.1.1 (RFC 8017 appendix A.1).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// id-ecPublicKey, 1.2.840.10045.2.1 (RFC 5480 §2.1.1).
const ELLIPTIC_CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// secp256r1, which is P-256, 1.2.840.10045.3.1.7 (RFC 5480 §2.1.1.1).
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// id-Ed25519, 1.3.101.112 (RFC 8410 §3).
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BIT_STRING: u8 = 0x03;

/// The kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    P256,
    Ed25519,
}

/// Splits a SubjectPublicKeyInfo into the kind of the key and the key; `None` if it is damaged or of another kind.
pub(super) fn parse(der: &[u8]) -> Option<(Kind, &[u8])> {
    let (info, rest) = element(SEQUENCE, der)?;
    let (algorithm, after) = element(SEQUENCE, info)?;
    let (key, end) = element(BIT_STRING, after)?;
    let (identifier, parameters) = element(OBJECT_IDENTIFIER, algorithm)?;
    let (unused_bits, key) = key.split_first()?;
    if *unused_bits != 0 || !rest.is_empty() || !end.is_empty() {
        return None;
    }
    let kind = match identifier {
        RSA => Kind::Rsa,
        ED25519 => Kind::Ed25519,
        ELLIPTIC_CURVE if element(OBJECT_IDENTIFIER, parameters)?.0 == P256 => Kind::P256,
        _ => return None,
    };
    Some((kind, key))
}

/// Splits `bytes` into the content of the element with this tag at their beginning, and what comes after it.
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    if head[0] != tag {
        return None;
    }
    let (length, rest) = match head[1] {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        // A longer key than 64 KiB is none.
        _ => return None,
    };
    rest.split_at_checked(length)
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
        assert_eq!((kind, key), (Kind::Ed25519, &EXAMPLE[12..]));
    }

    #[test]
    fn damaged_keys_are_none() {
        for end in 0..EXAMPLE.len() {
            assert_eq!(parse(&EXAMPLE[..end]), None, "cut at {end}");
        }
        for index in 0..12 {
            let mut damaged = EXAMPLE;
            damaged[index] ^= 0x40;
            assert_eq!(parse(&damaged), None, "damaged at {index}");
        }
        assert_eq!(parse(&[&EXAMPLE[..], b"x"].concat()), None);
    }
}
