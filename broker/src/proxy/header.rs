//! The header of the PROXY protocol, versions 1 and 2, as HAProxy specifies it (doc/proxy-protocol.txt).
//!
//! The header is read piece by piece, so that no byte after it is consumed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The maximum length of a header in bytes. Version 2 allows more, which the broker does not need.
const HEADER_BYTES_MAX: usize = 4096;

/// The first bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The number of bytes of version 2 up to and including its length.
const PREAMBLE_BYTES: usize = 16;

/// The length of the shortest header, `PROXY UNKNOWN` and the end of its line.
const SHORTEST_BYTES: usize = 15;

/// The maximum length of a header of version 1.
const LINE_BYTES_MAX: usize = 107;

/// The progress of reading a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The header has at least this many bytes more.
    Needs(usize),
    /// The header is complete. The address is that of the client, or `None` if the proxy connects on its own behalf.
    Whole(Option<IpAddr>),
}

/// Reads the bytes of a header that have arrived.
///
/// # Errors
/// If they are not a header.
pub(crate) fn read(bytes: &[u8]) -> Result<Progress, &'static str> {
    let is_second = bytes.iter().zip(SIGNATURE).all(|(byte, expected)| byte == expected);
    let is_first = bytes.iter().zip(b"PROXY ").all(|(byte, expected)| byte == expected);
    match (bytes.len(), is_first, is_second) {
        (_, false, false) => Err("no header of the PROXY protocol"),
        (count @ ..SHORTEST_BYTES, _, _) => Ok(Progress::Needs(SHORTEST_BYTES - count)),
        (_, true, _) => read_line(bytes),
        (_, false, true) => read_binary(bytes),
    }
}

fn read_line(bytes: &[u8]) -> Result<Progress, &'static str> {
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        return if bytes.len() < LINE_BYTES_MAX {
            Ok(Progress::Needs(1))
        } else {
            Err("a PROXY line without end")
        };
    };
    let line = std::str::from_utf8(line).map_err(|_| "a PROXY line that is no text")?;
    let words: Vec<&str> = line.split(' ').collect();
    let address = match words[..] {
        ["PROXY", "UNKNOWN", ..] => return Ok(Progress::Whole(None)),
        ["PROXY", "TCP4", source, _, _, _] => source.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        ["PROXY", "TCP6", source, _, _, _] => source.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    address.map(|address| Progress::Whole(Some(address))).ok_or("a PROXY line that names no address")
}

fn read_binary(bytes: &[u8]) -> Result<Progress, &'static str> {
    let Some((preamble, body)) = bytes.split_at_checked(PREAMBLE_BYTES) else {
        return Ok(Progress::Needs(PREAMBLE_BYTES - bytes.len()));
    };
    let length = usize::from(u16::from_be_bytes([preamble[14], preamble[15]]));
    if PREAMBLE_BYTES + length > HEADER_BYTES_MAX {
        return Err("a PROXY header that is too long");
    }
    if body.len() < length {
        return Ok(Progress::Needs(length - body.len()));
    }
    match (preamble[12], preamble[13]) {
        // The proxy connects on its own behalf, for health checks.
        (0x20, _) => Ok(Progress::Whole(None)),
        (0x21, 0x11) if length >= 12 => {
            let source: Option<&[u8; 4]> = body.first_chunk();
            Ok(Progress::Whole(source.map(|octets| Ipv4Addr::from(*octets).into())))
        }
        (0x21, 0x21) if length >= 36 => {
            let source: Option<&[u8; 16]> = body.first_chunk();
            Ok(Progress::Whole(source.map(|octets| Ipv6Addr::from(*octets).into())))
        }
        (0x21, 0x00) => Ok(Progress::Whole(None)),
        _ => Err("a PROXY header that speaks of no TCP connection"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as a connection would, `Needs` by `Needs`. Returns the address and how many bytes were taken.
    fn read_all(bytes: &[u8]) -> Result<(Option<IpAddr>, usize), &'static str> {
        let mut count = 0;
        loop {
            match read(&bytes[..count])? {
                Progress::Whole(address) => return Ok((address, count)),
                Progress::Needs(more) => count += more,
            }
            if count > bytes.len() {
                return Err("it wants more");
            }
        }
    }

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16).to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, body].concat()
    }

    #[test]
    fn both_versions_name_the_client_and_take_no_byte_more() {
        let v4 = binary(0x21, 0x11, &[203, 0, 113, 7, 10, 0, 0, 1, 1, 2, 3, 4]);
        let mut v6_body = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets().to_vec();
        v6_body.resize(36 + 9, 1);
        let v6 = binary(0x21, 0x21, &v6_body);
        for (header, expected) in [
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 7400\r\n".to_vec(), Some("203.0.113.7")),
            (b"PROXY TCP6 2001:db8::1 fd00::1 4711 7400\r\n".to_vec(), Some("2001:db8::1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN whatever stands here\r\n".to_vec(), None),
            (v4, Some("203.0.113.7")),
            (v6, Some("2001:db8::1")),
            (binary(0x20, 0, &[]), None),
            (binary(0x21, 0, &[1, 2, 3]), None),
        ] {
            let followed = [header.as_slice(), b"GET / HTTP/1.1\r\n\r\n"].concat();
            let expected = expected.map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(read_all(&followed), Ok((expected, header.len())), "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_that_is_clear() {
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        for bad in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"PROXY".iter().copied().chain(*b"ED FOR NO ONE AT ALL\r\n").collect(),
            b"PROXY TCP4 203.0.113.7 10.0.0.1 4711\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 fd00::1 4711 7400\r\n".to_vec(),
            b"PROXY TCP4  203.0.113.7 10.0.0.1 4711 7400\r\n".to_vec(),
            b"PROXY TCP5 203.0.113.7 10.0.0.1 4711 7400\r\n".to_vec(),
            endless,
            binary(0x31, 0x11, &[0; 12]),
            binary(0x22, 0x11, &[0; 12]),
            binary(0x21, 0x11, &[0; 11]),
            binary(0x21, 0x12, &[0; 12]),
            binary(0x21, 0x21, &[0; 12]),
            binary(0x21, 0x11, &[0; HEADER_BYTES_MAX]),
        ] {
            let read = read_all(&bad);
            assert!(read.is_err_and(|reason| reason != "it wants more"), "{bad:?}");
        }
        assert!(read(b"X").is_err());
    }
}
