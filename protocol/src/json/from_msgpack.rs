//! Converts a MessagePack payload to JSON.

use super::text::{write_base64, write_string};
use crate::msgpack::{Reader, Token};

/// Appends one checked MessagePack value. The check when the payload was made bounds the depth of the recursion.
pub(super) fn write_value(bytes: &[u8], out: &mut Vec<u8>) {
    value(&mut Reader::new(bytes), out);
}

/// Appends the next value. What no checked payload holds (an end too early, an ext) is null.
fn value(reader: &mut Reader<'_>, out: &mut Vec<u8>) {
    match reader.token() {
        Ok(Token::Array(len)) => array(reader, len, out),
        Ok(Token::Map(len)) => map(reader, len, out),
        Ok(token) => scalar(token, out),
        Err(_) => out.extend_from_slice(b"null"),
    }
}

fn array(reader: &mut Reader<'_>, len: u32, out: &mut Vec<u8>) {
    out.push(b'[');
    for index in 0..len {
        if index > 0 {
            out.push(b',');
        }
        value(reader, out);
    }
    out.push(b']');
}

fn map(reader: &mut Reader<'_>, len: u32, out: &mut Vec<u8>) {
    out.push(b'{');
    for index in 0..len {
        if index > 0 {
            out.push(b',');
        }
        key(reader, out);
        out.push(b':');
        value(reader, out);
    }
    out.push(b'}');
}

/// Appends a map key: text and binary look as they do elsewhere, numbers, booleans and nil are put between quotes. No
/// checked payload has arrays or maps as keys.
fn key(reader: &mut Reader<'_>, out: &mut Vec<u8>) {
    match reader.token() {
        Ok(token @ (Token::Text(_) | Token::Binary(_))) => scalar(token, out),
        Ok(token) => {
            out.push(b'"');
            scalar(token, out);
            out.push(b'"');
        }
        Err(_) => out.extend_from_slice(b"\"\""),
    }
}

fn scalar(token: Token<'_>, out: &mut Vec<u8>) {
    match token {
        Token::Boolean(true) => out.extend_from_slice(b"true"),
        Token::Boolean(false) => out.extend_from_slice(b"false"),
        Token::Unsigned(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        Token::Negative(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        Token::Float(number) if number.is_finite() => {
            out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
        }
        Token::Text(bytes) => write_string(&String::from_utf8_lossy(bytes), out),
        Token::Binary(bytes) => write_base64(bytes, out),
        Token::Nil | Token::Float(_) | Token::Ext | Token::Array(_) | Token::Map(_) => {
            out.extend_from_slice(b"null");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let mut out = Vec::new();
        write_value(bytes, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{bytes:02x?}");
    }

    #[test]
    fn numbers_keep_their_value() {
        check(&[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "18446744073709551615");
        check(&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], "-9223372036854775808");
        check(&[0xd0, 0x05], "5");
        check(&[0xff], "-1");
        check(&[0xca, 0x3d, 0xcc, 0xcc, 0xcd], "0.10000000149011612");
        check(&[0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], "1.0");
        check(&[0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0], "-0.0");
        check(&[0xcb, 0x7e, 0x37, 0xe4, 0x3c, 0x88, 0, 0x75, 0x9c], "1e+300");
    }

    #[test]
    fn what_json_has_no_word_for_is_null_or_text() {
        check(&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], "null");
        check(&[0xca, 0xff, 0x80, 0, 0], "null");
        check(&[0x92, 0xc4, 0x01, 0x61, 0xc0], r#"["YQ==",null]"#);
        check(&[0x82, 0x01, 0xc3, 0xc4, 0x01, 0x61, 0xc2], r#"{"1":true,"YQ==":false}"#);
        check(&[0x82, 0xc0, 0x80, 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0x90], r#"{"null":{},"1.5":[]}"#);
        check(&[0x81, 0xa1, 0x22, 0xa1, 0x0a], r#"{"\"":"\n"}"#);
    }
}
