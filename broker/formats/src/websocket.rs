//! WebSocket messages (RFC 6455 §5.2), each in one unmasked frame, as a server sends them.

const OPCODE_TEXT: u8 = 0x1;
const OPCODE_BINARY: u8 = 0x2;
const FINAL: u8 = 0x80;

/// The bytes left free before a message for its header; most messages need exactly these.
const HEADER_GUESS: usize = 4;

/// Appends what `write` writes as one text message. It must write UTF-8.
pub fn text_message(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    message(out, OPCODE_TEXT, write);
}

/// Appends what `write` writes as one binary message.
pub fn binary_message(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    message(out, OPCODE_BINARY, write);
}

/// Writes the message behind a gap for its header, then makes the gap fit: the length is known only afterwards, and
/// measuring first would mean encoding twice.
fn message(out: &mut Vec<u8>, opcode: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_GUESS]);
    write(out);
    let length = out.len() - start - HEADER_GUESS;
    let first = FINAL | opcode;
    if let Ok(short @ 0..=125) = u8::try_from(length) {
        out.copy_within(start + HEADER_GUESS.., start + 2);
        out.truncate(start + 2 + length);
        out[start..start + 2].copy_from_slice(&[first, short]);
    } else if let Ok(medium) = u16::try_from(length) {
        let [high, low] = medium.to_be_bytes();
        out[start..start + HEADER_GUESS].copy_from_slice(&[first, 126, high, low]);
    } else {
        let mut header = [0; 10];
        header[..2].copy_from_slice(&[first, 127]);
        header[2..].copy_from_slice(&(length as u64).to_be_bytes());
        out.splice(start..start + HEADER_GUESS, header);
    }
}
