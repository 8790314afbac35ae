//! Writes texts and bytes as JSON strings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Appends `text` as a JSON string. Only what RFC 8259 §7 demands is escaped.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    if is_clean(text.as_bytes()) {
        return write_clean(text.as_bytes(), out);
    }
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(plain) = first_to_escape(rest) {
        out.extend_from_slice(&rest[..plain]);
        write_escape(rest[plain], out);
        rest = &rest[plain + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends `text`, in which nothing needs to be escaped, as a JSON string.
#[inline]
pub(super) fn write_clean(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// Appends `bytes` as a JSON string of standard base64 with padding (RFC 4648 §4).
pub(super) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written =
        STANDARD.encode_slice(bytes, &mut out[start..]).expect("base64 has four bytes for every three begun");
    out.truncate(start + written);
    out.push(b'"');
}

/// The number of bytes that are examined at once, in a form that compiles to vector instructions.
const BLOCK: usize = 16;

/// Returns the index of the first byte that needs an escape in a JSON string.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let clean = blocks.iter().take_while(|block| is_clean_block(block)).count() * BLOCK;
    bytes[clean..].iter().position(|byte| needs_escape(*byte)).map(|index| clean + index)
}

/// Whether every byte can be in a JSON string as it is. Bytes beyond the last whole block, or word, are looked at together
/// with some before them a second time: that is quicker than one by one.
fn is_clean(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<BLOCK>() {
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        return blocks.iter().all(is_clean_block) && is_clean_block(last);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return is_clean_word(u64::from_le_bytes(*first)) && is_clean_word(u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
        return is_clean_word(first << 32 | last);
    }
    !bytes.iter().any(|byte| needs_escape(*byte))
}

fn is_clean_block(block: &[u8; BLOCK]) -> bool {
    !block.iter().fold(false, |found, byte| found | needs_escape(*byte))
}

/// Whether none of eight bytes needs an escape. In each term below, a byte's highest bit is set if the byte is less than a
/// space, a quote or a backslash; a borrow can set it wrongly only above a byte for which it is set rightly.
fn is_clean_word(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    let is_quote = is_zero(word ^ (ONES * b'"' as u64));
    let is_backslash = is_zero(word ^ (ONES * b'\\' as u64));
    (is_control | is_quote | is_backslash) & HIGHEST == 0
}

fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let [high, low] = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_read_back_wherever_it_stands() {
        for code in (0..0x120).chain([0x2028, 0x2029, 0xd7ff, 0xe000, 0xffff, 0x1f600]) {
            let character = char::from_u32(code).unwrap();
            for (before, after) in (0..20).flat_map(|before| (0..20).map(move |after| (before, after))) {
                let text = format!("{}{character}{}", "a".repeat(before), "b".repeat(after));
                let mut out = Vec::new();
                write_string(&text, &mut out);
                let is_as_it_was = out[1..out.len() - 1] == *text.as_bytes();
                assert_eq!(is_as_it_was, !(code < 0x20 || ['"', '\\'].contains(&character)), "{text:?}");
                let read: String = serde_json::from_slice(&out).unwrap();
                assert_eq!(read, text);
            }
        }
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, expected) in
            [(&b""[..], "\"\""), (b"a", "\"YQ==\""), (b"ab", "\"YWI=\""), (b"abc", "\"YWJj\"")]
        {
            let mut out = Vec::new();
            write_base64(bytes, &mut out);
            assert_eq!(out, expected.as_bytes());
        }
    }
}
