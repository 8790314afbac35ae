//! WebSocket frames as far as a load generator needs them (RFC 6455 §5.2): reads the headers of a server's frames,
//! writes a client's masked ones, and writes the request that asks for the upgrade.

/// Opcode of a text frame.
pub(crate) const TEXT: u8 = 0x1;
/// Opcode of a binary frame.
pub(crate) const BINARY: u8 = 0x2;
/// Opcode of a close frame.
pub(crate) const CLOSE: u8 = 0x8;
/// Opcode of a ping.
pub(crate) const PING: u8 = 0x9;
/// Opcode of a pong.
pub(crate) const PONG: u8 = 0xa;

/// A client may choose any masking key; a fixed one lets frames be masked ahead of time. It is not zero, so that a
/// server does the unmasking it does for every browser.
pub(crate) const MASKING_KEY: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// The head of a server's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whether the frame is the last of its message.
    pub(crate) fin: bool,
    /// The kind of the frame.
    pub(crate) opcode: u8,
    /// The offset of the payload.
    pub(crate) header_bytes: usize,
    /// The time for which the payload is.
    pub(crate) payload_bytes: usize,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` as long as it is not whole.
    ///
    /// A masked frame, which no server may send, is read as one of a length no frame has.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (header_bytes, payload_bytes) = match second {
            0..126 => (2, usize::from(second)),
            126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
            127 => {
                let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
                (10, usize::try_from(length).unwrap_or(usize::MAX).min(usize::MAX - 10))
            }
            _ => (2, usize::MAX - 10),
        };
        Some(Self { fin: first & FIN != 0, opcode: first & 0x0f, header_bytes, payload_bytes })
    }

    /// The length of the whole frame in bytes.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.header_bytes + self.payload_bytes
    }
}

/// One whole masked frame of a client, and where its payload begins.
pub(crate) fn client_frame(opcode: u8, payload: &[u8]) -> (Vec<u8>, usize) {
    let mut frame = header(opcode, MASKED, payload.len());
    frame.extend_from_slice(&MASKING_KEY);
    let start = frame.len();
    frame.extend(payload.iter().zip(MASKING_KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    (frame, start)
}

/// One whole frame of a server, and where its payload begins.
pub(crate) fn server_frame(opcode: u8, payload: &[u8]) -> (Vec<u8>, usize) {
    let mut frame = header(opcode, 0, payload.len());
    let start = frame.len();
    frame.extend_from_slice(payload);
    (frame, start)
}

/// The request that asks for a WebSocket at `path` (RFC 6455 §4.1).
pub(crate) fn upgrade_request(host: &str, path: &str, subprotocol: Option<&str>) -> String {
    let subprotocol =
        subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ZmFud2lyZSBsb2FkIGdlbg==\r\n{subprotocol}\r\n"
    )
}

fn header(opcode: u8, masked: u8, payload_bytes: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + payload_bytes);
    frame.push(FIN | opcode);
    if payload_bytes < 126 {
        frame.push(masked | payload_bytes as u8);
    } else if let Ok(length) = u16::try_from(payload_bytes) {
        frame.push(masked | 126);
        frame.extend_from_slice(&length.to_be_bytes());
    } else {
        frame.push(masked | 127);
        frame.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_length_are_read_as_written() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
            let (frame, start) = server_frame(TEXT, &vec![b'x'; length]);
            for cut in 0..start {
                assert_eq!(Header::read(&frame[..cut]), None, "{length} cut at {cut}");
            }
            let header = Header::read(&frame).unwrap();
            assert_eq!(
                header,
                Header { fin: true, opcode: TEXT, header_bytes: start, payload_bytes: length }
            );
            assert_eq!(header.frame_bytes(), frame.len());
        }
    }

    #[test]
    fn a_giant_length_and_a_masked_frame_have_impossible_lengths() {
        let giant = [0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255];
        assert!(Header::read(&giant).unwrap().frame_bytes() > 1 << 60);
        let (masked, _) = client_frame(TEXT, b"hello");
        assert!(Header::read(&masked).unwrap().frame_bytes() > 1 << 60);
    }

    #[test]
    fn a_client_frame_unmasks_to_its_payload() {
        let (frame, start) = client_frame(BINARY, b"hello, world");
        let plain: Vec<u8> =
            frame[start..].iter().zip(MASKING_KEY.iter().cycle()).map(|(b, k)| b ^ k).collect();
        assert_eq!(plain, b"hello, world");
        assert_ne!(&frame[start..], b"hello, world");
    }
}
